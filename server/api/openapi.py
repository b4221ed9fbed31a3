"""The OpenAPI 3.1 document: what flask-smorest cannot see for itself, above all the nested shapes of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from budgets.loss import EPSILON_MAX, RHO_MAX
from queries.language import nodes
from queries.language.templates import KINDS
from queries.planning.margins import TARGETS_MAX
from queries.release import postprocessing
from queries.spelling import sql
from queries.statistics import registry
from queries.statistics.parts.members import Shape
from server.api import replies
from server.api.requests.conditions import DAYS_MAX
from server.api.requests.query import CONFIDENCE_MAX, CONFIDENCE_MIN, NOISES
from server.api.requests.shapes import Built
from server.api.requests.templates import TEMPLATES_MAX
from server.web import problems

if TYPE_CHECKING:
    from flask_smorest import Api
    from marshmallow import fields

    from queries.statistics.statistic import Statistic


def _ref(component: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{component}"}


def _shape(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


_COLUMN = {"type": "string", "description": "A column of the table"}
_TABLE = {"type": "string", "description": "A table of the dataset"}
_DAYS = {"type": "integer", "minimum": 0, "maximum": DAYS_MAX}
_NAME = {"type": "string", "pattern": f"^{nodes.NAME.pattern}$"}
_AS = {"as": _NAME}
_SCALARS = {"type": "array", "minItems": 1, "items": _ref("Scalar")}
_WHERE = {"$ref": "#/components/schemas/Predicate"}
_COUNTED = {"enum": ["persons", "events"]}
_ABOVE_ZERO = {"type": "number", "exclusiveMinimum": 0}
_SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}


def _two(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 2, "maxItems": 2, "items": items}


_VALUE_BOUNDS = _two({"type": "number"})


def _member(shape: Shape) -> dict[str, Any]:
    """Return the schema of a statistic's member."""
    match shape:
        case Shape.COUNTED:
            return _COUNTED
        case Shape.COLUMN:
            return _COLUMN
        case Shape.TWO_COLUMNS:
            return _two(_COLUMN)
        case Shape.CONDITION:
            return _WHERE
        case Shape.BOUNDS:
            return _VALUE_BOUNDS
        case Shape.TWO_BOUNDS:
            return _two(_VALUE_BOUNDS)
        case Shape.SHARES:
            return {"oneOf": [_SHARE, {"type": "array", "minItems": 1, "items": _SHARE}]}
        case Shape.SCALARS:
            return _SCALARS
        case Shape.WHOLE:
            return _ref("Positive")
        case Shape.DATE:
            return {"type": "string", "format": "date"}
        case _:
            assert_never(shape)


def _statistic(statistic: Statistic[Any]) -> dict[str, Any]:
    required = [member.name for member in statistic.members if member.required]
    properties = {member.name: _member(member.shape) for member in statistic.members}
    return _shape(required, **properties, **({"where": _WHERE} if statistic.has_filter else {}))


_COARSE = "Rounded down to a multiple of 1e-9, and refused below that"
_FINE = "Rounded down to a multiple of 1e-18, and refused below that"
_QUERY_DELTA = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": _FINE}
_ONE_VALUE = [op for op in nodes.COMPARISONS if op not in ("in", "between", "is_null")]

