"""The shapes of plans that have a loop of their own, and what each keeps while a stream goes by.

A shape is chosen by what the measures count (`of`). Whatever has none of its own is `Several`: its events are admitted
by one loop, and each measure goes over them by itself, as in the general passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from queries.execution import passes
from queries.execution.fused import loops
from queries.plan import Counted, condition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.binding.predicates import Bound
    from queries.execution.fused.loops import Holds, Ints, Numbers
    from queries.execution.passes import Codes
    from queries.plan import Measure, Plan


class Batch(NamedTuple):
    """Events, in order: the person of each, its cell (below 0 is none), and the codes of each column.

    There are no cells for a shape that does not need them.
    """

    person: Numbers
    cell: Numbers
    codes: Mapping[str, Codes]


class Shape:
    """What adds up the batches. `_current` is the person the stream is at, and what a loop keeps of them."""

    needs_cells = True

    def __init__(self, plan: Plan, persons: range) -> None:
        self._plan = plan
        self._bounds = plan.cells_per_person, plan.events_per_cell
        self._current = _before(persons)
        self._stamp = np.full(plan.cells, -1, dtype=np.int64)
        self._total = _zeros(plan)

    def take(self, batch: Batch) -> None:
        """Add a batch. Its cells may be changed."""
        raise NotImplementedError

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure."""
        return [self._total] * len(self._plan.measures)


def of(plan: Plan, persons: range, number: str | None = None) -> Shape:
    """Return the shape of a plan, with nothing added up. `number` is the column with the events of a row's person."""
    return _kind(plan)(plan, persons) if number is None else NumberedPersons(plan, persons, number)


def counts_alone(plan: Plan) -> bool:
    """Return whether events and persons are counted, each with one condition at most, and nothing else."""
    return all(one.counted is Counted.PERSONS or _is_count(one) for one in plan.measures)


def fits(plan: Plan) -> bool:
    """Return whether there is a shape for the plan's measures.

    `Several` has none for a condition on a count of persons: it forgets the events beyond the bound of a cell, and any
    event can make the condition hold.
    """
    conditional = any(one.counted is Counted.PERSONS and _condition(one) is not None for one in plan.measures)
    return not conditional or _kind(plan) is not Several


def _kind(plan: Plan) -> type[Shape]:
    counted = {measure.counted for measure in plan.measures}
    if counted == {Counted.PERSONS}:
        return ConditionalPersons if plan.conditions else Persons
    if _is_of_events(plan.measures):
        return Events if plan.keys or plan.conditions or len(counted) > 1 else EventsAlone
    return Values if _is_of_one_column(plan.measures) else Several


def _is_of_events(measures: Sequence[Measure]) -> bool:
    """Return whether events are counted, all or with one condition, and perhaps persons without a condition."""
    conditions = {_condition(one) for one in measures if one.counted is Counted.EVENTS}
    return (
        bool(conditions)
        and len(conditions - {None}) <= 1
        and all(_is_everybody(one) if one.counted is Counted.PERSONS else _is_count(one) for one in measures)
    )


def _is_of_one_column(measures: Sequence[Measure]) -> bool:
    """Return whether it is one sum of a column's values, or with it the number of these values: a sum or a mean.

    Events and persons may be counted beside it, without a condition.
    """
    sums = [one for one in measures if one.counted is Counted.VALUES]
    if len(sums) != 1 or len(sums[0].factors) != 1 or sums[0].present != (sums[0].factors[0].column,):
        return False
    (summed,) = sums
    return all(_is_number_of(summed, one) or _is_plain(one) for one in measures if one is not summed)


def _is_number_of(summed: Measure, measure: Measure) -> bool:
    """Return whether a measure counts the values that a sum adds up."""
    alike = measure.present == summed.present and measure.where == summed.where
    return measure.counted is Counted.EVENTS and alike and measure.split is None and measure.within is None


def _is_plain(measure: Measure) -> bool:
    """Return whether all events that count are counted, or all persons."""
    return _is_everybody(measure) or (_is_count(measure) and _condition(measure) is None)


def _is_everybody(measure: Measure) -> bool:
    return measure.counted is Counted.PERSONS and _condition(measure) is None


def _is_count(measure: Measure) -> bool:
    """Return whether events are counted, with any condition but whatever their values are."""
    return measure.counted is Counted.EVENTS and not measure.present and measure.within is None


def _condition(measure: Measure) -> Bound | None:
    return measure.split if measure.where is None else measure.where


def _both(measure: Measure, total: Ints, holding: Ints) -> Ints:
    """Return the numbers of a measure: of all, of those for which its condition holds, or of both sides of it."""
    if measure.split is not None:
        return np.column_stack([holding, total - holding]).ravel()
    return total if measure.where is None else holding


def _zeros(plan: Plan) -> Ints:
    return np.zeros(plan.cells, dtype=np.int64)


def _before(persons: range) -> Ints:
    """Return what a loop keeps of the current person, before there is one."""
    return np.array([persons.start - 1, 0], dtype=np.int64)


class Persons(Shape):
    """Persons: each counts once in each of their cells."""

    def __init__(self, plan: Plan, persons: range) -> None:
        super().__init__(plan, persons)
        self._last_person = np.full(plan.cells, -1, dtype=np.int32)

    def take(self, batch: Batch) -> None:
        """Add a batch."""
        cells_per_person, _ = self._bounds
        loops.count_persons(batch.person, batch.cell, self._current, self._last_person, cells_per_person, self._total)


