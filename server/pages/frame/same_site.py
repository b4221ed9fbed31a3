"""Forms of other sites are refused (cross-site request forgery), without a token in each form.

A browser says in `Sec-Fetch-Site` where a request comes from, and older ones say it in `Origin`. A request that changes
something must come from a page of this server. If neither header is there, it does not come from a browser's form, and
is refused too: programs use the API, which takes no cookies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from budgets.errors import Forbidden

if TYPE_CHECKING:
    from flask import Request

READING = ("GET", "HEAD", "OPTIONS")


def require(request: Request, public_url: str | None) -> None:
    """Raise Forbidden if a request that may change something does not come from a page of this server."""
    if request.method in READING:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site == "same-origin" or (site is None and _is_own(request, public_url)):
        return
    raise Forbidden("this form was not sent from a page of this server")


def _is_own(request: Request, public_url: str | None) -> bool:
    origin = request.headers.get("Origin", "")
    own = request.host if public_url is None else urlsplit(public_url).netloc
    return origin not in ("", "null") and urlsplit(origin).netloc == own
