"""Group-by keys, from JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marshmallow import ValidationError

from queries.language import nodes
from server.api.requests.shapes import as_column, as_name, as_object, as_scalars, member, number, only, within

CUTS = ("bins", "width", "period", "part")  # how a column is cut into cells: one of them


def parse_key(value: Any) -> nodes.Key:
    """Return a group-by key. Raises ValidationError with the place."""
    if isinstance(value, str):
        return nodes.ByValue(as_column(value))
    shape = as_object(value)
    only(shape, "column", *CUTS, "from", "as")
    column = member(shape, "column", as_column)
    name = within("as", as_name, shape["as"]) if "as" in shape else None
    given = [cut for cut in CUTS if cut in shape]
    if len(given) > 1:
        raise ValidationError({given[1]: [f"give one of {', '.join(CUTS)}"]})
    if "from" in shape and given != ["width"]:
        raise ValidationError({"from": ["goes with width only"]})
    match given:
        case ["bins"]:
            return nodes.ByBins(column, within("bins", as_scalars, shape["bins"]), name)
        case ["width"]:
            origin = within("from", _origin, shape["from"]) if "from" in shape else None
            return nodes.ByWidth(column, within("width", _width, shape["width"]), origin, name)
        case ["period"]:
            return nodes.ByPeriod(column, within("period", _one_of(nodes.PERIODS), shape["period"]), name)
        case ["part"]:
            return nodes.ByPart(column, within("part", _one_of(nodes.PARTS), shape["part"]), name)
    return nodes.ByValue(column, name)


def _width(value: Any) -> float:
    width = number(value)
    if not width > 0:
        raise ValidationError("must be above 0")
    return width


def _origin(value: Any) -> nodes.Scalar:
    return value if isinstance(value, str) else number(value)


def _one_of(words: tuple[str, ...]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValidationError(f"must be one of {' '.join(words)}")
        return value

    return parse
