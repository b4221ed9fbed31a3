"""query + catalog -> Plan: what is scanned, what one person can change, which noise hides it, what it costs.

A pure function of the request and of public metadata: no data is touched, so a plan may be refused, priced and
shown for free. This is the one place where a sensitivity is derived.

The argument. The kernel (`kernel.py`) lets one person be active in at most `cells_per_person` cells and count
at most `events_per_cell` events in each, and clamps each event's values. So adding or removing one person changes the
numbers of one cell of a measure by at most `largest` together (`measures.py`), and the whole vector by at most
L1 = cells_per_person * largest. Each measure is released by its own mechanism with that sensitivity; the losses of a
query's measures add up (basic composition). Nothing else that depends on data is released: the list of cells follows
from the catalog, or, for the one key that may have no declared values, from a release of its own (`Listing`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from queries import mechanisms
from queries.binding.query import bind
from queries.catalog import least_charge
from queries.contribution import bounds
from queries.contribution.proposal import Proposal, propose
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.mechanisms import NANO, Rounds
from queries.plan import Counted, Draft, Listing, Measure, Output, Plan
from queries.planning import allocation, margins, measures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queries.binding.keys import CellKey
    from queries.catalog.schema import Dataset
    from queries.mechanisms import DiscreteGaussian, DiscreteLaplace, Threshold

    Making = Callable[
        [int, int, int], DiscreteLaplace | DiscreteGaussian
    ]  # of both sensitivities and what may be spent

SUM_MAX = 2**62  # every sum and its noise stay below, so that 64-bit integers never overflow
NOISE_REACH = 64  # scales; Laplace noise goes beyond with probability below e^-64, Gaussian noise far below


def plan(query: nodes.Query, dataset: Dataset, privacy: nodes.Privacy, cells_max: int) -> Plan:
    """Return the plan of a query that may spend so much. Raises InvalidQuery with the place."""
    least_charge.require_privacy(dataset, privacy)
    bound = bind(query, dataset, cells_max, measures.bind)
    table, bound_keys, unnamed = bound.table, bound.keys, bound.undeclared
    _require_delta(unnamed, privacy)

    def drafts_of(events: int) -> list[tuple[Draft, ...]]:
        return [measures.drafts(statistic, events) for statistic in bound.select]

    proposal = Proposal()
    if table.profile is not None and unnamed is None:
        # Priced as if every statistic had as many measures as the one with the most.
        of_one_event = drafts_of(1)
        parts = len(query.select) * max(len(statistic) for statistic in of_one_event)
        # A noisy profile may make wide bounds look best: no wider ones than have sums that fit into 64 bits.
        most = dataset.persons_max * max(draft.largest for statistic in of_one_event for draft in statistic)
        proposal = propose(query, table, bound_keys, privacy, parts, events_max=max(1, (SUM_MAX - 1) // max(1, most)))
    cells_per_person, events_per_cell, notes = bounds.bounds(query, table, bound_keys, proposal)
    drafts = drafts_of(events_per_cell)
    values_per_person = None
    if unnamed is not None:
        values_per_person = 1 if unnamed.column.of_person else cells_per_person
    least_nano = least_charge.nano(dataset, privacy.currency)
    frame = _Frame(cells_per_person, events_per_cell, values_per_person, dataset.persons_max, privacy, least_nano)
    outputs, threshold, raised = _price(query, drafts, frame)
    if raised:
        said = (
            f"the margins asked for would cost less than the least that a question costs, {privacy.currency} "
            f"{float(Fraction(least_nano, NANO)):.9g}: it costs that, and they are narrower"
        )
        notes = (*notes, said)
    listing = None
    if unnamed is not None:
        assert threshold is not None
        widest = max(draft.width for statistic in drafts for draft in statistic)
        values_max = cells_max // (bound.cells * widest) - unnamed.null
        listing = Listing(bound_keys.index(unnamed), threshold.keys_per_person, values_max, threshold)
        said = (
            f"{unnamed.name} has no declared values: those are named of which the number of persons, with noise of "
            f"scale {threshold.scale:g}, is at least {threshold.threshold}"
        )
        notes = (*notes, said)
    return Plan(
        dataset.name,
        query,
        table,
        bound.where,
        bound_keys,
        bound.cells,
        cells_per_person,
        events_per_cell,
        outputs,
        (*(() if bound.built is None else bound.built.notes), *notes),
        bound.built,
        dataset.tables,
        listing,
        privacy.confidence,
    )


def _require_delta(undeclared: CellKey | None, privacy: nodes.Privacy) -> None:
    """Raise InvalidQuery unless delta is given exactly where a key without declared values costs it."""
    if undeclared is None:
        if privacy.delta_atto is not None:
            raise InvalidQuery("/privacy/delta", "nothing in this query costs delta: every key has declared values")
    elif privacy.delta_atto is None:
        raise InvalidQuery(
            "/privacy/delta",
            f"{undeclared.column.name} has no declared values, and to name those that many persons have costs delta: "
            'give it, as in "delta": 1e-8. What the study has left of it is in its budget',
        )


@dataclass(frozen=True)
class _Asked:
    """A statistic before it has its share of what may be spent."""

    name: str
    statistic: nodes.Statistic
    drafts: tuple[Draft, ...]
    weight: allocation.Weight
    target: nodes.Target | None

    def parts(self, nano: int) -> list[int]:
        """Return a share split between the measures."""
        return allocation.split(nano, self.weight.parts, [1] * len(self.drafts))


@dataclass(frozen=True)
class _Frame:
    """What the statistics of a query have in common."""

    cells_per_person: int
    events_per_cell: int
    values_per_person: int | None  # of an undeclared key, whose values are to be named
    persons_max: int
    privacy: nodes.Privacy
    least_nano: int  # of what is bought


def _price(
    query: nodes.Query, drafts: Sequence[tuple[Draft, ...]], frame: _Frame
) -> tuple[tuple[Output, ...], Threshold | None, bool]:
    """Share what may be spent between the statistics, and a statistic's share between its measures (`allocation.py`).

    Naming the values of an undeclared key gets a share too: an even one, or where margins are asked for as much as the
    statistic with the largest.

    Epsilon buys Laplace noise. Rho buys whichever noise has the smaller margins: Gaussian, or Laplace of
    epsilon = sqrt(2 rho), which costs the same rho and on a draw is taken for its finite epsilon. A query has one kind
    of noise: a single Gaussian measure leaves the whole without a finite epsilon. Margins buy the kind they name.
    Returned last is whether they were raised to the least that a question costs.
    """
    privacy, word = frame.privacy, frame.privacy.currency
    targets = {} if privacy.margins is None else margins.targets(query, privacy.margins)
    asked = [
        _Asked(
            name, statistic, found, allocation.weigh(statistic, found, frame.events_per_cell, word), targets.get(name)
        )
        for (name, statistic), found in zip(query.select, drafts, strict=True)
    ]

    def priced(shares: Sequence[int], naming: int, making: Making) -> tuple[tuple[Output, ...], Threshold | None]:
        outputs = tuple(_output(one, frame, share, making) for one, share in zip(asked, shares, strict=True))
        return outputs, _threshold(frame, naming, making)

    if privacy.margins is not None:
        making = _gaussian if privacy.margins.gaussian else _laplace
        needed = _least_shares(asked, frame, making)
        shares = least_charge.raised(needed, frame.least_nano)
        return *priced(shares, max(shares), making), shares != needed
    total = privacy.rho_nano if privacy.epsilon_nano is None else privacy.epsilon_nano
    assert total is not None
    naming = 0 if frame.values_per_person is None else total // (len(asked) + 1)
    shares = _shares(total - naming, asked, privacy)
    if word == "epsilon":
        return *priced(shares, naming, _laplace), False
    laplace, gaussian = priced(shares, naming, _laplace_of_rho), priced(shares, naming, _gaussian)
    return *(laplace if _widest(laplace[0], frame) <= _widest(gaussian[0], frame) else gaussian), False


def _laplace(sensitivity_l1: int, _: int, epsilon_nano: int) -> DiscreteLaplace:
    return mechanisms.discrete_laplace(sensitivity_l1, epsilon_nano)


def _laplace_of_rho(sensitivity_l1: int, _: int, rho_nano: int) -> DiscreteLaplace:
    return mechanisms.discrete_laplace(sensitivity_l1, mechanisms.epsilon_of_rho(rho_nano))


def _gaussian(_: int, sensitivity_l2_squared: int, rho_nano: int) -> DiscreteGaussian:
    return mechanisms.discrete_gaussian(sensitivity_l2_squared, rho_nano)


def _widest(outputs: tuple[Output, ...], frame: _Frame) -> float:
    """Return the largest margin relative to its statistic's yardstick."""
    return max(
        allocation.relative_margin(one.statistic, one.measures, frame.events_per_cell, frame.privacy.confidence)
        for one in outputs
    )


