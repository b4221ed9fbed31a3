from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from server.house import open_house
from tests.serving import PATIENTS, ROOT, Home, ask, environment, import_file, serving, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Client

# Planted in the source, once each: a patient's number, a code, a text in each kind of column, a cost.
PATIENT, CODE, COST, AGE, DAY = "777000777123", "KANARIENVOGEL", "613.37", "ZWITSCHER-93", "2020-02-29T11:59:07"
WAYS = ("estimates", "rehearsals", "queries", "queries")
AMOUNTS = (COST, "61337")
TEXTS = (PATIENT, CODE, AGE, DAY, *AMOUNTS)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a manifest over data with one person whose values are found nowhere else."""
    visits = [
        f"{900_000_000 + n % 60},{('female', 'male')[n % 2]},2020-03-15,{n}.25,{n % 60},{n % 3 == 0},C{n % 7}"
        for n in range(300)
    ]
    return write_clinic(
        tmp_path,
        [
            *visits,
            f"{PATIENT},female,2020-02-29,{COST},37,true,{CODE}",
            f"{PATIENT},{CODE},{DAY},{COST},{AGE},{CODE},{CODE}",
        ],
    )


def everything(client: Client, accept: str) -> list[bytes]:
    """Return the body of every list and thing that a user may read."""
    paths = ["/me", "/datasets", "/datasets/clinic", "/studies", "/studies/s", "/studies/s/budget"]
    paths += ["/studies/s/releases?limit=1000", "/audit/entries?limit=1000", "/openapi.json"]
    paths += ["/studies/s/report", "/datasets/clinic/report"]
    listed = client.get("/studies/s/releases?limit=1000").json()["items"]
    paths += [f"/studies/s/releases/{one['id']}" for one in listed]
    return [client.get(path, Accept=accept).body for path in paths]


def mixed_run(client: Client) -> list[bytes]:
    """Ask good and bad queries, many of which touch the planted values, and return all bodies."""
    bodies: list[dict[str, Any]] = [
        ask(PATIENTS, 0.5, "visits"),
        ask({"c": {"sum": "cost"}, "m": {"mean": "cost"}}, 0.5, "visits", group_by=["sex"]),
        ask({"c": {"sum": "cost"}}, 0.25, "visits", group_by=[{"column": "day", "period": "month"}]),
        ask(PATIENTS, 0.5, "visits", group_by=[{"column": "cost", "bins": [0, 600, 614, 1000]}]),
        ask(PATIENTS, 0.5, "visits", where={"column": "cost", "op": "between", "value": [613, 614]}),
        ask(PATIENTS, 0.5, "visits", where={"column": "code", "op": "!=", "value": "C1"}),
        ask(PATIENTS, 0.5, "visits", where={"column": "code", "op": "is_null"}),
        ask(PATIENTS, 0.5, "visits", group_by=["code"]),
        # No group_by cost: its keys are every declared amount, so the planted one would stand there by right.
        ask({"x": {"max": "cost"}}, 0.5, "visits"),
        ask({"x": {"sum": "code"}}, 0.5, "visits"),
        ask(PATIENTS, 0.5, "visits", where={"column": "age", "op": ">", "value": "x"}),
        ask(PATIENTS, 9_000.0, "visits"),
        ask(PATIENTS, 0.5, "persons", group_by=["sex"]),
    ]
    replies = [client.post(f"/studies/s/{way}", body) for body in bodies for way in WAYS]
    assert {201, 200, 422, 409} <= {reply.status for reply in replies}
    return [reply.body for reply in replies]


def test_planted_values_are_found_nowhere(home: Home, planted: Path) -> None:
    """Values of one planted person stand in no reply, ledger, log, export, error or listing, whatever was asked."""
    command = [sys.executable, "-m", "server.cli"]
    variables = environment(**home.environment())

    def run(*arguments: str) -> bytes:
        ended = subprocess.run([*command, *arguments], env=variables, cwd=ROOT, capture_output=True, check=False)
        return ended.stdout + ended.stderr

    seen = [run("import", str(planted)), run("import", str(planted), "--json")]
    assert b'"edition": 3' in seen[1]
    with serving(home) as server:
        server.open_study("s", "clinic", epsilon=100.0)
        clients = [server.client(name) for name in ("ada", "admin", "dora", "ben")]
        bought = clients[1].post("/datasets/clinic/profile", {"epsilon": 20.0})
        assert bought.status == 201, bought
        seen += [bought.body, run("profile", "clinic", "--epsilon", "20"), run("profile", "clinic", "--epsilon", "21")]
        seen += mixed_run(clients[0])
    # Once more over a store that is cut off, with failures after the charge.
    store = home.store("clinic")
    whole = store.read_bytes()
    store.write_bytes(whole[: len(whole) // 2])
    with serving(home) as server:
        for epsilon in (0.125, 0.25):
            failed = server.client("ada").post("/studies/s/queries", ask({"f": {"sum": "cost"}}, epsilon, "visits"))
            assert failed.status == 500
            seen.append(failed.body)
    store.write_bytes(whole)
    with serving(home) as server:
        clients = [server.client(name) for name in ("ada", "admin", "dora")]
        for accept in ("application/json", "text/csv", "application/jsonl", "text/html"):
            for client in clients:
                seen += everything(client, accept)
    export = home.path.with_name("export.jsonl")
    seen += [run("audit", "export", str(export)), run("doctor"), run("study", "list"), run("recover")]
    seen += [export.read_bytes(), home.path.with_suffix(".log").read_bytes()]
    for file in home.path.glob("ledger.sqlite*"):
        seen.append(file.read_bytes())
    assert b"failed" in home.path.with_suffix(".log").read_bytes()
    for text in TEXTS:
        planted_text = re.compile(re.escape(text.encode()))
        if text in AMOUNTS:
            # As a number of its own: five digits turn up by chance within hashes and the digits of a margin.
            planted_text = re.compile(rb"(?<![0-9A-Za-z.])" + planted_text.pattern + rb"(?![0-9A-Za-z])")
        for one in seen:
            found = planted_text.search(one)
            assert found is None, (text, one[max(0, found.start() - 100) : found.end() + 100])
    assert sum(len(one) for one in seen) > 100_000
    home.assert_sound()


def test_the_search_would_find_them(home: Home, planted: Path) -> None:
    """The planted values are in the data: a query finds the person, and the source holds every one of the texts."""
    source = planted.with_name("visits.csv").read_text()
    assert all(text in source for text in TEXTS if text != "61337")
    house = open_house(home.settings())
    try:
        import_file(house, planted)
    finally:
        house.database.close()
    with serving(home) as server:
        server.open_study("s", "clinic", epsilon=5_000.0)
        where = {"column": "code", "op": "=", "value": CODE}
        said = server.client("ada").post("/studies/s/queries", ask(PATIENTS, 30.0, "visits", where=where))
        assert said.status == 201, said
        assert said.json()["rows"][0]["patients"]["value"] == 1


def test_identifiers_are_not_kept(home: Home, planted: Path) -> None:
    """No file of a home holds a person's identifier, or a text that could not be read, once it is imported."""
    subprocess.run(
        [sys.executable, "-m", "server.cli", "import", str(planted)],
        env=environment(**home.environment()),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    number = int(PATIENT).to_bytes(8, "little")
    for file in home.path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert number not in content, file
            for text in (PATIENT, AGE, DAY):
                assert text.encode() not in content, (file, text)
    assert PATIENT in planted.with_name("visits.csv").read_text()
