"""When answers leave: at a beat that counts from the moment their scan began.

Everything before the scan (reading the request, planning, waiting for a place, the ledger) follows from public things,
however long it takes. So the beat counts from the scan, and nobody can push the end of a scan to the edge of a beat by
keeping the server busy before it begins.

A slot is the least multiple of ROWLESS_SLOT_MS in which the scan should end well (`queries/execution/scan_time.py`):
nearly every answer leaves at its first beat, and the later ones are counted for the admin
(`budgets/ledger/overruns.py`).
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from queries.execution import scan_time
from queries.execution.scan_time import Figures
from queries.store.rehearsal import EVENTS_MOST, PERSONS_MADE

if TYPE_CHECKING:
    from collections.abc import Callable

    from queries.catalog.schema import Dataset
    from queries.contribution import profile
    from queries.execution.scan_time import Rates
    from queries.plan import Plan
    from server.runtime.settings import Settings

SAFETY = 3  # times what was foretold: for other scans beside it, cold disks, and what a figure cannot tell
AHEAD = 0.2  # how much of a slot before its beat an answer is settled: time for that, so that none of it shows


@dataclass(frozen=True)
class Fitting:
    """How long slots are: the settings, and this machine's rates (None: every slot has the least length)."""

    settings: Settings
    rates: Rates | None = None

    def of(self, plan: Plan, dataset: Dataset) -> float:
        """Return the seconds of a query's slot: from the plan and public figures of its dataset alone."""
        return self._fit(lambda rates: scan_time.foretell(plan, rates, Figures.of(dataset), os.cpu_count() or 1))

    def of_rehearsal(self, plan: Plan) -> float:
        """Return the seconds of a rehearsal's slot: its store has the same size whatever it stands for."""
        events = dict.fromkeys(plan.tables, PERSONS_MADE * EVENTS_MOST)
        return self._fit(lambda rates: scan_time.foretell(plan, rates, Figures(PERSONS_MADE, events), 1))

    def of_profile(self, plan: profile.Plan, dataset: Dataset) -> float:
        """Return the seconds of a contribution profile's slot."""
        figures, threads = Figures.of(dataset), os.cpu_count() or 1
        return self._fit(lambda rates: scan_time.foretell_profile(plan, rates, figures, threads))

    def _fit(self, foretold: Callable[[Rates], float]) -> float:
        if not self.settings.slot_ms or self.rates is None:
            return self.settings.slot_ms / 1000
        # A scan that takes longer than it may ends in a failure: no slot needs to be longer than that.
        needed = min(SAFETY * foretold(self.rates), self.settings.query_seconds) / (1 - AHEAD)
        return max(1, math.ceil(needed * 1000 / self.settings.slot_ms)) * self.settings.slot_ms / 1000


@dataclass(frozen=True)
class Slot:
    """What a scan that began now leaves at the beats of. `seconds` is its length; 0: no slot."""

    seconds: float
    began: float

    @classmethod
    def start(cls, seconds: float) -> Slot:
        """Return a slot that starts now."""
        return cls(seconds, time.monotonic())

    def overran(self) -> bool:
        """Say whether it is too late by now to settle for the first beat."""
        return self.seconds > 0 and time.monotonic() - self.began > self.seconds * (1 - AHEAD)

    def wait(self, ahead: float = 0) -> None:
        """Sleep until the next beat, or until a part of a slot before a beat."""
        if self.seconds:
            elapsed = time.monotonic() - self.began
            # Just past a beat the difference of floats can fall below 0.
            beat = max(1, math.ceil(elapsed / self.seconds + ahead))
            time.sleep(max(0.0, (beat - ahead) * self.seconds - elapsed))
