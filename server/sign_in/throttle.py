"""How often a token and an address may call, counted in sliding windows, in the memory of this process.

A rate is a backstop against programs that run wild. What a request may take of the machine is decided by admission
(`gate.py`). A token is counted by its id, and an account of the issuer by its user. An IPv6 address is counted by
its network of 64 bits, because whoever has one address of it has all.

`limits` reads what a rate is. Its own memory starts a thread at nearly every request, to forget what is over;
here that is done by the requests themselves, once in a window.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from limits import parse

from server.errors import TooFast

if TYPE_CHECKING:
    from limits import RateLimitItem

OFF = "off"
NETWORK_BITS = 64


def parse_rate(text: str) -> RateLimitItem | None:
    """Return a rate, as in 600/minute, or None for "off". Raises ValueError."""
    if text == OFF:
        return None
    try:
        rate = parse(text)
    except ValueError:
        raise ValueError("must be a rate, for example 600/minute or 20/second") from None
    if rate.amount < 1:
        raise ValueError("must allow at least one request")
    return rate


class Windows:
    """The counts of one rate: at most `amount` in any window of `seconds`, by a sliding window counter.

    Requests are counted in windows that begin at multiples of their length. Of the window before, as large a share
    counts as the window that ends now still has of it. Threads share it.
    """

    def __init__(self, amount: int, seconds: int) -> None:
        self._amount = amount
        self._seconds = seconds
        self._lock = threading.Lock()
        self._number = 0  # of the present window
        self._present: Counter[str] = Counter()
        self._before: Counter[str] = Counter()

    def hit(self, key: str, now: float) -> float | None:
        """Count a request and return None, or return in how many seconds there may be room for one."""
        number, passed = divmod(now, self._seconds)
        left = self._seconds - passed
        with self._lock:
            self._begin(int(number))
            before, present = self._before[key], self._present[key]  # a Counter: 0 where there was none
            if math.floor(before * left / self._seconds + present) < self._amount:
                self._present[key] = present + 1
                return None
        # As soon as one fewer of the window before counts; without one before, when this one is the one before.
        return left if not before else left % (self._seconds / before)

    def _begin(self, number: int) -> None:
        """Begin a window, and forget what is over. A clock that was set back begins one, too."""
        if number != self._number:
            self._before = self._present if number == self._number + 1 else Counter()
            self._present, self._number = Counter(), number


@dataclass(frozen=True)
class Throttle:
    """The counts of one process. Threads share it. A rate of None is no limit."""

    by_token: RateLimitItem | None
    by_address: RateLimitItem | None
    _counts: dict[str, Windows] = field(default_factory=dict)

    @classmethod
    def of(cls, by_token: str, by_address: str) -> Throttle:
        """Return new counts for rates as settings have them."""
        return cls(parse_rate(by_token), parse_rate(by_address))

    def token(self, identity: str) -> None:
        """Count a request of a token. Raises TooFast."""
        self._count(self.by_token, "token", identity)

    def address(self, address: str | None) -> None:
        """Count a request of an address. Raises TooFast."""
        self._count(self.by_address, "address", _network(address or ""))

    def _count(self, rate: RateLimitItem | None, kind: str, key: str) -> None:
        if rate is None:
            return
        wait = self._counts.setdefault(kind, Windows(rate.amount, rate.get_expiry())).hit(key, time.time())
        if wait is not None:
            raise TooFast(f"this {kind} may send {rate.amount} requests in {_span(rate)}", max(1, math.ceil(wait)))


def _network(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(ip_network((found.ipv4_mapped or found, 32 if found.ipv4_mapped else NETWORK_BITS), strict=False))
    return address


def _span(rate: RateLimitItem) -> str:
    seconds = rate.get_expiry()
    return "a second" if seconds == 1 else f"{seconds} seconds"
