"""Import is total and anonymous: whatever a source holds becomes a code, is counted, and leaves no identifier."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import threading
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy import stats

from queries.catalog import manifest, parts
from queries.catalog.codes import code_type
from queries.catalog.schema import PERSONS
from queries.errors import ImportFailed, ManifestError
from queries.store import ingest
from queries.store.reports import ColumnReport
from queries.store.sources import resolve
from tests.laws import tries
from tests.queries.clinic import COLUMNS, TABLE, Event, largest_code
from tests.queries.sources import HEAD, build, clinic_source, clinic_store, rows, silent, write

if TYPE_CHECKING:
    from pathlib import Path

TINY = """
[tables.t]
source = "{source}"
{table}
[tables.t.columns.row]
type = "integer"
bounds = [0, 100000]
[tables.t.columns.v]
{column}
"""
SUFFIXES = ("parquet", "csv", "duckdb")


def csv_text(columns: dict[str, list[Any]]) -> str:
    """Write columns as CSV, None as nothing."""
    quoted = [
        ["" if v is None else '"' + str(v).replace('"', '""') + '"' for v in values] for values in columns.values()
    ]
    return "\n".join([",".join(columns), *map(",".join, zip(*quoted, strict=True))]) + "\n"


def coded(folder: Path, column: str, values: Any, suffix: str = "parquet") -> tuple[list[int], ColumnReport]:
    """Import one column, a person for each value; return the code of each value and what was reported."""
    source = f"source.{suffix}"
    listed = values.to_pylist() if isinstance(values, pa.Array) else list(values)
    columns = {"patient": list(range(len(listed))), "row": list(range(len(listed))), "v": values}
    content = csv_text({**columns, "v": listed}) if suffix == "csv" else pa.table(columns)
    table = 'table = "t"' if suffix == "duckdb" else ""
    built = build(folder, TINY.format(source=source, table=table, column=column), {source: content})
    found = rows(built.path, 'SELECT "row" - 1, v FROM t ORDER BY 1')
    assert [place for place, _ in found] == list(range(len(listed)))
    return [code for _, code in found], built.report.tables["t"].columns["v"]


# Poison in every kind of column


NUMBER = 'type = "number"\nstep = 0.01\nbounds = [-5, 10]\nnullable = true'  # codes 1 to 1501


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_numbers_that_are_none_or_too_large_become_codes(tmp_path: Path, suffix: str) -> None:
    """NaN is nothing, infinities are lost, finite numbers beyond the bounds are clamped, a null is a null and no bound."""
    poison = [None, math.nan, math.inf, -math.inf, 1e300, -1e308, 1.7e308, 5e-324, -0.0, 10.01, -5.01, 10.0, -5.0, 2.34]
    codes, report = coded(tmp_path, NUMBER, poison, suffix)
    assert codes == [0, 0, 0, 0, 1501, 1, 1501, 501, 501, 1501, 1, 1501, 1, 735]
    assert report == ColumnReport(null=1, coerced=2, unknown=0, clamped=5, missing=1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_that_are_no_numbers_are_lost_and_counted(tmp_path: Path, suffix: str) -> None:
    """Text in a column of numbers becomes null; what reads as a number counts as one."""
    poison = ["abc", "1;2", "--1", "1e400", "NaN", "x" * 100_000, "2.34", "1e1", "7e300", "9" * 300, None]
    codes, report = coded(tmp_path, NUMBER, poison, suffix)
    assert codes[:6] == [0, 0, 0, codes[3], 0, 0]
    assert codes[3] in (0, 1501)
    assert codes[6:] == [735, 1501, 1501, 1501, 0]
    assert report == ColumnReport(
        null=1, coerced=4 + (codes[3] == 0), unknown=0, clamped=2 + (codes[3] != 0), missing=1
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_dates_that_do_not_exist_are_lost_and_counted(tmp_path: Path, suffix: str) -> None:
    """Days that no calendar has, infinite ones and text become null; days beyond the bounds are clamped."""
    poison = ["2020-02-30", "2021-02-29", "0000-00-00", "infinity", "-infinity", "soon", "2020-13-01"]
    poison += ["2020-02-29", "2020-01-01", "2020-12-31", "1066-10-14", "9999-12-31"]
    column = 'type = "date"\nbounds = [2020-01-01, 2020-12-31]\nnullable = true'
    codes, report = coded(tmp_path, column, [*poison, None], suffix)
    assert codes == [0, 0, 0, 0, 0, 0, 0, 60, 1, 366, 1, 366, 0]
    assert report == ColumnReport(null=1, coerced=7, unknown=0, clamped=2)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_day_count_as_their_day(tmp_path: Path, unit: str) -> None:
    """A timestamp of any precision falls on its date, and one outside the bounds is clamped."""
    values = pa.array(
        [dt.datetime(2020, 3, 1, 23, 59, 59), dt.datetime(2020, 3, 2), dt.datetime(1999, 1, 1), None],  # noqa: DTZ001
        pa.timestamp(unit),
    )
    codes, report = coded(tmp_path, 'type = "date"\nbounds = [2020-03-01, 2020-12-31]', values)
    assert codes == [1, 2, 1, 0]
    assert report == ColumnReport(null=1, coerced=0, unknown=0, clamped=1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_that_are_no_declared_category_are_unknown(tmp_path: Path, suffix: str) -> None:
    """A text that is no declared one, but for blanks around it, becomes null and is unknown, quotes and SQL too."""
    values = ["female", "male", "Female", "female ", "'; DROP TABLE t; --", 'say "x"', "it's", "x" * 1_000_000, None]
    column = """type = "category"\nvalues = ["female", "it's", "male", "say \\"x\\""]\nnullable = true"""
    codes, report = coded(tmp_path, column, values, suffix)
    assert codes == [1, 3, 0, 1, 0, 4, 2, 0, 0]
    assert report == ColumnReport(null=1, coerced=0, unknown=3, clamped=0)


def test_an_empty_text_is_a_value_only_if_it_was_declared(tmp_path: Path) -> None:
    """An empty text in Parquet is no null: it is a category of its own, or nothing."""
    assert coded(tmp_path, 'type = "category"\nvalues = ["a", ""]', ["", "a", None]) == (
        [2, 1, 0],
        ColumnReport(1, 0, 0, 0),
    )
    assert coded(tmp_path, 'type = "category"\nvalues = ["a"]', ["", "a", None]) == (
        [0, 1, 0],
        ColumnReport(1, 0, 0, 0, missing=1),
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_words_for_true_and_false_are_read_and_others_lost(tmp_path: Path, suffix: str) -> None:
    """The usual spellings count, in either case and with blanks around; anything else becomes null."""
    words = [
        "true",
        "TRUE",
        " t ",
        "yes",
        "Y",
        "1",
        "1.0",
        "false",
        "F",
        "no",
        "n",
        "0",
        "0.0",
        "maybe",
        "2",
        "-1",
        None,
    ]
    codes, report = coded(tmp_path, 'type = "boolean"\nnullable = true', words, suffix)
    assert codes == [2] * 7 + [1] * 6 + [0] * 4
    assert report == ColumnReport(null=1, coerced=3, unknown=0, clamped=0)


def test_real_booleans_and_numbers_are_booleans(tmp_path: Path) -> None:
    """A boolean column of the source, and one of 0 and 1, in whole or floating numbers."""
    column = 'type = "boolean"\nnullable = true'
    assert coded(tmp_path, column, [True, False, None])[0] == [2, 1, 0]
    assert coded(tmp_path, column, [1, 0, 2, None])[0] == [2, 1, 0, 0]
    assert coded(tmp_path, column, [1.0, 0.0, math.nan, None])[0] == [2, 1, 0, 0]


@pytest.mark.parametrize("column", [NUMBER, 'type = "date"', 'type = "boolean"', 'type = "category"\nvalues = ["a"]'])
def test_nested_and_binary_values_are_lost_like_any_other(tmp_path: Path, column: str) -> None:
    """Lists, structs and bytes are no reason to fail."""
    for values in (pa.array([[1, 2], None]), pa.array([{"a": 1}, None]), pa.array([b"\xff\x00", None])):
        codes, report = coded(tmp_path, column, values)
        assert codes == [0, 0]
        assert (report.null, report.coerced + report.unknown) == (1, 1)


WHOLE: list[tuple[pa.DataType, int, int]] = [
    (pa.int8(), -128, 127),
    (pa.uint8(), 0, 255),
    (pa.int16(), -(2**15), 2**15 - 1),
    (pa.uint16(), 0, 2**16 - 1),
    (pa.int32(), -(2**31), 2**31 - 1),
    (pa.uint32(), 0, 2**32 - 1),
    (pa.int64(), -(2**63), 2**63 - 1),
    (pa.uint64(), 0, 2**64 - 1),
]


@pytest.mark.parametrize(("source", "least", "most"), WHOLE, ids=lambda value: str(value))
@pytest.mark.parametrize(
    "bounds", [(0, 10), (-1, 300), (-(2**35), 2**35), *tries((), audited=((-128, 127), (0, 100_000), (0, 2**35)))]
)
def test_whole_numbers_at_the_ends_of_their_type_are_coded(
    tmp_path: Path, source: pa.DataType, least: int, most: int, bounds: tuple[int, int]
) -> None:
    """No source type overflows on its way to a code, whatever the declared bounds."""
    low, high = bounds
    values = [least, most, min(max(7, least), most), None]
    codes, report = coded(tmp_path, f'type = "integer"\nbounds = [{low}, {high}]', pa.array(values, source))
    assert codes == [0 if v is None else min(max(v, low), high) - low + 1 for v in values]
    assert report.clamped == sum(v is not None and not low <= v <= high for v in values)


@pytest.mark.parametrize("step", ["0.01", "0.1", "0.25", "0.001", "3", "0.07"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_every_declared_number_keeps_its_own_code(tmp_path: Path, step: str, suffix: str) -> None:
    """Each whole multiple of the step, as a double or as text, becomes exactly its own code."""
    units = range(-2_000, 2_001)
    low, high = Decimal(step) * units[0], Decimal(step) * units[-1]
    column = f'type = "number"\nstep = {step}\nbounds = [{low}, {high}]'
    codes, report = coded(tmp_path, column, [float(Decimal(step) * unit) for unit in units], suffix)
    assert codes == list(range(1, len(units) + 1))
    assert report == ColumnReport(0, 0, 0, 0)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats() | st.floats(-6, 11) | st.none(), min_size=1, max_size=60))
@example([9.995, 10.004, 10.006, -5.004, 1e16, 2.0**63, -(2.0**64)])
def test_any_double_becomes_the_nearest_declared_number(tmp_path: Path, values: list[float | None]) -> None:
    """Import never fails: in bounds the code is the nearest step, beyond them the bound, and 0 for what is none."""
    codes, report = coded(tmp_path, NUMBER, pa.array(values, pa.float64()))
    assert report.null == sum(v is None for v in values)
    assert report.coerced == sum(v is not None and math.isinf(v) for v in values)
    assert report.missing == sum(v is not None and math.isnan(v) for v in values)
    for value, code in zip(values, codes, strict=True):
        if value is None or not math.isfinite(value):
            assert code == 0
        else:
            label = (code - 1) * 0.01 - 5
            assert 1 <= code <= 1501
            assert abs(label - min(max(value, -5.0), 10.0)) <= 0.005 + 1e-9


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=12) | st.none(), min_size=1, max_size=60))
def test_any_text_imports_into_every_kind_of_column(tmp_path: Path, values: list[str | None]) -> None:
    """Whatever people typed, every column gets a code for every row and the report accounts for every value."""
    column = 'type = "category"\nvalues = ["0"]'
    for declared in (column, NUMBER, 'type = "boolean"', 'type = "date"', 'type = "integer"\nbounds = [0, 9]'):
        codes, report = coded(tmp_path, declared, pa.array(values, pa.string()))
        assert report.null == values.count(None)
        assert codes.count(0) == report.null + report.coerced + report.unknown + report.missing


# Malformed files


def test_malformed_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    """Lines with too few or too many fields, or text after a closing quote, cost themselves and nothing else."""
    text = 'patient,row,v\n1,0,5\n2,1\n3,2,7,9\n4,3,8\n5,4,"1"x\n6,5,9\n'
    built = build(
        tmp_path, TINY.format(source="s.csv", table="", column='type = "integer"\nbounds = [0, 9]'), {"s.csv": text}
    )
    assert rows(built.path, 'SELECT "row" - 1, v - 1 FROM t ORDER BY 1') == [(0, 5), (3, 8), (5, 9)]
    assert (built.report.tables["t"].malformed, built.report.tables["t"].kept) == (3, 3)


@pytest.mark.parametrize(
    ("line", "readable"),
    [
        ('2,1,"5"x', 2),
        ("2,1," + "x" * 10_000_000, 2),
    ],
    ids=["text after a quote", "huge text"],
)
def test_a_poisoned_first_line_does_not_stop_an_import(tmp_path: Path, line: str, readable: int) -> None:
    """One person's line must not decide whether the dataset can be imported."""
    text = f"patient,row,v\n1,0,5\n{line}\n3,2,7\n"
    built = build(
        tmp_path, TINY.format(source="s.csv", table="", column='type = "integer"\nbounds = [0, 9]'), {"s.csv": text}
    )
    assert len(rows(built.path, "SELECT v FROM t WHERE v > 0")) >= readable


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'patient,row,v\n1,0,5\n2,1,"5\n3,2,7\n', r"^s\.csv, line 3: a quote opens here and is never closed"),
        (b"patient,row,v\n1,0,5\n2,1,\xf6\n3,2,7\n", r"^s\.csv, line 3: not UTF-8"),
    ],
)
def test_what_may_remove_other_persons_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """A stray quote and bytes of another encoding stop an import with their place."""
    with pytest.raises(ImportFailed, match=reason):
        build(tmp_path, TINY.format(source="s.csv", table="", column='type = "category"'), {"s.csv": content})


