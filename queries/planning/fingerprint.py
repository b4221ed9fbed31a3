"""The fingerprint of a question: the same for all its spellings. It decides what is a replay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from queries.binding import per_person, predicates
from queries.language import nodes
from queries.mechanisms import NANO
from queries.statistics import registry

if TYPE_CHECKING:
    from queries.binding.keys import CellKey
    from queries.mechanisms import Mechanism
    from queries.plan import Listing, Measure, Plan

# Each statistic has these members, so that texts written by earlier versions are still the same questions.
NO_PARAMETERS: dict[str, object] = {"at": None, "listed": False, "k": None}


def _price_of(mechanism: Mechanism) -> dict[str, int]:
    if mechanism.epsilon_nano is not None:
        return {"epsilon_nano": mechanism.epsilon_nano}
    return {"rho_nano": int(mechanism.rho * NANO)}


def _listing(listing: Listing) -> dict[str, int]:
    return {
        **_price_of(listing.mechanism.noise),
        "delta_atto": listing.mechanism.delta_atto,
        "values_per_person": listing.values_per_person,
        "values_max": listing.values_max,
    }


def of(plan: Plan) -> str:
    """Return a text that is the same for two requests exactly if they ask the same question at the same price.

    It has nothing of the spelling: only codes, bounds and billionths.
    """
    statistics = {
        output.name: {
            "statistic": nodes.word_of(output.statistic),
            **NO_PARAMETERS,
            **registry.of(output.statistic).parameters(output.statistic),
            "measures": [_measure(measure) for measure in output.measures],
        }
        for output in plan.outputs
    }
    document = {
        "dataset": plan.dataset,
        "from": plan.table.name if plan.built is None else per_person.to_json(plan.built),
        "where": predicates.to_json(plan.where),
        "group_by": [_key(key) for key in plan.keys],
        "select": statistics,
        "bounds": [plan.cells_per_person, plan.events_per_cell],
        "named": None if plan.listing is None else _listing(plan.listing),
        "confidence": str(plan.confidence),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _measure(measure: Measure) -> dict[str, object]:
    return {
        "counted": measure.counted.value,
        "factors": [[factor.column.name, factor.low, factor.high] for factor in measure.factors],
        "present": [column.name for column in measure.present],
        "within": None if measure.within is None else _key(measure.within),
        "where": None if measure.where is None else predicates.to_json(measure.where),
        "split": None if measure.split is None else predicates.to_json(measure.split),
        **_price_of(measure.mechanism),
    }


def _key(key: CellKey) -> dict[str, object]:
    shown: dict[str, object] = {
        "name": key.name,
        "column": key.column.name,
        "edges": key.edges,
        "labels": key.labels,
    }
    return shown if key.part is None else {**shown, "part": key.part}
