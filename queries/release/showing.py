"""HAVING, ORDER BY, LIMIT and labels: the rows of an answer as a request wants to see them.

Before rows are chosen, standardised rates and differences of curves are computed, if they were asked for (`derived/`).

It reveals nothing, because it is a function of the answer as it is shown, and of the request: what rounding, clamping
and hiding made of the released numbers comes in, and nothing else. A number that is hidden has no value here. It
fulfils no condition and no negated one, and comes last in each order, so neither places nor absences tell it.

What it does not do: a margin holds for each number by itself. Among many noisy numbers, the largest are too large on
average, so that rows chosen by their numbers have intervals that are too optimistic. The answer says so.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from queries.errors import InvalidQuery
from queries.language import nodes, showing
from queries.language.showing import NOTHING, Show
from queries.release import answer_columns
from queries.release.answer_columns import Columns, Kind
from queries.release.derived import deriving
from queries.spelling import json_writing, sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from queries.language.showing import Derive

    Row = Mapping[str, Any]
    Value = str | float | bool | None

POINTER = "/show"
COMPARED = ("=", "!=", "<", "<=", ">", ">=", "in", "between", "is_null")
LABEL_MAX = 100  # characters of a bin's own label
# What is tried on each row, for free:
CONDITIONS_MAX = 32
VALUES_MAX = 200  # of lists in them
ORDERS_MAX = 8
FREE = (
    "HAVING, ORDER BY, LIMIT, labels, standardised rates and differences of curves come from released numbers: they "
    "are free and no part of the question, so the same question shown in another way is the same answer"
)
CHOSEN = (
    "rows were chosen by numbers with noise: the largest of these need not be the largest without noise and are too "
    "large on average, and margins hold for each number by itself, not for the ones that were chosen"
)


NUMBERS = frozenset({Kind.NUMBER, Kind.STATISTIC})
WANTED = {
    Kind.NUMBER: "a number",
    Kind.STATISTIC: "a number",
    Kind.TEXT: "a text",
    Kind.BOOLEAN: "true or false",
}


def bind(show: Show, columns: Columns) -> Show:
    """Return what is to be shown with the answer's own names. Raises InvalidQuery with the place.

    Names are taken in upper and lower case, as SQL's are.
    """
    _require_size(show)
    labels = tuple(_labelled(name, own, columns) for name, own in show.labels)
    derive = None if show.derive is None else _derive(show.derive, dict(labels), columns)
    if derive is not None:
        columns = answer_columns.derived(derive, columns)
    order = tuple(
        replace(one, column=_column(one.column, columns, f"{POINTER}/order_by/{place}")[0])
        for place, one in enumerate(show.order_by)
    )
    having = None if show.having is None else _bound(show.having, columns, f"{POINTER}/having")
    return replace(show, having=having, order_by=order, labels=labels, derive=derive)


def _derive(asked: Derive, own: Mapping[str, Sequence[str]], columns: Columns) -> Derive:
    """Return what is to be computed, with the answer's own names. Strata go by labels of the asker's own."""
    pointer = deriving.pointer(asked)
    statistic = sql.among(asked.statistic, columns.known.words, f"{pointer}/statistic")
    by = sql.among(asked.by, columns.known.keys, f"{pointer}/by")
    bound = replace(asked, statistic=statistic, by=by)
    deriving.require(bound, columns.known.labelled(own))
    return bound


def _require_size(show: Show) -> None:
    left: list[nodes.Predicate] = [] if show.having is None else [show.having]
    conditions = values = 0
    while left:
        part = left.pop()
        conditions += 1
        if isinstance(part, nodes.Not):
            left.append(part.part)
        elif isinstance(part, nodes.All | nodes.Any):
            left += part.parts
        elif isinstance(part, nodes.Comparison) and isinstance(part.value, tuple):
            values += len(part.value)
    if conditions > CONDITIONS_MAX or values > VALUES_MAX or len(show.order_by) > ORDERS_MAX:
        raise InvalidQuery(
            POINTER,
            f"rows are chosen by at most {CONDITIONS_MAX} conditions, {VALUES_MAX} values in their lists, and "
            f"{ORDERS_MAX} columns of ORDER BY",
        )


def _labelled(name: str, own: tuple[str, ...], columns: Columns) -> tuple[str, tuple[str, ...]]:
    pointer = f"{POINTER}/labels/{name}"
    known = sql.among(name, columns.bins, pointer)
    if known not in columns.bins:
        raise InvalidQuery(pointer, "only a key that is cut into bins has labels of one's own")
    if len(own) != len(columns.bins[known]):
        raise InvalidQuery(pointer, f"there are {len(columns.bins[known])} bins and {len(own)} labels")
    if len(set(own)) < len(own):
        raise InvalidQuery(pointer, "two bins have the same label")
    if not all(0 < len(label) <= LABEL_MAX and label.isprintable() for label in own):
        raise InvalidQuery(pointer, f"a label has from 1 to {LABEL_MAX} printable characters")
    return known, own


def _column(name: str, columns: Columns, pointer: str) -> tuple[str, Kind]:
    """Return a column of the answer with its kind, or one end of a statistic's interval."""
    ends = {
        f"{known}_{end}": Kind.NUMBER
        for known, kind in columns.kinds.items()
        if kind is Kind.STATISTIC
        for end in showing.ENDS
    }
    kinds = {**ends, **columns.kinds}
    known = sql.among(name, columns.kinds, pointer)
    if known not in kinds:
        known = sql.among(name, kinds, pointer)
    kind = kinds.get(known)
    if kind is None:
        raise InvalidQuery(
            pointer,
            f"the answer has no column {name}; it has {', '.join(columns.kinds)}. Select what rows are chosen by",
        )
    if kind is Kind.LIST:
        raise InvalidQuery(pointer, f"{known} has several numbers in each row, so no row is chosen by it")
    return known, kind


