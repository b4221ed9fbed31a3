"""The limit of seconds that planning may work for one request."""

from __future__ import annotations

import time

import pytest

from queries.errors import InvalidQuery
from queries.planning import deadline


def test_work_beyond_the_limit_is_refused() -> None:
    """Seconds of the processor count; outside of the context nothing is limited."""
    deadline.require()
    with deadline.within(60):
        deadline.require()
        with deadline.within(0.01), pytest.raises(InvalidQuery, match=r"more than 0\.01 seconds"):
            _work_on()
        deadline.require()


def _work_on() -> None:
    while True:
        deadline.require()


def test_waiting_does_not_count() -> None:
    """A request that others keep from the processor is not refused for it."""
    with deadline.within(0.02):
        time.sleep(0.05)
        deadline.require()
