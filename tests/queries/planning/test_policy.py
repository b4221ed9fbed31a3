from __future__ import annotations

import pytest

from queries.errors import OutsideProtocol
from queries.language import nodes, references
from queries.language.nodes import (
    All,
    Any,
    ByBins,
    ByPeriod,
    ByValue,
    Comparison,
    Correlation,
    Count,
    Covariance,
    Histogram,
    Iqr,
    Mean,
    Not,
    Proportion,
    Quantile,
    Query,
    Stddev,
    Sum,
    Survival,
    Top,
    Variance,
)
from queries.planning import policy
from queries.planning.policy import Protocol
from queries.statistics import registry

WHERE = All((Comparison("a", "=", 1), Not(Any((Comparison("b", "is_null"), Comparison("c", "in", (1, 2)))))))
QUERY = Query(
    "visits",
    (
        ("people", Count("persons", where=Comparison("i", "=", 1))),
        ("total", Sum("d")),
        ("average", Mean("e", where=Not(Comparison("j", "=", 1)))),
        ("share", Proportion(Any((Comparison("k", "=", 1), Comparison("l", "is_null"))))),
        ("variance", Variance("m")),
        ("spread", Stddev("n", (0, 1))),
        ("median", Quantile("o", (0.5,))),
        ("range", Iqr("w")),
        ("histogram", Histogram("p", (0, 1))),
        ("often", Top("q", 3)),
        ("together", Covariance(("r", "s"))),
        ("alike", Correlation(("t", "u"))),
        ("trend", nodes.Slope(("x", "y"))),
        ("curve", Survival("v", (0, 30), censored="z")),
        ("rate", nodes.Rate("v2", 90, "2020-12-31", "z2")),
    ),
    WHERE,
    (ByValue("f"), ByBins("g", (0, 1)), ByPeriod("h", "year")),
)
PLACES = {
    "a": "/query/where/all/0/column",
    "b": "/query/where/all/1/not/any/0/column",
    "c": "/query/where/all/1/not/any/1/column",
    "d": "/query/select/total/sum",
    "e": "/query/select/average/mean",
    "i": "/query/select/people/where/column",
    "j": "/query/select/average/where/not/column",
    "k": "/query/select/share/proportion/any/0/column",
    "l": "/query/select/share/proportion/any/1/column",
    "m": "/query/select/variance/variance",
    "n": "/query/select/spread/stddev",
    "o": "/query/select/median/quantile",
    "p": "/query/select/histogram/histogram",
    "q": "/query/select/often/top",
    "r": "/query/select/together/covariance/0",
    "s": "/query/select/together/covariance/1",
    "t": "/query/select/alike/correlation/0",
    "u": "/query/select/alike/correlation/1",
    "x": "/query/select/trend/slope/0",
    "y": "/query/select/trend/slope/1",
    "z": "/query/select/curve/censored",
    "v2": "/query/select/rate/rate",
    "z2": "/query/select/rate/censored",
    "v": "/query/select/curve/survival",
    "w": "/query/select/range/iqr",
    "f": "/query/group_by/0",
    "g": "/query/group_by/1/column",
    "h": "/query/group_by/2/column",
}


def test_a_protocol_that_names_nothing_allows_everything() -> None:
    """No list is no limit."""
    policy.check(QUERY, nodes.Privacy(10**18), Protocol())


def test_a_query_within_every_list_is_allowed() -> None:
    """Exactly what the protocol names, up to exactly its epsilon."""
    statistics = frozenset(nodes.word_of(statistic) for _, statistic in QUERY.select)
    policy.check(QUERY, nodes.Privacy(500), Protocol(frozenset({"visits"}), frozenset(PLACES), statistics, 500))


def test_every_column_is_found_with_its_place() -> None:
    """Filters, keys and statistics all name columns, and none is overlooked."""
    assert {column: pointer for pointer, column in references.columns(QUERY)} == PLACES


@pytest.mark.parametrize("column", PLACES)
def test_a_column_outside_the_protocol_is_refused_wherever_it_stands(column: str) -> None:
    """One column less in the list, and its first mention is named."""
    with pytest.raises(OutsideProtocol) as refused:
        policy.check(QUERY, nodes.Privacy(1), Protocol(columns=frozenset(PLACES) - {column}))
    assert refused.value.pointer == PLACES[column]


@pytest.mark.parametrize(
    ("protocol", "pointer"),
    [
        (Protocol(tables=frozenset({"other"})), "/query/from"),
        (Protocol(tables=frozenset()), "/query/from"),
        (Protocol(columns=frozenset()), PLACES["a"]),
        *(
            (Protocol(statistics=frozenset(registry.WORDS) - {nodes.word_of(statistic)}), f"/query/select/{name}")
            for name, statistic in QUERY.select
        ),
        (Protocol(epsilon_nano_max=499), "/privacy/epsilon"),
        (Protocol(epsilon_nano_max=0), "/privacy/epsilon"),
    ],
)
def test_what_the_protocol_does_not_name_is_refused_with_its_place(protocol: Protocol, pointer: str) -> None:
    """Tables, statistics and the epsilon of one query are allow-lists too; an empty one allows nothing."""
    with pytest.raises(OutsideProtocol) as refused:
        policy.check(QUERY, nodes.Privacy(500), protocol)
    assert refused.value.pointer == pointer


def test_the_most_rho_costs_no_more_than_the_most_epsilon() -> None:
    """A protocol's largest epsilon of 0.1 allows a rho of 0.1^2 / 2, and not a billionth more."""
    protocol = Protocol(epsilon_nano_max=10**8)
    policy.check(QUERY, nodes.Privacy(rho_nano=5_000_000), protocol)
    with pytest.raises(OutsideProtocol) as refused:
        policy.check(QUERY, nodes.Privacy(rho_nano=5_000_001), protocol)
    assert refused.value.pointer == "/privacy/rho"


def test_every_statistic_of_the_grammar_can_be_named() -> None:
    """The protocol's words are the grammar's."""
    words = [nodes.word_of(statistic) for _, statistic in QUERY.select]
    assert sorted(words) == sorted(registry.WORDS)
    assert {type(statistic) for _, statistic in QUERY.select} == set(nodes.Statistic.__args__)