def _shares(total: int, asked: Sequence[_Asked], privacy: nodes.Privacy) -> list[int]:
    """Split what may be spent between the statistics. Their order does not matter: it is spelling."""
    if total < sum(len(one.drafts) for one in asked):
        raise InvalidQuery(f"/privacy/{privacy.word}", "is too small to be split between the statistics")
    by_name = sorted(asked, key=lambda one: one.name)
    weights, fewest = [one.weight.whole for one in by_name], [len(one.drafts) for one in by_name]
    share_of = {one.name: share for one, share in zip(by_name, allocation.split(total, weights, fewest), strict=True)}
    return [share_of[one.name] for one in asked]


def _least_shares(asked: Sequence[_Asked], frame: _Frame, making: Making) -> list[int]:
    """Return the least share of each statistic with which the margins asked for are met."""
    most = margins.MOST_NANO[frame.privacy.currency]
    found: list[int | None] = []
    for one in asked:
        share = None
        if one.target is not None:
            share = margins.least(partial(_enough, one, frame, making), len(one.drafts), most)
            if share is None:
                raise InvalidQuery(f"/privacy/margin/{one.name}", "cannot be met, whatever is spent; allow a wider one")
        found.append(share)
    shares = margins.as_exact([one.weight.whole for one in asked], found, [len(one.drafts) for one in asked])
    if sum(shares) > most:
        raise InvalidQuery("/privacy/margin", "would cost more than any query may; allow wider margins")
    return shares


