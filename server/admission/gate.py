"""Admission: who may work at once, who waits, and who is told to come again. It comes before any work on a request.

Each kind of work has a gate. A gate has `places`, in which requests work, and a queue of those that wait for one. Three
things are limited: how many work at once, how many of them are one user's or one study's (`share`), and how many wait:
of one owner (`waiting`) and in all (`queue`). A request beyond the first two waits. One beyond the others is refused at
once: with TooManyRequests if the owner's own share is used up, with Busy if the queue is full. Whoever was served
longest ago comes next, so 200 requests of one user delay another user by one place and not by 200.

What this tells about data, which is nothing that the answers do not tell:

- A request for real data keeps its place until its answer leaves, at a beat (`slots.py`), and not only until its scan
  ended. Otherwise a user could fill the gate and read the ends of other people's scans off their own waiting times.
- How many scans run at once is the number of places. A second, smaller limit for scans within their slots would make a
  short scan wait for the end of a long one, and the short one's beat would tell when that was.
- A request waits at most BEATS beats, counted from its arrival, and is then refused. Who has left meanwhile is noticed
  at beats too. Both depend on requests and on beats alone.

Nothing is charged before a request has its place. A client that leaves before its request works is dropped.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.admission import running
from server.errors import Abandoned, Busy, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Owner = tuple[str, str]  # what it is ("user", "study"), and its name

BEATS = 80  # that a request waits at most
REMEMBERED_MAX = 10_000  # owners whose last turn is known
BEAT_SECONDS_LEAST = 0.25  # where answers leave at once, or at beats that are closer


def stays() -> bool:
    """Return False: the client has not left. This is what a caller without a connection passes."""
    return False


@dataclass(frozen=True)
class Limits:
    """How many requests of one kind work or wait at once: in all, and of one user or study."""

    places: int
    share: int
    waiting: int
    queue: int

    @property
    def most(self) -> int:
        """Return how many requests can be inside the gate."""
        return self.places + self.queue


@dataclass(eq=False)
class Entry:
    """A request inside a gate. It works at most once."""

    gate: Gate
    owners: tuple[Owner, ...]
    arrived: float = field(default_factory=time.monotonic)
    large: bool = False

    @contextmanager
    def place(self, has_left: Callable[[], bool] = stays, *, large: bool = False) -> Iterator[None]:
        """Wait for a place, and hold it. Raises Busy after BEATS beats, Abandoned if the client has left."""
        self.large = large
        self.gate.wait_for_place(self, has_left)
        if large or self.gate.long:
            running.step_aside()
        try:
            yield
        finally:
            self.gate.leave_place(self)


class Gate:
    """The requests of one kind. Threads share it.

    Of those that work, at most `large_places` are large, so that requests that take long leave places to the others.
    Large ones, and all of a kind that is `long`, step aside (`running.py`) as soon as they have their place.
    """

    def __init__(
        self,
        what: str,
        limits: Limits,
        beat_seconds: float = BEAT_SECONDS_LEAST,
        large_places: int | None = None,
        *,
        long: bool = False,
    ) -> None:
        self.what = what
        self.long = long
        self.limits = limits
        self._beat = max(beat_seconds, BEAT_SECONDS_LEAST)
        self._large_places = limits.places if large_places is None else large_places
        self._lock = threading.Lock()
        self._inside: Counter[Owner] = Counter()
        self._entries = 0
        self._working: Counter[Owner] = Counter()
        self._work: list[Entry] = []
        self._queue: dict[Entry, threading.Condition] = {}  # in the order of arrival, with what wakes each
        self._served: dict[Owner, int] = {}  # the turn at which an owner was last given a place
        self._turn = 0
        self._closed = False

    @contextmanager
    def entered(self, *owners: Owner) -> Iterator[Entry]:
        """Count a request in, from its arrival to its end. Raises TooManyRequests and Busy at once, without waiting."""
        entry = self._enter(owners)
        try:
            yield entry
        finally:
            self._leave(entry)

    def count(self) -> tuple[int, int]:
        """Return how many requests work, and how many wait. Both change at beats where data are asked."""
        with self._lock:
            return len(self._work), len(self._queue)

    def close(self) -> None:
        """Refuse everything that does not work yet, because the server stops."""
        with self._lock:
            self._closed = True
            for waits in self._queue.values():
                waits.notify()

    def wait_for_place(self, entry: Entry, has_left: Callable[[], bool]) -> None:
        """Return when an entry has a place. Raises Busy, Abandoned."""
        deadline = entry.arrived + BEATS * self._beat
        with self._lock:
            wakes = self._queue[entry] = threading.Condition(self._lock)
            try:
                while self._closed or self._next() is not entry:
                    if has_left():
                        raise Abandoned("the client has left")
                    left = deadline - time.monotonic()
                    if self._closed or left <= 0:
                        raise Busy(f"no place for this {self.what} became free; nothing was charged, try again soon")
                    running.step_aside()
                    wakes.wait(min(left, self._beat))
                if has_left():
                    raise Abandoned("the client has left")
                self._work.append(entry)
                self._working.update(entry.owners)
                self._turn += 1
                self._served.update(dict.fromkeys(entry.owners, self._turn))
                if len(self._served) > REMEMBERED_MAX:
                    self._served = {owner: turn for owner, turn in self._served.items() if owner in self._inside}
            finally:
                del self._queue[entry]
                self._wake_next()

    def leave_place(self, entry: Entry) -> None:
        """Free an entry's place."""
        with self._lock:
            self._work.remove(entry)
            _uncount(self._working, entry.owners)
            self._wake_next()

    def _enter(self, owners: tuple[Owner, ...]) -> Entry:
        allowed = self.limits.share + self.limits.waiting
        with self._lock:
            for kind, name in owners:
                if self._inside[kind, name] >= allowed:
                    raise TooManyRequests(
                        f"{allowed} of this {kind}'s requests of this kind ({self.what}) are in progress, which is the "
                        "most; nothing was charged, try again when one has ended"
                    )
            if self._closed or self._entries >= self.limits.most:
                raise Busy(f"too many requests of this kind ({self.what}) are in progress; try again soon")
            self._entries += 1
            self._inside.update(owners)
            return Entry(self, owners)

    def _leave(self, entry: Entry) -> None:
        with self._lock:
            self._entries -= 1
            _uncount(self._inside, entry.owners)

    def _wake_next(self) -> None:
        """Wake who gets the next place, and nobody else: each thread that wakes in vain delays those that work."""
        entry = self._next()
        if entry is not None:
            self._queue[entry].notify()

    def _next(self) -> Entry | None:
        """Return who gets the next place, or None while nobody can have one."""
        if len(self._work) >= self.limits.places:
            return None
        large_free = sum(one.large for one in self._work) < self._large_places
        able = (one for one in self._queue if (large_free or not one.large) and self._has_share_left(one))
        return min(able, key=self._last_served, default=None)  # of equal ones the first that came

    def _has_share_left(self, entry: Entry) -> bool:
        return all(self._working[owner] < self.limits.share for owner in entry.owners)

    def _last_served(self, entry: Entry) -> int:
        return max((self._served.get(owner, 0) for owner in entry.owners), default=0)


def _uncount(counted: Counter[Owner], owners: tuple[Owner, ...]) -> None:
    """Take one of each of some owners from a count; those with none left are no longer in it."""
    for owner in owners:
        counted[owner] -= 1
        if not counted[owner]:
            del counted[owner]
