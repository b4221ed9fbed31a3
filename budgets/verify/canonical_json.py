"""Canonical JSON: the one text of a value. The log's entries and certificates are hashed in this form."""

from __future__ import annotations

import hashlib
import json

# Made once, because a check of a log encodes millions of entries.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def dumps(value: object) -> str:
    """Return the canonical JSON of a value: sorted keys, no spaces. Raises ValueError for NaN and infinities."""
    return _ENCODER.encode(value)


def sha256(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
