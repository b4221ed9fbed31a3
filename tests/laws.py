"""How many examples a slow law tries: some in `make test`, all of them in `make audit`."""

from __future__ import annotations

from hypothesis import settings

AUDIT = "audit"  # the profile of Hypothesis that --audit loads


def tries(always: int, *, audited: int) -> int:
    """Return how many examples, pairs or runs to try: `audited` under --audit, otherwise `always`."""
    return audited if is_audit() else always


def is_audit() -> bool:
    """Return True under --audit. It is known when tests are collected."""
    return settings.get_current_profile_name() == AUDIT