def test_another_encoding_is_read_when_declared(tmp_path: Path) -> None:
    """Whoever lives in Köln is there, in each of the encodings that a manifest can name."""
    for encoding in ("utf-8", "cp1252", "latin-1", "utf-16"):
        column = 'type = "category"\nvalues = ["Köln"]'
        text = TINY.format(source="s.csv", table=f'encoding = "{encoding}"', column=column)
        built = build(tmp_path, text, {"s.csv": "patient,row,v\r\n1,0,Köln\n2,1,Bern\r".encode(encoding)})
        assert rows(built.path, "SELECT v FROM t ORDER BY row") == [(1,), (0,)]


# Columns whose names clash


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("names", [("v", "V"), ("V", "v"), ("v", "v"), (" v", "V ")])
def test_a_declared_column_that_is_ambiguous_is_refused(tmp_path: Path, suffix: str, names: tuple[str, str]) -> None:
    """Columns whose names are the same but for case and blanks: which is meant would be a guess, so both are named."""
    source = f"s.{suffix}"
    columns = [("patient", [1]), ("row", [0]), (names[0], [2]), (names[1], [3])]
    content: Any = pa.Table.from_arrays([pa.array(v) for _, v in columns], [n for n, _ in columns])
    if suffix == "csv":
        content = ",".join(n for n, _ in columns) + "\n1,0,2,3\n"
    text = TINY.format(source=source, table="", column='type = "integer"\nbounds = [0, 9]')
    with pytest.raises(
        ManifestError, match=rf"^tables\.t\.columns\.v: is ambiguous: .*{names[0].strip()} and {names[1].strip()},"
    ):
        build(tmp_path, text, {source: content})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_that_nobody_declared_may_clash(tmp_path: Path, suffix: str) -> None:
    """Columns without a name, repeated ones and ones that differ in case do not matter unless they are wanted."""
    names = ["", "x", "patient", "X", "x", "row", "", "v", "X_1", "c"]
    source = f"s.{suffix}"
    content: Any = pa.Table.from_arrays([pa.array([place, 90 + place]) for place in range(len(names))], names)
    if suffix == "parquet":
        nested = pa.array([{"v": 1, "w": [{"v": 2}]}] * 2)
        content = content.add_column(3, "deep", nested)
    else:
        content = "\n".join([",".join(names), *(",".join(str(n + at) for at in range(10)) for n in (0, 90))])
    text = TINY.format(source=source, table="", column='type = "integer"\nbounds = [0, 99]')
    text += '[tables.t.columns.w]\nfrom = "X_1"\ntype = "integer"\nbounds = [0, 99]'
    built = build(tmp_path, text, {source: content})
    assert rows(built.path, 'SELECT "row" - 1, v - 1, w - 1 FROM t ORDER BY 1') == [(5, 7, 8), (95, 97, 98)]


