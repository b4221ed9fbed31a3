"""Canonical JSON: the one text of a value, which is what the log's entries and certificates are hashed as."""

from __future__ import annotations

import hashlib
import json


def dumps(value: object) -> str:
    """Return the canonical JSON of a value: sorted keys, no spaces, no NaN (which raises ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
