"""From epsilon, rho and delta as people write them to whole units.

There are two ways in. **What a manifest declares is read strictly** (`epsilon_nano`, `delta_atto`): a number that is
finer than the unit is refused. It is written by hand, once, so a digit too many is probably a mistake. **What a request
offers is rounded down** to the unit (`offered`), because programs compute it: 0.1 + 0.2 is 0.30000000000000004 in every
language with binary floats. A float is read as the shortest decimal that gives it, because that is how languages write
it: 0.3 is 0.3, though the float lies below it. Only rounding down never spends or allows more than was offered: 0.7 -
0.4 is 0.29999999999999993, and is read as 0.299999999. `rounding` explains that in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from budgets.errors import Invalid
from budgets.loss import ATTO, EPSILON_MAX, NANO, RHO_MAX, exact, units_text


def epsilon_nano(value: float | Decimal, field: str = "epsilon") -> int:
    """Return a declared epsilon in billionths. Raises Invalid if it is finer, negative or no number."""
    return _strict("epsilon", value, field)


def delta_atto(value: float | Decimal, field: str = "delta") -> int:
    """Return a declared delta in 10^-18. Raises Invalid."""
    return _strict("delta", value, field)


def offered(word: str, value: float | Decimal, field: str | None = None) -> int:
    """Return an epsilon, rho or delta (`word`) of a request in whole units, rounded down.

    Raises Invalid if it is negative, too large or no number, or if it is above 0 and below one unit.
    """
    number = _number(word, value, field or word)
    units = _floor(word, number)
    if number and not units:
        raise Invalid(field or word, f"must be at least {units_text(1, UNITS[word].scale)}")
    return units


def rounding(word: str, value: float | Decimal, place: str | None = None) -> str | None:
    """Return a sentence with what was offered and what was taken, or None if they are equal.

    `value` is one that `offered` accepts.
    """
    number = _number(word, value, word)
    units, scale = _floor(word, number), UNITS[word].scale
    if number == exact(units, scale):
        return None
    return (
        f"{place or word}: {value} was offered and {units_text(units, scale)} was taken, because it is rounded down to "
        f"a multiple of {units_text(1, scale)}"
    )


@dataclass(frozen=True)
class _Unit:
    scale: int  # units in 1
    most: int


UNITS = {"epsilon": _Unit(NANO, EPSILON_MAX), "rho": _Unit(NANO, RHO_MAX), "delta": _Unit(ATTO, 1)}


def _number(word: str, value: float | Decimal, field: str) -> Decimal:
    if isinstance(value, bool):
        raise Invalid(field, "must be a number")
    # str() of a float is the decimal that was written. Its binary value is a little off.
    number = Decimal(str(value))
    if not number.is_finite():
        raise Invalid(field, "must be a finite number")
    if not 0 <= number <= UNITS[word].most:
        raise Invalid(field, f"must be from 0 to {UNITS[word].most}")
    if word == "delta" and number == 1:
        raise Invalid(field, "must be below 1")
    return number


def _floor(word: str, number: Decimal) -> int:
    """Return the whole units in a number. The decimal digits are cut off, so no rounding happens first."""
    unit = 1 / Decimal(UNITS[word].scale)
    return int(number.quantize(unit, ROUND_FLOOR).scaleb(-int(unit.as_tuple().exponent)))


def _strict(word: str, value: float | Decimal, field: str) -> int:
    number = _number(word, value, field)
    units, scale = _floor(word, number), UNITS[word].scale
    if number != exact(units, scale):
        raise Invalid(field, f"must be a multiple of {units_text(1, scale)}")
    return units
