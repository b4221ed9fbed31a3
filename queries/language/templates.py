"""Approved query templates: a study in strict mode asks these and nothing else.

A template is a query in its JSON form in which parameters stand where values to compare with or edges of bins would:
{"parameter": "code", "type": "category", "values": ["A", "B"]}. A request matches when its tree is the template's but
for the parameters, each with one of its declared values, and the same value wherever it stands again.

Compared are canonical forms of the trees, so that two spellings of one query match alike, in JSON or SQL: nested `all`
and `any` are flattened, their parts ordered, and an `in` has its values in any order. Every part of that form knows
where in the request it stood, so that a refusal names the place of the first difference.

It depends on the request and the protocol alone: a refusal reveals nothing.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from queries.errors import OutsideProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETER = "parameter"
KINDS = ("category", "number", "date", "boolean")
DIFFERENCES_MAX = 20  # are counted to find the nearest template
NAMED_MAX = 10  # values that a refusal names
ORDERED = ("number", "date")  # kinds of which a range can be declared

# What a parameter was found to be, by its name.
Found = dict[str, object]


@dataclass(frozen=True)
class Template:
    """A query that may be asked, in JSON with parameters, and the most that asking it once may spend."""

    name: str
    query: Mapping[str, Any]
    epsilon_nano_max: int | None = None


@dataclass(frozen=True)
class Blank:
    """Where a parameter stands in a template."""

    parameter: Mapping[str, Any]


@dataclass(frozen=True)
class Spot:
    """A part of a query with its place: members by name, a list of parts, a plain value, or a parameter's blank."""

    pointer: str
    value: dict[str, Spot] | list[Spot] | Blank | str | float | bool


@dataclass(frozen=True)
class Difference:
    """A place where a request differs from a template, and how."""

    pointer: str
    text: str


def match(forms: tuple[Mapping[str, Any], ...], templates: tuple[Template, ...]) -> Template:
    """Return the template that a query is one of. Raises OutsideProtocol at the first difference from the nearest.

    `forms` are ways to write the query, each as JSON: as it was asked, and with what it left unsaid filled in.
    """
    nearest: tuple[int, Template, Difference] | None = None
    spots = [spot(form, "/query") for form in forms]
    for template in templates:
        expected = spot(template.query, "/query")
        for asked in spots:
            found = list(itertools.islice(_differences(asked, expected, {}), DIFFERENCES_MAX))
            if not found:
                return template
            if nearest is None or len(found) < nearest[0]:
                nearest = (len(found), template, found[0])
    if nearest is None:
        raise OutsideProtocol("/query", "the study may ask nothing but its templates, and it has none")
    _, template, first = nearest
    raise OutsideProtocol(
        first.pointer, f"the study may ask its templates alone, and from {template.name} this differs: {first.text}"
    )


def fits(value: object, parameter: Mapping[str, Any]) -> bool:
    """Return whether a value is one that a parameter may have."""
    if not of_kind(value, parameter["type"]):
        return False
    if "values" in parameter:  # all of one kind
        return value in parameter["values"]
    if "range" in parameter:
        low, high = parameter["range"]
        return bool(low <= value <= high)  # dates too: their texts are in the order of the days
    return True


def of_kind(value: object, kind: str) -> bool:
    """Return whether a value is of the kind that a parameter declares."""
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "date":
            return isinstance(value, str) and _is_day(value)
        case _:
            return isinstance(value, str)


def spot(value: Any, pointer: str) -> Spot:
    """Return the canonical form of a query's JSON, each part with its place."""
    if isinstance(value, list):
        return Spot(pointer, [spot(part, f"{pointer}/{place}") for place, part in enumerate(value)])
    if not isinstance(value, Mapping):
        return Spot(pointer, value)
    if PARAMETER in value:
        return Spot(pointer, Blank(value))
    members = {name: spot(part, f"{pointer}/{name}") for name, part in value.items()}
    for word in ("all", "any"):
        parts = members[word].value if set(members) == {word} else None
        if isinstance(parts, list):
            return _group(word, parts, pointer)
    if set(members) == {"not"}:
        inner = members["not"].value
        if isinstance(inner, dict) and set(inner) == {"not"}:
            twice: Spot = inner["not"]
            return twice
    return Spot(pointer, members)


def _group(word: str, parts: list[Spot], pointer: str) -> Spot:
    flat: list[Spot] = []
    for part in parts:
        inner = part.value.get(word) if isinstance(part.value, dict) and set(part.value) == {word} else None
        flat += inner.value if inner is not None and isinstance(inner.value, list) else [part]
    if len(flat) == 1:
        return flat[0]
    # By what is compared, not with what: so that a template's parts and a request's come in the same order.
    return Spot(pointer, {word: Spot(f"{pointer}/{word}", sorted(flat, key=_order))})


