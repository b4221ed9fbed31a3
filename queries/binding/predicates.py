"""The canonical predicate: what the engine runs for a filter, and what fingerprints compare.

`filters.py` binds a filter to a table. `simplify` then combines the conditions on each column, drops those that decide
nothing and sorts the rest: all spellings of a filter become one form.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from queries.catalog import codes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from queries.catalog.codes import Ranges


@dataclass(frozen=True)
class Among:
    """The column's code lies in one of the ranges. Without ranges it never holds."""

    column: str
    ranges: Ranges


@dataclass(frozen=True)
class Spelled:
    """An undeclared category holds one of these texts, or (`negated`) holds a text that is none of these.

    The texts are looked up in the store after the charge, as bound parameters: they are never part of the SQL.
    """

    column: str
    texts: tuple[str, ...]
    negated: bool


@dataclass(frozen=True)
class Beginning:
    """An undeclared category holds a text that begins with one of these, or (`negated`) one that begins with none.

    None of them begins with another. Like the texts of `Spelled`, they are never part of the SQL.
    """

    column: str
    prefixes: tuple[str, ...]
    negated: bool


@dataclass(frozen=True)
class Compared:
    """`factors[0]` times a column's units compare so with `factors[1]` times another's; both columns have a value.

    `lows` are the units of code 1. `op` is one of = != < <=; others change sides.
    """

    columns: tuple[str, str]
    op: str
    lows: tuple[int, int]
    factors: tuple[int, int]


@dataclass(frozen=True)
class Both:
    """Every part holds. Without parts it always holds."""

    parts: tuple[Bound, ...]


@dataclass(frozen=True)
class Either:
    """At least one part holds. Without parts it never holds."""

    parts: tuple[Bound, ...]


@dataclass(frozen=True)
class Events:
    """The events of a table that fulfil a condition.

    If their day matters, `date` is the column that holds it, and `first_day` is the day that its code 1 stands for.
    """

    table: str
    where: Bound
    date: str | None = None
    first_day: int = 0
    within_days: int | None = None


@dataclass(frozen=True)
class Member:
    """The person has at least so many of these events, `after` or `without` others (`nodes.Cohort`).

    With `negated`, the person has fewer.
    """

    events: Events
    at_least: int
    after: Events | None
    without: Events | None
    negated: bool


Bound = Among | Spelled | Beginning | Compared | Both | Either | Member

ALWAYS = Both(())
NEVER = Either(())


def simplify(predicate: Bound) -> Bound:
    """Return the canonical form of a bound predicate."""
    match predicate:
        case Among(_, ()):
            return NEVER
        case Among(_, ((0, codes.UNDECLARED_LAST),)):
            return ALWAYS
        case Spelled(name, (), negated):
            return Among(name, NOT_NULL) if negated else NEVER
        case Both(parts):
            return _merge(parts, Both, NEVER)
        case Either(parts):
            return _merge(parts, Either, ALWAYS)
        case Among() | Spelled() | Beginning() | Compared() | Member():
            return predicate
        case _:
            assert_never(predicate)


def _merge(parts: tuple[Bound, ...], group: type[Both] | type[Either], decisive: Bound) -> Bound:
    """Flatten a group, combine its conditions on each column, and sort it.

    `decisive` is the part that decides the whole group: NEVER if all parts must hold, ALWAYS otherwise.
    """
    flat: list[Bound] = []
    for part in map(simplify, parts):
        flat.extend(part.parts if isinstance(part, group) else [part])
    spelled = {values.column for part in flat if (values := _values(part)) is not None}
    ranges: dict[str, list[Ranges]] = {}
    values_of: dict[str, list[_Values]] = {}
    prefixes: dict[str, set[str]] = {}
    others: list[Bound] = []
    for part in flat:
        if isinstance(part, Beginning) and part.negated == (group is Both):
            # One of several beginnings, or none of them: what one condition says of all of them.
            prefixes.setdefault(part.column, set()).update(part.prefixes)
        elif (values := _values(part, spelled)) is not None:
            values_of.setdefault(values.column, []).append(values)
        elif isinstance(part, Among):
            ranges.setdefault(part.column, []).append(part.ranges)
        else:
            others.append(part)
    all_must_hold = group is Both
    combine = codes.intersection if all_must_hold else _either_ranges
    together = _Values.both if all_must_hold else _Values.either
    merged = [simplify(Among(name, functools.reduce(combine, several))) for name, several in ranges.items()]
    merged += [functools.reduce(together, several).bound() for several in values_of.values()]
    merged += [Beginning(name, shortest(several), negated=all_must_hold) for name, several in prefixes.items()]
    # Flatten once more, because combined parts may be groups of the same kind.
    settled = [inner for part in [*merged, *others] for inner in (part.parts if isinstance(part, group) else [part])]
    kept = sorted(set(settled), key=canonical)
    if decisive in kept:
        return decisive
    return kept[0] if len(kept) == 1 else group(tuple(kept))


