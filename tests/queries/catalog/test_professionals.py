from __future__ import annotations

from pathlib import Path

import pytest

from queries.catalog import manifest, schema
from queries.errors import ManifestError
from queries.planning import policy

MARKED = """
[dataset]
name = "d"
epsilon = 1
persons_max = 10
[person]
id = "p"
[person.columns.birth]
type = "date"
[tables.t]
source = "t.csv"
[tables.t.columns.practice]
type = "category"
professional = true
[tables.t.columns.opened]
type = "date"
professional = true
[tables.t.columns.seen]
type = "date"
"""
COMPUTED = """
[tables.t.columns.since]
days_from = "opened"
to = "seen"
bounds = [0, 100]
"""


def test_marked_columns_are_public_and_known_by_name() -> None:
    """The catalog says which columns are about professionals, and says nothing of the others."""
    dataset = manifest.parse(MARKED, Path()).dataset
    columns = schema.describe_table(dataset.tables["t"])["columns"]
    assert isinstance(columns, dict)
    assert {name for name, about in columns.items() if "professional" in about} == {"practice", "opened"}
    assert columns["practice"]["professional"] is True
    assert policy.professional_columns(dataset.tables) == {"practice", "opened"}


@pytest.mark.parametrize("more", ["", "professional = false\n"])
def test_what_is_computed_from_a_marked_column_is_marked(more: str) -> None:
    """A computed column does not launder what it was computed from."""
    with pytest.raises(ManifestError, match=r"tables\.t\.columns\.since\.professional"):
        manifest.parse(f"{MARKED}{COMPUTED}{more}", Path())
    dataset = manifest.parse(f"{MARKED}{COMPUTED}professional = true\n", Path()).dataset
    assert "since" in policy.professional_columns(dataset.tables)


def test_an_attribute_of_events_is_marked_as_they_are() -> None:
    """So it is with a person's earliest or latest event."""
    first = '[person.columns.first]\nearliest = "t.opened"\ntype = "date"\n'
    with pytest.raises(ManifestError, match=r"person\.columns\.first\.professional"):
        manifest.parse(f"{MARKED}{first}", Path())
    assert manifest.parse(f"{MARKED}{first}professional = true\n", Path())


def test_the_mark_is_true_or_false() -> None:
    """Another value is refused with its place."""
    with pytest.raises(ManifestError, match=r"practice\.professional"):
        manifest.parse(MARKED.replace("professional = true", "professional = 1", 1), Path())
