"""Names in SQL without regard to case, names of tables before columns, and joins that are the table itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from queries.errors import InvalidQuery
from queries.language.nodes import Comparison, Count, Mean, PerPerson, Query, Value
from queries.spelling import sql
from tests.queries.clinic import CLINIC
from tests.queries.registry import REGISTRY
from tests.queries.spelling.test_sql import QUERIES
from tests.queries.spelling.test_sql_pathways import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queries.catalog.schema import Dataset

ASKED: list[tuple[str, Dataset]] = [
    *((text, REGISTRY) for text in GOLDEN),
    *((sql.to_sql(query), CLINIC) for query in QUERIES.values() if query.source == "visits"),
]


@pytest.mark.slow
@given(st.sampled_from(ASKED), st.randoms())
def test_names_are_understood_in_any_case(asked: tuple[str, Dataset], random: object) -> None:
    """However columns and tables are written, the query is the one with the catalog's names."""
    text, dataset = asked
    changed = parse_one(text, dialect="duckdb")
    for name in changed.find_all(exp.Column, exp.Table):
        for part in ("this", "table"):
            if isinstance(name.args.get(part), exp.Identifier):
                written = name.args[part].this
                how = random.choice([str.upper, str.lower, str.title, str])  # type: ignore[attr-defined]
                name.args[part].set("this", how(written))
                name.args[part].set("quoted", True)
    expected = sql.resolved(sql.parse(text), dataset.tables)
    assert sql.resolved(sql.parse(changed.sql("duckdb")), dataset.tables) == expected


def test_answer_is_named_after_the_catalog() -> None:
    """Columns of an answer without an alias have the names of the catalog's columns; an alias stays as it is."""
    text = "SELECT Sex, REGION AS Place, AVG(Visits), COUNT(*) AS N FROM Visits GROUP BY sex, place"
    found = sql.resolved(sql.parse(text), CLINIC.tables)
    assert [key.name or key.column for key in found.group_by] == ["sex", "Place"]
    assert [name for name, _ in found.select] == ["mean_visits", "N"]
    assert found.source == "visits"


def test_two_columns_of_an_answer_cannot_become_one() -> None:
    """A name that two statistics would have is refused."""
    with pytest.raises(InvalidQuery, match="two columns mean_visits"):
        sql.resolved(sql.parse("SELECT AVG(VISITS), AVG(balance) AS mean_visits FROM visits"), CLINIC.tables)


def test_ambiguous_name_is_refused_with_both() -> None:
    """A name that may be two is refused, and one that is there as it was written is that one."""
    inner = "(SELECT person, COUNT(*) AS ab, SUM(visits) AS aB FROM visits GROUP BY person)"
    with pytest.raises(InvalidQuery, match="AB may be ab or aB"):
        sql.resolved(sql.parse(f"SELECT AVG(AB) FROM {inner}"), CLINIC.tables)
    found = sql.resolved(sql.parse(f"SELECT AVG(aB) AS m, AVG(ab) AS n FROM {inner} WHERE ab > 1"), CLINIC.tables)
    assert found == Query(
        PerPerson("visits", (("ab", Value("count")), ("aB", Value("sum", "visits")))),
        (("m", Mean("aB")), ("n", Mean("ab"))),
        Comparison("ab", ">", 1),
    )


def test_unknown_names_stay_as_they_were_written() -> None:
    """What no name fits is left for binding, which refuses it and knows the nearest name."""
    asked = Query("Visit", (("n", Count("events")),), Comparison("Sexx", "=", "male"))
    assert sql.resolved(asked, CLINIC.tables) == asked


