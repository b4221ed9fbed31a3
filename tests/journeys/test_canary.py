"""A canary in the data is found nowhere: not in ledger, log, exports, application logs or the body of any reply."""

from __future__ import annotations

import base64
import http.client
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from server.runtime.services import open_services
from tests import processes
from tests.journeys.canaries import AGE, CODE, DAY, ORDINARY, PATIENT, Planted, plant, search
from tests.journeys.leaking import LEAKS
from tests.serving import PATIENTS, UNADVISED, Home, ask, environment, import_file, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Client, Reply, Server

WAYS = ("estimates", "rehearsals", "queries", "queries")  # the last one is a replay
PROCESS = re.compile(
    rb"\bpid: ?\d+|(?<=Listening at: )\S+ \(\d+\)"
)  # in gunicorn's lines: its number may be any, and so a canary's
CUT_OFF = (ConnectionError, http.client.HTTPException)
TOTAL = {"total": {"sum": "cost"}}
COSTLY = {"column": "cost", "op": "between", "value": [613, 614]}
COHORT = {"cohort": {"of": "visits", "where": {"column": "cost", "op": ">=", "value": 599}, "at_least": 1}}
PER_PERSON = {
    "per_person": "visits",
    "values": {"cost": {"sum": "cost", "bounds": [0, 3000]}, "n": {"count": "events"}},
}
WAITING = {
    "per_person": "visits",
    "where": {"column": "urgent", "op": "=", "value": True},
    "values": {"wait": {"days_to": {"of": "visits", "where": {"column": "cost", "op": ">", "value": 590}}}},
}
HOSTILE = (
    "'; DROP TABLE visits; --",
    "read_csv('/etc/passwd')",
    "{{7*7}}",
    "\u0000",
    "%s%s%n",
    "../../etc/passwd",
    "🐦",
)


def spending(query: dict[str, Any], **privacy: Any) -> dict[str, Any]:
    """Return a body that spends something else."""
    return {**query, "privacy": privacy}


