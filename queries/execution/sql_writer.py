"""Conditions and subqueries as the engine's SQL, which `scan.py` and `aggregates.py` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, assert_never

from sqlglot import exp

from queries.binding.predicates import Among, Beginning, Both, Compared, Either, Member, Spelled
from queries.catalog.schema import PERSON
from queries.execution import comparisons
from queries.execution.comparisons import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from queries.binding.predicates import Bound, Events


class LookUp(Protocol):
    """Finds the codes of texts in the store, with work that does not depend on what it finds."""

    def texts(self, table: str, column: str, texts: Sequence[str], /) -> Sequence[int]:
        """Return as many different codes: that of each text, or an unused one if nobody has the text."""

    def beginning(self, table: str, column: str, prefixes: Sequence[str], /) -> NDArray[np.int64]:
        """Return as many codes as the column has texts, and some: those of texts that begin so, else unused ones."""


class Writer:
    """Writes the conditions and subqueries of one scan, over a range of persons or everybody (None)."""

    def __init__(self, look_up: LookUp, persons: range | None) -> None:
        self._look_up = look_up
        self._persons = persons

    def of_table(self, select: exp.Select, table: str) -> exp.Select:
        """Return a SELECT from a stored table, over the scan's persons alone."""
        select = select.from_(exp.Table(this=exp.to_identifier(table, quoted=True)))
        if self._persons is None:
            return select
        return select.where(of_persons(self._persons))

    def condition(self, predicate: Bound, table: str) -> exp.Condition | None:
        """Return the condition of a predicate over a table's events. None is no condition."""
        match predicate:
            case Among(name, ranges):
                return comparisons.among(name, ranges)
            case Spelled(name, texts, negated):
                among = comparisons.listed(name, self._look_up.texts(table, name, texts))
                return exp.and_(comparisons.present(name), exp.not_(among)) if negated else among
            case Beginning(name, prefixes, negated):
                among = comparisons.listed(name, self._look_up.beginning(table, name, prefixes).tolist())
                return exp.and_(comparisons.present(name), exp.not_(among)) if negated else among
            case Compared():
                return comparisons.compared(predicate)
            case Both(parts):
                conditions = [c for part in parts if (c := self.condition(part, table)) is not None]
                return exp.and_(*conditions) if conditions else None
            case Either(parts):
                return comparisons.either([self.condition(part, table) or exp.true() for part in parts])
            case Member():
                raise AssertionError("cohorts are decided for each event, not by the engine")
            case _:
                assert_never(predicate)

    def days(self, events: Events, *, undated: bool = False) -> exp.Select:
        """Return the person and the day of each event that has a day. With `undated`, of all: a day may be null."""
        assert events.date is not None
        day: exp.Expr = day_of(events.date, events.first_day)
        has_day = comparisons.present(events.date)
        if undated:
            day = exp.Case().when(has_day.copy(), day)
        select = self.of_table(exp.select(exp.column(PERSON, quoted=True), exp.alias_(day, "day")), events.table)
        if not undated:
            select = select.where(has_day)
        where = self.condition(events.where, events.table)
        return select if where is None else select.where(where)

    def members(self, cohort: Member) -> exp.Select:
        """Return the persons of a cohort that compares days.

        For each event, the last other one up to its day decides. This is an as-of join: its cost does not grow with the
        number of pairs of a person's events.
        """
        person = exp.column(PERSON, table="e", quoted=True)
        # As in SQL, an event without a day is after nothing, and nothing is before it.
        events = self.days(cohort.events, undated=cohort.after is None)
        select = exp.select(person).from_(events.subquery("e"))
        for name, others, compared in (("a", cohort.after, exp.GTE), ("w", cohort.without, exp.GT)):
            if others is None:
                continue
            here, there = exp.column("day", table="e"), exp.column("day", table=name)
            same = exp.EQ(this=person.copy(), expression=exp.column(PERSON, table=name, quoted=True))
            on = exp.and_(same, compared(this=here, expression=there))
            days = comparisons.with_sentinels(self.days(others).distinct(), day=0)
            select = select.join(days.subquery(), on=on, join_type="ASOF LEFT", join_alias=name)
            select = select.where(_found(here, there, others.within_days, wanted=name == "a"))
        select = select.group_by(person.copy())
        if cohort.at_least > 1:
            count = exp.Count(this=exp.Star())
            select = select.having(exp.GTE(this=count, expression=exp.Literal.number(cohort.at_least)))
        return select


def _found(here: exp.Column, there: exp.Column, within_days: int | None, *, wanted: bool) -> exp.Condition:
    """Return whether the other event was found, not too many days away. Without `wanted`, return the opposite."""
    missing = exp.Is(this=there.copy(), expression=exp.null())
    far: exp.Condition = exp.false()
    if within_days is not None:
        apart = exp.Sub(this=here.copy(), expression=there.copy())
        far = exp.GT(this=apart, expression=exp.Literal.number(within_days))
    absent = exp.or_(missing, far)
    return exp.not_(absent) if wanted else absent


def of_persons(persons: range) -> exp.Condition:
    """Return whether a row belongs to one of these persons. The engine may then read only their part of the store."""
    ends = exp.Literal.number(persons.start), exp.Literal.number(persons.stop - 1)
    return exp.Between(this=exp.column(PERSON, quoted=True), low=ends[0], high=ends[1])


def day_of(date: str, first_day: int) -> exp.Expr:
    """Return the day number of a date's code."""
    return shifted(exp.column(date, quoted=True), first_day - 1)


def shifted(code: exp.Expr, by: int) -> exp.Expr:
    """Return code + by, in 64 bits: no code and no bound is beyond 2^53."""
    return exp.Paren(this=exp.Add(this=exp.cast(code, "BIGINT", dialect="duckdb"), expression=integer(by)))
