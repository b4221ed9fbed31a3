"""The page of a release: its charts, its table with margins, warnings, downloads, and the same in other languages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, request

from queries.release import hiding
from server.admission.gates import Work
from server.charts import chart
from server.pages.frame import calling
from server.pages.frame.forms import read_json
from server.pages.frame.language import chart_words
from server.pages.frame.rendering import ROLES, page, show
from server.pages.frame.turns import in_turn
from server.pages.researcher import deriving, snippets
from server.pages.researcher.asked import to_change
from server.views.table import flatten
from server.web.auth import services

if TYPE_CHECKING:
    from collections.abc import Mapping

POST = ("round", "clamp")
FIELDS = frozenset({"derive", "of", "by", "reference", "band"})
# ending -> what the API is asked to send
KINDS = {"json": "application/json", "csv": "text/csv", "svg": "image/svg+xml"}


@page("/studies/<study>/releases/<release>", *ROLES)
def release(study: str, release: str) -> Any:
    """Show a release."""
    post = [word for word in POST if word in request.args.getlist("post")]
    hide = request.args.get("hide", "")
    if hiding.read(f"{hiding.WORD}:{hide}") is not None:
        post.append(f"{hiding.WORD}:{hide}")
    asked = _asked(request.args.to_dict())
    wanted = asked.wanted()
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
            rows=asked.rows,
            labels=asked.labels,
            deriving=asked.deriving,
            offers=deriving.offers(shown, asked.deriving),
            hide=hide,
            changing=to_change(shown),
            # Behind a proxy the server cannot see that it is reached by https.
            snippets=snippets.of(shown, services().settings.public_url or request.host_url),
        )


@dataclass(frozen=True)
class Asked:
    """How an answer is to be shown: the end of a SELECT, labels of bins, and the fields of what is computed from it."""

    rows: str
    labels: Mapping[str, list[str]] | None = None
    deriving: Mapping[str, str] = field(default_factory=dict)

    def wanted(self) -> str:
        """Return all of it as the API takes it."""
        more = {**({} if self.labels is None else {"labels": self.labels}), **deriving.read(self.deriving)}
        if not more:
            return self.rows
        return json.dumps({**({"sql": self.rows} if self.rows else {}), **more}, ensure_ascii=False)


def _asked(args: Mapping[str, str]) -> Asked:
    """Return how an answer is to be shown. All of it may stand in `show`, as the API takes it."""
    rows = args.get("show", "").strip()
    computed = {name: text for name, text in args.items() if name in FIELDS or name.startswith(deriving.WEIGHT)}
    found = read_json(rows) if rows.startswith("{") else {"sql": rows, "labels": read_json(args.get("labels", ""))}
    if not isinstance(found, dict) or not isinstance(found.get("sql", ""), str):
        return Asked(rows)
    computed = deriving.fields_of(found) or computed
    if not found.keys() <= {"sql", "labels", computed.get("derive")}:
        return Asked(rows)  # the API says what it is
    named = found.get("labels")
    is_named = isinstance(named, dict) and all(isinstance(one, list) for one in named.values())
    return Asked(found.get("sql", ""), named if is_named and named else None, computed)


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