QUERIES: list[dict[str, Any]] = [
    ask(PATIENTS, 0.5, "visits"),
    ask(PATIENTS, 0.5, "persons", group_by=["sex"]),
    ask({"n": {"count": "events"}}, 0.01, "visits"),
    ask({**TOTAL, "mean": {"mean": "cost"}}, 0.5, "visits", group_by=["sex"]),
    ask(TOTAL, 0.25, "visits"),
    ask(TOTAL, 0.25, "visits", group_by=[{"column": "day", "period": "month"}]),
    ask(
        {
            "share": {"proportion": {"column": "cost", "op": ">", "value": 500}},
            "variance": {"variance": "cost"},
            "spread": {"stddev": "age"},
        },
        0.5,
        "visits",
    ),
    ask(
        {"q": {"quantile": "cost", "at": [0.5, 0.99]}, "h": {"histogram": "age", "bins": [0, 36, 38, 120]}}, 1, "visits"
    ),
    ask({"often": {"top": "sex", "k": 1}, "cov": {"covariance": ["age", "cost"]}}, 0.5, "visits"),
    ask({"alike": {"correlation": ["age", "cost"]}}, 0.5, "visits"),
    ask(PATIENTS, 0.5, "visits", group_by=[{"column": "cost", "bins": [0, 600, 614, 1000]}]),
    ask(PATIENTS, 0.5, "visits", where=COSTLY),
    ask(PATIENTS, 0.5, "visits", where={"column": "code", "op": "!=", "value": "C1"}),
    ask(PATIENTS, 0.5, "visits", where={"column": "code", "op": "is_null"}),
    spending(ask(PATIENTS, 1, "visits", group_by=["code"]), epsilon=1.0, delta=1e-8),
    spending(ask(PATIENTS, 1, "visits", group_by=["code", "sex"]), rho=0.2, delta=1e-8),
    spending(ask(TOTAL, 1, "visits"), rho=0.01),
    spending(ask(PATIENTS, 1, "visits"), margin={"patients": 10}),
    {**ask(PATIENTS, 0.3, "visits", group_by=["sex", "urgent"]), "post": ["consistent", "round", "clamp"]},
    {"sql": "SELECT sex, AVG(cost) AS c FROM visits WHERE age >= 30 GROUP BY sex", "privacy": {"epsilon": 0.5}},
]
PER_PERSONS: list[dict[str, Any]] = [
    {
        "query": {"from": PER_PERSON, "select": {"c": {"mean": "cost"}, "p": {"count": "persons"}}},
        "privacy": {"epsilon": 0.5},
    },
    {"query": {"from": PER_PERSON, "select": {"h": {"histogram": "n"}}}, "privacy": {"epsilon": 0.5}},
    {
        "query": {"from": WAITING, "select": {"s": {"survival": "wait", "bins": [0, 30, 90, 365]}}},
        "privacy": {"epsilon": 0.5},
    },
    {
        "sql": "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE person IN (SELECT person FROM visits WHERE cost > 599)",
        "privacy": {"epsilon": 0.5},
    },
]
REFUSED: list[dict[str, Any]] = [
    ask(PATIENTS, 0.5, "visits", group_by=["code"]),  # without a delta
    ask({"x": {"max": "cost"}}, 0.5, "visits"),
    ask({"x": {"sum": "code"}}, 0.5, "visits"),
    ask(PATIENTS, 0.5, "visits", where={"column": "age", "op": ">", "value": "x"}),
    ask(PATIENTS, 0.5, "visits", group_by=["person"]),
    ask(PATIENTS, 9_000.0, "visits"),
    ask(PATIENTS, 0.5, "elsewhere"),
    {"sql": "SELECT code, MAX(cost) FROM visits GROUP BY code", "privacy": {"epsilon": 0.5}},
    {"sql": "SELECT * FROM visits", "privacy": {"epsilon": 0.5}},
    {"sql": "SELECT CAST(code AS DATE) FROM visits", "privacy": {"epsilon": 0.5}},
    *(
        {"sql": f"SELECT COUNT(*) FROM visits WHERE code = '{text}' {text}", "privacy": {"epsilon": 1}}
        for text in HOSTILE
    ),
    *(ask(PATIENTS, 0.5, "visits", where={"column": text, "op": "=", "value": text}) for text in HOSTILE),
]


@dataclass
class Seen:
    """All that came out of a server and its commands, by where it came from."""

    home: Home
    bodies: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    def add(self, where: str, content: bytes) -> None:
        """Keep what came out."""
        self.bodies[f"{len(self.bodies)} {where}"] = content

    def take(self, where: str, reply: Reply) -> Reply:
        """Keep a reply with its headers."""
        self.statuses.append(reply.status)
        # A length may be any number, and has nothing that the body has not.
        kept = [(name, value) for name, value in reply.headers.items() if name != "content-length"]
        headers = "\n".join(f"{name}: {value}" for name, value in kept)
        self.add(f"{reply.status} {where}", headers.encode() + b"\n" + reply.body)
        return reply

    def run(self, *arguments: str, code: int | None = 0) -> bytes:
        """Run a command and keep what it said."""
        ended = processes.run("server.cli", *arguments, variables=environment(**self.home.environment()))
        assert code is None or ended.returncode == code, (arguments, ended)
        wrote = (ended.stdout + ended.stderr).encode()
        self.add(f"rowless {' '.join(arguments)}", wrote)
        return wrote

    def keep_files(self) -> None:
        """Keep what lies in the home, but for the store, and the application's log beside it."""
        for file in [*self.home.path.rglob("*"), self.home.path.with_suffix(".log")]:
            if file.is_file() and file.name != "store.duckdb":
                content = file.read_bytes()
                self.add(str(file), PROCESS.sub(b"", content) if file.suffix == ".log" else content)

    def unanswered(self) -> dict[str, bytes]:
        """Return what holds no noisy number: logs, what a DPO exports, and what was refused."""
        told = ("server.log", "home.log", ".jsonl", "audit/entries", "/audit/", "rowless doctor", "rowless recover")
        return {
            where: content
            for where, content in self.bodies.items()
            if where.split(" ")[1][:1] in "45" or any(part in where for part in told)
        }


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """Return data with canaries."""
    return plant(tmp_path)


