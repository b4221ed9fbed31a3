"""query + catalog -> Plan: what is scanned, what one person can change, which noise hides it, what it costs.

A pure function of the request and of public metadata: no data is touched, so a plan may be refused, priced and
shown for free. This is the one place where a sensitivity is derived.

The argument. The kernel (`bounding.py`) lets one person be active in at most `cells_per_person` cells and count
at most `events_per_cell` events in each, and clamps each event's values. So adding or removing one person changes the
numbers of one cell of a measure by at most `largest` together (`measures.py`), and the whole vector by at most
L1 = cells_per_person * largest. Each measure is released by its own mechanism with that sensitivity; the losses of a
query's measures add up (basic composition). Nothing else that depends on data is released: the list of cells follows
from the catalog.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from queries import keys, measures, mechanisms, nodes, per_person, predicates, survival
from queries.errors import InvalidQuery
from queries.measures import Draft
from queries.mechanisms import NANO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from queries.catalog import Dataset, Table
    from queries.keys import CellKey
    from queries.mechanisms import Mechanism
    from queries.per_person import Built

CONFIDENCE = 0.95
SUM_MAX = 2**62  # every sum and its noise stay below, so that 64-bit integers never overflow
NOISE_REACH = 64  # scales; Laplace noise goes beyond with probability below e^-64, Gaussian noise far below

# For a query and a table that name no contribution bounds. Shown in every answer.
DEFAULT_CELLS_PER_PERSON = 10
DEFAULT_EVENTS_PER_CELL = 10


@dataclass(frozen=True, kw_only=True)
class Measure(Draft):
    """A vector of integers over the cells, released with noise."""

    mechanism: Mechanism


@dataclass(frozen=True)
class Output:
    """One statistic of the answer and the measures it is made of."""

    name: str
    statistic: nodes.Statistic
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Cost:
    """What a release reveals at most, exact: epsilon (pure DP; None where it has no finite one), rho (zCDP), delta."""

    epsilon: Fraction | None
    rho: Fraction
    delta: Fraction


@dataclass(frozen=True)
class Plan:
    """A query made executable."""

    dataset: str
    query: nodes.Query
    table: Table
    where: predicates.Bound
    keys: tuple[CellKey, ...]
    cells: int
    cells_per_person: int
    events_per_cell: int
    outputs: tuple[Output, ...]
    notes: tuple[str, ...]
    built: Built | None  # what `table` is made of, where the query builds it
    tables: Mapping[str, Table]  # all of the dataset's, for cohorts

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Return every vector to release, in the order of the outputs."""
        return tuple(measure for output in self.outputs for measure in output.measures)

    @property
    def conditions(self) -> tuple[predicates.Bound, ...]:
        """Return the filters of single statistics, each once, in a fixed order."""
        named = (condition for measure in self.measures for condition in (measure.where, measure.split))
        return tuple(dict.fromkeys(condition for condition in named if condition is not None))

    @property
    def cost(self) -> Cost:
        """Return the sum of what OpenDP charges for each measure."""
        charged = [measure.mechanism for measure in self.measures]
        epsilons = [mechanism.epsilon_nano for mechanism in charged]
        finite = [epsilon for epsilon in epsilons if epsilon is not None]
        epsilon = Fraction(sum(finite), NANO) if len(finite) == len(epsilons) else None
        return Cost(epsilon, sum((mechanism.rho for mechanism in charged), Fraction(0)), Fraction(0))


