"""A dataset's cap as a picture: one bar, with a part for the profile and for each study, and what is free.

The whole bar is the cap, or what was promised where that is more (`overcommit`). Positions are percentages of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.pages.frame import calling

if TYPE_CHECKING:
    from collections.abc import Mapping

LABELLED = 4.0  # narrower parts have no number in the picture; the table beside it has all


@dataclass(frozen=True)
class Part:
    """A piece of the bar: spent, reserved, left, profile or free."""

    kind: str
    at: float
    width: float


@dataclass(frozen=True)
class Share:
    """What belongs to one study: its pieces, and its number in the picture. `share` is as the API sends it."""

    number: int
    at: float
    width: float
    parts: tuple[Part, ...]
    share: Mapping[str, Any]

    @property
    def is_labelled(self) -> bool:
        """Return whether the number fits into the picture."""
        return self.width >= LABELLED


@dataclass(frozen=True)
class Picture:
    """The bar. `cap_at` is where the cap is, if more than the cap was promised."""

    profile: Part
    studies: tuple[Share, ...]
    free: Part
    cap_at: float | None = field(default=None)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return all pieces, from left to right."""
        pieces = (self.profile, *(part for one in self.studies for part in one.parts), self.free)
        return tuple(one for one in pieces if one.width > 0)


def of(dataset: str) -> tuple[dict[str, Any], Picture]:
    """Return a dataset's shares, as the API sends them, and their picture."""
    shares = calling.get("datasets", dataset, "shares")
    return shares, picture(shares)


def picture(shares: Mapping[str, Any]) -> Picture:
    """Return the picture of a dataset's shares, as the API sends them."""
    cap, promised = float(shares["budget"]["epsilon"]), float(shares["promised"])
    whole = max(cap, promised)
    at = 100 * float(shares["profiles"]) / whole
    profile = Part("profile", 0, at)
    found = []
    for number, share in enumerate(shares["studies"], start=1):
        width = 100 * float(share["promised"]) / whole
        found.append(Share(number, at, width, _parts(at, width, share), share))
        at += width
    return Picture(
        profile, tuple(found), Part("free", at, max(0.0, 100 - at)), 100 * cap / whole if promised > cap else None
    )


def _parts(at: float, width: float, share: Mapping[str, Any]) -> tuple[Part, ...]:
    spent = width * _part(share, "spent")
    reserved = min(width - spent, width * _part(share, "reserved"))
    left = Part("left", at + spent + reserved, width - spent - reserved)
    return Part("spent", at, spent), Part("reserved", at + spent, reserved), left


def _part(share: Mapping[str, Any], state: str) -> float:
    """Return which part of what it was promised a study has spent or reserved, by the sum that decides."""
    used, budget = share["budget"][state], share["budget"]
    if used["epsilon"] is not None:
        return min(1.0, used["epsilon"] / share["promised"]) if share["promised"] else 0.0
    gauge = budget["gauge"]
    return min(1.0, used[gauge["of"]] / gauge["limit"]) if gauge["limit"] else 1.0
