"""Many clients at once, beside a large question: `python -m benchmarks.clients`.

32 clients, four for each of eight users with a study of their own, have a connection each. They send replays and
estimates in turns, as fast as they are answered, to a server with 10 million events and the answer slot off. Then they
do so while another user asks new questions that scan all events. One process holds all connections and sends requests
that were written beforehand, so that it takes little of the machine: it reports its own seconds of a processor, and the
server's. A request that is refused as one too many is counted apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import random
import selectors
import socket
import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.queries import FORMALITIES, QUESTIONS, ask, prepare, rowless, server

if TYPE_CHECKING:
    from collections.abc import Sequence

USERS = 8
CLIENTS_EACH = 4
SECONDS = 10.0
SMALL, LARGE = "sum by sex", "sum by 2,500 practices"
BUSY = (429, 503)
READ_BYTES = 1 << 18
TICKS = 100  # of a processor's time in /proc, a second


def main() -> None:
    """Print requests per second and quantiles of their times, alone and beside the large question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--alone", action="store_true", help="without the large question beside")
    given = parser.parse_args()
    home, token, events = prepare(given.folder, given.persons)
    tokens = users(given.folder, home)
    nano = itertools.count(random.randrange(10**8))

    def large() -> float:
        return seconds(address, token, body_of(LARGE, 0.5 + next(nano) / 1e9))

    with server(home, ROWLESS_TOKEN_RATE="off", ROWLESS_ADDRESS_RATE="off") as (address, process):
        print(f"{events:,} events, {USERS * CLIENTS_EACH} clients of {USERS} users for {given.seconds:g} s")
        load(address, tokens, 1.0, process.pid)  # each study's answer is stored, and the server is warm
        print(load(address, tokens, given.seconds, process.pid).report("replays and estimates alone"))
        if given.alone:
            return
        alone = [large() for _ in range(8)][1:]
        ended = threading.Event()
        found: list[float] = []

        def go_on() -> None:
            while not ended.is_set():
                found.append(large())

        thread = threading.Thread(target=go_on)
        thread.start()
        beside = load(address, tokens, given.seconds, process.pid)
        ended.set()
        thread.join()
        print(beside.report(f"beside new questions ({LARGE})"))
        print(
            f"the large question: alone {1000 * statistics.median(alone):.0f} ms, "
            f"beside the clients {1000 * statistics.median(found):.0f} ms"
        )


def users(folder: Path, home: Path) -> list[str]:
    """Return the tokens of the users, made once: user number N is the member of study client-N."""
    kept = folder / "clients.json"
    if not kept.exists():
        tokens = []
        for number in range(USERS):
            name = f"client-{number}"
            tokens.append(rowless(home, "user", "add", name, "--role", "researcher")["token"])
            formal = ("--formalities", str(FORMALITIES))
            terms = ("--title", "t", "--purpose", "p", "--legal-basis", "l", "--member", name, *formal)
            rowless(home, "study", "new", name, "--dataset", "observatory", "--epsilon", "0.1", *terms)
            rowless(home, "study", "approve", name, "--reason", "benchmark", "--without-advice", "benchmark")
        kept.write_text(json.dumps(tokens))
    found: list[str] = json.loads(kept.read_text())
    return found


def body_of(name: str, epsilon: float) -> dict[str, Any]:
    """Return a question of the benchmark with an epsilon."""
    query, _ = QUESTIONS[name]
    return {"query": {"from": "consultations", **query}, "privacy": {"epsilon": round(epsilon, 9)}}


def seconds(address: str, token: str, body: dict[str, Any]) -> float:
    """Return how long a question takes."""
    began = time.perf_counter()
    ask(address, token, body)
    return time.perf_counter() - began


Found = tuple[int, float]  # status, seconds


@dataclass(frozen=True)
class Load:
    """What each request came to that was sent while all clients asked, and the seconds of a processor that it took."""

    found: list[Found]
    seconds: float
    clients_seconds: float
    server_seconds: float

    def report(self, what: str) -> str:
        """Return a line about the times."""
        times = sorted(took for status, took in self.found if status not in BUSY)
        quantiles = (f"{1000 * times[int(share * (len(times) - 1))]:.0f}" for share in (0.5, 0.99))
        rate, refused = len(times) / self.seconds, len(self.found) - len(times)
        return (
            f"{what}: {rate:.0f} a second; median and 99% quantile {', '.join(quantiles)} ms; {refused} refused; "
            f"a processor's seconds: server {self.server_seconds:.1f}, clients {self.clients_seconds:.1f}; "
            f"{1000 * self.server_seconds / max(1, len(times)):.1f} ms of the server for each"
        )


def load(address: str, tokens: Sequence[str], for_seconds: float, server_pid: int) -> Load:
    """Let all clients ask for a while, from another process."""
    before = _server_seconds(server_pid)
    with multiprocessing.get_context("spawn").Pool(1) as process:
        found, took = process.apply(_clients, (address, tuple(tokens), for_seconds))
    return Load(found, for_seconds, took, _server_seconds(server_pid) - before)


def _server_seconds(pid: int) -> float:
    """Return how many seconds of a processor the workers of a server took so far."""
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stats = (Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split() for worker in workers)
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS


@dataclass
class _Client:
    """A connection with the requests that are sent on it in turns."""

    connection: socket.socket
    requests: itertools.cycle[bytes]
    began: float = 0.0
    arrived: bytearray = field(default_factory=bytearray)

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.connection.sendall(next(self.requests))

    def answered(self) -> int | None:
        """Read what has arrived and return the status of an answer that is complete."""
        part = self.connection.recv(READ_BYTES)
        if not part:
            raise RuntimeError("the server has closed a connection")
        self.arrived += part
        end = self.arrived.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.arrived[:end]).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(self.arrived) < end + 4 + length:
            return None
        status = int(head[9:12])
        if status not in (200, 201, *BUSY):
            raise RuntimeError(self.arrived.decode())
        self.arrived.clear()
        return status


def _clients(address: str, tokens: Sequence[str], for_seconds: float) -> tuple[list[Found], float]:
    clients = [
        _Client(_connected(address), itertools.cycle(_requests(address, token, f"client-{user}", turn)))
        for user, token in enumerate(tokens)
        for turn in range(CLIENTS_EACH)
    ]
    used, found = time.process_time(), []
    ends = time.perf_counter() + for_seconds
    with selectors.DefaultSelector() as waiting:
        for client in clients:
            waiting.register(client.connection, selectors.EVENT_READ, client)
            client.ask()
        while time.perf_counter() < ends:
            for ready, _ in waiting.select(timeout=1.0):
                status = ready.data.answered()
                if status is not None:
                    found.append((status, time.perf_counter() - ready.data.began))
                    ready.data.ask()
    took = time.process_time() - used
    for client in clients:
        client.connection.close()
    return found, took


def _connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    assert parts.hostname is not None
    connection = socket.create_connection((parts.hostname, parts.port or 80))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _requests(address: str, token: str, study: str, turn: int) -> list[bytes]:
    body = json.dumps(body_of(SMALL, 0.01)).encode()  # answered once, and replayed from then on
    what = ("queries", "estimates") if turn % 2 else ("estimates", "queries")
    return [
        f"POST /api/v1/studies/{study}/{one} HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
        for one in what
    ]


if __name__ == "__main__":
    main()
