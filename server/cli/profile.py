"""`rowless profile`: buy a dataset's contribution profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from budgets.amounts import offered, rounding
from budgets.errors import Invalid
from queries.contribution.profile import histogram_of, likely
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.study import decimal
from server.journey.profile import buy
from server.views.study import noted

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.argument("dataset")
@click.option("--epsilon", required=True, help="What it may cost; 0.1 is often enough. The dataset's own budget pays.")
@as_option
@with_json
def profile(dataset: str, epsilon: str, name: str | None) -> Any:
    """Buy a dataset's contribution profile, once for each edition.

    Noisy histograms of how much single persons contribute. They are public from then on, and queries that name no
    contribution bounds get those with the least total error.
    """
    number = decimal(epsilon, "epsilon")
    epsilon_nano = offered("epsilon", number)
    note = rounding("epsilon", number)
    notes = [] if note is None else [note]
    if epsilon_nano == 0:
        raise Invalid("epsilon", "must be above 0")
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
        said = buy(opened, by, dataset, epsilon_nano)
    return noted(said, notes), "\n".join([*_words(said), *(f"Note: {one}" for one in notes)])


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
