"""What an epsilon means, beside the field in which it is typed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import request

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import number
from server.pages.frame.rendering import page, show


@page("/guarantee", "admin", "approver", "dpo")
def guarantee() -> Any:
    """Show what an epsilon means, as a part of a page."""
    return show("admin/meaning.html", meaning=of(request.args.get("epsilon", "")))


def of(epsilon: str) -> dict[str, Any] | None:
    """Return what the API says an epsilon means, or None while what was typed is none."""
    try:
        found: dict[str, Any] = calling.get("guarantee", epsilon=number(epsilon))
    except Refused as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        return None
    return found