def test_no_dialect_is_guessed_from_the_data(tmp_path: Path) -> None:
    """Lines that look like comments, other delimiters or another header are values like all others."""
    lines = ["patient,row,v", "1,0,#a", "2,1,a;b;c", "#3,2,a|b", "4,3,'q'", "5,4,2020-01-01", "6,5, x "]
    built = build(
        tmp_path, TINY.format(source="s.csv", table="", column='type = "category"'), {"s.csv": "\n".join(lines) + "\n"}
    )
    found = rows(built.path, 'SELECT t."row" - 1, d.value FROM t JOIN "t.v" d ON d.code = t.v ORDER BY 1')
    assert found == [(0, "#a"), (1, "a;b;c"), (2, "a|b"), (3, "'q'"), (4, "2020-01-01"), (5, "x")]
    assert built.report.tables["t"].malformed == 0


def test_another_delimiter_is_used_when_declared(tmp_path: Path) -> None:
    """A semicolon separates when the manifest says so."""
    text = TINY.format(source="s.csv", table='delimiter = ";"', column='type = "category"\nvalues = ["a,b"]')
    built = build(tmp_path, text, {"s.csv": "patient;row;v\n1;0;a,b\n"})
    assert rows(built.path, "SELECT v FROM t") == [(1,)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_source_without_rows_imports_as_an_empty_dataset(tmp_path: Path, suffix: str) -> None:
    """No rows are no error: a study of nobody has a store, and a report of zeros."""
    codes, report = coded(tmp_path, NUMBER, pa.array([], pa.float64()), suffix)
    assert codes == []
    assert report == ColumnReport(0, 0, 0, 0)


def test_an_unreadable_source_is_refused(tmp_path: Path) -> None:
    """A file that is not what its name says fails the import, as does one that is not there."""
    text = TINY.format(source="s.parquet", table="", column=NUMBER)
    with pytest.raises(ImportFailed):
        build(tmp_path, text, {"s.parquet": b"PAR1 this is no Parquet file PAR1"})
    with pytest.raises(ManifestError, match=r"^tables\.t\.source: there is no file"):
        build(tmp_path, TINY.format(source="gone.parquet", table="", column=NUMBER), {})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (TINY.format(source="s.csv", table="", column='from = "w"\ntype = "boolean"'), "tables.t.columns.v"),
        (TINY.format(source="s.csv", table='person = "nobody"', column='type = "boolean"'), "tables.t.person"),
        (
            TINY.format(source="s.csv", table="", column='type = "boolean"') + '[person.columns.sex]\ntype = "boolean"',
            "person.columns.sex",
        ),
    ],
)
def test_a_source_without_a_declared_column_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    """The manifest's place that names a column which the source lacks is named, before anything is imported."""
    with pytest.raises(ManifestError) as refused:
        build(tmp_path, text, {"s.csv": "patient,row,v\n1,0,1\n"})
    assert refused.value.place == place


