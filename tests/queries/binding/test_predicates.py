"""Filters mean what SQL says, nulls too, and every spelling of one meaning has one form."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queries.binding import filters, predicates
from queries.binding.predicates import ALWAYS, NEVER, Among, Beginning, Both, Either, Spelled
from queries.catalog.schema import Kind
from queries.errors import InvalidQuery
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.language import nodes
from queries.language.nodes import DEPTH_MAX, All, Comparison, Not
from queries.language.nodes import Any as Some
from queries.spelling import sql
from tests.queries.clinic import COLUMNS, TABLE, Event, holds, largest_code, planned
from tests.queries.sources import clinic_source, clinic_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queries.language.nodes import Predicate, Scalar

POINTER = "/query/where"


def bound(predicate: Predicate) -> predicates.Bound:
    """Bind a predicate to the clinic's table."""
    return filters.bind(predicate, TABLE, POINTER)


# What holds


EVENTS = [
    Event(person, tuple((person * prime) % (min(largest_code(TABLE.columns[name]), 60) + 1) for name, prime in zipped))
    for person in range(400)
    for zipped in [tuple(zip(COLUMNS, (1, 3, 5, 7, 11, 13, 17, 19, 23, 29), strict=True))]
]


@pytest.fixture(scope="session")
def uncoded() -> Iterator[duckdb.DuckDBPyConnection]:
    """Hold the events as a custodian would, in a DuckDB that knows nothing of codes."""
    with duckdb.connect() as connection:
        connection.register("source", clinic_source(EVENTS))
        connection.execute("CREATE TABLE visits AS SELECT * FROM source")
        yield connection


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Hold the same events coded, in a store."""
    return clinic_store(tmp_path_factory.mktemp("predicates"), EVENTS)


def literals(column: str) -> st.SearchStrategy[Any]:
    """Return values that people may compare a column with, between its steps and beyond its bounds too."""
    declared = TABLE.columns[column]
    match declared.kind:
        case Kind.CATEGORY:
            values = declared.values or ("text 1", "text 2", "text 7", "nobody's", "it's; --")
            return st.sampled_from(values)
        case Kind.INTEGER:
            return st.integers(declared.low - 2, declared.low + 12) | st.sampled_from((2.0, 2.5, -0.0, 1992.5))
        case Kind.NUMBER:
            return st.integers(declared.low // 4 - 2, declared.low // 4 + 20) | st.sampled_from(
                (-99.75, -99.7, -90.0, -86.125, 0.1, 300.5, float(declared.low + 3))
            )
        case Kind.DATE:
            return st.sampled_from(("2020-01-01", "2020-01-15", "2020-02-01", "2020-02-29", "2020-03-05", "2022-01-01"))
        case Kind.BOOLEAN:
            return st.booleans()


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    """Return any comparison that the grammar and the column allow."""
    column = draw(st.sampled_from(COLUMNS))
    declared = TABLE.columns[column]
    words = (
        [op for op in nodes.COMPARISONS if op not in ("under", "begins")]
        if declared.ordered
        else ["=", "!=", "in", "is_null"]
    )
    if declared.ordered and draw(st.integers(0, 3)) == 0:
        alike = [name for name in COLUMNS if TABLE.columns[name].ordered]
        alike = [name for name in alike if (TABLE.columns[name].kind is Kind.DATE) == (declared.kind is Kind.DATE)]
        op = draw(st.sampled_from(("=", "!=", "<", "<=", ">", ">=")))
        return Comparison(column, op, nodes.OtherColumn(draw(st.sampled_from(alike))))
    op = draw(st.sampled_from([*words, "begins"] if declared.kind is Kind.CATEGORY else words))
    if op == "is_null":
        return Comparison(column, op)
    if op == "begins":
        text = draw(literals(column))
        return Comparison(column, op, text[: draw(st.integers(1, len(text)))])
    if op == "in":
        return Comparison(column, op, tuple(draw(st.lists(literals(column), min_size=1, max_size=4))))
    if op == "between":
        return Comparison(column, op, tuple(sorted(draw(st.tuples(literals(column), literals(column))))))
    return Comparison(column, op, draw(literals(column)))


FILTERS: st.SearchStrategy[Predicate] = st.recursive(
    comparisons(),
    lambda parts: (
        st.builds(lambda some: All(tuple(some)), st.lists(parts, min_size=1, max_size=3))
        | st.builds(lambda some: Some(tuple(some)), st.lists(parts, min_size=1, max_size=3))
        | st.builds(Not, parts)
    ),
    max_leaves=6,
)


def chosen_by_sql(connection: duckdb.DuckDBPyConnection, predicate: Predicate) -> set[int]:
    """Return the persons whom real SQL selects on the data before coding."""
    query = nodes.Query("visits", (("n", nodes.Count("events")),), predicate)
    where = sql.to_sql(query).partition(" WHERE ")[2]
    found = connection.execute(f"SELECT patient FROM visits WHERE {where}").fetchall()
    return {int(patient.removeprefix("patient-")) for (patient,) in found}


@pytest.mark.slow
@settings(max_examples=300)
@given(FILTERS)
def test_a_filter_holds_where_sql_says_so(uncoded: duckdb.DuckDBPyConnection, predicate: Predicate) -> None:
    """Over ranges of codes a filter selects the events that DuckDB selects by its text, by three-valued logic."""
    canonical = bound(predicate)
    assert {event.person for event in EVENTS if holds(canonical, event)} == chosen_by_sql(uncoded, predicate)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILTERS)
def test_the_engine_finds_what_sql_finds(
    uncoded: duckdb.DuckDBPyConnection, stored: Any, engine_finds: Callable[[Any, Predicate], int], predicate: Predicate
) -> None:
    """Through coding, store, scan and kernel the number of events is the number that SQL counts."""
    assert engine_finds(stored, predicate) == len(chosen_by_sql(uncoded, predicate))


@pytest.fixture(scope="session")
def engine_finds() -> Iterator[Callable[[Any, Predicate], int]]:
    """Count a filter's events with one engine that stays open."""
    engines: dict[Any, Store] = {}

    def count(store: Any, predicate: Predicate) -> int:
        engine = engines.get(store) or Store(store, memory_limit="200MB", threads=2, query_seconds=60)
        engines[store] = engine
        plan = planned(where=predicate, n=nodes.Count("events"), events=1000)
        return int(kernel.bound(plan, engine.stream(plan))[0].sum())

    yield count
    for engine in engines.values():
        engine.close()


