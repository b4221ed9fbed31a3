"""What a researcher asks, from JSON: marshmallow -> the nodes of `queries.nodes`.

The query's nested parts (predicates, keys, statistics) are each one of several shapes. Their fields build nodes and
refer, in the OpenAPI document, to the components that `openapi.py` declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, post_load

from budgets import loss
from budgets.errors import Invalid
from queries import nodes, sql
from queries.errors import InvalidQuery
from queries.policy import STATISTICS
from queries.predicates import DEPTH_MAX

T = TypeVar("T")


class Place(str):
    """A name that stands in the document, in marshmallow's messages: `_schema` there means the whole object."""

    __slots__ = ()


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValidationError("must be an object")
    return value


def _only(value: Mapping[str, Any], *allowed: str) -> None:
    unknown = {Place(key): ["is not known here"] for key in value if key not in allowed}
    if unknown:
        raise ValidationError(unknown)


def _within(key: str | int, parse: Callable[[Any], T], value: Any) -> T:
    """Parse a part of a document, so that what is wrong with it names its place."""
    try:
        return parse(value)
    except ValidationError as error:
        raise ValidationError({Place(key): error.messages}) from None


def _member(value: Mapping[str, Any], key: str, parse: Callable[[Any], T]) -> T:
    if key not in value:
        raise ValidationError({key: ["is missing"]})
    return _within(key, parse, value[key])


def _name(value: Any) -> str:
    if not isinstance(value, str) or not nodes.NAME.fullmatch(value):
        raise ValidationError("must be a name: letters, digits and _, not beginning with a digit, at most 63")
    return value


