"""How an answer is to be shown, from JSON or from a text: the end of a SELECT statement, or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from queries.errors import InvalidQuery
from queries.language.showing import NOTHING, Order, Show
from queries.spelling import sql
from server.api.requests.conditions import parse_predicate
from server.api.requests.shapes import as_column, as_object, as_text, as_whole, member, only, within

PARTS = ("having", "order_by", "limit")


def parse_show(value: Any) -> Show:
    """Return how an answer is to be shown. Raises ValidationError with the place."""
    shape = as_object(value)
    only(shape, *PARTS, "labels", "sql")
    if not shape:
        raise ValidationError("must say something: having, order_by, limit, labels or sql")
    labels = within("labels", _labels, shape["labels"]) if "labels" in shape else ()
    if "sql" in shape:
        for part in PARTS:
            if part in shape:
                raise ValidationError({part: ["stands in sql already, which says all of it"]})
        found = within("sql", _as_sql, shape["sql"])
        return Show(found.having, found.order_by, found.limit, labels)
    return Show(
        within("having", parse_predicate, shape["having"]) if "having" in shape else None,
        within("order_by", _orders, shape["order_by"]) if "order_by" in shape else (),
        within("limit", as_whole, shape["limit"]) if "limit" in shape else None,
        labels,
    )


def _as_sql(value: Any) -> Show:
    try:
        return sql.read_show(as_text(value))
    except InvalidQuery as error:
        raise ValidationError(error.message) from None


def _orders(value: Any) -> tuple[Order, ...]:
    if not isinstance(value, list) or not value:
        raise ValidationError("must be a list of columns of the answer")
    return tuple(within(place, _order, part) for place, part in enumerate(value))


def _order(value: Any) -> Order:
    if isinstance(value, str):
        return Order(as_column(value))
    shape = as_object(value)
    only(shape, "column", "descending")
    descending = shape.get("descending", False)
    if not isinstance(descending, bool):
        raise ValidationError({"descending": ["must be true or false"]})
    return Order(member(shape, "column", as_column), descending)


def _labels(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    shape = as_object(value)
    return tuple((name, within(name, _texts, own)) for name, own in shape.items())


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValidationError("must be a list of texts, one for each bin")
    return tuple(within(place, as_text, part) for place, part in enumerate(value))


def read_text(text: str) -> Show:
    """Return how an answer is to be shown, from one text: SQL, or a JSON object. Raises ValidationError."""
    if not text.strip():
        return NOTHING
    if not text.lstrip().startswith("{"):
        return _as_sql(text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValidationError("is no JSON that can be read") from None
    return parse_show(value)


class ShowText(fields.String):
    """The same as one text."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        return read_text(super()._deserialize(value, attr, data, **kwargs))
