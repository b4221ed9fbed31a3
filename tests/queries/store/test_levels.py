"""Levels of hierarchies: a column with the group of each code, from declarations alone, of which a code has at most one."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from queries.catalog import manifest, schema, vocabularies
from queries.errors import ImportFailed, ManifestError
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.language import nodes
from queries.store import derivation, losses
from tests.queries.clinic import planned
from tests.queries.sources import HEAD, Built, build, rows
from tests.queries.store.imports import Case, on_cluster, on_one_machine, persons
from tests.queries.store.serial import SerialCluster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.catalog.schema import Dataset

# A part of ICD-10: chapters and blocks are no beginnings of codes.
CODES = """code,text,above,kind
IV,Endocrine and metabolic,,chapter
IX,Circulatory,,chapter
E10-E14,Diabetes mellitus,IV,block
I10-I15,Hypertension,IX,block
E10,Type 1 diabetes,E10-E14,code
E11,Type 2 diabetes,E10-E14,code
E11.9,Without complications,E11,code
I10,Essential hypertension,I10-I15,code
Z00,A code of no chapter,,code
"""
ICD = """
[vocabularies.icd]
title = "ICD"
source = "icd.csv"
code = "code"
label = "text"
[vocabularies.icd.parents]
source = "icd.csv"
code = "code"
parent = "above"
[vocabularies.icd.levels.chapter]
where = { kind = ["chapter"] }
[vocabularies.icd.levels.block]
under = "IV"
[vocabularies.icd.levels.two]
codes = ["I10", "E11"]
"""
TABLE = """
[tables.visits]
source = "visits.csv"
loss_max = 1
[tables.visits.columns.diagnosis]
type = "category"
{of}
[tables.visits.columns.found]
level_of = "diagnosis"
{keys}
"""
CHAPTER = 'level = "chapter"'
VOCABULARY = 'vocabulary = "icd"'


def imported(folder: Path, codes: Sequence[str], of: str = "", keys: str = "", listed: str = CODES) -> Built:
    """Import visits of one person each with these codes."""
    visits = "".join(f"{person},{code}\n" for person, code in enumerate(codes))
    text = (ICD if "vocabulary" in of else "") + TABLE.format(of=of, keys=keys)
    return build(folder, text, {"visits.csv": "patient,diagnosis\n" + visits, "icd.csv": listed})


def described(built: Built) -> Dataset:
    """Return the dataset as the server opens it."""
    return built.declared.described(vocabularies.kept(built.path.parent))


def groups(built: Built) -> list[str | None]:
    """Return the group of each visit, in the order of the groups."""
    column = described(built).tables["visits"].columns["found"]
    values = (None, *(column.values or ()))
    return [values[code] for (code,) in rows(built.path, "SELECT found FROM visits ORDER BY found")]


def test_a_level_of_a_vocabulary_has_one_group_for_each_code(tmp_path: Path) -> None:
    """Through all that lies between; a code that is none of the vocabulary's, or under nothing, is null and counted."""
    built = imported(tmp_path, ["E11.9", "E10", "I10", "IX", "Z00", "unheard", ""], VOCABULARY, CHAPTER)
    assert groups(built) == [None, None, None, "IV", "IV", "IX", "IX"]
    report = built.report.tables["visits"].columns["found"]
    assert (report.null, report.unknown, report.clamped) == (1, 2, 0)


def test_codes_of_no_group_go_to_a_declared_one(tmp_path: Path) -> None:
    """Null stays null. Without such a group an import that would lose too much stops."""
    codes = ["E11.9", "Z00", "unheard", ""]
    built = imported(tmp_path, codes, VOCABULARY, CHAPTER + '\nother = "others"')
    assert groups(built) == [None, "IV", "others", "others"]
    assert built.report.tables["visits"].columns["found"].unknown == 0
    lost = imported(tmp_path, codes, VOCABULARY, CHAPTER + "\nloss_max = 0.1")
    assert "visits.columns.found: of 3 values 2 unknown" in " ".join(losses.excessive(lost.declared, lost.report))


@pytest.mark.parametrize(
    ("level", "expected"), [("block", ["E10-E14"]), ("two", ["I10", "E11"]), ("chapter", ["IV", "IX"])]
)
def test_groups_are_declared_and_in_the_catalog(tmp_path: Path, level: str, expected: list[str]) -> None:
    """The same whatever the data hold: here no event at all, and one event of each code."""
    shown = []
    for codes in ([], ["E10", "I10", "Z00"]):
        column = described(imported(tmp_path, codes, VOCABULARY, f'level = "{level}"')).tables["visits"]
        shown.append(schema.describe_table(column)["columns"])
    assert shown[0] == shown[1]
    found: Any = shown[0]
    assert found["found"]["values"] == expected
    assert found["found"]["level_of"] == "diagnosis"
    assert found["found"]["vocabulary"] == "ICD"
    assert set(found["found"]["value_labels"]) == set(expected)