def _bound(having: nodes.Predicate, columns: Columns, pointer: str) -> nodes.Predicate:
    match having:
        case nodes.Not(part):
            return nodes.Not(_bound(part, columns, f"{pointer}/not"))
        case nodes.All(parts) | nodes.Any(parts):
            word = "all" if isinstance(having, nodes.All) else "any"
            return type(having)(
                tuple(_bound(part, columns, f"{pointer}/{word}/{place}") for place, part in enumerate(parts))
            )
        case nodes.Cohort():
            raise InvalidQuery(pointer, "rows of an answer are no persons: choose persons with WHERE")
        case nodes.Comparison():
            return _comparison(having, columns, pointer)
        case _:
            assert_never(having)


def _comparison(asked: nodes.Comparison, columns: Columns, pointer: str) -> nodes.Comparison:
    name, kind = _column(asked.column, columns, f"{pointer}/column")
    if asked.op not in COMPARED:
        raise InvalidQuery(f"{pointer}/op", f"rows are chosen with one of {', '.join(COMPARED)}")
    if asked.op == "is_null" or kind is Kind.ANY:
        return replace(asked, column=name)
    if kind in (Kind.TEXT, Kind.BOOLEAN) and asked.op not in ("=", "!=", "in"):
        raise InvalidQuery(f"{pointer}/op", f"the labels of {name} have no order here: compare them with =, != or in")
    if isinstance(asked.value, nodes.OtherColumn):
        other, other_kind = _column(asked.value.name, columns, f"{pointer}/value/column")
        if NUMBERS.issuperset((kind, other_kind)) or kind is other_kind:
            return replace(asked, column=name, value=nodes.OtherColumn(other))
        raise InvalidQuery(f"{pointer}/value", f"{name} is compared with {WANTED[kind]}")
    values = asked.value if isinstance(asked.value, tuple) else (asked.value,)
    if asked.op == "between" and len(values) != 2:
        raise InvalidQuery(f"{pointer}/value", "must be a list of two")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            is_wanted = (kind is Kind.TEXT and isinstance(value, str)) or (
                kind is Kind.BOOLEAN and isinstance(value, bool)
            )
        else:
            is_wanted = kind in (Kind.NUMBER, Kind.STATISTIC)
        if not is_wanted:
            raise InvalidQuery(f"{pointer}/value", f"{name} is compared with {WANTED[kind]}")
    return replace(asked, column=name)


def arrange(shown: Mapping[str, Any], show: Show) -> dict[str, Any]:
    """Return an answer, as post-processing made it, with the rows that are wanted, in their order.

    `show` was bound to its columns.
    """
    if show == NOTHING:
        return dict(shown)
    shown = _computed(shown, show)
    rows: list[dict[str, Any]] = shown["rows"]
    ranks = _ranks(rows, [one.column for one in show.order_by])
    holds = None if show.having is None else _holding(show.having, rows)
    kept = [place for place in range(len(rows)) if holds is None or holds[place] is True]
    for one in reversed(show.order_by):
        kept = _ordered(kept, _values(rows, one.column), ranks.get(one.column), descending=one.descending)
    last = kept if show.limit is None else kept[: show.limit]
    return {
        **shown,
        "sql": sql.shown(shown["sql"], show),
        "show": {**asked(show)["show"], "left_out": len(rows) - len(last)},
        "rows": [rows[place] for place in last],
        "notes": [*shown["notes"], *_notes(show, rows, len(kept), len(last))],
    }


def _computed(shown: Mapping[str, Any], show: Show) -> Mapping[str, Any]:
    """Return an answer with labels of one's own, and with what is to be computed from it in the place of its rows."""
    rows: list[dict[str, Any]] = shown["rows"]
    for name, own in show.labels:
        labels = dict(zip(_labels(rows, name), own, strict=False))
        rows = [{**row, name: labels.get(row[name], row[name])} for row in rows]
    labelled = {**shown, "rows": rows}
    if show.derive is None or not rows:
        return labelled
    return deriving.apply(labelled, show.derive, answer_columns.released(labelled).known)


