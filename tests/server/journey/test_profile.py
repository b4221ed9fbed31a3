"""Buying a contribution profile over HTTP and on the command line, and what queries get of it."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from click.testing import CliRunner

from queries.contribution import tallying
from server.cli.main import main
from server.runtime.scans import slots
from tests.server.journey.test_slot import StillClock
from tests.serving import (
    PATIENTS,
    ROOT,
    application,
    ask,
    damaged,
    environment,
    import_file,
    write_clinic,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Home, Place, Reply

PATH = "/datasets/clinic/profile"
BY_AGE = {"group_by": ["age"]}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of failures that are wanted out of the tests' output."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def buy(place: Place, epsilon: float = 1.0, dataset: str = "clinic") -> Reply:
    """Buy a profile as the admin."""
    return place.client("admin").post(f"/datasets/{dataset}/profile", {"epsilon": epsilon})


def bought(place: Place, epsilon: float = 1.0) -> Any:
    """Buy a profile that must be made."""
    reply = buy(place, epsilon)
    assert reply.status == 201, reply
    return reply.json()


def rows(home: Home) -> list[tuple[str, int]]:
    """Return (kind, epsilon in billionths) of every charge for a profile."""
    return home.rows("SELECT kind, epsilon_nano FROM profile_charges ORDER BY rowid")


def run(home: Home, *arguments: str) -> Any:
    """Run a command over a home."""
    return CliRunner().invoke(main, list(arguments), env=home.environment())


def healthy(home: Home) -> bool:
    """Say whether `doctor` finds that every account equals its charges and the log's chain is whole."""
    told = json.loads(run(home, "doctor", "--json").stdout)
    return bool(told["healthy"])


# Buying


def test_a_profile_is_bought_once_and_read_again_free(place: Place) -> None:
    """The first is charged to the dataset alone; the same again is the very same one, free."""
    first = bought(place, 0.5)
    assert (first["dataset"], first["edition"], first["replayed"]) == ("clinic", 1, False)
    assert first["profile"]["cost"]["epsilon"] == 0.5
    assert first["budget"]["spent"]["epsilon"] == 0.5
    again = bought(place, 0.5)
    assert again == {**first, "replayed": True}
    assert rows(place.home) == [("reserve", 500_000_000), ("settle", 500_000_000)]
    assert place.home.used_nano("dataset", "clinic") == 500_000_000
    assert place.home.charges() == []
    actions = [action for action in place.home.actions() if action.startswith("dataset.profile")]
    assert actions == ["dataset.profile.reserve", "dataset.profile.release", "dataset.profile.replay"]
    assert healthy(place.home)


def test_bought_profile_is_in_catalog_for_everybody(place: Place) -> None:
    """Before it is bought the catalog shows none; then each role sees the same one."""
    assert place.client("ada").good("GET", "/datasets/clinic")["profile"] is None
    made = bought(place)["profile"]
    for name in ("admin", "dora", "ada", "ben"):
        assert place.client(name).good("GET", "/datasets/clinic")["profile"] == made
    visits = made["tables"]["visits"]
    assert set(visits["columns"]) == {"day", "age", "urgent"}, "not the amounts, nor the undeclared codes"
    assert visits["columns"]["day"]["by"] == "month"
    better = bought(place, 2.0)["profile"]
    assert place.client("ada").good("GET", "/datasets/clinic")["profile"] == better
    assert place.home.used_nano("dataset", "clinic") == 3_000_000_000


def test_a_new_edition_goes_on_with_the_profile(place: Place, tmp_path: Path) -> None:
    """A profile serves the editions after it, free, until another is bought of one of them."""
    made = bought(place)["profile"]
    import_file(place.services, write_clinic(tmp_path))
    assert place.client("ada").good("GET", "/datasets/clinic")["profile"] == made
    assert made["edition"] == 1
    again = bought(place)
    assert (again["edition"], again["replayed"]) == (2, False)
    assert place.client("ada").good("GET", "/datasets/clinic")["profile"] == again["profile"]
    assert place.home.used_nano("dataset", "clinic") == 2_000_000_000