def test_a_level_by_beginnings(tmp_path: Path) -> None:
    """Of a column without declared values, whatever its texts are."""
    values = 'values = { E1 = "diabetes", I = "circulation", "É" = "" }'
    built = imported(tmp_path, ["E11", "E10.1", "E2", "I10", "É1", "e1"], 'hierarchy = "prefix"', values)
    assert groups(built) == [None, None, "E1", "E1", "I", "É"]
    assert groups(imported(tmp_path, ["E11", "I10"], "", values)) == ["E1", "I"], "as for `under`, without a hierarchy"


def test_a_level_by_a_table_of_declared_values(tmp_path: Path) -> None:
    """A code that is no declared value is null, and so is its group."""
    of = 'values = ["E10", "E11", "I10"]\nhierarchy = { E10 = "E", E11 = "E", I10 = "I", X = "I" }'
    assert groups(imported(tmp_path, ["E10", "E11", "X", "I10"], of, 'values = ["I", "E"]')) == [None, "I", "E", "E"]


def test_a_level_of_persons_is_on_each_of_their_events(tmp_path: Path) -> None:
    """An attribute of the person may have a hierarchy as well."""
    text = """
[person.columns.place]
type = "category"
hierarchy = "prefix"
[person.columns.region]
level_of = "place"
values = ["1", "2"]
[tables.visits]
source = "visits.csv"
"""
    built = build(tmp_path, text, {"visits.csv": "patient,place\na,10\na,10\nb,21\n"})
    assert rows(built.path, "SELECT region FROM visits ORDER BY ALL") == [(1,), (1,), (2,)]
    assert rows(built.path, "SELECT region FROM persons ORDER BY ALL") == [(1,), (2,)]


# A code in two groups


TWO = CODES + "E11,Type 2 diabetes,I10-I15,code\n"  # a second line: another code above it
OF_TABLE = 'hierarchy = { E10 = ["E", "kidney"] }'


@pytest.mark.parametrize(
    ("of", "keys", "listed", "said"),
    [
        (VOCABULARY, CHAPTER, TWO, r"E11(\.9)? is under I"),
        (OF_TABLE, 'values = ["E", "kidney"]', CODES, "E10 is under E and under kidney"),
        (OF_TABLE, 'values = ["E", "E10"]', CODES, "E10 is under E and under E10"),
        ('hierarchy = "prefix"', 'values = ["I", "E11", "E"]', CODES, "E11 is under E and under E11"),
    ],
)
def test_a_code_in_two_groups_is_refused_by_its_name(
    tmp_path: Path, of: str, keys: str, listed: str, said: str
) -> None:
    """Before anything is read of the data; unless the manifest says that the first counts, in the order of the level."""
    with pytest.raises(ManifestError, match=said) as refused:
        imported(tmp_path, ["E10", "E11"], of, keys, listed)
    assert refused.value.place.endswith("columns.found.level_of")
    first = groups(imported(tmp_path, ["E10", "E11"], of, keys + '\nseveral = "first"', listed))
    assert (
        first
        == {
            VOCABULARY: ["IV", "IV"],
            OF_TABLE: [None, "E"],
            'hierarchy = "prefix"': ["E11", "E"],
        }[of]
    )


