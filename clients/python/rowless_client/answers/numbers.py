"""How a number is written with its margin: `2,961 ± 6`, or `1,963 [1,940 to 1,970]` where the sides differ.

Numbers have two digits of their margin. What is written always covers the whole interval.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowless_client.answers.flat import Number

EXACT = Context(prec=700)  # enough for the decimal of every float
DIGITS_MAX = 15


def written(number: Number) -> str:
    """Return a number with its interval, the number alone without one, and a dash for nothing."""
    if number.hidden:
        return "hidden"
    if number.value is None:
        return "-"
    if number.low is None or number.high is None:
        return plain(number.value)
    value, low, high = (_exact(one) for one in (number.value, number.low, number.high))
    whole = all(isinstance(one, int) for one in (number.value, number.low, number.high))
    unit = _unit(value, EXACT.subtract(high, low), whole=whole)
    shown = _rounded(value, unit, ROUND_HALF_EVEN)
    above, below = EXACT.subtract(high, value), EXACT.subtract(value, low)
    if min(above, below) >= 0 and EXACT.abs(EXACT.subtract(above, below)) < unit:
        off = max(EXACT.subtract(high, shown), EXACT.subtract(shown, low))
        return f"{shown:,f} ± {_rounded(off, unit, ROUND_CEILING):,f}"
    return f"{shown:,f} [{_rounded(low, unit, ROUND_FLOOR):,f} to {_rounded(high, unit, ROUND_CEILING):,f}]"


def plain(value: float) -> str:
    """Return a number without an interval, with all its digits."""
    return f"{_exact(value):,f}"


def brief(value: float) -> str:
    """Return a margin with about four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def counted(number: int, what: str) -> str:
    """Return a number of things: 1 row, 2,000 rows."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share as a percentage of two digits."""
    return f"{100 * share:.2g}%" if share < 1 else "100%"


def _exact(number: float) -> Decimal:
    return Decimal(repr(number))


def _unit(value: Decimal, width: Decimal, *, whole: bool) -> Decimal:
    """Return the unit of the last digit that is written: at most 1, because digits before the point are all written."""
    half = EXACT.divide(EXACT.abs(width), Decimal(2))
    digits = 1 - half.adjusted() if half else -int(EXACT.normalize(value).as_tuple().exponent)
    unit = min(Decimal(1).scaleb(-min(digits, DIGITS_MAX)), Decimal(1))
    return Decimal(1) if whole else unit


def _rounded(number: Decimal, unit: Decimal, rounding: str) -> Decimal:
    return number.quantize(unit, rounding, EXACT)
