"""Columns that the import computes from others of the same row, compared with Python's own calendar and fractions."""

from __future__ import annotations

import datetime as dt
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from queries.catalog import manifest
from queries.errors import ManifestError
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.language import nodes
from queries.store import losses
from tests.queries.clinic import planned
from tests.queries.sources import HEAD, build, rows

TEXT = """
[person.columns.born]
type = "date"
bounds = [1920-01-01, 2020-12-31]
[person.columns.since]
type = "integer"
bounds = [1900, 2020]
[tables.stays]
source = "stays.parquet"
[tables.stays.columns.start]
type = "date"
bounds = [1990-01-01, 2030-12-31]
[tables.stays.columns.end]
type = "date"
bounds = [1990-01-01, 2030-12-31]
outside = "null"
[tables.stays.columns.price]
type = "number"
bounds = [-50, 50]
step = 0.05
[tables.stays.columns.pieces]
type = "integer"
bounds = [-7, 1000]
[tables.stays.columns.{name}]
{keys}
"""


def text(keys: str, name: str = "found") -> str:
    """Return a manifest with a computed column."""
    return TEXT.format(keys=keys, name=name)


def stays(**columns: Any) -> pa.Table:
    """Return stays of one person each, with the columns that are given and nothing in the others."""
    count = len(next(iter(columns.values())))
    types = {"born": pa.date32(), "since": pa.int64(), "start": pa.date32(), "end": pa.date32()}
    nothing = {
        one: pa.nulls(count, types.get(one, pa.int64())) for one in (*types, "price", "pieces") if one not in columns
    }
    return pa.table({"patient": range(count), **columns, **nothing})


def computed(folder: Path, keys: str, source: pa.Table, low: int = 0, by: str = "start") -> list[Any]:
    """Return what was computed for each row, in the order of another column: None for null."""
    built = build(folder, text(keys), {"stays.parquet": source})
    found = rows(built.path, f'SELECT found::BIGINT FROM stays ORDER BY {by}, "end"')
    return [None if code == 0 else code - 1 + low for (code,) in found]


def _age(born: dt.date, day: dt.date) -> int:
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def test_age_is_one_more_on_each_birthday(tmp_path: Path) -> None:
    """Days around birthdays, leap days among them, and random days."""
    drawn = random.Random(7)
    pairs = [
        (dt.date(2000, 2, 29), dt.date(2001, 2, 28)),
        (dt.date(2000, 2, 29), dt.date(2001, 3, 1)),
        (dt.date(2000, 2, 29), dt.date(2004, 2, 29)),
        (dt.date(1999, 12, 31), dt.date(2000, 1, 1)),
        (dt.date(1980, 5, 5), dt.date(1990, 5, 4)),
        (dt.date(1980, 5, 5), dt.date(1990, 5, 5)),
    ]
    pairs += [
        (dt.date(1920, 1, 1) + dt.timedelta(drawn.randrange(20_000)), dt.date(1991, 1, 1) + dt.timedelta(place))
        for place in range(1000, 1500)
    ]
    pairs.sort(key=lambda pair: (pair[1], pair[0]))
    keys = 'years_from = "born"\nto = "start"\nbounds = [0, 120]'
    source = stays(born=[born for born, _ in pairs], start=[day for _, day in pairs])
    built = build(tmp_path, text(keys), {"stays.parquet": source})
    found = rows(built.path, "SELECT found - 1 FROM stays ORDER BY start, born")
    assert [age for (age,) in found] == [_age(*pair) for pair in pairs]


def test_age_from_a_year_is_the_one_that_is_reached_in_the_year(tmp_path: Path) -> None:
    """Of a person's attribute, which the rows of events need not have."""
    source = stays(since=[1980, 1980, None], start=[dt.date(2000, 1, 1), dt.date(2001, 12, 31), dt.date(2002, 1, 1)])
    assert computed(tmp_path, 'years_from = "since"\nto = "start"\nbounds = [0, 120]', source) == [20, 21, None]


