"""Filters, cohorts and per-person tables from JSON: the parts of a query that nest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from marshmallow import ValidationError

from queries.language import nodes
from queries.language.nodes import DEPTH_MAX
from server.api.requests.shapes import (
    as_bounds,
    as_column,
    as_name,
    as_object,
    as_scalar,
    as_scalars,
    as_whole,
    member,
    only,
    within,
)

T = TypeVar("T")

DAYS_MAX = 366 * 200
ORDER = ("=", "!=", "<", "<=", ">", ">=")  # what compares with one value, or with another column


def parse_predicate(value: Any) -> nodes.Predicate:
    """Return a filter's tree. Raises ValidationError with the place."""
    return _predicate(value, 0)


def _predicate(value: Any, depth: int) -> nodes.Predicate:
    if depth > DEPTH_MAX:
        raise ValidationError(f"nests deeper than {DEPTH_MAX} levels")
    shape = as_object(value)
    for word, group in (("all", nodes.All), ("any", nodes.Any)):
        if word in shape:
            only(shape, word)
            return group(within(word, lambda parts: _predicates(parts, depth), shape[word]))
    if "not" in shape:
        only(shape, "not")
        return nodes.Not(within("not", lambda part: _predicate(part, depth + 1), shape["not"]))
    if shape.get("column") == nodes.PERSON:
        return _cohort(shape, depth)
    return _comparison(shape)


def _predicates(value: Any, depth: int) -> tuple[nodes.Predicate, ...]:
    if not isinstance(value, list) or not value:
        raise ValidationError("must be a list of conditions that is not empty")
    return tuple(within(place, lambda part: _predicate(part, depth + 1), part) for place, part in enumerate(value))


def _comparison(shape: dict[str, Any]) -> nodes.Comparison:
    only(shape, "column", "op", "value")
    column = member(shape, "column", as_column)
    op = member(shape, "op", _operator)
    if op == "is_null":
        if "value" in shape:
            raise ValidationError({"value": ["is_null takes no value"]})
        return nodes.Comparison(column, op)
    if "value" not in shape:
        raise ValidationError({"value": ["is missing: say what the column is compared with"]})
    if op in ORDER and isinstance(shape["value"], dict):
        return nodes.Comparison(column, op, member(shape, "value", _other_column))
    if op in ("in", "under", "begins") and isinstance(shape["value"], dict):
        return nodes.Comparison(column, op, member(shape, "value", _code_list))
    if op in ("in", "between"):
        return nodes.Comparison(column, op, member(shape, "value", as_scalars))
    return nodes.Comparison(column, op, member(shape, "value", as_scalar))


def _code_list(value: Any) -> nodes.CodeList:
    only(value, "list")
    return nodes.CodeList(member(value, "list", as_name))


def _other_column(value: Any) -> nodes.OtherColumn:
    only(value, "column")
    return nodes.OtherColumn(member(value, "column", as_column))


def _operator(value: Any) -> str:
    if not isinstance(value, str) or value not in nodes.COMPARISONS:
        raise ValidationError(f"must be one of {' '.join(nodes.COMPARISONS)}")
    return value


def _cohort(shape: dict[str, Any], depth: int) -> nodes.Cohort:
    only(shape, "column", "op", "value")
    if shape.get("op") != "in" or not isinstance(shape.get("value"), dict):
        raise ValidationError({"column": ['persons are not compared; write "in" and {"persons": TABLE, ...}']})
    return within("value", lambda value: _persons(value, depth + 1), shape["value"])


def _persons(shape: dict[str, Any], depth: int) -> nodes.Cohort:
    only(shape, "persons", "where", "at_least", "after", "without", "date")
    return nodes.Cohort(
        member(shape, "persons", _table),
        _optional(shape, "where", lambda part: _predicate(part, depth)),
        within("at_least", as_whole, shape.get("at_least", 1)),
        _optional(shape, "after", lambda part: _related(part, depth)),
        _optional(shape, "without", lambda part: _related(part, depth)),
        _optional(shape, "date", as_column),
    )


def _related(value: Any, depth: int) -> nodes.Related:
    """Return other events of the same person."""
    shape = as_object(value)
    only(shape, "of", "where", "within_days", "date")
    return nodes.Related(
        member(shape, "of", _table),
        _optional(shape, "where", lambda part: _predicate(part, depth)),
        _optional(shape, "within_days", _days),
        _optional(shape, "date", as_column),
    )


def _days(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= DAYS_MAX:
        raise ValidationError(f"must be a whole number of days from 0 to {DAYS_MAX}")
    return value


def _table(value: Any) -> str:
    if not isinstance(value, str):
        raise ValidationError("must be the name of a table")
    return value


def _optional(shape: dict[str, Any], key: str, parse: Callable[[Any], T]) -> T | None:
    return within(key, parse, shape[key]) if key in shape else None


def parse_source(value: Any) -> str | nodes.PerPerson:
    """Return what a query is about: a table's name, or a table to be built. Raises ValidationError with the place."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise ValidationError('must be the name of a table, or {"per_person": TABLE, "values": {...}}')
    only(value, "per_person", "where", "values")
    table = member(value, "per_person", _table)
    return nodes.PerPerson(table, member(value, "values", _values), _optional(value, "where", parse_predicate))


def _values(value: Any) -> tuple[tuple[str, nodes.Value], ...]:
    shape = as_object(value)
    if not shape:
        raise ValidationError("must name at least one value")
    return tuple((within(key, as_name, key), within(key, _value, part)) for key, part in shape.items())


def _value(value: Any) -> nodes.Value:
    shape = as_object(value)
    words = [word for word in nodes.BUILT if word in shape]
    if len(words) != 1:
        raise ValidationError(f"must have exactly one of {' '.join(nodes.BUILT)}")
    word = words[0]
    limits = _optional(shape, "bounds", as_bounds)
    date = _optional(shape, "date", as_column)
    match word:
        case "exists":
            only(shape, word)
            return nodes.Value(word, where=member(shape, word, parse_predicate))
        case "count":
            only(shape, word, "where", "bounds")
            if shape[word] != "events":
                raise ValidationError({word: ["a person's events are counted: write events"]})
            return nodes.Value(word, where=_optional(shape, "where", parse_predicate), bounds=limits)
        case "days_to":
            only(shape, word, "bounds", "date")
            return nodes.Value(word, bounds=limits, date=date, to=member(shape, word, lambda part: _related(part, 0)))
    only(shape, word, "where", "bounds", *(("date",) if word in ("first", "last") else ()))
    of = member(shape, word, as_column)
    return nodes.Value(word, of, _optional(shape, "where", parse_predicate), limits, date)
