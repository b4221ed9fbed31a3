from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import parse_one

from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.nodes import (
    ByBins,
    ByPart,
    ByPeriod,
    ByValue,
    ByWidth,
    Comparison,
    Correlation,
    Count,
    Covariance,
    Histogram,
    Iqr,
    Mean,
    Proportion,
    Quantile,
    Query,
    Stddev,
    Sum,
    Top,
    Variance,
)
from queries.release import assembly
from queries.spelling import json_writing, sql
from queries.spelling.sql import reading, writing
from server.api.requests.query import QuerySchema
from tests.queries.clinic import Event, bounded, noiseless, planned
from tests.queries.sources import clinic_source

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("golden.sql")

QUERIES = {
    "every statistic": Query(
        "visits",
        (("people", Count("persons")), ("n", Count("events")), ("total", Sum("visits")), ("average", Mean("balance"))),
    ),
    "clamped": Query("visits", (("total", Sum("visits", (0, 30))), ("average", Mean("balance", (-0.5, 99.75))))),
    "keys": Query(
        "visits",
        (("n", Count("events")),),
        group_by=(ByValue("sex"), ByValue("region", "where"), ByPeriod("day", "quarter"), ByBins("visits", (0, 5, 10))),
    ),
    "filters": Query(
        "visits",
        (("n", Count("events")),),
        nodes.All(
            (
                Comparison("visits", ">=", 2),
                nodes.Any((Comparison("sex", "=", "male"), Comparison("region", "is_null"))),
                nodes.Not(nodes.All((Comparison("urgent", "=", True), Comparison("visits", "!=", 3)))),
                Comparison("day", "between", ("2020-02-01", "2020-03-01")),
                Comparison("diagnosis", "in", ("it's", 'say "x"; --')),
                Comparison("diagnosis", "under", "E11"),
                Comparison("diagnosis", "begins", "E11"),
                nodes.Not(Comparison("diagnosis", "begins", "E_1")),
                Comparison("visits", "<", nodes.OtherColumn("balance")),
            )
        ),
    ),
    "shapes": Query(
        "visits",
        (
            ("varies", Variance("balance")),
            ("spread", Stddev("visits", (0, 30))),
            ("middle", Quantile("balance", (0.5,))),
            ("ends", Quantile("visits", (0.05, 0.95), (0, 30), listed=True)),
            ("one", Quantile("visits", (0.5,), listed=True)),
        ),
    ),
    "ranges": Query(
        "visits", (("apart", Iqr("balance")), ("near", Iqr("visits", (0, 30), where=Comparison("urgent", "=", True))))
    ),
    "together": Query(
        "visits",
        (
            ("both", Covariance(("visits", "balance"))),
            ("alike", Correlation(("visits", "balance"), ((0, 30), (-0.5, 99.75)))),
            ("trend", nodes.Slope(("visits", "balance"))),
        ),
    ),
    "lists": Query(
        "visits",
        (
            ("regions", Histogram("region")),
            ("bins", Histogram("visits", (0, 5, 10))),
            ("days", Histogram("day", ("2020-01-15", "2020-02-01"))),
            ("often", Top("unit", 2)),
        ),
    ),
    "of some": Query(
        "visits",
        (
            ("people", Count("persons", where=Comparison("urgent", "=", True))),
            ("n", Count("events", where=nodes.Not(Comparison("region", "is_null")))),
            ("total", Sum("visits", where=Comparison("sex", "=", "male"))),
            ("middle", Quantile("visits", (0.5,), where=Comparison("sex", "=", "male"))),
            ("bins", Histogram("visits", (0, 5), where=Comparison("visits", ">", 1))),
            ("often", Top("unit", 2, where=Comparison("visits", ">", 1))),
            ("alike", Correlation(("visits", "balance"), where=Comparison("visits", ">", 1))),
        ),
    ),
    "shares": Query(
        "visits",
        (
            ("urgent", Proportion(Comparison("urgent", "=", True))),
            ("ever", Proportion(nodes.Any((Comparison("visits", ">", 3), Comparison("sex", "=", "male"))), "persons")),
        ),
        group_by=(ByValue("region"),),
    ),
    "cuts": Query(
        "visits",
        (("n", Count("events")),),
        group_by=(
            ByWidth("visits", 10),
            ByWidth("balance", 0.5, -5, "from_5"),
            ByWidth("day", 7, "2020-01-06"),
            ByPart("day", "weekday", "weekday"),
            ByPart("day", "month", "month"),
        ),
    ),
    "words of SQL": Query("order", (("select", Sum("group")),), Comparison("from", "<", 1), (ByValue("table"),)),
}


def golden() -> dict[str, str]:
    """Return the expected SQL of each query, by its name."""
    parts = GOLDEN.read_text(encoding="utf-8").split("-- ")[1:]
    return {name: text.strip() for name, _, text in (part.partition("\n") for part in parts)}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_reads_as_the_sql_one_would_write(name: str) -> None:
    """Golden pairs: the SQL shown with an answer."""
    assert sql.to_sql(QUERIES[name]) == golden()[name]


@pytest.mark.parametrize("name", QUERIES)
def test_shown_sql_parses_and_quotes_reserved_words(name: str) -> None:
    """What is shown parses, and a name that is a word of SQL is quoted."""
    assert parse_one(sql.to_sql(QUERIES[name]), dialect="duckdb") is not None


def test_the_examples_in_the_docstrings_hold() -> None:
    """The doctests of the package run."""
    for module in (reading, writing):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0


@pytest.mark.slow
@given(st.text(min_size=1, max_size=30))
def test_a_text_stays_one_literal(text: str) -> None:
    """Whatever a researcher writes into a value is shown as that value and never as SQL."""
    shown = sql.to_sql(Query("visits", (("n", Count("events")),), Comparison("diagnosis", "=", text)))
    (literal,) = [node for node in parse_one(shown, dialect="duckdb").walk() if node.key == "literal"]
    assert literal.this == text


@pytest.fixture(scope="module")
def uncoded() -> Iterator[duckdb.DuckDBPyConnection]:
    """Hold some of the clinic's events as a custodian would."""
    with duckdb.connect() as connection:
        connection.register("source", clinic_source(EVENTS))
        connection.execute("CREATE TABLE visits AS SELECT *, patient AS person FROM source")
        yield connection


