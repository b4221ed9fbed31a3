"""What bounds cut off before the noise is added. It is reported for every statistic, because no margin includes it.

A margin bounds the distance between a number and the *bounded* truth. Bounds cut off everything beyond them: cells
and events of a person (`kernel.py`), values beyond the range of a sum, values of a per-person table. Each statistic
reports how these bounds were chosen:

- `none`: nothing is cut off, and the catalog proves it (persons with one row each, keys that are attributes of the
  person, values within the column's own range, which the import enforces);
- `profile`: the dataset's contribution profile gives the expected loss (`expected_loss`);
- `asked`: the asker chose the bounds. With a profile, `expected_loss` is given too;
- `unknown`: the asker did not choose them, and no profile gives the loss. Bounds in the manifest are of this kind:
  the custodian chose them, but a choice is no measurement.

If several things are cut off, the statistic gets the last of these words that applies.

`expected_loss` is the share of what persons contribute that the contribution bounds cut off: of their cells, for a
count of persons; of their cells and events else. It follows from noisy histograms that were paid for (post-processing),
over all events of the table, before any filter. It does not include the effect of clamping values, because no profile
measures it.

All of it follows from the query, the catalog and the profile. Therefore it can be reported before a charge, for free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from queries.binding import predicates
from queries.contribution import proposal
from queries.plan import Counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from queries.binding.per_person import BuiltValue
    from queries.plan import Factor, Output, Plan

DIGITS = 4  # digits of an expected loss: noisy histograms are no more exact


class Truncation(StrEnum):
    """How the bounds that cut something off were chosen, from the best known to the worst."""

    NONE = "none"
    PROFILE = "profile"
    ASKED = "asked"
    UNKNOWN = "unknown"


ORDER = tuple(Truncation)


@dataclass(frozen=True)
class Cut:
    """One bound that cuts something off: a description, how it was chosen, and the expected share that is lost.

    `of_values` is True for a clamping of values, which no profile measures.
    """

    words: str
    truncation: Truncation
    loss: float | None = None
    of_values: bool = False


@dataclass(frozen=True)
class Whole:
    """Everything that is cut off for one statistic. `loss` is None if nothing is cut off or the amount is unknown."""

    truncation: Truncation
    loss: float | None
    cuts: tuple[Cut, ...]

    def to_json(self) -> dict[str, object]:
        """Return the members of the statistic's column in an answer."""
        shown: dict[str, object] = {"truncation": self.truncation.value}
        if self.loss is not None:
            shown["expected_loss"] = self.loss
        return shown


def of(plan: Plan, output: Output) -> Whole:
    """Return what is cut off for one statistic of a plan."""
    cuts = (*_contributions(plan, output), *_clamped(output), *_built(plan, output))
    worst = max((cut.truncation for cut in cuts), key=ORDER.index, default=Truncation.NONE)
    losses = [cut.loss for cut in cuts if not cut.of_values]
    known = [loss for loss in losses if loss is not None]
    loss = None
    if known and len(known) == len(losses):
        loss = round(1 - math.prod(1 - one for one in known), DIGITS)
    return Whole(worst, loss, cuts)


def _chosen(*, asked: bool, loss: float | None) -> Truncation:
    if asked:
        return Truncation.ASKED
    return Truncation.UNKNOWN if loss is None else Truncation.PROFILE


def _contributions(plan: Plan, output: Output) -> Iterator[Cut]:
    """Yield the cuts of the contribution bounds."""
    if plan.table.one_row_per_person:
        return
    reachable = cells_within_reach(plan)
    of_persons = all(measure.counted is Counted.PERSONS for measure in output.measures)
    cells_lost, events_lost = proposal.losses(plan.table, plan.keys, plan.cells_per_person, plan.events_per_cell)
    if reachable is None or plan.cells_per_person < reachable:
        beyond = "" if reachable is None else f" of the {reachable:,} they could touch"
        words = f"a person counts in at most {_plural(plan.cells_per_person, 'cell')}{beyond}"
        asked = plan.query.bounds.cells_per_person is not None
        yield Cut(words, _chosen(asked=asked, loss=cells_lost), cells_lost)
    if not of_persons:
        words = f"a person counts with at most {_plural(plan.events_per_cell, 'event')} in each cell"
        asked = plan.query.bounds.events_per_cell is not None
        yield Cut(words, _chosen(asked=asked, loss=events_lost), events_lost)


def cells_within_reach(plan: Plan) -> int | None:
    """Return how many cells one person could touch, or None if an undeclared key leaves it open."""
    own = [key for key in plan.keys if not key.column.of_person]
    # The number of named values of an undeclared key is not known beforehand, and an answer reports what its estimate
    # did.
    if any(key.named is not None for key in own):
        return None
    return math.prod(key.size for key in own)