def test_days_between_two_dates(tmp_path: Path) -> None:
    """Null if one of them is; beyond the bounds it is the nearest bound, or null if the manifest says so."""
    first = dt.date(2020, 2, 28)
    source = stays(
        start=[first + dt.timedelta(place) for place in range(5)],
        end=[dt.date(2020, 3, 1), dt.date(2020, 2, 29), None, dt.date(9999, 12, 31), dt.date(2021, 12, 31)],
    )
    keys = 'days_from = "start"\nto = "end"\nbounds = [-3, 60]'
    assert computed(tmp_path, keys, source, -3) == [2, 0, None, None, 60]
    built = build(tmp_path, text(keys), {"stays.parquet": source})
    report = built.report.tables["stays"].columns["found"]
    assert (report.null, report.clamped, report.outside) == (2, 1, 0)
    assert "stays.columns.found: of 3 values 1 clamped" in " ".join(losses.excessive(built.declared, built.report))
    keys += '\noutside = "null"'
    assert computed(tmp_path, keys, source, -3) == [2, 0, None, None, None]
    built = build(tmp_path, text(keys), {"stays.parquet": source})
    report = built.report.tables["stays"].columns["found"]
    assert (report.null, report.clamped, report.outside) == (2, 0, 1)


@pytest.mark.parametrize(("step", "low"), [("0.05", -400), ("1", -400), ("0.3", -390), ("4", -400)])
def test_product_is_exact_and_rounded_to_the_step(tmp_path: Path, step: str, low: int) -> None:
    """Half a step away from 0, as everywhere; the factors are those that are stored."""
    drawn = random.Random(3)
    prices = [drawn.randrange(-1000, 1001) for _ in range(300)]
    pieces = [drawn.randrange(-7, 1000) for _ in range(300)]
    days = [dt.date(2000, 1, 1) + dt.timedelta(place) for place in range(300)]
    source = stays(start=days, price=[price / 20 for price in prices], pieces=pieces)
    keys = f'product = ["price", "pieces"]\nstep = {step}\nbounds = [{low}, 60000]'
    found = computed(tmp_path, keys, source)
    wanted = []
    for price, piece in zip(prices, pieces, strict=True):
        exact = Fraction(price, 20) * piece / Fraction(step)
        steps = (abs(exact) + Fraction(1, 2)).__floor__() * (1 if exact >= 0 else -1)
        least = int(Fraction(low) / Fraction(step))
        wanted.append(max(steps, least) - least)
    assert found == wanted


def test_product_of_the_largest_numbers_does_not_overflow(tmp_path: Path) -> None:
    """Two factors of 53 bits; the result is clamped as any other."""
    largest = 2**52
    manifest_text = (
        text(f'product = ["price", "big"]\nstep = 1\nbounds = [0, {largest}]')
        .replace("[-50, 50]", f"[0, {largest}]")
        .replace("step = 0.05", "step = 1")
        + f'[tables.stays.columns.big]\ntype = "integer"\nbounds = [0, {largest}]\n'
    )
    source = stays(price=[largest, 3], big=[largest, 4])
    built = build(tmp_path, manifest_text, {"stays.parquet": source})
    assert rows(built.path, "SELECT found - 1 FROM stays ORDER BY 1") == [(12,), (largest,)]
    assert built.report.tables["stays"].columns["found"].clamped == 1


def test_attributes_of_persons_are_computed_too(tmp_path: Path) -> None:
    """From attributes alone; they stand in the table of persons and in every table of events."""
    keys = (
        text("type = 'date'\nfrom = 'end'", "again").replace(
            "[tables.stays]",
            '[person.columns.age]\nyears_from = "born"\nto = "died"\nbounds = [0, 120]\n'
            '[person.columns.died]\nfrom = "end"\ntype = "date"\n[tables.stays]',
            1,
        )
    )  # fmt: skip
    source = stays(born=[dt.date(1990, 6, 1), None], end=[dt.date(2020, 5, 31), dt.date(2020, 1, 1)])
    built = build(tmp_path, keys, {"stays.parquet": source})
    assert rows(built.path, "SELECT age FROM persons ORDER BY 1") == [(0,), (30,)]
    assert rows(built.path, "SELECT age FROM stays ORDER BY 1") == [(0,), (30,)]
    assert built.report.tables["persons"].columns["age"].null == 1


