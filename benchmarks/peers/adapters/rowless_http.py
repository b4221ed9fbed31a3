"""Rowless over HTTP: a whole server with its ledger, the answer slot off. The memory is that of the server."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

from benchmarks.peers.adapters.speaking import serve

if TYPE_CHECKING:
    from benchmarks.peers.adapters.speaking import Ask, Data, Rows
    from benchmarks.peers.questions import Question

STARTED: list[int] = []


def begin(data: Data) -> Ask:
    """Start the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"ROWLESS_HOME": str(data.folder / "home"), "ROWLESS_PORT": str(port), "ROWLESS_SLOT_MS": "0"}
    command = [sys.executable, "-m", "server.cli", "serve"]
    process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
    STARTED.append(process.pid)
    address = f"http://127.0.0.1:{port}/api/v1"
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            break
        except OSError:
            if process.poll() is not None:
                raise RuntimeError("the server ended") from None
            time.sleep(0.1)
    public = json.loads((data.folder / "public.json").read_text(encoding="utf-8"))
    headers = {"Authorization": f"Bearer {public['token']}", "Content-Type": "application/json"}
    nano = itertools.count(random.randrange(10**6))  # other runs have asked the same questions of this home

    def ask(question: Question, epsilon: float) -> Rows:
        body = {"query": question.of_rowless, "privacy": {"epsilon": round(epsilon + next(nano) / 10**9, 9)}}
        request = urllib.request.Request(f"{address}/studies/bench/queries", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=600) as response:
            answer = json.load(response)
        assert not answer["replayed"]
        return [[*(row[key] for key in question.keys), row["number"]["value"]] for row in answer["rows"]]

    return ask


if __name__ == "__main__":
    serve(begin, lambda: STARTED[0])
