"""A server under slow clients, crowds and large estimates: `python -m benchmarks.server [--soak MINUTES]`.

Each scenario is measured beside the quiet server of the same run. A client runs in a thread of this process, so its own
work is part of what is measured. Nothing leaves this machine.

With --soak a mixed load runs for so many minutes while the worker is killed every two minutes. It reports the memory
and the handles of the worker at the same age in its first and its last life, and checks the ledger in the end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from queries.language.size import STATISTICS_MAX
from tests.serving import EVERY_STATISTIC, ask, make_home, serving, write_clinic, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving import Client, Reply, Server

SLOT_MS = 250
SLOW = 300
CROWD = 200
LARGE_CLIENTS = 8
QUIET = 20  # requests whose median is the quiet time
KILL_SECONDS = 120
NUMBERS = itertools.count()


def main() -> None:
    """Print a line for each scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", type=float, default=0, help="minutes of mixed load with kill -9 of the worker")
    minutes = parser.parse_args().soak
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = make_home(folder / "home", write_demo_manifest(folder), write_clinic(folder))
        with serving(home, slot_ms=str(SLOT_MS)) as server:
            server.open_study("flu", "rand-hie")
            server.open_study("cold", "clinic")
            server.client("admin").good("PUT", "/studies/cold/members/ben")
            slow_clients(server)
            crowd(server)
            large_estimates(server)
            if minutes:
                soak(server, minutes)
        home.assert_sound()
        print("the ledger is sound: every entry follows the one before, and every sum equals its charges")


def query_of(client: Client, study: str) -> Reply:
    """Ask a new question."""
    table = {"flu": "years", "cold": "visits"}[study]
    return client.post(f"/studies/{study}/queries", ask({f"n{next(NUMBERS)}": {"count": "persons"}}, 0.01, table))


def estimate_of(client: Client, study: str) -> Reply:
    """Ask what a small question would cost."""
    table = {"flu": "years", "cold": "visits"}[study]
    return client.post(f"/studies/{study}/estimates", ask({"n": {"count": "persons"}}, 0.01, table))


def timed(act: Callable[[], Reply], status: int) -> float:
    """Return how many milliseconds an act takes that must have a status."""
    began = time.perf_counter()
    reply = act()
    assert reply.status == status, reply
    return 1000 * (time.perf_counter() - began)


def told(what: str, quiet: list[float], found: list[float]) -> None:
    """Print the times of a scenario beside those of the quiet server."""
    usual = statistics.median(quiet)
    worst, middle = max(found), statistics.median(found)
    print(
        f"{what}: median {middle:.0f} ms, worst {worst:.0f} ms of {len(found)}; quiet {usual:.0f} ms "
        f"(times {middle / usual:.2f} and {worst / usual:.2f})"
    )


@dataclass
class Until:
    """Does something again and again in a thread until the block ends, and keeps the times."""

    act: Callable[[], Reply]
    status: int
    found: list[float] = field(default_factory=list)

    def __enter__(self) -> list[float]:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self.found

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self.found.append(timed(self.act, self.status))


def quiet(act: Callable[[], Reply], status: int) -> list[float]:
    """Return the times of a quiet server."""
    timed(act, status)
    return [timed(act, status) for _ in range(QUIET)]


