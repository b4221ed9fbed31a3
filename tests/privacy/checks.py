"""The check on a pair of neighbours that the audits share, and that must catch every planted mutant."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import opendp.prelude as dp

from queries.mechanisms import DiscreteLaplace, Rounds
from tests.queries.clinic import COLUMNS, NANO, TABLE, Event, bounded, largest_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.binding.keys import CellKey
    from queries.mechanisms import Mechanism
    from queries.plan import Measure, Plan

    Cells = Sequence[NDArray[np.int64]]
    Run = Callable[[Plan, Sequence[Event]], Cells]

dp.enable_features("contrib")


def neighbours_violate(
    planned: Plan, events: Sequence[Event], person: int, run: Run = bounded, without: Sequence[Event] | None = None
) -> set[str]:
    """Return what of the promise one person's events break; nothing, if it is kept.

    `largest`: the numbers of a cell moved further than planned, together; `cells`: too many cells moved; `l1` and
    `l2`: the vector moved further than the noise was made for.
    """
    if without is None:
        without = [event for event in events if event.person != person]
    return cells_violate(planned, run(planned, events), run(planned, without))


def cells_violate(planned: Plan, here: Cells, there: Cells) -> set[str]:
    """Do the same for the exact cells of two neighbours."""
    broken: set[str] = set()
    for measure, left, right in zip(planned.measures, here, there, strict=True):
        assert left.dtype == right.dtype == np.int64
        assert len(left) == planned.cells * measure.width
        cells: dict[int, int] = {}
        for place, move in moves(left, right).items():
            cells[place // measure.width] = cells.get(place // measure.width, 0) + move
        if max(cells.values(), default=0) > measure.largest:
            broken.add("largest")
        if len(cells) > planned.cells_per_person:
            broken.add("cells")
        broken |= beyond_the_noise(measure.mechanism, moves(left, right))
    return broken


def beyond_the_noise(mechanism: Mechanism, moved: Mapping[int, int]) -> set[str]:
    """Return which sensitivity of a mechanism a move of a vector exceeds: `l1`, `l2` or none."""
    if not mechanism.gaussian:
        return {"l1"} if sum(moved.values()) > mechanism.sensitivity_l1 else set()
    return {"l2"} if sum(move**2 for move in moved.values()) > mechanism.sensitivity_l2_squared else set()


def moves(left: NDArray[np.int64], right: NDArray[np.int64]) -> dict[int, int]:
    """Return how far each number moved that did, in integers that cannot overflow."""
    places = np.flatnonzero(left != right)
    pairs = zip(left[places].tolist(), right[places].tolist(), strict=True)
    return {place: abs(a - b) for place, (a, b) in zip(places.tolist(), pairs, strict=True)}


def opendp_epsilon(mechanism: DiscreteLaplace | Rounds) -> Fraction:
    """Return what OpenDP's own privacy map says of a mechanism at its sensitivity."""
    if isinstance(mechanism, Rounds):
        return sum(map(opendp_epsilon, mechanism.each), Fraction(0))
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    measurement = dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=mechanism.scale)
    return Fraction(measurement.map(mechanism.sensitivity_l1))  # type: ignore[no-untyped-call]


def undercharged(planned: Plan) -> list[Measure]:
    """Return the measures that are charged less than OpenDP's map, or noised for less than one person can move."""
    return [
        measure
        for measure in planned.measures
        if Fraction(measure.mechanism.epsilon_nano, NANO) < opendp_epsilon(measure.mechanism)
        or measure.mechanism.sensitivity_l1 < planned.cells_per_person * measure.largest
    ]


def random_events(random: np.random.Generator, persons: int, most_events: int) -> list[Event]:
    """Return events of some persons, rich in nulls, in values at the bounds and in duplicates."""
    events: list[Event] = []
    last = np.array([largest_code(TABLE.columns[name]) for name in COLUMNS])
    of_person = [TABLE.columns[name].of_person for name in COLUMNS]
    for person in range(persons):
        own = random.integers(0, last + 1)
        shape = int(random.integers(0, most_events + 1)), len(COLUMNS)
        chosen = np.choose(random.integers(0, 4, shape), (0, 1, last, random.integers(0, last + 1, shape)))
        for codes in np.where(of_person, own, chosen).tolist():
            event = Event(person, tuple(codes))
            events += [event] * (2 if random.random() < 0.1 else 1)
    return events


def everywhere(planned: Plan, person: int, each: int, extreme: str) -> list[Event]:
    """Return a person with `each` events in every cell they can touch, every value at its `extreme` (low or high)."""
    keyed = {key.column.name: _one_code_of_each_cell(key) for key in planned.keys if not key.column.of_person}
    codes = [
        keyed.get(name) or [1 if extreme == "low" else largest_code(column)] for name, column in TABLE.columns.items()
    ]
    return [Event(person, combination) for combination in itertools.product(*codes) for _ in range(each)]


def _one_code_of_each_cell(key: CellKey) -> list[int]:
    if key.part is not None:
        cells = [key.index(code) for code in range(1, key.column.size + 1)]
        return [*(cells.index(cell) + 1 for cell in range(key.values)), *([0] if key.null else [])]
    starts = range(1, key.column.size + 1) if key.edges is None else [max(edge, 1) for edge in key.edges[:-1]]
    codes = [*starts, *([0] if key.null else [])]
    assert [key.index(code) for code in codes] == list(range(key.size))
    return codes
