"""What the report says of the law: from one file, in both languages, with a source and a date for each statement."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.governance.conclusions import PARTIES
from budgets.loss import ATTO, NANO
from budgets.verify import decisions
from server.languages.language import LANGUAGES
from server.reporting import criteria, guarantee
from server.reporting.attack_odds import BY_LIMIT, Guarantee

if TYPE_CHECKING:
    from collections.abc import Callable

STATED = {code: criteria.stated(code, 365) for code in LANGUAGES}
BOUNDS: dict[str, Callable[[dict[str, Any]], float]] = {
    "presence": lambda meant: meant["presence"][1]["at_most"],
    "fact": lambda meant: meant["fact"][1]["at_most"],
    "advantage": lambda meant: meant["advantage"],
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_statement_has_a_source_with_a_date(code: str) -> None:
    """Criteria, readers and statements on law name a source of the file; each source has a title and a date."""
    stated = STATED[code]
    for name in ("criteria", "readers", "law"):
        for one in stated[name]:
            assert one["text"], one
            assert stated["sources"][one["source"]]["title"], one
    assert {one["bounds"] for one in stated["criteria"] if "bounds" in one} == set(BOUNDS)
    for one in stated["sources"].values():
        assert one["date"][:4].isdecimal(), one
    checked, later = (dt.date.fromisoformat(stated[name]) for name in ("checked", "next"))
    assert dt.timedelta(days=300) < later - checked < dt.timedelta(days=400)


def test_both_languages_say_the_same_points() -> None:
    """No point of one language is missing in the other, nothing is left in English, and no hole is open."""
    for name in criteria.LISTS:
        english, french = STATED["en"][name], STATED["fr"][name]
        assert [one["id"] for one in english] == [one["id"] for one in french]
        for one, other in zip(english, french, strict=True):
            assert one["text"] != other["text"]
            assert set(one) == set(other)
            assert "{" not in one["text"] + other["text"]
    assert "365" in STATED["fr"]["law"][1]["text"]


def test_the_parties_are_those_that_a_conclusion_takes() -> None:
    """The table of the report, the conclusion and the independent check know the same relevant parties."""
    assert criteria.parties() == PARTIES == decisions.PARTIES


def exactly(epsilon: int, delta: int) -> dict[str, mpmath.mpf]:
    """Return the bounds by mpmath, from the published formulas."""
    e, d = mpmath.mpf(epsilon) / NANO, mpmath.mpf(delta) / ATTO

    def belief(e: mpmath.mpf, d: mpmath.mpf) -> mpmath.mpf:
        odds = (mpmath.e**e + d / mpmath.mpf("0.001")) * mpmath.mpf("0.1")
        return min(mpmath.mpf(1), odds / (odds + mpmath.mpf("0.9")))

    return {
        "presence": belief(e, d),
        "fact": belief(2 * e, min(mpmath.mpf(1), (1 + mpmath.e**e) * d)),
        "advantage": min(mpmath.mpf(1), (mpmath.e**e - 1 + 2 * d) / (mpmath.e**e + 1)),
    }


@given(st.integers(0, 12 * NANO), st.integers(0, ATTO // 1000))
def test_each_bound_beside_a_criterion_is_the_formula_rounded_up(epsilon: int, delta: int) -> None:
    """A bound is never below what mpmath computes with 60 digits, and at most a millionth above it."""
    with mpmath.workdps(60):
        meant = guarantee.describe(Guarantee(epsilon, delta, BY_LIMIT))
        for name, exact in exactly(epsilon, delta).items():
            told = mpmath.mpf(repr(BOUNDS[name](meant)))
            assert exact - mpmath.mpf("1e-30") <= told <= exact + mpmath.mpf("1.1e-6"), name
