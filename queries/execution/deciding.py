"""Conditions that are decided here, event by event, and not by the engine: long lists, beginnings of codes, cohorts.

For the engine both are joins. It may return events in another order after a join, so all of them would have to be
sorted, which takes longer than all the rest of a scan. Here a list is a table of all codes and a cohort a table of all
persons. Each event is decided by one look-up, whatever is in the list or in the cohort: the same work for every event.

What the engine's SQL still does is written in `scan.py`: it reads the events, and the persons of a cohort.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

import numba
import numpy as np

from queries.binding.keys import TABLE_MAX
from queries.binding.predicates import ALWAYS, Among, Beginning, Both, Compared, Either, Member, Spelled
from queries.catalog.codes import TEXTS_MAX
from queries.execution import comparisons
from queries.execution.passes import CODE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.binding.predicates import Bound
    from queries.catalog.schema import Table
    from queries.execution.passes import Codes
    from queries.execution.sql_writer import LookUp

    Held = NDArray[np.bool_]
    Decision = Callable[[NDArray[np.int32], Mapping[str, Codes]], Held]

CODES_UNDECLARED = 2 * TEXTS_MAX  # no text of a store has a code as large, nor have the codes that nobody has


def is_decided_here(predicate: Bound) -> bool:
    """Return whether a condition has a part that the engine could decide by a join only."""
    match predicate:
        case Member() | Beginning():
            return True
        case Among(_, alternatives) | Spelled(_, alternatives):
            return comparisons.is_long(alternatives)
        case Compared():
            return False
        case Both(parts) | Either(parts):
            return any(map(is_decided_here, parts))
        case _:
            assert_never(predicate)


def divided(where: Bound) -> tuple[Bound, Bound]:
    """Return two conditions that hold together exactly if this one does: the engine's, and what is decided here."""
    if not isinstance(where, Both):
        return (ALWAYS, where) if is_decided_here(where) else (where, ALWAYS)
    ours = tuple(part for part in where.parts if is_decided_here(part))
    return Both(tuple(part for part in where.parts if part not in ours)), Both(ours)


class Decider:
    """Decides conditions over a table's events of a range of persons. Not for several threads at once.

    `look_up` finds the codes of texts. `members_of` returns for each person of the range whether they have the events
    of a cohort.
    """

    def __init__(
        self,
        table: Table,
        persons: range,
        look_up: LookUp,
        members_of: Callable[[Member], Held],
    ) -> None:
        self._table = table
        self._persons = persons
        self._look_up = look_up
        self._members_of = members_of
        self._made: dict[Bound, Decision] = {}

    def decision(self, predicate: Bound) -> Decision:
        """Return what decides a condition for a batch of events. Its tables are made now, and once for all its places.

        The engine is asked for the persons of cohorts and the codes of texts.
        """
        if predicate not in self._made:
            self._made[predicate] = self._decision(predicate)
        return self._made[predicate]

    def _decision(self, predicate: Bound) -> Decision:
        match predicate:
            case Both(parts):
                return partial(_every, [self.decision(part) for part in parts])
            case Either(parts):
                return partial(_some, [self.decision(part) for part in parts])
            case Member():
                return partial(_by_person, self._of_persons(predicate), self._persons.start)
            case Spelled(name, texts, negated):
                codes = self._look_up.texts(self._table.name, name, texts)
                return partial(_by_code, _of_codes(codes, negated=negated), name)
            case Beginning(name, prefixes, negated):
                found = self._look_up.beginning(self._table.name, name, prefixes)
                return partial(_by_code, _of_codes(found, negated=negated), name)
            case Compared():
                return partial(_by_comparison, predicate)
            case Among(name, ranges):
                if self._codes(name) <= TABLE_MAX or not self._table.columns[name].declared:
                    return partial(_by_code, _of_ranges(ranges, self._codes(name)), name)
                edges = np.array([(low, high + 1) for low, high in ranges], dtype=np.int64).ravel()
                return partial(_by_edges, edges, name)
            case _:
                assert_never(predicate)

    def _codes(self, name: str) -> int:
        """Return a number that no code of a column is above."""
        column = self._table.columns[name]
        return column.size if column.declared else CODES_UNDECLARED

    def _of_persons(self, cohort: Member) -> NDArray[np.uint8]:
        """Return for each person from the first on, and at last for all beyond, whether they belong to a cohort."""
        return np.append(self._members_of(cohort) != cohort.negated, cohort.negated).view(np.uint8)


