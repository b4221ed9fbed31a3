"""What dominates the error of a planned query, and what would help: in words, for an estimate.

Noise is foretold exactly, by planning the query as it might be asked instead. What the bounds cut off depends on the
data. Advice names what is cut off, and how much of it the dataset's profile expects, if there is one.
Everything follows from the query, the catalog, the profile and the budget's limits, so that it may be said for free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from queries.contribution import truncation
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.mechanisms import NANO
from queries.plan import Counted
from queries.planning import allocation, drowning, planner
from queries.statistics import registry, survival
from queries.statistics.parts import words
from queries.statistics.statistic import TENTH, Group

if TYPE_CHECKING:
    from queries.catalog.schema import Dataset
    from queries.plan import Output, Plan

GROUP = 1_000  # of events (or persons), for which margins are compared
EACH_MAX = 16  # statistics of a query on each of which advice is given
WORTH_SAYING = 0.9  # a margin that would be narrower by less is not spoken of


@dataclass(frozen=True)
class Asked:
    """A planned query with what it was planned from. `rho_nano` uses as much of the budget as its epsilon, in rho."""

    plan: Plan
    dataset: Dataset
    privacy: nodes.Privacy
    cells_max: int
    rho_nano: int | None = None

    def instead(self, privacy: nodes.Privacy | None = None, **parts: object) -> Plan | None:
        """Return the plan of the query with other parts or another privacy, or None if it cannot be planned."""
        query = replace(self.plan.query, **parts)  # type: ignore[arg-type]
        try:
            return planner.plan(query, self.dataset, privacy or self.privacy, self.cells_max)
        except InvalidQuery:
            return None

    @cached_property
    def halved_cells(self) -> tuple[int, Plan | None]:
        """Return half the cells per person, and the plan with them."""
        half = self.plan.cells_per_person // 2
        return half, self.instead(bounds=replace(self._bounds, cells_per_person=half))

    @cached_property
    def halved_events(self) -> tuple[int, Plan | None]:
        """Return half the events per cell, and the plan with them."""
        half = self.plan.events_per_cell // 2
        return half, self.instead(bounds=replace(self._bounds, events_per_cell=half))

    @property
    def _bounds(self) -> nodes.Bounds:
        return nodes.Bounds(self.plan.cells_per_person, self.plan.events_per_cell)


def advise(asked: Asked) -> list[str]:
    """Return all advice: first what is cut off to an unknown degree, then each statistic, then the whole query."""
    cut = truncation.sentences(asked.plan)
    unknown = [said for said, how in cut.items() if how is truncation.Truncation.UNKNOWN]
    return [
        *unknown,
        *_on_follow_up(asked.plan),
        *_on_each(asked),
        *_on_rho(asked),
        *filter(None, [drowning.sentence(asked.plan, asked.dataset)]),
        *_on_group_sizes(asked),
        *(said for said in cut if said not in unknown),
    ]


# One statistic


def _on_each(asked: Asked) -> Iterator[str]:
    """Yield advice on each statistic. A query of many gets none, because each is planned anew by itself."""
    outputs = asked.plan.outputs
    if len(outputs) > EACH_MAX:
        yield (
            f"The query has {len(outputs)} statistics, and advice on each is given for at most {EACH_MAX}: "
            "estimate fewer at a time."
        )
        return
    for output in outputs:
        yield f"{output.name}: {_about(asked, output)}"


def _about(asked: Asked, output: Output) -> str:
    """Return the main reason for a statistic's noise, what would help, and how large a group must be."""
    return f"{_driver(asked, output)} {_group_needed(asked.plan, output)}"


def _driver(asked: Asked, output: Output) -> str:
    """Return the main reason for the noise, and what would reduce it."""
    gaussian = output.measures[0].mechanism.gaussian
    cells = math.sqrt(asked.plan.cells_per_person) if gaussian else asked.plan.cells_per_person
    of_persons = all(measure.counted is Counted.PERSONS for measure in output.measures)
    events = 1 if of_persons else asked.plan.events_per_cell
    alone = None
    if len(asked.plan.outputs) > 1 and asked.privacy.margins is None:
        alone = asked.instead(select=((output.name, output.statistic),))
    shared = 1.0 if alone is None else _relative(asked.plan, output) / max(_relative(alone, alone.outputs[0]), 1e-9)
    worst = max(cells, events, shared)
    group = _group(output, asked.plan)
    noise = f"the noise, {_margin(output, asked.plan, group)},"
    if worst < 2:
        return _nothing_but_the_charge(asked, output, noise)
    if worst == shared:
        assert alone is not None
        by_itself = _margin(alone.outputs[0], alone, group)
        return (
            f"{noise} is {_times(shared)} what it would be alone, for the query's {len(asked.plan.outputs)} statistics "
            f"share its {asked.privacy.currency}; asked by itself it would have {by_itself}."
        )
    if worst == events:
        half, other = asked.halved_events
        return (
            f"{noise} is large because {asked.plan.events_per_cell} events of a person count in each cell; "
            f"with events_per_cell {half} {_effect(asked, output, other)}."
        )
    half, other = asked.halved_cells
    return (
        f"{noise} is large because a person counts in {asked.plan.cells_per_person} cells; "
        f"with cells_per_person {half} {_effect(asked, output, other)}."
    )