COMPONENTS: dict[str, dict[str, Any]] = {
    "Scalar": {"type": ["string", "number", "boolean"]},
    "Positive": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "Epsilon": {"type": "number", "exclusiveMinimum": 0, "maximum": EPSILON_MAX, "description": _COARSE},
    "Rho": {"type": "number", "exclusiveMinimum": 0, "maximum": RHO_MAX, "description": _COARSE},
    "Delta": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "description": f"{_FINE} (0 is allowed)"},
    "Sql": {
        "type": "string",
        "maxLength": sql.TEXT_MAX,
        "description": "The query as one statement: SELECT keys, statistics FROM table WHERE ... GROUP BY keys",
    },
    "Privacy": {
        "description": "What a query may spend: epsilon (Laplace noise), rho (Gaussian noise, where it is smaller), or "
        "the least that gives the margins asked for, at a confidence (0.95), with Laplace noise or the one named; and "
        "delta where a key has no declared values",
        "oneOf": [
            _shape(["epsilon"], epsilon=_ref("Epsilon"), delta=_QUERY_DELTA),
            _shape(["rho"], rho=_ref("Rho"), delta=_QUERY_DELTA),
            _shape(
                ["margin"],
                margin={
                    "type": "object",
                    "description": "Margins by the names of statistics",
                    "minProperties": 1,
                    "maxProperties": TARGETS_MAX,
                    "propertyNames": _NAME,
                    "additionalProperties": _ref("Margin"),
                },
                confidence={"type": "number", "minimum": CONFIDENCE_MIN, "maximum": CONFIDENCE_MAX},
                noise={"enum": list(NOISES)},
                delta=_QUERY_DELTA,
            ),
        ],
    },
    "Margin": {
        "description": "The widest margin: of a count, sum, histogram or top; of another statistic over so many events "
        "(or persons, if it is of those); of a quantile or iqr in events further up or down",
        "oneOf": [
            _ABOVE_ZERO,
            _shape(["margin", "at"], margin=_ABOVE_ZERO, at=_ref("Positive")),
            _shape(["events"], events=_ABOVE_ZERO),
        ],
    },
    "Post": {
        "type": "array",
        "uniqueItems": True,
        "items": {"enum": list(postprocessing.WORDS)},
        "description": "How the answer is post-processed, after the noise; the released numbers stay beside",
    },
    "Require": {
        "description": "Refuse the query, before any charge, if a larger share of its numbers is expected to drown, or "
        "if it is not the `question` that an estimate named: at the same price, of the same edition",
        **_shape([], drowned={"type": "number", "minimum": 0, "maximum": 1}, question={"type": "string"}),
        "minProperties": 1,
    },
    "Predicate": {
        "description": "A filter. Comparisons hold for no null; `is_null` does.",
        "oneOf": [
            _shape(["all"], all={"type": "array", "minItems": 1, "items": _ref("Predicate")}),
            _shape(["any"], any={"type": "array", "minItems": 1, "items": _ref("Predicate")}),
            {**_shape(["not"]), "properties": {"not": _ref("Predicate")}},
            _shape(["column", "op", "value"], column=_COLUMN, op={"enum": _ONE_VALUE}, value=_ref("Scalar")),
            _shape(["column", "op", "value"], column=_COLUMN, op={"enum": ["in", "between"]}, value=_SCALARS),
            _shape(["column", "op"], column=_COLUMN, op={"const": "is_null"}),
            _shape(["column", "op", "value"], column={"const": nodes.PERSON}, op={"const": "in"}, value=_ref("Cohort")),
        ],
    },
    "Cohort": {
        "description": "The persons with at least so many events (1), after or without others of theirs",
        **_shape(
            ["persons"],
            persons=_TABLE,
            where=_WHERE,
            at_least=_ref("Positive"),
            after=_ref("Related"),
            without=_ref("Related"),
            date=_COLUMN,
        ),
    },
    "Related": {
        "description": "Other events of the same person, perhaps at most so many days away",
        **_shape(["of"], of=_TABLE, where=_WHERE, within_days=_DAYS, date=_COLUMN),
    },
    "Source": {
        "description": "A table of the dataset, or one built of a row for each person who has events",
        "oneOf": [
            _TABLE,
            _shape(
                ["per_person", "values"],
                per_person=_TABLE,
                where=_WHERE,
                values={
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": _NAME,
                    "additionalProperties": _ref("Value"),
                },
            ),
        ],
    },
    "Value": {
        "description": "One value for each person, built from their events",
        "oneOf": [
            _shape(["exists"], exists=_WHERE),
            _shape(["count"], count={"const": "events"}, where=_WHERE, bounds=_VALUE_BOUNDS),
            _shape(["days_to"], days_to=_ref("Related"), bounds=_VALUE_BOUNDS, date=_COLUMN),
            *(
                _shape([word], **{word: _COLUMN}, where=_WHERE, bounds=_VALUE_BOUNDS)
                for word in ("sum", "mean", "min", "max")
            ),
            *(
                _shape([word], **{word: _COLUMN}, where=_WHERE, bounds=_VALUE_BOUNDS, date=_COLUMN)
                for word in ("first", "last")
            ),
        ],
    },
    "Key": {
        "description": "A group-by key: a column's declared values, bins [a, b), bins of a width (from an origin), the "
        "periods of a date, or a part of it over all years",
        "oneOf": [
            {"type": "string"},
            _shape(["column"], column=_COLUMN, **_AS),
            _shape(["column", "bins"], column=_COLUMN, bins=_SCALARS, **_AS),
            _shape(
                ["column", "width"],
                column=_COLUMN,
                width=_ABOVE_ZERO,
                **{"from": {"type": ["number", "string"]}},
                **_AS,
            ),
            _shape(["column", "period"], column=_COLUMN, period={"enum": list(nodes.PERIODS)}, **_AS),
            _shape(["column", "part"], column=_COLUMN, part={"enum": list(nodes.PARTS)}, **_AS),
        ],
    },
    "Statistic": {"oneOf": [_statistic(statistic) for statistic in registry.STATISTICS]},
    "Selection": {
        "type": "object",
        "description": "The statistics of the answer, by the name of their column in it",
        "minProperties": 1,
        "propertyNames": _NAME,
        "additionalProperties": _ref("Statistic"),
    },
}
_PARAMETER_VALUES = {
    "values": _SCALARS,
    "range": {"type": "array", "minItems": 2, "maxItems": 2, "items": _ref("Scalar")},
}
COMPONENTS |= {
    "Truth": {"type": "boolean"},
    "LeastMargin": {**_ABOVE_ZERO, "description": "The least margin at 95% that a count may have in an answer"},
    "Templates": {
        "type": "array",
        "maxItems": TEMPLATES_MAX,
        "items": _ref("Template"),
        "description": "Queries that a strict protocol allows, and no others",
    },
    "Template": {
        "description": "A query in JSON with Parameters in place of values to compare with and edges of bins, and "
        "perhaps the most that one may spend; without parameters also in SQL, in place of `query`",
        **_shape(["name"], name=_NAME, query={"type": "object"}, sql=_ref("Sql"), max_epsilon=_ref("Epsilon")),
    },
    "Parameter": {
        "description": "Stands for any of the values of a type, or for those listed or within a range. In the place of "
        "the list of an `in` it stands for any list of them",
        **_shape(["parameter", "type"], parameter=_NAME, type={"enum": list(KINDS)}, **_PARAMETER_VALUES),
    },
}


def describe(api: Api) -> None:
    """Add to an API's document the components, the token scheme and what every route may answer."""
    for name, schema in COMPONENTS.items():
        api.spec.components.schema(name, schema)
    api.spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    api.spec.components.schema("Problem", schema=replies.Problem)
    api.ma_plugin.converter.add_attribute_function(_built)


def problem_response(description: str) -> dict[str, Any]:
    """Return the description of a response that is a problem document."""
    return {"description": description, "content": {problems.CONTENT_TYPE: {"schema": _ref("Problem")}}}


def _built(_converter: object, field: fields.Field[Any], **_: Any) -> dict[str, Any]:
    if not isinstance(field, Built):
        return {}
    return {"anyOf": [_ref(field.component), {"type": "null"}]} if field.allow_none else _ref(field.component)
