"""How many examples a slow law tries: some in `make test`, all of them in `make audit`."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import settings

AUDIT = "audit"  # the profile of Hypothesis that --audit loads


T = TypeVar("T")


def tries(always: T, *, audited: T) -> T:
    """Return what to try, or how many examples, pairs or runs: `audited` under --audit, otherwise `always`."""
    return audited if is_audit() else always


def is_audit() -> bool:
    """Return True under --audit. It is known when tests are collected."""
    return settings.get_current_profile_name() == AUDIT
