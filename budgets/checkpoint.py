"""The key that signs the audit log's checkpoints, in the text forms of C2SP signed notes.

The signer key stays in a file of mode 600. The verifier key is public: the DPO keeps it, and whoever holds it can
check a checkpoint without trusting the server.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from budgets.errors import Invalid

if TYPE_CHECKING:
    from pathlib import Path

ED25519 = b"\x01"
SIGNER = "PRIVATE+KEY"


def create_key(path: Path) -> str:
    """Write a new signer key, readable by its owner alone, and return its verifier key. The file must not exist."""
    name = f"rowless-{secrets.token_hex(4)}"
    key = Ed25519PrivateKey.generate()
    encoded = base64.b64encode(ED25519 + key.private_bytes_raw()).decode()
    line = f"{SIGNER}+{name}+{_key_hash(name, key)}+{encoded}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(line)
    return verifier_key(path)


def verifier_key(path: Path) -> str:
    """Return the public verifier key, NAME+HASH+KEY, of a signer key file. Raises Invalid."""
    try:
        parts = path.read_text(encoding="ascii").strip().split("+", 4)
        prefix, name, stated, encoded = "+".join(parts[:2]), *parts[2:]
        typed = base64.b64decode(encoded, validate=True)
        key = Ed25519PrivateKey.from_private_bytes(typed[1:])
    except ValueError:
        raise Invalid(path.name, "is not a signer key") from None
    if prefix != SIGNER or typed[:1] != ED25519 or _key_hash(name, key) != stated:
        raise Invalid(path.name, "is not a signer key")
    public = base64.b64encode(ED25519 + key.public_key().public_bytes_raw()).decode()
    return f"{name}+{_key_hash(name, key)}+{public}"


def _key_hash(name: str, key: Ed25519PrivateKey) -> str:
    """Return the first four bytes of SHA-256 over the name, a newline and the typed public key."""
    typed = ED25519 + key.public_key().public_bytes_raw()
    return hashlib.sha256(name.encode() + b"\n" + typed).hexdigest()[:8]
