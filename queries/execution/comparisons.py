"""Conditions on codes as the engine's SQL, written so that the work does not depend on what is there.

- **No comparison can be decided from a column's least and greatest value.** DuckDB keeps these for a table and for each
  row group, and skips what cannot match: one row at the end of a column would decide whether anything is read. It looks
  through casts, sums and OR; through XOR with 0, which changes nothing, it does not.
- **A long list**, where it is not decided event by event (`deciding.py`), is a subquery over a constant list: one hash
  table of as many codes as there are in the list. The list is one literal of one type. As a literal for each code, it
  had the type of its greatest one, which depends on how many of the texts nobody has, and its thousands of objects made
  Python's garbage collector run within scans.
- **No build side of a join is empty**: two sentinel persons are in each, one below and one above all there can be.
  DuckDB does not read the other side of a join whose build side is empty, so one person would decide about all of it.
  Both numbers are no person's (`schema.py`): no event matches them, whether the cohort is asked for or its opposite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from queries.catalog.schema import PERSON, PERSONS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.binding.predicates import Compared
    from queries.catalog.codes import Ranges

ORDER: dict[str, type[exp.Binary]] = {"=": exp.EQ, "!=": exp.NEQ, "<": exp.LT, "<=": exp.LTE}
SENTINELS = (-1, PERSONS_MAX)  # persons are numbered from 0 to PERSONS_MAX - 1 at most
SHORT = 8  # alternatives that are written out
WIDTH_LISTED = 64  # of many ranges those with fewer codes are listed one by one


def opaque(name: str) -> exp.Expr:
    """Return a column's codes, as an expression of whose values DuckDB's statistics say nothing."""
    return exp.BitwiseXor(this=exp.column(name, quoted=True), expression=integer(0))


def between(name: str, low: int, high: int) -> exp.Condition:
    """Return whether a column's code lies from `low` to `high`."""
    if low == high:
        return equal(name, low)
    return exp.Between(this=opaque(name), low=integer(low), high=integer(high))


def equal(name: str, code: int) -> exp.Condition:
    """Return whether a column has this code."""
    return exp.EQ(this=opaque(name), expression=integer(code))


def present(name: str) -> exp.Condition:
    """Return whether a column is not null."""
    return exp.GT(this=opaque(name), expression=integer(0))


def among(name: str, ranges: Ranges) -> exp.Condition:
    """Return whether a column's code lies in one of the ranges; where there are many, the narrow ones as one list."""
    narrow = [(low, high) for low, high in ranges if high - low < WIDTH_LISTED]
    if not is_long(narrow):
        return either([between(name, low, high) for low, high in ranges])
    wide = [between(name, low, high) for low, high in ranges if high - low >= WIDTH_LISTED]
    return either([listed(name, [code for low, high in narrow for code in range(low, high + 1)]), *wide])


def compared(predicate: Compared) -> exp.Condition:
    """Return how two columns compare, both present. Their units are whole numbers below 2^62."""
    sides = [
        exp.Paren(
            this=exp.Mul(
                this=exp.Paren(
                    this=exp.Add(this=exp.cast(opaque(name), "BIGINT", dialect="duckdb"), expression=integer(low - 1))
                ),
                expression=integer(factor),
            )
        )
        for name, low, factor in zip(predicate.columns, predicate.lows, predicate.factors, strict=True)
    ]
    held = ORDER[predicate.op](this=sides[0], expression=sides[1])
    return exp.and_(*map(present, predicate.columns), held)


def listed(name: str, codes: Sequence[int]) -> exp.Condition:
    """Return whether a column has one of the codes."""
    if not is_long(codes):
        return either([equal(name, code) for code in codes])
    array = exp.cast(exp.Literal.string(str(list(codes))), "BIGINT[]", dialect="duckdb")
    return exp.In(this=opaque(name), query=exp.select(exp.Unnest(expressions=[array])).subquery())


def is_long(alternatives: Sequence[object]) -> bool:
    """Return whether so many alternatives are looked up by a join, which may lose the store's order."""
    return len(alternatives) > SHORT


def either(conditions: list[exp.Condition]) -> exp.Condition:
    """Return whether one of the conditions holds."""
    return exp.or_(*conditions) if conditions else exp.false()


def with_sentinels(select: exp.Select, **more: int) -> exp.Query:
    """Return the rows of SELECT person, ..., and one for each sentinel, with what is given for the other columns."""
    rows = [(person, *more.values()) for person in SENTINELS]
    names = [PERSON, *more]
    values = exp.values(rows, alias="sentinels", columns=names)
    others = exp.select(*(exp.column(name, quoted=True) for name in names)).from_(values)
    return exp.union(select, others, distinct=False, copy=False)


def integer(number: int) -> exp.Expr:
    """Return a number as a literal."""
    return exp.Literal.number(number) if number >= 0 else exp.Neg(this=exp.Literal.number(-number))
