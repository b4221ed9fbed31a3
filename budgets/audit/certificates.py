"""Release certificates: a release as a signed document that a paper can cite and its readers can verify offline.

`budgets/verify/certificate.py` defines what a certificate contains, and checks it. As long as the log's key is the
same, a certificate has the same bytes whenever it is fetched, so its hash can be cited. It is made of what never
changes (the stored release and the entry); its checkpoint has the smallest size that covers the entry and that the key
in force signs; and Ed25519 draws no random numbers. After a rotation the certificate is another document; both are
valid. So it is after a study's protocol began or ceased to hide small cells: it contains what the protocol shows.

A certificate reveals three things beside the release: the release's hash, which is post-processing; who asked, as a
commitment and not a name; and how many entries the log had, those of other studies included. Each request writes its
entries in turn, and the outcome of a query is written at its beat (`server/journey/paid.py`). Therefore the number and
order of entries depend on requests and not on the data.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.audit import log, signing
from budgets.database.tables import audit_entries
from budgets.errors import Unavailable
from budgets.ledger import bodies
from budgets.verify import canonical_json, checkpoint
from budgets.verify.certificate import (
    BOUND,
    CHARGED_AT,
    HIDING,
    NAMES_KEY,
    NUMBERS,
    RELEASES,
    SHOWN,
    SHOWN_BOUND,
    SHOWN_UNBOUND,
    TIME_MEMBERS,
    TYPE,
    UNBOUND,
    VERSION,
    statement,
)
from budgets.verify.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from budgets.database.connection import Database
    from budgets.ledger.charges import Release
    from budgets.verify.checkpoint import Signer

    Json = dict[str, Any]

__all__ = ["CHARGED_AT", "NUMBERS", "SHOWN", "answer_sha256", "certificate"]


def answer_sha256(body: Mapping[str, Any]) -> str:
    """Return what the audit log has of a release's numbers: the SHA-256 of the canonical JSON of its body, in hex."""
    return bodies.sha256(body)


def certificate(database: Database, path: Path, release: Release, shown: Json | None = None) -> str:
    """Return the certificate of a stored release, signed by the key in force in this file. Raises Unavailable.

    `shown` is what is shown of the release, if its study's protocol hides numbers of it.
    """
    return signing.with_signer(
        database, path, lambda transaction, signer: _document(transaction, signer, release, shown)
    )


def _document(transaction: sa.Connection, signer: Signer, release: Release, shown: Json | None) -> str:
    entry = _entry(transaction, release)
    handovers = _handovers(transaction)
    # The key in force signs only sizes beyond the two entries of the last handover.
    since = handovers[-1]["entry"]["index"] + 2 if handovers else 0
    size = max(entry["index"] + 1, since)
    sizes = [*(one["entry"]["index"] + 1 for one in handovers), size]
    for one, (here, following) in zip(handovers, pairwise(sizes), strict=True):
        one["consistency"] = _hex(log.consistency_proof(transaction, here, following))
    covering = Checkpoint(signer.name, size, log.root(transaction, size))
    version = VERSION if CHARGED_AT in entry["facts"] else 1  # so that old certificates keep their bytes
    version = version if shown is None else HIDING
    told = {
        "type": TYPE,
        "version": version,
        "log": signer.name,
        "key": signer.verifier.text,
        "binds": _binds(entry["facts"], shown),
        "release": {
            "id": release.id,
            "study": release.question.study,
            "dataset": release.question.dataset,
            "edition": release.question.edition,
            TIME_MEMBERS[version]: release.charged_at,
            "answer": release.body if shown is None else shown,
        },
        "entry": entry,
        "proof": _hex(log.inclusion_proof(transaction, entry["index"], size)),
        "checkpoint": signer.sign(covering.text),
        "handovers": handovers,
    }
    note = signer.sign(statement(signer.name, canonical_json.sha256(told)))
    return f"{canonical_json.dumps({'certificate': told, 'note': note})}\n"


def _binds(facts: Mapping[str, Any], shown: Json | None) -> str:
    """Return the statement on what the log binds of what is shown."""
    if shown is None:
        return BOUND if NUMBERS in facts else UNBOUND
    return SHOWN_BOUND if facts.get(SHOWN) == answer_sha256(shown) else SHOWN_UNBOUND


def _entry(transaction: sa.Connection, release: Release) -> Json:
    """Return the entry that records a release. If two attempts were stored as one, it is the first of their entries.

    The entry is not older than the release's date, which is that of its charge. The study's entries from that date on
    are read.
    """
    c = audit_entries.c
    since = sa.select(c.position).where(c.at >= release.charged_at).order_by(c.at, c.position).limit(1)
    wanted = (
        sa.select(c.body)
        .where(
            c.study == release.question.study,
            c.position >= since.scalar_subquery(),
            c.action.concat("") == RELEASES,  # an expression has no index, so the database uses that of the study
            c.body.contains(f'"subject":"{release.id}"', autoescape=True),
        )
        .order_by(c.position)
        .limit(1)
    )
    body = transaction.execute(wanted).scalar()
    if body is None:
        raise Unavailable(f"the audit log is damaged: it has no entry for the release {release.id}")
    found: Json = json.loads(body)
    return found


def _handovers(transaction: sa.Connection) -> list[Json]:
    """Return how each key of the log handed over to the next, oldest first."""
    c = audit_entries.c
    named = sa.select(c.position, c.body).where(c.action == NAMES_KEY).order_by(c.position)
    found = []
    for row in transaction.execute(named).all():
        signs = transaction.execute(sa.select(c.body).where(c.position == row.position + 1)).scalar_one()
        note = json.loads(signs)["facts"]["checkpoint"]
        proof = log.inclusion_proof(transaction, row.position, checkpoint.read(note).size)
        found.append({"entry": json.loads(row.body), "proof": _hex(proof), "checkpoint": note})
    return found


def _hex(hashes: list[bytes]) -> list[str]:
    return [one.hex() for one in hashes]
