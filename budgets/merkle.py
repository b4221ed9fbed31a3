"""Hashes of the audit log's entries, as RFC 6962 section 2.1 has them."""

from __future__ import annotations

import hashlib

LEAF = b"\x00"


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry as a leaf of the tree."""
    return hashlib.sha256(LEAF + entry).digest()