def test_the_released_numbers_are_near_the_exact_ones(place: Place, tmp_path: Path) -> None:
    """Every bin lies within seven margins of what DuckDB counts in the source, and not all are equal to it.

    A margin holds 95%: Laplace noise passes seven once in 10^9 bins, and there are fewer than a hundred.
    """
    write_clinic(tmp_path)
    shown = bought(place, 7.0)["profile"]["tables"]["visits"]
    numbers = {
        ("events",): "count(*)",
        ("columns", "age", "values"): "count(DISTINCT age)",
        ("columns", "day", "values"): "count(DISTINCT date_trunc('month', day))",
        ("columns", "urgent", "values"): "count(DISTINCT urgent)",
    }
    same = 0
    for path, number in numbers.items():
        one: Any = shown
        for step in path:
            one = one[step]
        exact = [0] * len(one["starts"])
        for (found,) in duckdb.execute(
            f"SELECT {number} FROM read_csv('{tmp_path}/visits.csv') GROUP BY patient"
        ).fetchall():
            exact[max(place for place, start in enumerate(one["starts"]) if start <= found)] += 1
        assert sum(exact) == 60
        assert all(abs(a - b) <= 7 * max(1, one["margin"]) for a, b in zip(exact, one["persons"], strict=True))
        same += exact == one["persons"]
    exact_again = bought(place, 5_000.0)["profile"]["tables"]["visits"]["events"]
    assert exact_again["persons"][exact_again["starts"].index(4)] == 60, "300 visits of 60 patients, without any noise"
    assert same < len(numbers)


# Refusals, for free


def test_refused_profile_is_free(place: Place) -> None:
    """Other roles, unknown datasets, odd epsilons, too large ones, and a less exact profile are refused free."""
    for name in ("ada", "dora", "ben", None):
        assert place.client(name).post(PATH, {"epsilon": 0.1}).status == (401 if name is None else 403)
    assert buy(place, dataset="nowhere").code == "not-found"
    for body in ({}, {"epsilon": 0}, {"epsilon": -1}, {"epsilon": "x"}, {"epsilon": 1, "delta": 0}, {"epsilon": 1e-9}):
        reply = place.client("admin").post(PATH, body)
        assert reply.status == 422, (body, reply)
        assert reply.json()["pointer"].startswith("/epsilon") or reply.json()["pointer"] == "/delta"
    assert rows(place.home) == []
    bought(place, 1.0)
    assert buy(place, 0.5).code == "wrong-state"
    over = buy(place, 9_999.5)
    assert (over.status, over.code) == (409, "budget-exceeded")
    assert over.json()["account"] == "dataset"
    assert over.json()["remaining"]["epsilon"] == 9_999.0
    assert rows(place.home) == [("reserve", 10**9), ("settle", 10**9)]
    assert place.home.actions()[-1] == "dataset.profile.refuse"


def test_a_store_that_does_not_open_gives_the_charge_back(place: Place) -> None:
    """Nothing was read: the charge is given back, and a next attempt is charged anew."""
    store = place.home.store("clinic")
    whole = store.read_bytes()
    store.write_bytes(b"no store")
    assert buy(place).status == 503
    assert [kind for kind, _ in rows(place.home)] == ["reserve", "void"]
    assert place.home.used_nano("dataset", "clinic") == 0
    assert place.home.actions()[-1] == "dataset.profile.void"
    store.write_bytes(whole)
    assert not bought(place)["replayed"]
    assert [kind for kind, _ in rows(place.home)] == ["reserve", "void", "reserve", "settle"]
    assert healthy(place.home)


def test_a_failed_scan_is_spent_and_resumed(home: Home) -> None:
    """A failure after the charge says one constant text and gives nothing back; the same again costs no more."""
    with damaged(home.store("rand-hie"), "age, family_size", "years"), application(home) as place:
        failed = buy(place, dataset="rand-hie")
        assert (failed.status, failed.code) == (500, "query-failed")
        assert place.client("ada").good("GET", "/datasets/rand-hie")["profile"] is None
    assert rows(home) == [("reserve", 10**9), ("settle", 10**9)]
    assert home.actions()[-1] == "dataset.profile.fail"
    assert healthy(home)
    with application(home) as place:
        assert buy(place, dataset="rand-hie").json()["replayed"] is False
        assert rows(home) == [("reserve", 10**9), ("settle", 10**9)]
        assert [a for a in home.actions() if a.startswith("dataset.profile")][-2:] == [
            "dataset.profile.resume",
            "dataset.profile.release",
        ]
    assert home.used_nano("dataset", "rand-hie") == 10**9
    assert healthy(home)