# Names


TROUBLE = ["id", "n", "a", "s", "p", "attributes", "code", "value", "digest", "numbers", "__id", "__code", "__value"]


@pytest.mark.parametrize("name", [*TROUBLE, "select", "t", "store", "persons", "row"])
def test_a_person_column_may_have_any_name_that_the_manifest_accepts(tmp_path: Path, name: str) -> None:
    """No name that the import uses itself gets in the way of an attribute, nor puts an identifier in its place."""
    text = f'[person.columns.{name}]\ntype = "category"\nvalues = ["f", "m"]\n[tables.t]\nsource = "s.parquet"'
    source = pa.table({"patient": [777_777, 888_888, 888_888], name: ["m", "f", "f"]})
    built = build(tmp_path, text, {"s.parquet": source})
    assert rows(built.path, f'SELECT "{name}", count(*) FROM t GROUP BY 1 ORDER BY 1') == [(1, 2), (2, 1)]
    assert rows(built.path, f'SELECT "{name}", count(*) FROM persons GROUP BY 1 ORDER BY 1') == [(1, 1), (2, 1)]


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        *(("parquet", name) for name in (*TROUBLE, "__row", "sex", "person", "t", "file_row_number", "filename")),
        *(("csv", name) for name in ("__row", "select", "line", "file_id")),
        *(("duckdb", name) for name in ("__row", "rowid")),
    ],
)
def test_a_source_column_may_have_any_name(tmp_path: Path, name: str, suffix: str) -> None:
    """No name of a source's column clashes with the import's own names or with a person's attribute."""
    table = 'table = "t"' if suffix == "duckdb" else ""
    text = f"""
    [person]
    id = "patient"
    source = "people.parquet"
    [person.columns.sex]
    type = "boolean"
    [tables.t]
    source = "s.{suffix}"
    {table}
    [tables.t.columns.declared]
    from = "{name}"
    type = "category"
    values = ["x", "y"]
    [tables.t.columns.undeclared]
    from = "{name}"
    type = "category"
    """
    columns = {"patient": ["1", "2", "2"], name: ["x", "y", "y"]}
    sources = {
        f"s.{suffix}": csv_text(columns) if suffix == "csv" else pa.table(columns),
        "people.parquet": pa.table({"patient": ["1", "2"], "sex": [True, False]}),
    }
    built = build(tmp_path, text, sources, head=HEAD.split("[person]")[0])
    joined = (
        'SELECT sex, declared, value, count(*) FROM t JOIN "t.undeclared" ON code = undeclared GROUP BY ALL ORDER BY 1'
    )
    assert rows(built.path, joined) == [(1, 2, "y", 2), (2, 1, "x", 1)]


