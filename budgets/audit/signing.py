"""The key that signs the audit log: its file, and how it is replaced.

The file has the text form of C2SP signed notes and mode 600, so that only the server's user can read it. The verifier
key is public: the DPO keeps it.

The log itself contains the chain of its keys. A rotation appends two entries in one transaction: one names the old key
and the new one, the next contains a checkpoint that covers the first and is signed by the old key. A reader who kept
the first verifier key can follow the log to every later one (`budgets/verify/keys.py`), and without the old key nobody
can bring in another.

Before the log names the new key, it is in FILE.next beside the old one. Afterwards it replaces the old file. Whenever a
rotation is interrupted, one of the two files has the key that the log names, and that key signs.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
from typing import TYPE_CHECKING

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from budgets.audit import log
from budgets.database.tables import audit_entries
from budgets.errors import Invalid, Unavailable
from budgets.verify.checkpoint import ED25519, Signer
from budgets.verify.keys import NAMES_KEY, SIGNS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from budgets.actors import Actor
    from budgets.database.connection import Database

SIGNER = "PRIVATE+KEY"
MODE = 0o600
TRIES = 5  # a rotation may end after the file is read and before the log is read


def sign(database: Database, path: Path) -> str:
    """Return a checkpoint of the whole log, signed by the key in force. Raises Unavailable."""
    return with_signer(database, path, _signed)


def key_in_force(database: Database, path: Path) -> str:
    """Return the verifier key of the key that signs now. Raises Unavailable."""
    return with_signer(database, path, lambda _transaction, signer: signer.verifier.text)


def with_signer(database: Database, path: Path, work: Callable[[sa.Connection, Signer], str]) -> str:
    """Call a function with one state of the log and the key in force in it. Raises Unavailable."""
    for _ in range(TRIES):
        found = _signers(path)
        with database.read() as transaction:
            signer = _in_force(transaction, found)
            if signer is not None:
                return work(transaction, signer)
    raise _not_named(path)


def rotate(database: Database, path: Path, by: Actor) -> str:
    """Make a new key, let the old one sign for it in the log, and return the new verifier key. Raises Unavailable."""
    with database.write() as transaction:  # one rotation at a time
        old = _put_in_place(transaction, path)
        made = create_key(_next(path), old.name)
        _hand_over(transaction, old, made, by)
    with database.write() as transaction:
        _put_in_place(transaction, path)
    return made


def _put_in_place(transaction: sa.Connection, path: Path) -> Signer:
    """Return the key in force and make sure that it is in its place. Remove what an interrupted rotation left."""
    signer = _in_force(transaction, _signers(path))
    if signer is None:
        raise _not_named(path)
    following = _next(path)
    if following.exists():
        if verifier_key(following) == signer.verifier.text:
            following.replace(path)
        else:
            following.unlink()
    return signer


def _not_named(path: Path) -> Unavailable:
    return Unavailable(f"the key in {path.name} is not the one that the audit log names last")


def _hand_over(transaction: sa.Connection, old: Signer, made: str, by: Actor) -> None:
    facts = {"before": old.verifier.text, "key": made}
    log.append(transaction, by, NAMES_KEY, "audit", "a new key signs the audit log from now on", facts=facts)
    signed = {"checkpoint": _signed(transaction, old)}
    log.append(transaction, by, SIGNS_KEY, "audit", "the old key signed for the new one", facts=signed)


def _signed(transaction: sa.Connection, signer: Signer) -> str:
    return signer.sign(log.checkpoint(transaction, signer.name).text)


def _signers(path: Path) -> list[Signer]:
    """Return the key in the file, and the key beside it if there is one."""
    found = []
    for file in (path, _next(path)):
        try:
            found.append(read_signer(file))
        except FileNotFoundError:
            continue
        except (OSError, Invalid) as error:
            raise Unavailable(f"the key that signs the audit log cannot be used: {error}") from error
    if not found:
        raise Unavailable(f"there is no key that signs the audit log in {path}")
    return found


def _in_force(transaction: sa.Connection, found: list[Signer]) -> Signer | None:
    """Return the key that the log names last, or the one in the file if the log names none."""
    last = transaction.execute(
        sa.select(audit_entries.c.body)
        .where(audit_entries.c.action == NAMES_KEY)
        .order_by(audit_entries.c.position.desc())
        .limit(1)
    ).scalar()
    if last is None:
        return found[0]
    try:
        named = json.loads(last)["facts"]["key"]
    except (ValueError, KeyError, TypeError):
        raise Unavailable("the audit log is damaged: the entry that names its last key cannot be read") from None
    return next((signer for signer in found if signer.verifier.text == named), None)


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


# The file


def create_key(path: Path, name: str | None = None) -> str:
    """Write a new signer key that only its owner can read, and return its verifier key. The file must not exist.

    A log keeps its name when its key changes. Without a name, a new one is drawn.
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


def read_signer(path: Path) -> Signer:
    """Return the key of a signer key file. Raises Invalid, also if anybody but its owner may read the file."""
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
