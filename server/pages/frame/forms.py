"""What pages with forms share: what was typed, and the page again where the API refuses it.

A view tries the API's call, and after a refusal it returns `again(...)`: the same page with what was typed. Macros in
`parts.html` then show the API's words at the field that they are about.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from server.pages.frame.rendering import show

if TYPE_CHECKING:
    from flask import Response

    from server.pages.frame.calling import Refused


def again(template: str, refusal: Refused | None, **values: Any) -> Response:
    """Return the page of a form: with the refusal of what was sent, or, for a GET, without. Ended sessions pass."""
    if refusal is not None and refusal.status == HTTPStatus.UNAUTHORIZED:
        raise refusal
    response = show(template, refusal=refusal, **values)
    response.status_code = HTTPStatus.OK if refusal is None else refusal.status
    return response


def number(text: str) -> Any:
    """Return a number as people type it, also with a decimal comma; another text as it is, for the API to refuse."""
    plain = text.strip().replace(" ", "").replace("\u202f", "").replace(",", ".")
    for read in (int, float):
        try:
            return read(plain)
        except ValueError:
            continue
    return text


def words(text: str) -> list[str]:
    """Return the parts of a list that was typed, one in each line or with commas between them."""
    return [part.strip() for line in text.splitlines() for part in line.split(",") if part.strip()]
