"""Parts of JSON documents: each function returns a checked value, or raises ValidationError with the place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from marshmallow import ValidationError, fields

from queries.language import nodes
from server.web.problems import Place

T = TypeVar("T")


def as_object(value: Any) -> dict[str, Any]:
    """Return a value if it is an object."""
    if not isinstance(value, dict):
        raise ValidationError("must be an object")
    return value


def only(value: Mapping[str, Any], *allowed: str) -> None:
    """Refuse members that are not allowed, because they would be ignored."""
    unknown = {Place(key): ["is not allowed here"] for key in value if key not in allowed}
    if unknown:
        raise ValidationError(unknown)


def within(key: str | int, parse: Callable[[Any], T], value: Any) -> T:
    """Parse a part of a document; an error in it gets the place of the part."""
    try:
        return parse(value)
    except ValidationError as error:
        raise ValidationError({Place(key): error.messages}) from None


def member(value: Mapping[str, Any], key: str, parse: Callable[[Any], T]) -> T:
    """Parse a member that must exist."""
    if key not in value:
        raise ValidationError({key: ["is missing"]})
    return within(key, parse, value[key])


def as_name(value: Any) -> str:
    """Return the name of a column of the answer."""
    if not isinstance(value, str) or not nodes.NAME.fullmatch(value):
        raise ValidationError("must be a name: at most 63 letters, digits and _, and no digit at the beginning")
    return value


def as_column(value: Any) -> str:
    """Return the name of a column of a table."""
    if not isinstance(value, str) or not value:
        raise ValidationError("must be the name of a column")
    return value


def as_text(value: Any) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise ValidationError("must be a text")
    return value


def as_scalar(value: Any) -> nodes.Scalar:
    """Return a value to compare with."""
    if not isinstance(value, (str, int, float, bool)):
        raise ValidationError("must be a text, a number, true or false")
    return value


def as_scalars(value: Any) -> tuple[nodes.Scalar, ...]:
    """Return a list of values to compare with; it must not be empty."""
    if not isinstance(value, list) or not value:
        raise ValidationError("must be a list with at least one value")
    return tuple(within(place, as_scalar, part) for place, part in enumerate(value))


def as_whole(value: Any) -> int:
    """Return a whole number from 1 to 2^31 - 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise ValidationError("must be a whole number of at least 1")
    return value


def number(value: Any) -> float:
    """Return a number. Raises ValidationError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValidationError("must be a number")
    return value


def as_bounds(value: Any) -> tuple[float, float]:
    """Return a pair of bounds, lowest first."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValidationError("must be a list of two numbers, [lowest, highest]")
    low, high = (within(place, number, part) for place, part in enumerate(value))
    return low, high


class Built(fields.Field[Any]):
    """A field whose value a function builds. In the OpenAPI document it refers to a component by name."""

    def __init__(self, build: Callable[[Any], Any], component: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._build = build
        self.component = component

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:  # noqa: ARG002
        return self._build(value)