# Persons


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Import persons with attributes, some without events, and events of which some have no person."""
    persons = pa.table(
        {
            "patient": ["alice-6d1f", "bob-93ac", "carol-77e0", "dave-01b2", None, "alice-6d1f"],
            "sex": ["f", "m", "f", None, "m", "m"],
        }
    )
    who = ["alice-6d1f"] * 400 + ["bob-93ac"] * 3 + ["erin-5ad9"] + [None] * 2
    events = pa.table({"patient": who[::-1], "number": range(len(who))})
    text = """
    [person]
    id = "patient"
    source = "people.parquet"
    [person.columns.sex]
    type = "category"
    values = ["f", "m"]
    nullable = true
    [tables.events]
    source = "events.parquet"
    [tables.events.columns.number]
    type = "integer"
    bounds = [0, 1000]
    """
    folder = tmp_path_factory.mktemp("people")
    sources = {"people.parquet": persons, "events.parquet": events}
    return [build(folder, text, sources, head=HEAD.split("[person]")[0]) for _ in range(8)]


def test_persons_have_dense_numbers_and_one_row_each(people: Any) -> None:
    """The persons table has each person of any source once, numbered from 0, those without events included."""
    for built in people:
        assert rows(built.path, "SELECT person FROM persons") == [(0,), (1,), (2,), (3,), (4,)]
        assert built.report.persons == 5


def test_the_first_row_of_a_person_decides_their_attributes(people: Any) -> None:
    """A second row of a person changes nothing, a person without a row has null, and no row counts for no person."""
    for built in people:
        assert rows(built.path, "SELECT sex, count(*) FROM persons GROUP BY 1 ORDER BY 1") == [(0, 2), (1, 2), (2, 1)]


def test_attributes_are_repeated_on_every_event(people: Any) -> None:
    """Every event carries its person's attributes, as the persons table has them."""
    for built in people:
        assert rows(built.path, "SELECT count(*) FROM events e JOIN persons p USING (person, sex)") == [(404,)]


