"""When answers leave: at a beat, counted from the moment their scan began.

What happens before the scan (reading the request, planning, waiting for a place, the ledger) depends on public facts
alone, however long it takes. Because the beat is counted from the start of the scan, nobody can move the end of a scan
to the edge of a beat by keeping the server busy beforehand.

A slot is the time from one beat to the next: the smallest multiple of ROWLESS_SLOT_MS in which the scan should end
comfortably (`queries/execution/scan_time.py`). Nearly every answer leaves at its first beat; the others are counted for
the admin (`budgets/ledger/overruns.py`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from queries.execution import scan_time
from queries.execution.scan_time import Figures
from queries.store.made_up.rehearsal import EVENTS_MOST, PERSONS_MADE
from server.admission import running

if TYPE_CHECKING:
    from collections.abc import Callable

    from queries.catalog.schema import Dataset
    from queries.contribution import profile
    from queries.execution.scan_time import Rates
    from queries.plan import Plan
    from server.runtime.settings import Settings

SAFETY = 3  # times the predicted scan time: for concurrent scans, cold disks, and what the prediction leaves out
AHEAD = 0.2  # an answer is settled this part of a slot before its beat, so that the time of settling does not show


@dataclass(frozen=True)
class Fitting:
    """Chooses how long slots are, by this machine's rates. Without rates, every slot has the length of the setting."""

    settings: Settings
    rates: Rates | None = None
    scans: int = 1  # how many parts of a scan run at once

    def of(self, plan: Plan, dataset: Dataset, parts: int) -> float:
        """Return the seconds of a query's slot, from the plan and public figures of its dataset alone.

        `parts` is the number of the edition's parts, which follows from public figures or is the admin's choice.
        """
        return self._fit(lambda rates: scan_time.foretell(plan, rates, Figures.of(dataset), self.scans, parts))

    def of_rehearsal(self, plan: Plan) -> float:
        """Return the seconds of a rehearsal's slot. Every made-up store has the same size."""
        events = dict.fromkeys(plan.tables, PERSONS_MADE * EVENTS_MOST)
        return self._fit(lambda rates: scan_time.foretell(plan, rates, Figures(PERSONS_MADE, events), 1))

    def of_profile(self, plan: profile.Plan, dataset: Dataset, parts: int) -> float:
        """Return the seconds of a contribution profile's slot."""
        return self._fit(lambda rates: scan_time.foretell_profile(plan, rates, Figures.of(dataset), self.scans, parts))

    def _fit(self, foretold: Callable[[Rates], float]) -> float:
        if not self.settings.slot_ms or self.rates is None:
            return self.settings.slot_ms / 1000
        # A scan that exceeds query_seconds fails, so no slot needs to be longer than that.
        needed = min(SAFETY * foretold(self.rates), self.settings.query_seconds) / (1 - AHEAD)
        return max(1, math.ceil(needed * 1000 / self.settings.slot_ms)) * self.settings.slot_ms / 1000


@dataclass(frozen=True)
class Slot:
    """The beats of one scan. `seconds` is the time between them; 0 means that nothing waits."""

    seconds: float
    began: float

    @classmethod
    def start(cls, seconds: float) -> Slot:
        """Return a slot for a scan that begins now."""
        return cls(seconds, time.monotonic())

    def overran(self) -> bool:
        """Return whether it is too late to settle for the first beat."""
        return self.seconds > 0 and time.monotonic() - self.began > self.seconds * (1 - AHEAD)

    def wait(self, ahead: float = 0) -> None:
        """Sleep until the next beat, or until `ahead` of a slot before the next beat."""
        if self.seconds:
            elapsed = time.monotonic() - self.began
            # Just past a beat, rounding can make the difference negative.
            beat = max(1, math.ceil(elapsed / self.seconds + ahead))
            running.step_aside()
            time.sleep(max(0.0, (beat - ahead) * self.seconds - elapsed))