def _clamped(output: Output) -> Iterator[Cut]:
    """Yield the cuts of value bounds that are narrower than the column's own."""
    for x in _factors(output):
        low, high, lowest, highest = map(x.column.value, (x.low, x.high, x.column.low, x.column.high))
        ends = [f"below {low:,} for {low:,}"] if low > lowest else []
        ends += [f"above {high:,} for {high:,}"] if high < highest else []
        if ends:
            taken = f"{output.name} takes {x.column.name} {' and '.join(ends)}"
            words = f"{taken} (the column goes from {lowest:,} to {highest:,})"
            yield Cut(words, Truncation.ASKED, of_values=True)


def _factors(output: Output) -> Iterable[Factor]:
    return dict.fromkeys(factor for measure in output.measures for factor in measure.factors)


def _built(plan: Plan, output: Output) -> Iterator[Cut]:
    """Yield the cuts of the per-person values that a statistic depends on."""
    if plan.built is None:
        return
    used = _columns(plan, output)
    for value in plan.built.values:
        if value.column.name in used:
            cut = _of_value(plan, value)
            if cut is not None:
                yield cut


def _of_value(plan: Plan, value: BuiltValue) -> Cut | None:
    assert plan.built is not None
    column, events = value.column, plan.built.events
    loss = None
    match value.word:
        case "count":
            if column.low <= 0:
                loss = 0.0 if events.one_row_per_person else proposal.events_lost(events, column.high)
            if events.one_row_per_person and column.low <= 0 and column.high >= 1:
                return None
        case "sum":
            # The sum of one row is a value of the column; the sum of several rows can be beyond its range.
            if events.one_row_per_person and _holds_all(value):
                return None
        case "days_to":
            if not value.bounded:  # up to the most days that are possible, or that the question is about
                return None
        case "mean" | "min" | "max" | "first" | "last":
            if _holds_all(value):
                return None
        case "exists" | "outcome" | "at_risk" | "happened":  # what is beyond is not asked for
            return None
        case word:
            raise AssertionError(word)
    low, high = column.value(column.low), column.value(column.high)
    words = f"{column.name} of each person is clamped to [{low:,}, {high:,}]"
    return Cut(words, _chosen(asked=value.bounded, loss=loss), loss, of_values=value.word != "count" and value.bounded)


def _holds_all(value: BuiltValue) -> bool:
    """Return True if a built column holds every value of the column it is made of."""
    of, column = value.of, value.column
    assert of is not None
    return column.low * column.step <= of.low * of.step and column.high * column.step >= of.high * of.step


def _columns(plan: Plan, output: Output) -> frozenset[str]:
    """Return the names of the columns that a statistic depends on."""
    conditions = [plan.where]
    for measure in output.measures:
        conditions += [condition for condition in (measure.where, measure.split) if condition is not None]
    return frozenset(
        {key.column.name for key in plan.keys}
        | {column.name for measure in output.measures for column in measure.columns}
    ).union(*map(predicates.columns, conditions))


# In words


def sentences(plan: Plan) -> dict[str, Truncation]:
    """Return notes on what is cut off, the worst first; statistics with the same cut share one note."""
    alike: dict[Whole, list[str]] = {}
    for output in plan.outputs:
        whole = of(plan, output)
        if whole.cuts:
            alike.setdefault(whole, []).append(output.name)
    worst_first = sorted(alike.items(), key=lambda one: -ORDER.index(one[0].truncation))
    return {f"{', '.join(names)}: {_sentence(whole)}": whole.truncation for whole, names in worst_first}


def _sentence(whole: Whole) -> str:
    what = "; ".join(cut.words for cut in whole.cuts)
    share = None
    if whole.loss is not None:
        percent = proposal.percent(whole.loss)
        share = f"{'' if percent.startswith('less') else 'about '}{percent} of what persons contribute"
    match whole.truncation:
        case Truncation.UNKNOWN:
            return (
                f"TRUNCATION UNKNOWN. {what}. What is beyond is cut off and is in no margin, and nobody knows how much "
                "it is: the dataset has no profile that tells. The number may be off by far more than its margin. Give "
                "bounds that are wide enough, or ask the custodian for a profile."
            )
        case Truncation.ASKED:
            told = "No profile tells how much it is." if share is None else f"By the dataset's profile it is {share}."
            if share is not None and any(cut.of_values for cut in whole.cuts):
                told = (
                    f"By the dataset's profile {share} is beyond the contribution bounds; of values it tells nothing."
                )
            return f"bounds that were asked for cut off what is beyond them, and it is in no margin: {what}. {told}"
        case Truncation.PROFILE | Truncation.NONE:
            return f"{what}. By the dataset's profile {share} is beyond that, is cut off and is in no margin."


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