def test_what_is_computed_of_one_row_does_not_depend_on_other_rows(tmp_path: Path) -> None:
    """A person more, with values at and beyond every bound, changes no value of another."""
    keys = 'product = ["price", "pieces"]\nstep = 0.05\nbounds = [-100, 100]'
    day = dt.date(2000, 1, 1)
    prices, pieces = [0.05, 1.5, None, 49.95], [3, -7, 4, 1000]
    before = computed(tmp_path, keys, stays(start=[day] * 4, price=prices, pieces=pieces), by="price, pieces, found")
    more = stays(
        start=[day] * 4 + [dt.date(2030, 12, 31)] * 2,
        price=[*prices, 1e300, float("nan")],
        pieces=[*pieces, 10**9, None],
    )
    (folder := tmp_path / "more").mkdir()
    after = build(folder, text(keys), {"stays.parquet": more})
    found = rows(
        after.path,
        "SELECT found::BIGINT FROM stays WHERE start < (SELECT max(start) FROM stays) ORDER BY price, pieces, found",
    )
    assert [None if code == 0 else code - 1 for (code,) in found] == before


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ('years_from = "born"\nbounds = [0, 9]', "to"),
        ('years_from = "born"\nto = "start"', "bounds"),
        ('years_from = "gone"\nto = "start"\nbounds = [0, 9]', "years_from"),
        ('years_from = "born"\nto = "found"\nbounds = [0, 9]', "to"),
        ('years_from = "born"\nto = "pieces"\nbounds = [0, 9]', "to"),
        ('days_from = "since"\nto = "start"\nbounds = [0, 9]', "days_from"),
        ('days_from = "start"\nto = "end"\nbounds = [0, 9]\ntype = "number"\nstep = 1', "type"),
        ('days_from = "start"\nto = "end"\nbounds = [0, 9]\nfrom = "x"', "from"),
        ('days_from = "start"\nto = "end"\nbounds = [0, 9]\nmissing = [1]', "missing"),
        ('days_from = "start"\nyears_from = "born"\nto = "end"\nbounds = [0, 9]', "days_from"),
        ('product = ["price"]\nstep = 1\nbounds = [0, 9]', "product"),
        ('product = ["price", "start"]\nstep = 1\nbounds = [0, 9]', "product"),
        ('product = ["price", "pieces"]\nbounds = [0, 9]', "step"),
    ],
)  # fmt: skip
def test_wrong_computations_are_refused_at_their_place(keys: str, place: str) -> None:
    """Before any source is opened."""
    with pytest.raises(ManifestError) as refused:
        manifest.parse(HEAD + text(keys), Path("/data"))
    assert refused.value.place == f"tables.stays.columns.found.{place}"


def test_a_product_that_could_overflow_is_refused() -> None:
    """The bounds alone decide."""
    keys = 'product = ["price", "pieces"]\nstep = 0.000001\nbounds = [0, 1]'
    large = text(keys).replace("[-50, 50]", f"[0, {4 * 10**14}]")
    assert manifest.parse(HEAD + large, Path("/data")).derived["stays"]
    with pytest.raises(ManifestError, match="120 bits"):
        manifest.parse(HEAD + large.replace("[-7, 1000]", f"[0, {9 * 10**15}]"), Path("/data"))


LATEST = """
[person.columns.seen]
type = "date"
bounds = [2000-01-01, 2030-12-31]
{how} = "stays.day"
[person.columns.dear]
type = "integer"
bounds = [0, 100]
latest = "stays.cost"
[tables.stays]
source = "stays.csv"
[tables.stays.columns.day]
type = "date"
bounds = [2000-01-01, 2030-12-31]
[tables.stays.columns.cost]
type = "integer"
bounds = [0, 100]
[tables.others]
source = "others.csv"
"""


