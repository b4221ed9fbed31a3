"""Nothing typed is lost: a form that could not be dealt with is on the page that comes back, to be shown once more.

Where a form meets an ended session, or the language is switched after it was refused, the page that comes back has the
form's fields in hidden ones. Sent again with `AGAIN`, they reach the same page, which shows its form with them and does
nothing: no call of the API that changes something is made (`calling.py`). The fields never leave the browser and the
one request, so there is no store of what people typed.

The fields whose names begin with an underscore are those of this module. Views never see them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import g, request, session
from flask_babel import refresh
from werkzeug.datastructures import ImmutableMultiDict

from server.languages.language import LANGUAGES

if TYPE_CHECKING:
    from flask import Request

OWN = "_"
AGAIN, LANGUAGE, TOKEN = "_again", "_language", "_token"


def take(sent: Request) -> str | None:
    """Note that this request's form is to be kept, and take the fields of this module out of it.

    Return the token that was typed into the page of an ended session, if there is one.
    """
    own = {name: value for name, value in sent.form.items() if name.startswith(OWN)}
    if own:
        rest = [(name, value) for name, value in sent.form.items(multi=True) if not name.startswith(OWN)]
        sent.__dict__["form"] = ImmutableMultiDict(rest)  # where Werkzeug keeps the form that it has read
    g.is_kept, g.is_again = True, AGAIN in own
    if own.get(LANGUAGE) in LANGUAGES:
        session["language"] = own[LANGUAGE]
        refresh()
    return own.get(TOKEN)


def is_again() -> bool:
    """Return whether a form shall be shown with what was typed, and nothing be done."""
    return bool(g.get("is_again", False))


def kept() -> list[tuple[str, str]]:
    """Return the fields that the present request sent, if its page can show them once more."""
    return list(request.form.items(multi=True)) if g.get("is_kept", False) else []
