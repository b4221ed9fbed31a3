"""Reading JSON that may have any shape: each function returns what it is given, or raises ValueError or TypeError."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def members(value: object, *names: str) -> list[Any]:
    """Return the members of an object that has these and no others, in this order."""
    found = mapping(value)
    if set(found) != set(names):
        raise ValueError(names)
    return [found[name] for name in names]


def mapping(value: object) -> Json:
    """Return an object."""
    if not isinstance(value, dict):
        raise TypeError(value)
    return value


def items(value: object) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def text(value: object) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def hashes(value: object) -> list[bytes]:
    """Return a list of SHA-256 hashes, which are written in lower-case hex."""
    found = [bytes.fromhex(text(one)) for one in items(value)]
    if [one.hex() for one in found] != value or any(len(one) != 32 for one in found):
        raise ValueError(value)
    return found