def test_events_without_a_person_are_left_out_and_counted(people: Any) -> None:
    """An event with a null identifier belongs to nobody."""
    for built in people:
        report = built.report.tables["events"]
        assert (report.rows, report.kept, report.without_person) == (406, 404, 2)


def test_events_stand_in_person_order_and_shuffled_within_a_person(people: Any) -> None:
    """Person numbers never fall, and a person's events are in an order that differs from import to import."""
    orders = set()
    for built in people:
        stored = rows(built.path, "SELECT person, number FROM events")
        assert [person for person, _ in stored] == sorted(person for person, _ in stored)
        heavy = tuple(number for person, number in stored if number - 1 >= 6)
        assert sorted(heavy) == list(range(7, 407))
        assert heavy != tuple(sorted(heavy))
        orders.add(heavy)
    assert len(orders) == len(people)


@pytest.mark.parametrize("sorted_by", ["person", "event"])
def test_every_order_of_a_persons_events_is_as_likely(tmp_path: Path, sorted_by: str) -> None:
    """Of 6,000 persons with three events each, each of the six orders is had by about 1,000, however the file is sorted."""
    persons = 6_000
    pairs = [(person, number) for person in range(persons) for number in (1, 2, 3)]
    if sorted_by == "event":
        pairs.sort(key=lambda pair: pair[1])
    columns = {"patient": [p for p, _ in pairs], "row": [number for _, number in pairs], "v": [1] * len(pairs)}
    column = 'type = "integer"\nbounds = [0, 9]'
    built = build(tmp_path, TINY.format(source="s.parquet", table="", column=column), {"s.parquet": pa.table(columns)})
    numbers = [number for (number,) in rows(built.path, 'SELECT "row" - 1 FROM t')]
    orders = Counter(tuple(numbers[start : start + 3]) for start in range(0, 3 * persons, 3))
    assert set(orders) == set(itertools.permutations((1, 2, 3)))
    assert stats.chisquare(list(orders.values())).pvalue > 1e-9


def test_rows_draw_numbers_that_do_not_tie() -> None:
    """DuckDB's random numbers are fine enough: of 400,000 none comes twice (32 bits would repeat some 18)."""
    with duckdb.connect() as connection:
        ((different,),) = connection.execute("SELECT count(DISTINCT random()) FROM range(400_000)").fetchall()
    assert different == 400_000


def test_the_numbers_of_persons_are_secret(people: Any) -> None:
    """Who has which number differs from import to import and does not follow the identifiers."""
    numbers = {
        rows(built.path, "SELECT first(person) FROM events GROUP BY person ORDER BY count(*)")[-1] for built in people
    }
    assert len(numbers) > 1


def test_the_codes_of_undeclared_texts_are_secret(tmp_path: Path) -> None:
    """The numbers that undeclared texts get follow neither their order in the source nor in the alphabet."""
    texts = [f"text {number:03}" for number in range(200)]
    built = build(
        tmp_path,
        '[tables.t]\nsource = "t.parquet"\n[tables.t.columns.code]\ntype = "category"',
        {"t.parquet": pa.table({"patient": list(range(200)), "code": texts})},
    )
    kept = (
        'SELECT value FROM "t.code" WHERE value IS NOT NULL ORDER BY code'  # others stand for texts that are not there
    )
    found = [text for (text,) in rows(built.path, kept)]
    assert sorted(found) == texts
    assert found != texts


def test_no_identifier_is_in_the_store(people: Any) -> None:
    """Neither the bytes of the edition nor its tables hold anything that names a person."""
    for built in people:
        files = [file for file in built.path.parent.rglob("*") if file.is_file()]
        assert {file.name for file in files} == {parts.WHOLE, parts.FILE, ingest.MANIFEST}
        for file in files:
            content = file.read_bytes()
            assert not any(secret in content for secret in (b"-6d1f", b"-93ac", b"-77e0", b"-01b2", b"-5ad9", b"alice"))
        columns = rows(built.path, "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal")
        assert set(columns) == {
            (parts.MARK, "list", "VARCHAR"),
            (parts.MARK, "number", "INTEGER"),
            ("persons", "person", "INTEGER"),
            ("persons", "sex", "UTINYINT"),
            ("persons", "#events", "UINTEGER"),
            ("events", "person", "INTEGER"),
            ("events", "sex", "UTINYINT"),
            ("events", "number", "USMALLINT"),
        }


def test_whole_number_identifiers_are_not_in_the_store(tmp_path: Path) -> None:
    """No cell of the store holds an identifier, whatever the column is called."""
    ids = [10**15 + 7, 10**15 + 9, 10**15 + 7]
    text = TINY.format(source="s.parquet", table="", column='type = "boolean"')
    built = build(tmp_path, text, {"s.parquet": pa.table({"patient": ids, "row": [0, 1, 2], "v": [True] * 3})})
    for (table,) in rows(built.path, "SELECT table_name FROM duckdb_tables()"):
        for row in rows(built.path, f'SELECT * FROM "{table}"'):
            assert not set(row) & set(ids)
    raw = built.path.read_bytes()
    assert not any(identifier.to_bytes(8, "little") in raw for identifier in ids)


