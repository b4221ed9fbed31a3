"""Homes, applications and server processes for the tests of the server and of whole journeys.

The ledger is read here with sqlite3 and hashlib alone, so that what the tests say of it does not rest on the code under
test.
"""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import tomllib
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from budgets.actors import SYSTEM
from budgets.amounts import epsilon_nano
from budgets.governance import dataset_terms
from budgets.governance.roles.founding import Founders
from budgets.identity import people, tokens
from budgets.verify.conduct import Conduct
from budgets.verify.spending import Spending
from queries.catalog.manifest import read_manifest
from queries.execution.scan_time import Rates
from server.app import opened, with_routes
from server.demo.setup import MANIFEST
from server.runtime.scans import rates
from server.runtime.services import create_home, open_services
from server.runtime.settings import Settings, load_settings
from server.runtime.stores import import_manifest
from tests import databases, processes
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flask import Flask

    from server.admission.gate import Gate
    from server.runtime.services import Services
    from tests.processes import Process

    # (method, path, body, headers) -> what came back
    Send = Callable[[str, str, bytes | None, Mapping[str, str]], "Reply"]

ROOT = processes.ROOT
PREFIX = "/api/v1"
PROBLEM = "application/problem+json"
START_SECONDS = 300  # on a machine that does much else
SERVE = ("server.cli", "serve")
CROWDED = {"share": "64", "waiting": "64", "queries": "64"}  # settings for races: one user may ask 64 things at once

# name -> role. Ada is a member of every study that `open_study` opens; Ben is a researcher of none.
USERS = {"admin": "admin", "dora": "dpo", "vera": "approver", "ada": "researcher", "ben": "researcher"}

# What an approval says where no DPO was asked.
UNADVISED = {"without_advice": "the DPO is away"}

CLINIC = """\
[dataset]
name = "clinic"
title = "A clinic"
epsilon = 10000.0
justification = "a test"
delta = 1e-6
persons_max = 10000
overcommit = true

[dataset.formalities]
kind = "none"
why_none = "made-up data of a test"
legal_basis = "6(1)(e)"
condition = "9(2)(j)"
controller = "A hospital of the tests"
processor = "none"
recipients = "the members of its studies"
ends = 2099-12-31
informed = "nobody is in the data"
objections = "nobody is in the data"
honoured = "nobody is in the data"
incentives = "none"

[person]
id = "patient"
[person.columns.sex]
type = "category"
values = ["female", "male"]

[tables.visits]
source = "visits.csv"
[tables.visits.bounds]
events_per_cell = 3
[tables.visits.columns.day]
type = "date"
bounds = [2020-01-01, 2021-12-31]
[tables.visits.columns.cost]
type = "number"
bounds = [0, 1000]
step = 0.01
nullable = true
[tables.visits.columns.age]
type = "integer"
bounds = [0, 120]
[tables.visits.columns.urgent]
type = "boolean"
[tables.visits.columns.code]
type = "category"
"""


# What a test writes where it does not matter: nothing is approved without.
FORMALITIES: dict[str, Any] = {
    **tomllib.loads(CLINIC, parse_float=str)["dataset"]["formalities"],
    "ends": "2099-12-31",
}


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Return the media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Return a problem's code."""
        assert self.content_type == PROBLEM, self
        code: str = self.json()["code"]
        return code


REQUEST_ID = "00000000-0000-0000-0000-000000000000"  # one for all requests, so that replies can be compared


