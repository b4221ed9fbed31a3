"""The components of the OpenAPI document that marshmallow has no schema for, above all the nested shapes of a query.

Each alternative of a `oneOf` that is an object is a component with a name. Generators of clients make a class of each
component, and some of them drop every call whose body has an alternative without a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from budgets.loss import EPSILON_MAX, RHO_MAX
from queries.language import nodes
from queries.language.showing import BANDS
from queries.language.templates import KINDS
from queries.planning.margins import TARGETS_MAX
from queries.release import hiding, postprocessing
from queries.spelling import sql
from queries.statistics import registry
from queries.statistics.parts.members import Shape
from server.api.answer_rows import ROWS, ref
from server.api.requests.code_lists import CODE_LISTS_MAX, CODES_MAX
from server.api.requests.conditions import DAYS_MAX
from server.api.requests.query import CONFIDENCE_MAX, CONFIDENCE_MIN, NOISES
from server.api.requests.templates import TEMPLATES_MAX

if TYPE_CHECKING:
    from queries.statistics.statistic import Statistic

Described = dict[str, Any]


def _shape(required: list[str], **properties: Any) -> Described:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _words(*words: str) -> Described:
    return {"type": "string", "enum": list(words)}


def _word(word: str) -> Described:
    return {"type": "string", "const": word}


def _one_of(
    description: str, named: dict[str, Described], *others: Described
) -> tuple[Described, dict[str, Described]]:
    """Return the schema of what is one of several components, or of other shapes, and the components."""
    return {"description": description, "oneOf": [*others, *map(ref, named)]}, named


_COLUMN = {"type": "string", "description": "A column of the table"}
_TABLE = {"type": "string", "description": "A table of the dataset"}
_DAYS = {"type": "integer", "minimum": 0, "maximum": DAYS_MAX}
_NAME = {"type": "string", "pattern": f"^{nodes.NAME.pattern}$"}
_AS = {"as": _NAME}
_SCALARS = {"type": "array", "minItems": 1, "items": ref("Scalar")}
_WHERE = ref("Predicate")
_ABOVE_ZERO = {"type": "number", "exclusiveMinimum": 0}
_SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}


def _two(items: Described) -> Described:
    return {"type": "array", "minItems": 2, "maxItems": 2, "items": items}


_VALUE_BOUNDS = _two({"type": "number"})


def _member(shape: Shape) -> Described:
    """Return the schema of a statistic's member."""
    match shape:
        case Shape.COUNTED:
            return ref("Counted")
        case Shape.COLUMN | Shape.DAY_COLUMN:
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
            return ref("Positive")
        case Shape.DATE:
            return {"type": "string", "format": "date"}
        case _:
            assert_never(shape)


def _statistic(statistic: Statistic[Any]) -> Described:
    required = [member.name for member in statistic.members if member.required]
    properties = {member.name: _member(member.shape) for member in statistic.members}
    return _shape(required, **properties, **({"where": _WHERE} if statistic.has_filter else {}))


_PREFIX = {"type": "string", "minLength": 1, "maxLength": nodes.PREFIX_MAX, "description": "How codes begin"}
_COARSE = "Rounded down to a multiple of 1e-9, and refused below that"
_FINE = "Rounded down to a multiple of 1e-18, and refused below that"
_QUERY_DELTA = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": _FINE}
_ONE_VALUE = [op for op in nodes.COMPARISONS if op not in ("in", "between", "is_null", "under", "begins")]

_HIDE_WORD = {"type": "string", "pattern": f"^{hiding.FORM.pattern}$"}

