"""From the values people write to the codes the store holds, exactly.

A comparison with any literal becomes ranges of codes: `visits > 2.5` on a column of whole visits is the codes
from 3 visits up. Therefore `year > 1`, `year >= 2` and `year between 2 and 5` are the same question, the engine
sees only columns and integers, and no comparison can fail for a reason in the data.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
from fractions import Fraction
from typing import TYPE_CHECKING

from queries.catalog.schema import EPOCH, Column, Kind
from queries.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from queries.language.nodes import Scalar

UNDECLARED_LAST = 2**53  # stands for the end of an undeclared column; no code of any column is as large

SPARE_CODES = 1_000  # of a category without declared values, that nobody has: a filter on an absent text asks for one
TEXTS_MAX = 2**22  # different texts of such a category; the import refuses more

Ranges = tuple[tuple[int, int], ...]  # disjoint, ascending, inclusive, never adjacent


def union(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """Return the codes in any of the ranges, in canonical form."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for pair in ranges if pair[0] <= pair[1]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def intersection(left: Ranges, right: Ranges) -> Ranges:
    """Return the codes in both."""
    return union([(max(a, c), min(b, d)) for a, b in left for c, d in right])


def complement(ranges: Ranges, low: int, high: int) -> Ranges:
    """Return the codes from `low` to `high` that are in none of the ranges."""
    gaps: list[tuple[int, int]] = []
    for first, last in ranges:
        gaps.append((low, min(first - 1, high)))
        low = max(low, last + 1)
    return union([*gaps, (low, high)])


def units_of(column: Column, literal: Scalar, pointer: str) -> Fraction:
    """Return a literal in the column's units: exact, and possibly between two of them. Raises InvalidQuery."""
    match column.kind:
        case Kind.INTEGER | Kind.NUMBER:
            if isinstance(literal, bool) or not isinstance(literal, (int, float)):
                raise InvalidQuery(pointer, f"{column.name} holds numbers; give a number")
            return exact(literal, pointer) / Fraction(column.step)
        case Kind.DATE:
            return Fraction((_date(column, literal, pointer) - EPOCH).days)
        case Kind.BOOLEAN:
            if not isinstance(literal, bool):
                raise InvalidQuery(pointer, f"{column.name} is true or false; give one of them")
            return Fraction(int(literal))
        case Kind.CATEGORY:
            return Fraction(_category(column, literal, pointer) - 1)


def exact(number: float, pointer: str) -> Fraction:
    """Return a JSON number as the decimal that was written, not as the binary float next to it."""
    if isinstance(number, float) and not math.isfinite(number):
        raise InvalidQuery(pointer, "must be a finite number")
    return Fraction(str(number)) if isinstance(number, float) else Fraction(number)


def _date(column: Column, literal: Scalar, pointer: str) -> dt.date:
    try:
        date = dt.date.fromisoformat(str(literal))
    except ValueError:
        date = None
    if date is None or date.isoformat() != literal:  # Python reads "20201231" and "2020-W53-4" too
        raise InvalidQuery(pointer, f'{column.name} holds dates; give one as "2020-12-31"')
    return date


def _category(column: Column, literal: Scalar, pointer: str) -> int:
    assert column.values is not None
    if not isinstance(literal, str):
        raise InvalidQuery(pointer, f"{column.name} holds categories; give one as text")
    if literal not in column.values:
        raise InvalidQuery(pointer, f"{column.name} has no such declared value{nearest(literal, column.values)}")
    return column.values.index(literal) + 1


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelled name: the nearest known one, or the first few."""
    names = list(known)
    near = difflib.get_close_matches(word[:100], names, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}"


def equal(column: Column, literal: Scalar, pointer: str) -> Ranges:
    """Return the code of a literal, or none when it lies between two steps or out of bounds."""
    units = units_of(column, literal, pointer)
    if units.denominator != 1:
        return ()
    code = int(units) - column.low + 1
    return ((code, code),) if 1 <= code <= column.size else ()


def between(
    column: Column,
    low: Fraction | None,
    high: Fraction | None,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> Ranges:
    """Return the codes from `low` to `high` in units; None means no limit; an open end excludes the limit itself."""
    first, last = 1, column.size
    if low is not None:
        first = (math.floor(low) + 1 if low_open else math.ceil(low)) - column.low + 1
    if high is not None:
        last = (math.ceil(high) - 1 if high_open else math.floor(high)) - column.low + 1
    return union([(max(first, 1), min(last, column.size))])


def code_type(column: Column) -> str:
    """Return the smallest stored type that holds a column's codes."""
    if not column.declared:
        return "UINTEGER"
    for bits, stored in ((8, "UTINYINT"), (16, "USMALLINT"), (32, "UINTEGER")):
        if column.size < 2**bits:
            return stored
    return "BIGINT"