@dataclass(frozen=True)
class Client:
    """Calls to one server on behalf of one user."""

    send: Send
    token: str | None = None

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a body as JSON, or `raw` as it is, with the token if there is one."""
        sent = {"X-Request-Id": REQUEST_ID}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        data = raw if body is None else json.dumps(body).encode()
        return self.send(method, f"{PREFIX}{path}", data, {**sent, **(headers or {})})

    def get(self, path: str, **headers: str) -> Reply:
        """GET a path; headers by their names with _ for -."""
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        """POST a body to a path; headers by their names with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, headers=named)

    def good(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of a reply that must be a success."""
        reply = self.request(method, path, body)
        assert 200 <= reply.status < 300, (method, path, reply)
        return reply.json() if reply.body else None


@dataclass(frozen=True)
class Home:
    """A home folder and its users' tokens."""

    path: Path
    tokens: Mapping[str, str]
    database: str | None = None  # the address of its ledger, if it is not the file in the home

    @property
    def ledger(self) -> str:
        """Return the address of its ledger."""
        return self.database or f"sqlite:///{self.path / 'ledger.sqlite'}"

    def environment(self, **settings: str) -> dict[str, str]:
        """Return settings for this home with the answer slot off, by their names without ROWLESS_."""
        named = {f"ROWLESS_{name.upper()}": value for name, value in settings.items()}
        return {
            "ROWLESS_HOME": str(self.path),
            "ROWLESS_DATABASE_URL": self.ledger,
            "ROWLESS_SLOT_MS": "0",
            "ROWLESS_TOKEN_RATE": "off",  # tests call faster than people
            "ROWLESS_ADDRESS_RATE": "off",
            **named,
        }

    def settings(self, **settings: str) -> Settings:
        """Return the same as settings in force."""
        return load_settings(self.environment(**settings))

    def copy(self, to: Path, database: str | None = None) -> Home:
        """Return a copy in another folder, whose ledger (if it is not in the home) is that in `database`."""
        shutil.copytree(self.path, to)
        return dataclasses.replace(self, path=to, database=database)

    # The ledger, read without the code under test

    def rows(self, select: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a SELECT finds in the ledger."""
        return databases.rows(self.ledger, select, *values)

    def change(self, sql: str, *values: object) -> None:
        """Change the ledger behind the server's back."""
        with closing(sqlite3.connect(self.path / "ledger.sqlite", timeout=30)) as connection, connection:
            connection.execute(sql, values)

    @property
    def order(self) -> str:
        """Return what the rows of a table that only grows are ordered by."""
        return "rowid" if databases.is_sqlite(self.ledger) else "ctid"

    def charges(self, study: str | None = None) -> list[tuple[str, int]]:
        """Return (kind, epsilon in billionths) of every charge row, of one study or all."""
        where = "" if study is None else "WHERE study = ?"
        values = () if study is None else (study,)
        return self.rows(f"SELECT kind, epsilon_nano FROM charges {where} ORDER BY {self.order}", *values)

    def reserved(self, study: str | None = None) -> int:
        """Return how many charges were made."""
        return sum(kind == "reserve" for kind, _ in self.charges(study))

    def used_nano(self, kind: str, owner: str) -> int:
        """Return the epsilon that an account has spent or reserved."""
        ((used,),) = self.rows(
            "SELECT epsilon_spent_nano + epsilon_reserved_nano FROM accounts WHERE kind = ? AND owner = ?", kind, owner
        )
        return int(used)

    def actions(self, after: int = -1) -> list[str]:
        """Return the actions of the audit log's entries beyond a position."""
        return [a for (a,) in self.rows("SELECT action FROM audit_entries WHERE position > ? ORDER BY position", after)]

    def last_entry(self) -> int:
        """Return the position of the audit log's last entry."""
        ((last,),) = self.rows("SELECT max(position) FROM audit_entries")
        return int(last)

    def store(self, dataset: str) -> Path:
        """Return the store file of the edition in service."""
        ((folder,),) = self.rows("SELECT folder FROM editions WHERE dataset = ? ORDER BY number DESC LIMIT 1", dataset)
        return self.path / "datasets" / dataset / folder / "store.duckdb"

    def assert_sound(self) -> None:
        """Check the ledger: sums equal rows, limits hold, releases have settled charges, the audit chain is whole."""
        for kind, owner, limit, reserved, spent in self.rows(
            "SELECT kind, owner, epsilon_limit_nano, epsilon_reserved_nano, epsilon_spent_nano FROM accounts"
        ):
            column = "study" if kind == "study" else "dataset"
            sums = {
                what: total
                for what, total in self.rows(
                    f"SELECT kind, coalesce(sum(epsilon_nano), 0) FROM charges WHERE {column} = ? GROUP BY kind", owner
                )
            }
            if kind == "dataset":  # which pays for its profiles alone
                for what, total in self.rows(
                    "SELECT kind, coalesce(sum(epsilon_nano), 0) FROM profile_charges WHERE dataset = ? GROUP BY kind",
                    owner,
                ):
                    sums[what] = sums.get(what, 0) + total
            settled = sums.get("settle", 0)
            assert spent == settled, (kind, owner)
            assert reserved == sums.get("reserve", 0) - settled - sums.get("void", 0), (kind, owner)
            assert reserved + spent <= limit, (kind, owner)
        paid = "SELECT reserve_id FROM charges WHERE kind = 'settle'"
        assert self.rows(f"SELECT id FROM releases WHERE charge NOT IN ({paid})") == []
        twice = (
            "SELECT count(*) FROM charges WHERE kind = 'reserve' AND id NOT IN (SELECT reserve_id FROM charges "
            "WHERE kind = 'void') GROUP BY study, dataset, edition, fingerprint"
        )
        assert {count for (count,) in self.rows(twice)} <= {1}
        entries = self.rows("SELECT position, body, leaf_hash FROM audit_entries ORDER BY position")
        assert_chain([(body, leaf) for _, body, leaf in entries])
        assert [position for position, _, _ in entries] == list(range(len(entries)))
        self.assert_log_adds_up([json.loads(body) for _, body, _ in entries])

    def assert_log_adds_up(self, entries: list[dict[str, Any]]) -> None:
        """Check that the audit log alone tells what every account was charged."""
        conduct = Conduct()
        assert [problem for entry in entries for problem in conduct.read(entry)] == []
        spending = Spending()
        assert [problem for entry in entries for problem in spending.read(entry)] == []
        told = {key: (one.epsilon, one.rho, one.delta, one.unbounded) for key, one in spending.accounts.items()}
        sums = ", ".join(
            f"{unit}_spent{scale} + {unit}_reserved{scale}"
            for unit, scale in (("epsilon", "_nano"), ("rho", "_nano"), ("delta", "_atto"), ("unbounded", ""))
        )
        kept = self.rows(f"SELECT kind, owner, {sums} FROM accounts")
        assert told == {(kind, owner): tuple(map(int, numbers)) for kind, owner, *numbers in kept}


def assert_chain(entries: list[tuple[str, str]]) -> None:
    """Check that each (body, leaf hash) is hashed as RFC 6962 says and names the hash of the one before."""
    previous = "0" * 64
    for position, (body, leaf) in enumerate(entries):
        told = json.loads(body)
        assert told["index"] == position
        assert told["previous"] == previous, f"entry {position} does not follow the one before"
        assert hashlib.sha256(b"\x00" + body.encode()).hexdigest() == leaf, f"entry {position} was changed"
        previous = leaf


def make_home(path: Path, *manifest_files: Path, database: str | None = None) -> Home:
    """Make a home with the five users and import datasets into it."""
    settings = Home(path, {}, database).settings()
    made = create_home(settings, Founders("dora", "vera", "admin"))
    tokens = {name: made.tokens[role] for name, role in USERS.items() if role in made.tokens}
    services = open_services(settings)
    try:
        with services.database.write() as transaction:
            admin = people.user(transaction, "admin")
            for name, role in USERS.items():
                if name not in tokens:
                    people.add_user(transaction, name, role, admin)
                    tokens[name] = people.new_token(transaction, name, admin).text
        for file in manifest_files:
            import_file(services, file)
    finally:
        services.close()
    return Home(path, tokens, database)


def import_file(services: Services, manifest: Path) -> int:
    """Import a manifest as the next edition and return its number. Vera approves the first one, with any profiles."""
    declared = read_manifest(manifest)
    if declared.formalities is None:
        declared = replace(declared, formalities=FORMALITIES)
    with services.database.read() as transaction:
        admin, vera = (people.user(transaction, name) for name in ("admin", "vera"))
    edition, _ = import_manifest(
        services.settings,
        services.database,
        declared,
        admin,
        lambda _what, _done: None,
        accept_losses=True,  # what queries do with poisoned values is what tests ask
        profile_nano=epsilon_nano(declared.dataset.epsilon),
    )
    if edition.number == 1:
        with services.database.write() as transaction:
            dataset_terms.approve(transaction, edition.dataset, "it may", vera, **UNADVISED)
    return edition.number


def write_demo_manifest(folder: Path, epsilon: str = "10000.0") -> Path:
    """Write the demonstration's manifest with a larger cap (its sources stay where they are)."""
    text = (MANIFEST).read_text()
    changed = text.replace("epsilon = 3.0", f"epsilon = {epsilon}\novercommit = true")
    changed = changed.replace('"rand_hie.parquet"', f'"{MANIFEST.with_name("rand_hie.parquet")}"')
    assert changed.count(str(ROOT)) == 1
    assert f"epsilon = {epsilon}" in changed
    file = folder / "rand-hie.toml"
    file.write_text(changed)
    return file


def write_clinic(folder: Path, visits: list[str] | None = None, **changes: str) -> Path:
    """Write a small dataset with a date and an undeclared category; its manifest with some texts changed."""
    if visits is None:
        visits = [
            f"{n % 60},{('female', 'male')[n % 60 % 2]},2020-{n % 12 + 1:02}-15,{n}.25,{n % 90},{n % 3 == 0},C{n % 7}"
            for n in range(300)
        ]
    (folder / "visits.csv").write_text("\n".join(["patient,sex,day,cost,age,urgent,code", *visits]) + "\n")
    text = CLINIC
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file = folder / "clinic.toml"
    file.write_text(text)
    return file


# Applications


@dataclass(frozen=True)
class Place:
    """A home with an application over it, and a client for each user."""

    home: Home
    app: Flask

    @property
    def services(self) -> Services:
        """Return the application's services."""
        found: Services = self.app.extensions["rowless"]
        return found

    def client(self, name: str | None) -> Client:
        """Return the client of a user, or of nobody."""
        return Client(through_app(self.app), None if name is None else self.home.tokens[name])

    def open_study(self, name: str = "flu", dataset: str = "rand-hie", **terms: Any) -> str:
        """Open a study, make Ada a member and have Vera approve it."""
        return open_study(self.client("admin"), self.client("vera"), name, dataset, **terms)

    def new_token(self, user: str, **limits: Any) -> str:
        """Make a token of a user of any role, perhaps a limited one, with no second person."""
        with self.services.database.write() as transaction:
            return people.new_token(transaction, user, SYSTEM, tokens.Scope(**limits)).text


_closed: list[Flask] = []


@contextmanager
def application(home: Home, **settings: str) -> Iterator[Place]:
    """Open an application over a home; with a slot, on a machine that takes no time, so that slots have their least length.

    Routes are the same over every home, and to describe them takes a tenth of a second: an application that another
    test has closed is used again.
    """
    if settings.get("slot_ms", "0") != "0" and not (home.path / rates.FILE).exists():
        rates.keep(home.path, Rates(0, 0, 0, 0, 0, 0, 0))
    services = opened(home.settings(**settings))
    app = _closed.pop() if _closed else with_routes()
    app.extensions["rowless"] = services
    try:
        yield Place(home, app)
    finally:
        app.extensions["rowless"].close()
        _closed.append(app)


def through_app(app: Flask) -> Send:
    """Return how to send requests to an application."""

    def send(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        with app.test_client() as client:
            response = client.open(path, method=method, data=body, headers=list(headers.items()))
            lower = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, lower, response.data)

    return send


def write_formalities(folder: Path, **changes: Any) -> Path:
    """Write a file of formalities for a command, with some changed; None leaves one out."""
    kept = {name: value for name, value in {**FORMALITIES, **changes}.items() if value is not None}
    file = folder / "formalities.toml"
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in kept.items()))
    return file


