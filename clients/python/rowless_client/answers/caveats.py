"""What a reader of numbers must know: which are mostly noise, and where an unknown part was cut off.

It is shown with every answer, and raised as a Python warning when an answer arrives.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rowless_client.answers.flat import Flat
from rowless_client.answers.numbers import percent
from rowless_client.cautions import Caution, Drowned, TruncationUnknown

DROWNED_MIN = 0.05  # the share from which on the server's advice speaks of it
OURS = __name__.partition(".")[0]


@dataclass(frozen=True)
class Found:
    """One thing to know: its kind and its sentence."""

    kind: type[Caution]
    text: str


def of_answer(flat: Flat, *, is_made_up: bool) -> list[Found]:
    """Return what must be known of an answer's numbers. Those of a rehearsal mean nothing anyway."""
    found = [] if is_made_up else _drowned(flat)
    return found + _truncated({one.statistic: one.about for one in flat.series})


def of_estimate(estimate: Mapping[str, Any]) -> list[Found]:
    """Return what must be known before a query is paid."""
    found = []
    of = estimate.get("drowned_of")
    for name, share in of.items() if isinstance(of, dict) else ():
        if isinstance(share, (int, float)) and share >= DROWNED_MIN:
            found.append(
                Found(
                    Drowned,
                    f"{name}: about {percent(share)} of the numbers are expected to be smaller than their margin",
                )
            )
    columns = {one.get("name"): one for one in estimate.get("columns", []) if isinstance(one, dict)}
    return found + _truncated({str(name): one for name, one in columns.items() if one.get("kind") == "statistic"})


def warn(found: list[Found]) -> None:
    """Warn in the name of the line outside this package that led here."""
    depth = 2  # 1 is this function
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == OURS:
        frame, depth = frame.f_back, depth + 1
    for one in found:
        warnings.warn(one.text, one.kind, stacklevel=depth)


def _drowned(flat: Flat) -> list[Found]:
    found = []
    for name in flat.statistics:
        places = flat.of(name)
        numbers = [row[place] for row in flat.numbers for place in places if row[place].is_whole]
        wide = sum(number.drowns for number in numbers)
        if wide:
            found.append(
                Found(Drowned, f"{name}: {wide} of {len(numbers)} numbers have a margin of more than half of them")
            )
    return found


def _truncated(about: Mapping[str, Mapping[str, Any]]) -> list[Found]:
    return [
        Found(
            TruncationUnknown,
            f"{name}: contribution bounds cut off nobody knows how much, and no margin includes it. Give bounds",
        )
        for name, one in about.items()
        if one.get("truncation") == "unknown"
    ]
