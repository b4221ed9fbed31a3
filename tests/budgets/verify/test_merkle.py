from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import pytest

from budgets.verify.merkle import (
    Frontier,
    completed_nodes,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from tests.laws import is_audit


def test_merkle_hash_of_empty_leaf_equals_test_vector() -> None:
    """The hash of an empty leaf is the one of RFC 6962's test vectors."""
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_merkle_leaf_hash_equals_test_vector() -> None:
    """The hash of the leaf `L123456` is the one that certificate-transparency implementations test with."""
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"


# The vectors that the implementations of certificate transparency are tested with

INPUTS = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
FIRST, SECOND, FIFTH = (
    ROOTS[1],
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    ("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
)
SECOND_PAIR = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
THIRD_PAIR = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
FOURTH_PAIR = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
SECOND_FOUR = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
INCLUSION = [
    (0, 1, []),
    (0, 8, [SECOND, SECOND_PAIR, SECOND_FOUR]),
    (5, 8, [FIFTH, FOURTH_PAIR, ROOTS[4]]),
    (2, 3, [ROOTS[2]]),
    (1, 5, [FIRST, SECOND_PAIR, FIFTH]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [SECOND, SECOND_PAIR, SECOND_FOUR]),
    (6, 8, [THIRD_PAIR, FOURTH_PAIR, ROOTS[4]]),
    (2, 5, [SECOND_PAIR, FIFTH]),
]


def hexes(path: list[bytes]) -> list[str]:
    """Return hashes as the vectors write them."""
    return [one.hex() for one in path]


@pytest.mark.parametrize("size", range(9))
def test_merkle_roots_equal_test_vectors(size: int) -> None:
    """The root of the first leaves is the published one, from stored nodes and from a frontier."""
    tree = Tree([leaf_hash(text) for text in INPUTS])
    grown = Frontier()
    for text in INPUTS[:size]:
        grown.add(leaf_hash(text))
    assert root(size, tree.node).hex() == grown.root().hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_the_inclusion_proofs_of_the_vectors(index: int, size: int, path: list[str]) -> None:
    """Each published inclusion proof is the one that is made, and it verifies."""
    tree = Tree([leaf_hash(text) for text in INPUTS])
    made = inclusion_proof(index, size, tree.node)
    assert hexes(made) == path
    assert verify_inclusion(leaf_hash(INPUTS[index]), index, size, made, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("before", "size", "path"), CONSISTENCY)
def test_the_consistency_proofs_of_the_vectors(before: int, size: int, path: list[str]) -> None:
    """Each published consistency proof is the one that is made, and it verifies."""
    tree = Tree([leaf_hash(text) for text in INPUTS])
    made = consistency_proof(before, size, tree.node)
    assert hexes(made) == path
    assert verify_consistency(before, size, made, bytes.fromhex(ROOTS[before]), bytes.fromhex(ROOTS[size]))


# Another implementation, written down from the text of RFC 6962 sections 2.1, 2.1.1 and 2.1.2 on whole lists of leaves


class Naive:
    """MTH, PATH and PROOF as the RFC defines them, by recursion over D[first:last]."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.known: dict[tuple[int, int], bytes] = {}

    def mth(self, first: int, last: int) -> bytes:
        if (first, last) not in self.known:
            if last == first:
                found = hashlib.sha256(b"").digest()
            elif last - first == 1:
                found = self.leaves[first]
            else:
                k = self.k(last - first)
                found = hashlib.sha256(b"\x01" + self.mth(first, first + k) + self.mth(first + k, last)).digest()
            self.known[first, last] = found
        return self.known[first, last]

    def k(self, n: int) -> int:
        k = 1
        while 2 * k < n:
            k *= 2
        return k

    def path(self, m: int, first: int, last: int) -> list[bytes]:
        n = last - first
        if n == 1:
            return []
        k = self.k(n)
        if m < k:
            return [*self.path(m, first, first + k), self.mth(first + k, last)]
        return [*self.path(m - k, first + k, last), self.mth(first, first + k)]

    def subproof(self, m: int, first: int, last: int, b: bool) -> list[bytes]:
        n = last - first
        if m == n:
            return [] if b else [self.mth(first, last)]
        k = self.k(n)
        if m <= k:
            return [*self.subproof(m, first, first + k, b), self.mth(first + k, last)]
        return [*self.subproof(m - k, first + k, last, False), self.mth(first, first + k)]


class Tree:
    """Nodes stored as the log stores them: those that each new leaf completes."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.stored: dict[tuple[int, int], bytes] = {}
        self.read = 0
        grown = Frontier()
        for position, leaf in enumerate(leaves):
            self.stored[0, position] = leaf
            from_stored = list(completed_nodes(position, leaf, self.node))
            assert from_stored == grown.add(leaf)
            self.stored.update({(level, index): found for level, index, found in from_stored})

    def node(self, level: int, index: int) -> bytes:
        self.read += 1
        return self.stored[level, index]


def some_leaves(count: int) -> list[bytes]:
    """Return the hashes of leaves that differ."""
    return [leaf_hash(str(number).encode()) for number in range(count)]


@pytest.mark.slow
def test_every_tree_of_up_to_a_thousand_leaves() -> None:
    """Roots are those of the other implementation for all sizes up to 1,000, and so are proofs of many entries each."""
    leaves = some_leaves(1000)
    tree, naive, grown = Tree(leaves), Naive(leaves), Frontier()
    for size in range(1, 1001):
        grown.add(leaves[size - 1])
        expected = naive.mth(0, size)
        assert root(size, tree.node) == grown.root() == expected
        step = 1 if size <= 130 else 7 if is_audit() else 53
        for place in {*range(size % step, size, step), 0, size - 1}:
            path = inclusion_proof(place, size, tree.node)
            assert path == naive.path(place, 0, size)
            assert verify_inclusion(leaves[place], place, size, path, expected)
            before = place + 1
            proof = consistency_proof(before, size, tree.node)
            assert proof == naive.subproof(before, 0, size, True)
            assert verify_consistency(before, size, proof, naive.mth(0, before), expected)


def test_merkle_proofs_hold_for_random_trees_up_to_20000() -> None:
    """Roots and proofs are those of the definition for random entries of random sizes up to 20,000, and no proof reads more rows than the log has bits."""
    leaves = some_leaves(20_000)
    tree, naive = Tree(leaves), Naive(leaves)
    chance = random.Random(20261125)
    for _ in range(400):
        size = chance.randint(1001, 20_000)
        index = chance.randrange(size)
        tree.read = 0
        path = inclusion_proof(index, size, tree.node)
        proof = consistency_proof(index + 1, size, tree.node)
        assert tree.read <= 4 * size.bit_length()
        assert path == naive.path(index, 0, size)
        assert proof == naive.subproof(index + 1, 0, size, True)
        assert verify_inclusion(leaves[index], index, size, path, naive.mth(0, size))
        assert verify_consistency(index + 1, size, proof, naive.mth(0, index + 1), naive.mth(0, size))


def test_a_proof_of_anything_else_is_refused() -> None:
    """A proof does not verify for another entry, place, size or root, nor with a hash changed, dropped or added."""
    leaves = some_leaves(70)
    tree, naive = Tree(leaves), Naive(leaves)
    for size in range(2, 71):
        top, other = naive.mth(0, size), hashlib.sha256(b"other").digest()
        for index in {0, 1, size // 2, size - 1}:
            path = inclusion_proof(index, size, tree.node)
            assert not verify_inclusion(other, index, size, path, top)
            assert not verify_inclusion(leaves[index], index, size, path, other)
            assert not verify_inclusion(leaves[index], size, size, path, top)
            assert not verify_inclusion(leaves[index], -1, size, path, top)
            for wrong in range(size):
                assert wrong == index or not verify_inclusion(leaves[index], wrong, size, path, top)
            for changed in mutations(path, other):
                assert not verify_inclusion(leaves[index], index, size, changed, top)
            before = index + 1
            proof, old = consistency_proof(before, size, tree.node), naive.mth(0, before)
            for wrong in range(1, size):
                if wrong != before:
                    assert not verify_consistency(wrong, size, proof, old, top)
            assert not verify_consistency(0, size, proof, old, top)
            assert not verify_consistency(size + 1, size, proof, old, top)
            assert not verify_consistency(before, size, proof, other, top)
            assert not verify_consistency(before, size, proof, old, other)
            for changed in mutations(proof, other):
                assert not verify_consistency(before, size, changed, old, top)


def mutations(path: list[bytes], other: bytes) -> Iterator[list[bytes]]:
    """Yield a proof with one hash more, one less and one changed."""
    yield [*path, other]
    for place in range(len(path)):
        yield [*path[:place], *path[place + 1 :]]
        yield [*path[:place], other, *path[place + 1 :]]