def approve_dataset(admin: Client, approver: Client, name: str) -> None:
    """Have an approver approve what waits of a dataset, with formalities that the admin proposes if it has none."""
    waiting = admin.good("GET", f"/datasets/{name}")["terms"]["waiting"]
    if waiting["formalities"] is None:
        kept = {limit: waiting[limit] for limit in ("epsilon", "delta", "profile") if waiting[limit]}
        admin.good("POST", f"/datasets/{name}/propose", {**kept, "formalities": FORMALITIES, "reason": "a test"})
    approver.good("POST", f"/datasets/{name}/approve", {"reason": "it may", **UNADVISED})


def open_study(admin: Client, approver: Client, name: str, dataset: str, *, approve: bool = True, **terms: Any) -> str:
    """Open a study, make Ada a member and have an approver approve it."""
    body = {"name": name, "dataset": dataset, "epsilon": 1000.0, "title": "T", "purpose": "P", "legal_basis": "L"}
    body["formalities"] = FORMALITIES
    body["justification"] = "a test"
    admin.good("POST", "/studies", {**body, **terms})
    admin.good("PUT", f"/studies/{name}/members/ada")
    if approve:
        approver.good("POST", f"/studies/{name}/approve", {"reason": "it may", **UNADVISED})
    return name


# Server processes


