"""The file of the key that signs the audit log's checkpoints, in the text form of C2SP signed notes.

The signer key stays in a file of mode 600, readable by the server's user alone. The verifier key is public: the DPO
keeps it.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from budgets.errors import Invalid
from budgets.verify.checkpoint import ED25519, Signer

if TYPE_CHECKING:
    from pathlib import Path

SIGNER = "PRIVATE+KEY"
MODE = 0o600


def create_key(path: Path, name: str | None = None) -> str:
    """Write a new signer key, readable by its owner alone, and return its verifier key. The file must not exist.

    A log keeps its name when its key changes; without a name there is a new one.
    """
    signer = Signer(name or f"rowless-{secrets.token_hex(4)}", Ed25519PrivateKey.generate())
    encoded = base64.b64encode(ED25519 + signer.key.private_bytes_raw()).decode()
    line = f"{SIGNER}+{signer.name}+{signer.verifier.key_hash.hex()}+{encoded}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(line)
        file.flush()
        os.fsync(descriptor)
    return signer.verifier.text


def signer(path: Path) -> Signer:
    """Return the key of a signer key file. Raises Invalid, also when others than its owner may read it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode != MODE:
        raise Invalid(path.name, f"has mode {mode:o}, not 600: others could sign in this log's name (chmod 600 {path})")
    return _read(path)


def verifier_key(path: Path) -> str:
    """Return the public verifier key, NAME+HASH+KEY, of a signer key file. Raises Invalid."""
    return _read(path).verifier.text


def _read(path: Path) -> Signer:
    try:
        parts = path.read_text(encoding="ascii").strip().split("+", 4)
        prefix, name, stated, encoded = "+".join(parts[:2]), *parts[2:]
        typed = base64.b64decode(encoded, validate=True)
        found = Signer(name, Ed25519PrivateKey.from_private_bytes(typed[1:]))
    except ValueError:
        raise Invalid(path.name, "is not a signer key") from None
    if prefix != SIGNER or typed[:1] != ED25519 or found.verifier.key_hash.hex() != stated:
        raise Invalid(path.name, "is not a signer key")
    return found
