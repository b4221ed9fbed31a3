"""How an adapter talks with the runner: lines of JSON, a question in, its answer with the seconds it took out.

What a tool prints goes to standard error, so that it never stands between the lines.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.questions import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Rows = list[list[Any]]  # of each cell its keys, and last its number
    Ask = Callable[[Question, float], Rows]


class NotOfferedError(Exception):
    """The tool has no such statistic with a bound for each person; its text says what is missing."""


@dataclass(frozen=True)
class Data:
    """What every adapter is given: the file, and what is public about it."""

    folder: Path
    events: int
    persons_max: int
    keys: Mapping[str, Sequence[Any]]  # the values of each column that can be a key

    @classmethod
    def read(cls, folder: Path) -> Data:
        """Return the data of a folder."""
        public = json.loads((folder / "public.json").read_text(encoding="utf-8"))
        return cls(folder, public["events"], public["persons_max"], public["keys"])

    @property
    def parquet(self) -> str:
        """Return the path of the file."""
        return str(self.folder / "events.parquet")


def serve(begin: Callable[[Data], Ask], pid: Callable[[], int] = os.getpid) -> None:
    """Answer questions until there are no more. `pid` is the process whose memory counts, with all below it."""
    to_runner = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(said: Mapping[str, Any]) -> None:
        print(json.dumps(said, default=float), file=to_runner, flush=True)

    began = time.perf_counter()
    ask = begin(Data.read(Path(sys.argv[1])))
    tell({"ready": time.perf_counter() - began, "pid": pid()})
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            began = time.perf_counter()
            rows = ask(Question(**asked["question"]), asked["epsilon"])
            tell({"seconds": time.perf_counter() - began, "rows": rows})
        except NotOfferedError as missing:
            tell({"not_offered": str(missing)})
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is its result
            tell({"error": f"{type(error).__name__}: {error}"})
    # The runner has ended, perhaps without a chance to end this. What was started here, such as a server, ends too.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
