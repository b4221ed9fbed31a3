"""`rowless profile`: buy a dataset's contribution profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from budgets.errors import Invalid
from budgets.governance import dataset_terms
from queries.contribution.profile import histogram_of, likely
from server.cli.amounts import Amounts, with_notes
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.journey.profile import buy

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa


@click.command()
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
    cost = "it was there already; free" if said["replayed"] else f"it cost epsilon {shown['cost']['epsilon']:g}"
    yield f"The profile of {said['dataset']}, edition {said['edition']} ({cost}). It is public now."
    yield "Persons by a number of theirs, with noise (margin at 95%):"
    for table, one in shown["tables"].items():
        yield f"  {table}: events per person   {_histogram(one['events'])}"
        for column, two in one["columns"].items():
            by = f" (by {two['by']})" if "by" in two else ""
            yield f"    {column}{by}: different values     {_histogram(two['values'])}"
            yield f"    {column}{by}: events with one value {_histogram(two['repeats'])}"
    yield f"The dataset has epsilon {said['budget']['remaining']['epsilon']:g} left."


def _histogram(shown: dict[str, Any]) -> str:
    """Return a histogram in words, without the bins that are likely empty."""
    found = likely(histogram_of(shown)).bins()
    bins = [f"{low if low == high else f'{low}-{high}'}: {persons:,}" for low, high, persons in found if persons]
    return f"{'  '.join(bins) or 'nobody'}  (±{shown['margin']})"