def asked(show: Show) -> dict[str, Any]:
    """Return the member that says how an answer is shown, in JSON and as the end of a statement; none for nothing."""
    if show == NOTHING:
        return {}
    return {"show": {**json_writing.show_to_json(show), "sql": sql.tail(show)}}


def _labels(rows: Sequence[Row], name: str) -> list[Value]:
    """Return the labels of a key in the order of the answer, which lists every combination of keys in their order."""
    return list(dict.fromkeys(row[name] for row in rows if row[name] is not None))


def _ranks(rows: Sequence[Row], names: Iterable[str]) -> dict[str, dict[Value, int]]:
    """Return the places of the labels of each key among these names."""
    if not rows:
        return {}
    keys = [name for name in names if name in rows[0] and not isinstance(rows[0][name], dict)]
    return {name: {label: place for place, label in enumerate(_labels(rows, name))} for name in keys}


def _ordered(
    places: list[int], values: Sequence[Any], ranks: Mapping[Value, int] | None, *, descending: bool
) -> list[int]:
    """Return places of rows ordered by one column. Equal ones stay as they were; what has no value is last."""
    valued = [place for place in places if values[place] is not None]
    valued.sort(key=lambda place: values[place] if ranks is None else ranks[values[place]], reverse=descending)
    return [*valued, *(place for place in places if values[place] is None)]


def _values(rows: Sequence[Row], name: str) -> list[Any]:
    """Return a column: labels of a key, values of a statistic, or ends of its intervals; None where it has none."""
    if not rows:
        return []
    if name not in rows[0]:
        statistic, _, end = name.rpartition("_")
        return [row[statistic][end] for row in rows]
    is_statistic = isinstance(rows[0][name], dict)
    return [row[name]["value"] if is_statistic else row[name] for row in rows]


def _holding(having: nodes.Predicate, rows: Sequence[Row]) -> list[bool | None]:
    """Return whether a condition holds for each row, as SQL does: None where it is about what has no value."""
    match having:
        case nodes.Not(part):
            return [None if found is None else not found for found in _holding(part, rows)]
        case nodes.All(parts) | nodes.Any(parts):
            decides = isinstance(having, nodes.Any)
            found: list[bool | None] = [not decides] * len(rows)
            for part in parts:
                both = zip(found, _holding(part, rows), strict=True)
                found = [_either(one, other, decides=decides) for one, other in both]
            return found
        case nodes.Comparison(column, op, value):
            others = _values(rows, value.name) if isinstance(value, nodes.OtherColumn) else itertools.repeat(value)
            return [_compares(one, op, other) for one, other in zip(_values(rows, column), others, strict=False)]
        case nodes.Cohort():
            raise AssertionError("it was refused when the condition was bound")
        case _:
            assert_never(having)


def _either(one: bool | None, other: bool | None, *, decides: bool) -> bool | None:
    """Return OR of two conditions if True decides it, and AND if False does."""
    if one is decides or other is decides:
        return decides
    return None if one is None or other is None else not decides


def _compares(found: Any, op: str, value: Any) -> bool | None:
    if op == "is_null":
        return found is None
    if found is None or value is None:
        return None
    match op:
        case "=":
            return bool(found == value)
        case "!=":
            return bool(found != value)
        case "<":
            return bool(found < value)
        case "<=":
            return bool(found <= value)
        case ">":
            return bool(found > value)
        case ">=":
            return bool(found >= value)
        case "in":
            return found in value
        case _:
            low, high = value
            return bool(low <= found <= high)


def _notes(show: Show, rows: Sequence[Row], kept: int, last: int) -> Iterator[str]:
    """Yield what a reader should know: what was left out, and that rows were chosen by noisy numbers."""
    if last < len(rows):
        yield (
            f"shown are {last} of {len(rows)} rows: HAVING left out {len(rows) - kept}, and LIMIT {kept - last}; all "
            "of them are in the release, and free"
        )
    if rows and (
        _is_noisy(rows[0], _names(show.having))
        or (show.limit is not None and _is_noisy(rows[0], (one.column for one in show.order_by)))
    ):
        yield CHOSEN


def _names(having: nodes.Predicate | None) -> Iterator[str]:
    match having:
        case nodes.Not(part):
            yield from _names(part)
        case nodes.All(parts) | nodes.Any(parts):
            for part in parts:
                yield from _names(part)
        case nodes.Comparison(column, value=value):
            yield column
            if isinstance(value, nodes.OtherColumn):
                yield value.name
        case _:
            return


def _is_noisy(row: Row, names: Iterable[str]) -> bool:
    """Return whether one of some columns is a statistic's."""
    return any(name not in row or isinstance(row[name], dict) for name in names)
