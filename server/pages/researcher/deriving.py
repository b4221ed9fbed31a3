"""Standardised rates and differences of curves on the page of an answer: fields of its address <-> `show` of the API.

    derive=standardise&of=rate&by=age&w:[0, 18)=20&w:[18, 65)=60
    derive=difference&of=curve&by=sex&reference=male&band=pointwise

What is offered follows from the answer as it was released. Where something is computed already, the fields are those of
the address, because the answer's rows are others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.pages.frame.forms import number
from server.pages.frame.language import typed

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARDISE, DIFFERENCE = "standardise", "difference"
OF = {STANDARDISE: ("rate", "mean", "proportion"), DIFFERENCE: ("survival",)}  # statistics from which each is made
BANDS = ("pointwise", "simultaneous")
WEIGHT = "w:"  # begins the name of a field with the weight of a group
NULL = "null"
LABELS_MAX = 100  # groups whose weights are typed; more are for a program


@dataclass(frozen=True)
class Offer:
    """One way to compute: from which statistics, over which key, and its groups by their names in a request.

    `asked` has what was chosen, and `weights` what was typed for each group.
    """

    what: str
    statistics: list[str]
    by: str
    groups: list[str]
    asked: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)


def read(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the member of `show` that the fields ask for, or nothing. The API refuses what makes no sense."""
    of = {"statistic": fields.get("of", ""), "by": fields.get("by", "")}
    match fields.get("derive"):
        case "standardise":
            weights = {name: number(text) for name, text in _weights(fields).items() if text.strip()}
            return {STANDARDISE: {**of, "weights": weights}}
        case "difference":
            reference, band = fields.get("reference", ""), fields.get("band") or BANDS[0]
            return {DIFFERENCE: {**of, "reference": reference, "band": band}}
        case _:
            return {}


def fields_of(show: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that ask for the same as `show` does, nothing if it asks for nothing or is none of ours."""
    for what in OF:
        match show.get(what):
            case {"statistic": str(of), "by": str(by), "weights": dict(weights)} if what == STANDARDISE:
                typed_in = {f"{WEIGHT}{name}": _text(weight) for name, weight in weights.items()}
                return {"derive": what, "of": of, "by": by, **typed_in}
            case {"statistic": str(of), "by": str(by), "reference": str(reference), **rest} if what == DIFFERENCE:
                band = str(rest.get("band", BANDS[0]))
                return {"derive": what, "of": of, "by": by, "reference": reference, "band": band}
    return {}


def _weights(fields: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(WEIGHT): text for name, text in fields.items() if name.startswith(WEIGHT)}


def _text(weight: Any) -> str:
    return typed(weight) if isinstance(weight, int | float) else str(weight)


def offers(release: Mapping[str, Any], fields: Mapping[str, str]) -> list[Offer]:
    """Return what can be computed from an answer: as it was asked for, or as it may be."""
    if read(fields):
        weights = _weights(fields)
        groups = list(weights) or _groups(release, fields.get("by", ""))
        return [Offer(fields["derive"], [fields.get("of", "")], fields.get("by", ""), groups, fields, weights)]
    words = _words(release)
    columns = [column for column in release["columns"] if column["kind"] == "statistic"]
    keys = [column["name"] for column in release["columns"] if column["kind"] == "key" and "mechanism" not in column]
    found = []
    for what, names in OF.items():
        # A rate is standardised by its noise, which answers of earlier versions do not tell.
        telling = [column["name"] for column in columns if what == DIFFERENCE or "noise" in column]
        statistics = [name for name in telling if words.get(name) in names]
        for key in keys if statistics else ():
            groups = _groups(release, key)
            if 1 < len(groups) <= LABELS_MAX:
                found.append(Offer(what, statistics, key, groups))
    return found


def _groups(release: Mapping[str, Any], key: str) -> list[str]:
    """Return the names of a key's groups in a request; that of nulls may be left out of a standard population."""
    return list(dict.fromkeys(_name(row[key]) for row in release["rows"] if key in row))


def _name(label: object) -> str:
    if label is None:
        return NULL
    return str(label).lower() if isinstance(label, bool) else str(label)


def _words(release: Mapping[str, Any]) -> dict[str, str]:
    """Return which statistics of a question something can be computed from, by the names of their columns."""
    every = {one for names in OF.values() for one in names}
    select = release["query"]["select"].items()
    return {name: word for name, statistic in select if (word := next((one for one in statistic if one in every), ""))}
