"""The words for formalities on pages: the parts that they have, and their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.pages.frame.language import translated as _
from server.views import formalities

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask


def register(app: Flask) -> None:
    """Give templates the functions of this module."""
    for function in FUNCTIONS:
        app.add_template_global(function)


def formality_parts() -> dict[str, str]:
    """Return the parts of formalities in the order in which they are shown, each with its words."""
    return formalities.parts(_)


def formality_help() -> dict[str, str]:
    """Return what helps to fill in a part."""
    return {
        "number": _("As in the receipt or the decision."),
        "expires": _("Leave it empty if it does not expire."),
        "why_none": _("Only if no formality is needed."),
        "honoured": _("Who objects leaves with the next edition. Budgets that were spent stay spent."),
        "incentives": _("What practices or hospitals get for their data; none, if nothing."),
        "processor": _("Who hosts or processes on behalf of the controller; none, if nobody."),
    }


def formality_value(part: str, value: str) -> str:
    """Return a value of a part in words: codes are said in words, texts are as people wrote them."""
    return formalities.value_of(part, value, _)


def formality_kinds() -> list[tuple[str, str]]:
    """Return the kinds of formalities, with their words."""
    return formalities.kinds(_)


def formality_bases(part: str) -> list[tuple[str, str]]:
    """Return the legal bases or the conditions of the GDPR, with their words."""
    return formalities.bases(part, _)


FUNCTIONS: tuple[Callable[..., Any], ...] = (
    formality_parts,
    formality_help,
    formality_value,
    formality_kinds,
    formality_bases,
)