def test_the_events_of_these_tests_decide(uncoded: duckdb.DuckDBPyConnection) -> None:
    """Every column has nulls and values, so that no law above holds for want of events."""
    for name in COLUMNS:
        assert 0 < len(chosen_by_sql(uncoded, Comparison(name, "is_null"))) < len(EVENTS)


# One form


def negation(predicate: Predicate) -> Predicate:
    """Push a negation one level down, by De Morgan."""
    match predicate:
        case All(parts):
            return Some(tuple(Not(part) for part in parts))
        case Some(parts):
            return All(tuple(Not(part) for part in parts))
        case Not(part):
            return part
        case _:
            return Not(predicate)


def respelled(draw: st.DrawFn, predicate: Predicate) -> Predicate:
    """Return another spelling of the same filter."""
    match predicate:
        case All(parts) | Some(parts):
            group = type(predicate)
            spelled = [respelled(draw, part) for part in draw(st.permutations(parts))]
            if draw(st.booleans()):
                spelled.append(spelled[0])
            if len(spelled) > 1 and draw(st.booleans()):
                spelled = [spelled[0], group(tuple(spelled[1:]))]
            result: Predicate = group(tuple(spelled))
        case Not(part):
            result = Not(respelled(draw, part))
        case Comparison():
            result = _respelled_comparison(draw, predicate)
    if draw(st.booleans()):
        result = Not(negation(result)) if not isinstance(result, Not) else negation(result.part)
    return Not(Not(result)) if draw(st.booleans()) else result


