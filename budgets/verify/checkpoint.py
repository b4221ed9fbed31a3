"""Checkpoints: three signed lines that commit the server to the content of the audit log.

The text is a C2SP tlog-checkpoint: the log's name (origin), its number of entries, and the root of its Merkle tree in
base64. It is signed as a C2SP signed note with Ed25519. A person who has the verifier key can check it without trusting
the server. This module needs only the standard library and `cryptography`, because the independent check uses it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"  # the signature type of C2SP signed notes
DASH = "—"
NAME = re.compile(r"[^\s+]+")
SIGNATURE = re.compile(rf"{DASH} ([^\s+]+) ([A-Za-z0-9+/]+={{0,2}})")
SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class BadNote(ValueError):
    """Not a note or key of the right form, or not signed by the right key."""


@dataclass(frozen=True)
class Checkpoint:
    """The size and root of a log at one moment."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True)
class Verifier:
    """A public key with its name: NAME+HASH+KEY."""

    name: str
    key: bytes

    @classmethod
    def of(cls, text: str) -> Verifier:
        """Read a verifier key. Raises BadNote."""
        try:
            name, stated, encoded = text.strip().split("+", 2)
            typed = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise BadNote("this is not a verifier key (NAME+HASH+KEY)") from None
        if not NAME.fullmatch(name) or typed[:1] != ED25519 or len(typed) != 33:
            raise BadNote("this is not the verifier key of an Ed25519 key")
        found = cls(name, typed[1:])
        if found.key_hash.hex() != stated:
            raise BadNote("the verifier key's hash is not that of its name and key: it was not copied correctly")
        return found

    @property
    def key_hash(self) -> bytes:
        """Return the four bytes that distinguish keys of one name: SHA-256 of the name, a newline and the typed key."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()[:4]

    @property
    def text(self) -> str:
        """Return NAME+HASH+KEY."""
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(ED25519 + self.key).decode()}"

    def signed(self, note: str) -> bool:
        """Return whether a note has a valid signature by this key. Raises BadNote if it is not a note."""
        text, lines = _parts(note)
        mine = [raw[4:] for name, raw in lines if name == self.name and raw[:4] == self.key_hash]
        try:
            for signature in mine:
                Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return bool(mine)


@dataclass(frozen=True)
class Signer:
    """A private key with its name."""

    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        """Return the public key that belongs to it."""
        return Verifier(self.name, self.key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return a text, which ends with a newline, as a signed note."""
        assert text.endswith("\n")
        signature = base64.b64encode(self.verifier.key_hash + self.key.sign(text.encode())).decode()
        return f"{text}\n{DASH} {self.name} {signature}\n"


def read(note: str) -> Checkpoint:
    """Return the checkpoint in a note without checking its signatures. Raises BadNote."""
    text, _ = _parts(note)
    lines = text.split("\n")
    try:
        origin, size, encoded = lines[:3]
        root = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise BadNote("this is not a checkpoint: origin, size and root are missing") from None
    if not origin or not SIZE.fullmatch(size) or len(root) != 32:
        raise BadNote("this is not a checkpoint: its size or its root does not have the right form")
    return Checkpoint(origin, int(size), root)


def open_note(note: str, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint in a note that a key has signed. Raises BadNote."""
    found = read(note)
    if found.origin != verifier.name:
        raise BadNote(f"it is a checkpoint of the log {found.origin}, and the key is that of {verifier.name}")
    if not verifier.signed(note):
        raise BadNote(f"it is not signed by the key {verifier.name}+{verifier.key_hash.hex()}")
    return found


def _parts(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return a note's text and its signatures as (name, key hash and signature)."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise BadNote("this is not a signed note: a text, an empty line, signatures")
    found = []
    for line in signatures[:-1].split("\n"):
        parts = SIGNATURE.fullmatch(line)
        if parts is None:
            raise BadNote("this is not a signed note: a signature line does not have the right form")
        try:
            found.append((parts[1], base64.b64decode(parts[2], validate=True)))
        except ValueError:
            raise BadNote("this is not a signed note: a signature is not base64") from None
    return f"{text}\n", found
