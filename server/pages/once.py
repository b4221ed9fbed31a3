"""What is shown once: a new token, or a part of one, to the admin who made it or to whoever confirmed it.

The POST that makes it ends in a redirect, so that a reload makes no second one. Until the next page it is in the
session's cookie, which is encrypted and belongs to the browser of that person alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import session

from server.pages.frame.rendering import page, show, to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Response

KEPT = "once"
SHOWN = ("user", "role", "act", "expires_at", "token", "token_part")  # a cookie has little room


def show_once(made: Mapping[str, Any], back: str, *, is_second: bool = False) -> Response:
    """Lead to the page that shows a token, its first or its second part; from there to the endpoint `back`."""
    kept = {name: made[name] for name in SHOWN if name in made}
    session[KEPT] = {"made": kept, "back": back, "is_second": is_second}
    return to("shown_once")


@page("/once", "admin", "approver", "dpo")
def shown_once() -> Any:
    """Show what was made, this time only."""
    kept = session.pop(KEPT, None) or {"made": None, "back": "start", "is_second": False}
    return show("once.html", **kept)
