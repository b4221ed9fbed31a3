"""Rates of a token and of an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.errors import TooFast
from server.sign_in.throttle import Throttle, Windows, parse_rate
from tests.serving import Client, Home, application, through_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Place


@pytest.fixture
def place(home: Home) -> Iterator[Place]:
    """Return an application with small rates."""
    with application(home, token_rate="5/hour", address_rate="12/hour") as opened:
        yield opened


def test_a_token_that_is_too_fast_is_429(place: Place) -> None:
    """The sixth request of a token is 429, with the time to wait; another token is not concerned."""
    ada, ben = place.client("ada"), place.client("ben")
    assert [ada.get("/me").status for _ in range(5)] == [200] * 5
    reply = ada.get("/me")
    assert (reply.status, reply.code) == (429, "too-many-requests")
    assert 1 <= int(reply.headers["retry-after"]) <= 2 * 3600
    assert ben.get("/me").status == 200


def test_an_address_that_is_too_fast_is_429(place: Place) -> None:
    """An address has its own rate, whatever it sends; health answers all the same, and nothing reaches the ledger."""
    stranger = place.client(None)
    for _ in range(12):
        assert stranger.get("/me").status == 401
    before = place.home.last_entry()
    wrong = Client(through_app(place.app), "rowless_0123456789abcdef_" + "A" * 43)
    reply = wrong.get("/me")
    assert (reply.status, reply.code) == (429, "too-many-requests")
    assert place.client("ada").get("/me").status == 429
    assert stranger.get("/health").status == 200
    assert place.home.last_entry() == before


def test_networks_of_ipv6_are_one_address() -> None:
    """Whoever has a network of 64 bits has one rate; IPv4 written as IPv6 is that IPv4 address."""
    throttle = Throttle(None, parse_rate("2/hour"))
    throttle.address("2001:db8::1")
    throttle.address("2001:db8::2")
    with pytest.raises(TooFast):
        throttle.address("2001:db8::ffff")
    throttle.address("2001:db8:0:1::1")
    for one in ("::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.3"):
        throttle.address(one)
        throttle.address(one)
        with pytest.raises(TooFast):
            throttle.address(one)


def test_rate_off_refuses_nobody() -> None:
    """With the rates off nobody is refused, however many requests come."""
    throttle = Throttle(None, None)
    for _ in range(1000):
        throttle.token("t")
        throttle.address("192.0.2.1")


def test_a_window_slides() -> None:
    """What was sent in the window before counts by the share of it that is still within the last minute."""
    windows = Windows(10, 60)
    assert [windows.hit("a", 1000 * 60 + second) for second in range(10)] == [None] * 10
    assert windows.hit("a", 1000 * 60 + 30) == 30
    # A quarter into the next window three quarters of ten count, and the whole part of that is 7.
    assert [windows.hit("a", 1001 * 60 + 15) for _ in range(3)] == [None] * 3
    wait = windows.hit("a", 1001 * 60 + 15)
    assert wait is not None
    assert wait == pytest.approx(3.0)
    assert windows.hit("a", 1001 * 60 + 15 + wait + 0.01) is None
    assert windows.hit("b", 1001 * 60 + 15) is None


def test_a_window_forgets() -> None:
    """After two windows nothing is kept of a key, and a clock that was set back begins anew."""
    windows = Windows(1, 60)
    for key in map(str, range(100)):
        assert windows.hit(key, 60_000.0) is None
    assert windows.hit("other", 60_000.0 + 120) is None
    assert (len(windows._before), len(windows._present)) == (0, 1)
    assert windows.hit("other", 50_000.0) is None
