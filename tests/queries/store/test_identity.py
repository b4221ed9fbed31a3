"""One person is one person: an id is its value, whatever column, type, source and spelling it stands in."""

from __future__ import annotations

import math
import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from queries.catalog.formats import MISSING_IDS, Identity
from queries.errors import ImportFailed, ManifestError
from queries.store import identity, persons
from queries.store.identity import BLANKS
from tests.queries.sources import Built, build, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HEAD = """
[dataset]
name = "c"
epsilon = 10.0
persons_max = 100000
[person]
"""
ONE = Identity(("id",))
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,18})?")
EXACT = Context(prec=10_000, Emax=MAX_EMAX, Emin=MIN_EMIN)


def normal(number: Decimal) -> str:
    """Return a number's one spelling, as docs/manifest.md describes it, in plain Python."""
    sign, digits, exponent = EXACT.normalize(number).as_tuple()
    assert isinstance(exponent, int)
    if not any(digits):
        return "0"
    text = "".join(map(str, digits))
    minus = "-" * sign
    if max(len(text) + exponent, len(text), -exponent) > 400:
        return f"{minus}{text}e{exponent}"
    return minus + format(Decimal((0, digits, exponent)), "f")


def canonical(value: Any, id_type: str | None = None, missing: Sequence[str] = MISSING_IDS) -> str | None:
    """Return the canonical form of a value as pyarrow or Python gives it, None if it is no id."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        written = value.strip(BLANKS)
        if not written or written.lower() in {word.lower() for word in missing}:
            return None
        if id_type == "text" or not NUMBER.fullmatch(written):
            return written
        number = EXACT.create_decimal(written)
        return normal(number) if id_type == "number" or number == number.to_integral_value(context=EXACT) else written
    return normal(Decimal(repr(value)) if isinstance(value, float) else Decimal(value))


@pytest.fixture(scope="module")
def forms() -> Iterator[Any]:
    """Return canonical forms as the import computes them, of a column of any type."""
    with duckdb.connect() as connection:

        def run(sql: str) -> list[tuple[Any, ...]]:
            return connection.execute(sql).fetchall()

        def computed(values: pa.Array | str, declared: Identity = ONE) -> list[str | None]:
            if isinstance(values, str):
                run(f"CREATE OR REPLACE TEMP TABLE source AS SELECT row_number() OVER () AS place, id FROM ({values})")
            else:
                table = pa.table({"place": range(len(values)), "id": values})
                connection.register("given", table)
                run("CREATE OR REPLACE TEMP TABLE source AS SELECT * FROM given")
            ((kind,),) = run("SELECT column_type FROM (DESCRIBE source) WHERE column_name = 'id'")
            one = identity.part(0, "id", kind, declared)
            nothing = [word for (word,) in run(identity.words_for_nothing(declared))]
            grouped = f"SELECT place, {one.raw} AS {one.key} FROM source"
            found = run(f'SELECT "#id" FROM ({identity.identified(grouped, [one], nothing)}) ORDER BY place')
            return [form for (form,) in found]

        yield computed


SEVENS = ["7", "7.0", "0007", "7e0", "+7", "7.", "70e-1", ".7e1", " 7\t", "\u00a07\r\n", "\ufeff7", "7.000", "0.07E+2"]


def test_every_spelling_and_type_of_a_number_is_that_number(forms: Any) -> None:
    """Seven is 7 as a text in any spelling and as a number of any type; minus nought is nought."""
    assert set(forms(pa.array(SEVENS))) == {"7"}
    assert set(forms(pa.array([text.encode() for text in SEVENS], pa.binary()))) == {"7"}
    whole = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
    for kind in (*whole, pa.float32(), pa.float64()):
        assert forms(pa.array([7, 0, None], kind)) == ["7", "0", None]
    for kind in ("HUGEINT", "UHUGEINT", "BIGNUM", "DECIMAL(9,0)", "DECIMAL(9,3)", "DECIMAL(38,10)"):
        assert forms(f"SELECT unnest([7::{kind}, 0::{kind}, NULL]) AS id") == ["7", "0", None]
    assert set(forms(pa.array([-0.0, 0.0]))) == set(forms(pa.array(["-0", "00", "-0.0", "0e9999"]))) == {"0"}
    assert set(forms("SELECT unnest(['007', '7.0'])::ENUM('007', '7.0') AS id")) == {"7"}


def test_everything_else_is_its_text(forms: Any) -> None:
    """Texts stay as they are, but for blanks around them; dates, days as timestamps, booleans and UUIDs are theirs."""
    texts = ["12.10", "12.1", "7,0", "1_000", "0x7", "7-", "- 7", "e5", ".", "\u0667", "A 7", "a", "A", "1e" + "9" * 19]
    assert forms(pa.array(texts)) == texts
    assert forms(pa.array(["B ", "\u3000B", "2020-01-01", "2020-01-01 00:00:00", "2020-01-01 00:00:01"])) == [
        *("B", "B", "2020-01-01", "2020-01-01", "2020-01-01 00:00:01"),
    ]
    assert forms("SELECT unnest(['2020-01-01', 'infinity']::TIMESTAMP WITH TIME ZONE[]) AS id") == ["2020-01-01", None]
    for kind in ("DATE", "TIMESTAMP", "TIMESTAMP_NS"):
        assert forms(f"SELECT '2020-01-01'::{kind} AS id") == ["2020-01-01"]
    assert forms(pa.array([True, False])) == ["true", "false"]
    uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    assert forms(f"SELECT '{uuid}'::UUID AS id") == forms(pa.array([uuid])) == [uuid]
    assert forms("SELECT '\"x\"'::JSON AS id") == ["x"]


def test_bytes_that_are_no_text_are_never_a_text(forms: Any) -> None:
    """Bytes that encode no text have a form that no text can have."""
    assert forms(pa.array([b"\xff", b"\xffA"], pa.binary())) == [" FF", " FF41"]
    assert forms(pa.array([" FF", "\\xFF"])) == ["FF", "\\xFF"]


def test_a_declared_collation_changes_nothing(forms: Any) -> None:
    """Ids of a column that ignores case in its own database are compared as they are."""
    assert sorted(forms("SELECT unnest(['a', 'A', 'a']) COLLATE NOCASE AS id")) == ["A", "a", "a"]


def test_null_nan_blank_and_words_for_nothing_are_no_id(forms: Any) -> None:
    """Null, NaN, infinities, blanks and the words for nothing are no id, in either case and with blanks around."""
    nothing = ["", " ", "\t\u00a0", "NA", "na", " N/A ", "NULL", "Null", "None", "nan", "NaN\r", None]
    assert forms(pa.array(nothing)) == [None] * len(nothing)
    assert forms(pa.array([math.nan, math.inf, -math.inf, None])) == [None] * 4
    assert forms("SELECT unnest(['NA', 'x'])::ENUM('NA', 'x') AS id") == [None, "x"]


def test_declared_words_for_nothing_are_read_as_ids_are(forms: Any) -> None:
    """-9 stands for nothing in every spelling and type; the default words then are ids like others."""
    declared = Identity(("id",), None, ("-9.0", "?", " "))
    assert forms(pa.array(["-9", "-009", " ? ", "NA", ""]), declared) == [None, None, None, "NA", None]
    assert forms(pa.array([-9, 9]), declared) == forms(pa.array([-9.0, 9.0]), declared) == [None, "9"]
    assert forms(pa.array(["NA"]), Identity(("id",), None, ())) == ["NA"]


def test_ids_declared_as_texts_are_the_trimmed_texts(forms: Any) -> None:
    """With id_type text, 007 is not 7; a whole number of a column of numbers is its digits, 7.0 too."""
    declared = Identity(("id",), "text")
    assert forms(pa.array(["007", " 7", "7.0", "NA", ""]), declared) == ["007", "7", "7.0", None, None]
    assert forms(pa.array([7]), declared) == forms(pa.array([7.0]), declared) == ["7"]


def test_ids_declared_as_numbers_are_numbers(forms: Any) -> None:
    """With id_type number, fractions are numbers too, and what is none has no form."""
    declared = Identity(("id",), "number")
    assert forms(pa.array(["007", "12.10", "x", "NA"]), declared) == ["7", "12.1", None, None]
    assert forms("SELECT unnest([12.10, 7])::DECIMAL(9,2) AS id", declared) == ["12.1", "7"]


BLANK = st.sampled_from(["", "", " ", "\t", "\r", "\u00a0", "\u3000", "\ufeff", "\u200b"])
SPELLED = st.from_regex(r"[+-]?0{0,3}[0-9]{0,25}\.?[0-9]{0,6}0{0,3}([eE][+-]?[0-9]{1,4})?", fullmatch=True)
TEXTS = st.builds(lambda a, b, c: a + b + c, BLANK, SPELLED | st.text(max_size=8) | st.sampled_from(MISSING_IDS), BLANK)
EDGES = [
    "9" * 400,
    "9" * 401,
    "1" + "0" * 399,
    "1" + "0" * 400,
    "1e399",
    "1e400",
    "1e" + "9" * 18,
    "0" * 900 + "7",
    "1e-400",
]


@settings(max_examples=25)
@given(st.lists(TEXTS, min_size=1, max_size=30), st.sampled_from([None, "text", "number"]))
@example(EDGES, None)
@example(EDGES, "number")
def test_any_text_has_the_form_that_is_documented(forms: Any, texts: list[str], id_type: str | None) -> None:
    """For whatever people type, SQL and a plain reading of the documentation give the same form, and forms stay."""
    declared = Identity(("id",), id_type)
    computed = forms(pa.array(texts, pa.string()), declared)
    expected = [canonical(text, id_type) for text in texts]
    if id_type == "number":
        expected = [form if form and NUMBER.fullmatch(form) else None for form in expected]
    assert computed == expected
    kept = [form for form in computed if form is not None]
    assert forms(pa.array(kept, pa.string()), declared) == kept, "a form reads as itself"


@settings(max_examples=12)
@given(
    st.lists(st.floats(-(2.0**53), 2.0**53, exclude_min=True, exclude_max=True) | st.integers(-9999, 9999).map(float))
)
@example([5e-324, 1e-7, 2.0**53 - 1, -(2.0**53) + 1, 0.1 + 0.2])
def test_a_double_has_the_form_of_its_shortest_decimal(forms: Any, values: list[float]) -> None:
    """A double is the number that its shortest decimal reads as: a whole one as texts do, or its digits."""
    assert forms(pa.array(values, pa.float64())) == [canonical(value) for value in values]


@settings(max_examples=8)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
@example([-(2**63), 2**63 - 1, 0, -1])
def test_the_integers_fast_path_is_the_general_one(forms: Any, values: list[int]) -> None:
    """Integers have their decimal text as form, one to one, as that text itself has: to compare either is the same."""
    digits = [str(value) for value in values]
    assert forms(pa.array(values, pa.int64())) == forms(pa.array(digits)) == digits


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(*[st.text(st.sampled_from("1:27aé "), max_size=4)] * 2) | st.tuples(st.just("1:1"), st.just("1")),
        max_size=20,
    )
)
def test_no_two_pairs_share_an_encoding(pairs: list[tuple[str, str]]) -> None:
    """Each part stands after its length, so that pairs are equal just when their encodings are."""
    with duckdb.connect() as connection:
        table = pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}) if pairs else None
        if table is None:
            return
        connection.register("pairs", table)
        found = connection.execute(f"SELECT count(DISTINCT {identity.encoded(['a', 'b'])}) FROM pairs").fetchall()
        assert found == [(len(set(pairs)),)]


# Through an import


def imported(folder: Path, person: str, sources: dict[str, pa.Table | str], people: str | None = None) -> Built:
    """Import tables of events, one for each source, and one of persons if `people` names it."""
    lines = [person]
    if people:
        lines += [f'source = "{people}"', "[person.columns.sex]", 'type = "category"', 'values = ["f", "m"]']
    for place, file in enumerate(file for file in sources if file != people):
        lines += [f"[tables.t{place}]", f'source = "{file}"']
    return build(folder, "\n".join(lines), sources, head=HEAD)


def test_floats_that_are_no_exact_ids_are_refused(tmp_path: Path) -> None:
    """From 2^53 on (2^24 in single precision) neighbours are one float: refused, with source, column and row."""
    fine = pa.table({"id": pa.array([1.0, 2.0**53 - 1, math.inf, math.nan])})
    assert imported(tmp_path, 'id = "id"', {"a.parquet": fine}).report.persons == 2
    for value, kind in ((2.0**53, pa.float64()), (-(2.0**53), pa.float64()), (2.0**24, pa.float32())):
        large = pa.table({"id": pa.array([1.0, None, value, 2.0], kind)})
        with pytest.raises(ImportFailed, match=r"^b\.parquet: 1 ids of the column id .*row 3\)") as refused:
            imported(tmp_path, 'id = "id"', {"a.parquet": fine, "b.parquet": large})
        assert str(int(abs(value))) not in str(refused.value)


def test_a_large_float_that_stands_for_nothing_is_no_id(tmp_path: Path) -> None:
    """What is no id need not be exact."""
    table = pa.table({"id": [1.0, 1e300]})
    built = imported(tmp_path, 'id = "id"\nmissing = [1e300]', {"a.parquet": table})
    assert (built.report.persons, built.report.tables["t0"].without_person) == (1, 1)


def test_two_spellings_of_a_number_in_one_source_stop_the_import(tmp_path: Path) -> None:
    """007 and 7 in one source may be two persons: the admin is asked, shown rows and no ids, and can say either."""
    sources: dict[str, pa.Table | str] = {"a.csv": "id,x\n12345,1\n0012345,2\nz,3\n12345,4\n"}
    with pytest.raises(ImportFailed, match=r"^a\.csv: 1 ids of id .*line 2 and line 3\).*id_type") as refused:
        imported(tmp_path, 'id = "id"', sources)
    assert "12345" not in str(refused.value)
    assert imported(tmp_path, 'id = "id"\nid_type = "text"', sources).report.persons == 3
    with pytest.raises(ImportFailed, match=r"no numbers \(the first in line 4\)"):
        imported(tmp_path, 'id = "id"\nid_type = "number"', sources)
    assert imported(tmp_path, 'id = "id"\nid_type = "number"\nmissing = ["Z"]', sources).report.persons == 1


def test_a_source_that_is_no_text_is_shown_by_its_rows(tmp_path: Path) -> None:
    """Two spellings in a Parquet file are found by the places of their rows."""
    with pytest.raises(ImportFailed, match=r"^a\.parquet: .*in row 2 and row 3\)"):
        imported(tmp_path, 'id = "id"', {"a.parquet": pa.table({"id": ["a", "7", "07"]})})


def test_a_row_that_would_count_twice_stops_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were rows tied to persons by something that several ids share, the number of rows would not add up."""
    monkeypatch.setattr(persons.Link, "on", lambda _self, _row, _link: "true")
    with pytest.raises(ImportFailed, match="came out with 4 rows in place of 2"):
        imported(tmp_path, 'id = "id"', {"a.parquet": pa.table({"id": ["a", "b"]})})