EVENTS = [
    Event(person, (1 + person % 2, 0, (person + n) % 4, 1, 1, n % 11, 37 * (person + n) % 800, 5, n % 3, 1 + n))
    for person in range(40)
    for n in range(person % 13)
]


URGENT = Comparison("urgent", "=", True)
OFTEN = nodes.Not(Comparison("visits", "<", 3))


def without_noise(statistic: nodes.Statistic) -> dict[Any, Any]:
    """Return the result of each region over the exact cells, where no bound cuts anything off."""
    plan = planned(ByValue("region"), cells=4, events=1000, s=statistic)
    return {row["region"]: row["s"] for row in assembly.rows(plan, noiseless(plan, bounded(plan, EVENTS)))}


def by_sql(connection: duckdb.DuckDBPyConnection, statistic: nodes.Statistic) -> dict[Any, Any]:
    """Return what DuckDB makes of the SQL that is shown, over the data before coding."""
    query = Query("visits", (("s", statistic),), group_by=(ByValue("region"),))
    return dict(connection.execute(sql.to_sql(query)).fetchall())


@pytest.mark.parametrize(
    "statistic",
    [
        Count("persons"),
        Count("persons", where=OFTEN),
        Count("events"),
        Count("events", where=nodes.Any((URGENT, Comparison("visits", "is_null")))),
        Sum("visits"),
        Sum("visits", (2, 5)),
        Sum("balance"),
        Sum("balance", (-50, -10.25), where=URGENT),
        Mean("visits", where=nodes.Not(URGENT)),
        Mean("balance", (-90, 10.25)),
        Variance("visits"),
        Variance("balance", (-90, 10.25), where=OFTEN),
        Stddev("balance"),
        Stddev("visits", (2, 5)),
        Covariance(("visits", "balance")),
        Covariance(("visits", "balance"), ((2, 8), (-90, 10.25)), where=URGENT),
        Correlation(("visits", "balance")),
        Correlation(("balance", "visits"), ((-90, 10.25), (2, 8)), where=OFTEN),
        nodes.Slope(("balance", "visits")),
        nodes.Slope(("visits", "balance"), ((2, 8), (-90, 10.25)), where=URGENT),
        Proportion(URGENT),
        Proportion(nodes.Any((OFTEN, Comparison("balance", ">", 0)))),
        Proportion(Comparison("visits", "=", 7), "persons"),
    ],
    ids=str,
)
def test_the_sql_says_what_is_computed(uncoded: duckdb.DuckDBPyConnection, statistic: nodes.Statistic) -> None:
    """Run over the data, the SQL that is shown gives the values before the noise."""
    found = {region: result["value"] for region, result in without_noise(statistic).items()}
    assert found == pytest.approx(by_sql(uncoded, statistic), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    "statistic",
    [
        Quantile("visits", (0.5,)),
        Quantile("visits", (0.5,), (2, 5), where=URGENT),
        Quantile("balance", (0.5,)),
    ],
)
def test_the_sql_of_a_quantile_is_nearly_what_is_computed(
    uncoded: duckdb.DuckDBPyConnection, statistic: nodes.Quantile
) -> None:
    """Without noise a quantile is a value that is there, next to what SQL puts between two such values."""
    query = Query("visits", (("s", statistic),), group_by=(ByValue("region"),))
    found = dict(uncoded.execute(sql.to_sql(query).replace("QUANTILE_CONT", "QUANTILE_DISC")).fetchall())
    for region, result in without_noise(statistic).items():
        assert result["low"] <= found[region] <= result["high"]
        assert abs(result["value"] - found[region]) <= 8  # of the range from -100 to 250


@pytest.mark.parametrize("where", [None, URGENT])
def test_the_sql_of_lists_says_what_is_computed(
    uncoded: duckdb.DuckDBPyConnection, where: nodes.Predicate | None
) -> None:
    """The numbers of a histogram are those that SQL finds (it leaves out the empty); the most frequent are their top.

    DuckDB's APPROX_TOP_K is what its name says, and no measure of ours.
    """
    bins = by_sql(uncoded, Histogram("unit", where=where))
    assert set(bins) == {"north", "east", "south", None}
    for region, result in without_noise(Histogram("unit", where=where)).items():
        assert {part["bin"]: part["value"] for part in result["bins"] if part["value"]} == bins[region]
    numbers = by_sql(uncoded, Histogram("visits", where=where))
    for region, result in without_noise(Top("visits", 4, where=where)).items():
        most = sorted([*numbers[region].values(), 0, 0, 0, 0], reverse=True)[:4]
        assert [part["value"] for part in result["top"]] == most
        assert all(numbers[region].get(part["key"], 0) == part["value"] for part in result["top"])


@pytest.mark.parametrize("name", QUERIES)
def test_json_form_of_sql_query_survives_json(name: str) -> None:
    """What a release shows of the query survives JSON."""
    shown = json_writing.to_json(QUERIES[name])
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown) <= {"from", "where", "group_by", "select", "bounds"}


def test_the_json_form_shows_what_was_asked() -> None:
    """Names, edges, bounds and pairs appear as the researcher wrote them; what was not given is left out."""
    query = Query(
        "visits",
        (("t", Sum("visits", (0, 5))), ("m", Mean("visits")), ("n", Count("persons"))),
        nodes.Not(nodes.Any((Comparison("visits", "in", (1, 2.0)), Comparison("sex", "is_null")))),
        (ByValue("sex"), ByValue("sex", "again"), ByBins("visits", (0, 2.5), "b"), ByPeriod("day", "year")),
        nodes.Bounds(None, 3),
    )
    assert json_writing.to_json(query) == {
        "from": "visits",
        "where": {
            "not": {"any": [{"column": "visits", "op": "in", "value": [1, 2.0]}, {"column": "sex", "op": "is_null"}]}
        },
        "group_by": [
            "sex",
            {"column": "sex", "as": "again"},
            {"column": "visits", "bins": [0, 2.5], "as": "b"},
            {"column": "day", "period": "year"},
        ],
        "select": {"t": {"sum": "visits", "bounds": [0, 5]}, "m": {"mean": "visits"}, "n": {"count": "persons"}},
        "bounds": {"events_per_cell": 3},
    }


