"""Free acts that anybody can repeat without end: an entry of the log for the first, and one a minute for the others.

An estimate, a rehearsal, a replay, and the reading of a release or of a list (of users, tokens, imports, alerts, kept
names) cost nothing. With one entry each, a loop would make the log grow without bound and keep its write lock busy.
Therefore the first act of its kind is an entry at once, with all its facts. The next ones within a minute are counted
here, by who did it and to what, and one entry has their number. It is written when the minute is over, with the next
request of anybody, or when the server stops. Its action is that of the act with `.count`, because it may be written
after the study was suspended or the member has left.

A server that is killed forgets up to a minute of counts. It never forgets a first act, nor anything that was charged.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from budgets.audit import log, origin
from budgets.database import clock
from budgets.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.database.connection import Database

logger = logging.getLogger("rowless")

SECONDS = 60
COUNT = ".count"


@dataclass(frozen=True)
class Act:
    """What was done, by whom and to what: acts that are equal are counted together."""

    actor: Actor
    action: str
    subject: str
    study: str | None
    what: str  # in the plural, for the summary
    asked: tuple[tuple[str, str], ...] = ()  # what its entry says of what was asked: another question is another act


@dataclass
class _Count:
    """How often an act was repeated since its last entry."""

    since: str  # when that entry was written
    count: int = 0
    first: str = ""
    last: str = ""

    def is_over(self, ago: str, now: str) -> bool:
        """Return whether its minute, which began `ago`, is over. A clock that was set back ends it, too."""
        return not ago < self.since <= now

    def add(self, now: str) -> None:
        """Count one more."""
        self.first = self.first or now
        self.last = now
        self.count += 1


class Tallies:
    """The counts of one process. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Act, _Count] = {}
        self._over: list[tuple[Act, _Count]] = []  # to be written

    def is_first(self, act: Act) -> bool:
        """Return True if the caller has to write an entry of this act now. Otherwise it is counted."""
        with self._lock:
            known = self._counts.get(act)
            now = clock.now()
            if known is None or known.is_over(clock.seconds_ago(SECONDS), now):
                self._counts[act] = _Count(now)
                if known is not None and known.count:
                    self._over.append((act, known))
                return True
            known.add(now)
            return False

    def is_repeated(self, act: Act) -> bool:
        """Count this act and return True if it needs no entry. Else nothing is changed, and `is_first` has to be asked.

        For a caller that has nothing to write otherwise and would rather not wait for its turn to write.
        """
        with self._lock:
            known, now = self._counts.get(act), clock.now()
            if known is None or known.is_over(clock.seconds_ago(SECONDS), now):
                return False
            known.add(now)
            return True

    @contextmanager
    def reading(self, database: Database, act: Act, summary: str) -> Iterator[sa.Connection]:
        """Open a transaction in which something is read: with an entry of it, or counted if it was read a moment ago.

        The entry and what is read are of one moment; if the entry cannot be written, nothing is read. Raises
        Unavailable.
        """
        with self.writing() as is_first, database.write() as transaction:
            if is_first(act):
                facts = dict(act.asked)
                log.append(transaction, act.actor, act.action, act.subject, summary, study=act.study, facts=facts)
            yield transaction

    @contextmanager
    def writing(self) -> Iterator[Callable[[Act], bool]]:
        """Yield `is_first` for acts whose entries are written in a transaction that is opened inside.

        If it fails, also when it is committed, their entries are not there: then the next such act is the first one.
        """
        found: list[Act] = []

        def is_first(act: Act) -> bool:
            if self.is_first(act):
                found.append(act)
                return True
            return False

        try:
            yield is_first
        except BaseException:
            with self._lock:
                for act in found:
                    self._counts.pop(act, None)
            raise

    def write_what_is_due(self, database: Database) -> None:
        """Write the counts whose minute is over. If the ledger cannot be written, the caller's request goes on."""
        ago, now = clock.seconds_ago(SECONDS), clock.now()
        ended = [act for act, count in list(self._counts.items()) if count.is_over(ago, now)]
        if self._over or ended:
            with suppress(Unavailable):
                self._write(database, ended)

    def write_what_is_held(self, database: Database) -> None:
        """Write every count, when the server stops."""
        try:
            self._write(database, list(self._counts))
        except Unavailable:
            logger.warning("counts of free acts could not be written to the audit log")

    def _write(self, database: Database, ended: list[Act]) -> None:
        with self._lock:
            counts = [(act, self._counts.pop(act)) for act in ended if act in self._counts]
            taken = [*self._over, *((act, count) for act, count in counts if count.count)]
            self._over = []
        if not taken:
            return
        try:
            with origin.of_no_request(), database.write() as transaction:
                for act, count in taken:
                    log.append(
                        transaction,
                        act.actor,
                        act.action + COUNT,
                        act.subject,
                        f"{count.count} more {act.what}",
                        study=act.study,
                        facts={**dict(act.asked), "count": count.count, "from": count.first, "to": count.last},
                    )
        except BaseException:
            with self._lock:
                self._over += taken
            raise
