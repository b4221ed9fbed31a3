"""Codes by their names: from the catalog alone, through the API, the command and the page."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from queries.catalog.hierarchies import Hierarchy
from queries.catalog.schema import Column, Dataset, Kind, Table, frozen
from server.views import lookup
from tests.server.cli.test_cli import refused, run, said
from tests.server.pages.browsing import browser
from tests.serving import application, make_home, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Home, Place

LABELS = {
    "E10": "Type 1 diabetes mellitus",
    "E11": "Type 2 diabetes mellitus",
    "E11.9": "Diabetes, type 2, without complications",
    "O24": "Diabète gestationnel",
    "Z83.3": "Family history of diabetes mellitus",
    "Q00": "Œdème",
}
PARENTS = {"E11.9": ("E11",), "E11": ("IV",), "E10": ("IV",)}
CODE = Column("code", Kind.CATEGORY, value_labels=LABELS, hierarchy=Hierarchy(PARENTS))


def names(words: str, column: Column = CODE, most: int = 10) -> list[str]:
    """Return the codes that a search finds."""
    found, _ = lookup.Names.of(column).search(words, most)
    return [one.code for one in found]


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("e11", ["E11", "E11.9"]),
        ("DIABETES 2", ["E11", "E11.9"]),
        ("diabete gest", ["O24"]),
        ("DIABÈTE", ["O24", "E11.9", "E10", "E11", "Z83.3"]),
        ("oedeme", ["Q00"]),
        ("œdème", ["Q00"]),
        ("mellitus history", ["Z83.3"]),
        ("iv", ["IV"]),
        ("nothing", []),
    ],
)
def test_search_ignores_case_and_accents(words: str, codes: list[str]) -> None:
    """All words have to be there. The code itself is first, then labels that begin so, then shorter ones."""
    assert names(words) == codes


def test_codes_without_a_label_and_those_above_are_found() -> None:
    """With how many codes are under each: a query asks for all of them by one."""
    found, more = lookup.Names.of(CODE).search("iv", 10)
    assert [(one.code, one.label, one.under) for one in found] == [("IV", None, 3)]
    assert not more
    assert names("e1", Column("prefix", Kind.CATEGORY, values=("E11", "e1"), hierarchy=Hierarchy())) == ["e1", "E11"]


def test_of_declared_values_only_those_and_what_is_above_are_found() -> None:
    """Another code of the vocabulary could not be asked for."""
    declared = Column("code", Kind.CATEGORY, values=("E11.9",), value_labels=LABELS, hierarchy=Hierarchy(PARENTS))
    assert names("e1", declared) == ["E11", "E11.9"]


def test_more_than_asked_for_are_said() -> None:
    """Also of a search that so many have that not all are looked at."""
    column = Column("code", Kind.CATEGORY, value_labels={str(one): "the same" for one in range(lookup.LINES_MAX + 5)})
    found, more = lookup.Names.of(column).search("same", 3)
    assert ([one.code for one in found], more) == (["0", "1", "2"], True)
    assert lookup.Names.of(column).search("12345", 3)[1] is False


def test_a_column_of_the_person_stands_once() -> None:
    """Though every table has it, and a code of several columns is one line."""
    sex = Column("sex", Kind.CATEGORY, of_person=True, values=("f", "m"), value_labels={"f": "female"})
    tables = {
        "persons": Table("persons", {"sex": sex}),
        "a": Table("a", {"sex": sex, "code": CODE}),
        "b": Table("b", {"sex": sex, "code": CODE}),
    }
    dataset = Dataset("d", "", Decimal(1), Decimal(1), 10, frozen(tables))
    found = lookup.search(dataset, "d/1", "female", None, 10)
    assert found == {
        "items": [{"code": "f", "label": "female", "under": None, "columns": ["persons.sex"]}],
        "more": False,
    }
    (one,) = lookup.search(dataset, "d/1", "gestationnel", None, 10)["items"]
    assert one["columns"] == ["a.code", "b.code"]


# Through the server


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application whose clinic has a vocabulary for its column of codes."""
    folder = tmp_path_factory.mktemp("lookup")
    (folder / "codes.csv").write_text("code,label,above\nC1,Diabète,\nC11,A kind of it,C1\nE10-E14,Diabetes,\n")
    of_codes = '\n[vocabularies.codes]\ntitle = "Codes 1"\nsource = "codes.csv"\ncode = "code"\nlabel = "label"\n'
    of_codes += '[vocabularies.codes.parents]\nsource = "codes.csv"\ncode = "code"\nparent = "above"\n'
    column = '[tables.visits.columns.code]\ntype = "category"\n'
    file = write_clinic(folder, **{column: f'{column}vocabulary = "codes"\n{of_codes}'})
    home = make_home(folder / "home", file)
    with application(home) as place:
        place.open_study("flu", "clinic")
        yield place


