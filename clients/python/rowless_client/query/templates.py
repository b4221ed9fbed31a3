"""Query templates: parameters for those who write a protocol, and filling them in for those who ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rowless_client.errors import Misused
from rowless_client.query.plain import scalar, scalars

WORD = "parameter"


@dataclass(frozen=True)
class Parameter:
    """A place of a template in which a value may be chosen: of a type, perhaps from a list or a range."""

    parameter: str
    type: str
    values: Any = None
    range: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return the parameter as a template has it."""
        shape: dict[str, Any] = {WORD: self.parameter, "type": self.type}
        if self.values is not None:
            shape["values"] = scalars(self.values)
        if self.range is not None:
            shape["range"] = scalars(self.range)
        return shape


def parameter(name: str, type: str, *, values: Any = None, range: Any = None) -> Parameter:  # noqa: A002  words of the JSON
    """Return a place for a value, for a template: `q.age >= place`, `q.age.bins(0, place)`.

    Its type is category, number, date or boolean.
    """
    return Parameter(name, type, values, range)


def names(query: Any) -> list[str]:
    """Return the names of a template's parameters, in the order in which they stand in it."""
    found: dict[str, None] = {}
    _collect(query, found)
    return list(found)


def filled(query: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template's query with values in place of its parameters. Raises Misused for a wrong or missing name."""
    wanted = names(query)
    unknown, missing = [n for n in values if n not in wanted], [n for n in wanted if n not in values]
    if unknown or missing:
        said = [f"has no parameter {name}" for name in unknown] + [f"needs a value for {name}" for name in missing]
        raise Misused(f"the template {', '.join(said)}; its parameters are {', '.join(wanted) or 'none'}")
    made = _filled(query, values)
    return dict(made)


def _collect(value: Any, found: dict[str, None]) -> None:
    if isinstance(value, dict):
        if WORD in value:
            found[str(value[WORD])] = None
            return
        for part in value.values():
            _collect(part, found)
    elif isinstance(value, list):
        for part in value:
            _collect(part, found)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        if WORD in value:
            chosen = values[str(value[WORD])]
            return scalars(chosen) if isinstance(chosen, (list, tuple, set, frozenset)) else scalar(chosen)
        return {name: _filled(part, values) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, values) for part in value]
    return value
