"""The columns of an answer, of one that is planned or of one that was released: what each has in every row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from queries.language import nodes
from queries.language.showing import Difference
from queries.release.derived import deriving
from queries.release.derived.deriving import Known
from queries.release.derived.parts import NOISE
from queries.statistics import registry
from queries.statistics.parts.lists import LISTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from queries.language.showing import Derive
    from queries.plan import Output, Plan

    Value = str | float | bool | None

SURVIVAL = "survival"  # its columns say all of its noise in `scale`


class Kind(Enum):
    """What a column of an answer has in each row.

    LIST is a statistic with several numbers. ANY are the labels of a key in an answer without rows, which shows none.
    """

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    STATISTIC = "statistic"
    LIST = "list"
    ANY = "any"


@dataclass(frozen=True)
class Columns:
    """The columns of an answer: the kind of each by its name, and the labels of the keys that are cut into bins.

    `known` is what standardised rates and differences of curves need to know.
    """

    kinds: Mapping[str, Kind]
    bins: Mapping[str, tuple[str, ...]]
    known: Known


def planned(plan: Plan) -> Columns:
    """Return the columns that the answer to a plan will have."""
    kinds: dict[str, Kind] = {}
    bins = {}
    for key, asked in zip(plan.keys, plan.query.group_by, strict=True):
        kinds[key.name] = Kind.TEXT if key.named is not None else _kind(key.label(place) for place in range(key.size))
        if isinstance(asked, nodes.ByBins):
            bins[key.name] = tuple(str(label) for label in key.labels)
    for output in plan.outputs:
        several = registry.of(output.statistic).listed is not None and getattr(output.statistic, "listed", True)
        kinds[output.name] = Kind.LIST if several else Kind.STATISTIC
    keys = {key.name: key for key in plan.keys}
    known = Known(
        tuple(keys),
        {output.name: registry.of(output.statistic).word for output in plan.outputs},
        frozenset(output.name for output in plan.outputs if _tells(output)),
        frozenset(key.name for key in plan.keys if key.named is not None),
        lambda name: keys[name].every_label(),
    )
    return Columns(kinds, bins, known)


def _tells(output: Output) -> bool:
    """Return whether an answer has all that a statistic's numbers can be recomputed from."""
    statistic = registry.of(output.statistic)
    return bool(statistic.noise(output)) or statistic.word == SURVIVAL


def released(body: Mapping[str, Any]) -> Columns:
    """Return the columns of a stored answer."""
    kinds: dict[str, Kind] = {}
    rows = body["rows"]
    for column in body["columns"]:
        name = column["name"]
        if column["kind"] == "key":
            kinds[name] = _kind(row[name] for row in rows) if rows else Kind.ANY
        else:
            several = bool(rows) and not rows[0][name].keys().isdisjoint(LISTS)
            kinds[name] = Kind.LIST if several else Kind.STATISTIC
    keys = [name for name, kind in kinds.items() if kind not in (Kind.LIST, Kind.STATISTIC)]
    bins = {
        name: tuple(dict.fromkeys(row[name] for row in rows if row[name] is not None))
        for name, asked in zip(keys, body["query"].get("group_by", ()), strict=False)
        if isinstance(asked, dict) and "bins" in asked
    }
    return Columns(kinds, bins, _known(body, keys))


def _known(body: Mapping[str, Any], keys: Sequence[str]) -> Known:
    columns = {column["name"]: column for column in body["columns"]}
    statistics = [name for name, column in columns.items() if column["kind"] == "statistic"]
    words = {
        name: next((one for one in registry.WORDS if one in body["query"].get("select", {}).get(name, {})), "")
        for name in statistics
    }
    return Known(
        tuple(keys),
        words,
        frozenset(name for name in statistics if NOISE in columns[name] or words[name] == SURVIVAL),
        frozenset(key for key in keys if "threshold" in columns[key]),
        lambda name: tuple(dict.fromkeys(row[name] for row in body["rows"])),
    )


def _kind(labels: Iterable[Value]) -> Kind:
    first = next((label for label in labels if label is not None), "")
    if isinstance(first, bool):
        return Kind.BOOLEAN
    return Kind.TEXT if isinstance(first, str) else Kind.NUMBER


def derived(asked: Derive, columns: Columns) -> Columns:
    """Return the columns of an answer with what was computed in the place of its rows."""
    taken = deriving.names(asked, columns.known)
    kinds = {name: kind for name, kind in columns.kinds.items() if name in columns.known.keys}
    if isinstance(asked, Difference):
        kinds |= {asked.statistic: Kind.LIST, taken[0]: Kind.LIST, taken[1]: Kind.STATISTIC, taken[2]: Kind.STATISTIC}
    else:
        kinds = {name: kind for name, kind in kinds.items() if name != asked.by}
        kinds |= {taken[0]: Kind.STATISTIC, taken[1]: Kind.LIST}
    return replace(columns, kinds=kinds)
