"""A cluster that is this process: the tasks of an import one after the other, with all that travels pickled."""

from __future__ import annotations

import pickle
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from queries.store.cluster.tasks import FileTask


class SerialCluster:
    """Runs every task once, or, as Spark does where an executor was lost, `times` times, of which the last counts."""

    def __init__(self, times: int = 1) -> None:
        self._times = times

    def shuffled(
        self, split: Callable[[FileTask], Iterable[tuple[int, Any]]], tasks: Sequence[FileTask], numbers: int
    ) -> SerialShuffled:
        """Return what a function yields for tasks."""
        records: dict[int, list[bytes]] = defaultdict(list)
        for task in reversed(pickle.loads(pickle.dumps(tasks))):
            for _ in range(self._times):
                found = list(pickle.loads(pickle.dumps(split))(task))
            for number, record in found:
                assert 0 <= number < numbers
                records[number].append(pickle.dumps(record))
        return SerialShuffled(records, self._times)


class SerialShuffled:
    """Records by number."""

    def __init__(self, records: dict[int, list[bytes]], times: int) -> None:
        self._records = records
        self._times = times

    def collect(
        self, reduce: Callable[[int, Iterable[Any]], Any], numbers: Sequence[int], progress: Callable[[float], None]
    ) -> list[Any]:
        """Return what a function makes of the records of each number."""
        sent = pickle.dumps(reduce)
        made = []
        for number in numbers:
            for _ in range(self._times):
                found = pickle.loads(sent)(number, (pickle.loads(one) for one in self._records[number]))
            made.append(pickle.loads(pickle.dumps(found)))
        progress(1.0)
        return made

    def forget(self) -> None:
        """Delete the records."""
        self._records.clear()
