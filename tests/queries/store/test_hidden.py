"""Hidden columns: read and checked by the import to compute others, and then nowhere: no catalog, no store, no query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from queries.catalog import manifest, parts, schema
from queries.errors import InvalidQuery, ManifestError
from queries.language import nodes
from queries.store import ingest, losses
from tests.queries.clinic import planned
from tests.queries.sources import HEAD, Built, build, rows
from tests.queries.store.imports import Case, on_cluster, on_one_machine
from tests.queries.store.serial import SerialCluster

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
[person.columns.born]
type = "date"
bounds = [1920-01-01, 2020-12-31]
{hidden}
[tables.stays]
source = "stays.csv"
[tables.stays.columns.start]
type = "date"
bounds = [1990-01-01, 2030-12-31]
[tables.stays.columns.end]
type = "date"
bounds = [1990-01-01, 2030-12-31]
{hidden}
[tables.stays.columns.diagnosis]
type = "category"
{hidden}
[tables.stays.columns.age]
years_from = "born"
to = "start"
bounds = [0, 120]
[tables.stays.columns.nights]
days_from = "start"
to = "end"
bounds = [0, 365]
[tables.stays.columns.chapter]
level_of = "diagnosis"
values = ["E", "I"]
"""
SECRET = "E-secret"
STAYS = f"""patient,born,start,end,diagnosis
1,1950-02-01,2000-01-01,2000-01-05,{SECRET}
1,1950-02-01,2001-03-01,2001-03-02,I10
2,1999-12-31,2001-03-01,2009-03-02,X
3,1980-01-01,2001-03-01,,{SECRET}
"""
HIDDEN = "hidden = true"
NAMES = ("born", "end", "diagnosis")


def imported(folder: Path, hidden: str = HIDDEN) -> Built:
    """Import the stays."""
    return build(folder, TEXT.format(hidden=hidden), {"stays.csv": STAYS})


def test_what_is_computed_and_reported_is_the_same_without_them(tmp_path: Path) -> None:
    """Values, and the losses of the hidden columns themselves."""
    hidden, shown = imported(tmp_path), imported(tmp_path, "")
    computed = "SELECT start, age, nights, chapter FROM stays ORDER BY ALL"
    assert rows(hidden.path, computed) == rows(shown.path, computed)
    assert hidden.report == shown.report
    report = hidden.report.tables["stays"].columns
    assert (report["nights"].null, report["nights"].clamped, report["chapter"].unknown) == (1, 1, 1)
    assert report["end"].null == 1
    assert losses.excessive(hidden.declared, hidden.report) == losses.excessive(shown.declared, shown.report) != []


def test_they_are_in_no_store(tmp_path: Path) -> None:
    """Neither as a column, nor as texts, nor as bytes of the file."""
    hidden, shown = imported(tmp_path), imported(tmp_path, "")
    found = "SELECT table_name, column_name FROM information_schema.columns"
    stored = {column for _, column in rows(hidden.path, found)}
    assert stored >= {"start", "age", "nights", "chapter"}
    assert stored.isdisjoint(NAMES)
    assert not any("diagnosis" in table for table, _ in rows(hidden.path, found))
    assert SECRET.encode() in shown.path.read_bytes()
    for file in hidden.path.parent.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_they_are_in_no_catalog(tmp_path: Path) -> None:
    """The catalog is that of a manifest without them, in which the others are read."""
    declared = imported(tmp_path).declared
    served = declared.served({})
    assert "born" in declared.dataset.tables["stays"].columns, "the import needs them"
    described: Any = schema.describe(served)["tables"]
    assert set(described["stays"]["columns"]) == {"start", "age", "nights", "chapter"}
    assert described["persons"]["columns"] == {}
    assert not any(name in str(described) for name in ("born", "'end'", "diagnosis"))
    assert described["stays"]["columns"]["chapter"]["values"] == ["E", "I"]
    shown: Any = schema.describe(imported(tmp_path, "").declared.served({}))["tables"]
    assert shown["stays"]["columns"]["chapter"]["level_of"] == "diagnosis"


@pytest.mark.parametrize("name", NAMES)
def test_a_query_cannot_tell_them_from_columns_that_are_not(tmp_path: Path, name: str) -> None:
    """As a key, in a filter and in a statistic: the words are those for a name that nobody declared."""
    served = imported(tmp_path).declared.served({})

    def refusals(column: str) -> list[str]:
        found = []
        of_events = nodes.Count("events")
        for keys, where, statistic in (
            ((nodes.ByValue(column),), None, of_events),
            ((), nodes.Comparison(column, "is_null"), of_events),
            ((), None, nodes.Mean(column)),
        ):
            with pytest.raises(InvalidQuery) as refused:
                planned(*keys, where=where, dataset=served, table="stays", n=statistic)
            found.append(str(refused.value).replace(column, "NAME"))
        return found

    assert refusals(name) == refusals("z" * len(name))


def test_a_planted_hidden_column_in_the_catalog_can_be_asked(tmp_path: Path) -> None:
    """Were the server to take the dataset of the import, a query would reach the engine: the tests above would fail."""
    declared = imported(tmp_path).declared
    assert planned(
        nodes.ByPeriod("born", "year"), dataset=declared.described({}), table="stays", n=nodes.Count("events")
    )


def test_parts_are_without_them_too(tmp_path: Path) -> None:
    """Each part computes from them, and keeps nothing of them."""
    case = Case(HEAD + TEXT.format(hidden=HIDDEN), {"stays.csv": STAYS})
    one, many = on_one_machine(case, tmp_path), on_cluster(case, tmp_path, SerialCluster(), 3)
    assert many.report == one.report
    for part in parts.kept(many.folder).parts:
        with duckdb.connect(str(many.folder / part.file), read_only=True) as store:
            stored = {name for (name,) in store.sql("SELECT column_name FROM information_schema.columns").fetchall()}
        assert stored.isdisjoint(NAMES)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('years_from = "born"', 'years_from = "start"', "person.columns.born.hidden"),
        ('level_of = "diagnosis"\nvalues', 'type = "category"\nvalues', "tables.stays.columns.diagnosis.hidden"),
        ("hidden = true", 'hidden = "yes"', "person.columns.born.hidden"),
    ],
)
def test_a_hidden_column_from_which_nothing_is_computed_is_refused(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    """What nobody needs is not to be read."""
    text = HEAD + TEXT.format(hidden=HIDDEN)
    assert old in text
    with pytest.raises(ManifestError) as refused:
        manifest.parse(text.replace(old, new, 1), tmp_path)
    assert place in [error.place for error in refused.value.each]


def test_an_attribute_may_be_hidden_that_is_computed_from_events(tmp_path: Path) -> None:
    """The first day that a person was seen: in no catalog, and yet the days since."""
    text = """
[person.columns.first]
type = "date"
earliest = "stays.day"
hidden = true
[tables.stays]
source = "stays.csv"
[tables.stays.columns.day]
type = "date"
[tables.stays.columns.since]
days_from = "first"
to = "day"
bounds = [0, 1000]
"""
    built = build(tmp_path, text, {"stays.csv": "patient,day\n1,2000-01-01\n1,2000-01-11\n2,2001-01-01\n"})
    assert rows(built.path, "SELECT since - 1 FROM stays ORDER BY ALL") == [(0,), (0,), (10,)]
    assert "first" not in str(rows(built.path, "SELECT column_name FROM information_schema.columns"))
    assert (built.path.parent / ingest.MANIFEST).exists()
