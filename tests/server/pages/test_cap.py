"""The picture of a cap: its pieces fill the bar, whatever was promised, spent or charged in rho alone."""

from __future__ import annotations

from typing import Any

import pytest

from server.pages.admin.cap import picture


def share(promised: float, spent: float | None, reserved: float | None = 0.0, rho: float = 0.0) -> dict[str, Any]:
    """Return a study's share as the API sends it; a loss without an epsilon has `rho` of a limit of 2."""
    budget = {
        "gauge": {"of": "rho", "limit": 2.0},
        "spent": {"epsilon": spent, "rho": rho},
        "reserved": {"epsilon": reserved, "rho": rho},
    }
    return {"study": "s", "promised": promised, "budget": budget}


def shares(cap: float, profiles: float, *studies: dict[str, Any]) -> dict[str, Any]:
    """Return the shares of a dataset as the API sends them."""
    promised = profiles + sum(one["promised"] for one in studies)
    return {"budget": {"epsilon": cap}, "profiles": profiles, "promised": promised, "studies": studies}


@pytest.mark.parametrize(
    ("given", "pieces"),
    [
        (shares(10, 0), [("free", 100)]),
        (shares(10, 1, share(4, 1, 2)), [("profile", 10), ("spent", 10), ("reserved", 20), ("left", 10), ("free", 50)]),
        (shares(10, 0, share(5, 5), share(5, 0)), [("spent", 50), ("left", 50)]),
        (shares(10, 0, share(0, 0)), [("free", 100)]),  # closed without a question
        (shares(10, 0, share(10, None, None, rho=0.5)), [("spent", 25), ("reserved", 25), ("left", 50)]),
        (shares(10, 0, share(10, None, None, rho=3)), [("spent", 100)]),
        (shares(10, 0, share(15, 3), share(5, 0)), [("spent", 15), ("left", 60), ("left", 25)]),  # overcommitted
    ],
)
def test_pieces_of_a_cap_stand_side_by_side_and_fill_the_bar(
    given: dict[str, Any], pieces: list[tuple[str, float]]
) -> None:
    """Each begins where the one before ends; the last ends at 100%."""
    drawn = picture(given)
    assert [(part.kind, pytest.approx(part.width)) for part in drawn.parts] == pieces
    at = 0.0
    for part in drawn.parts:
        assert part.at == pytest.approx(at)
        at += part.width
    assert at == pytest.approx(100)
    assert drawn.cap_at == (50 if given["promised"] > 10 else None)
