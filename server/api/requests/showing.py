"""How an answer is to be shown, from JSON or from a text: the end of a SELECT statement, or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from queries.errors import InvalidQuery
from queries.language.showing import BANDS, NOTHING, Derive, Difference, Order, Show, Standardise
from queries.release.derived.parts import text_of
from queries.spelling import sql
from server.api.requests.conditions import parse_predicate
from server.api.requests.shapes import as_column, as_object, as_text, as_whole, member, number, only, within

PARTS = ("having", "order_by", "limit")
COMPUTED = ("standardise", "difference")
WEIGHTS_MAX = 1000
WEIGHT_MAX = 1e12


def parse_show(value: Any) -> Show:
    """Return how an answer is to be shown. Raises ValidationError with the place."""
    shape = as_object(value)
    only(shape, *PARTS, "labels", "sql", *COMPUTED)
    if not shape:
        raise ValidationError("must say something: having, order_by, limit, labels, sql, standardise or difference")
    labels = within("labels", _labels, shape["labels"]) if "labels" in shape else ()
    derive = _derive(shape)
    if "sql" in shape:
        for part in PARTS:
            if part in shape:
                raise ValidationError({part: ["stands in sql already, which says all of it"]})
        found = within("sql", _as_sql, shape["sql"])
        return Show(found.having, found.order_by, found.limit, labels, derive)
    return Show(
        within("having", parse_predicate, shape["having"]) if "having" in shape else None,
        within("order_by", _orders, shape["order_by"]) if "order_by" in shape else (),
        within("limit", as_whole, shape["limit"]) if "limit" in shape else None,
        labels,
        derive,
    )


def _derive(shape: Mapping[str, Any]) -> Derive | None:
    if "standardise" in shape:
        if "difference" in shape:
            raise ValidationError({"difference": ["one thing is computed at a time: ask again, it is free"]})
        return within("standardise", _standardise, shape["standardise"])
    return within("difference", _difference, shape["difference"]) if "difference" in shape else None


def _standardise(value: Any) -> Standardise:
    shape = as_object(value)
    only(shape, "statistic", "by", "weights")
    statistic, by = (member(shape, name, as_column) for name in ("statistic", "by"))
    return Standardise(statistic, by, member(shape, "weights", _weights))


def _weights(value: Any) -> tuple[tuple[str, float], ...]:
    shape = as_object(value)
    if len(shape) > WEIGHTS_MAX:
        raise ValidationError(f"are at most {WEIGHTS_MAX}")
    weights = tuple((name, within(name, _weight, one)) for name, one in shape.items())
    if sum(weight for _, weight in weights) <= 0:
        raise ValidationError("must add up to more than 0")
    return weights


def _weight(value: Any) -> float:
    weight = float(number(value))
    if not 0 <= weight <= WEIGHT_MAX:
        raise ValidationError(f"must be a number from 0 to {WEIGHT_MAX:g}")
    return weight


def _difference(value: Any) -> Difference:
    shape = as_object(value)
    only(shape, "statistic", "by", "reference", "band")
    band = shape.get("band", BANDS[0])
    if band not in BANDS:
        raise ValidationError({"band": [f"must be {' or '.join(BANDS)}"]})
    statistic, by = (member(shape, name, as_column) for name in ("statistic", "by"))
    return Difference(statistic, by, member(shape, "reference", _label), band)


def _label(value: Any) -> str:
    """Return the label of a key as a text. Raises ValidationError."""
    if value is not None and not isinstance(value, str | int | float):
        raise ValidationError("must be a value of the key")
    return text_of(value)


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
