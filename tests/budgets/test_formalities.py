"""Formalities: written whole or not at all, and in force until their last day."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from budgets import formalities
from budgets.errors import Invalid, NoFormality
from budgets.formalities import NAMES, OPTIONAL
from budgets.verify import decisions
from tests.budgets.world import FORMALITIES

WHOLE = FORMALITIES.facts()
NONE_NEEDED = {**WHOLE, "kind": "none", "number": None, "issued": None, "why_none": "no persons"}


@pytest.mark.parametrize("given", [WHOLE, NONE_NEEDED, {**WHOLE, "expires": "2030-01-01"}])
def test_formalities_are_read_and_kept_as_written(given: dict[str, Any]) -> None:
    """What is whole is a value, which is stored and read again as it was; what is left out is None."""
    made = formalities.read({name: value for name, value in given.items() if value is not None})
    assert made.facts() == given
    assert formalities.of_facts(made.facts()) == made


@pytest.mark.parametrize(
    ("change", "place"),
    [
        *(({name: None}, name) for name in NAMES if name not in OPTIONAL),
        *(({name: " "}, name) for name in ("controller", "informed", "incentives")),
        ({"kind": "mr-004"}, "kind"),
        ({"legal_basis": "6(1)(g)"}, "legal_basis"),
        ({"condition": "9(2)(k)"}, "condition"),
        ({"number": None}, "number"),
        ({"issued": None}, "issued"),
        ({"issued": "1 May"}, "issued"),
        ({"ends": "2026-13-01"}, "ends"),
        ({"expires": "2019-12-31"}, "expires"),
        ({"why_none": "because"}, "why_none"),
        ({"kind": "none"}, "number"),
        ({"kind": "none", "number": None, "issued": None}, "why_none"),
        ({"kind": "none", "number": None, "issued": None, "why_none": "w", "expires": "2030-01-01"}, "expires"),
        ({"controller": "x" * 10_001}, "controller"),
        ({"controller": "a\0b"}, "controller"),
        ({"controller": "\ud800"}, "controller"),
        ({"controller": 7}, "controller"),
        ({"owner": "me"}, "owner"),
    ],
)
def test_formalities_that_are_not_whole_are_refused_with_the_place(change: dict[str, Any], place: str) -> None:
    """Each part that is missing, wrong, unknown or in contradiction is named."""
    with pytest.raises(Invalid) as raised:
        formalities.read({**WHOLE, **change})
    assert raised.value.field == f"formalities/{place}"


def test_formalities_are_in_force_on_their_last_day_and_not_after() -> None:
    """An expiry and an end count with their day; the first that passed is named; none on record is none in force."""
    made = replace(FORMALITIES, expires="2026-06-30", ends="2026-12-31")
    formalities.require("study", "flu", made, "2026-06-30")
    with pytest.raises(NoFormality, match="the formality of the study flu expired on 2026-06-30"):
        formalities.require("study", "flu", made, "2026-07-01")
    with pytest.raises(NoFormality, match="the processing of the dataset flu ended on 2026-12-31"):
        formalities.require("dataset", "flu", replace(made, expires=None), "2027-01-01")
    formalities.require("study", "flu", replace(made, issued="2026-06-30"), "2026-06-30")
    with pytest.raises(NoFormality, match="the formality of the study flu is dated 2026-07-01, which is to come"):
        formalities.require("study", "flu", replace(made, issued="2026-07-01"), "2026-06-30")
    with pytest.raises(NoFormality, match="has no formalities on record"):
        formalities.require("study", "flu", None, "2026-01-01")


def test_the_verifier_knows_the_same_parts() -> None:
    """The independent check shares no code with this value, and accepts and refuses the same."""
    assert {*decisions.TEXTS, *decisions.CHOSEN, *decisions.BY_KIND, "ends"} == set(NAMES)
    assert {name: tuple(chosen) for name, chosen in decisions.CHOSEN.items()} == dict(formalities.CHOICES)
    entry = {"time": "2026-01-01T00:00:00.000Z"}
    for given in (WHOLE, NONE_NEEDED):
        assert list(decisions.formal(entry, "study", "flu", given)) == []
