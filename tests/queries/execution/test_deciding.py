"""Conditions that are decided event by event: the same as their plain definition, whatever is in a list or a cohort."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.binding.predicates import ALWAYS, Among, Beginning, Both, Compared, Either, Member, Spelled
from queries.errors import EngineFailed
from queries.execution import deciding
from queries.execution.deciding import CODES_UNDECLARED, Decider, kept
from queries.execution.duckdb import BEYOND
from queries.execution.reading import Reader
from queries.language import nodes
from tests.queries.clinic import COLUMNS, TABLE, Event, holds, largest_code, planned, stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.binding.predicates import Bound

LISTS = [
    Among("day", tuple((code, code) for code in range(1, 40, 2))),
    Among("wide", tuple((code, code + 1) for code in range(0, 60, 4))),
    Spelled("diagnosis", tuple(f"text {n}" for n in range(1, 30, 3)), negated=False),
    Spelled("diagnosis", tuple(f"text {n}" for n in range(1, 30, 3)), negated=True),
    Beginning("diagnosis", ("text 1", "text 23"), negated=False),
    Beginning("diagnosis", ("text 1", "text 23"), negated=True),
    Compared(("visits", "birth_year"), "<", (0, -3), (2, 1)),
    Compared(("visits", "birth_year"), "!=", (0, 1), (1, 1)),
    Among("diagnosis", ((0, 0),)),
    Among("visits", ((2, 4),)),
]


def decider() -> Decider:
    """Return a decider over the clinic's visits, in which `text 7` has the code 7."""
    return Decider(TABLE, range(3), Texts(), nobody)


class Texts:
    """A store of the texts `text 1` to `text 99`, each with its number as its code."""

    def texts(self, _table: str, _name: str, texts: Sequence[str], /) -> list[int]:
        """Return the code in each text."""
        return [int(text.removeprefix("text ")) for text in texts]

    def beginning(self, _table: str, _name: str, prefixes: Sequence[str], /) -> NDArray[np.int64]:
        """Return the codes of texts that begin so, and those of others beyond all codes."""
        return np.array([n if f"text {n}".startswith(tuple(prefixes)) else n + BEYOND for n in range(1, 100)])


class Given(Texts):
    """A store that has these codes for whatever is asked."""

    def __init__(self, codes: list[int]) -> None:
        self.codes = codes

    def texts(self, _table: str, _name: str, texts: Sequence[str], /) -> list[int]:
        """Return the codes."""
        assert len(self.codes) == len(texts)
        return self.codes


def nobody(_cohort: Member) -> Any:
    """Return that none of three persons is in a cohort."""
    return np.zeros(3, dtype=np.bool_)


def predicates() -> st.SearchStrategy[Bound]:
    """Return conditions with lists in them."""
    leaves: st.SearchStrategy[Bound] = st.sampled_from(LISTS)
    groups = st.lists(leaves, min_size=1, max_size=3).map(tuple)
    return st.one_of(leaves, groups.map(Both), groups.map(Either), st.tuples(leaves, groups.map(Both)).map(Either))


@given(predicates(), st.lists(st.tuples(*(st.integers(0, min(45, largest_code(TABLE.columns[n]))) for n in COLUMNS))))
def test_lists_are_decided_as_they_are_defined(predicate: Bound, rows: list[tuple[int, ...]]) -> None:
    """Declared and undeclared columns, with a table of codes and with too many for one, alone and combined."""
    events = [Event(0, codes) for codes in rows]
    decide = decider().decision(predicate)
    for person, codes in stream(events):
        found = decide(person, codes).tolist()
        assert found == [holds(predicate, event) for event in events]


@given(st.lists(st.booleans()))
def test_what_stays_keeps_its_order(held: list[bool]) -> None:
    """Events are dropped, and neither moved nor repeated."""
    values = np.arange(len(held), dtype=np.uint16)
    assert kept(values, np.array(held, dtype=np.bool_)).tolist() == [n for n, one in enumerate(held) if one]


def test_a_list_costs_the_same_whatever_it_matches() -> None:
    """The table of texts has one size, also where the store has none of them and their codes are beyond all others."""
    for codes in ([1, 2, 3], [2**32 - 1, 2**32 - 2, 5]):
        one = Decider(TABLE, range(3), Given(codes), nobody)
        decide = one.decision(Spelled("diagnosis", ("a", "b", "c"), negated=False))
        assert isinstance(decide, partial)
        assert len(decide.args[0]) == CODES_UNDECLARED + 2


def test_a_filter_is_divided_without_a_loss() -> None:
    """What the engine decides and what is decided here hold together exactly if the filter does."""
    short = Among("visits", ((2, 4),))
    assert deciding.divided(short) == (short, ALWAYS)
    assert deciding.divided(LISTS[0]) == (ALWAYS, LISTS[0])
    assert deciding.divided(Both((short, LISTS[0], LISTS[2]))) == (Both((short,)), Both((LISTS[0], LISTS[2])))
    assert deciding.divided(Either((short, LISTS[0]))) == (ALWAYS, Either((short, LISTS[0])))


def cohort(at_least: int, negated: bool) -> Member:
    """Return the persons with so many visits on one of many days."""
    plan = planned(
        where=nodes.Cohort("visits", nodes.Comparison("day", "in", DAYS), at_least=at_least),
        n=nodes.Count("events"),
    )
    member = plan.where
    assert isinstance(member, Member)
    return Member(member.events, member.at_least, None, None, negated)


DAYS = tuple(str(TABLE.columns["day"].label(code)) for code in range(1, 40, 2))


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize("at_least", [1, 2])
def test_persons_of_a_cohort_are_counted_in_their_range(at_least: int, negated: bool) -> None:
    """A person at the edge of a range counts there, and one beyond all persons is in no cohort, asked for or not."""
    member = cohort(at_least, negated)
    persons = range(5, 9)
    own = {5: 2, 6: 1, 8: 3}
    events = [person for person, count in own.items() for _ in range(count)]

    def batches(_select: object) -> object:
        yield [np.array(events, dtype=np.int32), np.ones(len(events), dtype=np.uint8)]

    reader = Reader({"visits": TABLE}, persons, persons, Texts(), batches)
    decide = reader._decider(TABLE).decision(member)
    asked = np.array([5, 6, 7, 8, 9, 4, 3, 1], dtype=np.int32)
    expected = [(own.get(int(person), 0) >= at_least) != negated for person in asked]
    assert decide(asked, {})[:4].tolist() == expected[:4]
    assert decide(asked, {})[4:].tolist() == [negated] * 4


def test_what_stands_twice_is_asked_once() -> None:
    """A cohort in the filter and in a statistic, or twice in one condition, is one reading of its events."""
    asked: list[str] = []

    def members_of(_cohort: Member) -> Any:
        asked.append("members")
        return np.zeros(3, dtype=np.bool_)

    ours = Decider(TABLE, range(3), Texts(), members_of)
    member = cohort(1, negated=False)
    for predicate in (member, Either((member, LISTS[0])), Both((LISTS[0], member))):
        ours.decision(predicate)
    assert asked == ["members"]


def test_an_event_of_nobody_ends_the_query() -> None:
    """A damaged store must not count where no person is."""
    for stranger in (4, 9, 2**31 - 1, -1):

        def batches(_select: object, stranger: int = stranger) -> object:
            yield [np.array([stranger], dtype=np.int32), np.ones(1, dtype=np.uint8)]

        reader = Reader({"visits": TABLE}, range(5, 9), range(5, 9), Texts(), batches)
        with pytest.raises(EngineFailed):
            reader._decider(TABLE).decision(cohort(1, negated=False))