# Reading


@pytest.mark.parametrize("name", QUERIES)
def test_what_was_written_is_read_as_the_same_query(name: str) -> None:
    """Golden pairs, the other way: the SQL of a query is read as that query."""
    assert sql.parse(golden()[name]) == QUERIES[name]


COLUMNS = st.sampled_from(["sex", "visits", "day", "from", 'say "x"', "é"])
NAMES = st.sampled_from(["a", "b_2", "_c", "order"])
NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e9, 1e9)
SCALARS = NUMBERS | st.text(max_size=8) | st.booleans()
COMPARISONS = st.one_of(
    st.builds(Comparison, COLUMNS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), SCALARS),
    st.builds(Comparison, COLUMNS, st.just("in"), st.lists(SCALARS, min_size=1, max_size=4).map(tuple)),
    st.builds(Comparison, COLUMNS, st.just("between"), st.tuples(SCALARS, SCALARS)),
    st.builds(Comparison, COLUMNS, st.just("is_null")),
    st.builds(Comparison, COLUMNS, st.sampled_from(["under", "begins"]), st.text(min_size=1, max_size=8)),
    st.builds(Comparison, COLUMNS, st.sampled_from(["in", "under", "begins"]), st.builds(nodes.CodeList, NAMES)),
    st.builds(
        Comparison, COLUMNS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), st.builds(nodes.OtherColumn, COLUMNS)
    ),
)
# A connective within the same one is no other tree in SQL; the printer writes it without parentheses.
PREDICATES = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.lists(inner.filter(lambda part: not isinstance(part, nodes.All)), min_size=2, max_size=3)
        .map(tuple)
        .map(nodes.All),
        st.lists(inner.filter(lambda part: not isinstance(part, nodes.Any)), min_size=2, max_size=3)
        .map(tuple)
        .map(nodes.Any),
        inner.map(nodes.Not),
    ),
    max_leaves=6,
)
KEYS = st.one_of(
    st.builds(ByValue, COLUMNS, st.none() | NAMES),
    st.builds(ByPeriod, COLUMNS, st.sampled_from(nodes.PERIODS), st.none() | NAMES),
    st.builds(ByPart, COLUMNS, st.sampled_from(nodes.PARTS), st.none() | NAMES),
    st.builds(ByWidth, COLUMNS, NUMBERS.filter(lambda width: width > 0), st.none() | NUMBERS, st.none() | NAMES),
    st.builds(ByWidth, COLUMNS, st.integers(1, 10**6), st.dates().map(str), st.none() | NAMES),
    st.builds(ByBins, COLUMNS, st.lists(NUMBERS, min_size=2, max_size=4, unique=True).map(tuple), st.none() | NAMES),
)
WHERE = st.none() | PREDICATES
BOUNDS = st.none() | st.tuples(NUMBERS, NUMBERS)
SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)
# One share that is not in a list, or a list.
AT = SHARES.map(lambda share: ((share,), False)) | st.lists(SHARES, min_size=1, max_size=3).map(
    lambda shares: (tuple(shares), True)
)
STATISTICS = st.one_of(
    st.builds(Count, st.sampled_from(["persons", "events"]), where=WHERE),
    *(st.builds(kind, COLUMNS, BOUNDS, where=WHERE) for kind in (Sum, Mean, Variance, Stddev, Iqr)),
    *(
        st.builds(
            kind, st.tuples(COLUMNS, COLUMNS), st.none() | st.tuples(*[st.tuples(NUMBERS, NUMBERS)] * 2), where=WHERE
        )
        for kind in (Covariance, Correlation, nodes.Slope)
    ),
    st.builds(
        lambda column, at, bounds, where: Quantile(column, at[0], bounds, at[1], where=where),
        COLUMNS,
        AT,
        BOUNDS,
        WHERE,
    ),
    st.builds(
        Histogram,
        COLUMNS,
        st.none() | st.lists(NUMBERS | st.text(max_size=4), min_size=1, max_size=4).map(tuple),
        where=WHERE,
    ),
    st.builds(Top, COLUMNS, st.integers(1, 2**31 - 1), where=WHERE),
    st.builds(Proportion, PREDICATES, st.sampled_from(["persons", "events"])),
)
ANY_QUERY = st.builds(
    lambda keys, statistics, where: Query(
        "visits", tuple((f"s{n}", one) for n, one in enumerate(statistics)), where, tuple(keys)
    ),
    st.lists(KEYS, max_size=3, unique_by=lambda key: key.name or key.column),
    st.lists(STATISTICS, min_size=1, max_size=3),
    st.none() | PREDICATES,
)


@given(ANY_QUERY)
def test_every_query_survives_sql(query: Query) -> None:
    """Whatever tree is written as SQL is read as that very tree."""
    assert sql.parse(sql.to_sql(query)) == query


@given(ANY_QUERY)
def test_every_query_survives_json(query: Query) -> None:
    """Whatever tree is written as JSON is read as that very tree, through the server's own reader."""
    sent = json.loads(json.dumps(json_writing.to_json(query)))
    assert QuerySchema().load(sent) == query
    assert json_writing.to_json(QuerySchema().load(sent)) == sent


SPELLINGS = {
    "select sex , count( distinct PERSON ) as people from visits group by sex": Query(
        "visits", (("people", Count("persons")),), group_by=(ByValue("sex"),)
    ),
    "SELECT sex AS s, COUNT(*) FROM visits GROUP BY s": Query(
        "visits", (("count", Count("events")),), group_by=(ByValue("sex", "s"),)
    ),
    "SELECT COUNT(*), sex, region FROM visits GROUP BY 3, sex": Query(
        "visits", (("count", Count("events")),), group_by=(ByValue("region"), ByValue("sex"))
    ),
    "SELECT DATE_TRUNC('Month', day) AS m, SUM(visits), AVG(visits) FROM visits GROUP BY m": Query(
        "visits",
        (("sum_visits", Sum("visits")), ("mean_visits", Mean("visits"))),
        group_by=(ByPeriod("day", "month", "m"),),
    ),
    "SELECT COUNT(*) FROM visits WHERE 3 < visits AND day >= DATE '2020-01-01' AND NOT urgent -- a comment": Query(
        "visits",
        (("count", Count("events")),),
        nodes.All(
            (
                Comparison("visits", ">", 3),
                Comparison("day", ">=", "2020-01-01"),
                nodes.Not(Comparison("urgent", "=", True)),
            )
        ),
    ),
    "SELECT COUNT(*) FROM visits WHERE region IS NOT NULL AND visits NOT IN (1, -2.5) AND (sex <> 'a')": Query(
        "visits",
        (("count", Count("events")),),
        nodes.All(
            (
                nodes.Not(Comparison("region", "is_null")),
                nodes.Not(Comparison("visits", "in", (1, -2.5))),
                Comparison("sex", "!=", "a"),
            )
        ),
    ),
}


