"""Formalities in words, in the language of whoever shows them: a page or a report. `say` returns a text in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    Say = Callable[[str], str]

KINDS = ("reference-methodology", "warehouse-declaration", "authorisation", "ehds-permit", "none")
BASES = tuple(f"6(1)({letter})" for letter in "abcdef")
CONDITIONS = (*(f"9(2)({letter})" for letter in "abcdefghij"), "none")
DAYS = ("issued", "expires", "ends")


def parts(say: Say) -> dict[str, str]:
    """Return the parts of formalities in the order in which they are shown, each with its words."""
    return {
        "kind": say("Formality"),
        "number": say("Its number"),
        "issued": say("Issued on"),
        "expires": say("Valid until"),
        "why_none": say("Why none is needed"),
        "legal_basis": say("Legal basis (article 6 GDPR)"),
        "condition": say("Condition for special data (article 9 GDPR)"),
        "controller": say("Controller"),
        "processor": say("Processor"),
        "recipients": say("Recipients"),
        "ends": say("End of the processing"),
        "informed": say("When and how persons were informed"),
        "objections": say("How they object"),
        "honoured": say("Which edition honours which objections"),
        "incentives": say("Incentives of those who contribute data"),
    }


def value_of(part: str, value: str, say: Say) -> str:
    """Return a value of a part in words: codes are said in words, texts are as people wrote them."""
    if part == "kind":
        return dict(kinds(say)).get(value, value)
    if part in ("legal_basis", "condition"):
        return dict(bases(part, say)).get(value, value)
    return value


def kinds(say: Say) -> list[tuple[str, str]]:
    """Return the kinds of formalities, with their words."""
    words = {
        "reference-methodology": say("Reference methodology (MR-001 to MR-008)"),
        "warehouse-declaration": say("Declaration of a health data warehouse"),
        "authorisation": say("Authorisation"),
        "ehds-permit": say("Data permit under the European Health Data Space"),
        "none": say("None is needed"),
    }
    return [(kind, words[kind]) for kind in KINDS]


def bases(part: str, say: Say) -> list[tuple[str, str]]:
    """Return the legal bases or the conditions of the GDPR, with their words."""
    if part == "legal_basis":
        words = {
            "a": say("consent"),
            "b": say("a contract"),
            "c": say("a legal obligation"),
            "d": say("vital interests"),
            "e": say("a task in the public interest"),
            "f": say("legitimate interests"),
        }
        return [(one, _told(one, words[one[-2]], say)) for one in BASES]
    words = {
        "a": say("explicit consent"),
        "b": say("employment and social protection"),
        "c": say("vital interests"),
        "d": say("a foundation or an association"),
        "e": say("data that the persons made public"),
        "f": say("legal claims"),
        "g": say("a substantial public interest"),
        "h": say("medicine and care"),
        "i": say("public health"),
        "j": say("research and statistics"),
    }
    return [(one, say("no special data") if one == "none" else _told(one, words[one[-2]], say)) for one in CONDITIONS]


def _told(code: str, words: str, say: Say) -> str:
    return say("%(label)s: %(what)s") % {"label": code, "what": words}


def shown(given: Mapping[str, Any], say: Say, day: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Yield the parts that are there, each with its words and its value in words."""
    for part, words in parts(say).items():
        value = given[part]
        if value:
            yield words, day(value) if part in DAYS else value_of(part, value, say)
