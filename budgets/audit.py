"""The append-only log: who did what, when, under which study, at what cost. Never an exact value from the data.

An entry is written in the same transaction as what it records, so there is neither an act without an entry nor an
entry without an act. Its body is canonical JSON; its hash is that of an RFC 6962 leaf; and each body names the hash
of the entry before it, so that nothing can be changed, left out or put in between without breaking the chain.

People appear as commitments (a salted hash of the name): the table that ties them to names can be erased later while
the log stays whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets import clock
from budgets.merkle import leaf_hash
from budgets.tables import audit_entries, identities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START = "0" * 64  # what the first entry names as its predecessor
BATCH_ROWS = 1_000

_FIND_LAST = (
    sa.select(audit_entries.c.position, audit_entries.c.leaf_hash).order_by(audit_entries.c.position.desc()).limit(1)
)


@dataclass(frozen=True)
class Actor:
    """Who acts: a user by commitment, or the system itself."""

    name: str
    role: str
    commitment: str


SYSTEM = Actor("system", "system", "system")
ANONYMOUS = Actor("anonymous", "none", "anonymous")


@dataclass(frozen=True)
class Entry:
    """One entry of the log: its body as it was hashed, and the actor's name where it is still known."""

    body: str
    leaf_hash: str
    actor_name: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the entry for people: the facts of its body, its hash and the actor's name."""
        return {**json.loads(self.body), "actor_name": self.actor_name, "leaf_hash": self.leaf_hash}


def append(
    transaction: sa.Connection,
    actor: Actor,
    action: str,
    subject: str,
    summary: str,
    *,
    study: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry. `subject` is what was acted on, as in "study:flu"; `summary` a sentence that names no person."""
    last = transaction.execute(_FIND_LAST).first()
    position, previous = (last.position + 1, last.leaf_hash) if last else (0, START)
    at = clock.now()
    body = canonical(
        {
            "index": position,
            "time": at,
            "actor": actor.commitment,
            "role": actor.role,
            "action": action,
            "subject": subject,
            "study": study,
            "summary": summary,
            "facts": dict(facts or {}),
            "previous": previous,
        }
    )
    transaction.execute(
        sa.insert(audit_entries),
        {
            "position": position,
            "leaf_hash": leaf_hash(body.encode()).hex(),
            "body": body,
            "at": at,
            "actor": actor.commitment,
            "action": action,
            "study": study,
        },
    )


def canonical(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def entries(
    transaction: sa.Connection,
    *,
    first: int = 0,
    limit: int = 100,
    study: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[Entry]:
    """Return entries from position `first` on, oldest first. `actor` is a name; times are inclusive at `since`."""
    wanted = _entries().where(audit_entries.c.position >= first)
    if study is not None:
        wanted = wanted.where(audit_entries.c.study == study)
    if actor is not None:
        known = sa.select(identities.c.commitment).where(identities.c.name == actor)
        wanted = wanted.where(audit_entries.c.actor.in_(known) | (audit_entries.c.actor == actor))
    if action is not None:
        wanted = wanted.where(audit_entries.c.action == action)
    if since is not None:
        wanted = wanted.where(audit_entries.c.at >= since)
    if until is not None:
        wanted = wanted.where(audit_entries.c.at < until)
    return [_entry(row) for row in transaction.execute(wanted.order_by(audit_entries.c.position).limit(limit))]


def every_entry(transaction: sa.Connection) -> Iterator[Entry]:
    """Yield the whole log, oldest first, in little memory."""
    result = transaction.execution_options(yield_per=BATCH_ROWS).execute(_entries().order_by(audit_entries.c.position))
    for row in result:
        yield _entry(row)


def problems(transaction: sa.Connection) -> Iterator[str]:
    """Yield what is wrong with the chain: nothing, when no entry was changed, removed, added or moved."""
    previous = START
    position = -1
    rows = transaction.execution_options(yield_per=BATCH_ROWS).execute(
        sa.select(audit_entries).order_by(audit_entries.c.position)
    )
    for position, row in enumerate(rows):
        if leaf_hash(row.body.encode()).hex() != row.leaf_hash:
            yield f"entry {position}: its hash is not that of its body"
        body = _body(row.body)
        if body is None:
            yield f"entry {position}: its body is no entry"
        else:
            if body.get("index") != position or row.position != position:
                yield f"entry {position}: its body says it is entry {body.get('index')}"
            if body.get("previous") != previous:
                yield f"entry {position}: does not follow the entry before it"
            beside = {"time": row.at, "actor": row.actor, "action": row.action, "study": row.study}
            if any(body.get(key) != value for key, value in beside.items()):
                yield f"entry {position}: what stands beside its body differs from it"
        previous = row.leaf_hash
    if position < 0:
        yield "the log is empty"


def _body(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _entries() -> sa.Select[Any]:
    return sa.select(audit_entries, identities.c.name).join_from(
        audit_entries, identities, audit_entries.c.actor == identities.c.commitment, isouter=True
    )


def _entry(row: sa.Row[Any]) -> Entry:
    fixed = {SYSTEM.commitment, ANONYMOUS.commitment}
    return Entry(row.body, row.leaf_hash, row.actor if row.actor in fixed else row.name)