URGENT, MANY = Comparison("urgent", "=", True), Comparison("visits", ">", 1)

SPELLINGS |= {
    "SELECT SUM(CASE WHEN urgent THEN 1 ELSE 0 END) AS a, COUNT(CASE WHEN urgent THEN 'x' END) AS b, COUNT_IF(urgent) AS c, "
    "SUM(IF(urgent, 1.0, 0)) AS d, countif(urgent) FILTER (WHERE visits > 1) AS e, SUM(CASE WHEN urgent THEN 1 END) AS f "
    "FROM visits": Query(
        "visits",
        (
            *((name, Count("events", where=URGENT)) for name in "abcd"),
            ("e", Count("events", where=nodes.All((MANY, URGENT)))),
            ("f", Count("events", where=URGENT)),
        ),
    ),
    "SELECT COUNT(DISTINCT CASE WHEN urgent THEN Person END), AVG(CASE WHEN urgent THEN 1.0 ELSE 0 END) FROM visits": Query(
        "visits", (("persons", Count("persons", where=URGENT)), ("proportion", Proportion(URGENT)))
    ),
    "SELECT AVG(CASE WHEN urgent THEN visits END), SUM(CASE WHEN urgent THEN visits ELSE 0 END), "
    "MEDIAN(IF(urgent, CASE WHEN visits < 0 THEN 0 WHEN visits > 9 THEN 9 ELSE visits END, NULL)) FROM visits": Query(
        "visits",
        (
            ("mean_visits", Mean("visits", where=URGENT)),
            ("sum_visits", Sum("visits", where=URGENT)),
            ("median_visits", Quantile("visits", (0.5,), (0, 9), where=URGENT)),
        ),
    ),
    "SELECT median(visits), Quantile_Cont(visits, 0.9), QUANTILE_CONT(balance, [0.25, 0.75]) FROM visits": Query(
        "visits",
        (
            ("median_visits", Quantile("visits", (0.5,))),
            ("quantile_visits", Quantile("visits", (0.9,))),
            ("quantile_balance", Quantile("balance", (0.25, 0.75), listed=True)),
        ),
    ),
    "SELECT COUNT(1), COUNT(DISTINCT(person)) FROM visits": Query(
        "visits", (("count", Count("events")), ("persons", Count("persons")))
    ),
    "SELECT Iqr(visits) FROM visits": Query("visits", (("iqr_visits", Iqr("visits")),)),
    "SELECT VAR_SAMP(visits), STDDEV(visits), STDDEV_SAMP(balance) FROM visits": Query(
        "visits",
        (
            ("variance_visits", Variance("visits")),
            ("stddev_visits", Stddev("visits")),
            ("stddev_balance", Stddev("balance")),
        ),
    ),
    "SELECT COVAR_SAMP(visits, balance), CORR(balance, visits) FROM visits": Query(
        "visits",
        (
            ("covariance_visits_balance", Covariance(("visits", "balance"))),
            ("correlation_balance_visits", Correlation(("balance", "visits"))),
        ),
    ),
    "SELECT histogram(region), approx_top_k(unit, 2), HISTOGRAM(visits, [0, 5.5, 9]) AS h FROM visits": Query(
        "visits",
        (
            ("histogram_region", Histogram("region")),
            ("top_unit", Top("unit", 2)),
            ("h", Histogram("visits", (0, 5.5, 9))),
        ),
    ),
    "SELECT count(*) filter (where urgent) / count(*), COUNT(DISTINCT person) FILTER (WHERE urgent) AS p FROM visits": Query(
        "visits",
        (
            ("proportion", Proportion(Comparison("urgent", "=", True))),
            ("p", Count("persons", where=Comparison("urgent", "=", True))),
        ),
    ),
    "SELECT APPROX_TOP_K(unit, 3) FILTER (WHERE NOT urgent), AVG(visits) FILTER (WHERE urgent) FROM visits": Query(
        "visits",
        (
            ("top_unit", Top("unit", 3, where=nodes.Not(Comparison("urgent", "=", True)))),
            ("mean_visits", Mean("visits", where=Comparison("urgent", "=", True))),
        ),
    ),
}


CUTS: dict[str, nodes.Key] = {
    "FLOOR(visits / 10.0) * 10": ByWidth("visits", 10),
    "10 * FLOOR(visits / 10)": ByWidth("visits", 10),
    "visits // 10 * 10": ByWidth("visits", 10),
    "(FLOOR((visits - 5) / 10) * 10) + 5": ByWidth("visits", 10, 5),
    "month(day)": ByPart("day", "month"),
    "extract(isodow from day)": ByPart("day", "weekday"),
    "ISODOW(day)": ByPart("day", "weekday"),
    "WEEKOFYEAR(day)": ByPart("day", "week"),
    "DATE_TRUNC('week', day)": ByPeriod("day", "week"),
    "TIME_BUCKET(INTERVAL '14' DAY, day, DATE '2020-01-06')": ByWidth("day", 14, "2020-01-06"),
}


@pytest.mark.parametrize("text", CUTS)
def test_keys_that_are_computed_as_people_write_them(text: str) -> None:
    """Widths with the number on either side or with //, parts by function or EXTRACT."""
    column = CUTS[text].column
    assert sql.parse(f"SELECT {text} AS {column}, COUNT(*) FROM visits GROUP BY {text}").group_by == (CUTS[text],)


