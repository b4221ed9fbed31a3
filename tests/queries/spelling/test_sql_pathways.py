"""Cohorts and per-person tables in both spellings: what is read, what is written, what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from queries.binding import dates
from queries.errors import InvalidQuery, OutsideProtocol
from queries.language import nodes, references
from queries.language.nodes import All, ByValue, Cohort, Comparison, Count, Mean, PerPerson, Query, Related, Value
from queries.planning import policy
from queries.spelling import json_writing, sql
from server.api.requests.query import QuerySchema
from tests.queries.execution.test_pathways import COHORTS, VALUES
from tests.queries.registry import REGISTRY, exact, planned, random_people, rows, write
from tests.queries.spelling.test_sql import QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from tests.queries.registry import Person

COUNT = (("n", Count("persons")),)
GOLDEN = {
    "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE person IN (SELECT person FROM drugs WHERE drug = 'x' "
    "GROUP BY person HAVING COUNT(*) >= 3)": Query(
        "visits", COUNT, Cohort("drugs", Comparison("drug", "=", "x"), 3)
    ),
    "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE person IN (SELECT person FROM drugs WHERE "
    "EXISTS(SELECT 1 FROM visits AS earlier WHERE earlier.person = drugs.person AND earlier.day <= drugs.given AND "
    "earlier.day >= drugs.given - 90 AND code = 'a'))": Query(
        "visits", COUNT, Cohort("drugs", None, 1, Related("visits", Comparison("code", "=", "a"), 90, "day"), None, "given")
    ),
    "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE NOT person IN (SELECT person FROM visits WHERE code = 'a' AND "
    "NOT EXISTS(SELECT 1 FROM visits AS earlier WHERE earlier.person = visits.person AND earlier.day < visits.day))": Query(
        "visits",
        COUNT,
        nodes.Not(Cohort("visits", Comparison("code", "=", "a"), 1, None, Related("visits", None, None, "day"), "day")),
    ),
    "SELECT n, COUNT(*) AS persons FROM (SELECT person, COUNT(*) AS n FROM visits GROUP BY person) GROUP BY n": Query(
        PerPerson("visits", (("n", Value("count")),)), (("persons", Count("events")),), None, (ByValue("n"),)
    ),
    "SELECT sex, AVG(cost) AS cost, AVG(wait) AS wait FROM (SELECT person, sex, CASE WHEN SUM(cost) < 0 THEN 0 WHEN "
    "SUM(cost) > 30 THEN 30 ELSE SUM(cost) END AS cost, ARG_MIN(code, day) AS code, COUNT(*) FILTER(WHERE urgent = TRUE) "
    "> 0 AS hurried, (SELECT MIN(later.given) FROM drugs AS later WHERE later.person = visits.person AND later.given >= "
    "MIN(visits.day) AND later.given <= MIN(visits.day) + 30 AND drug = 'x') - MIN(day) AS wait FROM visits "
    "WHERE cost > 1 GROUP BY person, sex) WHERE hurried = TRUE GROUP BY sex": Query(
        PerPerson(
            "visits",
            (
                ("cost", Value("sum", "cost", bounds=(0, 30))),
                ("code", Value("first", "code", date="day")),
                ("hurried", Value("exists", where=Comparison("urgent", "=", True))),
                ("wait", Value("days_to", date="day", to=Related("drugs", Comparison("drug", "=", "x"), 30, "given"))),
            ),
            Comparison("cost", ">", 1),
        ),
        (("cost", Mean("cost")), ("wait", Mean("wait"))),
        Comparison("hurried", "=", True),
        (ByValue("sex"),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", GOLDEN)
def test_sql_of_pathways_equals_golden_pairs(text: str) -> None:
    """A query reads as the SQL one would write, and that SQL is read as the query."""
    assert sql.to_sql(GOLDEN[text]) == text
    assert sql.parse(text) == GOLDEN[text]


SPELLINGS = {
    "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE person IN (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM "
    "visits v WHERE v.day BETWEEN drugs.given - INTERVAL 90 DAY AND drugs.given AND v.person = drugs.person AND "
    "v.code = 'a'))": 1,
    "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE person IN (SELECT person FROM drugs WHERE (EXISTS (SELECT 1 FROM "
    "visits AS v WHERE (drugs.person = v.person AND drugs.given >= v.day) AND drugs.given - 90 <= v.day AND "
    "code = 'a')) GROUP BY person)": 1,
}


@pytest.mark.parametrize("text", SPELLINGS)
def test_other_spellings_of_a_cohort(text: str) -> None:
    """BETWEEN, intervals, mirrored comparisons, parentheses and other aliases say the same."""
    assert sql.parse(text) == list(GOLDEN.values())[SPELLINGS[text]]


NAMES = st.sampled_from(["a", "b_2", "order", "Ü"])
CONDITIONS = st.one_of(
    st.builds(Comparison, NAMES, st.sampled_from(["=", "<"]), st.integers(-5, 5) | st.text(max_size=3)),
    st.builds(Comparison, NAMES, st.just("is_null")),
)
WHERE = (
    st.none()
    | CONDITIONS
    | st.lists(CONDITIONS, min_size=2, max_size=3).map(tuple).map(All)
    | st.lists(CONDITIONS, min_size=2, max_size=3).map(tuple).map(nodes.Any)
)
RELATED = st.builds(Related, NAMES, WHERE, st.none() | st.integers(0, 400), NAMES)
WITH_DATE = st.builds(Cohort, NAMES, WHERE, st.integers(1, 9), RELATED, st.none() | RELATED, NAMES)
COHORT = st.builds(Cohort, NAMES, WHERE, st.integers(1, 9)) | WITH_DATE
BOUNDS = st.none() | st.tuples(st.integers(-9, 9), st.integers(-9, 9))
VALUE = st.one_of(
    st.builds(lambda where, bounds: Value("count", where=where, bounds=bounds), WHERE, BOUNDS),
    st.builds(lambda where: Value("exists", where=where), CONDITIONS),
    st.builds(Value, st.sampled_from(["sum", "mean", "min", "max"]), NAMES, WHERE, BOUNDS),
    st.builds(Value, st.sampled_from(["first", "last"]), NAMES, WHERE, BOUNDS, NAMES),
    st.builds(lambda to, date, bounds: Value("days_to", date=date, to=to, bounds=bounds), RELATED, NAMES, BOUNDS),
)
SOURCE = st.builds(
    PerPerson,
    NAMES,
    st.dictionaries(st.sampled_from(["v", "w", "x_1"]), VALUE, min_size=1).map(lambda d: tuple(d.items())),
    WHERE,
)
ANY = st.builds(
    lambda source, where: Query(source, COUNT, where),
    st.just("visits") | SOURCE,
    st.none() | CONDITIONS | COHORT | COHORT.map(nodes.Not) | st.tuples(COHORT, CONDITIONS).map(nodes.Any),
)


@given(ANY)
def test_every_query_survives_both_spellings(query: Query) -> None:
    """Tree -> SQL -> tree and tree -> JSON -> tree give back the tree."""
    assert sql.parse(sql.to_sql(query)) == query
    assert QuerySchema().load(json_writing.to_json(query)) == query


FROM = "SELECT COUNT(*) FROM"
IN = "SELECT COUNT(*) FROM visits WHERE person IN"
BY = "visits.person"
REFUSED = {
    f"{IN} (SELECT sex FROM drugs)": "a cohort is written",
    f"{IN} (SELECT person, sex FROM drugs)": "a cohort is written",
    f"{IN} (SELECT visits.person FROM drugs)": "a table before the column's name",
    f"{FROM} (SELECT drugs.person, COUNT(*) AS n FROM visits GROUP BY person)": "a table before the column's name",
    f"{FROM} (SELECT person, SUM(drugs.pack) AS n FROM visits GROUP BY person)": "a table before the column's name",
    f"{IN} (SELECT person FROM drugs LIMIT 1)": "LIMIT",
    f"{IN} (SELECT person FROM drugs GROUP BY sex)": "a cohort is written",
    f"{IN} (SELECT person FROM drugs GROUP BY person HAVING SUM(pack) >= 3)": "a cohort is written",
    f"{IN} (SELECT person FROM drugs HAVING COUNT(*) >= 3)": "a cohort is written",
    f"{IN} (SELECT person FROM drugs UNION SELECT person FROM visits)": "one SELECT",
    f"{IN} (SELECT person FROM drugs JOIN visits USING (person))": "JOIN",
    f"{IN} (VALUES (1), (2))": "",
    f"{IN} (1, 2)": "cohort",
    "SELECT COUNT(*) FROM visits WHERE person = 3": "persons are not compared",
    f"{IN} (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM visits WHERE visits.person = drugs.person))": "name the other",
    f"{IN} (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM visits AS v WHERE v.day <= drugs.given))": "tied",
    f"{IN} (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM visits AS v WHERE v.person = drugs.person))": "tied",
    f"{IN} (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM visits AS v WHERE v.person = drugs.person AND v.day < drugs.given))": "tied",
    f"{IN} (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM visits AS v WHERE v.person = drugs.person AND v.day <= drugs.given AND v.day <= drugs.given))": "tied",
    f"{IN} (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM visits AS v WHERE v.code = drugs.drug))": "write v.person",
    f"{IN} (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM visits AS v WHERE v.day <= drugs.given - pack))": "number",
    f"{IN} (SELECT person FROM drugs WHERE EXISTS (SELECT 1 FROM visits AS v WHERE v.day <= drugs.given + INTERVAL 1 YEAR))": "days",
    f"{FROM} (SELECT * FROM visits)": "a value of a person",
    f"{FROM} (SELECT person FROM visits GROUP BY person)": "a value of a person",
    f"{FROM} (SELECT person, COUNT(*) FROM visits GROUP BY person)": "a value of a person",
    f"{FROM} (SELECT person, COUNT(*) AS n FROM visits)": "GROUP BY person",
    f"{FROM} (SELECT COUNT(*) AS n FROM visits GROUP BY person)": "GROUP BY person",
    f"{FROM} (SELECT person, code, COUNT(*) AS n FROM visits GROUP BY person, code)": "not used outside",
    f"{FROM} (SELECT person, MEDIAN(cost) AS n FROM visits GROUP BY person)": "a value of a person",
    f"{FROM} (SELECT person, COUNT(*) AS n FROM visits GROUP BY person ORDER BY 1)": "ORDER",
    f"{FROM} (SELECT person, COUNT(*) > 0 AS n FROM visits GROUP BY person)": "what is to exist",
    f"{FROM} (SELECT person, MIN(day) - MIN(day) AS n FROM visits GROUP BY person)": "days to another",
    f"{FROM} (SELECT person, SUM(DISTINCT cost) AS n FROM visits GROUP BY person)": "column",
    f"{FROM} (SELECT person, n FROM (SELECT person, COUNT(*) AS n FROM visits GROUP BY person) GROUP BY person, n)": "FROM takes",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_unsupported_sql_of_pathways_refused_with_its_place(text: str) -> None:
    """Line and column, and what to write instead; nothing is passed over."""
    with pytest.raises(InvalidQuery) as refusal:
        planned(sql.parse(text))
    assert REFUSED[text] in refusal.value.message
    assert refusal.value.message.startswith("line 1, column ") or refusal.value.pointer.startswith("/query/where")


def uncoded(people: list[Person], connection: duckdb.DuckDBPyConnection) -> None:
    """Make tables of what people read, as a custodian would hold them."""
    for name, table in REGISTRY.tables.items():
        types = {
            "category": "VARCHAR",
            "integer": "INTEGER",
            "number": "DECIMAL(18, 4)",
            "date": "DATE",
            "boolean": "BOOLEAN",
        }
        declared = ", ".join(f"{column.name} {types[column.kind.value]}" for column in table.columns.values())
        connection.execute(f"CREATE TABLE {name} (person INTEGER, {declared})")
        found = [(n, *row.values()) for n, person in enumerate(people) for row in rows(person, name)]
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * (len(table.columns) + 1))})", found)


@pytest.mark.slow
def test_the_sql_that_is_shown_computes_what_the_kernel_does(tmp_path: Path) -> None:
    """Run over uncoded data, the SQL of a cohort or a per-person table gives the cells before the noise."""
    people = random_people(np.random.default_rng(8), 30, 8)
    store = write(tmp_path / "store.duckdb", people)
    for cohort in COHORTS.values():
        query = dates.fill_in(Query("persons", COUNT, cohort), REGISTRY.tables)
        with duckdb.connect() as connection:
            uncoded(people, connection)
            (found,) = connection.execute(sql.to_sql(query)).fetchall()
        assert exact(store, [planned(query)])[0][0].tolist() == list(found)
    with duckdb.connect() as connection:
        uncoded(people, connection)
        for name in ("count", "min", "max", "exists", "days", "days within"):
            query = Query(PerPerson("visits", (("v", VALUES[name]),)), COUNT, None, (ByValue("v"),))
            query = dates.fill_in(query, REGISTRY.tables)
            asked = planned(query)
            found = {
                str(label) if name == "max" else label: n
                for label, n in connection.execute(sql.to_sql(query)).fetchall()
            }
            (cells,) = exact(store, [asked])[0]
            labels = asked.keys[0].every_label()
            wanted = {label: n for label, n in zip(labels, cells.tolist(), strict=True) if n}
            if name == "max":
                wanted = {str(label): n for label, n in wanted.items()}
            assert found == wanted, name


@pytest.mark.slow
def test_the_sql_of_persons_chosen_outside_their_table_computes_what_the_kernel_does(tmp_path: Path) -> None:
    """A cohort beside a per-person table has its columns to itself: the table has one row for each person."""
    people = random_people(np.random.default_rng(9), 30, 8)
    store = write(tmp_path / "store.duckdb", people)
    source = PerPerson("visits", (("v", VALUES["count"]),))
    for cohort in COHORTS.values():
        query = dates.fill_in(Query(source, (("n", Count("events")),), cohort), REGISTRY.tables)
        with duckdb.connect() as connection:
            uncoded(people, connection)
            (found,) = connection.execute(sql.to_sql(query)).fetchall()
        assert exact(store, [planned(query)])[0][0].tolist() == list(found)


def test_shown_sql_of_pathways_parses_and_has_no_more_than_asked() -> None:
    """What is shown parses, and nothing in it is more than was asked."""
    for text in GOLDEN:
        assert isinstance(parse_one(text, dialect="duckdb"), exp.Select)


OUTSIDE = {
    "tables": ("/query/where/value/after/of", policy.Protocol(tables=frozenset({"drugs"}))),
    "columns": ("/query/where/value/after/where/column", policy.Protocol(columns=frozenset({"drug", "given", "day"}))),
    "dates": ("/query/where/value/date", policy.Protocol(columns=frozenset({"drug", "code", "day"}))),
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_a_protocol_holds_for_what_a_cohort_reads(what: str) -> None:
    """Tables and columns of a cohort need to be in the protocol, a date that was left unsaid too."""
    related = Related("visits", Comparison("code", "=", "a"))
    query = Query("drugs", COUNT, Cohort("drugs", Comparison("drug", "=", "x"), after=related))
    pointer, protocol = OUTSIDE[what]
    with pytest.raises(OutsideProtocol) as refusal:
        policy.check(dates.fill_in(query, REGISTRY.tables), nodes.Privacy(1), protocol)
    assert refusal.value.pointer == pointer


def test_a_protocol_holds_for_what_a_table_is_built_of() -> None:
    """The columns that go into values are asked about, the names of the values are not."""
    query = Query(PerPerson("visits", (("v", Value("sum", "cost")),)), (("m", Mean("v")),), None, (ByValue("sex"),))
    policy.check(query, nodes.Privacy(1), policy.Protocol(frozenset({"visits"}), frozenset({"cost", "sex"})))
    for missing, pointer in (("cost", "/query/from/values/v/sum"), ("sex", "/query/group_by/0")):
        with pytest.raises(OutsideProtocol) as refusal:
            policy.check(query, nodes.Privacy(1), policy.Protocol(columns=frozenset({"cost", "sex"} - {missing})))
        assert refusal.value.pointer == pointer


@pytest.mark.parametrize("where", [nodes.Not, lambda cohort: All((Comparison("n", ">", 1), cohort))])
def test_a_value_called_like_a_column_hides_none_of_a_cohort(where: Callable[[Cohort], nodes.Predicate]) -> None:
    """Whoever may not use a column cannot read it in a cohort by giving its name to a value of their own."""
    related = Related("drugs", Comparison("drug", "=", "x"), None, "given")
    cohort = Cohort("visits", Comparison("code", "=", "a"), after=related, date="day")
    names = ("code", "drug", "given", "day", "n")
    query = Query(PerPerson("visits", tuple((name, Value("count")) for name in names)), COUNT, where(cohort))
    named = {column for _, column in references.columns(query)}
    assert named == {"code", "drug", "given", "day"}
    for missing in named:
        with pytest.raises(OutsideProtocol, match=f"does not include column {missing}"):
            policy.check(query, nodes.Privacy(1), policy.Protocol(columns=frozenset(named - {missing})))
    marked = replace(REGISTRY.tables["visits"].columns["code"], professional=True)
    tables = {"visits": replace(REGISTRY.tables["visits"], columns={"code": marked})}
    with pytest.raises(OutsideProtocol, match="column code is about professionals"):
        policy.check_professionals(query, tables, policy.Protocol())
    policy.check_professionals(query, tables, policy.Protocol(professionals=frozenset({"code"})))


TOKENS = re.compile(r"\w+|'[^']*'|\"[^\"]*\"|[^\w\s]")
WHOLE = [*GOLDEN, *map(sql.to_sql, QUERIES.values()), "SELECT QUANTILE_CONT(a, 0.5), SURVIVAL(w, [0, 30]) FROM visits"]


@pytest.mark.slow
@given(st.sampled_from(WHOLE), st.randoms(use_true_random=False))
@settings(max_examples=1000)
def test_mangled_statements_are_read_or_refused(text: str, random: Random) -> None:
    """With tokens taken out, doubled or exchanged a statement is refused, or it is read as a query that prints."""
    tokens = TOKENS.findall(text)
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(tokens))
        match random.randint(0, 2):
            case 0:
                del tokens[place]
            case 1:
                tokens.insert(place, random.choice(tokens))
            case _:
                tokens[place] = random.choice(TOKENS.findall(random.choice(WHOLE)))
    try:
        query = sql.parse(" ".join(tokens))
    except InvalidQuery:
        return
    assert sql.parse(sql.to_sql(query)) == query


@pytest.mark.parametrize(
    "text", ["SELECT QUANTILE_CONT(, 0.5) FROM a", "SELECT SUM() FROM a", "SELECT FLOOR() * 2 FROM a"]
)
def test_incomplete_sql_refused_at_statement(text: str) -> None:
    """Where sqlglot reads nothing at all there is no place to name but the statement."""
    with pytest.raises(InvalidQuery):
        sql.parse(text)
