"""Numbers in words, as advice writes them."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """Return a number with three digits, or whole from 1,000 on."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def at_least(value: float) -> str:
    """Return a number rounded up to two digits."""
    if value <= 1:
        return "at least 1"
    digits = max(len(str(math.ceil(value))) - 2, 0)
    return f"at least {math.ceil(value / 10**digits) * 10**digits:,}"
