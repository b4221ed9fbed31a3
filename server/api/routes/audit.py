"""The audit log and its proofs, for DPOs. Each reading of entries is an entry, too."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from budgets.audit import log, signing
from budgets.verify import checkpoint
from server.admission.gates import Work
from server.api import replies
from server.api.requests.schemas import ConsistencySchema, EntriesSchema, InclusionSchema, VerificationSchema
from server.runtime import verifying
from server.views import csv, entries
from server.web import admitting
from server.web.auth import actor, for_roles, services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("audit", __name__, description="The audit log")

JSON_LINES = "application/jsonl"
NOTE = "text/plain"
COVERED_BY = "Rowless-Checkpoint"  # the signed note in base64, because it has several lines
_LINES = {"type": "string", "description": "The bodies as they were hashed, one in each line"}


@blueprint.route("/audit/entries")
@for_roles("dpo")
@blueprint.arguments(EntriesSchema, location="query")
@blueprint.alt_response(200, schema={"type": "string"}, content_type="text/csv", success=True)
@blueprint.alt_response(200, schema=_LINES, content_type=JSON_LINES, success=True)
@blueprint.response(200, replies.page_of(replies.Entry))
def list_entries(asked: dict[str, Any]) -> Any:
    """List entries, oldest or newest first, as JSON, CSV or JSON lines.

    CSV and JSON lines have the header Rowless-Checkpoint: the signed checkpoint that covers the entries, in base64.
    """
    shown, following = entries.page(
        services().database,
        actor(),
        {name: asked[name] for name in ("study", "actor", "action", "since", "until")},
        cursor=asked["cursor"],
        limit=asked["limit"],
        newest_first=asked["order"] == "newest",
    )
    match csv.wanted(request, "text/csv", JSON_LINES):
        case "text/csv":
            response = Response(csv.entries_csv(shown), content_type="text/csv; charset=utf-8")
        case "application/jsonl":
            lines = "".join(f"{entry.body}\n" for entry in shown)
            response = Response(lines, content_type=JSON_LINES)
        case _:
            return {
                "items": [entry.to_json() for entry in shown],
                "next": None if following is None else str(following),
            }
    response.headers[COVERED_BY] = base64.b64encode(_signed().encode()).decode()
    if following is not None:
        response.headers["Link"] = f'<?{urlencode({**request.args, "cursor": following})}>; rel="next"'
    return response


@blueprint.route("/audit/checkpoint")
@for_roles("dpo")
@blueprint.alt_response(200, schema={"type": "string"}, content_type=NOTE, success=True)
@blueprint.response(200, replies.Checkpoint)
def show_checkpoint() -> Any:
    """Return a signed checkpoint of the log as it is now: as JSON, or only the note as text/plain. Keep it."""
    note = _signed()
    if csv.wanted(request, NOTE) == NOTE:
        return Response(note, content_type=f"{NOTE}; charset=utf-8")
    signed = checkpoint.read(note)
    key = signing.key_in_force(services().database, services().settings.key_path)
    return {"origin": signed.origin, "size": signed.size, "root": signed.root.hex(), "note": note, "key": key}


@blueprint.route("/audit/verification", methods=["POST"])
@for_roles("dpo", work=Work.VERIFICATION)
@blueprint.arguments(VerificationSchema)
@blueprint.response(200, replies.Verified)
def verify(asked: dict[str, Any]) -> Any:
    """Run the independent check on the log as it is now. On another machine, `rowless audit verify` proves more."""
    with admitting.place():
        return verifying.verify(
            services().database, services().settings.key_path, actor(), **asked, has_left=admitting.has_left()
        )


@blueprint.route("/audit/proofs/inclusion")
@for_roles("dpo")
@blueprint.arguments(InclusionSchema, location="query")
@blueprint.response(200, replies.Inclusion)
def prove_inclusion(asked: dict[str, Any]) -> Any:
    """Return a proof that an entry is in the log of this size."""
    index = asked["index"]
    with services().database.read() as transaction:
        size = log.size(transaction) if asked["size"] is None else asked["size"]
        hashes = log.inclusion_proof(transaction, index, size)
        leaf, root = log.node(transaction, 0, index), log.root(transaction, size)
    return {
        "index": index,
        "size": size,
        "root": root.hex(),
        "leaf_hash": leaf.hex(),
        "hashes": [one.hex() for one in hashes],
    }


@blueprint.route("/audit/proofs/consistency")
@for_roles("dpo")
@blueprint.arguments(ConsistencySchema, location="query")
@blueprint.response(200, replies.Consistency)
def prove_consistency(asked: dict[str, Any]) -> Any:
    """Return a proof that the log of this size continues the log of a smaller size."""
    before = asked["before"]
    with services().database.read() as transaction:
        size = log.size(transaction) if asked["size"] is None else asked["size"]
        hashes = log.consistency_proof(transaction, before, size)
        roots = log.root(transaction, before), log.root(transaction, size)
    return {
        "before": before,
        "size": size,
        "root_before": roots[0].hex(),
        "root": roots[1].hex(),
        "hashes": [one.hex() for one in hashes],
    }


def _signed() -> str:
    return signing.sign(services().database, services().settings.key_path)