def test_a_planted_second_group_of_a_code_stops_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the check wrong, the import would fail and not store an event twice, or in either group."""
    made = derivation.group_codes

    def planted(connection: Any, table: str, public: str, *given: Any) -> None:
        made(connection, table, public, *given)
        relation = derivation.groups(table, public)
        connection.execute(f'INSERT INTO {relation} SELECT "#code", "#group" + 1 FROM {relation} LIMIT 1')

    monkeypatch.setattr("queries.store.ingest.group_codes", planted)
    with pytest.raises(ImportFailed, match="More than one row"):
        imported(tmp_path, ["E10", "I10"], VOCABULARY, CHAPTER)


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ("", "values"),
        (CHAPTER + '\nvalues = ["I"]', "level"),
        ('level = "section"', "level"),
        (CHAPTER + '\ntype = "integer"\nbounds = [0, 1]', "type"),
        (CHAPTER + '\nseveral = "last"', "several"),
        (CHAPTER + "\nprefix = 1", "prefix"),
        (CHAPTER + '\nto = "diagnosis"', "to"),
    ],
)
def test_wrong_levels_are_refused_at_their_place(tmp_path: Path, keys: str, place: str) -> None:
    """At once, with the manifest."""
    with pytest.raises(ManifestError) as refused:
        manifest.parse(HEAD + ICD + TABLE.format(of=VOCABULARY, keys=keys), tmp_path)
    assert [error.place for error in refused.value.each] == [f"tables.visits.columns.found.{place}"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('level_of = "diagnosis"', 'level_of = "found"', "tables.visits.columns.found.level_of"),
        ('level_of = "diagnosis"', 'level_of = "nothing"', "tables.visits.columns.found.level_of"),
        (VOCABULARY, 'hierarchy = "prefix"', "tables.visits.columns.found.level"),
        (VOCABULARY, 'vocabulary = "icd"\nprofessional = true', "tables.visits.columns.found.professional"),
        ('under = "IV"', "", "vocabularies.icd.levels.block.where"),
        ('under = "IV"', 'under = "IV"\ncodes = ["I10"]', "vocabularies.icd.levels.block.where"),
    ],
)
def test_a_level_needs_a_category_with_such_a_level(tmp_path: Path, old: str, new: str, place: str) -> None:
    """And it tells of professionals if the codes do."""
    text = HEAD + ICD + TABLE.format(of=VOCABULARY, keys=CHAPTER)
    assert old in text
    with pytest.raises(ManifestError) as refused:
        manifest.parse(text.replace(old, new), tmp_path)
    assert [error.place for error in refused.value.each] == [place]


def test_a_level_without_a_code_of_the_vocabulary_is_refused(tmp_path: Path) -> None:
    """A condition with a typing error would make one cell of everything."""
    with pytest.raises(ImportFailed, match=r"levels\.block: no code"):
        text = ICD.replace('under = "IV"', 'under = "XX"') + TABLE.format(of=VOCABULARY, keys=CHAPTER)
        build(tmp_path, text, {"visits.csv": "patient,diagnosis\n1,E10\n", "icd.csv": CODES})


# Grouping


def _visits(seed: int, persons: int) -> str:
    drawn = random.Random(seed)
    codes = ["E10", "E11", "E11.9", "I10", "Z00", "unheard", ""]
    lines = [f"{person},{drawn.choice(codes)}" for person in range(persons) for _ in range(drawn.randrange(30))]
    return "patient,diagnosis\n" + "\n".join(lines) + "\n"


def _cells(built: Built, cells: int, events: int) -> list[int]:
    """Return the events of each chapter, the others and null."""
    select = {"rows": nodes.Count("events")}
    plan = planned(nodes.ByValue("found"), dataset=described(built), cells=cells, events=events, **select)
    store = Store(built.path, memory_limit="100MB", threads=1, query_seconds=60)
    try:
        (vector,) = kernel.bound_in_parts(plan, [range(2**31)], store.stream)
    finally:
        store.close()
    assert plan.measures[0].largest == events
    found: list[int] = vector.tolist()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_one_person_moves_the_cells_of_a_level_as_those_of_any_key(tmp_path: Path, seed: int) -> None:
    """Each event is in one cell, so that the cells add up to the events; a person moves what the bounds allow.

    The others have the same events in both: bounds as wide as these keep them all.
    """
    keys = CHAPTER + '\nother = "others"\nnullable = true'
    text = ICD + TABLE.format(of=VOCABULARY, keys=keys)
    whole = _visits(seed, 6)
    without = "".join(line + "\n" for line in whole.splitlines() if not line.startswith("5,"))
    built, less = (build(tmp_path, text, {"visits.csv": one, "icd.csv": CODES}) for one in (whole, without))
    every = _cells(built, 10, 100)
    assert sum(every) == whole.count("\n") - 1
    own = [line for line in whole.splitlines() if line.startswith("5,")]
    moved = [a - b for a, b in zip(every, _cells(less, 10, 100), strict=True)]
    assert sum(moved) == sum(map(abs, moved)) == len(own)
    for cells, events in itertools.product((1, 2), (1, 3)):
        alone = build(tmp_path, text, {"visits.csv": "patient,diagnosis\n" + "\n".join(own) + "\n", "icd.csv": CODES})
        found = _cells(alone, cells, events)
        assert sum(found) <= cells * events
        assert sum(one > 0 for one in found) <= cells


def test_parts_have_the_groups_of_one_machine(tmp_path: Path) -> None:
    """Every part reads the vocabulary that the driver kept."""
    text = HEAD + ICD + TABLE.format(of=VOCABULARY, keys=CHAPTER + "\nnullable = true")
    case = Case(text, {"visits.csv": _visits(9, 40), "icd.csv": CODES})
    one, many = on_one_machine(case, tmp_path), on_cluster(case, tmp_path, SerialCluster(), 3)
    assert many.report == one.report
    assert persons(many) == persons(one)