def plan(query: nodes.Query, dataset: Dataset, privacy: nodes.Privacy, cells_max: int) -> Plan:
    """Return the plan of a query that may spend so much. Raises InvalidQuery with the place."""
    built = None
    if isinstance(query.source, nodes.PerPerson):
        built = survival.extend(per_person.bind(query.source, dataset.tables), query, dataset.tables)
        table = built.table
    else:
        table = predicates.table_of(dataset.tables, query.source, "/query/from")
    where = predicates.bind(query.where, table, "/query/where", dataset.tables)
    bound_keys = _bind_keys(query, table)
    cells = math.prod(key.size for key in bound_keys)
    if cells > cells_max:
        raise InvalidQuery("/query/group_by", f"makes {cells} cells; at most {cells_max} are allowed")
    cells_per_person, events_per_cell, notes = _contribution_bounds(query, table, bound_keys)
    drafts = [
        measures.drafts(statistic, table, dataset.tables, events_per_cell, cells_max // cells, f"/query/select/{name}")
        for name, statistic in query.select
    ]
    outputs = tuple(
        Output(name, statistic, measures)
        for (name, statistic), measures in zip(
            query.select, _price(drafts, cells_per_person, dataset, privacy), strict=True
        )
    )
    return Plan(
        dataset.name,
        query,
        table,
        where,
        bound_keys,
        cells,
        cells_per_person,
        events_per_cell,
        outputs,
        (*(() if built is None else built.notes), *notes),
        built,
        dataset.tables,
    )


def _bind_keys(query: nodes.Query, table: Table) -> tuple[CellKey, ...]:
    bound = tuple(keys.bind(key, table, f"/query/group_by/{i}") for i, key in enumerate(query.group_by))
    taken = {name for name, _ in query.select}
    for place, key in enumerate(bound):
        if key.name in taken:
            raise InvalidQuery(
                f"/query/group_by/{place}", f'two columns of the answer are called {key.name}; rename one with "as"'
            )
        taken.add(key.name)
    return bound


def _contribution_bounds(
    query: nodes.Query, table: Table, bound_keys: tuple[CellKey, ...]
) -> tuple[int, int, tuple[str, ...]]:
    """Return cells per person and events per cell, and what a reader should know of how they were chosen."""
    if table.one_row_per_person:
        return 1, 1, ()
    notes: list[str] = []
    # A person's own attributes do not vary: only the other keys can spread a person over cells.
    reachable = math.prod(key.size for key in bound_keys if not key.column.of_person)
    chosen = query.bounds.cells_per_person or table.cells_per_person
    if chosen is None and reachable > DEFAULT_CELLS_PER_PERSON:
        notes.append(
            f"cells_per_person was not given: {DEFAULT_CELLS_PER_PERSON} of the {reachable} cells that a person "
            "could touch count; say more to lose fewer, or less for less noise"
        )
    cells_per_person = min(reachable, chosen or DEFAULT_CELLS_PER_PERSON)
    if all(isinstance(one, nodes.Count | nodes.Proportion) and one.of == "persons" for _, one in query.select):
        return cells_per_person, 1, tuple(notes)
    events = query.bounds.events_per_cell or table.events_per_cell
    if events is None:
        notes.append(
            f"events_per_cell was not given: {DEFAULT_EVENTS_PER_CELL} events of a person count in each cell; "
            "say more to lose fewer, or less for less noise"
        )
    return cells_per_person, events or DEFAULT_EVENTS_PER_CELL, tuple(notes)


def _price(
    drafts: list[tuple[Draft, ...]], cells_per_person: int, dataset: Dataset, privacy: nodes.Privacy
) -> list[tuple[Measure, ...]]:
    """Split what may be spent evenly over the statistics, and a statistic's share over its measures.

    Epsilon buys Laplace noise. Rho buys whichever noise has the smaller margins: Gaussian, or Laplace of
    epsilon = sqrt(2 rho), which costs the same rho and on a draw is taken for its finite epsilon. A query has one kind
    of noise: a single Gaussian measure leaves the whole without a finite epsilon.
    """
    word = "epsilon" if privacy.rho_nano is None else "rho"
    total = privacy.rho_nano if privacy.epsilon_nano is None else privacy.epsilon_nano
    assert total is not None

    def priced(mechanism: Callable[[int, int, int], Mechanism]) -> list[tuple[Measure, ...]]:
        return [
            tuple(
                _measure(draft, cells_per_person, dataset, word, part, mechanism)
                for part, draft in zip(_shares(share, len(statistic), word), statistic, strict=True)
            )
            for share, statistic in zip(_shares(total, len(drafts), word), drafts, strict=True)
        ]

    if word == "epsilon":
        return priced(lambda l1, _, epsilon_nano: mechanisms.discrete_laplace(l1, epsilon_nano))
    laplace = priced(lambda l1, _, rho_nano: mechanisms.discrete_laplace(l1, mechanisms.epsilon_of_rho(rho_nano)))
    gaussian = priced(lambda _, l2_squared, rho_nano: mechanisms.discrete_gaussian(l2_squared, rho_nano))
    return laplace if _margins(laplace) <= _margins(gaussian) else gaussian


def _margins(priced: list[tuple[Measure, ...]]) -> float:
    """Return the sum of the margins relative to what one person can change."""
    return sum(measure.mechanism.margin(CONFIDENCE) / measure.largest for statistic in priced for measure in statistic)


def _shares(total: int, parts: int, word: str) -> list[int]:
    """Split a whole number into nearly equal whole numbers."""
    if total < parts:
        raise InvalidQuery(f"/privacy/{word}", "is too small to be split between the statistics")
    share, rest = divmod(total, parts)
    return [share + (place < rest) for place in range(parts)]


def _measure(
    draft: Draft,
    cells_per_person: int,
    dataset: Dataset,
    word: str,
    nano: int,
    mechanism: Callable[[int, int, int], Mechanism],
) -> Measure:
    if dataset.persons_max * draft.largest >= SUM_MAX:
        raise InvalidQuery(
            "/query/bounds", "the bounds are so wide that a sum over all persons could overflow 64 bits; narrow them"
        )
    # The sensitivities are derived here and nowhere else: a person changes at most `cells_per_person` cells of the
    # vector, each by at most `largest`.
    sensitivity_l1 = cells_per_person * draft.largest
    sensitivity_l2_squared = cells_per_person * draft.largest**2
    # No noise is larger than Laplace noise: Gaussian noise of the same rho has sqrt(cells_per_person) less.
    epsilon_nano = nano if word == "epsilon" else mechanisms.epsilon_of_rho(nano)
    if Fraction(sensitivity_l1 * NANO, epsilon_nano) * NOISE_REACH + dataset.persons_max * draft.largest >= SUM_MAX:
        raise InvalidQuery(f"/privacy/{word}", "is so small that the noise could overflow 64 bits")
    made = mechanism(sensitivity_l1, sensitivity_l2_squared, nano)
    return Measure(**vars(draft), mechanism=made)


def _price_of(mechanism: Mechanism) -> dict[str, int]:
    if mechanism.epsilon_nano is not None:
        return {"epsilon_nano": mechanism.epsilon_nano}
    return {"rho_nano": mechanism.rho_nano}


def canonical(plan: Plan) -> str:
    """Return a text that two requests share exactly when they ask the same at the same price.

    Spelling is gone from it: what is left are codes, bounds and billionths. It decides what is a replay.
    """
    statistics = {
        output.name: {
            "statistic": nodes.word_of(output.statistic),
            "at": output.statistic.at if isinstance(output.statistic, nodes.Quantile) else None,
            "listed": isinstance(output.statistic, nodes.Quantile) and output.statistic.listed,
            "k": output.statistic.k if isinstance(output.statistic, nodes.Top) else None,
            "measures": [_canonical_measure(measure) for measure in output.measures],
        }
        for output in plan.outputs
    }
    document = {
        "dataset": plan.dataset,
        "from": plan.table.name if plan.built is None else per_person.to_json(plan.built),
        "where": predicates.to_json(plan.where),
        "group_by": [_canonical_key(key) for key in plan.keys],
        "select": statistics,
        "bounds": [plan.cells_per_person, plan.events_per_cell],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _canonical_measure(measure: Measure) -> dict[str, object]:
    return {
        "counted": measure.counted.value,
        "factors": [[factor.column.name, factor.low, factor.high] for factor in measure.factors],
        "present": [column.name for column in measure.present],
        "within": None if measure.within is None else _canonical_key(measure.within),
        "where": None if measure.where is None else predicates.to_json(measure.where),
        "split": None if measure.split is None else predicates.to_json(measure.split),
        **_price_of(measure.mechanism),
    }


def _canonical_key(key: CellKey) -> dict[str, object]:
    return {"name": key.name, "column": key.column.name, "edges": key.edges, "labels": key.labels}
