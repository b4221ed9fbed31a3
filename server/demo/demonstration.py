"""`rowless demo`: the whole journey on real public data, from an empty folder to an answer over HTTP.

Everything it does a custodian does with the other commands: make a home, import, add users, open a study and approve
it, serve, ask. A second run finds all of it there and only serves and asks again (the answer is then a free replay).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from budgets.amounts import epsilon_nano
from budgets.errors import NotFound
from budgets.governance import datasets, studies
from budgets.governance.study import Terms
from budgets.identity import people
from queries.catalog.manifest import read_manifest
from server.demo.observatory import Shape, write_observatory
from server.errors import ServerError
from server.journey.importing import import_dataset
from server.runtime.services import create_home, open_services
from server.views.terminal import as_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from budgets.actors import Actor
    from server.runtime.services import Services
    from server.runtime.settings import Settings

STUDY = "cost-sharing"
TERMS = Terms(
    title="Cost sharing and doctor visits",
    purpose="Show whether people who pay a larger share of the bill see a doctor less often",
    legal_basis="Public data, for demonstration",
)
EPSILON = "3.0"
# Besides the real data a larger made-up dataset, with several tables and dates, for care pathways.
OBSERVATORY = Shape(persons=20_000, practices=100, diagnoses=100, drugs=100)
PATHWAYS = "pathways"
PATHWAYS_TERMS = Terms(
    title="From a diagnosis to a treatment",
    purpose="Show how many go from a diagnosis to a drug, and how long it takes",
    legal_basis="Made-up data, for demonstration",
)
QUESTION = "do people who pay a larger share of the bill (coinsurance, in %) see a doctor less often?"
ASK = {
    "query": {
        "from": "years",
        "group_by": ["coinsurance"],
        "select": {
            "patients": {"count": "persons"},
            # Of the years, those with a visit. A mean of visits would have to be clamped, and few have very many.
            "saw_a_doctor": {"proportion": {"column": "visits", "op": ">", "value": 0}},
        },
        "bounds": {"events_per_cell": 5},  # the study lasted five years: nothing is cut off
    },
    "privacy": {"epsilon": 1.0},
}
USERS = {"researcher": "ada", "dpo": "dora", "admin": "admin"}
START_SECONDS = 60


class NotServing(ServerError):
    """The demonstration's server did not come up."""


class NotAnswered(ServerError):
    """The demonstration's server refused the question: its budget was spent, or its study is closed by now."""


def run(settings: Settings, manifest: Path, say: Callable[[str], None]) -> None:
    """Set up what is missing, serve, ask one query and go on serving until stopped.

    Raises NotServing where the port or the home is taken, or the server does not come up.
    """
    with _only_one(settings) as lock:
        _require_free(settings)
        _serve_and_ask(settings, lock, _set_up(settings, manifest, say), say)


def _serve_and_ask(settings: Settings, lock: IO[str], tokens: dict[str, str], say: Callable[[str], None]) -> None:
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
                # It holds the lock too: where this process alone is killed, the next one is told of the server.
                pass_fds=[lock.fileno()],
            )
        _note(lock, f"{address}, process {server.pid}")
        _wait_until_up(server, address, settings, began)
        _ask(address, tokens["researcher"], say)
        _invite(address, tokens, say)
        server.wait()
    except KeyboardInterrupt:
        say("\nStopped. `make demo` goes on from here; `make clean` forgets it all.")
    finally:
        if server is not None:
            server.terminate()
            server.wait()


@contextmanager
def _only_one(settings: Settings) -> Iterator[IO[str]]:
    """Hold the home's lock: two demonstrations that set one home up at once would be in each other's way."""
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
                "stop it, or give this one a home and a port of its own: ROWLESS_HOME=./home-2 make demo PORT=8001"
            ) from error
        _note(lock, f"process {os.getpid()}")
        yield lock


def _note(lock: IO[str], who: str) -> None:
    """Write into the lock who holds it."""
    lock.truncate(0)
    lock.write(who)
    lock.flush()


def _require_free(settings: Settings) -> None:
    """Refuse a port that another server has: it would be sent the tokens."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise NotServing(
                f"port {settings.port} of {settings.host} cannot be used ({error.strerror}); PORT= changes it"
            ) from error


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _set_up(settings: Settings, manifest: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Make the home, the data, the users and the study where they are missing. Return the tokens by role."""
    kept = settings.home / "demo-tokens.json"
    tokens = _kept_tokens(kept)
    made = create_home(settings)
    if made.admin_token:
        tokens["admin"] = made.admin_token
        say(f"Made a home in {settings.home}")
    services = open_services(settings)
    try:
        dataset = read_manifest(manifest).dataset.name
        with services.database.write() as transaction:
            admin = people.user(transaction, USERS["admin"])
            for role, name in USERS.items():
                # A token of another ledger, or one that was revoked, opens nothing: it is replaced.
                owner = people.authenticate(transaction, tokens.get(role, ""))
                if owner is None or owner.name != name:
                    tokens[role] = _token(transaction, name, role, admin)
            known = dataset in datasets.names(transaction)
        _keep_tokens(kept, tokens)
        if not known:
            imported = import_dataset(services, read_manifest(manifest), admin, lambda _what, _done: None)
            report = imported.report
            rows = report.tables["years"].kept
            say(f"Imported {dataset}: {report.persons:,} persons, {rows:,} person-years")
            say(f"  its contribution profile: {imported.profile.words}")
        with services.database.read() as transaction:
            known = "observatory" in datasets.names(transaction)
        if not known:
            _import_observatory(settings, services, admin, say)
        with services.database.write() as transaction:
            _open_study(transaction, STUDY, dataset, TERMS, admin, say)
            _open_study(transaction, PATHWAYS, "observatory", PATHWAYS_TERMS, admin, say)
    finally:
        services.close()
    return tokens


