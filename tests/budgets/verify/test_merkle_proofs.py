from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from budgets.verify.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from tests.budgets.verify.test_merkle import INPUTS, ROOTS

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = 300
RANDOM = random.Random(6962)
DATA = [b"entry %d" % number for number in range(5000)]
HASHES = [leaf_hash(one) for one in DATA]


# The definitions of RFC 6962 section 2.1, word by word


def sha(data: bytes) -> bytes:
    """Return SHA-256."""
    return hashlib.sha256(data).digest()


def split(count: int) -> int:
    """Return the largest power of two below a count."""
    k = 1
    while 2 * k < count:
        k *= 2
    return k


def mth(data: list[bytes]) -> bytes:
    """Return MTH(D[n])."""
    if not data:
        return sha(b"")
    if len(data) == 1:
        return sha(b"\x00" + data[0])
    k = split(len(data))
    return sha(b"\x01" + mth(data[:k]) + mth(data[k:]))


def path(m: int, data: list[bytes]) -> list[bytes]:
    """Return PATH(m, D[n])."""
    if len(data) == 1:
        return []
    k = split(len(data))
    return [*path(m, data[:k]), mth(data[k:])] if m < k else [*path(m - k, data[k:]), mth(data[:k])]


def subproof(m: int, data: list[bytes], complete: bool) -> list[bytes]:
    """Return SUBPROOF(m, D[n], b)."""
    if m == len(data):
        return [] if complete else [mth(data)]
    k = split(len(data))
    if m <= k:
        return [*subproof(m, data[:k], complete), mth(data[k:])]
    return [*subproof(m - k, data[k:], False), mth(data[:k])]


def nodes(hashes: list[bytes]) -> Callable[[int, int], bytes]:
    """Return what looks up the complete subtrees that a growing tree said it completed."""
    tree, known = Frontier(), {(0, index): one for index, one in enumerate(hashes)}
    for one in hashes:
        known |= {(level, index): found for level, index, found in tree.add(one)}
    return lambda level, index: known[level, index]


NODE = nodes(HASHES)


def frontier(hashes: list[bytes]) -> bytes:
    """Return the root of a tree grown leaf by leaf."""
    tree = Frontier()
    for one in hashes:
        tree.add(one)
    return tree.root()


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_the_test_vectors(size: int) -> None:
    """The roots over the first leaves are those of certificate transparency's test vectors, grown or looked up."""
    hashes = [leaf_hash(one) for one in INPUTS[:size]]
    assert frontier(hashes).hex() == root(size, nodes(hashes)).hex() == mth(INPUTS[:size]).hex() == ROOTS[size]


def test_every_root_is_that_of_the_definition() -> None:
    """For all sizes up to 300, and some beyond, both ways to a root give the RFC's own."""
    tree = Frontier()
    for size in range(SIZES + 1):
        assert tree.size == size
        assert tree.root() == root(size, NODE) == mth(DATA[:size])
        tree.add(HASHES[size])
    for size in (*RANDOM.sample(range(SIZES, 5000), 20), 1024, 4095, 4096, 4097):
        assert frontier(HASHES[:size]) == root(size, NODE) == mth(DATA[:size])


def cases(least: int) -> list[tuple[int, int]]:
    """Return (m, n) for all n up to 40, some up to 300, and some far beyond, with m from `least` to n."""
    small = [(m, n) for n in range(1, 41) for m in range(least, n + least)]
    middle = [(m, n) for n in range(41, SIZES + 1) for m in RANDOM.sample(range(least, n + least), 3)]
    large = [(RANDOM.randrange(least, n + least), n) for n in RANDOM.sample(range(SIZES, 5000), 20)]
    return [*small, *middle, *large]


def test_inclusion_is_proved_and_nothing_else_is() -> None:
    """Each proof is the RFC's PATH, and it holds; with another leaf, place, size, root or path it does not."""
    for index, size in cases(0):
        proof = inclusion_proof(index, size, NODE)
        assert proof == path(index, DATA[:size])
        top, leaf = root(size, NODE), HASHES[index]
        assert verify_inclusion(leaf, index, size, proof, top)
        assert not verify_inclusion(HASHES[index + 1], index, size, proof, top)
        assert not verify_inclusion(leaf, index, size, proof, root(size + 1, NODE))
        assert not verify_inclusion(leaf, index, size, [*proof, leaf], top)
        assert not verify_inclusion(leaf, size, size, proof, top)
        assert not verify_inclusion(leaf, -1, size, proof, top)
        if size > 1:
            assert not verify_inclusion(leaf, (index + 1) % size, size, proof, top)
            assert not verify_inclusion(leaf, index, size, proof[:-1], top)
            place = RANDOM.randrange(len(proof))
            assert not verify_inclusion(leaf, index, size, [*proof[:place], leaf_hash(b"x"), *proof[place + 1 :]], top)


def test_consistency_is_proved_and_nothing_else_is() -> None:
    """Each proof is the RFC's PROOF, and it holds; with another root, size or path it does not."""
    other = leaf_hash(b"other")
    for before, size in cases(1):
        proof = consistency_proof(before, size, NODE)
        assert proof == subproof(before, DATA[:size], True)
        old, new = root(before, NODE), root(size, NODE)
        assert verify_consistency(before, size, proof, old, new)
        assert not verify_consistency(before, size, proof, other, new)
        assert not verify_consistency(before, size, proof, old, other)
        assert not verify_consistency(before, size, [*proof, other], old, new)
        assert not verify_consistency(0, size, proof, old, new)
        assert not verify_consistency(size + 1, size, proof, old, new)
        if proof:
            assert not verify_consistency(before, size, proof[:-1], old, new)
            place = RANDOM.randrange(len(proof))
            assert not verify_consistency(before, size, [*proof[:place], other, *proof[place + 1 :]], old, new)