def _column(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValidationError("must be the name of a column")
    return value


def _scalar(value: Any) -> nodes.Scalar:
    if not isinstance(value, (str, int, float, bool)):
        raise ValidationError("must be a text, a number, true or false")
    return value


def _scalars(value: Any) -> tuple[nodes.Scalar, ...]:
    if not isinstance(value, list) or not value:
        raise ValidationError("must be a list that is not empty")
    return tuple(_within(place, _scalar, part) for place, part in enumerate(value))


def parse_predicate(value: Any) -> nodes.Predicate:
    """Return a filter's tree. Raises ValidationError with the place."""
    return _predicate(value, 0)


def _predicate(value: Any, depth: int) -> nodes.Predicate:
    if depth > DEPTH_MAX:
        raise ValidationError(f"nests deeper than {DEPTH_MAX} levels")
    shape = _object(value)
    for word, group in (("all", nodes.All), ("any", nodes.Any)):
        if word in shape:
            _only(shape, word)
            return group(_within(word, lambda parts: _predicates(parts, depth), shape[word]))
    if "not" in shape:
        _only(shape, "not")
        return nodes.Not(_within("not", lambda part: _predicate(part, depth + 1), shape["not"]))
    return _comparison(shape)


def _predicates(value: Any, depth: int) -> tuple[nodes.Predicate, ...]:
    if not isinstance(value, list) or not value:
        raise ValidationError("must be a list of conditions that is not empty")
    return tuple(_within(place, lambda part: _predicate(part, depth + 1), part) for place, part in enumerate(value))


def _comparison(shape: dict[str, Any]) -> nodes.Comparison:
    _only(shape, "column", "op", "value")
    column = _member(shape, "column", _column)
    op = _member(shape, "op", _operator)
    if op == "is_null":
        if "value" in shape:
            raise ValidationError({"value": ["is_null takes no value"]})
        return nodes.Comparison(column, op)
    if op in ("in", "between"):
        return nodes.Comparison(column, op, _member(shape, "value", _scalars))
    return nodes.Comparison(column, op, _member(shape, "value", _scalar))


def _operator(value: Any) -> str:
    if not isinstance(value, str) or value not in nodes.COMPARISONS:
        raise ValidationError(f"must be one of {' '.join(nodes.COMPARISONS)}")
    return value


def parse_key(value: Any) -> nodes.Key:
    """Return a group-by key. Raises ValidationError with the place."""
    if isinstance(value, str):
        return nodes.ByValue(_column(value))
    shape = _object(value)
    _only(shape, "column", "bins", "period", "as")
    column = _member(shape, "column", _column)
    name = _within("as", _name, shape["as"]) if "as" in shape else None
    if "bins" in shape and "period" in shape:
        raise ValidationError({"period": ["give bins or a period, not both"]})
    if "bins" in shape:
        return nodes.ByBins(column, _within("bins", _scalars, shape["bins"]), name)
    if "period" in shape:
        return nodes.ByPeriod(column, _within("period", _period, shape["period"]), name)
    return nodes.ByValue(column, name)


def _period(value: Any) -> str:
    if not isinstance(value, str) or value not in nodes.PERIODS:
        raise ValidationError(f"must be one of {' '.join(nodes.PERIODS)}")
    return value


def parse_statistic(value: Any) -> nodes.Statistic:
    """Return a statistic. Raises ValidationError with the place."""
    shape = _object(value)
    words = [word for word in STATISTICS if word in shape]
    if len(words) != 1:
        raise ValidationError(f"must have exactly one of {' '.join(STATISTICS)}")
    word = words[0]
    if word == "proportion":
        _only(shape, word, "of")
        holds = _member(shape, word, parse_predicate)
        return nodes.Proportion(holds, _within("of", _counted, shape.get("of", "events")))
    where = _within("where", parse_predicate, shape["where"]) if "where" in shape else None
    return replace(_function(word, {key: part for key, part in shape.items() if key != "where"}), where=where)


OF_ONE_COLUMN: dict[str, type[nodes.Sum | nodes.Mean | nodes.Variance | nodes.Stddev]] = {
    "sum": nodes.Sum,
    "mean": nodes.Mean,
    "variance": nodes.Variance,
    "stddev": nodes.Stddev,
}
OF_PAIRS: dict[str, type[nodes.Covariance | nodes.Correlation]] = {
    "covariance": nodes.Covariance,
    "correlation": nodes.Correlation,
}


def _function(word: str, shape: dict[str, Any]) -> nodes.Function:
    if word == "count":
        _only(shape, word)
        return nodes.Count(_member(shape, word, _counted))
    if word in OF_PAIRS:
        _only(shape, word, "bounds")
        pair = _within("bounds", lambda both: _two(both, _bounds), shape["bounds"]) if "bounds" in shape else None
        return OF_PAIRS[word](_member(shape, word, lambda both: _two(both, _column)), pair)
    column = _member(shape, word, _column)
    if word == "histogram":
        _only(shape, word, "bins")
        return nodes.Histogram(column, _within("bins", _scalars, shape["bins"]) if "bins" in shape else None)
    if word == "top":
        _only(shape, word, "k")
        return nodes.Top(column, _member(shape, "k", _whole))
    bounds = _within("bounds", _bounds, shape["bounds"]) if "bounds" in shape else None
    if word == "quantile":
        _only(shape, word, "at", "bounds")
        at = _member(shape, "at", _shares)
        return nodes.Quantile(column, at, bounds, listed=isinstance(shape["at"], list))
    _only(shape, word, "bounds")
    return OF_ONE_COLUMN[word](column, bounds)


def _shares(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        return (_share(value),)
    if not value:
        raise ValidationError("must be a list that is not empty")
    return tuple(_within(place, _share, part) for place, part in enumerate(value))


def _share(value: Any) -> float:
    share = number(value)
    if not 0 < share < 1:
        raise ValidationError("must be above 0 and below 1, as 0.5 for the median")
    return float(share)


def _two(value: Any, parse: Callable[[Any], T]) -> tuple[T, T]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValidationError("must be a list of two")
    first, second = (_within(place, parse, part) for place, part in enumerate(value))
    return first, second


def _counted(value: Any) -> str:
    if value not in ("persons", "events"):
        raise ValidationError("must be persons or events")
    return str(value)


def _bounds(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValidationError("must be a list of two numbers, [lowest, highest]")
    low, high = (_within(place, number, part) for place, part in enumerate(value))
    return low, high


def number(value: Any) -> float:
    """Return a number. Raises ValidationError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValidationError("must be a number")
    return value


def _selection(value: Any) -> tuple[tuple[str, nodes.Statistic], ...]:
    shape = _object(value)
    if not shape:
        raise ValidationError("must name at least one statistic")
    found = []
    for name, statistic in shape.items():
        _within(name, _name, name)
        found.append((name, _within(name, parse_statistic, statistic)))
    return tuple(found)


class Built(fields.Field[Any]):
    """A field whose value a function builds; in the OpenAPI document it is the component called `component`."""

    def __init__(self, build: Callable[[Any], Any], component: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._build = build
        self.component = component

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:  # noqa: ARG002
        return self._build(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise ValidationError("must be a whole number of at least 1")
    return value


class BoundsSchema(Schema):
    """Contribution bounds."""

    cells_per_person = Built(_whole, "Positive")
    events_per_cell = Built(_whole, "Positive")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> nodes.Bounds:
        """Return the node."""
        return nodes.Bounds(**data)


class QuerySchema(Schema):
    """A question about one table."""

    table = fields.String(data_key="from", required=True, metadata={"description": "A table of the dataset"})
    where = Built(parse_predicate, "Predicate")
    group_by = fields.List(Built(parse_key, "Key"), metadata={"description": "Keys of the cells; none: one cell"})
    select = Built(_selection, "Selection", required=True)
    bounds = fields.Nested(BoundsSchema)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> nodes.Query:
        """Return the node."""
        data["group_by"] = tuple(data.get("group_by", ()))
        return nodes.Query(**data)


def privacy_epsilon(value: Any) -> int:
    """Return an epsilon above 0 in billionths. Raises ValidationError."""
    nano = _epsilon(value)
    if nano == 0:
        raise ValidationError("must be above 0")
    return nano


def _privacy_rho(value: Any) -> int:
    try:
        nano = loss.rho_nano(number(value))
    except Invalid as error:
        raise ValidationError(error.message) from None
    if nano == 0:
        raise ValidationError("must be above 0")
    return nano


def _epsilon(value: Any) -> int:
    try:
        return loss.epsilon_nano(number(value))
    except Invalid as error:
        raise ValidationError(error.message) from None


def parse_privacy(value: Any) -> nodes.Privacy:
    """Return what a query may spend: epsilon, or rho (its noise may be Gaussian), one of them."""
    shape = _object(value)
    _only(shape, "epsilon", "rho")
    if len(shape) != 1:
        raise ValidationError("give epsilon or rho, one of them")
    if "epsilon" in shape:
        return nodes.Privacy(epsilon_nano=_within("epsilon", privacy_epsilon, shape["epsilon"]))
    return nodes.Privacy(rho_nano=_within("rho", _privacy_rho, shape["rho"]))


def _sql(value: Any) -> nodes.Query:
    if not isinstance(value, str):
        raise ValidationError("must be a text")
    try:
        return sql.parse(value)
    except InvalidQuery as error:
        raise ValidationError(error.message) from None


class AskSchema(Schema):
    """The body of an estimate or a query: `query`, or `sql` and perhaps its contribution `bounds`."""

    query = fields.Nested(QuerySchema)
    sql = Built(_sql, "Sql")
    bounds = fields.Nested(BoundsSchema)
    privacy = Built(parse_privacy, "Privacy", required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Return the query, however it was spelled, with `in_sql` to say how."""
        in_sql = "sql" in data
        if in_sql == ("query" in data):
            raise ValidationError({"query": ["give a query or sql, one of them"]})
        if "bounds" in data and not in_sql:
            raise ValidationError({"bounds": ["stand within the query; beside it they are for sql"]})
        if in_sql:
            data["query"] = replace(data.pop("sql"), bounds=data.pop("bounds", nodes.Bounds()))
        return {**data, "in_sql": in_sql}
