from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from budgets.checkpoint import create_key, verifier_key
from budgets.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

# The pair in the documentation of Go's golang.org/x/mod/sumdb/note.
GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


def parse(verifier: str) -> tuple[str, str, bytes]:
    """Return the name, hash and typed key of a verifier key, by the text of the C2SP note format."""
    name, key_hash, encoded = verifier.split("+", 2)
    return name, key_hash, base64.b64decode(encoded, validate=True)


def test_a_verifier_key_has_the_form_of_signed_notes(tmp_path: Path) -> None:
    """A verifier key is NAME+HASH+KEY: an Ed25519 key of 32 bytes behind a byte 1, and the hash of name and key."""
    for number in range(20):
        name, key_hash, typed = parse(create_key(tmp_path / f"{number}.key"))
        assert re.fullmatch(r"[^\s+]+", name)
        assert len(typed) == 33
        assert typed[0] == 1
        assert key_hash == hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4].hex()


def test_another_implementations_key_is_read(tmp_path: Path) -> None:
    """The key pair that Go's own documentation gives is read to the same verifier key."""
    path = tmp_path / "go.key"
    path.write_text(f"{GO_SIGNER}\n")
    assert verifier_key(path) == GO_VERIFIER


def test_the_two_keys_are_a_pair(tmp_path: Path) -> None:
    """What is signed with the key in the file verifies under the verifier key that was returned."""
    path = tmp_path / "signer.key"
    _, _, typed = parse(create_key(path))
    secret = base64.b64decode(path.read_text().strip().split("+", 4)[4])
    assert secret[0] == 1
    signature = Ed25519PrivateKey.from_private_bytes(secret[1:]).sign(b"a note")
    Ed25519PublicKey.from_public_bytes(typed[1:]).verify(signature, b"a note")


def test_the_verifier_key_can_be_read_again(tmp_path: Path) -> None:
    """The verifier key of a key file is the same whenever it is read, and names the same key as the file."""
    path = tmp_path / "signer.key"
    made = create_key(path)
    assert verifier_key(path) == verifier_key(path) == made
    assert path.read_text().startswith("PRIVATE+KEY+" + "+".join(made.split("+")[:2]) + "+")


def test_each_key_is_new(tmp_path: Path) -> None:
    """Two servers have different keys under different names."""
    one, two = parse(create_key(tmp_path / "one")), parse(create_key(tmp_path / "two"))
    assert one[0] != two[0]
    assert one[2] != two[2]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_reads_the_key(tmp_path: Path, umask: int) -> None:
    """The key file has mode 600 under every usual umask."""
    before = os.umask(umask)
    try:
        create_key(tmp_path / "signer.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "signer.key").stat().st_mode) == 0o600


def test_a_key_is_not_overwritten(tmp_path: Path) -> None:
    """A key file that is there already stays as it is."""
    path = tmp_path / "signer.key"
    create_key(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_key(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "hello", GO_VERIFIER, GO_SIGNER.replace("PRIVATE", "PUBLIC"), "PRIVATE+KEY+name"])
def test_what_is_no_key_file_is_refused(tmp_path: Path, text: str) -> None:
    """A file that holds something else is refused, with its name."""
    path = tmp_path / "signer.key"
    path.write_text(text)
    with pytest.raises(Invalid) as refused:
        verifier_key(path)
    assert refused.value.field == "signer.key"


@pytest.mark.parametrize(
    "text",
    [
        GO_SIGNER[:-8],
        GO_SIGNER.replace("+AYEK", "+%%%%"),
        GO_SIGNER.replace("+AYEK", "+AoEK"),
        GO_SIGNER.replace("c74f20a3", "c74f20a4"),
        GO_SIGNER.replace("PeterNeumann", "PéterNeumann"),
    ],
)
def test_a_damaged_key_is_refused(tmp_path: Path, text: str) -> None:
    """A signer key that was cut, is no base64, of another type, or does not match its hash, is refused as Invalid."""
    path = tmp_path / "signer.key"
    path.write_text(text)
    with pytest.raises(Invalid):
        verifier_key(path)