def test_a_text_that_is_kept_is_found_in_the_bytes(tmp_path: Path) -> None:
    """The search for identifiers has power: a text of an undeclared category, which is kept, is found that way."""
    text = TINY.format(source="s.parquet", table="", column='type = "category"')
    source = pa.table({"patient": ["a", "b"], "row": [0, 1], "v": ["kept-6d1f", "kept-93ac"]})
    raw = build(tmp_path, text, {"s.parquet": source}).path.read_bytes()
    assert b"kept-6d1f" in raw
    assert b"kept-93ac" in raw


def test_identifiers_of_two_sources_meet_when_spelled_alike(tmp_path: Path) -> None:
    """A person is one person over all tables, whatever whole-number type each source uses."""
    text = '[tables.a]\nsource = "a.parquet"\n[tables.b]\nsource = "b.csv"\n[tables.c]\nsource = "c.parquet"'
    sources = {
        "a.parquet": pa.table({"patient": pa.array([1, 2], pa.int8())}),
        "b.csv": "patient\n2\n3\n",
        "c.parquet": pa.table({"patient": pa.array([3, 1], pa.int64())}),
    }
    assert build(tmp_path, text, sources).report.persons == 3


def test_more_persons_than_declared_fail_the_import(tmp_path: Path) -> None:
    """Overflow proofs stand on persons_max: one person more is refused, exactly as many are not."""
    head = HEAD.replace("100000", "3")
    text = TINY.format(source="s.parquet", table="", column='type = "boolean"')

    def source(persons: int) -> pa.Table:
        return pa.table({"patient": range(persons), "row": [0] * persons, "v": [True] * persons})

    assert build(tmp_path, text, {"s.parquet": source(3)}, head=head).report.persons == 3
    with pytest.raises(ImportFailed, match="hold 4 persons, more than persons_max = 3"):
        build(tmp_path, text, {"s.parquet": source(4)}, head=head)


@pytest.mark.parametrize("at", range(6))
def test_an_interrupted_import_leaves_no_identifiers_behind(tmp_path: Path, at: int) -> None:
    """Whenever Ctrl-C comes, the staging files that tie identifiers to numbers are gone."""
    write(tmp_path / "s.parquet", pa.table({"patient": ["alice-6d1f"], "row": [0], "v": [True]}))
    declared = manifest.parse(HEAD + TINY.format(source="s.parquet", table="", column='type = "boolean"'), tmp_path)
    made = tmp_path / "edition"
    made.mkdir()
    steps = 0

    def interrupt(_what: str, _done: float) -> None:
        nonlocal steps
        if threading.current_thread() is not threading.main_thread():
            return  # on a busy machine a step takes long enough to be watched
        if steps == at:
            raise KeyboardInterrupt
        steps += 1

    with pytest.raises(KeyboardInterrupt):
        ingest.build(declared, made, memory_limit="200MB", threads=1, progress=interrupt)
    left = [file for file in made.rglob("*") if file.is_file()]
    assert {file.name for file in left} <= {parts.WHOLE, f"{parts.WHOLE}.wal"}
    assert not any(b"alice-6d1f" in file.read_bytes() for file in left)


def test_progress_is_reported_for_every_step(tmp_path: Path) -> None:
    """Each step begins at 0 and ends at 1, and none reports anything outside."""
    seen: list[tuple[str, float]] = []
    write(tmp_path / "s.csv", "patient,row,v\n1,0,1\n")
    declared = manifest.parse(HEAD + TINY.format(source="s.csv", table="", column='type = "boolean"'), tmp_path)
    made = tmp_path / "edition"
    made.mkdir()
    ingest.build(declared, made, memory_limit="200MB", threads=1, progress=lambda what, done: seen.append((what, done)))
    steps = list(dict.fromkeys(what for what, _ in seen))
    assert steps[0] == "reading s.csv"
    assert all(0 <= done <= 1 for _, done in seen)
    for step in steps:
        of_step = [done for what, done in seen if what == step]
        assert (of_step[0], of_step[-1]) == (0, 1)


# The store as a whole


def test_the_store_holds_each_code_in_its_smallest_type(tmp_path: Path) -> None:
    """The store's column types are the ones the kernel is compiled for, and every event keeps its codes."""
    events = [Event(person, (1, 2, *(largest_code(TABLE.columns[n]) for n in COLUMNS[2:]))) for person in range(3)]
    built = clinic_store(tmp_path, events)
    types = dict(rows(built, "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'visits'"))
    assert types == {"person": "INTEGER", **{name: code_type(column) for name, column in TABLE.columns.items()}}
    assert set(types.values()) == {"INTEGER", "UTINYINT", "USMALLINT", "UINTEGER", "BIGINT"}
    stored = rows(built, f"SELECT {', '.join(COLUMNS)} FROM visits")
    place = COLUMNS.index("diagnosis")
    expected = list(events[0].codes)
    ((expected[place],),) = rows(built, 'SELECT code FROM "visits.diagnosis" WHERE value IS NOT NULL')
    assert stored == [tuple(expected)] * 3


