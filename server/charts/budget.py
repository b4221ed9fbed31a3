"""What accounts of the ledger used: a gauge for each, and how it came about over time.

These numbers are exact sums of the ledger without noise, so they have no margin.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from server.charts import frame, scales, svg, texts, words
from server.charts.frame import GAP, LINE
from server.charts.svg import ACCENT, FAINT, INK, SMALL
from server.views import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from server.charts.scales import Scale
    from server.charts.words import Words

BAR = 12.0
HEIGHT = 180.0
POINTS_MAX = 1000  # corners of the line; of more charges several make one corner
TICKS_MAX = 6
SHORT = 3 * 86400  # seconds; a shorter time has hours and minutes at its axis
ALONE = 60.0  # seconds before and after a charge that is the only one


@dataclass(frozen=True)
class Used:
    """What an account used of its limit, in a unit: epsilon, rho, laplace_epsilon or gaussian_rho."""

    account: str
    unit: str
    used: Decimal
    limit: Decimal

    @property
    def share(self) -> float:
        """Return the used share of the limit, at most 1."""
        return min(1.0, float(self.used / self.limit)) if self.limit else 1.0


@dataclass(frozen=True)
class Picture:
    """A drawing for a page with its words."""

    title: str
    description: str
    svg: str


def amount(cost: Mapping[str, Any], unit: str) -> Decimal:
    """Return what a charge adds to a sum: only Laplace noise has an epsilon, and Gaussian noise adds to its rho."""
    if unit == "gaussian_rho" and cost["epsilon"] is not None:
        return Decimal(0)
    return Decimal(str(cost["rho" if unit in ("rho", "gaussian_rho") else "epsilon"] or 0))


def gauges(accounts: Sequence[Used], prefix: str, said: Words = words.ENGLISH, width: int = frame.WIDE) -> Picture:
    """Return a bar for each account, filled as far as it was used."""
    title, description = words.used_title(said), " ".join(_sentence(said, one) for one in accounts)
    drawn, y = [], 0.0
    for one in accounts:
        told = words.used_of(said, words.unit(said, one.unit), _exact(said, one.used), _exact(said, one.limit))
        room = width - texts.width(told, SMALL) - GAP
        drawn += [
            svg.text(0, y + 12, texts.fitted(texts.name(one.account), room)),
            svg.text(width, y + 12, told, anchor="end", size=SMALL),
            svg.element("rect", x=0, y=y + 20, width=width, height=BAR, fill=INK, fill_opacity=FAINT),
            svg.element("rect", x=0, y=y + 20, width=width * one.share, height=BAR, fill=ACCENT),
        ]
        y += 20 + BAR + LINE
    return Picture(
        title,
        description,
        svg.document(prefix, (title, description), "".join(drawn), viewBox=f"0 0 {width} {svg.number(y)}"),
    )


def spending(
    charges: Sequence[tuple[str, Decimal]],
    account: Used,
    until: str,
    prefix: str,
    said: Words = words.ENGLISH,
    width: int = frame.WIDE,
    before: Decimal = scales.ZERO,
) -> Picture:
    """Return how the use of an account grew by charges (time in ISO 8601, amount), oldest first, up to now.

    `before` is what was charged before the first of them.

    Charges that have no time here (a query under way) are in the account's sum, and in the line from the last one on.
    """
    title = words.spending_title(said, words.unit(said, account.unit), texts.name(account.account))
    description = f"{words.charges(said, len(charges))} {_sentence(said, account)}"
    times = [_seconds(time) for time, _ in charges]
    end = max([_seconds(until), *times])
    begin = min([*times, end - ALONE])
    top, bottom = LINE, LINE + HEIGHT
    scale = scales.nice(scales.ZERO, max(account.limit, account.used), bottom, top, 4)
    left = max(texts.width(numbers.short(tick, said.marks), SMALL) for tick in scale.ticks) + GAP
    across = _Time(begin, end, left, width - 4.0, said.days)
    corners = [(across.at(begin), scale.at(before))]
    total = before
    for place, (time, (_, amount)) in enumerate(zip(times, charges, strict=True)):
        total += amount
        if place % (len(charges) // POINTS_MAX + 1) == 0 or place == len(charges) - 1:
            corners += [(across.at(time), corners[-1][1]), (across.at(time), scale.at(total))]
    corners += [(across.end, corners[-1][1]), (across.end, scale.at(account.used))]
    limit = scale.at(account.limit)
    drawn = [
        *_upright_axis(said, scale, left, width),
        svg.element(
            "path",
            d=svg.path([*corners, (across.end, bottom), (left, bottom)], closed=True),
            fill=ACCENT,
            fill_opacity=0.16,
        ),
        svg.element("path", d=svg.path(corners), fill="none", stroke=ACCENT, stroke_width=2),
        svg.line(left, limit, width, limit, stroke_dasharray="6 4"),
        svg.text(width, limit - 5, words.limit(said, _exact(said, account.limit)), anchor="end", size=SMALL),
        across.labels(bottom),
    ]
    return Picture(
        title,
        description,
        svg.document(
            prefix, (title, description), "".join(drawn), viewBox=f"0 0 {width} {svg.number(bottom + 18 + GAP)}"
        ),
    )


def _upright_axis(said: Words, scale: Scale, left: float, right: float) -> list[str]:
    drawn = []
    for tick in scale.ticks:
        y = scale.at(tick)
        drawn.append(svg.line(left, y, right, y, stroke_opacity=0.6 if tick == 0 else FAINT))
        drawn.append(svg.text(left - GAP, y + 4, numbers.short(tick, said.marks), anchor="end", size=SMALL, muted=True))
    return drawn


def _exact(said: Words, amount: Decimal) -> str:
    return numbers.short(amount.normalize() if amount else amount, said.marks)


def _sentence(said: Words, one: Used) -> str:
    account = texts.name(one.account)
    unit = words.unit(said, one.unit)
    return words.used_sentence(said, account, unit, _exact(said, one.used), _exact(said, one.limit))


def _seconds(time: str) -> float:
    moment = dt.datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


@dataclass(frozen=True)
class _Time:
    """An axis of time, in seconds since 1970, from `start` to `end`. `days` is how strftime writes a day."""

    first: float
    last: float
    start: float
    end: float
    days: str

    def at(self, seconds: float) -> float:
        """Return the place of a moment."""
        return self.start + (self.end - self.start) * (seconds - self.first) / (self.last - self.first)

    def labels(self, bottom: float) -> str:
        """Return the labels of the first and the last moment, and of some between that leave room."""
        written = f"{self.days} %H:%M" if self.last - self.first <= SHORT else self.days
        # The labels at the ends begin and end there, so that they are half a label nearer to their neighbours.
        apart = 1.5 * texts.width(_moment(self.last, written), SMALL) + GAP
        count = max(2, min(TICKS_MAX, 1 + int((self.end - self.start) // apart)))
        drawn = []
        for place in range(count):
            seconds = self.first + (self.last - self.first) * place / (count - 1)
            anchor = "start" if place == 0 else "end" if place == count - 1 else "middle"
            said = _moment(seconds, written)
            drawn.append(svg.text(self.at(seconds), bottom + 18, said, anchor=anchor, size=SMALL, muted=True))
        return "".join(drawn)


def _moment(seconds: float, written: str) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime(written)
