"""Which codes are under which, by prefix and by a table of parents."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from queries.catalog import manifest, schema
from queries.catalog.hierarchies import Hierarchy
from queries.catalog.schema import Column
from queries.errors import ManifestError

MANIFEST = """
[dataset]
name = "d"
epsilon = 1
persons_max = 10
[person]
id = "p"
[tables.t]
source = "t.parquet"
[tables.t.columns.code]
type = "category"
"""
PARENTS = {"E11.0": ("E11",), "E11.9": ("E11",), "E11": ("E10-E14", "chronic"), "I10": ("chronic",)}


def column(keys: str) -> Column:
    """Return the one column of a manifest."""
    return manifest.parse(f"{MANIFEST}{keys}\n", Path("/data")).dataset.tables["t"].columns["code"]


def shown(keys: str) -> dict[str, Any]:
    """Return the one column as the catalog shows it."""
    tables: Any = schema.describe(manifest.parse(f"{MANIFEST}{keys}\n", Path("/data")).dataset)["tables"]
    found: dict[str, Any] = tables["t"]["columns"]["code"]
    return found


def test_under_by_prefix_is_every_value_that_begins_with_the_text() -> None:
    """A value is under itself and under each of its beginnings; nothing else is."""
    hierarchy = Hierarchy()
    values = ("E11", "E11.0", "E1", "e11", "XE11")
    assert hierarchy.by_prefix
    assert hierarchy.under("E11", values) == ("E11", "E11.0")
    assert (hierarchy.knows("E", values), hierarchy.knows("F", values)) == (True, False)


def test_under_by_parents_follows_every_way_up() -> None:
    """A value with two parents is under both, and a parent that is no value of the column is known."""
    hierarchy = Hierarchy(PARENTS)
    assert set(hierarchy.descendants("chronic")) == {"chronic", "E11", "E11.0", "E11.9", "I10"}
    assert hierarchy.under("E10-E14", ("I10", "E11.9", "E11")) == ("E11.9", "E11")
    assert hierarchy.under("E11.0", ("E11", "E11.0")) == ("E11.0",)
    assert [hierarchy.knows(one, ("Z00",)) for one in ("chronic", "I10", "Z00", "E1")] == [True, True, True, False]


def test_descendants_of_a_deep_hierarchy_need_no_recursion() -> None:
    """A chain of 100,000 codes is followed to its end."""
    chain = Hierarchy({str(number + 1): (str(number),) for number in range(100_000)})
    assert len(chain.descendants("0")) == 100_001


def test_hierarchies_of_a_manifest() -> None:
    """A column declares prefixes, parents or nothing; columns stay hashable and can be sent to other processes."""
    assert column("").hierarchy is None
    assert column('hierarchy = "prefix"').hierarchy == Hierarchy()
    by_table = column('hierarchy = { "E11.0" = "E11", E11 = ["E10-E14", "chronic"] }')
    assert by_table.hierarchy == Hierarchy({"E11.0": ("E11",), "E11": ("E10-E14", "chronic")})
    assert pickle.loads(pickle.dumps(by_table)) == by_table
    assert hash(by_table) == hash(column('hierarchy = { E11 = "E" }'))


def test_labels_of_values_are_declared_as_a_table() -> None:
    """The keys are the values in their order; an empty label is none."""
    one = column('values = { F = "female", M = "male", X = "" }')
    assert one.values == ("F", "M", "X")
    assert one.value_labels == {"F": "female", "M": "male"}
    assert column('values = ["F"]').value_labels == {}


def test_catalog_shows_labels_and_hierarchies() -> None:
    """Both are public and stand beside the values; a column without them is shown as before."""
    found = shown('values = { F = "female", M = "male" }\nhierarchy = { F = "all" }')
    assert found["values"] == ["F", "M"]
    assert found["value_labels"] == {"F": "female", "M": "male"}
    assert found["hierarchy"] == {"F": ["all"]}
    assert shown('hierarchy = "prefix"')["hierarchy"] == "prefix"
    assert {"value_labels", "hierarchy"}.isdisjoint(shown('values = ["F"]'))


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ('hierarchy = "suffix"', "hierarchy"),
        ("hierarchy = 3", "hierarchy"),
        ("hierarchy = { E11 = 3 }", "hierarchy.E11"),
        ("hierarchy = { E11 = [] }", "hierarchy.E11"),
        ('hierarchy = { a = "b", b = "c", c = "a" }', "hierarchy"),
        ('hierarchy = { a = "a" }', "hierarchy"),
        ("values = {}", "values"),
        ("values = { F = 1 }", "values.F"),
    ],
)
def test_wrong_labels_and_hierarchies_are_refused_at_their_place(keys: str, place: str) -> None:
    """Other types, empty tables, and hierarchies that go round in a circle."""
    with pytest.raises(ManifestError) as refused:
        column(keys)
    assert refused.value.place == f"tables.t.columns.code.{place}"
