"""Texts that people write for others to read: a reason, a purpose, a conclusion."""

from __future__ import annotations

from budgets.errors import Invalid

LONGEST = 10_000


def require(field: str, text: str, longest: int = LONGEST) -> None:
    """Raise Invalid unless a text says something, in at most so many characters."""
    if not text.strip() or len(text) > longest or "\0" in text:
        raise Invalid(field, f"must be a text of 1 to {longest} characters, without NUL")