def _order(condition: Spot) -> str:
    return json.dumps(_outline(condition), sort_keys=True)


def _outline(part: Spot) -> object:
    match part.value:
        case dict() as members:
            compared = members.get("value")
            skipped = "value" if "op" in members and compared and not isinstance(compared.value, dict) else None
            return {name: _outline(inner) for name, inner in members.items() if name != skipped}
        case list() as parts:
            return [_outline(inner) for inner in parts]
        case Blank():
            return None
        case value:
            return str(value)


def _differences(asked: Spot, expected: Spot, found: Found) -> Iterator[Difference]:
    """Yield the places where a query differs from a template, in the query's own order."""
    match asked.value, expected.value:
        case _, Blank(parameter):
            if fits(asked.value, parameter):
                yield from _once(asked, parameter, asked.value, found)
            else:
                yield Difference(asked.pointer, _allowed(parameter))
        case dict() as members, dict() as named if not members.keys() & named.keys():
            yield Difference(asked.pointer, f"it has {', '.join(named)} there, not {', '.join(members)}")
        case dict() as members, dict() as named:
            both_in = _text(members.get("op")) == _text(named.get("op")) == "in"
            for name, part in members.items():
                if name not in named:
                    yield Difference(part.pointer, f"it has no {name} there")
                elif both_in and name == "value":
                    yield from _values(part, named[name], found)
                else:
                    yield from _differences(part, named[name], found)
            for name in named:
                if name not in members:
                    yield Difference(asked.pointer, f"it has {name} there too")
        case list() as parts, list() as named_parts:
            if len(parts) != len(named_parts):
                yield Difference(asked.pointer, f"it has {len(named_parts)} there, not {len(parts)}")
            for part, named_part in zip(parts, named_parts, strict=False):
                yield from _differences(part, named_part, found)
        case (dict() | list(), _) | (_, dict() | list()):
            yield Difference(asked.pointer, "it has something else there")
        case value, other:
            if not _same(value, other):
                yield Difference(asked.pointer, f"it has {other} there")


def _values(asked: Spot, expected: Spot, found: Found) -> Iterator[Difference]:
    """Compare the values of an `in`, of which the order means nothing. One parameter may stand for all of them."""
    match asked.value, expected.value:
        case list() as parts, Blank(parameter):
            # Each value is looked at once: lists may be long, and there may be many templates.
            fitting: dict[tuple[bool, object], bool] = {}
            for part in parts:
                key = _key(part)
                if key not in fitting:
                    fitting[key] = fits(part.value, parameter)
                if not fitting[key]:
                    yield Difference(part.pointer, _allowed(parameter))
            if all(fitting.values()):
                yield from _once(asked, parameter, set(fitting), found)
        case list() as parts, list() as named if not any(isinstance(one.value, Blank) for one in named):
            allowed = set(map(_key, named))
            for part in parts:
                if _key(part) not in allowed:
                    yield Difference(part.pointer, "it does not have that value there")
            given = set(map(_key, parts))
            for one in named:
                if _key(one) not in given:
                    yield Difference(asked.pointer, f"it has {one.value} there too")
        case _:
            yield from _differences(asked, expected, found)


def _once(asked: Spot, parameter: Mapping[str, Any], value: object, found: Found) -> Iterator[Difference]:
    """Hold a parameter to one value wherever it stands."""
    name = parameter[PARAMETER]
    if not _same(found.setdefault(name, value), value):
        yield Difference(asked.pointer, f"its parameter {name} has another value elsewhere in the query")


def _allowed(parameter: Mapping[str, Any]) -> str:
    said = f"its parameter {parameter[PARAMETER]} is a {parameter['type']}"
    if "values" in parameter:
        values = [str(value) for value in parameter["values"]]
        more = f" and {len(values) - NAMED_MAX} others" if len(values) > NAMED_MAX else ""
        return f"{said}, one of {', '.join(values[:NAMED_MAX])}{more}"
    if "range" in parameter:
        return f"{said} from {parameter['range'][0]} to {parameter['range'][1]}"
    return said


def _same(one: object, other: object) -> bool:
    """Return whether two values are one: 2 and 2.0 are, true and 1 are not."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _key(part: Spot) -> tuple[bool, object]:
    """Return a key that is equal for two plain values exactly if `_same` is true for them."""
    return isinstance(part.value, bool), part.value


def _text(part: Spot | None) -> object:
    return None if part is None else part.value


def _is_day(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
