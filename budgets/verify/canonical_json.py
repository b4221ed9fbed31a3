"""Canonical JSON: the one text of a value. The log's entries and certificates are hashed in this form.

And reading JSON that may have any shape: `members` and the functions after it return what they are given, or raise
ValueError or TypeError.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

Json = dict[str, Any]

# Made once, because a check of a log encodes millions of entries.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def dumps(value: object) -> str:
    """Return the canonical JSON of a value: sorted keys, no spaces. Raises ValueError for NaN and infinities."""
    return _ENCODER.encode(value)


def sha256(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


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
