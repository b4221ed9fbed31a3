"""The text of a release's body: as it is stored, and as it is hashed.

A member of a body may write itself, because a list of a million rows is written faster by whoever made it. What it
writes is what the JSON of the same list would be, byte for byte, or nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from budgets.verify import canonical_json


@runtime_checkable
class Written(Protocol):
    """A sequence that can write itself."""

    def written(self, *, sort: bool) -> bytes | None:
        """Return the JSON of the sequence, in UTF-8; None if it has to be written as a list."""


def stored(body: Mapping[str, Any]) -> str:
    """Return the JSON of a body as the ledger keeps it. Raises ValueError for NaN and infinities."""
    return _text(body, lambda value: json.dumps(value, separators=(",", ":"), allow_nan=False), sort=False).decode()


def sha256(body: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a body's canonical JSON, in hex. Raises ValueError for NaN and infinities."""
    return hashlib.sha256(_text(body, canonical_json.dumps, sort=True)).hexdigest()


def _text(body: Mapping[str, Any], dumps: Any, *, sort: bool) -> bytes:
    members = []
    for name in sorted(body) if sort else body:
        value = body[name]
        text = value.written(sort=sort) if isinstance(value, Written) else None
        if text is None:
            text = dumps(list(value) if isinstance(value, Written) and isinstance(value, Sequence) else value).encode()
        members.append(dumps(name).encode() + b":" + text)
    return b"{" + b",".join(members) + b"}"