def _respelled_comparison(draw: st.DrawFn, one: Comparison) -> Predicate:
    column, value = one.column, one.value

    def literal(scalar: Scalar) -> Scalar:
        whole = isinstance(scalar, int) and not isinstance(scalar, bool)
        return float(scalar) if whole and draw(st.booleans()) else scalar

    if one.op == "between":
        assert isinstance(value, tuple)
        low, high = map(literal, value)
        return draw(
            st.sampled_from(
                (
                    Comparison(column, "between", (low, high)),
                    All((Comparison(column, ">=", low), Comparison(column, "<=", high))),
                    Not(Some((Comparison(column, "<", low), Comparison(column, ">", high)))),
                )
            )
        )
    if one.op == "in":
        assert isinstance(value, tuple)
        scalars = tuple(map(literal, draw(st.permutations(value))))
        return draw(
            st.sampled_from(
                (
                    Comparison(column, "in", scalars + scalars[:1]),
                    Some(tuple(Comparison(column, "=", scalar) for scalar in scalars)),
                )
            )
        )
    if isinstance(value, nodes.OtherColumn):
        mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(one.op, one.op)
        opposite = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}[one.op]
        swapped = Comparison(value.name, mirrored, nodes.OtherColumn(column))
        return draw(st.sampled_from((one, swapped, Not(Comparison(column, opposite, value)))))
    if one.op == "begins":
        return draw(st.sampled_from((one, Some((one, one)))))
    if one.op == "is_null":
        return one
    assert value is not None
    assert not isinstance(value, tuple | nodes.CodeList)
    opposite = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}[one.op]
    return draw(
        st.sampled_from((Comparison(column, one.op, literal(value)), Not(Comparison(column, opposite, literal(value)))))
    )


@st.composite
def spellings(draw: st.DrawFn, filters: st.SearchStrategy[Predicate]) -> tuple[Predicate, Predicate]:
    """Return a filter and another spelling of it."""
    predicate = draw(filters)
    return predicate, respelled(draw, predicate)


def declared_only(predicate: Predicate) -> bool:
    """Say whether a filter reads only columns with declared values."""
    match predicate:
        case Comparison(column):
            return TABLE.columns[column].declared
        case Not(part):
            return declared_only(part)
        case All(parts) | Some(parts):
            return all(map(declared_only, parts))
    raise AssertionError(predicate)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(spellings(FILTERS.filter(declared_only)))
def test_another_spelling_of_a_filter_has_the_same_form(pair: tuple[Predicate, Predicate]) -> None:
    """Order, repetition, nesting, De Morgan, between, in and 2.0 for 2 do not show in the canonical form."""
    one, other = pair
    assert predicates.canonical(bound(one)) == predicates.canonical(bound(other))


@given(st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=4), st.randoms())
def test_another_spelling_over_an_undeclared_column_has_the_same_form(texts: list[str], random: Any) -> None:
    """`in` and an alternative of `=` over texts that are not public are one question too."""
    shuffled = random.sample(texts, len(texts))
    listed = Comparison("diagnosis", "in", tuple(texts))
    alternative = Some(tuple(Comparison("diagnosis", "=", text) for text in shuffled))
    assert bound(listed) == bound(alternative)
    assert bound(Not(listed)) == bound(All(tuple(Comparison("diagnosis", "!=", text) for text in shuffled)))