def test_numbers_of_events_that_do_not_add_up_stop_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a person counted with the events of one of their spellings alone, counts would be too small."""
    several = property(lambda link: f'SELECT person, max("#rows") AS events FROM {link.table} GROUP BY person')
    monkeypatch.setattr(persons.Link, "numbers", several)
    with pytest.raises(ImportFailed, match="numbers of events in table t0 add up to 2 in place of 3"):
        imported(tmp_path, 'id = "id"', {"a.parquet": pa.table({"id": ["7", " 7", "8"]})})


def test_spellings_may_differ_between_sources_and_in_blanks(tmp_path: Path) -> None:
    """A source that lost its zeros names the same persons as one that kept them, and blanks are no spelling."""
    built = imported(
        tmp_path, 'id = "id"', {"a.csv": "id\n007\n 007\n", "b.csv": "id\n7\n", "c.parquet": pa.table({"id": [7.0]})}
    )
    assert built.report.persons == 1


def test_several_columns_name_a_person(tmp_path: Path) -> None:
    """A site and a number name a person together, each part in any type; without one of them there is no id."""
    people = pa.table({"site": ["1", "1", "11", None], "number": [11, 2, 1, 3], "sex": ["f", "m", "f", "f"]})
    visits = pa.table({"place": [1.0, 1.0, 11.0, 1.0], "no": ["011", "2 ", "1", "NA"]})
    lines = (
        'id = ["site", "number"]\nsource = "people.parquet"\n[person.columns.sex]\ntype = "category"\nvalues = ["f", "m"]\n'
        '[tables.visits]\nsource = "visits.parquet"\nperson = ["place", "no"]\n'
    )
    built = build(tmp_path, lines, {"people.parquet": people, "visits.parquet": visits}, head=HEAD)
    assert rows(built.path, "SELECT sex, count(*), count(DISTINCT person) FROM visits GROUP BY 1 ORDER BY 1") == [
        (1, 2, 2),
        (2, 1, 1),
    ]
    assert built.report.persons == 3
    assert [built.report.tables[t].without_person for t in ("persons", "visits")] == [1, 1]
    assert built.report.tables["visits"].undescribed == 0


@pytest.mark.parametrize("value", [[[1]], [{"a": 1}]], ids=["list", "struct"])
def test_a_column_that_cannot_be_an_id_is_refused(tmp_path: Path, value: list[Any]) -> None:
    """A list or a struct names nobody."""
    with pytest.raises(ManifestError) as refused:
        imported(tmp_path, 'id = "id"', {"a.parquet": pa.table({"id": value})})
    assert refused.value.place == "tables.t0.person"


@pytest.mark.parametrize(
    ("person", "place"),
    [
        ("id = []", "person.id"),
        ('id = ["a", "a"]', "person.id"),
        ('id = ["a", 7]', "person.id"),
        ("id = 7", "person.id"),
        ('id = "id"\nid_type = "integer"', "person.id_type"),
        ('id = "id"\nmissing = "NA"', "person.missing"),
        ('id = "id"\nmissing = [true]', "person.missing"),
        ('id = ["id", "x"]\n[tables.t]\nsource = "a.csv"\nperson = "id"', "tables.t.person"),
    ],
)
def test_a_bad_declaration_of_ids_is_refused_with_its_place(tmp_path: Path, person: str, place: str) -> None:
    """What the manifest cannot mean is refused before any file is read."""
    with pytest.raises(ManifestError) as refused:
        imported(tmp_path, person, {"a.csv": "id,x\n1,2\n"})
    assert refused.value.place == place


def test_odd_persons_are_counted(tmp_path: Path) -> None:
    """Repeated and contradicting rows, persons without a row of their own and ids alike but for case are counted."""
    people = pa.table(
        {
            "id": ["a", "a", "b", "b", "c", "A", "d", "d", None],
            "sex": ["f", "m", "f", "f", None, "m", None, "m", "f"],
        }
    )
    built = imported(tmp_path, 'id = "id"', {"p.parquet": people, "v.csv": "id\na\nx\nX\nNA\n"}, people="p.parquet")
    found = built.report.identity
    assert (found.repeated, found.contradicting, dict(found.contradicting_by_column)) == (3, 1, {"sex": 1})
    assert found.case_variants == 4
    assert (built.report.tables["t0"].undescribed, built.report.tables["t0"].without_person) == (2, 1)
    assert built.report.tables["persons"].without_person == 1
    assert rows(built.path, "SELECT sex, count(*) FROM persons GROUP BY 1 ORDER BY 1") == [(0, 4), (1, 2), (2, 1)]
