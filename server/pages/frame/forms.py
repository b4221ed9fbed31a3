"""What pages with forms share: what was typed, and the page again where the API refuses it.

A view tries the API's call, and after a refusal it returns `again(...)`: the same page with what was typed. Macros in
`parts.html` then show the API's words at the field that they are about.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from server.pages.frame.language import has_decimal_comma
from server.pages.frame.rendering import show_refused

if TYPE_CHECKING:
    from flask import Response

    from server.pages.frame.calling import Refused


THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?")


def again(template: str, refusal: Refused | None, **values: Any) -> Response:
    """Return the page of a form: with the refusal of what was sent, or, for a GET, without. Ended sessions pass."""
    if refusal is not None and refusal.status == HTTPStatus.UNAUTHORIZED:
        raise refusal
    return show_refused(template, refusal, refusal=refusal, **values)


def number(text: str) -> Any:
    """Return a number as people type it in the language of the page; another text as it is, for the API to refuse.

    A comma is a decimal comma, but for an English 10,000, which is ten thousand.
    """
    plain = text.strip().replace(" ", "").replace("\u202f", "")
    in_thousands = not has_decimal_comma() and THOUSANDS.fullmatch(plain)
    plain = plain.replace(",", "" if in_thousands else ".")
    for read in (int, float):
        try:
            return read(plain)
        except ValueError:
            continue
    return text


def words(text: str) -> list[str]:
    """Return the parts of a list that was typed, one in each line or with commas between them."""
    return [part.strip() for line in text.splitlines() for part in line.split(",") if part.strip()]


def read_json(text: str) -> Any:
    """Return what a text in JSON says, None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