UNDECLARED: st.SearchStrategy[Predicate] = st.recursive(
    st.just(Comparison("diagnosis", "is_null"))
    | st.builds(Comparison, st.just("diagnosis"), st.sampled_from(("=", "!=")), st.sampled_from(("text 1", "text 2")))
    | st.just(Comparison("diagnosis", "in", ("text 1", "text 3"))),
    lambda parts: (
        st.builds(All, st.tuples(parts, parts)) | st.builds(Some, st.tuples(parts, parts)) | st.builds(Not, parts)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=500)
@given(UNDECLARED, UNDECLARED)
def test_filters_of_one_undeclared_column_have_one_form_for_one_meaning(one: Predicate, other: Predicate) -> None:
    """Two filters that take the same of null, each text and any other text have the same form, and only those."""
    place = COLUMNS.index("diagnosis")
    values = [Event(1, tuple(code if at == place else 1 for at in range(len(COLUMNS)))) for code in range(5)]
    left, right = bound(one), bound(other)
    agree = [holds(left, value) for value in values] == [holds(right, value) for value in values]
    assert agree == (predicates.canonical(left) == predicates.canonical(right))


@pytest.mark.slow
@settings(max_examples=300)
@given(FILTERS, FILTERS)
def test_filters_of_one_form_select_the_same(one: Predicate, other: Predicate) -> None:
    """Two filters that share a form agree on every event; filters that differ on an event differ in form."""
    left, right = bound(one), bound(other)
    agree = all(holds(left, event) == holds(right, event) for event in EVENTS)
    assert agree or predicates.canonical(left) != predicates.canonical(right)


@given(FILTERS)
def test_the_canonical_form_is_stable(predicate: Predicate) -> None:
    """Simplifying twice is simplifying once."""
    canonical = bound(predicate)
    assert predicates.simplify(canonical) == canonical


YEARS = Comparison("visits", ">=", 2)


@pytest.mark.parametrize(
    ("predicate", "form"),
    [
        (Comparison("visits", ">", 1), Among("visits", ((3, 10),))),
        (Comparison("visits", ">", 1.5), Among("visits", ((3, 10),))),
        (Comparison("visits", "between", (2, 99)), Among("visits", ((3, 10),))),
        (Comparison("visits", "!=", 4), Among("visits", ((1, 4), (6, 10)))),
        (Not(Comparison("visits", "is_null")), Among("visits", ((1, 10),))),
        (Comparison("visits", "is_null"), Among("visits", ((0, 0),))),
        (Comparison("visits", "=", 2.5), NEVER),
        (Comparison("visits", ">", 99), NEVER),
        (Not(Comparison("visits", "=", 2.5)), Among("visits", ((1, 10),))),
        (All((YEARS, Comparison("visits", "<", 2))), NEVER),
        (All((YEARS, Some((Comparison("visits", "=", 2.5), YEARS)))), Among("visits", ((3, 10),))),
        (Some((Comparison("visits", "=", 1), Comparison("visits", "=", 2))), Among("visits", ((2, 3),))),
        (Comparison("diagnosis", "=", "x"), Spelled("diagnosis", ("x",), negated=False)),
        (Not(Comparison("diagnosis", "!=", "x")), Spelled("diagnosis", ("x",), negated=False)),
        (Comparison("diagnosis", "in", ("b", "a", "b")), Spelled("diagnosis", ("a", "b"), negated=False)),
        (Not(Comparison("diagnosis", "in", ("a",))), Spelled("diagnosis", ("a",), negated=True)),
        (Comparison("diagnosis", "under", "E11"), Beginning("diagnosis", ("E11",), negated=False)),
        (
            Some((Comparison("diagnosis", "under", "E11.9"), Comparison("diagnosis", "under", "E11"))),
            Beginning("diagnosis", ("E11",), negated=False),
        ),
        (
            Not(Some((Comparison("diagnosis", "under", "F"), Comparison("diagnosis", "under", "E")))),
            Beginning("diagnosis", ("E", "F"), negated=True),
        ),
        (
            All((Comparison("diagnosis", "under", "F"), Comparison("diagnosis", "under", "F0"))),
            Both((Beginning("diagnosis", ("F",), negated=False), Beginning("diagnosis", ("F0",), negated=False))),
        ),
        (Comparison("region", "begins", "no"), Among("region", ((1, 1),))),
        (Comparison("diagnosis", "begins", "E11"), Beginning("diagnosis", ("E11",), negated=False)),
        (Comparison("region", "under", "no"), Among("region", ((1, 1),))),
        (Not(Comparison("region", "under", "no")), Among("region", ((2, 3),))),
    ],
)
def test_the_form_of_a_filter_is_ranges_of_codes(predicate: Predicate, form: predicates.Bound) -> None:
    """Some forms by hand, so that the laws are about the right thing."""
    assert bound(predicate) == form


def test_query_without_filter_takes_every_event() -> None:
    """A query without a filter takes every event, and so does one whose parts are none."""
    assert filters.bind(None, TABLE, POINTER) == ALWAYS
    assert predicates.simplify(Both((ALWAYS, Both(())))) == ALWAYS
    assert predicates.simplify(Either((NEVER, Either(())))) == NEVER
    assert predicates.simplify(Either((Among("visits", ((1, 2),)), ALWAYS))) == ALWAYS


@given(FILTERS)
def test_columns_are_those_that_the_form_reads(predicate: Predicate) -> None:
    """The engine is asked for no other columns than the filter names."""
    named = {column for _, column in _leaves(predicate)}
    assert predicates.columns(bound(predicate)) <= named


def _leaves(predicate: Predicate) -> Iterator[tuple[str, str]]:
    match predicate:
        case Comparison(column, op, value):
            yield op, column
            if isinstance(value, nodes.OtherColumn):
                yield op, value.name
        case Not(part):
            yield from _leaves(part)
        case All(parts) | Some(parts):
            yield from itertools.chain.from_iterable(map(_leaves, parts))


# What is refused


@pytest.mark.parametrize(
    ("predicate", "pointer"),
    [
        (Comparison("nothing", "=", 1), "/column"),
        (Comparison("visits", "<", nodes.OtherColumn("nothing")), "/value/column"),
        (Comparison("visits", "<", nodes.OtherColumn("sex")), "/value/column"),
        (Comparison("urgent", "=", nodes.OtherColumn("urgent")), "/value/column"),
        (Comparison("visits", "<", nodes.OtherColumn("day")), "/value/column"),
        (Comparison("diagnosis", "=", nodes.OtherColumn("visits")), "/value/column"),
        (Comparison("sex", "in", nodes.CodeList("any")), "/value"),
        (Comparison("sex", "begins", ""), "/value"),
        (Comparison("sex", "under", "x" * 101), "/value"),
        (Comparison("visits", "begins", "1"), "/op"),
        (Not(All((YEARS, Some((Comparison("nothing", "=", 1),))))), "/not/all/1/any/0/column"),
        (Comparison("visits", "=", "3"), "/value"),
        (Comparison("visits", "=", True), "/value"),
        (Comparison("visits", "=", None), "/value"),
        (Comparison("visits", "<", (1, 2)), "/value"),
        (Comparison("visits", "in", (1, "2")), "/value/1"),
        (Comparison("visits", "between", (1, "2")), "/value/1"),
        (Comparison("visits", "between", (1,)), "/value"),
        (Comparison("visits", "between", 1), "/value"),
        (Comparison("visits", "between", (3, 2)), "/value"),
        (Comparison("visits", "<", float("nan")), "/value"),
        (Comparison("visits", "in", (1, float("inf"))), "/value/1"),
        (Comparison("day", ">=", "2020-02-30"), "/value"),
        (Comparison("urgent", "=", 1), "/value"),
        (Comparison("urgent", "<", True), "/op"),
        (Comparison("sex", "=", "Female"), "/value"),
        (Comparison("sex", "in", ("female", "femal")), "/value/1"),
        (Comparison("sex", "<", "male"), "/op"),
        (Comparison("sex", "between", ("female", "male")), "/op"),
        (Comparison("diagnosis", "<", "x"), "/op"),
        (Comparison("diagnosis", "between", ("a", "b")), "/op"),
        (Comparison("diagnosis", "=", 3), "/value"),
        (Comparison("diagnosis", "=", None), "/value"),
        (Comparison("diagnosis", "=", ("a", "b")), "/value"),
        (Comparison("diagnosis", "in", ("a", 3)), "/value/1"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_its_place(predicate: Predicate, pointer: str) -> None:
    """Each kind of mistake names the place in the request where it stands."""
    with pytest.raises(InvalidQuery) as refused:
        bound(predicate)
    assert refused.value.pointer == POINTER + pointer


def test_filters_nest_to_a_limit() -> None:
    """Deep nesting is refused with a place and not with a stack that runs over."""
    deep: Predicate = YEARS
    for _ in range(DEPTH_MAX):
        deep = Not(deep)
    assert bound(deep) == bound(YEARS)
    with pytest.raises(InvalidQuery, match="nests deeper than 32 levels"):
        bound(Not(deep))
    for _ in range(500):
        deep = All((deep,))
    with pytest.raises(InvalidQuery):
        bound(deep)
