"""`rowless rehearsal-data`: write made-up data in the shape of a dataset's catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from marshmallow import ValidationError

from budgets.errors import Invalid
from queries.binding import keys
from queries.catalog import described
from queries.catalog.columns import NAME
from queries.catalog.schema import PERSONS, describe
from queries.contribution import profile as profiles
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.store.made_up import files, marginals
from server.api.requests.query import QuerySchema
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import services
from server.cli.remote import remote, segment
from server.cli.speaking import number, phrase, say
from server.journey import profile
from server.web.bodies import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.catalog.schema import Dataset
    from queries.store.made_up.marginals import Marginal

PERSONS_MADE, PERSONS_MOST = 4_000, 1_000_000
ROWS_MOST = 20_000_000  # of one table
COUNT_MOST = 2**53  # of an answer; all of them add up to less than 64 bits hold
WANTED = (
    "give an answer that counts by one column: SELECT column, COUNT(*) FROM table GROUP BY column, without WHERE, as "
    "`rowless release show STUDY ID --json` prints it; of a person's attribute with COUNT(DISTINCT person)"
)


@click.command("rehearsal-data", cls=Command)
@click.argument("dataset")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--persons", type=click.IntRange(1, PERSONS_MOST), help=f"How many persons; {PERSONS_MADE} by default.")
@click.option(
    "--release",
    "releases",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An answer as JSON, which counts by one column: the column gets its shares. May be repeated.",
)
@with_json
def rehearsal_data(dataset: str, folder: Path, persons: int | None, releases: tuple[Path, ...]) -> Any:
    """Write made-up data in the shape of DATASET into FOLDER, as Parquet.

    They are made of the catalog, of the dataset's contribution profile if there is one, and of released answers that
    you name. No data are read: the files are free, and no result computed from them means anything.
    """
    catalog = _catalog(dataset)
    read = [_marginal(catalog, file) for file in releases]
    shares = {of: found for of, found, _ in read}
    names = [files.file_of(table) for table in catalog.tables]
    present = [name for name in (*names, files.ABOUT) if (folder / name).exists()]
    if present:
        raise Invalid("FOLDER", f"has {present[0]} already; nothing is overwritten")
    wanted = min(persons or PERSONS_MADE, catalog.persons_max)
    for table, rows in files.rows(catalog, wanted).items():
        if rows > ROWS_MOST:
            raise Invalid("--persons", f"{table} would have {rows:,} rows; at most {ROWS_MOST:,} are written")
    folder.mkdir(parents=True, exist_ok=True)
    made = files.write(catalog, folder, wanted, shares, [name for _, _, name in read])
    lines = [
        say("%(file)s: %(rows)s rows", file=folder / name, rows=number(f"{rows:,}"))
        for name, rows in made.files.items()
    ]
    said = {"folder": str(folder), "files": dict(made.files), "made_up": True, "made_of": list(made.made_of)}
    made_of = ", ".join(say("the %(what)s", what=phrase(one)) for one in made.made_of)
    return said, "\n".join([*lines, say("MADE UP, of %(made_of)s: no result means anything", made_of=made_of)])


def _catalog(name: str) -> Dataset:
    """Return a dataset's catalog, with its profile if it has one, as everybody may read it."""
    if (server := remote()) is not None:
        shown = server.json("GET", f"/datasets/{segment(name)}")
        wrong = [table for table in shown["tables"] if not NAME.fullmatch(table)]
        if wrong:  # files are called by these names, and a manifest has no others
            raise Invalid("DATASET", f"has a table named {wrong[0]!r}, says the server; nothing was written")
    else:
        with services() as opened, opened.database.read() as transaction:
            store = opened.stores.current(transaction, name)
            bought = profile.shown(transaction, name, store.edition.number)
            shown = {**describe(store.dataset), "profile": bought}
    catalog = described.read(shown)
    return catalog if shown["profile"] is None else profiles.with_profile(catalog, profiles.read(shown["profile"]))


def _marginal(catalog: Dataset, file: Path) -> tuple[tuple[str, str], Marginal, str]:
    """Return the place of a column, what an answer says of it, and what the answer is called. Raises Invalid."""
    release = read_json(file.read_bytes())
    try:
        if isinstance(release, dict) and release.get("rehearsal"):
            raise Invalid("--release", f"{file} is a rehearsal: its numbers are made up themselves")
        query = QuerySchema().load(release["query"])
        table, key, name = _counted(catalog, query)
        bound = keys.bind(key, catalog.tables[table], "/query/group_by/0")
        numbers = _numbers(release, key.name or key.column, name, bound.every_label())
        called = f"release {release['id']} of {key.column}"
    except (KeyError, TypeError, ValidationError, InvalidQuery):
        raise Invalid("--release", f"{file} is no such answer of this dataset: {WANTED}") from None
    found = marginals.of(bound, numbers)
    if found is None:
        raise Invalid("--release", f"{file} has no number above 0")
    of_person = catalog.tables[table].columns[key.column].of_person
    return (PERSONS if of_person else table, key.column), found, called


def _counted(catalog: Dataset, query: nodes.Query) -> tuple[str, nodes.Key, str]:
    """Return the table, the key and the count of an answer that counts by one column. Raises Invalid."""
    counts = [(name, one.of) for name, one in query.select if isinstance(one, nodes.Count) and one.where is None]
    if isinstance(query.source, str) and query.where is None and len(query.group_by) == 1:
        (key,) = query.group_by
        of_person = catalog.tables[query.source].columns[key.column].of_person
        fitting = [name for name, of in counts if of == "persons" or not of_person or query.source == PERSONS]
        if fitting:
            return query.source, key, fitting[0]
    raise KeyError(query.source)


def _numbers(release: Mapping[str, Any], key: str, name: str, labels: list[Any]) -> list[float]:
    """Return the number of each cell; a cell that is not shown, or whose number is hidden, has none.

    Raises KeyError and TypeError for what is no answer.
    """
    shown = {row[key]: row[name]["value"] for row in release["rows"]}
    if not set(shown) <= set(labels):
        raise KeyError
    numbers = [0 if shown.get(label) is None else shown[label] for label in labels]
    if not all(type(one) in (int, float) and abs(one) <= COUNT_MOST for one in numbers):
        raise TypeError
    return numbers
