"""How long to wait before a call is tried again."""

from __future__ import annotations

import datetime as dt
import random
from email.utils import parsedate_to_datetime

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 15.0
LEAST_SECONDS = 0.05


def pause(turn: int, retry_after: str | None = None) -> float:
    """Return the seconds to wait after the attempt number `turn` (0, 1, ...).

    A server's Retry-After is taken as it is. Without one the pause doubles up to a limit, and is shortened by chance:
    otherwise all clients of a server that starts anew would come back at once.
    """
    told = asked_for(retry_after)
    if told is not None:
        return max(told, LEAST_SECONDS)
    longest = min(FIRST_SECONDS * 2.0 ** min(turn, 30), LONGEST_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  no secret


def asked_for(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (a number, or a date), or None."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.timezone.utc)
    return max((at - dt.datetime.now(dt.timezone.utc)).total_seconds(), 0.0)
