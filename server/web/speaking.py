"""The language of what the API says: English, or the one that `Accept-Language` asks for.

Only sentences for people are translated: titles and details of problems, notes and advice of answers, and the texts of
charts. Names of members, codes, pointers, numbers in JSON and CSV stay as they are, and so do entries of the log, whose
text is what was hashed. A sentence that the catalog does not have stays English. The pages call the API without naming
a language, and translate by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import has_request_context, request

from server.languages.language import ENGLISH, LANGUAGES, language

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.languages.language import Language

SENTENCES = ("title", "detail")  # members of a problem, and of each finding in its `errors`
LISTS = ("notes", "advice")  # members of an answer or an estimate


def asked() -> Language:
    """Return the language that the present request asks for."""
    if not has_request_context():
        return language(ENGLISH)
    return language(request.accept_languages.best_match(list(LANGUAGES)) or ENGLISH)


def problem(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a problem document in the language of the request."""
    spoken, said = asked(), dict(document)
    if spoken.code == ENGLISH:
        return said
    for name in SENTENCES:
        if isinstance(said.get(name), str):
            said[name] = spoken.phrase(said[name])
    if isinstance(said.get("errors"), list):
        said["errors"] = [problem(one) for one in said["errors"]]
    return said


def answer(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer or an estimate with its notes and advice in the language of the request."""
    spoken = asked()
    if spoken.code == ENGLISH:
        return dict(shown)
    return {**shown, **{name: [spoken.phrase(one) for one in shown[name]] for name in LISTS if name in shown}}