@pytest.mark.parametrize(("how", "days"), [("latest", [None, 3, 9]), ("earliest", [None, 2, 1])])
def test_attributes_from_a_persons_own_events(tmp_path: Path, how: str, days: list[int | None]) -> None:
    """The least or greatest of their values; null for whom no event has one, also in other tables."""
    files = {
        "stays.csv": "patient,day,cost\n1,2000-01-03,7\n1,2000-01-02,\n1,,5\n2,2000-01-09,999\n2,2000-01-01,3\n3,,\n",
        "others.csv": "patient\n1\n2\n4\n",
    }
    built = build(tmp_path, LATEST.format(how=how), files)
    found = rows(built.path, "SELECT nullif(seen, 0), nullif(dear, 0) - 1 FROM persons ORDER BY 1 NULLS FIRST, 2")
    assert sorted(found, key=repr) == sorted([(None, None), (None, None), (days[1], 7), (days[2], 100)], key=repr)
    report = built.report.tables["persons"].columns
    assert (report["seen"].null, report["dear"].null, report["dear"].clamped) == (2, 2, 0)
    assert rows(built.path, "SELECT count(*) FROM others WHERE seen > 0") == [(2,)]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('latest = "stays.cost"', 'latest = "stays.gone"', "dear.latest"),
        ('latest = "stays.cost"', 'latest = "gone.cost"', "dear.latest"),
        ('latest = "stays.cost"', 'latest = "cost"', "dear.latest"),
        ("bounds = [0, 100]\nlatest", "bounds = [0, 99]\nlatest", "dear.latest"),
        ('latest = "stays.cost"', 'latest = "stays.dear"', "dear.latest"),
    ],
)
def test_attributes_from_wrong_events_are_refused(old: str, new: str, place: str) -> None:
    """Their column must be there, and have the same bounds."""
    with pytest.raises(ManifestError) as refused:
        manifest.parse(HEAD + LATEST.format(how="latest").replace(old, new), Path("/data"))
    assert refused.value.place == f"person.columns.{place}"


def test_events_have_no_attributes_of_events() -> None:
    """Only a person has."""
    with pytest.raises(ManifestError, match="latest: is not known here"):
        manifest.parse(HEAD + text('type = "date"\nlatest = "stays.start"'), Path("/data"))


# Texts in place of others

NAMED = """
[tables.stays]
source = "stays.csv"
[tables.stays.columns.found]
from = "sex"
type = "category"
{keys}
"""


@pytest.mark.parametrize(
    ("keys", "found", "unknown"),
    [
        ('values = ["F", "M"]', ["F", "M"], 4),
        ('values = ["F", "M"]\nmap = { Homme = "M", Femme = "F" }', ["F", "F", "M", "M"], 2),
        ('values = ["F", "M"]\nmap = { Homme = "M", "1" = "M" }', ["F", "M", "M", "M"], 2),
        ('values = ["F", "M"]\nmap = { Homme = "M" }\nother = "M"', ["F", *["M"] * 5], 0),
        ('values = ["F", "H"]\nprefix = 1', ["F", "F", "H"], 3),
        ('values = ["F", "?"]\nprefix = 1\nother = "?"', ["?", "?", "?", "?", "F", "F"], 0),
        ('values = ["Ho", "Fr"]\nmap = { Femme = "Frau" }\nprefix = 2', ["Fr", "Ho"], 4),
    ],
)  # fmt: skip
def test_texts_are_renamed_cut_and_gathered(tmp_path: Path, keys: str, found: list[str], unknown: int) -> None:
    """Blanks around a text are no part of it, 1.0 is 1, and null stays null."""
    values = ["F", "M", " Homme ", "Femme", "1.0", "x", "", "NA"]
    source = "patient,sex\n" + "".join(f"{place},{value}\n" for place, value in enumerate(values))
    built = build(tmp_path, NAMED.format(keys=keys), {"stays.csv": source})
    column = built.dataset.tables["stays"].columns["found"]
    stored = rows(built.path, "SELECT found FROM stays WHERE found > 0")
    assert sorted(str(column.label(code)) for (code,) in stored) == sorted(found)
    assert built.report.tables["stays"].columns["found"].unknown == unknown