@pytest.mark.parametrize(
    "key",
    [
        ByWidth("visits", 3),
        ByWidth("visits", 4, -1),
        ByWidth("balance", 0.5),
        ByWidth("balance", 12, 2.25),
        ByWidth("day", 7, "2020-01-06"),
        *(ByPart("day", part) for part in nodes.PARTS),
    ],
    ids=str,
)
def test_the_sql_of_a_key_groups_as_the_answer_does(uncoded: duckdb.DuckDBPyConnection, key: nodes.Key) -> None:
    """DuckDB calls the cells as the answer does, with the same numbers of events in them."""
    query = Query("visits", (("n", Count("events")),), group_by=(key,))
    plan = planned(key, cells=100, events=1000, n=Count("events"))
    rows: Any = assembly.rows(plan, bounded(plan, EVENTS))
    ours = {row[key.column]: row["n"]["value"] for row in rows}
    theirs = {
        label.isoformat() if hasattr(label, "isoformat") else label: n
        for label, n in uncoded.execute(sql.to_sql(query)).fetchall()
    }
    assert {label: n for label, n in ours.items() if n} == {
        label: n for label, n in theirs.items() if label is not None or None in ours
    }


@pytest.mark.parametrize(
    ("column", "edges"),
    [("day", ("2020-01-15", "2020-02-01")), ("visits", (0, 5)), ("balance", (-100, 0.5)), ("day", None)],
)
def test_the_sql_of_a_histogram_is_valid(uncoded: duckdb.DuckDBPyConnection, column: str, edges: Any) -> None:
    """DuckDB runs it, and has each edge as a value of the column: also of days, whose texts are no dates to it."""
    query = Query("visits", (("found", nodes.Histogram(column, edges)),))
    assert sql.parse(sql.to_sql(query)) == query
    ((found,),) = uncoded.execute(sql.to_sql(query)).fetchall()
    named = {one.isoformat() if hasattr(one, "isoformat") else float(one) for one in found}
    assert named >= set(edges or ())


@pytest.mark.parametrize("text", SPELLINGS)
def test_sql_as_people_write_it(text: str) -> None:
    """Case, aliases, positions, mirrored comparisons, dates, comments and bare booleans are understood."""
    assert sql.parse(text) == SPELLINGS[text]


