"""How a result with several numbers is laid out: the lists that an answer's results may have.

A stored release is read by these alone, so this module imports nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Listed:
    """One kind of list.

    `member` is the list within a result, and `label` the member of each part that names it. `parts` is what sentences
    call the parts, and `heading` stands above their names in a table. The parts of a `ranked` list are named by their
    place (1, 2, ...), because what they are about differs from row to row.
    """

    member: str
    label: str
    parts: str
    heading: str
    ranked: bool = False


BINS = Listed("bins", "bin", parts="bins", heading="bin")
TOP = Listed("top", "key", parts="keys", heading="value", ranked=True)
QUANTILES = Listed("quantiles", "at", parts="quantiles", heading="at")
SURVIVAL = Listed("survival", "until", parts="points", heading="until day")
DIFFERENCES = Listed("differences", "until", parts="points", heading="until day")  # of two survival curves

LISTS = {listed.member: listed for listed in (BINS, TOP, QUANTILES, SURVIVAL, DIFFERENCES)}


def parts_of(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results that a statistic has in one row: itself, or each of a list."""
    for member in LISTS:
        if member in result:
            found: list[Mapping[str, Any]] = result[member]
            return found
    return [result]
