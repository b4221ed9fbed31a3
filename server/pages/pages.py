"""All pages, and what happens where none can be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import current_app, request, session
from flask.templating import Environment

from server.languages import phrase
from server.languages.language import LANGUAGES
from server.pages import api_docs, issuer, once, signing_in
from server.pages.admin import listing as admin
from server.pages.deciding import conclusions, datasets, proposals
from server.pages.deciding import studies as deciding
from server.pages.dpo import alerts, log, names, reports, spending, verifying
from server.pages.frame import deciding_words, formal_words, keeping, language, words
from server.pages.frame.calling import PREFIX, Refused
from server.pages.frame.glossary import glossary
from server.pages.frame.rendering import blueprint, refused
from server.pages.researcher import answers, asking, comparing, studies
from server.pages.researcher.drawing import rows_shown
from server.views.table import flatten
from server.web.problems import Problem

if TYPE_CHECKING:
    from flask import Flask, Response

FIELDS_MAX = 1000  # of a form; no form of the pages has nearly as many

MODULES = (
    *(signing_in, issuer, once, api_docs),
    *(studies, asking, answers, comparing),
    *(deciding, conclusions, datasets, proposals),
    *(alerts, log, verifying, spending, reports, names),
    *admin.MODULES,
)


def register(app: Flask) -> None:
    """Add the pages to an application."""
    app.jinja_environment = _Environment  # before anything asks for the environment
    language.register(app)
    phrase.register(app)
    words.register(app)
    admin.register(app)
    deciding_words.register(app)
    formal_words.register(app)
    app.add_template_global(flatten)
    app.add_template_global(rows_shown)
    app.add_template_global(glossary)
    app.add_template_global(issuer.has_issuer)
    app.register_blueprint(blueprint)
    app.register_error_handler(Refused, refused)
    app.after_request(_for_people)
    app.context_processor(_everywhere)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


class _Environment(Environment):
    """Jinja where a name after an object of JSON is one of its members, and never a method of Python's dict.

    Otherwise `column.values` of a column without values would be a function. `items` and `get` stay.
    """

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a member or an attribute."""
        return self._member(obj, attribute) if isinstance(obj, dict) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a member, or an item of a list."""
        return self._member(obj, argument) if isinstance(obj, dict) else super().getitem(obj, argument)

    def _member(self, obj: dict[str, Any], name: Any) -> Any:
        if name in obj:
            return obj[name]
        return super().getattr(obj, name) if name in ("items", "get") else self.undefined(obj=obj, name=name)


def _everywhere() -> dict[str, Any]:
    return {
        "languages": LANGUAGES,
        "language": language.choose(),
        "user": dict(session) if session else {},
        "kept": keeping.kept,
    }


@blueprint.before_request
def _refuse_large_forms() -> None:
    """Refuse a form with too many fields, before it is read. Werkzeug does it for forms with files."""
    if request.mimetype == "application/x-www-form-urlencoded" and request.get_data().count(b"&") >= FIELDS_MAX:
        title = language.translated("The form has more than %(count)s fields.", count=language.number(FIELDS_MAX))
        raise Refused({"status": 413, "code": "too-large", "title": title})


def _for_people(response: Response) -> Response:
    """Show a problem of a page as a page, to a browser."""
    is_page = isinstance(response, Problem) and not request.path.startswith(PREFIX)
    if not is_page or request.accept_mimetypes.best_match(["application/problem+json", "text/html"]) != "text/html":
        return response
    shown = refused(Refused(response.get_json()))
    for name in ("Retry-After", "Allow"):
        if name in response.headers:
            shown.headers[name] = response.headers[name]
    return current_app.make_response(shown)
