"""The formalities of a dataset or a study: what the law asks a controller to settle before personal data are processed.

They are what a regulator reads first: the formality itself with its number and its days, the legal basis, who is
responsible, who receives what, until when, what persons were told and how they object. They are written whole or not at
all. Nothing is approved without those of the study and of its dataset, before the day of one of them, or after it has
expired or ended (`require`). The independent check asks the same of the log (`budgets/verify/decisions.py`).

They are part of the terms of a study and of the terms of a dataset. So who changes them needs the DPO's advice and
another person's approval, as for every other term. What was approved before they were asked for stays as it is.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from budgets.errors import Invalid, NoFormality

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEXT_MAX = 10_000
NONE_NEEDED = "none"
KINDS = ("reference-methodology", "warehouse-declaration", "authorisation", "ehds-permit", NONE_NEEDED)
BASES = tuple(f"6(1)({letter})" for letter in "abcdef")  # GDPR
CONDITIONS = (*(f"9(2)({letter})" for letter in "abcdefghij"), NONE_NEEDED)  # of special categories of data, or no such
FORMALITY, END = "formality", "end"


@dataclass(frozen=True)
class Formalities:
    """What is on record. `issued`, `expires` and `ends` are days, the last two inclusive.

    `number` and `issued` are None if no formality is needed; then `why_none` says why. `expires` is None if the
    formality does not expire. `honoured` says which edition honours which objections.
    """

    kind: str
    number: str | None
    issued: str | None
    expires: str | None
    why_none: str | None
    legal_basis: str
    condition: str
    controller: str
    processor: str
    recipients: str
    ends: str
    informed: str
    objections: str
    honoured: str
    incentives: str

    def facts(self) -> dict[str, Any]:
        """Return them as the log has them."""
        return asdict(self)

    def deadlines(self) -> Iterator[tuple[str, str]]:
        """Yield what ends, and its last day."""
        if self.expires is not None:
            yield FORMALITY, self.expires
        yield END, self.ends


NAMES = tuple(one.name for one in fields(Formalities))
OPTIONAL = ("number", "issued", "expires", "why_none")
DAYS = ("issued", "expires", "ends")
CHOICES: Mapping[str, tuple[str, ...]] = {"kind": KINDS, "legal_basis": BASES, "condition": CONDITIONS}


def read(given: Mapping[str, Any], place: str = "formalities") -> Formalities:
    """Return the formalities that somebody wrote. Raises Invalid with the place, as in `formalities/ends`."""
    for fault in faults(given, place):
        raise fault
    made: dict[str, Any] = {name: given.get(name) for name in NAMES}
    return Formalities(**made)


def faults(given: Mapping[str, Any], place: str = "formalities") -> Iterator[Invalid]:
    """Yield all that is wrong with the formalities that somebody wrote, each with its place."""
    for name in given:
        if name not in NAMES:
            yield Invalid(f"{place}/{name}", "is not known here")
    for name in NAMES:
        why = _fault(name, given.get(name))
        if why is not None:
            yield Invalid(f"{place}/{name}", why)
    if _fault("kind", given.get("kind")) is None:  # what else belongs to it depends on the kind
        for name, why in _disagreements(given):
            yield Invalid(f"{place}/{name}", why)


def of_facts(facts: Mapping[str, Any] | None) -> Formalities | None:
    """Return formalities that were stored."""
    return None if facts is None else Formalities(**facts)


def require(of: str, name: str, present: Formalities | None, day: str) -> None:
    """Raise NoFormality unless the formalities of a study or a dataset are on record and in force on a day."""
    why = lack(of, name, present, day)
    if why is not None:
        raise NoFormality(why)


def lack(of: str, name: str, present: Formalities | None, day: str) -> str | None:
    """Return why nothing that needs these formalities can be approved on a day, or None if it can."""
    if present is None:
        return f"the {of} {name} has no formalities on record"
    if present.issued is not None and day < present.issued:
        return f"the formality of the {of} {name} is dated {present.issued}, which is to come"
    for what, last in present.deadlines():
        if last < day:
            return ENDED[what].format(of=of, name=name, last=last)
    return None


ENDED = {
    FORMALITY: "the formality of the {of} {name} expired on {last}",
    END: "the processing of the {of} {name} ended on {last}",
}


def _fault(name: str, value: Any) -> str | None:
    """Return what is wrong with one member by itself, or None."""
    if value is None:
        return None if name in OPTIONAL else "is missing"
    if not isinstance(value, str):
        return "must be a text"
    if name in CHOICES and value not in CHOICES[name]:
        return f"must be one of {', '.join(CHOICES[name])}"
    if name in DAYS and not is_day(value):
        return "must be a day, as in 2026-12-31"
    if not value.strip() or len(value) > TEXT_MAX or "\0" in value or not _is_writable(value):
        return f"must be a text of 1 to {TEXT_MAX} characters, without NUL"
    return None


def _disagreements(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the members that contradict the kind or another member, each with the reason."""
    if given["kind"] == NONE_NEEDED:
        for name in ("number", "issued", "expires"):
            if given.get(name) is not None:
                yield name, "must be left out if no formality is needed"
        if given.get("why_none") is None:
            yield "why_none", "is missing: say why no formality is needed"
        return
    if given.get("why_none") is not None:
        yield "why_none", "must be left out if there is a formality"
    for name in ("number", "issued"):
        if given.get(name) is None:
            yield name, "is missing"
    issued, expires = given.get("issued"), given.get("expires")
    if isinstance(issued, str) and isinstance(expires, str) and is_day(issued) and is_day(expires) and expires < issued:
        yield "expires", "must not be before the formality was issued"


def is_day(text: str) -> bool:
    """Return whether a text is a day."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