COMPONENTS: dict[str, Described] = {
    "Scalar": {"type": ["string", "number", "boolean"]},
    "Positive": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "Epsilon": {"type": "number", "exclusiveMinimum": 0, "maximum": EPSILON_MAX, "description": _COARSE},
    "Rho": {"type": "number", "exclusiveMinimum": 0, "maximum": RHO_MAX, "description": _COARSE},
    "Delta": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "description": f"{_FINE} (0 is allowed)"},
    "Truth": {"type": "boolean"},
    "Counted": {**_words("persons", "events"), "description": "What is counted"},
    "Sql": {
        "type": "string",
        "maxLength": sql.TEXT_MAX,
        "description": "The query as one statement: SELECT keys, statistics FROM table WHERE ... GROUP BY keys",
    },
    "Post": {
        "type": "array",
        "uniqueItems": True,
        "items": {"anyOf": [_words(*postprocessing.WORDS), _HIDE_WORD]},
        "description": "How the answer is post-processed, after the noise; what was released stays beside, if it may",
    },
    "Show": {
        "description": "Which rows are shown, in which order, and names for bins: free, and no part of the question. "
        "`sql` is the end of a SELECT statement, and says all but the labels",
        **_shape(
            [],
            having=ref("Predicate"),
            order_by={"type": "array", "minItems": 1, "items": ref("Order")},
            limit=ref("Positive"),
            labels={"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
            sql={"type": "string", "example": "HAVING patients > 99 ORDER BY patients DESC LIMIT 10"},
            standardise=ref("Standardise"),
            difference=ref("Difference"),
        ),
        "minProperties": 1,
    },
    "Standardise": {
        "description": "Standardise a rate, a mean or a proportion directly, over the strata that a key makes: free",
        **_shape(
            ["statistic", "by", "weights"],
            statistic=_COLUMN,
            by=_COLUMN,
            weights={
                "type": "object",
                "additionalProperties": {"type": "number", "minimum": 0},
                "example": {"[0, 18)": 19000, "[18, 65)": 61500, "[65, 71)": 19500},
            },
        ),
    },
    "Difference": {
        "description": "The survival curve of each group that a key makes, less that of the reference group: free",
        **_shape(
            ["statistic", "by", "reference"],
            statistic=_COLUMN,
            by=_COLUMN,
            reference={"type": ["string", "number", "boolean", "null"]},
            band=_words(*BANDS),
        ),
    },
    "Require": {
        "description": "Refuse the query, before any charge, if a larger share of its numbers is expected to drown, or "
        "if it is not the `question` that an estimate named: at the same price, of the same edition",
        **_shape([], drowned={"type": "number", "minimum": 0, "maximum": 1}, question={"type": "string"}),
        "minProperties": 1,
    },
    "Cohort": {
        "description": "The persons with at least so many events (1), after or without others of theirs",
        **_shape(
            ["persons"],
            persons=_TABLE,
            where=_WHERE,
            at_least=ref("Positive"),
            after=ref("Related"),
            without=ref("Related"),
            date=_COLUMN,
        ),
    },
    "OtherColumn": {
        "description": "Another column of the same row, or value of the same person",
        **_shape(["column"], column=_COLUMN),
    },
    "CodeList": {
        "description": "The codes of a list that the study's protocol keeps, by its name",
        **_shape(["list"], list=_NAME),
    },
    "CodeLists": {
        "type": "object",
        "description": f"Lists of codes by their names, for filters; at most {CODES_MAX} codes in all",
        "maxProperties": CODE_LISTS_MAX,
        "propertyNames": _NAME,
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "minLength": 1},
        },
    },
    "Related": {
        "description": "Other events of the same person, perhaps at most so many days away",
        **_shape(["of"], of=_TABLE, where=_WHERE, within_days=_DAYS, date=_COLUMN),
    },
    "MarginTargets": {
        "type": "object",
        "description": "Margins by the names of statistics",
        "minProperties": 1,
        "maxProperties": TARGETS_MAX,
        "propertyNames": _NAME,
        "additionalProperties": ref("Margin"),
    },
    "PersonValues": {
        "type": "object",
        "description": "The values that are built for each person, by their names",
        "minProperties": 1,
        "propertyNames": _NAME,
        "additionalProperties": ref("Value"),
    },
    "Selection": {
        "type": "object",
        "description": "The statistics of the answer, by the name of their column in it",
        "minProperties": 1,
        "propertyNames": _NAME,
        "additionalProperties": ref("Statistic"),
    },
}


def _built_of_column(*words: str, **more: Any) -> dict[str, Described]:
    return {
        f"{word.capitalize()}Value": _shape([word], **{word: _COLUMN}, where=_WHERE, bounds=_VALUE_BOUNDS, **more)
        for word in words
    }