def everything(seen: Seen, client: Client, accept: str) -> None:
    """Read every list and thing that a user may read."""
    paths = ["/me", "/datasets", "/datasets/clinic", "/studies", "/studies/s", "/studies/s/budget", "/openapi.json"]
    paths += ["/studies/s/releases?limit=1000", "/audit/entries?limit=1000", "/audit/entries?study=s&action=query.fail"]
    paths += ["/audit/checkpoint", "/audit/proofs/inclusion?index=3", "/audit/proofs/consistency?from=3"]
    paths += ["/alerts", "/audit/identities", "/audit/entries?order=newest&limit=1000"]
    paths += ["/studies/s/report", "/datasets/clinic/report", "/nowhere", "/studies/nowhere"]
    listed = client.get("/studies/s/releases?limit=1000").json()["items"]
    if accept in ("application/json", "text/csv"):
        paths += [f"/studies/s/releases/{one['id']}" for one in listed]
    if accept == "application/json":
        paths += [f"/studies/s/releases/{one['id']}/certificate" for one in listed]
    for path in paths:
        seen.take(path, client.get(path, Accept=accept))


def mixed_run(seen: Seen, server: Server) -> None:
    """Ask good and bad questions, many of which touch the planted values, and be refused in every way."""
    ada, admin, dora, ben = (server.client(name) for name in ("ada", "admin", "dora", "ben"))
    for body in (*QUERIES, *PER_PERSONS, *REFUSED):
        for way in WAYS:
            seen.take(f"/studies/s/{way} {json.dumps(body)[:60]}", ada.post(f"/studies/s/{way}", body))
    body = ask(PATIENTS, 0.5, "visits")
    key = {"Idempotency_Key": "one"}
    for reply in (
        server.client(None).post("/studies/s/queries", body),
        ben.post("/studies/s/queries", body),
        admin.post("/studies/s/queries", body),
        ada.post("/studies/s/queries", body, **key),
        ada.post("/studies/s/queries", ask(PATIENTS, 0.25, "visits"), **key),
        ada.post("/studies/s/approve", {"reason": "mine"}),
        ada.request("DELETE", "/studies/s"),
        ada.request("POST", "/studies/s/queries", raw=b"{"),
        ada.request("POST", "/studies/s/queries", raw=b"[" * 100_000),
        ada.request("POST", "/studies/s/queries", raw=b"x" * 3_000_000),
        ada.request("POST", "/studies/s/queries", raw=b"\xff\xfe", headers={"Content-Type": "text/plain"}),
        admin.request(
            "PUT", "/studies/s/budget", {"epsilon": 1e-9, "justification": "a test", "reason": "less than spent"}
        ),
        admin.request("PUT", "/studies/s/budget", {"epsilon": 5_000.0, "justification": "a test", "reason": "more"}),
        admin.post("/studies/s/budget/approve", {"reason": "mine"}),
        server.client("vera").post("/studies/s/budget/approve", {"reason": "well", **UNADVISED}),
        admin.post("/datasets/clinic/profile", {"epsilon": 20.0}),
        admin.post("/datasets/clinic/profile", {"epsilon": 1e6}),
        dora.post("/studies/s/suspend", {"reason": "stop"}),
        ada.post("/studies/s/queries", body),
        dora.post("/studies/s/resume", {"reason": "go on"}),
    ):
        seen.take("one of many", reply)