def test_two_imports_hold_the_same_events(tmp_path: Path) -> None:
    """The secret order changes nothing else: as a bag of codes two imports are equal."""
    events = [Event(p, (1, 3, p % 4, 1, 0, p % 5, 9 * p, 77 * p, 2, 10 * p)) for p in range(20) for _ in range(p % 3)]
    for suffix in ("one", "two"):
        (tmp_path / suffix).mkdir()
    one, two = (clinic_store(tmp_path / suffix, events) for suffix in ("one", "two"))
    sql = f"SELECT {', '.join(COLUMNS)}, count(*) FROM visits GROUP BY ALL ORDER BY ALL"
    assert rows(one, sql) == rows(two, sql)
    assert sum(row[-1] for row in rows(one, sql)) == len(events)


def test_every_number_of_threads_makes_a_store_in_person_order(tmp_path: Path) -> None:
    """A sort over several row groups leaves persons in order, with one thread and with many."""
    size = 300_000
    text = TINY.format(source="s.parquet", table="", column='type = "boolean"')
    source = pa.table({"patient": [7919 * i % 1009 for i in range(size)], "row": [0] * size, "v": [True] * size})
    for threads in (1, 4):
        built = build(tmp_path, text, {"s.parquet": source}, threads=threads)
        assert built.report.tables[PERSONS].kept == 1009
        ((falls, kept),) = rows(
            built.path,
            "SELECT count_if(person < before), count(*) FROM (SELECT person, lag(person) OVER () AS before FROM t)",
        )
        assert (falls, kept) == (0, size)


def test_how_codes_lie_follows_from_their_types(tmp_path: Path) -> None:
    """Runs of equal values are not stored as runs, although they would take less room."""
    people = [n // 1000 for n in range(40_000)]
    source = pa.table({"patient": people, "row": people, "v": [person % 2 == 0 for person in people]})
    text = TINY.format(source="s.parquet", table="", column='type = "boolean"')
    built = build(tmp_path, text, {"s.parquet": source})
    found = rows(
        built.path,
        "SELECT DISTINCT column_name, compression FROM pragma_storage_info('t') WHERE segment_type <> 'VALIDITY'",
    )
    assert set(found) == {("person", "BitPacking"), ("row", "BitPacking"), ("v", "Uncompressed")}


def test_each_person_has_their_number_of_events_in_each_table(tmp_path: Path) -> None:
    """Several spellings of an id are one person, whose events are counted together."""
    ids = ["7", "7 ", "8", "8", "8", " 9", None]
    source = pa.table({"patient": ids, "row": [0] * 7, "v": [True] * 7})
    text = TINY.format(source="s.parquet", table="", column='type = "boolean"')
    built = build(tmp_path, text, {"s.parquet": source})
    assert sorted(rows(built.path, 'SELECT "#t" FROM persons')) == [(1,), (2,), (3,)]
    own = "SELECT count(*) FROM t WHERE t.person = persons.person"
    assert rows(built.path, f'SELECT count(*) FROM persons WHERE "#t" <> ({own})') == [(0,)]


def test_a_store_is_not_made_of_a_folder_in_use(tmp_path: Path) -> None:
    """An import does not start in a folder where another one left its staging."""
    declared = manifest.parse(HEAD + TINY.format(source="s.csv", table="", column='type = "boolean"'), tmp_path)
    (tmp_path / "staging").mkdir()
    with pytest.raises(FileExistsError):
        ingest.build(declared, tmp_path, memory_limit="200MB", threads=1, progress=silent)


def test_clinic_sources_round_trip() -> None:
    """The tests' own writer gives every code a value of its own."""
    table = clinic_source([Event(0, (1, 0, 2, 4, 3, 10, 1, 2, 2, 1))])
    assert table.to_pylist() == [
        {
            "patient": "patient-0",
            "sex": "female",
            "birth_year": None,
            "region": "east",
            "unit": "D",
            "diagnosis": "text 3",
            "visits": 9,
            "balance": -100.0,
            "wide": -(2.0**33) + 1,
            "urgent": True,
            "day": dt.date(2020, 1, 15),
        }
    ]


@pytest.mark.parametrize(("columns", "hint"), [(["id;cost"], '";"'), (["id\tcost"], r'"\t"'), (["id", "a;b"], None)])
def test_forgotten_delimiter_is_guessed_in_the_refusal(columns: list[str], hint: str | None) -> None:
    """A file with semicolons that was read with commas has one long column: the refusal says what to write."""
    with pytest.raises(ManifestError) as refused:
        resolve(columns, {"cost": "tables.visits"})
    assert (f"write delimiter = {hint}" in str(refused.value)) == (hint is not None)
