"""The anonymity reports: which there are, to read and print, or to keep as JSON."""

from __future__ import annotations

from typing import Any

from flask import current_app, request

from server.pages.frame import calling
from server.pages.frame.language import choose
from server.pages.frame.rendering import page, show

PAGE = 100
KINDS = ("studies", "datasets")
JSON, HTML = "application/json", "text/html"


@page("/reports", "admin", "approver", "dpo")
def reports() -> Any:
    """List what there is a report of."""
    return show(
        "dpo/reports.html",
        datasets=None if calling.limited_to() else calling.get("datasets")["items"],
        found=calling.get("studies", limit=PAGE, cursor=request.args.get("cursor")),
    )


@page("/reports/<kind>/<name>", "admin", "approver", "dpo")
def report(kind: str, name: str) -> Any:
    """Send a report as the API does: a page to read and print with a policy of its own, or JSON to keep."""
    if kind not in KINDS:
        raise calling.nowhere()
    as_json, is_public = request.args.get("as") == "json", request.args.get("version") == "public"
    query = ({} if as_json else {"language": choose()}) | ({"version": "public"} if is_public else {})
    sent = calling.call("GET", kind, name, "report", query=query, headers={"Accept": JSON if as_json else HTML})
    response = current_app.make_response(sent.body)
    response.content_type = sent.content_type
    for header in ("Content-Security-Policy", "Referrer-Policy"):
        response.headers[header] = sent.headers[header]
    if as_json:
        response.headers["Content-Disposition"] = f'attachment; filename="report-{name}.json"'
    return response


@page("/reports/<kind>/<name>/methods", "admin", "approver", "dpo")
def methods(kind: str, name: str) -> Any:
    """Send what was done to the data, to keep."""
    if kind not in KINDS:
        raise calling.nowhere()
    sent = calling.call("GET", kind, name, "report", "methods")
    response = current_app.make_response(sent.body)
    response.content_type = sent.content_type
    response.headers["Content-Disposition"] = f'attachment; filename="methods-{name}.json"'
    return response


@page("/reports/datasets/<name>/notice", "admin", "approver", "dpo")
def notice(name: str) -> Any:
    """Send the page for the persons in a dataset, in the language of the pages."""
    sent = calling.call("GET", "datasets", name, "notice", query={"language": choose()}, headers={"Accept": HTML})
    response = current_app.make_response(sent.body)
    response.content_type = sent.content_type
    for header in ("Content-Security-Policy", "Referrer-Policy"):
        response.headers[header] = sent.headers[header]
    return response