def _kept_tokens(file: Path) -> dict[str, str]:
    """Return the tokens by role that an earlier run kept; none where it left no file, or a broken one."""
    try:
        read = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {role: text for role, text in read.items() if isinstance(text, str)} if isinstance(read, dict) else {}


def _keep_tokens(file: Path, tokens: dict[str, str]) -> None:
    """Write the tokens, whole or not at all: whoever is stopped here finds the file as it was."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(json.dumps(tokens))
    new.replace(file)


def _import_observatory(settings: Settings, services: Services, admin: Actor, say: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        written = write_observatory(Path(folder), OBSERVATORY)
        read = read_manifest(written.manifest)
        imported = import_dataset(services, read, admin, lambda _what, _done: None)
        events = written.consultations + written.prescriptions
        say(f"Imported observatory: {written.persons:,} made-up persons, {events:,} events")
        say(f"  its contribution profile: {imported.profile.words}")


def _token(transaction: sa.Connection, name: str, role: str, admin: Actor) -> str:
    try:
        people.user(transaction, name)
    except NotFound:
        people.add_user(transaction, name, role, admin)
    return people.new_token(transaction, name, admin).text


def _open_study(
    transaction: sa.Connection, name: str, dataset: str, terms: Terms, admin: Actor, say: Callable[[str], None]
) -> None:
    try:
        studies.study(transaction, name)
    except NotFound:
        studies.open_study(transaction, name, dataset, terms, epsilon_nano(float(EPSILON)), None, admin)
        studies.add_member(transaction, name, USERS["researcher"], admin)
        dpo = people.user(transaction, USERS["dpo"])
        studies.move(transaction, name, "approve", "a demonstration on public data", dpo)
        say(f"Opened the study {name} with a budget of epsilon {EPSILON}; the DPO approved it")


def _wait_until_up(server: subprocess.Popen[bytes], address: str, settings: Settings, began: int) -> None:
    for _ in range(START_SECONDS * 10):
        if server.poll() is not None:
            file = settings.home / "server.log"
            with file.open("rb") as log:
                log.seek(began)
                said = log.read().decode(errors="replace").strip().splitlines()
            raise NotServing(f"the server did not start: {said[-1] if said else 'it said nothing'} (all of it: {file})")
        try:
            _call(f"{address}/api/v1/health", None)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise NotServing(f"the server did not answer within {START_SECONDS} s; see {settings.home / 'server.log'}")


def _ask(address: str, token: str, say: Callable[[str], None]) -> None:
    say(f"\nAsking, as a researcher: {QUESTION}")
    began = time.monotonic()
    try:
        answer = _call(f"{address}/api/v1/studies/{STUDY}/queries", token, ASK)
    except (NotAnswered, OSError) as error:
        say(f"There is no answer: {error}. `make clean` forgets this home; `make demo` then begins anew.")
        return
    took_ms = (time.monotonic() - began) * 1000
    budget = answer["budget"]
    say(f"The answer, with its margins at 95%, after {took_ms:.0f} ms:\n\n{as_table(answer)}\n")
    cost = f"It cost epsilon {answer['cost']['epsilon']:g}."
    if answer["replayed"]:
        cost = "It was asked before, so it is the same answer, free."
    say(f"{cost} Of the study's {budget['epsilon']:g}, {budget['remaining']['epsilon']:g} is left.")


def _invite(address: str, tokens: dict[str, str], say: Callable[[str], None]) -> None:
    say(
        f"\nServing on {address} until Ctrl-C.\n"
        f"  API          {address}/api/v1/openapi.json\n"
        f"  researcher   {tokens['researcher']}   (ada)\n"
        f"  admin        {tokens['admin']}   (admin)\n"
        f"  DPO          {tokens['dpo']}   (dora)\n\n"
        f"Try:\n"
        f"  curl -H 'Authorization: Bearer {tokens['researcher']}' {address}/api/v1/datasets/rand-hie\n"
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
    """Return what a problem says of itself, or its status."""
    try:
        return str(json.load(error)["detail"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return f"the server answered {error.code}"
