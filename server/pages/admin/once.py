"""What is shown once: a new token, or the first part of one.

The POST that makes it ends in a redirect, so that a reload makes no second one. Until the next page it is in the
session's cookie, which is encrypted and belongs to the admin's own browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import session

from server.pages.frame.rendering import page, show, to

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

KEPT = "once"


def show_once(made: dict[str, Any], back: str) -> Response:
    """Lead to the page that shows a token or its first part; from there to the endpoint `back`."""
    session[KEPT] = {"made": made, "back": back}
    return to("shown_once")


@page("/admin/once", "admin")
def shown_once() -> Any:
    """Show what was made, this time only."""
    kept = session.pop(KEPT, None)
    return show("admin/once.html", made=kept and kept["made"], back=kept["back"] if kept else "users")
