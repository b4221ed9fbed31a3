"""All pages, and what happens where none can be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import current_app, request, session

from server.pages import issuer, signing_in
from server.pages.deciding import proposals
from server.pages.deciding import studies as deciding
from server.pages.dpo import alerts
from server.pages.frame import deciding_words, language, words
from server.pages.frame.calling import PREFIX, Refused
from server.pages.frame.rendering import blueprint, refused
from server.pages.researcher import answers, asking, studies
from server.views.table import flatten
from server.web.problems import Problem

if TYPE_CHECKING:
    from flask import Flask, Response

MODULES = (
    *(signing_in, issuer),
    *(studies, asking, answers),
    *(deciding, proposals, alerts),
)


def register(app: Flask) -> None:
    """Add the pages to an application."""
    language.register(app)
    words.register(app)
    deciding_words.register(app)
    app.add_template_global(flatten)
    app.register_blueprint(blueprint)
    app.register_error_handler(Refused, refused)
    app.after_request(_for_people)
    app.context_processor(_everywhere)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


def _everywhere() -> dict[str, Any]:
    return {"languages": language.LANGUAGES, "language": language.choose(), "user": dict(session) if session else {}}


def _for_people(response: Response) -> Response:
    """Show a problem of a page as a page, to a browser."""
    is_page = isinstance(response, Problem) and not request.path.startswith(PREFIX)
    if not is_page or request.accept_mimetypes.best != "text/html":
        return response
    shown = refused(Refused(response.get_json()))
    for name in ("Retry-After", "Allow"):
        if name in response.headers:
            shown.headers[name] = response.headers[name]
    return current_app.make_response(shown)
