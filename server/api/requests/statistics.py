"""A statistic from JSON. Each declares its members (`queries/statistics/parts/members.py`); they are read here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, assert_never

from marshmallow import ValidationError

from queries.language import nodes
from queries.statistics import registry
from queries.statistics.parts.members import Shape
from server.api.requests.conditions import parse_predicate
from server.api.requests.shapes import (
    as_bounds,
    as_column,
    as_object,
    as_scalars,
    as_text,
    as_whole,
    member,
    number,
    only,
    within,
)

T = TypeVar("T")


def parse_statistic(value: Any) -> nodes.Statistic:
    """Return a statistic. Raises ValidationError with the place."""
    shape = as_object(value)
    words = [word for word in registry.WORDS if word in shape]
    if len(words) != 1:
        raise ValidationError(f"must have exactly one of {' '.join(registry.WORDS)}")
    statistic = registry.called(words[0])
    own = [one.name for one in statistic.members]
    where = None
    if statistic.has_filter and "where" in shape:
        where = within("where", parse_predicate, shape["where"])
    only(shape, *own, *(["where"] if statistic.has_filter else []))
    node: nodes.Statistic = statistic.make(
        {
            one.name: member(shape, one.name, _parser(one.shape))
            for one in statistic.members
            if one.required or one.name in shape
        }
    )
    return node if where is None or isinstance(node, nodes.Proportion) else replace(node, where=where)


def _parser(shape: Shape) -> Callable[[Any], Any]:
    """Return what reads a member of this shape."""
    match shape:
        case Shape.COUNTED:
            return _counted
        case Shape.COLUMN | Shape.DAY_COLUMN:
            return as_column
        case Shape.TWO_COLUMNS:
            return lambda both: _two(both, as_column)
        case Shape.CONDITION:
            return parse_predicate
        case Shape.BOUNDS:
            return as_bounds
        case Shape.TWO_BOUNDS:
            return lambda both: _two(both, as_bounds)
        case Shape.SHARES:
            return _shares
        case Shape.SCALARS:
            return as_scalars
        case Shape.WHOLE:
            return as_whole
        case Shape.DATE:
            return as_text
        case _:
            assert_never(shape)


def _shares(value: Any) -> float | tuple[float, ...]:
    if not isinstance(value, list):
        return _share(value)
    if not value:
        raise ValidationError("must be a list that is not empty")
    return tuple(within(place, _share, part) for place, part in enumerate(value))


def _share(value: Any) -> float:
    share = number(value)
    if not 0 < share < 1:
        raise ValidationError("must be above 0 and below 1, as 0.5 for the median")
    return float(share)


def _two(value: Any, parse: Callable[[Any], T]) -> tuple[T, T]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValidationError("must be a list of two")
    first, second = (within(place, parse, part) for place, part in enumerate(value))
    return first, second


def _counted(value: Any) -> str:
    if value not in ("persons", "events"):
        raise ValidationError("must be persons or events")
    return str(value)
