"""Labels of an answer's values: of those that it names, and of no others."""

from __future__ import annotations

from dataclasses import replace

from queries.catalog.schema import Column, Dataset, Kind, Table, frozen
from queries.language import nodes
from queries.release import value_labels
from tests.queries.clinic import CLINIC, plan_of

SITE = Column("site", Kind.CATEGORY, values=("A", "B", "C"), value_labels={"A": "Alpine", "C": "Coast"})


def dataset(site: Column) -> Dataset:
    """Return a dataset with one table of one column."""
    return replace(CLINIC, tables=frozen({**CLINIC.tables, "stays": Table("stays", frozen({"site": site}))}))


def test_keys_and_lists_have_the_labels_of_the_values_that_they_name() -> None:
    """A value without a label has none, and null neither."""
    select = (("often", nodes.Top("site", 2)), ("each", nodes.Histogram("site")), ("n", nodes.Count("persons")))
    query = nodes.Query("stays", select, group_by=(nodes.ByValue("site"),))
    plan = plan_of(query, dataset=dataset(SITE))
    listed = {"top": [{"key": "C", "value": 3}, {"key": "B", "value": 1}]}
    each = {"bins": [{"bin": "A", "value": 3}]}
    rows = [{"site": value, "often": listed, "each": each, "n": {"value": 1}} for value in ("A", "B", None)]
    assert value_labels.of(plan, rows) == {
        "value_labels": {"site": {"A": "Alpine"}, "often": {"C": "Coast"}, "each": {"A": "Alpine"}}
    }
    bare = plan_of(query, dataset=dataset(replace(SITE, value_labels={})))
    assert value_labels.of(bare, rows) == {}
