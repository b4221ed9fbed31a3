from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.charts import beliefs, budget
from server.charts.beliefs import Curve
from server.charts.budget import Used
from server.charts.frame import GAP, NARROW, WIDE
from tests.server.charts import drawn

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

AMOUNTS = st.decimals(0, 10_000, places=9)
UNTIL = "2026-06-01T12:00:00.000000Z"


def check(picture: budget.Picture) -> ET.Element:
    """Return a picture as it is read, after checking what holds for every drawing."""
    root = drawn.read(picture.svg)
    drawn.assert_apart(root)
    assert drawn.description(root)
    return root


def used(amount: str, limit: str = "3", account: str = "study flu") -> Used:
    """Return the use of an account."""
    return Used(account, "epsilon", Decimal(amount), Decimal(limit))


def test_gauge_is_as_long_as_what_was_used() -> None:
    """Each account has a bar in proportion to its limit, and its exact sum beside it."""
    root = check(budget.gauges([used("1.5"), used("2.02", "10", "dataset rand-hie")], "g"))
    widths = [float(bar.get("width", "0")) for bar in root.iter(f"{drawn.SVG}rect")]
    assert widths == [WIDE, WIDE / 2, WIDE, 137.4]
    assert drawn.words_of(root) == ["study flu", "epsilon 1.5 of 3", "dataset rand-hie", "epsilon 2.02 of 10"]
    assert "study flu used epsilon 1.5 of its limit of 3." in drawn.description(root)


def test_line_ends_at_what_the_account_used() -> None:
    """Also if a charge has no time yet: a query under way counts as spent."""
    charges = [("2026-05-01T12:00:00Z", Decimal(1)), ("2026-05-10T12:00:00Z", Decimal("0.5"))]
    root = check(budget.spending(charges, used("2"), UNTIL, "s"))
    assert "2026-05-01" in drawn.words_of(root)
    assert "2026-06-01" in drawn.words_of(root)
    assert "limit 3" in drawn.words_of(root)
    assert "2 charges. study flu used epsilon 2 of its limit of 3" in drawn.description(root)


def test_line_begins_at_what_was_charged_before() -> None:
    """Of an account with more charges than are drawn, the line begins at their sum and not at zero."""
    charges = [("2026-05-01T12:00:00Z", Decimal("0.5"))]
    heights = []
    for before in (Decimal(0), Decimal("1.5")):
        root = check(budget.spending(charges, used("2"), UNTIL, "s", before=before))
        line = next(path.get("d", "") for path in root.iter(f"{drawn.SVG}path") if path.get("stroke-width") == "2")
        heights.append(float(line.removeprefix("M").split("L")[0].split()[1]))
    assert heights[0] - heights[1] == pytest.approx(budget.HEIGHT / 2)  # 1.5 of a limit of 3


@given(
    st.lists(st.tuples(st.datetimes(), AMOUNTS), max_size=6),
    AMOUNTS,
    AMOUNTS,
    st.text(max_size=90),
    st.sampled_from([NARROW, WIDE]),
)
def test_any_account_is_drawn(
    charges: list[tuple[object, Decimal]], spent: Decimal, limit: Decimal, name: str, width: int
) -> None:
    """Whatever was charged, when, by whom, and also beyond a limit that was lowered or is zero."""
    one = Used(f"study {name}", "rho", spent, limit)
    made = sorted((f"{moment.isoformat()}Z", amount) for moment, amount in charges)  # type: ignore[attr-defined]
    check(budget.gauges([one], "g", width=width))
    check(budget.spending(made, one, UNTIL, "s", width=width))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_curve_is_never_below_its_bound(bounds: list[float]) -> None:
    """A drawn point is at its bound or above it."""
    points = tuple((place / len(bounds), bound) for place, bound in enumerate(bounds))
    root = check(beliefs.beliefs([Curve("so far", points), Curve("at the limit", points)], "words", "b"))
    curve = next(path.get("d", "") for path in root.iter(f"{drawn.SVG}path") if path.get("stroke-width") == "2")
    for (_, bound), point in zip(points, curve.removeprefix("M").split("L"), strict=True):
        y = float(point.split()[1])
        assert (GAP + beliefs.SIDE - y) / beliefs.SIDE >= bound - 1e-12
