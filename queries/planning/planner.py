"""query + catalog -> Plan: what is scanned, what one person can change, which noise hides it, what it costs.

A pure function of the request and of public metadata. It touches no data, so a plan may be refused, estimated and shown
for free. The query is bound first (`queries/binding/query.py`); then the `STEPS` below add one thing each.

The argument. The kernel (`kernel.py`) lets one person be active in at most `cells_per_person` cells and count at most
`events_per_cell` events in each, and clamps each event's values. `drafts.py` derives from this how much one person
changes the numbers of one cell, and `noise.py` how much one person changes the whole vector. Each measure is released
by its own mechanism with that sensitivity; the losses of a query's measures add up (basic composition). Nothing else
that depends on data is released. The list of cells follows from the catalog, or, for the one key that may have no
declared values, from a release of its own (`Listing`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from queries.binding.query import bind
from queries.catalog import least_charge
from queries.contribution import bounds
from queries.contribution.proposal import Proposal, propose
from queries.errors import InvalidQuery
from queries.mechanisms import NANO
from queries.plan import Listing, Plan
from queries.planning import allocation, deadline, margins, noise, shares
from queries.planning.noise import SUM_MAX, Drafted, Terms, kinds_of
from queries.statistics import registry

if TYPE_CHECKING:
    from queries.binding.bound import BoundQuery
    from queries.catalog.schema import Dataset
    from queries.language import nodes
    from queries.mechanisms import Threshold
    from queries.plan import Output
    from queries.planning.noise import Noise


@dataclass(frozen=True)
class Sketch:
    """A plan in the making. Each step returns it with one thing more."""

    query: BoundQuery
    privacy: nodes.Privacy
    cells_per_person: int = 1
    events_per_cell: int = 1
    statistics: tuple[Drafted, ...] = ()
    shares: tuple[int, ...] = ()  # of each statistic, in billionths of epsilon or rho
    naming_nano: int = 0  # the share that names the values of an undeclared key
    outputs: tuple[Output, ...] = ()
    threshold: Threshold | None = None
    listing: Listing | None = None
    notes: tuple[str, ...] = ()  # what a reader of the answer should know

    @property
    def terms(self) -> Terms:
        """Return what all noise of the query depends on."""
        return Terms(self.cells_per_person, self.query.dataset.persons_max, self.privacy)

    @property
    def kinds(self) -> tuple[Noise, ...]:
        """Return the kinds of noise that the query may have. Raises InvalidQuery."""
        return kinds_of(self.privacy, self.query.dataset.noise)

    @property
    def values_per_person(self) -> int | None:
        """Return for how many values of an undeclared key one person counts, if there is such a key."""
        undeclared = self.query.undeclared
        if undeclared is None:
            return None
        return 1 if undeclared.column.of_person else self.cells_per_person


def plan(query: nodes.Query, dataset: Dataset, privacy: nodes.Privacy, cells_max: int) -> Plan:
    """Return the plan of a query that may spend so much. Raises InvalidQuery with the place."""
    least_charge.require_privacy(dataset, privacy)
    return plan_bound(bind(query, dataset, cells_max, registry.bind), privacy)


def plan_bound(query: BoundQuery, privacy: nodes.Privacy) -> Plan:
    """Return the plan of a bound query. Raises InvalidQuery with the place."""
    sketch = Sketch(query, privacy)
    for step in STEPS:
        deadline.require()
        sketch = step(sketch)
    return _finished(sketch)


def require_delta(sketch: Sketch) -> Sketch:
    """Raise InvalidQuery unless delta is given exactly where a key without declared values costs it."""
    undeclared, delta_atto = sketch.query.undeclared, sketch.privacy.delta_atto
    if undeclared is None and delta_atto is not None:
        raise InvalidQuery("/privacy/delta", "nothing in this query costs delta: every key has declared values")
    if undeclared is not None and delta_atto is None:
        raise InvalidQuery(
            "/privacy/delta",
            f"{undeclared.column.name} has no declared values, and to name those that many persons have costs delta: "
            'give it, as in "delta": 1e-8. What the study has left of it is in its budget',
        )
    return sketch


def choose_bounds(sketch: Sketch) -> Sketch:
    """Choose how much of one person counts: as asked, as the dataset's profile proposes, as declared, or by default."""
    query = sketch.query
    proposal = Proposal()
    if query.table.profile is not None and query.undeclared is None:
        proposal = _proposal(query, sketch.privacy)
    cells_per_person, events_per_cell, notes = bounds.bounds(query, proposal)
    return replace(
        sketch, cells_per_person=cells_per_person, events_per_cell=events_per_cell, notes=(*sketch.notes, *notes)
    )


