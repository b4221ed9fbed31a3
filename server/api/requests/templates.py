"""Query templates from JSON: each is checked like a query and kept in its canonical form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from marshmallow import ValidationError

from queries.language.templates import KINDS, ORDERED, PARAMETER, fits, of_kind
from queries.spelling import json_writing, sql
from server.api.requests.query import QuerySchema, as_sql, privacy_epsilon
from server.api.requests.shapes import as_name, as_object, as_scalars, member, only, within

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES_MAX = 100
DEPTH_MAX = 100
PLACES = ("value", "bins")  # the members of a query in which a parameter may stand for a value


class _Placeholder(str):
    """A parameter in the place of a value: with it the template can be read like any query."""

    parameter: dict[str, Any]


def parse_templates(value: Any) -> list[dict[str, Any]]:
    """Return templates in the form in which they are stored. Raises ValidationError with the place."""
    if not isinstance(value, list) or len(value) > TEMPLATES_MAX:
        raise ValidationError(f"must be a list of at most {TEMPLATES_MAX} templates")
    found = [within(place, _template, one) for place, one in enumerate(value)]
    for place, one in enumerate(found):
        if one["name"] in [other["name"] for other in found[:place]]:
            raise ValidationError({place: {"name": ["is already the name of another template"]}})
    return found


def _template(value: Any) -> dict[str, Any]:
    shape = as_object(value)
    only(shape, "name", "query", "sql", "max_epsilon")
    if "query" in shape and "sql" in shape:
        raise ValidationError({"sql": ["give either the query in JSON or its SQL"]})
    asked = member(shape, "sql", _written) if "sql" in shape else member(shape, "query", _query)
    kept: dict[str, Any] = {"name": member(shape, "name", as_name), "query": asked}
    if "max_epsilon" in shape:
        kept["epsilon_nano_max"] = within("max_epsilon", privacy_epsilon, shape["max_epsilon"])
    return kept


def spelled(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template with its query in SQL too; null where SQL has no words for it: parameters and bounds."""
    query = template["query"]
    has_sql = "bounds" not in query and not _has_parameters(query)
    return {**template, "sql": sql.to_sql(QuerySchema().load(query)) if has_sql else None}


def _has_parameters(value: Any) -> bool:
    if isinstance(value, dict):
        return PARAMETER in value or any(map(_has_parameters, value.values()))
    return isinstance(value, list) and any(map(_has_parameters, value))


def _written(value: Any) -> dict[str, Any]:
    kept: dict[str, Any] = json_writing.to_json(as_sql(value))
    return kept


def _query(value: Any) -> dict[str, Any]:
    declared: dict[str, dict[str, Any]] = {}
    query = QuerySchema().load(_filled(as_object(value), "", declared, 0))
    kept: dict[str, Any] = _kept(json_writing.to_json(query))
    return kept


def _filled(value: Any, inside: str, declared: dict[str, dict[str, Any]], depth: int) -> Any:
    """Return a template's query with a placeholder for each parameter. `inside` is the member that holds the value."""
    if depth > DEPTH_MAX:
        raise ValidationError(f"nests deeper than {DEPTH_MAX} levels")
    if isinstance(value, list):
        inner = partial(_filled, inside=inside, declared=declared, depth=depth + 1)
        return [within(place, inner, part) for place, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if PARAMETER in value:
        if inside not in PLACES:
            raise ValidationError("a parameter can stand only for a value to compare with or for an edge of bins")
        return _placeholder(value, declared)
    filled = {
        name: within(name, partial(_filled, inside=name, declared=declared, depth=depth + 1), part)
        for name, part in value.items()
    }
    if value.get("op") == "in" and isinstance(filled.get("value"), _Placeholder):
        filled["value"] = [filled["value"]]  # the parameter stands for the whole list
        filled["value"][0].parameter["many"] = True
    return filled


def _placeholder(value: dict[str, Any], declared: dict[str, dict[str, Any]]) -> _Placeholder:
    name = member(value, PARAMETER, as_name)
    if set(value) == {PARAMETER} and name in declared:  # a repeated parameter needs no second declaration
        parameter = declared[name]
    else:
        parameter = _parameter(value)
        if declared.setdefault(name, parameter) != parameter:
            raise ValidationError({PARAMETER: [f"{name} has another declaration before"]})
    placeholder = _Placeholder(name)
    placeholder.parameter = dict(parameter)
    return placeholder


def _parameter(value: dict[str, Any]) -> dict[str, Any]:
    only(value, PARAMETER, "type", "values", "range")
    kind = member(value, "type", _kind)
    parameter: dict[str, Any] = {PARAMETER: value[PARAMETER], "type": kind}
    if "values" in value and "range" in value:
        raise ValidationError({"range": ["give either values or a range"]})
    if "values" in value:
        parameter["values"] = list(within("values", as_scalars, value["values"]))
        for place, one in enumerate(parameter["values"]):
            if not of_kind(one, kind):
                raise ValidationError({"values": {place: [f"does not have the type {kind}"]}})
    if "range" in value:
        parameter["range"] = within("range", as_scalars, value["range"])
        if kind not in ORDERED:
            raise ValidationError({"range": [f"the type {kind} has no order, so give values instead"]})
        if len(parameter["range"]) != 2 or not all(of_kind(end, kind) for end in parameter["range"]):
            raise ValidationError({"range": [f"must be a list of two values of the type {kind}, [lowest, highest]"]})
        parameter["range"] = list(parameter["range"])
        if not fits(parameter["range"][0], parameter):
            raise ValidationError({"range": ["must have the lowest value first"]})
    return parameter


def _kind(value: Any) -> str:
    if value not in KINDS:
        raise ValidationError(f"must be one of {', '.join(KINDS)}")
    return str(value)


def _kept(value: Any) -> Any:
    """Return a query's JSON with parameters in place of their placeholders."""
    if isinstance(value, _Placeholder):
        return {name: part for name, part in value.parameter.items() if name != "many"}
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], _Placeholder) and "many" in value[0].parameter:
            return _kept(value[0])
        return [_kept(part) for part in value]
    if isinstance(value, dict):
        return {name: _kept(part) for name, part in value.items()}
    return value
