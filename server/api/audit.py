"""The audit log, for DPOs. Reading it is itself an entry."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from budgets import audit
from server import csvs, replies
from server.api.parsing import Blueprint
from server.auth import actor, for_roles, house
from server.schemas import EntriesSchema

blueprint: Any = Blueprint("audit", __name__, description="The audit log")

JSON_LINES = "application/jsonl"
_LINES = {"type": "string", "description": "The bodies as they were hashed, one a line"}


@blueprint.route("/audit/entries")
@for_roles("dpo")
@blueprint.arguments(EntriesSchema, location="query")
@blueprint.alt_response(200, schema={"type": "string"}, content_type="text/csv", success=True)
@blueprint.alt_response(200, schema=_LINES, content_type=JSON_LINES, success=True)
@blueprint.response(200, replies.page_of(replies.Entry))
def list_entries(asked: dict[str, Any]) -> Any:
    """List entries, oldest first, as JSON, CSV or JSON lines."""
    filters = {key: asked[key] for key in ("study", "actor", "action", "since", "until")}
    with house().database.write() as transaction:
        facts = {key: value for key, value in filters.items() if value is not None and key != "actor"}
        audit.append(transaction, actor(), "audit.read", "audit", "the audit log was read", facts=facts)
        found = audit.entries(transaction, first=asked["cursor"], limit=asked["limit"] + 1, **filters)
    shown = found[: asked["limit"]]
    following = str(found[-1].to_json()["index"]) if len(found) > len(shown) else None
    match csvs.wanted(request, "text/csv", JSON_LINES):
        case "text/csv":
            response = Response(csvs.entries(shown), content_type="text/csv; charset=utf-8")
        case "application/jsonl":
            lines = "".join(f"{entry.body}\n" for entry in shown)
            response = Response(lines, content_type=JSON_LINES)
        case _:
            return {"items": [entry.to_json() for entry in shown], "next": following}
    if following is not None:
        response.headers["Link"] = f'<?{urlencode({**request.args, "cursor": following})}>; rel="next"'
    return response