def failing_run(seen: Seen) -> None:
    """Ask of a store that was cut off, then of a server that dies, and leave a charge open."""
    home = seen.home
    store = home.store("clinic")
    whole = store.read_bytes()
    store.write_bytes(whole[: len(whole) // 2])
    with serving(home) as server:
        for epsilon in (0.125, 0.126):
            body = ask({"f": {"sum": "cost"}}, epsilon, "visits")
            reply = seen.take("a cut store", server.client("ada").post("/studies/s/queries", body))
            assert reply.status == 500
        seen.run("doctor", code=None)
    store.write_bytes(whole)
    (home.path / "doom").touch()
    with serving(home, program=("tests.journeys.doomed", "reserved")) as server, pytest.raises(CUT_OFF):
        server.client("ada").post("/studies/s/queries", ask({"f": {"sum": "cost"}}, 0.128, "visits"))
    assert b"1 open" in seen.run("recover")


def commands(seen: Seen, planted: Planted) -> None:
    """Do on the command line what it can do, and export everything."""
    folder = planted.manifest.parent
    file = folder / "query.json"
    file.write_text(json.dumps(QUERIES[3]))
    seen.run("query", "s", str(file))
    seen.run("query", "s", str(file), "--estimate")
    seen.run("query", "s", "--rehearse", "--sql", "SELECT AVG(cost) FROM visits", "--epsilon", "1")
    seen.run("query", "s", "--sql", "SELECT MAX(cost) FROM visits", "--epsilon", "1", code=1)
    seen.run("profile", "clinic", "--epsilon", "20")
    seen.run("profile", "clinic", "--epsilon", "21", "--json")
    for arguments in (("study", "list"), ("study", "show", "s"), ("study", "budget", "s"), ("study", "protocol", "s")):
        seen.run(*arguments)
    for kind, name in (("study", "s"), ("dataset", "clinic")):
        seen.run("report", kind, name)
        seen.run("report", kind, name, "--json")
        seen.run("report", kind, name, "--html", str(folder / f"{kind}.html"))
        seen.add(f"{kind}.html", (folder / f"{kind}.html").read_bytes())
    export = folder / "export.jsonl"
    seen.run("audit", "rotate-key")
    key = seen.run("audit", "key").decode().strip()
    seen.run("audit", "checkpoint", str(folder / "kept"))
    seen.run("audit", "export", str(export))
    seen.run("audit", "verify", str(export), "--key", key, code=1)  # this key is not the first
    for written in (export, folder / "kept", folder / "export.jsonl.checkpoint"):
        seen.add(f"export.jsonl {written.name}", written.read_bytes())
    seen.run("doctor")


def test_planted_values_are_found_nowhere(home: Home, planted: Planted) -> None:
    """After a long mixed run no canary and no exact answer stands in anything that came out, in any form."""
    seen = Seen(home)
    printed = seen.run("import", str(planted.manifest))
    with serving(home) as server:
        server.open_study("s", "clinic", epsilon=500.0)
        mixed_run(seen, server)
    assert {200, 201, 400, 401, 403, 404, 405, 409, 413, 415, 422} <= set(seen.statuses)
    failing_run(seen)
    commands(seen, planted)
    with serving(home) as server:
        for accept in ("application/json", "text/csv", "application/jsonl", "text/html"):
            for name in ("ada", "admin", "dora"):
                everything(seen, server.client(name), accept)
        seen.keep_files()  # with the ledger's WAL while it is open
    seen.keep_files()
    actions = set(home.actions())
    assert {"query.release", "query.refuse", "query.replay", "query.fail", "query.recover"} <= actions
    assert {"query.estimate", "query.rehearse", "dataset.profile.release", "report.read"} <= actions
    assert any(where.endswith("-wal") for where in seen.bodies)

    # The import's report is for the admin's terminal: it has exact counts, and no value.
    imported = next(where for where in seen.bodies if "rowless import" in where)
    assert f"of {planted.exact_count} rows".encode() in printed
    assert search({imported: printed}, planted.canaries) == []
    del seen.bodies[imported]

    assert search(seen.bodies, planted.canaries) == []
    told = seen.unanswered()
    assert sum(where.endswith(".log") for where in told) >= 1
    assert len(told) > 100
    assert search(told, [planted.exact_count]) == []
    assert sum(map(len, seen.bodies.values())) > 3_000_000
    home.assert_sound()


@pytest.mark.parametrize("how", LEAKS)
def test_the_search_finds_planted_leaks(home: Home, planted: Planted, how: str) -> None:
    """A server that leaks by one careless line, in its log, an error or an entry, is found by the same search."""
    seen = Seen(home)
    seen.run("import", str(planted.manifest))
    seen.bodies.clear()
    with serving(home, program=("tests.journeys.leaking", how)) as server:
        server.open_study("s", "clinic", epsilon=500.0)
        ada = server.client("ada")
        if how == "texts":
            body = spending(ask(PATIENTS, 1, "visits", group_by=["code"]), epsilon=1.0, delta=1e-8)
        else:
            body = ask(TOTAL, 0.25, "visits")
        seen.take("/studies/s/queries", ada.post("/studies/s/queries", body))
        seen.take("entries", server.client("dora").get("/audit/entries?limit=1000"))
    seen.keep_files()
    found = search(seen.bodies, planted.canaries)
    assert found
    where = {"log": ".log", "texts": ".log", "error": "503 /studies/s/queries", "entry": "ledger.sqlite"}[how]
    assert any(where in place for place, _, _ in found), found
    assert {canary for _, canary, _ in found} == {CODE if how == "texts" else planted.exact_sum[0]}


def test_canary_search_knows_every_form() -> None:
    """A canary is found in plain, in hex, in base64 at any offset, in UTF-16 and as 8 bytes; in a hash it is not."""
    for content in (
        f"x{CODE.lower()}y".encode(),
        CODE.encode().hex().encode(),
        CODE.encode().hex().upper().encode(),
        *(base64.b64encode(b"z" * offset + CODE.encode() + b"tail" * offset) for offset in range(4)),
        CODE.encode("utf-16-le"),
    ):
        assert search({"it": content}, [CODE]), content
    for content in (b'{"n":123456789}', b"n=123456789,", (123456789).to_bytes(8, "little"), b"hex 313233343536373839"):
        assert search({"it": content}, ["123456789"]), content
    for content in (b"a123456789b", b"0123456789", b"1234567890", b"x" * 100):
        assert not search({"it": content}, ["123456789"]), content


def test_the_canaries_are_in_the_data(home: Home, planted: Planted) -> None:
    """A query finds the person who has them, the source holds each text, and the store has the exact sum."""
    source = planted.manifest.with_name("visits.csv").read_text()
    assert all(text in source for text in (PATIENT, ORDINARY, CODE, "613.37", AGE, DAY))
    services = open_services(home.settings())
    try:
        import_file(services, planted.manifest)
    finally:
        services.database.close()
    with serving(home) as server:
        server.open_study("s", "clinic", epsilon=9_000.0)
        ada = server.client("ada")
        where = {"column": "code", "op": "=", "value": CODE}
        said = ada.post("/studies/s/queries", ask(PATIENTS, 30.0, "visits", where=where))
        assert said.status == 201, said
        assert said.json()["rows"][0]["patients"]["value"] == 1
        near = ada.post("/studies/s/queries", ask(TOTAL, 5_000.0, "visits")).json()["rows"][0]["total"]["value"]
        assert abs(near - float(planted.exact_sum[1])) < 10_000


def test_person_identifiers_are_not_kept_in_home(home: Home, planted: Planted) -> None:
    """No file of a home holds a person's identifier, or a text that could not be read, once it is imported."""
    seen = Seen(home)
    seen.run("import", str(planted.manifest))
    seen.bodies.clear()
    seen.keep_files()
    seen.add("store", home.store("clinic").read_bytes())
    assert search(seen.bodies, [PATIENT, ORDINARY, AGE, DAY]) == []
    assert search(seen.bodies, [CODE])  # texts that were declared to be kept are in the store
