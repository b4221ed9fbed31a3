"""How often a token and an address may call: `limits` counts in sliding windows, in the memory of this process.

A rate is a backstop against programs that run wild. What a request may take of the machine is decided by admission
(`gate.py`). A token is counted by its id, and an account of the issuer by its user. An IPv6 address is counted by
its network of 64 bits, because whoever has one address of it has all.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

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


@dataclass(frozen=True)
class Throttle:
    """The counts of one process. Threads share it. A rate of None is no limit."""

    by_token: RateLimitItem | None
    by_address: RateLimitItem | None
    _counts: SlidingWindowCounterRateLimiter = field(
        default_factory=lambda: SlidingWindowCounterRateLimiter(MemoryStorage())
    )

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
        if rate is None or self._counts.hit(rate, kind, key):
            return
        stats = self._counts.get_window_stats(rate, kind, key)
        raise TooFast(f"this {kind} may send {rate.amount} requests in {_span(rate)}", _seconds(stats.reset_time))


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


def _seconds(reset_time: float) -> int:
    return max(1, math.ceil(reset_time - time.time()))
