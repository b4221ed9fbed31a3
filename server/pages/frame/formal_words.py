"""The words for formalities: the parts that they have, and their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.pages.frame.language import translated as _

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

KINDS = ("reference-methodology", "warehouse-declaration", "authorisation", "ehds-permit", "none")
BASES = tuple(f"6(1)({letter})" for letter in "abcdef")
CONDITIONS = (*(f"9(2)({letter})" for letter in "abcdefghij"), "none")
DAYS = ("issued", "expires", "ends")


def register(app: Flask) -> None:
    """Give templates the functions of this module."""
    for function in FUNCTIONS:
        app.add_template_global(function)


def formality_parts() -> dict[str, str]:
    """Return the parts of formalities in the order in which they are shown, each with its words."""
    return {
        "kind": _("Formality"),
        "number": _("Its number"),
        "issued": _("Its day"),
        "expires": _("Its last day"),
        "why_none": _("Why none is needed"),
        "legal_basis": _("Legal basis (article 6 GDPR)"),
        "condition": _("Condition for special data (article 9 GDPR)"),
        "controller": _("Controller"),
        "processor": _("Processor"),
        "recipients": _("Recipients"),
        "ends": _("End of the processing"),
        "informed": _("When and how persons were informed"),
        "objections": _("How they object"),
        "honoured": _("Which edition honours which objections"),
        "incentives": _("Incentives of those who contribute data"),
    }


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
    if part == "kind":
        return dict(formality_kinds()).get(value, value)
    if part in ("legal_basis", "condition"):
        return dict(formality_bases(part)).get(value, value)
    return value


def formality_kinds() -> list[tuple[str, str]]:
    """Return the kinds of formalities, with their words."""
    words = {
        "reference-methodology": _("Reference methodology (MR-001 to MR-008)"),
        "warehouse-declaration": _("Declaration of a health data warehouse"),
        "authorisation": _("Authorisation"),
        "ehds-permit": _("Data permit under the European Health Data Space"),
        "none": _("None is needed"),
    }
    return [(kind, words[kind]) for kind in KINDS]


def formality_bases(part: str) -> list[tuple[str, str]]:
    """Return the legal bases or the conditions of the GDPR, with their words."""
    if part == "legal_basis":
        words = {
            "a": _("consent"),
            "b": _("a contract"),
            "c": _("a legal obligation"),
            "d": _("vital interests"),
            "e": _("a task in the public interest"),
            "f": _("legitimate interests"),
        }
        return [(one, f"{one}: {words[one[-2]]}") for one in BASES]
    words = {
        "a": _("explicit consent"),
        "b": _("employment and social protection"),
        "c": _("vital interests"),
        "d": _("a foundation or an association"),
        "e": _("data that the persons made public"),
        "f": _("legal claims"),
        "g": _("a substantial public interest"),
        "h": _("medicine and care"),
        "i": _("public health"),
        "j": _("research and statistics"),
    }
    return [(one, _("no special data") if one == "none" else f"{one}: {words[one[-2]]}") for one in CONDITIONS]


FUNCTIONS: tuple[Callable[..., Any], ...] = (
    formality_parts,
    formality_help,
    formality_value,
    formality_kinds,
    formality_bases,
)
