"""The code lists of a protocol from JSON."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError

from server.api.requests.shapes import as_name, as_object, within

CODE_LISTS_MAX = 100
CODES_MAX = 15_000  # of all lists: the log keeps a study's terms in one entry, and a query has room for so many values


def parse_code_lists(value: Any) -> dict[str, list[str]]:
    """Return code lists by their names. Raises ValidationError with the place."""
    shape = as_object(value)
    if len(shape) > CODE_LISTS_MAX:
        raise ValidationError(f"must have at most {CODE_LISTS_MAX} lists")
    found = {within(name, as_name, name): within(name, _codes, codes) for name, codes in shape.items()}
    if sum(map(len, found.values())) > CODES_MAX:
        raise ValidationError(f"must have at most {CODES_MAX:,} codes in all")
    return found


def _codes(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValidationError("must be a list of codes that is not empty")
    for place, code in enumerate(value):
        if not isinstance(code, str) or not code:
            raise ValidationError({place: ["must be a code: a text that is not empty"]})
    if len(set(value)) != len(value):
        raise ValidationError("has a code twice")
    return value