def test_undeclared_texts_are_renamed_too(tmp_path: Path) -> None:
    """The dictionary holds the new texts alone."""
    source = "patient,sex\n1,E11.9\n2,E11.0\n3,I10\n"
    built = build(tmp_path, NAMED.format(keys='prefix = 3\nmap = { I10 = "I1x" }'), {"stays.csv": source})
    kept = rows(built.path, "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'stays_%'")
    assert rows(built.path, f'SELECT value FROM "{kept[0][0]}" WHERE value IS NOT NULL ORDER BY 1') == [
        ("E11",),
        ("I1x",),
    ]


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ('values = ["F"]\nmap = { Homme = "M" }', "map.Homme"),
        ('values = ["F"]\nmap = {}', "map"),
        ('values = ["F"]\nmap = { Homme = 1 }', "map.Homme"),
        ('values = ["F"]\nother = "M"', "other"),
        ('other = "M"', "other"),
        ("prefix = 0", "prefix"),
    ],
)
def test_wrong_texts_are_refused_at_their_place(keys: str, place: str) -> None:
    """A text that would become no value is a typing error."""
    with pytest.raises(ManifestError) as refused:
        manifest.parse(HEAD + NAMED.format(keys=keys), Path("/data"))
    assert refused.value.place == f"tables.stays.columns.found.{place}"


def test_a_source_renames_nothing() -> None:
    """These keys make sense for one column."""
    with pytest.raises(ManifestError, match="map"):
        manifest.parse(HEAD + NAMED.format(keys="") + '[tables.stays.map]\nHomme = "M"\n', Path("/data"))


def test_whoever_leaves_changes_nothing_of_others(tmp_path: Path) -> None:
    """Each of several persons in turn: what is stored of the others is the same, with all that is computed of it."""
    lines = [f"{who},2000-01-{1 + 5 * who + place:02},{20 * who + place}\n" for who in range(5) for place in range(4)]
    others = "patient\n" + "".join(f"{person}\n" for person in range(6))

    def stored(folder: str, left_out: int | None) -> list[tuple[Any, ...]]:
        kept = [line for line in lines if left_out is None or not line.startswith(f"{left_out},")]
        (tmp_path / folder).mkdir()
        files = {"stays.csv": "patient,day,cost\n" + "".join(kept), "others.csv": others}
        built = build(tmp_path / folder, LATEST.format(how="latest"), files)
        found = rows(
            built.path, "SELECT seen, dear, list_sort(list((day, cost))) FROM stays GROUP BY person, seen, dear"
        )
        return sorted(found, key=repr)

    everybody = stored("all", None)
    assert len(everybody) == 5
    for person in range(5):
        without = stored(f"without-{person}", person)
        assert len(without) == 4
        assert all(one in everybody for one in without)


def test_first_days_of_two_tables_are_compared_as_attributes(tmp_path: Path) -> None:
    """Who had a drug before any diagnosis: both days are computed at import, and a filter compares them."""
    text = """
[person.columns.first_diagnosis]
type = "date"
earliest = "diagnoses.day"
nullable = true
[person.columns.first_drug]
type = "date"
earliest = "drugs.day"
nullable = true
[tables.diagnoses]
source = "diagnoses.csv"
[tables.diagnoses.columns.day]
type = "date"
[tables.drugs]
source = "drugs.csv"
[tables.drugs.columns.day]
type = "date"
"""
    days = {
        "diagnoses.csv": "patient,day\n1,2020-03-01\n1,2020-01-01\n2,2020-05-01\n3,2020-01-01\n",
        "drugs.csv": "patient,day\n1,2020-02-01\n2,2020-04-01\n2,2021-01-01\n4,2020-01-01\n",
    }
    built = build(tmp_path, text, days)
    store = Store(built.path, memory_limit="100MB", threads=1, query_seconds=60)
    try:
        for op, persons in (("<", 1), (">", 1), ("=", 0)):
            where = nodes.Comparison("first_drug", op, nodes.OtherColumn("first_diagnosis"))
            plan = planned(dataset=built.dataset, table="persons", where=where, n=nodes.Count("persons"))
            ((counted,),) = kernel.bound_in_parts(plan, [range(2**31)], store.stream)
            assert counted == persons
    finally:
        store.close()