REFUSED = {
    "": ("1, column 1", "one SELECT"),
    ";": ("1, column 1", "one SELECT"),
    "DROP TABLE visits": ("1, column 1", "one SELECT"),
    "SELECT COUNT(*) FROM visits; DROP TABLE visits": ("1, column 1", "one SELECT"),
    "SELECT COUNT(*) FROM visits UNION SELECT 1": ("1, column 1", "one SELECT"),
    "(SELECT COUNT(*) FROM visits)": ("1, column 1", "one SELECT"),
    "SELECT COUNT(*)": ("1, column 8", "FROM"),
    "SELECT COUNT(*)\nFROM visits JOIN other USING (a)": ("2, column 18", "JOIN"),
    "SELECT COUNT(*) FROM visits, other": ("1, column 30", "JOIN"),
    "SELECT COUNT(*) FROM read_csv('/etc/passwd')": ("1", "name"),
    "SELECT COUNT(*) FROM main.visits": ("1", "schema"),
    "SELECT COUNT(*) FROM visits AS v (a, b)": ("1", "COLUMNS"),
    "SELECT COUNT(*) FROM visits LIMIT 0": ("1, column 35", "at least 1"),
    "SELECT COUNT(*) FROM visits LIMIT -1": ("1, column 36", "at least 1"),
    "SELECT COUNT(*) FROM visits LIMIT 3 OFFSET 2": ("1", "OFFSET"),
    "SELECT COUNT(*) FROM visits LIMIT 10 PERCENT": ("1", "anything after the number of LIMIT"),
    "SELECT COUNT(*) FROM visits FETCH FIRST 3 ROWS ONLY": ("1", "at least 1"),
    "SELECT COUNT(*) FROM visits ORDER BY 2": ("1, column 38", "there is no column 2"),
    "SELECT COUNT(*) FROM visits ORDER BY ALL": ("1", "select it too"),
    "SELECT COUNT(*) FROM visits ORDER BY AVG(visits)": ("1, column 38", "select it too"),
    "SELECT COUNT(*) FROM visits ORDER BY count + 1": ("1, column 38", "select it too"),
    "SELECT COUNT(*) FROM visits ORDER BY count NULLS FIRST": ("1, column 38", "comes last"),
    "SELECT COUNT(*) FROM visits HAVING COUNT(DISTINCT person) > 3": ("1, column 36", "select it too"),
    "SELECT COUNT(*) FROM visits HAVING MAX(visits) > 3": ("1", "QUANTILE_CONT(column, 0.99)"),
    "SELECT COUNT(*) FROM visits WHERE person IN (SELECT person FROM visits ORDER BY 1)": ("1", "a subquery has none"),
    "SELECT COUNT(*) FROM visits QUALIFY TRUE": ("1", "QUALIFY"),
    "SELECT COUNT(*) FROM visits TABLESAMPLE 10%": ("1", "SAMPLE"),
    "SELECT DISTINCT COUNT(*) FROM visits": ("1", "DISTINCT"),
    "SELECT COUNT(*) INTO x FROM visits": ("1", "INTO"),
    "WITH x AS (SELECT 1) SELECT COUNT(*) FROM x": ("1", "WITH"),
    "SELECT * FROM visits": ("1, column 8", "no rows"),
    "SELECT visits FROM visits": ("1, column 8", "statistic"),
    "SELECT sex, COUNT(*) FROM visits": ("1, column 8", "GROUP BY"),
    "SELECT sex, COUNT(*) FROM visits GROUP BY region": ("1, column 43", "selected"),
    "SELECT sex, COUNT(*) FROM visits GROUP BY 2": ("1, column 43", "selected"),
    "SELECT sex, COUNT(*) FROM visits GROUP BY 0": ("1, column 43", "selected"),
    "SELECT sex, COUNT(*) FROM visits GROUP BY sex, sex": ("1, column 48", "twice"),
    "SELECT sex, COUNT(*) FROM visits GROUP BY ALL": ("1", "ALL"),
    "SELECT sex, COUNT(*) FROM visits GROUP BY ROLLUP (sex)": ("1", ""),
    "SELECT COUNT(*), COUNT(*) FROM visits": ("1, column 18", "alias"),
    "SELECT COUNT(visits) FROM visits": ("1, column 8", "COUNT(*)"),
    "SELECT COUNT(DISTINCT sex) FROM visits": ("1, column 8", "COUNT(DISTINCT person)"),
    "SELECT COUNT(*) FILTER (WHERE MAX(visits) = 1) FROM visits": ("1, column 45", "column"),
    "SELECT COUNT(*) FILTER (WHERE visits = 1) FILTER (WHERE visits = 2) FROM visits": ("1", "read"),
    "SELECT sex FILTER (WHERE visits = 1) FROM visits": ("1", ""),
    "SELECT COUNT(*) / COUNT(*) FROM visits": ("1, column 8", "proportion is written"),
    "SELECT COUNT(*) FILTER (WHERE visits = 1) / COUNT(DISTINCT person) FROM visits": ("1, column 8", "proportion is"),
    "SELECT SUM(visits) FILTER (WHERE visits = 1) / COUNT(*) FROM visits": ("1, column 8", "proportion is"),
    "SELECT visits / COUNT(*) FROM visits": ("1, column 8", "proportion is"),
    "SELECT visits / 10, COUNT(*) FROM visits GROUP BY visits / 10": ("1, column 8", "FLOOR(column / 10) * 10"),
    "SELECT COUNT(*) FILTER (WHERE visits = 1) * 100 / COUNT(*) FROM visits": ("1, column 8", "proportion is"),
    "SELECT (COUNT(*)) FROM visits": ("1, column 9", "known"),
    "SELECT AVG(CASE WHEN urgent THEN 1 END) FROM visits": ("1, column 22", "write a column"),
    "SELECT AVG(CASE WHEN urgent THEN 0 ELSE 1 END) FROM visits": ("1", "clamp"),
    "SELECT AVG(CASE WHEN urgent THEN visits ELSE 0 END) FROM visits": ("1", "clamp"),
    "SELECT SUM(CASE WHEN urgent THEN 2 ELSE 0 END) FROM visits": ("1", "write a column"),
    "SELECT SUM(CASE urgent WHEN TRUE THEN 1 ELSE 0 END) FROM visits": ("1", "clamp"),
    "SELECT COUNT(CASE WHEN urgent THEN 1 ELSE 0 END) FROM visits": ("1", "COUNT(*)"),
    "SELECT COUNT(CASE WHEN urgent THEN visits END) FROM visits": ("1", "COUNT(*)"),
    "SELECT COUNT(DISTINCT CASE WHEN urgent THEN sex END) FROM visits": ("1", "name of a column"),
    "SELECT COUNT(DISTINCT CASE WHEN urgent THEN person ELSE person END) FROM visits": ("1", "here"),
    "SELECT AVG(CASE WHEN urgent THEN 1 ELSE 0 END) FILTER (WHERE visits > 1) FROM visits": ("1", "clamp"),
    "SELECT VARIANCE(DISTINCT visits) FROM visits": ("1", "clamp"),
    "SELECT VAR_POP(visits) FROM visits": ("1, column 8", "no statistic that is known"),
    "SELECT STDDEV_POP(visits) FROM visits": ("1, column 8", "no statistic that is known"),
    "SELECT COVAR_POP(visits, balance) FROM visits": ("1, column 8", "no statistic that is known"),
    "SELECT COVAR_SAMP(visits) FROM visits": ("1", ""),
    "SELECT CORR(visits, CASE WHEN a < 0 THEN 0 WHEN a > 9 THEN 9 ELSE a END) FROM visits": ("1, column 8", "both"),
    "SELECT CORR(visits, balance + 1) FROM visits": ("1, column 21", "clamp"),
    "SELECT MEDIAN(visits + 1) FROM visits": ("1, column 15", "clamp"),
    "SELECT QUANTILE_CONT(visits) FROM visits": ("1", "0.5"),
    "SELECT QUANTILE_CONT(visits, 0) FROM visits": ("1, column 30", "above 0 and below 1"),
    "SELECT QUANTILE_CONT(visits, 1.5) FROM visits": ("1, column 30", "above 0 and below 1"),
    "SELECT QUANTILE_CONT(visits, 'x') FROM visits": ("1, column 30", "above 0 and below 1"),
    "SELECT QUANTILE_CONT(visits, TRUE) FROM visits": ("1", "above 0 and below 1"),
    "SELECT QUANTILE_CONT(visits, []) FROM visits": ("1", "not empty"),
    "SELECT QUANTILE_CONT(visits, [0.5, 2]) FROM visits": ("1, column 36", "above 0 and below 1"),
    "SELECT IQR() FROM visits": ("1, column 8", "IQR(column)"),
    "SELECT IQR(visits, 0.5) FROM visits": ("1, column 8", "IQR(column)"),
    "SELECT IQR(visits + 1) FROM visits": ("1, column 12", "clamp"),
    "SELECT QUANTILE_DISC(visits, 0.5) FROM visits": ("1", "no statistic that is known"),
    "SELECT APPROX_QUANTILE(visits, 0.5) FROM visits": ("1", "no statistic that is known"),
    "SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY visits) FROM visits": ("1", "known"),
    "SELECT HISTOGRAM() FROM visits": ("1, column 8", "HISTOGRAM(column)"),
    "SELECT HISTOGRAM(visits, 3) FROM visits": ("1, column 8", "HISTOGRAM(column)"),
    "SELECT HISTOGRAM(visits, []) FROM visits": ("1", "not empty"),
    "SELECT HISTOGRAM(visits, [1, visits]) FROM visits": ("1, column 30", "number"),
    "SELECT HISTOGRAM(visits + 1) FROM visits": ("1, column 18", "column"),
    "SELECT APPROX_TOP_K(sex) FROM visits": ("1, column 8", "five most frequent"),
    "SELECT APPROX_TOP_K(sex, 0) FROM visits": ("1, column 8", "five most frequent"),
    "SELECT APPROX_TOP_K(sex, -1) FROM visits": ("1, column 8", "five most frequent"),
    "SELECT APPROX_TOP_K(sex, 2.5) FROM visits": ("1, column 8", "five most frequent"),
    "SELECT APPROX_TOP_K(sex, TRUE) FROM visits": ("1, column 8", "five most frequent"),
    "SELECT APPROX_TOP_K(lower(sex), 2) FROM visits": ("1", "column"),
    "SELECT nothing_known(visits) FROM visits": ("1, column 8", "no such function"),
    "SELECT ARG_MAX(visits, balance) FROM visits": ("1", "no statistic that is known"),
    "SELECT LIST(visits) FROM visits": ("1, column 8", "no statistic that is known"),
    "SELECT STRING_AGG(sex, ',') FROM visits": ("1", "no statistic that is known"),
    "SELECT FIRST(visits) FROM visits": ("1, column 8", "no statistic that is known"),
    "SELECT COUNT(*) OVER () FROM visits": ("1, column 8", "compute with the numbers of the answer"),
    "SELECT COUNT(DISTINCT person) * 100 FROM visits": ("1, column 8", "compute with the numbers of the answer"),
    "SELECT ROUND(AVG(balance), 2) FROM visits": ("1, column 8", '"post": ["round"]'),
    "SELECT COUNT(*) - COUNT(DISTINCT person) FROM visits": ("1, column 8", "compute with the numbers of the answer"),
    "SELECT SUM(visits) / COUNT(*) FROM visits": ("1, column 8", "a mean is AVG"),
    "SELECT DISTINCT sex, COUNT(*) FROM visits GROUP BY sex": ("1", "another group already"),
    "SELECT person, COUNT(*) FROM visits GROUP BY person": ("1, column 8", "single persons are not shown"),
    "SELECT SUM(visits + 1) FROM visits": ("1", "clamp"),
    "SELECT SUM(DISTINCT visits) FROM visits": ("1", "clamp"),
    "SELECT MAX(visits) FROM visits": ("1", "QUANTILE_CONT(column, 0.99)"),
    "SELECT MIN(visits) FROM visits": ("1", "QUANTILE_CONT(column, 0.01)"),
    "SELECT COUNT(*) FROM visits WHERE visits = NULL": ("1", "number"),
    "SELECT COUNT(*) FROM visits WHERE visits = (SELECT 1)": ("1", "number"),
    "SELECT COUNT(*) FROM visits WHERE visits IN (SELECT visits FROM visits)": ("1", "subquery"),
    "SELECT COUNT(*) FROM visits WHERE visits IN ()": ("1", "IN"),
    "SELECT COUNT(*) FROM visits WHERE sex IN OTHERS('f')": ("1, column 42", "CODES"),
    "SELECT COUNT(*) FROM visits WHERE sex IN DESCENDANTS('f', 'm')": ("1, column 42", "CODES"),
    "SELECT COUNT(*) FROM visits WHERE sex IN DESCENDANTS(OTHERS('f'))": ("1, column 54", "CODES"),
    "SELECT COUNT(*) FROM visits WHERE visits < balance + 1": ("1, column 44", "number"),
    "SELECT COUNT(*) FROM visits WHERE sex IN CODES()": ("1, column 42", "CODES"),
    "SELECT COUNT(*) FROM visits WHERE sex IN CODES(region)": ("1, column 42", "CODES"),
    "SELECT COUNT(*) FROM visits WHERE sex LIKE 'f'": ("1, column 35", "beginning"),
    "SELECT COUNT(*) FROM visits WHERE sex LIKE '%f'": ("1, column 35", "beginning"),
    "SELECT COUNT(*) FROM visits WHERE sex LIKE '%f%'": ("1, column 35", "beginning"),
    "SELECT COUNT(*) FROM visits WHERE sex LIKE 'f_%'": ("1, column 35", "beginning"),
    "SELECT COUNT(*) FROM visits WHERE sex LIKE '%'": ("1, column 35", "beginning"),
    "SELECT COUNT(*) FROM visits WHERE sex LIKE 3": ("1, column 35", "beginning"),
    "SELECT COUNT(*) FROM visits WHERE sex LIKE region": ("1, column 44", "text"),
    "SELECT COUNT(*) FROM visits WHERE sex LIKE 'f%' ESCAPE 'e'": ("1, column 35", "compare"),
    "SELECT COUNT(*) FROM visits WHERE sex ILIKE 'f%'": ("1, column 35", "compare"),
    "SELECT COUNT(*) FROM visits WHERE 'f' LIKE 'f%'": ("1, column 35", "column"),
    "SELECT COUNT(*) FROM visits WHERE lower(sex) = 'f'": ("1", "column"),
    "SELECT COUNT(*) FROM visits WHERE visits::int = 3": ("1", "column"),
    "SELECT COUNT(*) FROM visits WHERE v.visits = 3": ("1", "table before"),
    "SELECT COUNT(*) FROM visits WHERE visits = 1e999": ("1, column 44", "too large"),
    "SELECT COUNT(*) FROM visits WHERE visits BETWEEN SYMMETRIC 3 AND 1": ("1", "SYMMETRIC"),
    "SELECT COUNT(*) FROM visits WHERE EXISTS (SELECT 1)": ("1", "compare"),
    "SELECT COUNT(*) FROM visits WHERE = 3": ("1", "read"),
    "SELECT CASE WHEN a >= 0 AND a < 5 THEN 5 END AS a, COUNT(*) FROM visits GROUP BY 1": ("1", "is a text"),
    "SELECT CASE WHEN a <= 5 THEN 'x' END AS a, COUNT(*) FROM visits GROUP BY 1": ("1", "with open ends"),
    "SELECT CASE WHEN a >= 5 AND b < 9 THEN 'x' END AS a, COUNT(*) FROM visits GROUP BY 1": ("1", "with open ends"),
    "SELECT CASE WHEN a < 5 THEN 'x' WHEN b < 9 THEN 'y' END AS a, COUNT(*) FROM visits GROUP BY 1": ("1", "open ends"),
    "SELECT CASE WHEN a < 5 THEN 'x' WHEN a >= 6 THEN 'y' END AS a, COUNT(*) FROM visits GROUP BY 1": ("1", "a gap"),
    "SELECT CASE WHEN a >= 5 THEN 'x' WHEN a < 5 THEN 'y' END AS a, COUNT(*) FROM visits GROUP BY 1": ("1", "a gap"),
    "SELECT CASE WHEN a >= 0 AND a < 5 THEN 'x' WHEN a < 9 THEN 'y' END AS a, COUNT(*) FROM visits GROUP BY 1": (
        "1",
        "a gap",
    ),
    "SELECT CASE WHEN a >= 0 AND a < 5 THEN 'young' ELSE 'old' END AS a, COUNT(*) FROM visits GROUP BY 1": (
        "1",
        "ELSE",
    ),
    "SELECT DATE_TRUNC('hour', day) AS d, COUNT(*) FROM visits GROUP BY d": ("1", "year, quarter, month"),
    "SELECT FLOOR(visits / 10) * 5 AS v, COUNT(*) FROM visits GROUP BY v": ("1", "the same"),
    "SELECT FLOOR((visits - 1) / 10) * 10 AS v, COUNT(*) FROM visits GROUP BY v": ("1", "origin"),
    "SELECT FLOOR(visits / 10, 2) * 10 AS v, COUNT(*) FROM visits GROUP BY v": ("1", "DECIMALS"),
    "SELECT FLOOR(visits) * 10 AS v, COUNT(*) FROM visits GROUP BY v": ("1", "bins of a width"),
    "SELECT FLOOR(visits / sex) * 10 AS v, COUNT(*) FROM visits GROUP BY v": ("1", "number"),
    "SELECT FLOOR(visits / 10) AS v, COUNT(*) FROM visits GROUP BY v": ("1", "key is"),
    "SELECT EXTRACT(DOW FROM day) AS d, COUNT(*) FROM visits GROUP BY d": ("1", "1 is Monday"),
    "SELECT MONTH(day + 1) AS d, COUNT(*) FROM visits GROUP BY d": ("1", "column"),
    "SELECT TIME_BUCKET(INTERVAL 7 MONTH, day, DATE '2020-01-06') AS d, COUNT(*) FROM visits GROUP BY d": ("1", "DAY"),
    "SELECT TIME_BUCKET(INTERVAL 7 DAY, day) AS d, COUNT(*) FROM visits GROUP BY d": ("1", "DAY"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_unsupported_sql_refused_with_its_place(text: str) -> None:
    """Everything beyond the language is refused, with line and column and what to write instead."""
    with pytest.raises(InvalidQuery) as refused:
        sql.read(text)
    place, says = REFUSED[text]
    assert refused.value.pointer == "/sql"
    assert f"line {place}" in refused.value.message
    assert says in refused.value.message


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'open FROM visits",
        "SELECT COUNT(*) FROM visits WHERE " + "(" * 5000 + "visits = 1" + ")" * 5000,
        "SELECT COUNT(*) FROM visits WHERE " + "NOT " * 5000 + "visits = 1",
        "SELECT COUNT(*) FROM visits WHERE visits = " + "9" * 5000,
        "SELECT COUNT(*) FROM visits" + " " * sql.TEXT_MAX,
        "\0",
        "SELECT COUNT(*) FROM visits WHERE sex = '\ud800",
    ],
)
def test_garbled_sql_refused(text: str) -> None:
    """Open quotes, abysses of parentheses, endless numbers and no characters at all are refused like anything else."""
    with pytest.raises(InvalidQuery):
        sql.parse(text)


