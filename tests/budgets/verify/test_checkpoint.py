from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from budgets.audit.signing import create_key, read_signer, verifier_key
from budgets.errors import Invalid
from budgets.verify.checkpoint import BadNote, Checkpoint, Signer, Verifier, open_note, read

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


def test_two_servers_have_different_signing_keys(tmp_path: Path) -> None:
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
def test_odd_key_file_refused(tmp_path: Path, text: str) -> None:
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


# Notes

PROVERB = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = f"{PROVERB}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
# The example in C2SP's tlog-checkpoint.
SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)


@pytest.fixture
def go(tmp_path: Path) -> Signer:
    """Return the signer of Go's documentation."""
    path = tmp_path / "go.key"
    path.write_text(f"{GO_SIGNER}\n")
    path.chmod(0o600)
    return read_signer(path)


def test_a_note_is_the_one_that_go_makes(go: Signer) -> None:
    """Go's example text signed with Go's example key is Go's example note, and verifies under its verifier key."""
    assert go.sign(PROVERB) == GO_NOTE
    assert Verifier.of(GO_VERIFIER).signed(GO_NOTE)
    assert Verifier.of(GO_VERIFIER).text == go.verifier.text == GO_VERIFIER


def test_the_checkpoint_of_the_specification_is_read() -> None:
    """The example of C2SP's tlog-checkpoint says what stands in it."""
    said = read(SOFA)
    assert (said.origin, said.size) == ("example.com/behind-the-sofa", 20852163)
    assert said.root.hex().startswith("0ac5186a91863e8e1d90c808014aa89b")
    assert SOFA.startswith(f"{said.text}\n")


def test_a_checkpoint_comes_back(go: Signer) -> None:
    """A checkpoint that was signed opens under its key, to what was signed; also beside signatures of others."""
    said = Checkpoint(go.name, 12, bytes(range(32)))
    note = go.sign(said.text)
    assert open_note(note, go.verifier) == said
    witness = Signer("witness", Ed25519PrivateKey.generate())
    both = note + witness.sign(said.text).rpartition("\n\n")[2]
    assert open_note(both, go.verifier) == said
    assert witness.verifier.signed(both)


def test_checkpoint_signed_by_other_key_refused(go: Signer) -> None:
    """A checkpoint under another key, name or text is refused, and so is one whose text was changed."""
    said = Checkpoint(go.name, 12, bytes(32))
    note = go.sign(said.text)
    same_name = Signer(go.name, Ed25519PrivateKey.generate())
    for refused in (
        same_name.sign(said.text),
        note.replace("\n12\n", "\n13\n"),
        note.replace("AAA", "AAB", 1),
        Signer("other", go.key).sign(said.text),
        go.sign(Checkpoint("other", 12, bytes(32)).text),
    ):
        with pytest.raises(BadNote):
            open_note(refused, go.verifier)
    # Both signatures claim to be this key's, and one does not hold.
    forged = same_name.sign(said.text).rpartition(" ")[2]
    stolen = base64.b64encode(go.verifier.key_hash + base64.b64decode(forged)[4:]).decode()
    assert not go.verifier.signed(f"{note}— {go.name} {stolen}\n")


@pytest.mark.parametrize(
    "note",
    [
        *("", "\n", "\n\n", "hello", SOFA[:-1], SOFA.partition("\n\n")[0], SOFA.replace("— ", "- ")),
        *(SOFA.replace("Az3g", "Az%g"), SOFA.replace("AYQ8=", "AYQ8"), SOFA.replace("20852163", "020852163")),
        *(SOFA.replace("20852163", "-1"), SOFA.replace("q2I=", "q2I"), SOFA.replace("CsUY", ""), f"\n{SOFA}"),
        *(
            SOFA.replace("20852163", "twenty"),
            f"{SOFA}\n",
            SOFA.replace("20852163", "9" * 40),
            "a\n1\n\n— b YWJjZA==\n",
        ),
    ],
)
def test_odd_checkpoint_refused(note: str) -> None:
    """A text that lacks a part, or has one in another form, is refused as BadNote and nothing else."""
    with pytest.raises(BadNote):
        read(note)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a+b", "PeterNeumann+c74f20a3+%%%%", GO_VERIFIER.replace("c74f", "c74e"), GO_VERIFIER[:-4]),
        *(GO_VERIFIER.replace("Peter", "Pieter"), GO_VERIFIER.replace("+ARpc", "+AhpC"), GO_SIGNER),
    ],
)
def test_odd_verifier_key_refused(text: str) -> None:
    """A verifier key that was cut or copied wrongly, or is of another type, is refused."""
    with pytest.raises(BadNote):
        Verifier.of(text)


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o604, 0o700, 0o400])
def test_a_key_that_others_may_read_does_not_sign(tmp_path: Path, mode: int) -> None:
    """A key file whose mode is not 600 is refused with its mode and what to do."""
    path = tmp_path / "signer.key"
    create_key(path)
    path.chmod(mode)
    with pytest.raises(Invalid, match=f"has mode {mode:o}, not 600.*chmod 600"):
        read_signer(path)
