"""The audit log's Merkle tree, by the definitions of RFC 6962 section 2.1 (the same as RFC 9162 section 2.1).

Roots and proofs are made from the hashes of complete subtrees: `node(level, index)` is the root over the entries from
index * 2^level up to (index + 1) * 2^level. Such a hash never changes, so it is stored when the last of its entries is
added, and a root or proof of n entries needs O(log n) of them.

This module needs only the standard library, because the independent check (`export.py`) uses it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Node = Callable[[int, int], bytes]  # level, index -> hash of a complete subtree; level 0 are the leaves

LEAF = b"\x00"
INNER = b"\x01"
EMPTY_ROOT = hashlib.sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry as a leaf of the tree."""
    return hashlib.sha256(LEAF + entry).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node with two children."""
    return hashlib.sha256(INNER + left + right).digest()


class Frontier:
    """A tree that grows leaf by leaf and keeps only the roots of its complete subtrees, largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf's hash and return the (level, index, hash) of each inner node that it completes."""
        completed = []
        found, level, index = leaf, 0, self.size
        while index & 1:  # the last peak has this level
            found, level, index = inner_hash(self._peaks.pop(), found), level + 1, index >> 1
            completed.append((level, index, found))
        self._peaks.append(found)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        found = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            found = inner_hash(peak, found)
        return found


def completed_nodes(position: int, leaf: bytes, node: Node) -> Iterator[tuple[int, int, bytes]]:
    """Yield the (level, index, hash) of each inner node that the leaf at a position completes, lowest first.

    `node` returns their left children. On average a leaf completes one node.
    """
    level, index, found = 0, position, leaf
    while index & 1:
        found = inner_hash(node(level, index - 1), found)
        level, index = level + 1, index >> 1
        yield level, index, found


def root(size: int, node: Node) -> bytes:
    """Return MTH(D[n]), the root over the first `size` entries."""
    return _over(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """Return PATH(m, D[n]): the proof that entry `index` is in the tree of `size` entries. index < size."""
    assert 0 <= index < size
    path: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            path.append(_over(middle, last, node))
            last = middle
        else:
            path.append(_over(first, middle, node))
            first = middle
    return path[::-1]


def consistency_proof(before: int, size: int, node: Node) -> list[bytes]:
    """Return PROOF(m, D[n]): the proof that the tree of `before` entries is a prefix. 0 < before <= size."""
    assert 0 < before <= size
    path: list[bytes] = []
    first, last = 0, size
    while before < last:
        middle = first + _split(last - first)
        if before <= middle:
            path.append(_over(middle, last, node))
            last = middle
        else:
            path.append(_over(first, middle, node))
            first = middle
    if first > 0:  # else it is the root of the earlier tree, which the verifier has
        path.append(_over(first, last, node))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes) -> bool:
    """Return whether a path leads from a leaf's hash to a root, by the algorithm of RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    here, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if here & 1 or here == last:
            found = inner_hash(sibling, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = inner_hash(found, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and found == expected


def verify_consistency(before: int, size: int, path: Sequence[bytes], root_before: bytes, root_after: bytes) -> bool:
    """Return whether a path proves that one tree is a prefix of another, by RFC 9162 section 2.1.4.2."""
    if not 0 < before <= size:
        return False
    if before == size:
        return not path and root_before == root_after
    if not path:
        return False
    steps = list(path) if before & (before - 1) else [root_before, *path]
    here, last = before - 1, size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old = new = steps[0]
    for sibling in steps[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            old, new = inner_hash(sibling, old), inner_hash(sibling, new)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            new = inner_hash(new, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and old == root_before and new == root_after


def _over(first: int, last: int, node: Node) -> bytes:
    """Return the root over the entries from `first` up to `last`. `first` is where a subtree starts."""
    count = last - first
    if not count & (count - 1):
        level = count.bit_length() - 1
        return node(level, first >> level)
    middle = first + _split(count)
    return inner_hash(_over(first, middle, node), _over(middle, last, node))


def _split(count: int) -> int:
    """Return the largest power of two below a count of two or more."""
    return 1 << ((count - 1).bit_length() - 1)
