"""The page of a release: its charts, its table with margins, warnings, downloads, and the same in other languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, current_app, request

from server.charts import chart
from server.pages.frame import calling
from server.pages.frame.language import chart_words
from server.pages.frame.rendering import ROLES, page, show
from server.pages.researcher import drawing, snippets
from server.views.table import flatten

if TYPE_CHECKING:
    from collections.abc import Mapping

POST = ("round", "clamp")
# ending -> what the API is asked to send
KINDS = {"json": "application/json", "csv": "text/csv", "svg": "image/svg+xml"}


@page("/studies/<study>/releases/<release>", *ROLES)
def release(study: str, release: str) -> Any:
    """Show a release."""
    post = [word for word in POST if word in request.args.getlist("post")]
    shown = calling.get("studies", study, "releases", release, post=",".join(post) or None)
    titles = _titles(shown)
    with drawing.in_turn():
        table = flatten(shown)
        return show(
            "researcher/release.html",
            release=shown,
            charts=chart.charts(shown, said=chart_words(), flat=table),
            table=table,
            post=post,
            titles=titles,
            snippets=snippets.of(shown, request.host_url),
        )


@page("/studies/<study>/releases/<release>.<kind>", *ROLES)
def download(study: str, release: str, kind: str) -> Any:
    """Send a release as a file, or its certificate."""
    if kind == "certificate":
        sent = calling.call("GET", "studies", study, "releases", release, "certificate")
        return _file(sent, f"{study}-{release[:8]}.certificate.json")
    if kind not in KINDS:
        raise calling.nowhere()
    post = request.args.get("post")
    sent = calling.call(
        "GET", "studies", study, "releases", release, query={"post": post}, headers={"Accept": KINDS[kind]}
    )
    return _file(sent, f"{study}-{release[:8]}.{kind}")


def _file(sent: calling.Answer, name: str) -> Response:
    response: Response = current_app.make_response(sent.body)
    response.content_type = sent.content_type
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _titles(shown: Mapping[str, Any]) -> dict[str, str]:
    """Return the titles of the keys, as the catalog has them, by their names in the answer."""
    source = shown["query"].get("from")
    tables = calling.get("datasets", shown["dataset"])["tables"]
    columns = tables.get(source, {}).get("columns", {}) if isinstance(source, str) else {}
    found = {}
    for key in shown["query"].get("group_by", []):
        column = key if isinstance(key, str) else key.get("column")
        name = key if isinstance(key, str) else key.get("as", column)
        if title := columns.get(column, {}).get("title"):
            found[name] = title
    return found