def find(place: Place, query: str, role: str = "ada") -> Any:
    """Return what a user finds."""
    return place.client(role).good("GET", f"/datasets/clinic/codes?{query}")


def test_codes_are_found_over_http(clinic: Place) -> None:
    """The texts that events have are no names: C1 is found as a code of the vocabulary, and C2 to C6 are not."""
    found = find(clinic, "search=diabet")
    assert [(one["code"], one["label"], one["under"]) for one in found["items"]] == [
        ("C1", "Diabète", 1),
        ("E10-E14", "Diabetes", 0),
    ]
    assert found["items"][0]["columns"] == ["visits.code"]
    assert find(clinic, "search=C2")["items"] == []
    assert find(clinic, "search=diabet&limit=1")["more"] is True
    assert find(clinic, "search=mal&column=visits.sex")["items"][0]["columns"] == ["persons.sex"]
    assert clinic.home.charges("flu") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("search=d", 422),
        ("search=%20%20%20", 422),
        ("search=%C2%A8%C2%B4", 422),  # accents that stand alone
        ("search=" + "d" * 101, 422),
        ("search=dia&limit=101", 422),
        ("search=dia&column=visits.day", 422),
        ("search=dia&column=visits.nothing", 404),
        ("search=dia&column=nothing", 404),
    ],
)
def test_wrong_searches_are_refused(clinic: Place, query: str, status: int) -> None:
    """With what is wrong."""
    reply = clinic.client("ada").request("GET", f"/datasets/clinic/codes?{query}")
    assert reply.status == status


def test_a_code_is_taken_into_the_form_without_script(clinic: Place) -> None:
    """Searched, chosen by a button, and priced; a second one goes beside the first of a list."""
    ada = browser(clinic, "ada")
    ask = "/studies/flu/ask"

    def send(page: Any, **fields: str) -> Any:
        return ada.post(
            ask, {**page.form('name="do"'), **{name.replace("_", "-"): one for name, one in fields.items()}}
        )

    page = send(ada.get(ask), table="visits", f_0_column="code", f_0_op="under", f_0_search="diabete")
    assert "Find a code by its name" in page.words()
    assert 'value="take-f-0-E10-E14"' in page.text
    assert "1 code is under it" in page.words()
    page = send(page, do="take-f-0-C1")
    assert page.form('name="do"')["f-0-value"] == "C1"
    assert "IN DESCENDANTS('C1')" in page.form('name="do"')["sql"]
    page = send(page, f_0_op="in", f_0_search="diabete")
    page = send(page, do="take-f-0-E10-E14")
    assert page.form('name="do"')["f-0-value"] == "C1; E10-E14"
    assert "code IN ('C1', 'E10-E14')" in page.form('name="do"')["sql"]
    page = send(page, f_0_search="nothing of it")
    assert "No code has this in its name" in page.words()
    page = send(page, f_0_search="d")
    assert "at least two letters" in page.words()


def test_codes_are_found_by_a_command(home: Home, tmp_path: Path) -> None:
    """Over a home, in the same words as over HTTP."""
    assert said(home, "dataset", "codes", "rand-hie", "fem")["items"][0]["code"] == "female"
    assert run(home, "dataset", "codes", "rand-hie", "FEM").stdout == "female  (persons.sex)\n"
    assert "No code has" in run(home, "dataset", "codes", "rand-hie", "nobody").stdout
    assert "no column" in refused(home, "dataset", "codes", "rand-hie", "fem", "--column", "years.nothing")
    assert run(home, "dataset", "codes", "rand-hie", "f").exit_code == 2
