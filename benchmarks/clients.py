"""Many clients at once, beside a large question: `python -m benchmarks.clients`.

32 clients, four for each of eight users with a study of their own, have a connection each. They send replays and
estimates in turns, as fast as they are answered, to a server with 10 million events and the answer slot off. Then they
do so while another user asks new questions that scan all events. The clients run in processes of their own, on the same
machine, so their work is part of what is measured. A request that is refused as one too many is counted apart.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import multiprocessing
import random
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.queries import FORMALITIES, QUESTIONS, ask, prepare, rowless, server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USERS = 8
CLIENTS_EACH = 4
PROCESSES = 2
SECONDS = 20.0
SMALL, LARGE = "sum by sex", "sum by 2,500 practices"
BUSY = (429, 503)


def main() -> None:
    """Print requests per second and quantiles of their times, alone and beside the large question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data"))
    given = parser.parse_args()
    home, token, events = prepare(given.folder, given.persons)
    tokens = users(given.folder, home)
    nano = itertools.count(random.randrange(10**8))

    def large() -> float:
        return seconds(address, token, body_of(LARGE, 0.5 + next(nano) / 1e9))

    with server(home, ROWLESS_TOKEN_RATE="off", ROWLESS_ADDRESS_RATE="off") as (address, _):
        alone = [large() for _ in range(8)][1:]
        print(f"{events:,} events, {USERS * CLIENTS_EACH} clients of {USERS} users for {SECONDS:g} s")
        print(report("replays and estimates alone", load(address, tokens)))
        ended = threading.Event()
        found: list[float] = []

        def go_on() -> None:
            while not ended.is_set():
                found.append(large())

        thread = threading.Thread(target=go_on)
        thread.start()
        beside = load(address, tokens)
        ended.set()
        thread.join()
        print(report(f"beside new questions ({LARGE})", beside))
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


def load(address: str, tokens: Sequence[str]) -> list[Found]:
    """Return what each request came to that was sent while all clients asked."""
    clients = [
        (address, token, f"client-{user}", turn) for user, token in enumerate(tokens) for turn in range(CLIENTS_EACH)
    ]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as processes:
        return list(
            itertools.chain.from_iterable(processes.map(_of_process, [clients[n::PROCESSES] for n in range(PROCESSES)]))
        )


def _of_process(clients: Sequence[tuple[str, str, str, int]]) -> list[Found]:
    with ThreadPoolExecutor(len(clients)) as threads:
        return list(itertools.chain.from_iterable(threads.map(lambda one: list(_of_client(*one)), clients)))


def _of_client(address: str, token: str, study: str, turn: int) -> Iterator[Found]:
    body = json.dumps(body_of(SMALL, 0.01))  # answered once, and replayed from then on
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    paths = itertools.cycle(("queries", "estimates") if turn % 2 else ("estimates", "queries"))
    ends = time.perf_counter() + SECONDS
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    while time.perf_counter() < ends:
        began = time.perf_counter()
        connection.request("POST", f"/api/v1/studies/{study}/{next(paths)}", body, headers)
        reply = connection.getresponse()
        text = reply.read()
        if reply.status not in (200, 201, *BUSY):
            raise RuntimeError(text.decode())
        yield reply.status, time.perf_counter() - began
    connection.close()


def report(what: str, found: list[Found]) -> str:
    """Return a line about the times of many requests."""
    times = sorted(took for status, took in found if status not in BUSY)
    quantiles = (f"{1000 * times[int(share * (len(times) - 1))]:.0f}" for share in (0.5, 0.99))
    rate, refused = len(times) / SECONDS, len(found) - len(times)
    return f"{what}: {rate:.0f} a second; median and 99% quantile {', '.join(quantiles)} ms; {refused} refused"


if __name__ == "__main__":
    main()
