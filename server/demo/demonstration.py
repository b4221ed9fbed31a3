"""`rowless demo`: the whole journey on public or made-up data, from an empty folder to an answer over HTTP.

It does what a custodian does with the other commands: it makes a home, imports data, adds users, opens a study,
approves it, serves, and asks. A second run finds all of this made: it serves, asks again,
and gets the same answer, free.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from server.demo.setup import TOKENS, Demonstration, set_up, usual
from server.errors import ServerError
from server.views.terminal import ENGLISH, as_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from server.runtime.settings import Settings
    from server.views.terminal import Spoken

QUESTION = "do people who pay a larger share of the bill (coinsurance, in %) see a doctor less often?"
ASK = {
    "query": {
        "from": "years",
        "group_by": ["coinsurance"],
        "select": {
            "patients": {"count": "persons"},
            # The share of years with a visit. A mean of visits would need clamping, because a few persons have many.
            "saw_a_doctor": {"proportion": {"column": "visits", "op": ">", "value": 0}},
        },
        "bounds": {"events_per_cell": 5},  # the study lasted five years: nothing is cut off
    },
    "privacy": {"epsilon": 0.3},
}
START_SECONDS = 60


class NotServing(ServerError):
    """The demonstration's server did not come up."""


class NotAnswered(ServerError):
    """The demonstration's server refused the query: the budget is spent, or the study was closed."""


def usual_demonstration(manifest: Path) -> Demonstration:
    """Return the demonstration on real public data and a made-up observatory. Raises NoData."""
    return Demonstration(usual(manifest), QUESTION, ASK)


def run(settings: Settings, shown: Demonstration, tell: Callable[[str], None], spoken: Spoken = ENGLISH) -> None:
    """Set up what is missing, serve, ask one query and go on serving until stopped.

    Raises what the demonstration's check raises, before anything is made, and NotServing where the port or the home is
    taken or the server does not come up.
    """
    if not (settings.home / TOKENS).exists():
        shown.check(settings)
    with _only_one(settings) as lock:
        _require_free(settings)
        _serve_and_ask(settings, lock, set_up(settings, shown.parts, tell), shown, tell, spoken)


def _serve_and_ask(
    settings: Settings,
    lock: IO[str],
    tokens: dict[str, str],
    shown: Demonstration,
    tell: Callable[[str], None],
    spoken: Spoken,
) -> None:
    address = f"http://{settings.host}:{settings.port}"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    server = None
    try:
        with (settings.home / "server.log").open("ab") as log:
            began = log.tell()
            server = subprocess.Popen(
                [sys.executable, "-m", "server.cli", "serve"],
                env={**os.environ, "ROWLESS_HOME": str(settings.home)},
                stdout=log,
                stderr=log,
                # The server holds the lock too. If only this process is killed, the next run is refused and learns why.
                pass_fds=[lock.fileno()],
            )
        _note(lock, f"{address}, process {server.pid}")
        _wait_until_up(server, address, settings, began)
        _ask(address, tokens["researcher"], shown, tell, spoken)
        _invite(address, tokens, shown.parts[0].dataset, tell)
        server.wait()
    except KeyboardInterrupt:
        tell(f"\nStopped. The next run goes on from here; to begin anew, delete {settings.home}.")
    finally:
        if server is not None:
            server.terminate()
            server.wait()


@contextmanager
def _only_one(settings: Settings) -> Iterator[IO[str]]:
    """Hold the home's lock, because two demonstrations cannot set up one home at once."""
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (settings.home / "demo.lock").open("a+")
    except OSError as error:
        raise NotServing(f"the home {settings.home} cannot be used ({error.strerror})") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise NotServing(
                f"a demonstration of the home {settings.home} is running already ({lock.read()}); "
                "stop it, or give this one another home and port: ROWLESS_HOME=./home-2 ROWLESS_PORT=8001 rowless demo"
            ) from error
        _note(lock, f"process {os.getpid()}")
        yield lock


def _note(lock: IO[str], who: str) -> None:
    """Write who holds the lock into it."""
    lock.truncate(0)
    lock.write(who)
    lock.flush()


def _require_free(settings: Settings) -> None:
    """Refuse a port that another server has, because the tokens would be sent to it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise NotServing(
                f"port {settings.port} of {settings.host} cannot be used ({error.strerror}); "
                "choose another one with ROWLESS_PORT (or PORT=8001 after make demo)"
            ) from error


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _wait_until_up(server: subprocess.Popen[bytes], address: str, settings: Settings, began: int) -> None:
    for _ in range(START_SECONDS * 10):
        if server.poll() is not None:
            file = settings.home / "server.log"
            with file.open("rb") as log:
                log.seek(began)
                said = log.read().decode(errors="replace").strip().splitlines()
            raise NotServing(f"the server did not start: {said[-1] if said else 'it wrote nothing'} (its log: {file})")
        try:
            _call(f"{address}/api/v1/health", None)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise NotServing(f"the server did not answer within {START_SECONDS} s; see {settings.home / 'server.log'}")


def _ask(address: str, token: str, shown: Demonstration, tell: Callable[[str], None], spoken: Spoken) -> None:
    tell(f"\nAsking, as a researcher: {shown.question}")
    began = time.monotonic()
    try:
        answer = _call(f"{address}/api/v1/studies/{shown.parts[0].study}/queries", token, shown.ask)
    except (NotAnswered, OSError) as error:
        tell(f"There is no answer: {error}. To begin anew, stop this server and delete its home.")
        return
    took_ms = (time.monotonic() - began) * 1000
    budget = answer["budget"]
    tell(f"The answer, with its margins at 95%, after {took_ms:.0f} ms:\n\n{as_table(answer, spoken)}\n")
    cost = f"It cost epsilon {answer['cost']['epsilon']:g}."
    if answer["replayed"]:
        cost = "It was asked before: this is the same answer, free."
    tell(f"{cost} Of the study's {budget['epsilon']:g}, {budget['remaining']['epsilon']:g} is left.")


def _invite(address: str, tokens: dict[str, str], dataset: str, tell: Callable[[str], None]) -> None:
    tell(
        f"\nServing until Ctrl-C. Open {address}/ in a browser, or begin as\n"
        f"  researcher   {address}/sign-in#token={tokens['researcher']}\n"
        f"  admin        {address}/sign-in#token={tokens['admin']}\n"
        f"  approver     {address}/sign-in#token={tokens['approver']}\n"
        f"  DPO          {address}/sign-in#token={tokens['dpo']}\n\n"
        f"Tokens for programs:\n"
        f"  API          {address}/api/v1/openapi.json\n"
        f"  researcher   {tokens['researcher']}   (ada)\n"
        f"  admin        {tokens['admin']}   (admin)\n"
        f"  approver     {tokens['approver']}   (vera)\n"
        f"  DPO          {tokens['dpo']}   (dora)\n\n"
        f"Try:\n"
        f"  curl -H 'Authorization: Bearer {tokens['researcher']}' {address}/api/v1/datasets/{dataset}\n"
        f"  curl -H 'Authorization: Bearer {tokens['dpo']}' {address}/api/v1/audit/entries"
    )


def _call(url: str, token: str | None, body: Any = None) -> Any:
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())  # noqa: S310
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS) as response:  # noqa: S310  our own server
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise NotAnswered(_reason(error)) from error


def _reason(error: urllib.error.HTTPError) -> str:
    """Return the detail of a problem document, or the status of any other reply."""
    try:
        return str(json.load(error)["detail"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return f"the server answered {error.code}"
