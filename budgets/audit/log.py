"""The append-only log: who did what, when, under which study, at what cost. It never has an exact value from the data.

An entry is written in the same transaction as what it records, so there is no act without an entry and no entry without
an act. Its body is canonical JSON and its hash is that of an RFC 6962 leaf. Each body has the hash of the entry before
it, so that nothing can be changed, left out or inserted without breaking the chain. Each inner node of the tree is
stored when it is completed, so that a checkpoint or a proof reads a few dozen rows.

An entry that a request over HTTP wrote has the request's id as `request_id`, so that an entry, a reply and the server's
log can be put side by side (`origin.py`). It is hashed with the rest: an id beside the hashed body could be exchanged
unnoticed. Entries without a request (of commands and of the server itself) have no such member. Checks of the log read
the members that they know, so logs from before and copies of the verifier from before stay good.

People appear as commitments (a salted hash of the name). The table that ties them to names can be erased while the log
stays whole (`commitments.py`, `erasure.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import ANONYMOUS, SYSTEM
from budgets.audit import origin
from budgets.database import clock
from budgets.database.tables import audit_entries, audit_nodes, identities
from budgets.errors import Invalid, Unavailable
from budgets.verify import canonical_json, merkle
from budgets.verify.checkpoint import Checkpoint
from budgets.verify.merkle import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from budgets.actors import Actor


START = "0" * 64  # the hash before the first entry
PARTS = {"index", "time", "actor", "role", "action", "subject", "study", "summary", "facts", "previous"}
BATCH_ROWS = 1_000

_FIND_LAST = (
    sa.select(audit_entries.c.position, audit_entries.c.leaf_hash, audit_entries.c.at)
    .order_by(audit_entries.c.position.desc())
    .limit(1)
)
# The time of the last entry, as a column of another SELECT.
LAST_AT = (
    sa.select(audit_entries.c.at).order_by(audit_entries.c.position.desc()).limit(1).scalar_subquery().label("last_at")
)
_FIND_LEAF = sa.select(audit_entries.c.leaf_hash).where(audit_entries.c.position == sa.bindparam("of_index"))
_FIND_NODE = sa.select(audit_nodes.c.hash).where(
    audit_nodes.c.level == sa.bindparam("of_level"), audit_nodes.c.index == sa.bindparam("of_index")
)


@dataclass(frozen=True)
class Entry:
    """One entry of the log: its body as it was hashed, and the actor's name if it is still known."""

    position: int
    body: str
    leaf_hash: str
    actor_name: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the entry for people: the facts of its body, its hash and the actor's name. Raises Unavailable."""
        body = _body(self.body)
        if body is None or not body.keys() >= PARTS:
            raise Unavailable("the audit log is damaged: an entry's body is not one (rowless doctor reports which)")
        return {**body, "actor_name": self.actor_name, "leaf_hash": self.leaf_hash}


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
    """Add an entry. `subject` is what was acted on, as in "study:flu"; `summary` is a sentence that names no person.

    Raises Unavailable if entries are missing, because a log that was cut off is not continued. Raises Invalid for a
    lone surrogate, which UTF-8 cannot write.
    """
    last = transaction.execute(_FIND_LAST).first()
    position, previous = (last.position + 1, last.leaf_hash) if last else (0, START)
    # If the clock was set back, time stands still in the log. Thus a span of time is a span of positions.
    at = max(clock.now(), last.at) if last else clock.now()
    body_facts = dict(facts or {})
    request_id = origin.request_id.get()
    body = canonical_json.dumps(
        {
            "index": position,
            "time": at,
            "actor": actor.commitment,
            "role": actor.role,
            "action": action,
            "subject": subject,
            "study": study,
            "summary": summary,
            "facts": body_facts,
            "previous": previous,
            **({} if request_id is None else {"request_id": request_id}),
        }
    )
    try:
        leaf = leaf_hash(body.encode())
    except UnicodeEncodeError:  # a lone surrogate: a terminal may give one, HTTP refuses it earlier
        raise Invalid(action, "one of its texts cannot be written in UTF-8") from None
    transaction.execute(
        sa.insert(audit_entries),
        {
            "position": position,
            "leaf_hash": leaf.hex(),
            "body": body,
            "at": at,
            "actor": actor.commitment,
            "action": action,
            "study": study,
        },
    )
    named = body_facts.get("user", subject.removeprefix("user:") if subject.startswith("user:") else None)
    if named is not None:
        transaction.execute(sa.update(identities).where(identities.c.commitment == named).values(named_at=at))
    _grow_tree(transaction, position, leaf)