class ConditionalPersons(Shape):
    """Persons, with conditions. Each condition has a loop, which admits the persons' cells anew: all find the same."""

    def __init__(self, plan: Plan, persons: range) -> None:
        super().__init__(plan, persons)
        self._of = {one: _Holding(plan, persons) for one in plan.conditions}

    def take(self, batch: Batch) -> None:
        """Add a batch."""
        cells_per_person, _ = self._bounds
        for number, one in enumerate(self._of.values()):
            loops.count_persons_if(
                batch.person,
                batch.cell,
                batch.codes[condition(number)],
                one.current,
                one.mark,
                cells_per_person,
                one.everybody,
                one.holding,
            )

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure."""
        (first, *_) = self._of.values()
        return [
            first.everybody
            if (asked := _condition(measure)) is None
            else _both(measure, self._of[asked].everybody, self._of[asked].holding)
            for measure in self._plan.measures
        ]


class _Holding:
    """What is kept of the persons for one condition."""

    def __init__(self, plan: Plan, persons: range) -> None:
        self.current = _before(persons)
        self.mark = np.full(plan.cells, -1, dtype=np.int64)
        self.everybody, self.holding = _zeros(plan), _zeros(plan)


class Events(Shape):
    """Events, all or those for which one condition holds, and perhaps persons."""

    def __init__(self, plan: Plan, persons: range) -> None:
        super().__init__(plan, persons)
        self._holding = _zeros(plan)
        self._persons = _zeros(plan) if any(map(_is_everybody, plan.measures)) else None

    def take(self, batch: Batch) -> None:
        """Add a batch."""
        holds = batch.codes[condition(0)] if self._plan.conditions else None
        loops.count_events(
            batch.person,
            batch.cell,
            holds,
            self._current,
            self._stamp,
            *self._bounds,
            self._total,
            self._holding,
            self._persons,
        )

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure."""
        return [
            self._persons
            if one.counted is Counted.PERSONS and self._persons is not None
            else _both(one, self._total, self._holding)
            for one in self._plan.measures
        ]


class EventsAlone(Shape):
    """All events, in one cell."""

    needs_cells = False

    def take(self, batch: Batch) -> None:
        """Add a batch."""
        loops.count_alone(batch.person, self._current, self._plan.events_per_cell, self._total)


class NumberedPersons(Shape):
    """Events and persons from one row for each person, with the number of their events. Their cell is the only one."""

    def __init__(self, plan: Plan, persons: range, number: str) -> None:
        super().__init__(plan, persons)
        self._number = number
        self._of = {one: (_zeros(plan), _zeros(plan)) for one in (None, *plan.conditions)}

    def take(self, batch: Batch) -> None:
        """Add a batch."""
        number = batch.codes[self._number]
        for place, (events, persons) in enumerate(self._of.values()):
            holds = batch.codes[condition(place - 1)] if place else None
            loops.count_numbers(batch.cell, number, holds, self._plan.events_per_cell, events, persons)

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure."""
        return [self._counted(one) for one in self._plan.measures]

    def _counted(self, measure: Measure) -> Ints:
        which = int(measure.counted is Counted.PERSONS)
        return _both(measure, self._of[None][which], self._of[_condition(measure)][which])


class Values(Shape):
    """The sum of one column's values, how many there are, and perhaps events and persons."""

    def __init__(self, plan: Plan, persons: range) -> None:
        super().__init__(plan, persons)
        (self._sum,) = (one for one in plan.measures if one.counted is Counted.VALUES)
        self._present = _zeros(plan)
        counted = any(map(_is_plain, plan.measures))
        self._events = _zeros(plan) if counted else None
        self._persons = _zeros(plan) if counted else None

    def take(self, batch: Batch) -> None:
        """Add a batch."""
        (factor,) = self._sum.factors
        holds: Holds = None if self._sum.where is None else batch.codes[condition(0)]
        loops.add_values(
            batch.person,
            batch.cell,
            holds,
            self._current,
            self._stamp,
            *self._bounds,
            batch.codes[factor.column.name],
            factor.column.low - 1,
            factor.low,
            factor.high,
            factor.centre + self._sum.middle,
            self._total,
            self._present,
            self._events,
            self._persons,
        )

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure."""
        return [self._number(one) for one in self._plan.measures]

    def _number(self, measure: Measure) -> Ints:
        if measure is self._sum:
            return self._total
        if self._events is None or self._persons is None or not _is_plain(measure):
            return self._present
        return self._events if measure.counted is Counted.EVENTS else self._persons


class Several(Shape):
    """Anything else: the events that count are found by one loop, and each measure goes over them by itself."""

    def __init__(self, plan: Plan, persons: range) -> None:
        super().__init__(plan, persons)
        self._sums = passes.sums(plan)

    def take(self, batch: Batch) -> None:
        """Add a batch."""
        person, cell, codes = batch
        loops.drop_others(person, cell, self._current, self._stamp, *self._bounds, self._total)
        for one in self._sums:
            one.take(person, cell, cell, codes)

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure. The total here is the number of persons of each cell."""
        return [one.numbers(self._total) for one in self._sums]
