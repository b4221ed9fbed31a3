from __future__ import annotations

from budgets.merkle import leaf_hash


def test_the_hash_of_an_empty_leaf() -> None:
    """The hash of an empty leaf is the one of RFC 6962's test vectors."""
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_the_hash_of_a_leaf() -> None:
    """The hash of the leaf `L123456` is the one that certificate-transparency implementations test with."""
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