def _grow_tree(transaction: sa.Connection, position: int, leaf: bytes) -> None:
    """Store the inner nodes that a new leaf completes."""
    completed = merkle.completed_nodes(position, leaf, lambda level, index: node(transaction, level, index))
    rows = [{"level": level, "index": index, "hash": found.hex()} for level, index, found in completed]
    if rows:
        try:
            transaction.execute(sa.insert(audit_nodes), rows)
        except sa.exc.IntegrityError as error:
            raise Unavailable("the audit log is damaged: its tree has more entries than the log") from error


def last_at(transaction: sa.Connection) -> str | None:
    """Return the time of the last entry, or None if the log is empty."""
    last = transaction.execute(_FIND_LAST).first()
    return None if last is None else last.at


def now(transaction: sa.Connection) -> str:
    """Return the present moment, or that of the last entry if the clock was turned back.

    What has an end is compared with it, so that no clock opens it again.
    """
    return after(last_at(transaction))


def after(last_at: str | None) -> str:
    """Return what `now` returns, if the time of the last entry is known (`LAST_AT`)."""
    return max(clock.now(), last_at or "")


def size(transaction: sa.Connection) -> int:
    """Return how many entries the log has."""
    last = transaction.execute(_FIND_LAST).first()
    return last.position + 1 if last else 0


def node(transaction: sa.Connection, level: int, index: int) -> bytes:
    """Return the hash of a complete subtree of 2^level entries. Raises Unavailable if the log was tampered with."""
    of = {"of_index": index}
    found = transaction.execute(_FIND_NODE, {**of, "of_level": level}) if level else transaction.execute(_FIND_LEAF, of)
    stored: str | None = found.scalar()
    if stored is None:
        raise Unavailable(f"the audit log is damaged: a part of its tree is missing (level {level}, {index})")
    try:
        return bytes.fromhex(stored)
    except ValueError:
        raise Unavailable(f"the audit log is damaged: a hash of its tree is not one (level {level}, {index})") from None


def root(transaction: sa.Connection, size: int) -> bytes:
    """Return the root of the tree over the first `size` entries, which must be there."""
    return merkle.root(size, lambda level, index: node(transaction, level, index))


def inclusion_proof(transaction: sa.Connection, index: int, size: int) -> list[bytes]:
    """Return the proof that an entry is in the tree of the first `size` entries. Raises Invalid."""
    _require_size(transaction, size, "size")
    if not 0 <= index < size:
        raise Invalid("index", f"must be from 0 to {size - 1}")
    return merkle.inclusion_proof(index, size, lambda level, index: node(transaction, level, index))


def consistency_proof(transaction: sa.Connection, before: int, size: int) -> list[bytes]:
    """Return the proof that the first `size` entries begin with the first `before`. Raises Invalid."""
    _require_size(transaction, size, "to")
    if not 0 < before <= size:
        raise Invalid("from", f"must be from 1 to {size}")
    return merkle.consistency_proof(before, size, lambda level, index: node(transaction, level, index))


def _require_size(transaction: sa.Connection, wanted: int, field: str) -> None:
    present = size(transaction)
    if not 0 < wanted <= present:
        raise Invalid(field, f"must be from 1 to {present}, the number of entries")


def checkpoint(transaction: sa.Connection, origin: str) -> Checkpoint:
    """Return the checkpoint of the log as it is now, to be signed."""
    present = size(transaction)
    return Checkpoint(origin, present, root(transaction, present))


