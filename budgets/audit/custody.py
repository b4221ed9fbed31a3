"""Whose key signs the audit log, from the first to the one in force: a chain of custody that the log itself holds.

A key is replaced by two entries in one transaction: one names the old key and the new one, the next holds a checkpoint
that covers the first and is signed by the old key. So whoever kept the first verifier key can follow the log to every
later one (`log.py` does), and nobody without the old key can bring in another.

The new key lies beside the old one, as FILE.next, before the log names it, and takes its place afterwards. Whatever
happens in between, one of the two files holds the key that the log names, and that one signs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.audit import keys, log
from budgets.database.tables import audit_entries
from budgets.errors import Invalid, Unavailable
from budgets.verify.log import NAMES_KEY, SIGNS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from budgets.actors import Actor
    from budgets.database.connection import Database
    from budgets.verify.checkpoint import Signer

TRIES = 5  # a rotation may come to its end between the reading of the file and that of the log


def sign(database: Database, path: Path) -> str:
    """Return a checkpoint of the whole log, signed by the key in force. Raises Unavailable."""
    return with_signer(database, path, _signed)


def key_in_force(database: Database, path: Path) -> str:
    """Return the verifier key of the key that signs now. Raises Unavailable."""
    return with_signer(database, path, lambda _transaction, signer: signer.verifier.text)


def with_signer(database: Database, path: Path, work: Callable[[sa.Connection, Signer], str]) -> str:
    """Return what a work makes of one state of the log and the key in force in it. Raises Unavailable."""
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
        made = keys.create_key(_next(path), old.name)
        _hand_over(transaction, old, made, by)
    with database.write() as transaction:
        _put_in_place(transaction, path)
    return made


def _put_in_place(transaction: sa.Connection, path: Path) -> Signer:
    """Return the key in force, which is in its place afterwards; what a rotation that was cut off left is removed."""
    signer = _in_force(transaction, _signers(path))
    if signer is None:
        raise _not_named(path)
    following = _next(path)
    if following.exists():
        if keys.verifier_key(following) == signer.verifier.text:
            following.replace(path)
        else:
            following.unlink()
    return signer


def _not_named(path: Path) -> Unavailable:
    return Unavailable(f"the key in {path.name} is not the one that the audit log names last")


def _hand_over(transaction: sa.Connection, old: Signer, made: str, by: Actor) -> None:
    facts = {"before": old.verifier.text, "key": made}
    log.append(transaction, by, NAMES_KEY, "audit", "a new key signs the audit log from here on", facts=facts)
    signed = {"checkpoint": _signed(transaction, old)}
    log.append(transaction, by, SIGNS_KEY, "audit", "the key before signed for the new one", facts=signed)


def _signed(transaction: sa.Connection, signer: Signer) -> str:
    return signer.sign(log.checkpoint(transaction, signer.name).text)


def _signers(path: Path) -> list[Signer]:
    """Return the key in the file, and the one beside it if there is one."""
    found = []
    for file in (path, _next(path)):
        try:
            found.append(keys.signer(file))
        except FileNotFoundError:
            continue
        except (OSError, Invalid) as error:
            raise Unavailable(f"the key that signs the audit log cannot be used: {error}") from error
    if not found:
        raise Unavailable(f"there is no key that signs the audit log in {path}")
    return found


def _in_force(transaction: sa.Connection, found: list[Signer]) -> Signer | None:
    """Return the key that the log names last; before it names any, the one in the file."""
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
        raise Unavailable("the audit log is damaged: the entry that names its last key is none") from None
    return next((signer for signer in found if signer.verifier.text == named), None)


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")
