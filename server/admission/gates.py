"""The gates of a server: one for each kind of work, with the limits that its settings give it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from server.admission.gate import Gate, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUES = 8  # the queue of a gate is so many times what one owner may have in it
REHEARSALS = 2  # at once: each uses one thread of the engine, and more would slow real scans down
ESTIMATES = 3  # at once, and
LARGE_ESTIMATES = 1  # of them so many large ones: the planner is Python, of which only one thread runs at a time
VERIFICATIONS = 1  # at once: each reads the whole log and uses a core for as long as that takes
EXPORTS = 1  # copies of the log at once: each reads all of it and writes a file; none waits
RENDERINGS = 2  # pages with an answer at once: each may draw tens of thousands of numbers, in Python
RENDERINGS_WAITING = 4  # of one user: a few tabs that are opened together
SPARE_THREADS = 16  # for what needs no place: health, wrong tokens, refusals


class Work(StrEnum):
    """A kind of work, as refusals and metrics name it."""

    QUERY = "query"
    REHEARSAL = "rehearsal"
    ESTIMATE = "estimate"
    VERIFICATION = "verification"
    EXPORT = "export"
    RENDERING = "rendering"
    REST = "rest"


@dataclass(frozen=True)
class Gates:
    """The gate of each kind of work."""

    query: Gate
    rehearsal: Gate
    estimate: Gate
    verification: Gate
    export: Gate
    rendering: Gate
    rest: Gate

    @classmethod
    def with_limits(cls, *, queries: int, share: int, waiting: int, threads: int, slot_ms: int) -> Gates:
        """Return new gates, in which nobody is. docs/operations.md describes what the settings are."""
        beat = slot_ms / 1000
        queue = QUEUES * waiting
        return cls(
            Gate(Work.QUERY, Limits(queries, share, waiting, queue), beat),
            Gate(Work.REHEARSAL, Limits(REHEARSALS, 1, waiting, queue), beat),
            Gate(Work.ESTIMATE, Limits(ESTIMATES, 1, waiting, queue), beat, LARGE_ESTIMATES),
            Gate(
                Work.VERIFICATION,
                Limits(VERIFICATIONS, VERIFICATIONS, VERIFICATIONS, 2 * VERIFICATIONS),
                beat,
                long=True,
            ),
            Gate(Work.EXPORT, Limits(EXPORTS, EXPORTS, 0, 0), beat, long=True),
            Gate(Work.RENDERING, Limits(RENDERINGS, 1, RENDERINGS_WAITING, QUEUES * RENDERINGS), beat, long=True),
            Gate(Work.REST, Limits(threads, max(1, threads // 2), 2 * waiting, 2 * queue), beat),
        )

    def of(self, work: Work) -> Gate:
        """Return the gate of a kind of work."""
        found: Gate = getattr(self, work.value)
        return found

    def __iter__(self) -> Iterator[Gate]:
        """Yield every gate."""
        return (self.of(work) for work in Work)

    @property
    def threads(self) -> int:
        """Return how many threads are enough for everything that can be inside, and for refusing the rest at once."""
        return sum(gate.limits.most for gate in self) + SPARE_THREADS

    def close(self) -> None:
        """Refuse what does not work yet, because the server stops."""
        for gate in self:
            gate.close()