def _proposal(query: BoundQuery, privacy: nodes.Privacy) -> Proposal:
    """Return what the dataset's profile proposes."""
    of_one_event = [registry.drafts(statistic, 1) for statistic in query.select]
    # As if every statistic had as many measures as the one with the most.
    parts = len(query.select) * max(map(len, of_one_event))
    # A noisy profile may make wide bounds look best. None are proposed whose sums do not fit into 64 bits.
    most = query.dataset.persons_max * max(draft.largest for drafts in of_one_event for draft in drafts)
    events_max = max(1, (SUM_MAX - 1) // max(1, most))
    return propose(query, privacy, parts, events_max=events_max)


def draft_measures(sketch: Sketch) -> Sketch:
    """Draft the vectors of numbers that the statistics are made of, and weigh them for the split of the charge."""
    privacy, select, events = sketch.privacy, sketch.query.select, sketch.events_per_cell
    targets = {} if privacy.margins is None else margins.targets(select, privacy.margins)
    every = [registry.drafts(one, events) for one in select]
    weights = [
        allocation.weigh(one.node, drafts, events, privacy.currency) for one, drafts in zip(select, every, strict=True)
    ]
    statistics = tuple(
        Drafted(one.name, one.node, drafts, weight, targets.get(one.name))
        for one, drafts, weight in zip(select, every, weights, strict=True)
    )
    return replace(sketch, statistics=statistics)


def share_charge(sketch: Sketch) -> Sketch:
    """Split the charge between the statistics, or find what the margins asked for cost.

    To name the values of an undeclared key costs a share too: an even one, or as much as the statistic with the largest
    where margins are asked for.
    """
    privacy, statistics = sketch.privacy, sketch.statistics
    if privacy.margins is not None:
        return _share_for_margins(sketch)
    total = privacy.rho_nano if privacy.epsilon_nano is None else privacy.epsilon_nano
    assert total is not None
    naming = 0 if sketch.query.undeclared is None else total // (len(statistics) + 1)
    return replace(sketch, shares=tuple(shares.of_charge(total - naming, statistics, privacy)), naming_nano=naming)


def _share_for_margins(sketch: Sketch) -> Sketch:
    """Share what the margins cost, but no less than the least that a question costs."""
    (kind,), currency = sketch.kinds, sketch.privacy.currency
    needed = shares.of_margins(sketch.statistics, kind, sketch.terms)
    least_nano = least_charge.nano(sketch.query.dataset, currency)
    raised = least_charge.raised(needed, least_nano)
    notes = sketch.notes
    if raised != needed:
        said = (
            f"the margins asked for would cost less than the least that a question costs, {currency} "
            f"{float(Fraction(least_nano, NANO)):.9g}: it costs that, and they are narrower"
        )
        notes = (*notes, said)
    return replace(sketch, shares=tuple(raised), naming_nano=max(raised), notes=notes)


def add_noise(sketch: Sketch) -> Sketch:
    """Give each measure the mechanism that its share buys.

    Laplace of epsilon = sqrt(2 rho) costs the same rho as Gaussian noise, and has a finite epsilon too: it is taken
    unless Gaussian noise has the smaller margins. A query has one kind of noise, because one Gaussian measure leaves
    the whole query without a finite epsilon.
    """
    made = [_with_noise(sketch, kind) for kind in sketch.kinds]
    return made[0] if len(made) == 1 else min(made, key=_widest)


def _with_noise(sketch: Sketch, kind: Noise) -> Sketch:
    terms, values_per_person = sketch.terms, sketch.values_per_person
    outputs = tuple(
        noise.output(statistic, nano, kind, terms)
        for statistic, nano in zip(sketch.statistics, sketch.shares, strict=True)
    )
    threshold = None
    if values_per_person is not None:
        threshold = noise.threshold(values_per_person, sketch.naming_nano, kind, terms)
    return replace(sketch, outputs=outputs, threshold=threshold)


def _widest(sketch: Sketch) -> float:
    """Return the largest margin, relative to its statistic's yardstick."""
    return max(
        allocation.relative_margin(one.statistic, one.measures, sketch.events_per_cell, sketch.privacy.confidence)
        for one in sketch.outputs
    )


def list_values(sketch: Sketch) -> Sketch:
    """Let the values of an undeclared key be listed, as many as the answer has room for."""
    query, undeclared, threshold = sketch.query, sketch.query.undeclared, sketch.threshold
    if undeclared is None or threshold is None:
        return sketch
    widest = max(measure.width for output in sketch.outputs for measure in output.measures)
    values_max = query.cells_max // (query.cells * widest) - undeclared.null
    listing = Listing(query.keys.index(undeclared), threshold.keys_per_person, values_max, threshold)
    said = (
        f"{undeclared.name} has no declared values: those are named of which the number of persons, with noise of "
        f"scale {threshold.scale:g}, is at least {threshold.threshold}"
    )
    return replace(sketch, listing=listing, notes=(*sketch.notes, said))


STEPS = (
    require_delta,
    choose_bounds,
    draft_measures,
    share_charge,
    add_noise,
    list_values,
)


def _finished(sketch: Sketch) -> Plan:
    query, built = sketch.query, sketch.query.built
    return Plan(
        dataset=query.dataset.name,
        query=query.query,
        table=query.table,
        where=query.where,
        keys=query.keys,
        cells=query.cells,
        cells_per_person=sketch.cells_per_person,
        events_per_cell=sketch.events_per_cell,
        outputs=sketch.outputs,
        notes=(*(() if built is None else built.notes), *sketch.notes),
        built=built,
        tables=query.tables,
        listing=sketch.listing,
        confidence=sketch.privacy.confidence,
    )
