"""Vocabularies: what a manifest declares of them, and what a column takes from one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queries.catalog import manifest, schema, vocabularies
from queries.errors import ImportFailed, ManifestError
from queries.store import vocabularies as reading
from tests.queries.sources import write

if TYPE_CHECKING:
    from pathlib import Path

    from queries.catalog.schema import Column

MANIFEST = """
[dataset]
name = "d"
epsilon = 1
persons_max = 10
[person]
id = "p"
[vocabularies.icd]
title = "ICD 2024"
source = "icd.csv"
code = "code"
label = "text"
{keys}
[vocabularies.icd.parents]
source = "icd.csv"
code = "code"
parent = "above"
[tables.t]
source = "t.csv"
[tables.t.columns.code]
type = "category"
vocabulary = "icd"
{column}
"""
CODES = """code,text,above,kind
E,Metabolic,,chapter
E11,Type 2 diabetes,E,code
 E11.9 ,,E11,code
E11,a second name,E,code
3000000000,of this site,E,code
X,,X,draft
"""


def column(folder: Path, keys: str = "", of_column: str = "", codes: str = CODES) -> Column:
    """Return the column as the server opens it."""
    write(folder / "icd.csv", codes)
    declared = manifest.parse(MANIFEST.format(keys=keys, column=of_column), folder)
    reading.keep(declared, folder)
    kept = vocabularies.kept(folder)
    return declared.described(kept).tables["t"].columns["code"]


def test_labels_and_parents_are_those_of_the_file(tmp_path: Path) -> None:
    """Blanks around a code are trimmed, the first label of a code counts, and nothing is above itself."""
    one = column(tmp_path, 'where = { kind = ["chapter", "code"] }\nbelow = 2000000000')
    assert one.value_labels == {"E": "Metabolic", "E11": "Type 2 diabetes"}
    assert one.hierarchy is not None
    assert one.hierarchy.parents == {"E11": ("E",), "E11.9": ("E11",)}
    assert set(one.hierarchy.descendants("E")) == {"E", "E11", "E11.9"}
    assert not one.declared


def test_codes_of_a_site_are_nothings_parent(tmp_path: Path) -> None:
    """What a site made itself is no more named as a parent than as a code."""
    one = column(tmp_path, "below = 2000000000", codes=f"{CODES}E12,Type 3,3000000000,code\n")
    assert one.value_labels["E12"] == "Type 3"
    assert one.hierarchy is not None
    assert one.hierarchy.parents == {"E11": ("E",), "E11.9": ("E11",)}
    assert "3000000000" not in str(one)


def test_a_columns_own_labels_come_before_those_of_the_vocabulary(tmp_path: Path) -> None:
    """The catalog shows those of declared values, and names the vocabulary."""
    one = column(tmp_path, of_column='values = { E11 = "Diabetes", E = "" }')
    assert (one.value_labels["E11"], one.value_labels["E"]) == ("Diabetes", "Metabolic")
    dataset_table = schema.Table("t", {"code": one})
    shown = schema.describe_table(dataset_table)["columns"]
    assert isinstance(shown, dict)
    assert shown["code"]["vocabulary"] == "ICD 2024"
    assert shown["code"]["value_labels"] == {"E11": "Diabetes", "E": "Metabolic"}
    assert shown["code"]["hierarchy"] == "vocabulary"


def test_a_vocabulary_without_a_code_is_refused(tmp_path: Path) -> None:
    """A condition with a typing error would hide it."""
    with pytest.raises(ImportFailed, match="no code"):
        column(tmp_path, 'where = { kind = ["cod"] }')


@pytest.mark.parametrize(
    ("keys", "of_column", "places"),
    [
        ('where = { gone = ["x"] }', "", ["vocabularies.icd.where.gone"]),
        ("", 'vocabulary = "atc"', ["vocabularies"]),
        ("below = 0", 'hierarchy = "prefix"', ["vocabularies.icd.below", "tables.t.columns.code.hierarchy"]),
        ("titel = 1", "", ["vocabularies.icd.titel"]),
    ],
)
def test_wrong_vocabularies_are_refused_at_their_place(
    tmp_path: Path, keys: str, of_column: str, places: list[str]
) -> None:
    """Before the import, or with the first look at the file."""
    if of_column.startswith("vocabulary"):
        places, text = ["tables.t.columns.code.vocabulary"], MANIFEST.replace('vocabulary = "icd"', of_column)
        with pytest.raises(ManifestError) as refused:
            manifest.parse(text.format(keys="", column=""), tmp_path)
    else:
        with pytest.raises(ManifestError) as refused:
            column(tmp_path, keys, of_column)
    assert [error.place for error in refused.value.each] == places
