"""`under` by a declared hierarchy: a public list of codes, over declared values and others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from queries.binding import filters
from queries.binding.predicates import Among, Beginning, Spelled
from queries.catalog.hierarchies import Hierarchy
from queries.catalog.schema import Column, Kind, Table, frozen
from queries.errors import InvalidQuery
from queries.language.nodes import Comparison, Not

PARENTS = {"C09AA05": ("C09AA",), "C09AA": ("C09A", "hypertension"), "C09AB": ("C09A",), "C03": ("hypertension",)}
BY_TABLE = Hierarchy(frozen(PARENTS))
VALUES = ("C03", "C09AA05", "C09AB", "N02")
DRUG = Column("drug", Kind.CATEGORY, values=VALUES, hierarchy=BY_TABLE)
TABLE = Table(
    "drugs",
    frozen(
        {
            "drug": DRUG,
            "free": replace(DRUG, name="free", values=None),
            "prefix": replace(DRUG, name="prefix", hierarchy=Hierarchy()),
            "plain": replace(DRUG, name="plain", values=None, hierarchy=None),
        }
    ),
)


def bound(column: str, value: str | int, op: str = "under") -> object:
    """Return a bound comparison."""
    return filters.bind(Comparison(column, op, value), TABLE, "/query/where")


def test_what_is_under_a_code_is_a_list() -> None:
    """A code and all below it, on every path; a chapter need not be a value. Beginnings are compared as they are."""
    assert bound("drug", "hypertension") == Among("drug", ((1, 2),))
    assert bound("drug", "C09A") == Among("drug", ((2, 3),))
    assert bound("drug", "N02") == Among("drug", ((4, 4),))
    assert bound("drug", "C09", "begins") == Among("drug", ((2, 3),))
    assert bound("free", "C09A") == Spelled("free", ("C09A", "C09AA", "C09AA05", "C09AB"), negated=False)
    assert bound("free", "C09A", "begins") == Beginning("free", ("C09A",), negated=False)
    negated = filters.bind(Not(Comparison("drug", "under", "C09A")), TABLE, "/query/where")
    assert negated == Among("drug", ((1, 1), (4, 4)))


def test_without_a_table_of_parents_under_is_begins() -> None:
    """One question, in two words."""
    assert bound("prefix", "C09") == bound("prefix", "C09", "begins") == Among("prefix", ((2, 3),))
    assert bound("plain", "C09") == bound("plain", "C09", "begins")


@pytest.mark.parametrize(("column", "value"), [("drug", "C09AA0"), ("free", "nowhere"), ("free", 3)])
def test_a_code_that_no_hierarchy_has_is_refused(column: str, value: str | int) -> None:
    """Rather than paying for an answer about a typing error."""
    with pytest.raises(InvalidQuery) as refused:
        bound(column, value)
    assert refused.value.pointer == "/query/where/value"
