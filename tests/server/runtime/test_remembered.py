"""What is remembered, and what is forgotten first."""

from __future__ import annotations

import pytest

from server.runtime.remembered import Remembered


def test_what_was_not_asked_for_is_forgotten_first() -> None:
    """Of three results two are kept: the last ones that were asked for."""
    kept: Remembered[int] = Remembered(2)
    for key, number in (("a", 1), ("b", 2)):
        kept.keep(key, number)
    assert kept.find("a") == 1
    kept.keep("c", 3)
    assert [kept.find(key) for key in "abc"] == [1, None, 3]


def test_it_is_made_once_and_errors_are_not_kept() -> None:
    """A result is made on first use; what raises is tried again."""
    kept: Remembered[int] = Remembered(2)
    with pytest.raises(ZeroDivisionError):
        kept.of("a", lambda: 1 // 0)
    assert [kept.of("a", lambda made=made: made) for made in (1, 2)] == [1, 1]  # type: ignore[misc]
