"""What a researcher asks, from JSON: marshmallow -> the nodes of `queries.language.nodes`.

The query's nested parts (predicates, keys, statistics) are each one of several shapes. Their fields build nodes and
refer, in the OpenAPI document, to the components that `openapi.py` declares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, post_load

from budgets import amounts
from budgets.amounts import UNITS, rounding
from budgets.errors import Invalid
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.showing import NOTHING, Show
from queries.release import hiding
from queries.release.postprocessing import WORDS
from queries.spelling import sql
from server.api.requests.conditions import parse_predicate, parse_source
from server.api.requests.keys import parse_key
from server.api.requests.shapes import (
    Built,
    as_name,
    as_object,
    as_text,
    as_whole,
    member,
    number,
    only,
    within,
)
from server.api.requests.showing import ShowText, parse_show
from server.api.requests.statistics import parse_statistic

T = TypeVar("T")

CONFIDENCE_MIN, CONFIDENCE_MAX = 0.5, 0.999
MARGIN_MAX = 1e300  # a whole number beyond a float's range is no margin either
NOISES = ("laplace", "gaussian")
POST = f"{', '.join(WORDS)}, {hiding.word(11)} (of any number from {hiding.LEAST} on)"


def _selection(value: Any) -> tuple[tuple[str, nodes.Statistic], ...]:
    shape = as_object(value)
    if not shape:
        raise ValidationError("must name at least one statistic")
    found = []
    for name, statistic in shape.items():
        within(name, as_name, name)
        found.append((name, within(name, parse_statistic, statistic)))
    return tuple(found)


class BoundsSchema(Schema):
    """Contribution bounds."""

    cells_per_person = Built(as_whole, "Positive")
    events_per_cell = Built(as_whole, "Positive")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> nodes.Bounds:
        """Return the node."""
        return nodes.Bounds(**data)


class QuerySchema(Schema):
    """A question about one table, or about one that is built of a row for each person."""

    source = Built(parse_source, "Source", data_key="from", required=True)
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
    """Return an epsilon above 0 in billionths, rounded down. Raises ValidationError."""
    return _above_zero("epsilon", value)


def _above_zero(word: str, value: Any) -> int:
    """Return an epsilon, rho or delta above 0 in its units, rounded down. Raises ValidationError."""
    units = offered(word, value)
    if units == 0:
        raise ValidationError("must be above 0")
    return units


def offered(word: str, value: Any) -> int:
    """Return an epsilon, rho or delta in its units, rounded down. Raises ValidationError."""
    try:
        return amounts.offered(word, number(value))
    except Invalid as error:
        raise ValidationError(error.message) from None


def roundings(places: Mapping[str, tuple[str, Any]]) -> list[str]:
    """Return a sentence for each number of a request that was rounded down: `places` has (word, value) by place."""
    said = (rounding(word, value, place) for place, (word, value) in places.items())
    return [sentence for sentence in said if sentence is not None]


def parse_privacy(value: Any) -> nodes.Privacy:
    """Return what a query may spend: epsilon, or rho (its noise may be Gaussian), or what its margins need.

    Beside one of them perhaps delta.
    """
    shape = as_object(value)
    only(shape, "epsilon", "rho", "margin", "confidence", "noise", "delta")
    if sum(word in shape for word in ("epsilon", "rho", "margin")) != 1:
        raise ValidationError("give epsilon, rho or margin, one of them")
    delta = within("delta", partial(_above_zero, "delta"), shape["delta"]) if "delta" in shape else None
    if "margin" in shape:
        return nodes.Privacy(margins=_margins(shape), delta_atto=delta)
    for word in ("confidence", "noise"):
        if word in shape:
            raise ValidationError({word: ["goes with margin only"]})
    if "epsilon" in shape:
        return nodes.Privacy(epsilon_nano=within("epsilon", privacy_epsilon, shape["epsilon"]), delta_atto=delta)
    return nodes.Privacy(rho_nano=within("rho", partial(_above_zero, "rho"), shape["rho"]), delta_atto=delta)


def _margins(shape: dict[str, Any]) -> nodes.Margins:
    targets = within("margin", _targets, shape["margin"])
    confidence = within("confidence", _confidence, shape.get("confidence", nodes.CONFIDENCE))
    return nodes.Margins(targets, confidence, within("noise", _is_gaussian, shape.get("noise", "laplace")))


def _targets(value: Any) -> tuple[tuple[str, nodes.Target], ...]:
    shape = as_object(value)
    if not shape:
        raise ValidationError('must name at least one statistic of select, as in {"patients": 10}')
    # In one order, whatever the spelling.
    for name in shape:
        within(name, as_name, name)
    return tuple((name, within(name, _target, shape[name])) for name in sorted(shape))


def _target(value: Any) -> nodes.Target:
    if not isinstance(value, dict):
        return nodes.Target(above_zero(value))
    if "events" in value:
        only(value, "events")
        return nodes.Target(member(value, "events", above_zero), of_rank=True)
    only(value, "margin", "at")
    return nodes.Target(member(value, "margin", above_zero), member(value, "at", as_whole))


def above_zero(value: Any) -> float:
    """Return a finite number above 0. Raises ValidationError."""
    margin = number(value)
    if not 0 < margin <= MARGIN_MAX:
        raise ValidationError("must be a finite number above 0")
    return margin


def _confidence(value: Any) -> float:
    confidence = float(number(value))
    if not CONFIDENCE_MIN <= confidence <= CONFIDENCE_MAX:
        raise ValidationError(f"must be from {CONFIDENCE_MIN} to {CONFIDENCE_MAX}")
    return confidence


def _is_gaussian(value: Any) -> bool:
    if value not in NOISES:
        raise ValidationError(f"must be {' or '.join(NOISES)}")
    return bool(value == "gaussian")


def as_sql(value: Any) -> nodes.Query:
    """Return the query that a SELECT statement asks, which says nothing on its answer. Raises ValidationError."""
    return _read(value, sql.parse)


def _statement(value: Any) -> tuple[nodes.Query, Show]:
    """Return the query that a SELECT statement asks, and how it wants the answer shown. Raises ValidationError."""
    return _read(value, sql.read)


def _read(value: Any, read: Callable[[str], T]) -> T:
    try:
        return read(as_text(value))
    except InvalidQuery as error:
        raise ValidationError(error.message) from None


def parse_post(value: Any) -> tuple[str, ...]:
    """Return the kinds of post-processing in a list. Raises ValidationError with the place."""
    if not isinstance(value, list):
        raise ValidationError(f"must be a list of {POST}")
    return tuple(within(place, partial(_post, before=value[:place]), word) for place, word in enumerate(value))


def _post(word: Any, before: list[Any]) -> str:
    if not isinstance(word, str) or (word not in WORDS and hiding.read(word) is None):
        raise ValidationError(f"must be one of {POST}")
    kind = word.partition(":")[0]
    if any(kind == str(one).partition(":")[0] for one in before):
        raise ValidationError("is given twice")
    return word


@dataclass(frozen=True)
class Required:
    """What has to hold of a query: the share that may drown at most, and which question it is."""

    drowned: float | None = None
    question: str | None = None


def parse_require(value: Any) -> Required:
    """Return what is required. Raises ValidationError with the place."""
    shape = as_object(value)
    only(shape, "drowned", "question")
    if not shape:
        raise ValidationError("must require something: drowned or question")
    return Required(
        within("drowned", _part, shape["drowned"]) if "drowned" in shape else None,
        within("question", as_text, shape["question"]) if "question" in shape else None,
    )


def _part(value: Any) -> float:
    part = float(number(value))
    if not 0 <= part <= 1:
        raise ValidationError("must be a share from 0 to 1")
    return part


class _Post(fields.String):
    """The same as one text, with commas."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        words = super()._deserialize(value, attr, data, **kwargs).split(",")
        return tuple(_post(word, words[:place]) for place, word in enumerate(words))


