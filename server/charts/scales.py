"""From numbers to places: which range an axis has, its ticks at nice numbers, and where a value stands on it.

Ranges are decimals, because an answer may hold whole numbers that no float can.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from server.views.numbers import EXACT, exact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.views.table import Cell

ZERO = Decimal(0)
STRETCH_MAX = 2  # times the range of what is known well: how far drowned numbers may stretch an axis
PAD = Decimal("0.3")  # of a step
NEAR_ZERO = Decimal("0.5")  # lines whose least is under this share of their greatest have an axis from zero


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, drawn from `start` to `end` (an upright axis ends above its start)."""

    low: Decimal
    high: Decimal
    step: Decimal
    start: float
    end: float

    def at(self, value: float | Decimal) -> float:
        """Return the place of a value; a value beyond the axis has the place of its end."""
        number = value if isinstance(value, Decimal) else exact(value)
        share = float(EXACT.divide(EXACT.subtract(number, self.low), EXACT.subtract(self.high, self.low)))
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)

    def reaches(self, value: float) -> bool:
        """Return whether a value is on the axis."""
        return self.low <= exact(value) <= self.high

    @property
    def ticks(self) -> list[Decimal]:
        """Return the multiples of the step on the axis."""
        first = EXACT.divide(self.low, self.step).to_integral_value(ROUND_CEILING)
        last = EXACT.divide(self.high, self.step).to_integral_value(ROUND_FLOOR)
        return [_plain(EXACT.multiply(first + place, self.step), self.step) for place in range(int(last - first) + 1)]


def drowns(cell: Cell) -> bool:
    """Return whether the margin is more than half of the value: the rule of an answer's notes."""
    assert cell.value is not None
    assert cell.low is not None
    assert cell.high is not None
    value, low, high = exact(cell.value), exact(cell.low), exact(cell.high)
    return max(EXACT.subtract(high, value), EXACT.subtract(value, low)) > EXACT.divide(abs(value), Decimal(2))


def extent(cells: Iterable[Cell], *, zero: bool) -> tuple[Decimal, Decimal]:
    """Return the least and the greatest number that an axis has to show, with zero if asked for.

    All values are in it, and the intervals too, except where drowned ones would leave no room for the others: those may
    stretch the axis to `STRETCH_MAX` times the rest, and end at its edge.
    """
    values: list[Decimal] = []
    firm: list[Decimal] = []
    every: list[Decimal] = []
    for cell in cells:
        assert cell.value is not None
        assert cell.low is not None
        assert cell.high is not None
        value, ends = exact(cell.value), (exact(cell.low), exact(cell.high))
        values.append(value)
        every += ends
        if not drowns(cell):
            firm += ends
    first = [ZERO] if zero or not values else []
    low, high = min(values + every + first), max(values + every + first)
    if not firm:
        return low, high
    core_low, core_high = min(values + firm + first), max(values + firm + first)
    room = EXACT.multiply(EXACT.subtract(core_high, core_low), Decimal(STRETCH_MAX - 1))
    if not room:
        return low, high
    return max(low, EXACT.subtract(core_low, room)), min(high, EXACT.add(core_high, room))


def reach(cells: Iterable[Cell], *, zero: bool) -> tuple[Decimal, Decimal]:
    """Return the range of an axis: with zero if asked for, and also where zero takes little of the room."""
    low, high = extent(cells, zero=zero)
    if low <= 0 <= high or low > high * NEAR_ZERO > 0 or high < low * NEAR_ZERO < 0:
        return low, high
    return min(low, ZERO), max(high, ZERO)


def nice(low: Decimal, high: Decimal, start: float, end: float, ticks: int) -> Scale:
    """Return an axis over a range with about so many ticks, at multiples of 1, 2 or 5 times a power of ten.

    It ends at ticks; an axis with zero inside ends earlier where a whole step beyond would be almost empty.
    """
    if low == high:  # one number alone stands in the middle
        around = EXACT.divide(abs(low), Decimal(2)) or Decimal(1)
        low, high = EXACT.subtract(low, around), EXACT.add(high, around)
    step = _step(EXACT.divide(EXACT.subtract(high, low), Decimal(max(ticks, 1))))
    least = EXACT.multiply(EXACT.divide(low, step).to_integral_value(ROUND_FLOOR), step)
    greatest = EXACT.multiply(EXACT.divide(high, step).to_integral_value(ROUND_CEILING), step)
    if low < 0 < high:
        pad = EXACT.multiply(step, PAD)
        least, greatest = max(least, EXACT.subtract(low, pad)), min(greatest, EXACT.add(high, pad))
    return Scale(least, greatest, step, start, end)


def _step(rough: Decimal) -> Decimal:
    """Return the least of 1, 2, 5, 10 times a power of ten that is not under a number above zero."""
    power = Decimal(1).scaleb(rough.adjusted(), EXACT)
    return next(step for digit in (1, 2, 5, 10) if (step := EXACT.multiply(power, Decimal(digit))) >= rough)


def _plain(number: Decimal, step: Decimal) -> Decimal:
    """Return a number without an exponent, with as many digits after the point as the step has."""
    exponent = int(EXACT.normalize(step).as_tuple().exponent)
    return number.quantize(Decimal(1).scaleb(min(exponent, 0)), context=EXACT)