def shortest(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Return prefixes without those that begin with another one of them, in order."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)


def _either_ranges(left: Ranges, right: Ranges) -> Ranges:
    return codes.union([*left, *right])


NULL: Ranges = ((0, 0),)
NOT_NULL: Ranges = ((1, codes.UNDECLARED_LAST),)


@dataclass(frozen=True)
class _Values:
    """The values of an undeclared category that a filter takes: null or not; these texts or (`negated`) all others."""

    column: str
    null: bool
    texts: frozenset[str]
    negated: bool

    def opposite(self) -> _Values:
        return _Values(self.column, not self.null, self.texts, not self.negated)

    def both(self, other: _Values) -> _Values:
        null, negated = self.null and other.null, self.negated and other.negated
        if negated:
            texts = self.texts | other.texts
        elif self.negated:
            texts = other.texts - self.texts
        elif other.negated:
            texts = self.texts - other.texts
        else:
            texts = self.texts & other.texts
        return _Values(self.column, null, texts, negated)

    def either(self, other: _Values) -> _Values:
        return self.opposite().both(other.opposite()).opposite()

    def bound(self) -> Bound:
        """Return the canonical predicate of this set."""
        null = Among(self.column, NULL) if self.null else NEVER
        if not self.texts:
            if not self.negated:
                return null
            return ALWAYS if self.null else Among(self.column, NOT_NULL)
        spelled = Spelled(self.column, tuple(sorted(self.texts)), self.negated)
        return Either(tuple(sorted((null, spelled), key=canonical))) if self.null else spelled


def _values(part: Bound, spelled: Collection[str] = ()) -> _Values | None:
    """Return the values of one undeclared category that a part takes, or None if it is about something else.

    Only texts show that a column is undeclared. `spelled` are the columns for which the group has texts.
    """
    match part:
        case Spelled(name, texts, negated):
            return _Values(name, null=False, texts=frozenset(texts), negated=negated)
        case Among(name, ranges) if name in spelled:
            return _Values(name, null=ranges[0] == (0, 0), texts=frozenset(), negated=ranges[-1][1] > 0)
        case Either((Among(name, ((0, 0),)), Spelled(same, texts, negated))) if name == same:
            return _Values(name, null=True, texts=frozenset(texts), negated=negated)
        case Either((Spelled(same, texts, negated), Among(name, ((0, 0),)))) if name == same:
            return _Values(name, null=True, texts=frozenset(texts), negated=negated)
        case _:
            return None


def canonical(predicate: Bound) -> str:
    """Return a text that is the same for two predicates exactly if they are the same."""
    return json.dumps(to_json(predicate), sort_keys=True, separators=(",", ":"))


def to_json(predicate: Bound) -> object:
    """Return a bound predicate as JSON values, for the fingerprint of a query."""
    match predicate:
        case Among(column, ranges):
            return {"column": column, "codes": [list(pair) for pair in ranges]}
        case Spelled(column, texts, negated):
            return {"column": column, "texts": list(texts), "negated": negated}
        case Beginning(column, prefixes, negated):
            return {"column": column, "prefixes": list(prefixes), "negated": negated}
        case Compared(compared, op, lows, factors):
            return {"columns": list(compared), "op": op, "lows": list(lows), "factors": list(factors)}
        case Both(parts):
            return {"all": [to_json(part) for part in parts]}
        case Either(parts):
            return {"any": [to_json(part) for part in parts]}
        case Member(events, at_least, after, without, negated):
            return {
                "persons": events_json(events),
                "at_least": at_least,
                "after": None if after is None else events_json(after),
                "without": None if without is None else events_json(without),
                "negated": negated,
            }
        case _:
            assert_never(predicate)


def events_json(events: Events) -> dict[str, object]:
    """Return events as JSON values, for the fingerprint of a query."""
    return {
        "table": events.table,
        "where": to_json(events.where),
        "date": events.date,
        "within_days": events.within_days,
    }


def columns(predicate: Bound) -> frozenset[str]:
    """Return the columns of the event that a predicate reads."""
    match predicate:
        case Among(column) | Spelled(column) | Beginning(column):
            return frozenset({column})
        case Compared(compared):
            return frozenset(compared)
        case Both(parts) | Either(parts):
            return frozenset().union(*map(columns, parts))
        case Member():
            return frozenset()
        case _:
            assert_never(predicate)