# Decisions for a batch: whether a condition holds for each of its events


def _every(parts: Sequence[Decision], person: NDArray[np.int32], codes: Mapping[str, Codes]) -> Held:
    held = np.ones(len(person), dtype=np.bool_)
    for part in parts:
        held &= part(person, codes)
    return held


def _some(parts: Sequence[Decision], person: NDArray[np.int32], codes: Mapping[str, Codes]) -> Held:
    held = np.zeros(len(person), dtype=np.bool_)
    for part in parts:
        held |= part(person, codes)
    return held


def _by_person(table: NDArray[np.uint8], first: int, person: NDArray[np.int32], _codes: Mapping[str, Codes]) -> Held:
    return _look_up(person, first, table)


def _by_code(table: NDArray[np.uint8], name: str, _person: NDArray[np.int32], codes: Mapping[str, Codes]) -> Held:
    return _look_up(codes[name], 0, table)


def _by_edges(edges: NDArray[np.int64], name: str, _person: NDArray[np.int32], codes: Mapping[str, Codes]) -> Held:
    return np.asarray(np.searchsorted(edges, codes[name], side="right") % 2 == 1)


COMPARE = {"=": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal}


def _by_comparison(compared: Compared, _person: NDArray[np.int32], codes: Mapping[str, Codes]) -> Held:
    one, two = (codes[name].astype(np.int64) for name in compared.columns)
    (low, other_low), (factor, other_factor) = compared.lows, compared.factors
    held = COMPARE[compared.op]((one + (low - 1)) * factor, (two + (other_low - 1)) * other_factor)
    return np.asarray(held & (one > 0) & (two > 0))


def _of_codes(found: Sequence[int] | NDArray[np.int64], *, negated: bool) -> NDArray[np.uint8]:
    """Return for each code of an undeclared category whether it is one of those found, or (`negated`) none of them."""
    table = np.full(CODES_UNDECLARED + 2, negated, dtype=np.uint8)
    table[0] = 0
    table[np.minimum(np.asarray(found, dtype=np.int64), CODES_UNDECLARED)] = not negated
    return table


def _of_ranges(ranges: Sequence[tuple[int, int]], last: int) -> NDArray[np.uint8]:
    table = np.zeros(last + 2, dtype=np.uint8)
    for low, high in ranges:
        table[low : high + 1] = 1
    return table


@numba.njit(nogil=True, cache=True)
def kept(values: Codes, held: Held) -> Codes:
    """Return the values of the events for which a condition holds. Without a branch, which would be guessed wrong."""
    found = np.empty_like(values)
    number = 0
    for i in range(len(values)):
        found[number] = values[i]
        number += held[i]
    return found[:number]


@numba.njit(nogil=True, cache=True)
def _look_up(numbers: Codes, first: int, table: NDArray[np.uint8]) -> Held:
    """Return for each number whether the table holds for it. The table's last entry is for all others."""
    held = np.empty(len(numbers), dtype=np.bool_)
    last = len(table) - 1
    for i in range(len(numbers)):
        place = np.int64(numbers[i]) - first
        held[i] = table[place if 0 <= place < last else last] != 0
    return held


def warm() -> None:
    """Compile every specialisation (or load it from Numba's cache), so that no query waits for it."""
    held = np.ones(1, dtype=np.bool_)
    for code_type in (np.int32, *CODE_TYPES):
        _look_up(kept(np.zeros(1, dtype=code_type), held), 0, held.view(np.uint8))
