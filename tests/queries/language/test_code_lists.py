"""Code lists of a study: their codes stand in their place, wherever a filter may stand."""

from __future__ import annotations

import pytest

from queries.errors import InvalidQuery
from queries.language import code_lists, nodes
from queries.language.nodes import All, Cohort, Comparison, Count, Not, PerPerson, Proportion, Query, Related, Value

LISTS = {"diabetes": ["E10", "E11"], "one": ["I10"]}


def query(named: nodes.Predicate, other: nodes.Predicate) -> Query:
    """Return a query with conditions in every place where one may stand."""
    values = (
        ("seen", Value("exists", where=named)),
        ("wait", Value("days_to", to=Related("drugs", other))),
    )
    cohort = Cohort("visits", other, after=Related("drugs", named), without=Related("drugs", other))
    return Query(
        PerPerson("visits", values, named),
        (("n", Count("persons", where=Not(other))), ("p", Proportion(named))),
        All((other, cohort)),
    )


def test_codes_stand_in_place_of_their_list() -> None:
    """In filters, cohorts, per-person tables and statistics; `under` asks for each code as a beginning."""
    named = (
        Comparison("code", "in", nodes.CodeList("diabetes")),
        Comparison("code", "under", nodes.CodeList("diabetes")),
    )
    written = (
        Comparison("code", "in", ("E10", "E11")),
        nodes.Any((Comparison("code", "under", "E10"), Comparison("code", "under", "E11"))),
    )
    assert code_lists.filled_in(query(*named), LISTS) == query(*written)
    assert code_lists.filled_in(query(*written), LISTS) == query(*written)


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        (
            query(Comparison("code", "in", nodes.CodeList("x")), Comparison("code", "=", "a")),
            "/query/from/where/value/list",
        ),
        (
            query(Comparison("code", "=", "a"), Comparison("code", "in", nodes.CodeList("x"))),
            "/query/from/values/wait/days_to/where/value/list",
        ),
        (
            Query("visits", (("p", Proportion(Not(Comparison("code", "under", nodes.CodeList("x"))))),)),
            "/query/select/p/proportion/not/value/list",
        ),
    ],
)
def test_a_list_that_the_protocol_lacks_is_refused_with_its_place(asked: Query, pointer: str) -> None:
    """The first one that is missing, with the names that there are."""
    with pytest.raises(InvalidQuery) as refused:
        code_lists.filled_in(asked, LISTS)
    assert refused.value.pointer == pointer
    with pytest.raises(InvalidQuery):
        code_lists.filled_in(asked, {})
