"""Conversion between zero-concentrated and approximate differential privacy, rounded to the safe side.

A loss of rho under zCDP is (epsilon, delta)-DP for every delta, with (Bun and Steinke 2016; the tight form is Canonne,
Kamath and Steinke 2020, proposition 12)

    epsilon = a * rho + ln(1 / (a * delta)) / (a - 1) + ln(1 - 1 / a)      for every a > 1.

Every a gives a valid epsilon, so the search for the best a may use floats. Only the last evaluation has to be exact: it
uses decimals of 50 digits and rounds up.
"""

from __future__ import annotations

import functools
import math
from decimal import ROUND_CEILING, Context, Decimal, localcontext

from budgets.loss import ATTO, EPSILON_MAX, NANO

DIGITS = 50
SLACK = Decimal("1e-40")  # far more than what 50 digits can be off by
STEPS = 90  # each shortens the interval to 0.618 of its length


def epsilon_nano(rho_nano: int, delta_atto: int) -> int:
    """Return an epsilon in billionths, rounded up, such that rho-zCDP is (epsilon, delta)-DP. Delta is above 0."""
    assert rho_nano >= 0
    assert 0 < delta_atto < ATTO
    if rho_nano == 0:
        return 0
    order = _best_order(rho_nano / NANO, delta_atto / ATTO)
    with localcontext(Context(prec=DIGITS, rounding=ROUND_CEILING)):
        a, rho, delta = Decimal(order), Decimal(rho_nano) / NANO, Decimal(delta_atto) / ATTO
        epsilon = a * rho - (a * delta).ln() / (a - 1) + ((a - 1) / a).ln() + SLACK
        return max(0, math.ceil(epsilon * NANO))


@functools.lru_cache(maxsize=4096)
def rho_nano_max(epsilon_nano_limit: int, delta_atto: int) -> int:
    """Return the largest rho in billionths whose conversion at delta stays within epsilon; 0 if delta is 0."""
    if delta_atto == 0:
        return 0
    # Epsilon is at least about rho, so no limit allows a larger rho.
    low, high = 0, (EPSILON_MAX + 1) * NANO
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if epsilon_nano(middle, delta_atto) <= epsilon_nano_limit else (low, middle)
    return low


def _best_order(rho: float, delta: float) -> float:
    """Return about the best a > 1, by golden section over ln(a - 1), where epsilon has one minimum."""

    def epsilon(point: float) -> float:
        above = math.exp(point)
        a = 1 + above
        return a * rho - math.log(a * delta) / above + point - math.log(a)

    left, right = -30.0, 60.0
    ratio = (math.sqrt(5) - 1) / 2
    inner = [right - ratio * (right - left), left + ratio * (right - left)]
    for _ in range(STEPS):
        if epsilon(inner[0]) < epsilon(inner[1]):
            right = inner[1]
        else:
            left = inner[0]
        inner = [right - ratio * (right - left), left + ratio * (right - left)]
    return 1 + math.exp((left + right) / 2)