def _enough(one: _Asked, frame: _Frame, making: Making, nano: int) -> bool:
    """Say whether a statistic meets its margin with so large a share."""
    assert one.target is not None
    if any(_too_noisy(draft, frame, part) for draft, part in zip(one.drafts, one.parts(nano), strict=True)):
        return False
    return margins.met(_output(one, frame, nano, making), one.target, frame.privacy.confidence)


def _output(one: _Asked, frame: _Frame, nano: int, making: Making) -> Output:
    """Return a statistic whose measures have the noise that its share buys."""
    priced = tuple(
        _measure(draft, frame, part, making) for draft, part in zip(one.drafts, one.parts(nano), strict=True)
    )
    return Output(one.name, one.statistic, priced, None if one.target is None else one.target.at)


def _measure(draft: Draft, frame: _Frame, nano: int, making: Making) -> Measure:
    if frame.persons_max * draft.largest >= SUM_MAX:
        raise InvalidQuery(
            "/query/bounds", "the bounds are so wide that a sum over all persons could overflow 64 bits; narrow them"
        )
    if _too_noisy(draft, frame, nano):
        raise InvalidQuery(f"/privacy/{frame.privacy.word}", "is so small that the noise could overflow 64 bits")
    # A search's bins are sums of a cell's numbers, each in one bin, so the sensitivities hold in each of its rounds.
    made = tuple(making(*_sensitivities(draft, frame), part) for part in _rounds(draft, nano))
    return Measure(**vars(draft), mechanism=made[0] if draft.search is None else Rounds(made))


def _rounds(draft: Draft, nano: int) -> list[int]:
    """Return what each round of a search may spend, the last one what is left over; what is no search has one round."""
    if draft.search is None:
        return [nano]
    first = [nano * part // 10 for part in draft.search.tenths[:-1]]
    return [*first, nano - sum(first)]


def _threshold(frame: _Frame, nano: int, making: Making) -> Threshold | None:
    """Return what names the values of an undeclared key, if there is one."""
    if frame.values_per_person is None:
        return None
    # As for a measure: a person changes the numbers of persons of at most `values_per_person` values, each by 1.
    persons = Draft(Counted.PERSONS, 1)
    each = replace(frame, cells_per_person=frame.values_per_person)
    if nano == 0 or _too_noisy(persons, each, nano):
        raise InvalidQuery(f"/privacy/{frame.privacy.word}", "is so small that the noise could overflow 64 bits")
    assert frame.privacy.delta_atto is not None
    noise = making(*_sensitivities(persons, each), nano)
    made = mechanisms.threshold(noise, frame.values_per_person, frame.privacy.delta_atto)
    if made is None:
        lowest = float(mechanisms.least_delta(frame.values_per_person))
        raise InvalidQuery("/privacy/delta", f"is too small for any threshold; give more than {lowest:.2g}")
    return made


def _sensitivities(draft: Draft, frame: _Frame) -> tuple[int, int]:
    """Return how far one person can move the vector: in L1, and the square of it in L2.

    The sensitivities are derived here and nowhere else: a person changes at most `cells_per_person` cells of the
    vector, each by at most `largest`.
    """
    return frame.cells_per_person * draft.largest, frame.cells_per_person * draft.largest**2


def _too_noisy(draft: Draft, frame: _Frame, nano: int) -> bool:
    """Say whether the noise that so much buys could, with a sum, overflow 64 bits."""
    # No noise is larger than Laplace noise: Gaussian noise of the same rho has sqrt(cells_per_person) less.
    nano = min(_rounds(draft, nano))
    if nano == 0:
        return True
    epsilon_nano = nano if frame.privacy.currency == "epsilon" else mechanisms.epsilon_of_rho(nano)
    sensitivity_l1, _ = _sensitivities(draft, frame)
    reach = Fraction(sensitivity_l1 * NANO, epsilon_nano) * NOISE_REACH
    return reach + frame.persons_max * draft.largest >= SUM_MAX
