"""The page of a release: its charts, its table with margins, warnings, downloads, and the same in other languages."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, request

from queries.release import hiding
from server.admission.gates import Work
from server.charts import chart
from server.pages.frame import calling
from server.pages.frame.language import chart_words
from server.pages.frame.rendering import ROLES, page, show
from server.pages.frame.turns import in_turn
from server.pages.researcher import snippets
from server.pages.researcher.asked import to_change
from server.views.table import flatten
from server.web.auth import services

POST = ("round", "clamp")
# ending -> what the API is asked to send
KINDS = {"json": "application/json", "csv": "text/csv", "svg": "image/svg+xml"}


@page("/studies/<study>/releases/<release>", *ROLES)
def release(study: str, release: str) -> Any:
    """Show a release."""
    post = [word for word in POST if word in request.args.getlist("post")]
    hide = request.args.get("hide", "")
    if hiding.read(f"{hiding.WORD}:{hide}") is not None:
        post.append(f"{hiding.WORD}:{hide}")
    wanted = request.args.get("show", "").strip()
    shown = calling.get("studies", study, "releases", release, post=",".join(post) or None, show=wanted or None)
    with in_turn(Work.RENDERING):
        table = flatten(shown)
        return show(
            "researcher/release.html",
            release=shown,
            charts=chart.charts(shown, said=chart_words(), flat=table),
            table=table,
            post=post,
            wanted=wanted,
            hide=hide,
            changing=to_change(shown),
            # Behind a proxy the server cannot see that it is reached by https.
            snippets=snippets.of(shown, services().settings.public_url or request.host_url),
        )


@page("/studies/<study>/releases/<release>.<kind>", *ROLES)
def download(study: str, release: str, kind: str) -> Any:
    """Send a release as a file, or its certificate."""
    if kind == "certificate":
        sent = calling.call("GET", "studies", study, "releases", release, "certificate")
        return _file(sent, f"{study}-{release[:8]}.certificate.json")
    if kind not in KINDS:
        raise calling.nowhere()
    view = {name: request.args.get(name) for name in ("post", "show")}
    sent = calling.call("GET", "studies", study, "releases", release, query=view, headers={"Accept": KINDS[kind]})
    return _file(sent, f"{study}-{release[:8]}.{kind}")


def _file(sent: calling.Answer, name: str) -> Response:
    response: Response = current_app.make_response(sent.body)
    response.content_type = sent.content_type
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
