"""The DPO's reports, as JSON or as a page to print. Reading one is an entry of the audit log."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from server import csvs
from server.api.parsing import Blueprint
from server.auth import actor, for_roles, house
from server.reporting import assembling, page, shapes

blueprint: Any = Blueprint("reports", __name__, description="Reports")

HTML = "text/html"


def _route(kind: str, path: str) -> None:
    """Make the route of one kind of report."""

    @blueprint.route(path, endpoint=kind)
    @for_roles(*assembling.READERS)
    @blueprint.doc(summary=f"Return the anonymity report of a {kind}, as JSON or HTML")
    @blueprint.alt_response(200, schema={"type": "string"}, content_type=HTML, success=True)
    @blueprint.response(200, shapes.Report)
    def view(**parameters: str) -> Any:
        (name,) = parameters.values()
        form = "html" if csvs.wanted(request, HTML) == HTML else "json"
        document = assembling.report(house(), actor(), kind, name, form)
        if form == "html":
            return Response(page.html(document), content_type=page.CONTENT_TYPE, headers=page.HEADERS)
        return document


_route(assembling.STUDY, "/studies/<study>/report")
_route(assembling.DATASET, "/datasets/<name>/report")