def test_sql_with_thousand_conditions_is_read() -> None:
    """A thousand conditions in a row are no depth."""
    chain = " OR ".join(f"visits = {n}" for n in range(1000))
    where = sql.parse(f"SELECT COUNT(*) FROM visits WHERE {chain}").where
    assert isinstance(where, nodes.Any)
    assert where.parts[999] == Comparison("visits", "=", 999)


WORDS = st.sampled_from(
    [
        "SELECT",
        "FROM",
        "WHERE",
        "GROUP",
        "BY",
        "COUNT",
        "(",
        ")",
        "*",
        ",",
        "DISTINCT",
        "person",
        "AS",
        "visits",
        "sex",
        "SUM",
        "AVG",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "AND",
        "OR",
        "NOT",
        "IN",
        "BETWEEN",
        "IS",
        "NULL",
        "=",
        "<",
        ">=",
        "1",
        "-2",
        "'x'",
        '"',
        ";",
        "--",
        "/*",
        "*/",
        "DATE_TRUNC",
        "JOIN",
        "UNION",
        "LIMIT",
        "HAVING",
        "ORDER BY",
        "DESC",
        "count",
        "::",
        "[",
        "]",
        "{",
        "}",
        "$1",
        "?",
        "@x",
        ".",
        "EXISTS",
        "LIKE",
        "COPY",
        "ATTACH",
        "PRAGMA",
        "read_csv",
        "VALUES",
        "LATERAL",
        "PIVOT",
        "ANY",
        "ALL",
        "FILTER (WHERE",
        "FILTER",
        "MEDIAN(",
        "QUANTILE_CONT(",
        "HISTOGRAM(",
        "APPROX_TOP_K(",
        "CORR(",
        "VARIANCE(",
        "STDDEV_POP(",
        "WITHIN GROUP",
        "/",
        "0.5",
        "[0.5, 0.9]",
        "OVER",
        "INTERVAL",
        "CAST",
        "DATE",
        "TRUE",
        "\u200b",
        "（",
    ]
)


@pytest.mark.slow
@settings(max_examples=400)
@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=60))
def test_no_text_is_anything_but_read_or_refused(text: str) -> None:
    """Whatever is sent is a query, which can be written again and is the same, or InvalidQuery; nothing else happens."""
    for attempt in (
        text,
        f"SELECT COUNT(*) FROM visits WHERE {text}",
        f"SELECT {text} FROM visits GROUP BY {text}",
        *(f"SELECT sex, COUNT(*) FROM visits GROUP BY sex {clause} {text}" for clause in ("HAVING", "ORDER BY", "")),
    ):
        try:
            read, show = sql.read(attempt)
        except InvalidQuery:
            continue
        assert sql.read(sql.to_sql(read, show)) == (read, show)
