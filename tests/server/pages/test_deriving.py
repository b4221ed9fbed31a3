"""Standardised rates and differences of curves are asked for on the page of an answer, without JSON."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.pages.researcher import deriving
from tests.server.pages.browsing import Browser, browser

if TYPE_CHECKING:
    from tests.server.pages.browsing import Page
    from tests.serving import Place

NAMES = st.text("ab [,)é", min_size=1, max_size=4)
SHOWS = st.one_of(
    st.fixed_dictionaries(
        {
            "standardise": st.fixed_dictionaries(
                {"statistic": NAMES, "by": NAMES, "weights": st.dictionaries(NAMES, st.integers(0, 9999), min_size=1)}
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "difference": st.fixed_dictionaries(
                {"statistic": NAMES, "by": NAMES, "reference": NAMES, "band": st.sampled_from(deriving.BANDS)}
            )
        }
    ),
)
WEIGHTS = {"female": 30, "male": 70}
MEANS = {
    "query": {
        "from": "years",
        "group_by": ["sex", "child"],
        "select": {"age": {"mean": "age"}, "n": {"count": "events"}},
    },
    "privacy": {"epsilon": 1.0},
}
WAIT = {"days_to": {"of": "visits", "where": {"column": "urgent", "op": "=", "value": True}}}


@given(SHOWS)
def test_fields_of_the_address_ask_for_the_same(show: dict[str, Any]) -> None:
    """What an API's `show` says comes back from the fields, with names of any kind."""
    assert deriving.read(deriving.fields_of(show)) == show


@pytest.mark.parametrize("show", [{}, {"labels": {}}, {"standardise": 1}, {"difference": {"statistic": "a"}}])
def test_show_of_another_kind_has_no_fields(show: dict[str, Any]) -> None:
    """The API says what is wrong with it, where something is."""
    assert deriving.fields_of(show) == {}


@pytest.fixture
def ada(place: Place) -> Browser:
    """Return the browser of a member of flu."""
    return browser(place, "ada")


def forms(page: Page) -> list[str]:
    """Return the forms that compute something, as HTML."""
    return re.findall(r'<details class="act".*?</details>', page.text, re.DOTALL)


def test_rates_are_standardised_by_typing_a_population(place: Place, ada: Browser) -> None:
    """Each key has its form with a field for each group; what is computed is the API's, and the way back is a link."""
    made = place.client("ada").good("POST", "/studies/flu/queries", MEANS)
    path = f"/studies/flu/releases/{made['id']}"
    page = ada.get(path)
    by_sex, by_child = forms(page)
    assert re.findall(r'name="(w:[^"]+)"', by_sex) == ["w:female", "w:male"]
    assert re.findall(r'name="(w:[^"]+)"', by_child) == ["w:false", "w:true"]
    assert re.findall(r'<option value="(\w+)"', by_sex) == ["age"]  # a count is no rate
    fields = {"derive": "standardise", "of": "age", "by": "sex", "w:female": "30", "w:male": "70"}
    shown = ada.get(f"{path}?{urlencode({**fields, 'post': 'round'})}")
    show = {"standardise": {"statistic": "age", "by": "sex", "weights": WEIGHTS}}
    api = place.client("ada").good("POST", "/studies/flu/queries", {**MEANS, "show": show})
    low, high = (api["rows"][0]["age_standardised"][end] for end in ("low", "high"))
    found = re.search(r"age_standardised.*?no ([\d.]+)", shown.words().partition("In brackets")[0])
    assert found is not None
    assert low <= float(found[1]) <= high
    (form,) = forms(shown)
    assert re.findall(r'name="w:(\w+)"[^>]*value="(\d+)"', form) == [("female", "30"), ("male", "70")]
    assert 'name="show" value=""' in shown.text  # no JSON in the field of rows
    rows = shown.form('name="show"')
    assert {name: rows[name] for name in fields} == fields
    assert rows["post"] == "round"
    assert f'href="{path}"' in shown.text
    (csv,) = re.findall(r'href="([^"]+\.csv[^"]*)"', shown.text)
    assert "age_standardised" in ada.get(unescape(csv)).text
    missing = ada.get(f"{path}?{urlencode({**fields, 'w:male': ''})}")
    assert (missing.status, "male: without a weight" in missing.words()) == (422, True)


def test_curves_are_compared_with_a_chosen_group(place: Place, ada: Browser) -> None:
    """By the group and the band that are chosen; a question asked with it in JSON leads to the same fields."""
    body = {
        "query": {
            "from": {"per_person": "visits", "values": {"wait": WAIT}},
            "group_by": ["sex"],
            "select": {"curve": {"survival": "wait", "bins": [0, 30, 90]}},
        },
        "privacy": {"epsilon": 1.0},
    }
    place.open_study("curves", "clinic")
    made = place.client("ada").good("POST", "/studies/curves/queries", body)
    path = f"/studies/curves/releases/{made['id']}"
    (form,) = forms(ada.get(path))
    groups = re.findall(r'<option value="(\w+)"', form.partition('name="reference"')[2].partition("</select>")[0])
    fields = {"derive": "difference", "of": "curve", "by": "sex", "reference": groups[0], "band": "simultaneous"}
    shown = ada.get(f"{path}?{urlencode(fields)}")
    assert "curve_difference" in shown.words()
    assert '<option value="simultaneous" selected>' in shown.text
    show = {name: fields[name] for name in ("by", "reference", "band")} | {"statistic": "curve"}
    as_json = ada.get(f"{path}?{urlencode({'show': str({'difference': show}).replace(chr(39), chr(34))})}")
    assert as_json.form('name="show"') == shown.form('name="show"')