class ViewSchema(Schema):
    """How a stored release is to be shown."""

    post = _Post(load_default=(), metadata={"description": f"Post-processing, any of {POST}, with commas between"})
    show = ShowText(
        load_default=NOTHING,
        metadata={
            "description": "Which rows, in which order: HAVING, ORDER BY and LIMIT as in SQL, or the `show` of a "
            "query, as JSON"
        },
    )


class AskSchema(Schema):
    """The body of an estimate, a rehearsal or a query: `query`, or `sql` and perhaps its contribution `bounds`."""

    READS_ALIKE = True  # equal bodies become equal values, which nobody can change: `server/web/bodies.py`

    query = fields.Nested(QuerySchema)
    sql = Built(_statement, "Sql")
    bounds = fields.Nested(BoundsSchema)
    privacy = Built(parse_privacy, "Privacy", required=True)
    post = Built(parse_post, "Post", load_default=())
    show = Built(parse_show, "Show", load_default=NOTHING)
    require = Built(parse_require, "Require", load_default=Required())

    @post_load(pass_original=True)
    def make(self, data: dict[str, Any], original: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Return the query, however it was spelled, with `in_sql` to say how, and `notes` on what was rounded.

        `show` is how the answer is to be shown, whether that stands in the SQL (`show_in_sql`) or beside it.
        """
        in_sql = "sql" in data
        if in_sql == ("query" in data):
            raise ValidationError({"query": ["give a query or sql, one of them"]})
        if "bounds" in data and not in_sql:
            raise ValidationError({"bounds": ["stand within the query; beside it they are for sql"]})
        if in_sql:
            asked, said = data.pop("sql")
            data["query"] = replace(asked, bounds=data.pop("bounds", nodes.Bounds()))
            data["show"], data["show_in_sql"] = _both(said, data["show"]), said != NOTHING
        spends = original["privacy"]
        notes = roundings({f"privacy/{word}": (word, spends[word]) for word in UNITS if word in spends})
        return {"show_in_sql": False, **data, "in_sql": in_sql, "notes": tuple(notes)}


def _both(said: Show, beside: Show) -> Show:
    """Return how an answer is to be shown, which SQL or what stands beside it says. Raises ValidationError."""
    computed = replace(NOTHING, derive=beside.derive)  # for which SQL has no words
    if said != NOTHING and beside != computed:
        raise ValidationError({"show": ["the SQL says how the answer is shown: say it there, or here"]})
    return replace(said, derive=beside.derive) if beside == computed else beside
