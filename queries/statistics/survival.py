"""Survival curves: of those who begin, the share to whom the event has not happened yet, by the time since.

Persons are followed from their first event to the event asked for, or to the last day of the data, a public date.
Each falls into one number of their group: the event within an interval, followed only up to an interval, or beyond the
last one. Therefore one person moves one number by one. The rest is computed from noisy numbers.

With d_j events and c_j ends of follow-up in interval j, and n_j persons who entered it, the curve is the product of
1 - d_j / (n_j - f_j c_j): Kaplan and Meier's (1958) on times known by interval, also called the life table's or
actuarial estimate. Who is followed up to a day is at risk on it. If ends of follow-up lie evenly on the w days of an
interval, a person among them is at risk on (w + 1) / 2 of the w days in the mean, and so f_j = (w - 1) / 2w is left
out: nothing of an interval of one day, where the curve is Kaplan and Meier's itself, and half of a long one.

The band speaks of the noise, as all margins do. The logarithm of the curve is, to first order, linear in the noisy
numbers; its quantile follows from the derivatives (`_gradients`). Where the noise is as large as what is left of the
group, the band is wide open.

Noise makes numbers of rare events negative. They stay so in the product: with each of them moved to zero, every
interval would lower the curve by some noise, and a curve of a hundred intervals would be far too low, without a sign
of it in its band. The product may then rise here and there. The curve that is shown lies halfway between the highest
falling curve below the product and the lowest falling curve above it (`_falling`).
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from queries.binding import names
from queries.binding.per_person import BuiltValue
from queries.catalog.schema import EPOCH, Column, Kind
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.statistics.parts.intervals import reach

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.binding.per_person import Built
    from queries.catalog.schema import Table
    from queries.statistics.parts.intervals import Floats

EDGES_MAX = 1000
DAYS_MAX = 366 * 200
BEYOND = "beyond"
OFF_MAX = 700.0  # of the logarithm: the band is wide open long before, and a float's exponential ends soon after


def column_name(name: str) -> str:
    """Return the name of a built column that a statistic of followed persons needs. No column of a query has it."""
    return f"?{name}"


def outcome(
    name: str, statistic: nodes.Survival, built: Built, tables: Mapping[str, Table], pointer: str
) -> tuple[BuiltValue, tuple[str, ...]]:
    """Return the value that a curve counts, what became of each person, and what a reader should know of it.

    Raises InvalidQuery with the place.
    """
    value = _outcome(name, statistic, built, tables, pointer)
    return value, _followed_to_the_last(name, statistic, value, tables)


def followed_to_the_last(
    query: nodes.Query, values: Sequence[BuiltValue], tables: Mapping[str, Table]
) -> tuple[str, ...]:
    """Return a warning for each curve without `ends`: everybody is then followed to the last day there may be.

    Where the data end before it, those who could not be seen any more count as if the event had not happened to them.
    """
    outcomes = {value.column.name: value for value in values if value.word == "outcome"}
    return tuple(
        words
        for name, statistic in query.select
        if isinstance(statistic, nodes.Survival)
        for words in _followed_to_the_last(name, statistic, outcomes[column_name(name)], tables)
    )


def _followed_to_the_last(
    name: str, statistic: nodes.Survival, outcome: BuiltValue, tables: Mapping[str, Table]
) -> tuple[str, ...]:
    if statistic.ends is not None:
        return ()
    assert outcome.to is not None
    assert outcome.to.date is not None
    date = tables[outcome.to.table].columns[outcome.to.date]
    edges = ", ".join(map(str, statistic.edges[:3])) + (", ..." if len(statistic.edges) > 3 else "")
    said = (
        f"{name}: it does not say when the data end, so everybody without the event is followed up to "
        f"{date.label(date.size)}, the last day that {outcome.to.date} may have in {outcome.to.table}. If the data end "
        f'before, the curve is too high, and no margin shows it. Give the last day of the data, as in "ends": '
        f"\"2020-12-31\", in SQL SURVIVAL({statistic.column}, [{edges}], DATE '2020-12-31')"
    )
    return (said,)


def followed(
    statistic: nodes.Survival | nodes.Rate, built: Built, tables: Mapping[str, Table], pointer: str
) -> BuiltValue:
    """Return the value built with days_to that a statistic is about, with the days up to which persons are followed.

    Raises InvalidQuery with the place.
    """
    word = nodes.word_of(statistic)
    found = [value for value in built.values if value.column.name == statistic.column and value.word == "days_to"]
    if not found:
        raise InvalidQuery(f"{pointer}/{word}", f"{statistic.column} is no value built with days_to")
    (wait,) = found
    assert wait.to is not None
    if wait.to.within_days is not None:
        raise InvalidQuery(
            f"{pointer}/{word}",
            f"leave within_days out of {statistic.column}: the bins or days say how long",
        )
    assert wait.to.date is not None
    last = tables[wait.to.table].columns[wait.to.date]
    end = last.high if statistic.ends is None else _day(statistic.ends, last, f"{pointer}/ends")
    censored = None
    if statistic.censored is not None:
        censored = names.column_of(built.table, statistic.censored, f"{pointer}/censored")
        if censored.kind is not Kind.DATE:
            raise InvalidQuery(f"{pointer}/censored", f"{censored.name} is not a date")
    return replace(wait, end=end, censored=censored)


def _outcome(
    name: str, statistic: nodes.Survival, built: Built, tables: Mapping[str, Table], pointer: str
) -> BuiltValue:
    wait = followed(statistic, built, tables, pointer)
    edges = _edges(statistic.edges, f"{pointer}/bins")
    labels = (
        f"{what} [{low}, {high})" for low, high in itertools.pairwise(edges) for what in ("event", "followed up to")
    )
    column = Column(column_name(name), Kind.CATEGORY, values=(*labels, BEYOND))
    return replace(wait, word="outcome", column=column, edges=edges)


def _edges(edges: tuple[nodes.Scalar, ...], pointer: str) -> tuple[int, ...]:
    if not 2 <= len(edges) <= EDGES_MAX:
        raise InvalidQuery(pointer, f"give from 2 to {EDGES_MAX} edges")
    days: list[int] = []
    for place, edge in enumerate(edges):
        if isinstance(edge, bool) or not isinstance(edge, int) or not 0 <= edge <= DAYS_MAX:
            raise InvalidQuery(f"{pointer}/{place}", f"must be a whole number of days from 0 to {DAYS_MAX}")
        if days and edge <= days[-1]:
            raise InvalidQuery(f"{pointer}/{place}", "the edges must ascend")
        days.append(edge)
    if days[0] != 0:
        raise InvalidQuery(f"{pointer}/0", "a curve begins on day 0")
    return tuple(days)


def _day(text: str, column: Column, pointer: str) -> int:
    try:
        day = (dt.date.fromisoformat(text) - EPOCH).days
    except ValueError:
        raise InvalidQuery(pointer, 'must be a date, as "2020-12-31"') from None
    if not column.low <= day <= column.high:
        raise InvalidQuery(pointer, f"must lie from {column.label(1)} to {column.label(column.size)}")
    return day


@dataclass(frozen=True)
class Curve:
    """For each cell (row) and interval (column): the curve at the interval's end, and its band.

    `product` is the curve before it was made to fall, `unknown` where its band is wide open. `second`, `fourth` and
    `largest` are of the derivatives of the product's logarithm by the noisy numbers (`_gradients`).
    """

    value: Floats
    low: Floats
    high: Floats
    product: Floats
    unknown: NDArray[np.bool_]
    second: Floats
    fourth: Floats
    largest: Floats


def curve(counts: Floats, edges: Sequence[int], scale: float, confidence: float, *, gaussian: bool) -> Curve:
    """Return the curves of noisy counts, cells x (event and follow-up of each interval, and beyond)."""
    group = _group(counts, edges, scale, confidence, gaussian=gaussian)
    product: Floats = np.asarray(np.cumprod(1 - group.events / group.at_risk, axis=1), dtype=np.float64)
    second, fourth, step = _gradients(group.events, group.at_risk, group.left_out)
    off = reach(second * scale**2, fourth * scale**4, confidence, gaussian=gaussian, step=step)
    off = np.minimum(off, OFF_MAX)
    value = np.clip(_falling(product), 0, 1)
    low = np.where(group.unknown, 0.0, np.clip(product * np.exp(-off), 0, 1))
    # Whatever is unknown of an interval, the curve is no higher after it than before.
    high = _carried(np.minimum(product * np.exp(off), 1), group.unknown)
    return Curve(value, np.minimum(low, value), np.maximum(high, value), product, group.unknown, second, fourth, step)


@dataclass(frozen=True)
class Group:
    """By cell and interval: noisy numbers of events and of persons at risk, and where they are mostly noise.

    Where they are, nobody is taken to have an event and one person to be at risk. `left_out` is which share of an
    interval those miss whose follow-up ends in it.
    """

    events: Floats
    at_risk: Floats
    left_out: Floats
    unknown: NDArray[np.bool_]


def grouped(counts: Floats, edges: Sequence[int]) -> Group:
    """Return the events and the persons at risk of noisy counts, as if all of them were known."""
    days = np.diff(np.array(edges, dtype=np.float64))
    left_out = (days - 1) / (2 * days)
    events, ends, beyond = counts[:, :-1:2], counts[:, 1:-1:2], counts[:, -1:]
    entered = np.cumsum((events + ends)[:, ::-1], axis=1)[:, ::-1] + beyond
    return Group(events, entered - ends * left_out, left_out, np.zeros(events.shape, dtype=bool))


def _group(counts: Floats, edges: Sequence[int], scale: float, confidence: float, *, gaussian: bool) -> Group:
    group = grouped(counts, edges)
    events, at_risk = group.events, group.at_risk
    # The noise of as many numbers as a group has left could be this large by itself: below it nothing is known.
    numbers = counts.shape[1] - 2.0 * np.arange(events.shape[1])
    noise = reach(numbers * scale**2, numbers * scale**4, confidence, gaussian=gaussian)
    unknown = np.logical_or.accumulate(np.minimum(at_risk, at_risk - events) <= noise, axis=1)
    return Group(np.where(unknown, 0.0, events), np.where(unknown, 1.0, at_risk), group.left_out, unknown)


def _falling(product: Floats) -> Floats:
    """Return curves that never rise, halfway between those just below and just above the given ones."""
    below = np.minimum.accumulate(product, axis=1)
    above = np.maximum.accumulate(product[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((below + above) / 2)


def _carried(high: Floats, unknown: NDArray[np.bool_]) -> Floats:
    """Return the upper ends, with the last known one from where a curve is unknown; 1 where it is from the start."""
    known = (~unknown).sum(axis=1)
    last = np.where(known > 0, np.take_along_axis(high, np.maximum(known - 1, 0)[:, None], axis=1)[:, 0], 1.0)
    return np.where(unknown, last[:, None], high)


def _gradients(events: Floats, at_risk: Floats, left_out: Floats) -> tuple[Floats, Floats, Floats]:
    """Return of the derivatives of log S by each number the sums of second and fourth powers, and the largest.

    For log S_i = sum over j <= i of log((m_j - d_j) / m_j), m_j at risk: a number that is counted in m_j alone adds
    a_j = 1 / (m_j - d_j) - 1 / m_j for each j that it reaches; d_k adds -1 / m_k in its own interval, and c_k adds
    (1 - f_k) a_k.
    """
    intervals = events.shape[1]
    each = 1 / (at_risk - events) - 1 / at_risk
    through = np.cumsum(each, axis=1)
    before = through - each
    own_event, own_end = before - 1 / at_risk, before + each * (1 - left_out)
    found = []
    for power in (2, 4):
        own = np.cumsum(own_event**power + own_end**power, axis=1)
        later = 2 * intervals + 1 - 2 * np.arange(1, intervals + 1)  # numbers of later intervals, and those beyond
        found.append(own + later * through**power)
    largest = np.maximum.accumulate(np.maximum(np.abs(own_event), np.abs(through)), axis=1)
    return found[0], found[1], largest