def slow_clients(server: Server) -> None:
    """300 connections that send nothing, or a byte a second: no end of headers, of body, or of chunks."""
    ada = server.client("ada")
    health, asked = quiet(lambda: ada.get("/health/live"), 200), quiet(lambda: query_of(ada, "flu"), 201)
    begun = (
        b"",
        b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /api/v1/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
        b"POST /api/v1/studies HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    )
    ended = threading.Event()

    def keep(number: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(begun[number % len(begun)])
        return connection

    def trickle() -> None:
        open_ = [keep(number) for number in range(SLOW)]
        while not ended.wait(1.0):
            for number, connection in enumerate(open_):
                try:
                    if number % len(begun):
                        connection.sendall(b"1")
                except OSError:  # the server has closed it: another one takes its place
                    connection.close()
                    open_[number] = keep(number)
        for connection in open_:
            connection.close()

    thread = threading.Thread(target=trickle)
    thread.start()
    time.sleep(2)
    try:
        live = [timed(lambda: ada.get("/health/live"), 200) for _ in range(50)]
        answers = [timed(lambda: query_of(ada, "flu"), 201) for _ in range(50)]
    finally:
        ended.set()
        thread.join()
    told(f"{SLOW} slow connections, /health/live", health, live)
    told(f"{SLOW} slow connections, a query", asked, answers)


def crowd(server: Server) -> None:
    """200 queries at once of one user, while a member of another study asks; then all 200 leave."""
    ada, ben = server.client("ada"), server.client("ben")
    usual = quiet(lambda: query_of(ben, "cold"), 201)
    before = server.home.reserved("flu")
    begun = threading.Barrier(CROWD)

    def one(_: int) -> tuple[int, float]:
        begun.wait()
        began = time.perf_counter()
        reply = query_of(ada, "flu")
        return reply.status, time.perf_counter() - began

    with Until(lambda: query_of(ben, "cold"), 201) as others, ThreadPoolExecutor(CROWD) as clients:
        found = list(clients.map(one, range(CROWD)))
        time.sleep(1)
    told(f"{CROWD} queries at once of another user, a query", usual, others)
    refused = [seconds for status, seconds in found if status != 201]
    print(f"  of the {CROWD}: {dict(Counter(status for status, _ in found))}; slowest refusal {max(refused):.2f} s")
    charged = server.home.reserved("flu") - before
    print(f"  charged {charged}, answered {sum(status == 201 for status, _ in found)}")
    leaving(server, ada)


def leaving(server: Server, ada: Client) -> None:
    """Send 200 queries and close all connections; report how soon the server is quiet and what was charged."""
    before = server.home.reserved("flu")
    open_ = []
    for _ in range(CROWD):
        connection = socket.create_connection(("127.0.0.1", server.port))
        open_.append(connection)
        with suppress(OSError):
            connection.sendall(_raw(server, ask({f"n{next(NUMBERS)}": {"count": "persons"}}, 0.01)))
    time.sleep(0.1)
    for connection in open_:
        connection.close()
    left = time.perf_counter()
    while query_of(ada, "flu").status != 201:
        time.sleep(0.02)
    print(
        f"{CROWD} that asked and left: the next query of the same user was answered {time.perf_counter() - left:.2f} s "
        f"later; charged {server.home.reserved('flu') - before - 1}"
    )


def _raw(server: Server, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = (
        "POST /api/v1/studies/flu/queries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {server.home.tokens['ada']}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def largest() -> dict[str, Any]:
    """Return an estimate of as many statistics as are allowed, of all kinds, each with a filter of its own."""
    kinds = itertools.cycle(EVERY_STATISTIC.items())
    select = {}
    for number, (name, statistic) in zip(range(STATISTICS_MAX), kinds, strict=False):
        older = {"column": "age", "op": ">=", "value": number % 60}
        select[f"s{number}"] = statistic if name in ("share", "ever", "often") else {**statistic, "where": older}
    return ask(select, 100.0)


def large_estimates(server: Server) -> None:
    """Eight clients that ask for the largest estimates, of the same user and of another; others ask small ones."""
    ada, ben = server.client("ada"), server.client("ben")
    health, usual = quiet(lambda: ada.get("/health/live"), 200), quiet(lambda: estimate_of(ben, "cold"), 200)
    ended, statuses = threading.Event(), Counter[int]()
    alone = timed(lambda: ada.post("/studies/flu/estimates", largest()), 200)

    def run() -> None:
        while not ended.is_set():
            statuses[ada.post("/studies/flu/estimates", largest()).status] += 1

    threads = [threading.Thread(target=run) for _ in range(LARGE_CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        live = [timed(lambda: ada.get("/health/live"), 200) for _ in range(50)]
        small = [timed(lambda: estimate_of(ben, "cold"), 200) for _ in range(100)]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    told(f"{LARGE_CLIENTS} clients with estimates of {STATISTICS_MAX} statistics, /health/live", health, live)
    told(f"{LARGE_CLIENTS} clients with estimates of {STATISTICS_MAX} statistics, another's estimate", usual, small)
    p99 = sorted(small)[98]
    print(f"  99% quantile {p99:.0f} ms; a large one alone {alone:.0f} ms; of the large ones {dict(statuses)}")


# The soak


def soak(server: Server, minutes: float) -> None:
    """Mixed load with kill -9 of the worker; memory and handles of its first and its last life."""
    deadline = time.monotonic() + 60 * minutes
    ended, statuses, broken = threading.Event(), Counter[int](), Counter[str]()
    acts = list(_acts(server))

    def run(seed: int) -> None:
        chance = random.Random(seed)
        while not ended.is_set():
            try:
                statuses[chance.choice(acts)().status] += 1
            except OSError as error:  # the worker was killed
                broken[type(error).__name__] += 1
                time.sleep(0.2)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    lives: list[tuple[int, int]] = []
    try:
        while time.monotonic() < deadline:
            time.sleep(min(KILL_SECONDS, max(1.0, deadline - time.monotonic())))
            pid = server.worker()
            lives.append(_size(pid))
            if time.monotonic() < deadline:
                os.kill(pid, signal.SIGKILL)
                time.sleep(5)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    print(f"soak of {minutes:g} minutes: {dict(statuses)}, connections broken by kills {dict(broken)}")
    for memory, handles in lives:
        print(f"  a worker before its end: {memory / 1e6:.0f} MB, {handles} handles")


def _acts(server: Server) -> Iterator[Callable[[], Reply]]:
    ada, ben, dora = (server.client(name) for name in ("ada", "ben", "dora"))
    yield lambda: query_of(ada, "flu")
    yield lambda: query_of(ben, "cold")
    yield lambda: estimate_of(ada, "flu")
    yield lambda: ben.post("/studies/cold/rehearsals", ask({"n": {"count": "persons"}}, 0.01, "visits"))
    yield lambda: ada.get("/studies/flu/releases?limit=100")
    yield lambda: dora.get("/audit/entries?limit=100&order=newest")
    yield lambda: dora.get("/studies/flu/report")
    yield lambda: ada.get("/datasets/rand-hie")
    yield lambda: server.client(None).get("/me")
    yield lambda: ada.post("/studies/flu/queries", {"query": "none"})


def _size(pid: int) -> tuple[int, int]:
    """Return the resident bytes and the open files of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir()))


if __name__ == "__main__":
    main()