def test_profile_that_failed_three_times_refused(place: Place) -> None:
    """A profile's charge pays for three attempts too; then nothing is scanned, charged or given back."""
    with damaged(place.home.store("rand-hie"), "age, family_size", "years"):
        assert [buy(place, dataset="rand-hie").status for _ in range(3)] == [500] * 3
    assert buy(place, dataset="rand-hie").code == "attempts-spent"
    assert rows(place.home) == [("reserve", 10**9), ("settle", 10**9)]
    made = [action for action in place.home.actions() if action.startswith("dataset.profile")]
    assert [action.removeprefix("dataset.profile.") for action in made] == [
        *("reserve", "fail", "resume", "fail", "resume", "fail", "refuse")
    ]
    assert not bought(place, 2.0)["replayed"]
    assert healthy(place.home)


def test_profile_is_visible_only_at_its_beat(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither catalog, charge nor log tells when a scan ended, whether it was made or failed: only when it is answered."""
    with application(home, slot_ms="250") as place:
        clock, seen = StillClock(), []

        def watching(seconds: float) -> None:
            seen.append((home.actions()[-1], [kind for kind, _ in rows(home)]))
            clock.now += seconds

        monkeypatch.setattr(clock, "sleep", watching, raising=False)
        monkeypatch.setattr(slots, "time", clock)
        with monkeypatch.context() as fault:
            fault.setattr(tallying, "tally", lambda *_: 1 / 0)
            assert buy(place).code == "query-failed"
        assert rows(home) == [("reserve", 10**9), ("settle", 10**9)]
        assert home.actions()[-1] == "dataset.profile.fail"
        assert not bought(place)["replayed"]
        assert home.actions()[-1] == "dataset.profile.release"
    assert [action.removeprefix("dataset.profile.") for action, _ in seen] == ["reserve", "fail", "resume", "release"]
    assert seen[0][1] == ["reserve"]


DYING = """
import os, signal
from queries.execution.duckdb import Store
stream = Store.columns
def dying(*args, **kwargs):
    for batch in stream(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)
        yield batch
Store.columns = dying
from server.cli.main import main
main(["profile", "clinic", "--epsilon", "1"])
"""


def test_who_is_killed_in_the_middle_has_paid(home: Home) -> None:
    """Killed while it scans: the charge stands, `recover` closes it as spent, and the same again resumes free."""
    killed = subprocess.run(
        [sys.executable, "-c", DYING], env=environment(**home.environment()), cwd=ROOT, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed
    assert rows(home) == [("reserve", 10**9)]
    assert home.used_nano("dataset", "clinic") == 10**9
    assert "1 (queries that are running" in run(home, "doctor").stdout
    assert json.loads(run(home, "recover", "--json").stdout) == {"closed": 1}
    assert json.loads(run(home, "recover", "--json").stdout) == {"closed": 0}
    assert home.actions()[-1] == "dataset.profile.recover"
    assert rows(home) == [("reserve", 10**9), ("settle", 10**9)]
    assert healthy(home)
    with application(home) as place:
        assert not bought(place)["replayed"]
    assert home.used_nano("dataset", "clinic") == 10**9
    assert len(rows(home)) == 2
    assert healthy(home)


def test_exact_numbers_stand_nowhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact bins are in no reply, ledger or log: only their noisy neighbours are."""
    exact: list[list[int]] = []
    tally = tallying.tally

    def listening(*args: Any) -> Any:
        found = tally(*args)
        exact.extend(vector.tolist() for vector in found)
        return found

    monkeypatch.setattr(tallying, "tally", listening)
    told = bought(place, 0.5)
    kept = [json.dumps(told), json.dumps(place.client("ada").good("GET", "/datasets/clinic"))]
    kept += [str(row) for table in ("profiles", "audit_entries") for row in place.home.rows(f"SELECT * FROM {table}")]
    assert len(exact) == 7
    for vector in exact:
        for separators in ((",", ":"), (", ", ": ")):
            text = json.dumps(vector, separators=separators)
            assert all(text not in one for one in kept)


# The command line


def test_profile_command_buys_profile(home: Home) -> None:
    """`rowless profile` says what was bought in words or as one object, and why not on standard error."""
    made = run(home, "profile", "clinic", "--epsilon", "0.5", "--json")
    assert made.exit_code == 0, made
    told = json.loads(made.stdout)
    assert set(told) == {"dataset", "edition", "profile", "budget", "replayed"}
    words = run(home, "profile", "clinic", "--epsilon", "0.5", "--as", "admin")
    assert words.exit_code == 0
    assert "it was there already; free" in words.stdout
    assert "visits: events per person" in words.stdout
    assert "day (by month): different values" in words.stdout
    assert "epsilon 9999.5 left" in words.stdout
    for arguments, reason in (
        (("clinic", "--epsilon", "0.1"), "larger epsilon"),
        (("clinic", "--epsilon", "99999"), "from 0 to 10000"),
        (("clinic", "--epsilon", "9999.75"), "the dataset has epsilon 9999.5"),
        (("clinic", "--epsilon", "much"), "must be a number"),
        (("clinic", "--epsilon", "0"), "above 0"),
        (("nowhere", "--epsilon", "1"), "there is no dataset nowhere"),
        (("clinic", "--epsilon", "1", "--as", "ada"), "role admin"),
    ):
        refused = run(home, "profile", *arguments)
        assert (refused.exit_code, refused.stdout) == (1, ""), arguments
        assert reason in refused.stderr
        assert "error" in json.loads(run(home, "profile", *arguments, "--json").stdout)
    assert len(rows(home)) == 2


# What queries get of it


def test_queries_get_bounds_from_the_profile(place: Place) -> None:
    """A query that names no bounds gets those of the profile, says so, and is a new question; a named one is not."""
    place.open_study("s", "clinic")
    ada = place.client("ada")
    by_age = ask(PATIENTS, 5.0, "visits", **BY_AGE)
    named = ask(PATIENTS, 5.0, "visits", bounds={"cells_per_person": 2}, **BY_AGE)
    before, fixed = (ada.good("POST", "/studies/s/queries", body) for body in (by_age, named))
    assert before["bounds"]["cells_per_person"] == 10
    assert "was not given" in before["notes"][0]
    bought(place, 50.0)
    after = ada.good("POST", "/studies/s/queries", by_age)
    assert not after["replayed"]
    assert after["bounds"]["cells_per_person"] == 3, "60 patients with 5 visits each, at 3 different ages"
    assert "profile" in after["notes"][0]
    assert ada.good("POST", "/studies/s/estimates", by_age)["bounds"] == after["bounds"]
    assert ada.good("POST", "/studies/s/queries", named)["replayed"]
    assert ada.good("POST", "/studies/s/queries", by_age)["replayed"]
    assert fixed["bounds"]["cells_per_person"] == 2


def test_a_retry_is_a_retry_whatever_was_bought_in_between(place: Place) -> None:
    """With its key a request is the same one as before the profile, and before a more exact one."""
    place.open_study("s", "clinic")
    ada = place.client("ada")
    body = ask(PATIENTS, 5.0, "visits", **BY_AGE)
    first = ada.post("/studies/s/queries", body, Idempotency_Key="one").json()
    bought(place, 50.0)
    second = ada.post("/studies/s/queries", body, Idempotency_Key="two").json()
    assert second["id"] != first["id"]
    for _ in range(2):  # what is remembered of a request with a key is not taken for one without, nor the reverse
        assert ada.post("/studies/s/queries", body).json()["id"] == second["id"]
        assert ada.post("/studies/s/queries", body, Idempotency_Key="one").json()["id"] == first["id"]
    bought(place, 400.0)
    for key, told in (("one", first), ("two", second)):
        again = ada.post("/studies/s/queries", body, Idempotency_Key=key)
        assert again.status == 201, again
        assert (again.json()["id"], again.json()["replayed"]) == (told["id"], True)
    other = ada.post("/studies/s/queries", ask(PATIENTS, 4.0, "visits", **BY_AGE), Idempotency_Key="one")
    assert other.code == "idempotency-conflict"