JOINED = {
    "FROM visits v LEFT JOIN persons p USING (person)": True,
    "FROM visits AS v JOIN persons AS p ON p.person = v.person": True,
    "FROM visits v INNER JOIN Persons p ON v.person = p.person": True,
    "FROM persons p JOIN visits v USING (Person)": True,
    "FROM persons p RIGHT JOIN visits v USING (person)": True,
    "FROM persons p LEFT JOIN visits v USING (person)": False,
    "FROM visits v RIGHT JOIN persons p USING (person)": False,
    "FROM visits v FULL JOIN persons p USING (person)": False,
    "FROM visits v CROSS JOIN persons p": False,
    "FROM visits v SEMI JOIN persons p USING (person)": False,
    "FROM visits v ASOF JOIN persons p USING (person)": False,
    "FROM visits v, persons p": False,
    "FROM visits v NATURAL JOIN persons p": False,
    "FROM visits v JOIN persons p USING (sex)": False,
    "FROM visits v JOIN persons p ON v.sex = p.sex": False,
    "FROM visits v JOIN persons p ON v.person = v.person": False,
    "FROM visits v JOIN persons p ON v.person = p.person OR TRUE": False,
    "FROM visits v JOIN persons p ON v.person >= p.person": False,
    "FROM visits v JOIN visits p USING (person)": False,
    "FROM persons v JOIN persons p USING (person)": False,
    "FROM visits v JOIN persons p USING (person) JOIN persons q USING (person)": False,
    "FROM visits v JOIN (SELECT person FROM persons) p USING (person)": False,
    "FROM visits p JOIN persons p USING (person)": False,
}


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """Hold events of two persons, and a third person without events."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE persons AS FROM (VALUES (1, 'f'), (2, 'm'), (3, 'f')) AS t(person, sex)")
        connection.execute("CREATE TABLE visits AS FROM (VALUES (1, 4), (1, 6), (2, 8), (2, 9)) AS t(person, visits)")
        yield connection


@pytest.mark.parametrize("source", JOINED)
def test_join_that_is_the_table_is_read_as_the_table(tables: duckdb.DuckDBPyConnection, source: str) -> None:
    """A join by person with `persons` is the table, as it is in DuckDB. Another join is refused."""
    text = (
        f"SELECT COUNT(*) AS n, COUNT(DISTINCT v.person) AS people, SUM(V.visits) AS total {source} WHERE v.visits > 5"
    )
    if not JOINED[source]:
        with pytest.raises(InvalidQuery, match="LEFT JOIN persons USING|two tables p"):
            sql.parse(text)
        return
    asked = sql.parse(text)
    plain = sql.to_sql(asked)
    assert "JOIN" not in plain
    assert asked.source == "visits"
    assert tables.execute(text).fetchall() == tables.execute(plain).fetchall() == [(3, 2, 23)]


def test_table_before_a_column_is_the_one_of_from() -> None:
    """The name or alias of the table may stand before a column, in any case; another one is refused."""
    plain = sql.parse("SELECT sex, COUNT(*) AS n FROM visits WHERE visits > 2 GROUP BY sex")
    for text in (
        "SELECT visits.sex, COUNT(*) AS n FROM visits WHERE Visits.visits > 2 GROUP BY sex",
        "SELECT v.sex, COUNT(*) AS n FROM visits AS v WHERE V.visits > 2 GROUP BY v.sex",
    ):
        assert sql.parse(text) == plain
    with pytest.raises(InvalidQuery, match="a table before"):
        sql.parse("SELECT visits.sex, COUNT(*) AS n FROM visits AS v GROUP BY visits.sex")


def test_alias_reaches_into_subqueries_until_another_has_its_name() -> None:
    """A cohort may call its table by an alias, also where it is tied to other events; an inner alias is its own."""
    plain = (
        "SELECT COUNT(*) AS n FROM visits WHERE person IN (SELECT person FROM drugs WHERE drug = 'x' AND EXISTS(SELECT 1 "
        "FROM visits AS earlier WHERE earlier.person = drugs.person AND earlier.day <= drugs.given AND code = 'a'))"
    )
    aliased = (
        "SELECT COUNT(*) AS n FROM visits AS d WHERE d.person IN (SELECT d.person FROM drugs d WHERE d.drug = 'x' AND "
        "EXISTS(SELECT 1 FROM visits AS E WHERE e.person = D.person AND e.day <= d.given AND e.code = 'a'))"
    )
    assert sql.parse(aliased) == sql.parse(plain)
