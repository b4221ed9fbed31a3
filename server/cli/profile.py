"""`rowless profile`: buy a dataset's contribution profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from budgets.errors import Invalid
from budgets.governance import dataset_terms
from queries.contribution.profile import histogram_of, likely
from server.cli.amounts import Amounts, with_notes
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.speaking import number, say, whole
from server.journey.profile import buy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa


@click.command(cls=Command)
@click.argument("dataset")
@click.option("--epsilon", help="What it may cost, of the dataset's own budget; by default what was approved.")
@as_option
@with_json
def profile(dataset: str, epsilon: str | None, name: str | None) -> Any:
    """Buy a dataset's contribution profile, once it is approved.

    Noisy histograms of how much single persons contribute. They are public from then on, and queries that name no
    contribution bounds get those with the least total error.
    """
    given = Amounts(epsilon=epsilon)
    epsilon_nano = given.nano.get("epsilon")
    if epsilon_nano == 0:
        raise Invalid("epsilon", "must be above 0")
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
            if epsilon_nano is None:
                epsilon_nano = _approved(transaction, dataset)
        said = buy(opened, by, dataset, epsilon_nano)
    return with_notes((said, "\n".join(_words(said))), given.notes)


def _approved(transaction: sa.Connection, dataset: str) -> int:
    """Return what a profile may cost by what was approved. Raises Invalid, NotFound."""
    left = dataset_terms.standing(transaction, dataset).profile_left_nano
    if left == 0:
        raise Invalid("epsilon", "no profile is approved, or it was bought already: name an epsilon to read it again")
    return left


def _words(said: dict[str, Any]) -> Iterator[str]:
    shown = said["profile"]
    cost = say("it cost epsilon %(epsilon)s", epsilon=number(f"{shown['cost']['epsilon']:g}"))
    if said["replayed"]:
        cost = say("it was there already; free")
    which = {"dataset": said["dataset"], "edition": said["edition"], "cost": cost}
    yield say("The profile of %(dataset)s, edition %(edition)s (%(cost)s). It is public now.", **which)
    yield say("Persons by a number of theirs, with noise (margin at %(percent)s):", percent=number("95%"))
    for table, one in shown["tables"].items():
        yield say("  %(table)s: events per person   %(bins)s", table=table, bins=_histogram(one["events"]))
        for column, two in one["columns"].items():
            name = say("%(column)s (by month)", column=column) if "by" in two else column
            values, repeats = _histogram(two["values"]), _histogram(two["repeats"])
            yield say("    %(column)s: different values     %(bins)s", column=name, bins=values)
            yield say("    %(column)s: events with one value %(bins)s", column=name, bins=repeats)
    left = number(f"{said['budget']['remaining']['epsilon']:g}")
    yield say("The dataset has epsilon %(left)s left.", left=left)


def _histogram(shown: dict[str, Any]) -> str:
    """Return a histogram in words, without the bins that are likely empty."""
    found = likely(histogram_of(shown)).bins()
    bins = [
        say(
            "%(bin)s: %(persons)s",
            bin=whole(low) if low == high else f"{whole(low)}-{whole(high)}",
            persons=number(f"{persons:,}"),
        )
        for low, high, persons in found
        if persons
    ]
    margin = number(str(shown["margin"]))
    bins = bins or [say("nobody")]
    return f"{'  '.join(bins)}  (±{margin})"