def first_at(transaction: sa.Connection, moment: str) -> int:
    """Return the position of the first entry at a moment or later. It may be that of the next entry to be written."""
    c = audit_entries.c
    found: int | None = transaction.execute(
        sa.select(c.position).where(c.at >= moment).order_by(c.at, c.position).limit(1)
    ).scalar()
    return size(transaction) if found is None else found


def every_entry(transaction: sa.Connection) -> Iterator[Entry]:
    """Yield the whole log, oldest first, using little memory."""
    result = _streamed(transaction, select_entries().order_by(audit_entries.c.position))
    for row in result:
        yield entry(row)


def every_body(transaction: sa.Connection, size: int) -> Iterator[str]:
    """Yield the first `size` bodies, oldest first, using little memory."""
    c = audit_entries.c
    wanted = sa.select(c.body).where(c.position < size).order_by(c.position)
    yield from _streamed(transaction, wanted).scalars()


def problems(transaction: sa.Connection) -> Iterator[str]:
    """Yield what is wrong with the chain: nothing if no entry was changed, removed, inserted or moved."""
    previous = START
    position = -1
    rows = _streamed(transaction, sa.select(audit_entries).order_by(audit_entries.c.position))
    for position, row in enumerate(rows):
        if leaf_hash(row.body.encode()).hex() != row.leaf_hash:
            yield f"entry {position}: its hash is not that of its body"
        body = _body(row.body)
        if body is None:
            yield f"entry {position}: its body is not an entry"
        else:
            if body.get("index") != position or row.position != position:
                yield f"entry {position}: its body has the index {body.get('index')}"
            if body.get("previous") != previous:
                yield f"entry {position}: it does not follow the entry before it"
            beside = {"time": row.at, "actor": row.actor, "action": row.action, "study": row.study}
            if any(body.get(key) != value for key, value in beside.items()):
                yield f"entry {position}: its columns differ from its body"
        previous = row.leaf_hash
    if position < 0:
        yield "the log is empty"


def _streamed(transaction: sa.Connection, wanted: sa.Select[Any]) -> sa.CursorResult[Any]:
    """Return rows that are read in batches, so that any number of them fits into memory."""
    return transaction.execute(wanted, execution_options={"yield_per": BATCH_ROWS})


def tree_problems(transaction: sa.Connection) -> Iterator[str]:
    """Yield what is wrong with the stored nodes of the tree: nothing if each is the hash of its children."""
    c, level, present = audit_nodes.c, 0, size(transaction)
    below = sa.select(audit_entries.c.leaf_hash).order_by(audit_entries.c.position)
    while present > 1:
        level, present = level + 1, present // 2
        here = sa.select(c.index.label("place"), c.hash).where(c.level == level).order_by(c.index)
        wrong = count = 0
        with _streamed(transaction, below) as children, _streamed(transaction, here) as nodes:
            hashes = children.scalars()
            for number, row in enumerate(nodes):
                pair = [next(hashes, ""), next(hashes, "")]
                wrong += row.place != number or _over(pair) != row.hash
                count += 1
        if wrong or count != present:
            yield f"the tree's level {level}: {wrong} of {count} nodes are wrong, and there should be {present}"
        below = sa.select(c.hash).where(c.level == level).order_by(c.index)


def _over(pair: Sequence[str]) -> str | None:
    """Return the hash over two hashes, or None if what is stored is not two hashes."""
    try:
        left, right = map(bytes.fromhex, pair)
    except ValueError:
        return None
    return merkle.inner_hash(left, right).hex()


def _body(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def select_entries() -> sa.Select[Any]:
    """Return the query of all entries with the actors' names, for `entry`."""
    return sa.select(audit_entries, identities.c.name).join_from(
        audit_entries, identities, audit_entries.c.actor == identities.c.commitment, isouter=True
    )


def entry(row: sa.Row[Any]) -> Entry:
    """Return the entry of a row of `select_entries`."""
    fixed = {SYSTEM.commitment, ANONYMOUS.commitment}
    return Entry(row.position, row.body, row.leaf_hash, row.actor if row.actor in fixed else row.name)
