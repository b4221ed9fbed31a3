"""The audit log, its proofs, alerts, and names that are due to be erased: for DPOs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rowless_client.calls.records import Record, Records
from rowless_client.calls.study import given

if TYPE_CHECKING:
    from rowless_client.connection.http import Connection

CHECKPOINT = "Rowless-Checkpoint"
JSON_LINES = "application/jsonl"


@dataclass(frozen=True)
class Export:
    """A page of the log as JSON lines, and the signed checkpoint that covers it."""

    lines: bytes
    checkpoint: str


@dataclass(frozen=True)
class Audit:
    """The audit log of a server. Reading entries is an entry, too."""

    connection: Connection

    def entries(
        self,
        *,
        study: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        since: str | None = None,
        until: str | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> Records:
        """Return entries, oldest first, or newest first with `order="newest"`. `since` and `until` are times in UTC."""
        chosen: dict[str, Any] = {
            "study": study,
            "actor": actor,
            "action": action,
            "from": since,
            "to": until,
            "order": order,
        }
        return Records(self.connection.pages("GET", "/audit/entries", limit=limit, **chosen))

    def export(self, *, cursor: int | None = None, limit: int | None = None) -> Export:
        """Return one page of the log as it was hashed, with its signed checkpoint; the next begins at `cursor`."""
        reply = self.connection.call(
            "GET", "/audit/entries", query={"cursor": cursor, "limit": limit}, accept=JSON_LINES
        )
        return Export(reply.content, base64.b64decode(reply.headers.get(CHECKPOINT, "")).decode("utf-8"))

    def checkpoint(self) -> Record:
        """Return a signed checkpoint of the log as it is now, with the verifier key. Keep it."""
        return Record(self.connection.json("GET", "/audit/checkpoint"))

    def verify(self, *, key: str | None = None, older: Sequence[str] = ()) -> Record:
        """Run the independent check on the server. Against the server itself, verify elsewhere."""
        body = given(key=key, older=list(older) or None)
        return Record(self.connection.json("POST", "/audit/verification", body, seconds=900.0))

    def prove_inclusion(self, index: int, size: int | None = None) -> Record:
        """Return a proof that an entry is in the log of a size, by default the present one."""
        return Record(self.connection.json("GET", "/audit/proofs/inclusion", query={"index": index, "size": size}))

    def prove_consistency(self, before: int, size: int | None = None) -> Record:
        """Return a proof that the log of a size, by default the present one, continues that of an earlier size."""
        return Record(self.connection.json("GET", "/audit/proofs/consistency", query={"from": before, "to": size}))

    def alerts(
        self,
        *,
        kind: str | None = None,
        study: str | None = None,
        since: str | None = None,
        until: str | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> Records:
        """Return alerts, oldest first. Reading them is an audit entry."""
        chosen: dict[str, Any] = {"kind": kind, "study": study, "from": since, "to": until, "order": order}
        return Records(self.connection.pages("GET", "/alerts", limit=limit, **chosen))

    def identities(self, *, due: bool | None = None, limit: int | None = None) -> Records:
        """Return the names that are kept, or with `due=True` those that can be erased now."""
        return Records(self.connection.pages("GET", "/audit/identities", limit=limit, due=due))

    def erase(self, commitments: Sequence[str] | None = None) -> Record:
        """Erase the names that are due, or those of some commitments."""
        body = given(commitments=None if commitments is None else list(commitments))
        return Record(self.connection.json("POST", "/audit/identities/erase", body))
