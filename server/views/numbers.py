"""How a number is written for people, with its interval: for the terminal, for charts and for pages.

What is written always covers the whole interval: `2,961 ± 6` if both sides are equally long, and otherwise
`1,963 [1,940 to 1,970]`. A number has as many digits as are needed to show two digits of half its interval's width; the
ends are rounded outwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.views.table import Cell

DIGITS_MAX = 15  # after the decimal point, because a float has no more
EXACT = Context(prec=700)  # enough for the decimal of every float
SIGNIFICANT_MAX = 8  # digits after the first one, in charts
PLAIN_MAX = Decimal(10) ** 10  # charts write larger numbers, and those below PLAIN_MIN, with a power of ten
PLAIN_MIN = Decimal("0.0001")
_LAST_DIGIT = Decimal(1).scaleb(-SIGNIFICANT_MAX)
TIMES = "\u00d7"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Marks:
    """How a language writes numbers: what separates thousands, the decimal mark, and `to` between two ends."""

    thousands: str = ","
    point: str = "."
    to: str = "to"


ENGLISH = Marks()


def exact(number: float) -> Decimal:
    """Return a number as a decimal that reads as the number is printed."""
    return Decimal(repr(number))


def with_interval(cell: Cell, *, whole: bool, marks: Marks = ENGLISH) -> str | None:
    """Return a value with its interval, or None where one of the three numbers is not known.

    With `whole`, all digits before the point are kept. Otherwise they too are rounded to what the interval supports,
    and very large and very small numbers are written with a power of ten, so that the text is never long.
    """
    if cell.value is None or cell.low is None or cell.high is None:
        return None
    value, low, high = exact(cell.value), exact(cell.low), exact(cell.high)
    are_whole = all(isinstance(number, int) for number in (cell.value, cell.low, cell.high))
    unit = _unit(value, EXACT.subtract(high, low), largest=Decimal(1) if whole else None)
    if are_whole:
        unit = max(unit, Decimal(1))
    written = grouped
    greatest = max(map(abs, (value, low, high)))
    if not whole and greatest:
        is_plain = PLAIN_MIN <= greatest < PLAIN_MAX
        written = grouped if is_plain else short
        unit = max(unit, Decimal(1).scaleb(greatest.adjusted() - (SIGNIFICANT_MAX if is_plain else 2)))
    shown = _rounded(value, unit, ROUND_HALF_EVEN)
    above, below = EXACT.subtract(high, value), EXACT.subtract(value, low)
    uneven = EXACT.abs(EXACT.subtract(above, below))
    if min(above, below) >= 0 and (uneven == 0 or (uneven < unit and not (are_whole and whole))):
        off = max(EXACT.subtract(high, shown), EXACT.subtract(shown, low))
        return f"{written(shown, marks)} ± {written(_rounded(off, unit, ROUND_CEILING), marks)}"
    ends = _rounded(low, unit, ROUND_FLOOR), _rounded(high, unit, ROUND_CEILING)
    return f"{written(shown, marks)} [{written(ends[0], marks)} {marks.to} {written(ends[1], marks)}]"


def with_ends(cell: Cell, marks: Marks = ENGLISH) -> tuple[str, str, str] | None:
    """Return a value and both ends of its interval, or None where one of the three numbers is not known.

    They have the digits that `with_interval` gives them with `whole`. Its ends are those between brackets.
    """
    if cell.value is None or cell.low is None or cell.high is None:
        return None
    value, low, high = exact(cell.value), exact(cell.low), exact(cell.high)
    unit = _unit(value, EXACT.subtract(high, low), largest=Decimal(1))
    if all(isinstance(number, int) for number in (cell.value, cell.low, cell.high)):
        unit = Decimal(1)
    rounded = ((value, ROUND_HALF_EVEN), (low, ROUND_FLOOR), (high, ROUND_CEILING))
    written, lowest, highest = (grouped(_rounded(number, unit, rounding), marks) for number, rounding in rounded)
    return written, lowest, highest


def _unit(value: Decimal, width: Decimal, *, largest: Decimal | None) -> Decimal:
    """Return the unit of the last printed digit: the second digit of half the interval's width, at most `largest`."""
    half = EXACT.divide(EXACT.abs(width), Decimal(2))
    digits = 1 - half.adjusted() if half else -int(EXACT.normalize(value).as_tuple().exponent)
    unit = Decimal(1).scaleb(-min(digits, DIGITS_MAX))
    return unit if largest is None else min(unit, largest)


def _rounded(number: Decimal, unit: Decimal, rounding: str) -> Decimal:
    """Return the nearest multiple of a power of ten, without an exponent."""
    if unit <= 1:
        return number.quantize(unit, rounding, EXACT)
    return EXACT.multiply(EXACT.divide(number, unit).quantize(Decimal(1), rounding, EXACT), unit).quantize(
        Decimal(1), ROUND_HALF_EVEN, EXACT
    )


def grouped(number: Decimal, marks: Marks = ENGLISH) -> str:
    """Return a decimal with all its digits and separated thousands."""
    text = f"{number:,f}"
    text = text if number else text.removeprefix("-")  # never -0
    if marks is ENGLISH:
        return text
    return "".join({",": marks.thousands, ".": marks.point}.get(character, character) for character in text)


def short(number: Decimal, marks: Marks = ENGLISH) -> str:
    """Return a number for an axis: with separated thousands, or with a power of ten where that would be long."""
    if not number:
        return "0" if abs(int(number.as_tuple().exponent)) > SIGNIFICANT_MAX else grouped(number, marks)
    exponent = number.adjusted()
    if PLAIN_MIN <= abs(number) < PLAIN_MAX:
        return grouped(number, marks)
    digits = EXACT.normalize(number.scaleb(-exponent, EXACT).quantize(_LAST_DIGIT, ROUND_HALF_EVEN, EXACT))
    return f"{grouped(digits, marks)} {TIMES} 10{str(exponent).translate(_RAISED)}"