# What is one of several shapes: its description, its alternatives by their names, and those that are no objects.
_ALTERNATIVES = {
    "Privacy": _one_of(
        "What a query may spend: epsilon (Laplace noise), rho (Gaussian noise, where it is smaller), or the least that "
        "gives the margins asked for, at a confidence (0.95), with Laplace noise or the one named; and delta where a "
        "key has no declared values",
        {
            "PrivacyEpsilon": _shape(["epsilon"], epsilon=ref("Epsilon"), delta=_QUERY_DELTA),
            "PrivacyRho": _shape(["rho"], rho=ref("Rho"), delta=_QUERY_DELTA),
            "PrivacyMargin": _shape(
                ["margin"],
                margin=ref("MarginTargets"),
                confidence={"type": "number", "minimum": CONFIDENCE_MIN, "maximum": CONFIDENCE_MAX},
                noise=_words(*NOISES),
                delta=_QUERY_DELTA,
            ),
        },
    ),
    "Margin": _one_of(
        "The widest margin: of a count, sum, histogram or top; of another statistic over so many events (or persons, "
        "if it is of those); of a quantile or iqr in events further up or down",
        {
            "MarginAt": _shape(["margin", "at"], margin=_ABOVE_ZERO, at=ref("Positive")),
            "MarginEvents": _shape(["events"], events=_ABOVE_ZERO),
        },
        _ABOVE_ZERO,
    ),
    "Predicate": _one_of(
        "A filter. Comparisons hold for no null; `is_null` does.",
        {
            "AllConditions": _shape(["all"], all={"type": "array", "minItems": 1, "items": _WHERE}),
            "AnyCondition": _shape(["any"], any={"type": "array", "minItems": 1, "items": _WHERE}),
            "NotCondition": _shape(["not"], **{"not": _WHERE}),
            "Comparison": _shape(
                ["column", "op", "value"], column=_COLUMN, op=_words(*_ONE_VALUE), value=ref("Scalar")
            ),
            "ListComparison": _shape(
                ["column", "op", "value"], column=_COLUMN, op=_words("in", "between"), value=_SCALARS
            ),
            "ColumnComparison": _shape(
                ["column", "op", "value"], column=_COLUMN, op=_words(*_ONE_VALUE), value=ref("OtherColumn")
            ),
            "CodeListComparison": _shape(
                ["column", "op", "value"], column=_COLUMN, op=_words("in", "under", "begins"), value=ref("CodeList")
            ),
            "CodeComparison": _shape(
                ["column", "op", "value"], column=_COLUMN, op=_words("under", "begins"), value=_PREFIX
            ),
            "NullComparison": _shape(["column", "op"], column=_COLUMN, op=_word("is_null")),
            "CohortComparison": _shape(
                ["column", "op", "value"], column=_word(nodes.PERSON), op=_word("in"), value=ref("Cohort")
            ),
        },
    ),
    "Source": _one_of(
        "A table of the dataset, or one built of a row for each person who has events",
        {"PerPerson": _shape(["per_person", "values"], per_person=_TABLE, where=_WHERE, values=ref("PersonValues"))},
        _TABLE,
    ),
    "Value": _one_of(
        "One value for each person, built from their events",
        {
            "ExistsValue": _shape(["exists"], exists=_WHERE),
            "CountValue": _shape(["count"], count=_word("events"), where=_WHERE, bounds=_VALUE_BOUNDS),
            "DaysToValue": _shape(["days_to"], days_to=ref("Related"), bounds=_VALUE_BOUNDS, date=_COLUMN),
            **_built_of_column("sum", "mean", "min", "max"),
            **_built_of_column("first", "last", date=_COLUMN),
        },
    ),
    "Key": _one_of(
        "A group-by key: a column's declared values, bins [a, b), bins of a width (from an origin), the periods of a "
        "date, or a part of it over all years",
        {
            "ColumnKey": _shape(["column"], column=_COLUMN, **_AS),
            "BinsKey": _shape(["column", "bins"], column=_COLUMN, bins=_SCALARS, **_AS),
            "WidthKey": _shape(
                ["column", "width"],
                column=_COLUMN,
                width=_ABOVE_ZERO,
                **{"from": {"type": ["number", "string"]}},
                **_AS,
            ),
            "PeriodKey": _shape(["column", "period"], column=_COLUMN, period=_words(*nodes.PERIODS), **_AS),
            "PartKey": _shape(["column", "part"], column=_COLUMN, part=_words(*nodes.PARTS), **_AS),
        },
        {"type": "string"},
    ),
    "Order": _one_of(
        "A column of the answer by which rows are ordered; what has no value is last",
        {"OrderBy": _shape(["column"], column={"type": "string"}, descending={"type": "boolean"})},
        {"type": "string"},
    ),
    "Statistic": _one_of(
        "A statistic of the answer, called by its member",
        {f"{one.word.capitalize()}Statistic": _statistic(one) for one in registry.STATISTICS},
    ),
}
for _called, (_described, _named) in _ALTERNATIVES.items():
    COMPONENTS |= {_called: _described, **_named}

# Templates of protocols

COMPONENTS |= {
    "HideBelow": {"type": "integer", "minimum": hiding.LEAST, "maximum": hiding.MOST},
    "LeastMargin": {**_ABOVE_ZERO, "description": "The least margin at 95% that a count may have in an answer"},
    "Templates": {
        "type": "array",
        "maxItems": TEMPLATES_MAX,
        "items": ref("Template"),
        "description": "Queries that a strict protocol allows, and no others",
    },
    "Template": {
        "description": "A query in JSON with Parameters in place of values to compare with and edges of bins, and "
        "perhaps the most that one may spend; without parameters also in SQL, in place of `query`",
        **_shape(
            ["name"],
            name=_NAME,
            query={"type": "object"},
            sql=ref("Sql"),
            max_epsilon=ref("Epsilon"),
        ),
    },
    "Parameter": {
        "description": "Stands for any of the values of a type, or for those listed or within a range. In the place of "
        "the list of an `in` it stands for any list of them",
        **_shape(
            ["parameter", "type"],
            parameter=_NAME,
            type=_words(*KINDS),
            values=_SCALARS,
            range=_two(ref("Scalar")),
        ),
    },
}

COMPONENTS |= ROWS
