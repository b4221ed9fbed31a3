"""What holds for every request and reply: texts that no ledger can look up, and headers of replies.

PostgreSQL refuses the character U+0000 and texts that are not Unicode; SQLite accepts them. Bodies are checked when
they are read (`bodies.py`), addresses and headers here. Both ledgers therefore answer alike: no name has such a
character, so a path with one leads nowhere, and a query string with one is not valid.

Replies hold data about studies and people. Browsers and proxies must not keep them, and must not take them for anything
else than what they are: no reply may load or run anything. A page that needs a style sheet brings its own policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from budgets.errors import Invalid, NotFound
from server.errors import Malformed
from server.web.auth import SESSION, services

if TYPE_CHECKING:
    from flask import Flask, Response

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def register(app: Flask) -> None:
    """Guard every request and reply of the application."""
    app.before_request(_refuse_unstorable)
    app.before_request(_look_at_the_clock)
    app.after_request(_protect)


def _refuse_unstorable() -> None:
    """Raise NotFound, Invalid or Malformed for a text in the address or the headers that no ledger can hold."""
    if not all(map(_is_storable, map(str, (request.view_args or {}).values()))):
        raise NotFound("a name in the address contains a character that no name has")
    for name, value in request.args.items(multi=True):
        if not (_is_storable(name) and _is_storable(value)):
            raise Invalid(
                name if _is_storable(name) else "", "contains a character that is not allowed, such as U+0000"
            )
    if not all(_is_storable(value) for _, value in request.headers.items()):
        raise Malformed("a header contains the character U+0000, which is not allowed")


def _look_at_the_clock() -> None:
    """Do once a minute what has no thread of its own. Whoever asks whether the server lives does not wait for it."""
    if "Authorization" not in request.headers and SESSION not in request.environ:
        return
    services().clock_watch.look(services().database)


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return "\0" not in text


def _protect(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
