"""When answers leave: at a beat that counts from the moment their scan began.

Everything before the scan (reading the request, planning, waiting for a place, the ledger) follows from public things,
however long it takes. So the beat counts from the scan, and nobody can push the end of a scan to the edge of a beat by
keeping the server busy before it begins.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

AHEAD = 0.2  # how much of a slot before its beat an answer is settled: time for that, so that none of it shows


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