def _nothing_but_the_charge(asked: Asked, output: Output, noise: str) -> str:
    """Return the reason where neither the bounds nor other statistics matter: the values' range, or the charge."""
    about_range = registry.of(output.statistic).about_range(output)
    if about_range is not None:
        return f"{noise} {about_range}"
    if asked.privacy.currency == "rho":
        return f"{noise} is what hides one person at this rho; four times the rho would halve it."
    return f"{noise} is what hides one person at this epsilon; twice the epsilon would halve it."


def _effect(asked: Asked, output: Output, other: Plan | None) -> str:
    """Return what another plan would change: the margin, or where margins were asked for, the cost."""
    if other is None:
        return "it would be less"
    if asked.privacy.margins is not None:
        return f"the query would cost {_cost(other)} instead of {_cost(asked.plan)}"
    changed = next(one for one in other.outputs if one.name == output.name)
    return f"it would be {_margin(changed, other, _group(output, asked.plan))}"


def _group_needed(planned: Plan, output: Output) -> str:
    """Return how large a group must be for the statistic to be exact."""
    persons = TENTH * _relative(planned, output)
    events = persons * math.sqrt(planned.events_per_cell)  # of a group like the reference group
    group = Group(persons, events)
    return registry.of(output.statistic).group_needed(output, group, planned.confidence)


# The whole query


def _on_rho(asked: Asked) -> Iterator[str]:
    """Yield the margin that rho would give, if it is narrower for the same part of the budget."""
    if not asked.rho_nano or asked.privacy.currency != "epsilon":
        return
    other = asked.instead(nodes.Privacy(rho_nano=asked.rho_nano, delta_atto=asked.privacy.delta_atto))
    if other is None or other.cost.epsilon is not None:
        return
    before, after = ({one.name: one for one in planned.outputs} for planned in (asked.plan, other))
    name = max(before, key=lambda one: _relative(asked.plan, before[one]))
    if _relative(other, after[name]) < WORTH_SAYING * _relative(asked.plan, before[name]):
        group = _group(before[name], asked.plan)
        now, then = _margin(before[name], asked.plan, group), _margin(after[name], other, group)
        yield (
            f"rho {asked.rho_nano / NANO:.3g} is as large a part of the study's budget as this query's epsilon, "
            f"and would give {name} {then} instead of {now}; "
            "from then on the budget would count in rho, or each kind of noise by itself."
        )


def _on_group_sizes(asked: Asked) -> Iterator[str]:
    """Yield a warning if the dataset cannot have enough persons for so many cells."""
    planned, most = asked.plan, asked.dataset.persons_max
    if planned.cells == 1 or planned.listing is not None:
        return
    each = most * planned.cells_per_person / planned.cells
    needed = {one.name: TENTH * _relative(planned, one) for one in planned.outputs}
    name = max(needed, key=lambda one: needed[one])
    if needed[name] > each:
        fewer = words.at_least(needed[name] / each).removeprefix("at least ")
        yield (
            f"The dataset has {most:,} persons at most, and there are {planned.cells:,} cells: on average no more than "
            f"{words.number(each)} persons in each, where {name} needs {words.number(needed[name])} for a margin under "
            f"a tenth. {fewer} times fewer cells would do: coarser bins or periods, or fewer keys."
        )


def _on_follow_up(planned: Plan) -> Iterator[str]:
    """Yield what is assumed about a survival curve without the day on which the data end."""
    if planned.built is not None:
        for said in survival.followed_to_the_last(planned.query, planned.built.values, planned.tables):
            yield f"{said}."


# Numbers in words


def _relative(planned: Plan, output: Output) -> float:
    return allocation.relative_margin(output.statistic, output.measures, planned.events_per_cell, planned.confidence)


def _margin(output: Output, planned: Plan, group: int) -> str:
    """Return a statistic's margin in words, over a group of so many events (or persons) where it depends on that."""
    return registry.of(output.statistic).margin_in_words(output, planned.confidence, group)


def _group(output: Output, planned: Plan) -> int:
    """Return the size of group for which margins are compared: 1,000, or the first power of ten that is enough."""
    if output.at is not None:
        return output.at
    group, needed = GROUP, 4 * _relative(planned, output) * math.sqrt(planned.events_per_cell)
    while group < needed:
        group *= 10
    return group


def _cost(planned: Plan) -> str:
    cost = planned.cost
    return f"rho {float(cost.rho):.3g}" if cost.epsilon is None else f"epsilon {float(cost.epsilon):.3g}"


def _times(factor: float) -> str:
    return "twice" if factor < 2.5 else f"{factor:.0f} times"