@dataclass
class Server:
    """A running server: gunicorn's master, in a process group of its own with its worker."""

    home: Home
    port: int
    process: Process

    def client(self, name: str | None) -> Client:
        """Return the client of a user, or of nobody."""
        return Client(through_http(self.port), None if name is None else self.home.tokens[name])

    def open_study(self, name: str, dataset: str, **terms: Any) -> str:
        """Open a study, make Ada a member and have Vera approve it."""
        return open_study(self.client("admin"), self.client("vera"), name, dataset, **terms)

    def kill(self) -> None:
        """Kill master and worker at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def worker(self) -> int:
        """Return the process id of the worker."""
        pid = self.process.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with some variables more: see `ports.py` for what it says of Rowless."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


@contextmanager
def serving(home: Home, *, program: tuple[str, ...] = SERVE, **settings: str) -> Iterator[Server]:
    """Run `rowless serve` on a free port until the block ends; its log goes on in server.log beside the home."""
    port = free_port()
    log = home.path.with_suffix(".log")
    variables = environment(**home.environment(port=str(port), **settings))
    process = processes.start(*program, variables=variables, out=log, err=log)
    server = Server(home, port, process)
    try:
        wait_until_up(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_until_up(server: Server) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.home.path.with_suffix(".log").read_text()
        try:
            if server.client(None).get("/health").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server did not come up")


def through_http(port: int) -> Send:
    """Return how to send requests to a server, each on a connection of its own."""

    def send(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            lower = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, lower, response.read())

    return send


# Queries


def ask(select: Mapping[str, Any], epsilon: float = 1.0, table: str = "years", **query: Any) -> dict[str, Any]:
    """Return the body of a query."""
    return {"query": {"from": table, "select": select, **query}, "privacy": {"epsilon": epsilon}}


PATIENTS = {"patients": {"count": "persons"}}
ADULT = {"column": "age", "op": ">=", "value": 18}
EVERY_STATISTIC: dict[str, dict[str, Any]] = {  # over `years`
    "patients": {"count": "persons", "where": ADULT},
    "rows": {"count": "events", "where": {"not": ADULT}},
    "total": {"sum": "visits", "bounds": [0, 20], "where": ADULT},
    "average": {"mean": "visits"},
    "share": {"proportion": {"column": "visits", "op": ">", "value": 0}},
    "ever": {"proportion": {"any": [ADULT, {"column": "visits", "op": "=", "value": 0}]}, "of": "persons"},
    "variance": {"variance": "visits", "bounds": [0, 20]},
    "spread": {"stddev": "visits", "where": ADULT},
    "median": {"quantile": "visits", "at": 0.5},
    "quartiles": {"quantile": "visits", "at": [0.25, 0.5, 0.75], "bounds": [0, 50], "where": ADULT},
    "range": {"iqr": "visits", "bounds": [0, 50]},
    "ages": {"histogram": "age", "bins": [0, 18, 40, 65]},
    "health": {"histogram": "health", "where": ADULT},
    "often": {"top": "site", "k": 3},
    "together": {"covariance": ["age", "visits"]},
    "alike": {"correlation": ["age", "visits"], "bounds": [[18, 65], [0, 20]], "where": ADULT},
    "trend": {"slope": ["visits", "age"], "bounds": [[0, 20], [18, 65]]},
}


@contextmanager
def every_place_taken(gate: Gate) -> Iterator[None]:
    """Hold every place of a gate, each for another user."""
    with ExitStack() as holding:
        for number in range(gate.limits.places):
            entry = holding.enter_context(gate.entered(("user", f"user {number}")))
            holding.enter_context(entry.place())
        yield


@contextmanager
def damaged(store: Path, columns: str, table: str) -> Iterator[None]:
    """Overwrite a block of a closed store so that it opens but these columns cannot be read; mend it at the end.

    The block is found by trying: DuckDB checks a block's sum when it reads it.
    """
    whole = store.read_bytes()
    headers, block = 3 * 4096, 256 * 1024
    try:
        for start in range(headers, len(whole), block):
            with store.open("r+b") as file:
                file.seek(start + block // 2)
                file.write(b"\xa5" * 64)
            if _opens(store) and not _reads(store, columns, table):
                yield
                return
            _mend(store, whole)
        raise AssertionError("no block of the store holds only data of these columns")
    finally:
        _mend(store, whole)


def _mend(store: Path, whole: bytes) -> None:
    with store.open("r+b") as file:  # in place: whoever has the file open sees it
        file.write(whole)


def _opens(store: Path) -> bool:
    try:
        with duckdb.connect(str(store), read_only=True) as connection:
            connection.execute("SELECT * FROM duckdb_columns()").fetchall()
    except duckdb.Error:
        return False
    return True


def _reads(store: Path, columns: str, table: str) -> bool:
    try:
        with duckdb.connect(str(store), read_only=True) as connection:
            connection.execute(f"SELECT {columns} FROM {table}").fetchall()
    except duckdb.Error:
        return False
    return True
