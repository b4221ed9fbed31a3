"""The profile that the first import proposes: bought once it is approved, never again by itself, no hindrance to any import."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from queries.contribution import tallying
from server.cli.main import main
from tests.serving import (
    FORMALITIES,
    PATIENTS,
    ROOT,
    application,
    ask,
    environment,
    import_file,
    make_home,
    write_clinic,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Home

CAP = "epsilon = 10000.0"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of failures that are wanted out of the tests' output."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def bare(tmp_path: Path) -> Home:
    """Return a home without any dataset."""
    return make_home(tmp_path / "bare")


def run(home: Home, *arguments: str) -> Any:
    """Run a command over a home."""
    return CliRunner().invoke(main, list(arguments), env=home.environment())


def imported(home: Home, folder: Path, **changes: str) -> Any:
    """Import the clinic, with some texts of its manifest changed, and return what is said as JSON."""
    ended = run(home, "import", str(write_clinic(folder, **changes)), "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def approve(home: Home) -> None:
    """Approve what waits of the clinic."""
    ended = run(home, "dataset", "approve", "clinic", "--reason", "good", "--without-advice", "a test")
    assert ended.exit_code == 0, ended.output


def bought(home: Home, folder: Path, *arguments: str, **changes: str) -> None:
    """Import the clinic, have it approved, and buy the profile that was approved."""
    imported(home, folder, **changes)
    approve(home)
    ended = run(home, "profile", "clinic", *arguments)
    assert ended.exit_code == 0, ended.output


def charges(home: Home) -> list[tuple[str, int]]:
    """Return (kind, epsilon in billionths) of every charge for a profile."""
    return home.rows("SELECT kind, epsilon_nano FROM profile_charges ORDER BY rowid")


TENTH = [("reserve", 10**8), ("settle", 10**8)]


def test_the_first_import_proposes_a_profile(bare: Home, tmp_path: Path) -> None:
    """Nothing is charged before the approval; then 0.1 of the dataset's own budget, in two phases, logged and public."""
    told = imported(bare, tmp_path)["profile"]
    assert (told["bought"], told["cost"]) == (False, None)
    assert "epsilon 0.1 waits for an approver" in told["words"]
    refused = run(bare, "profile", "clinic", "--epsilon", "0.1")
    assert (refused.exit_code, "waits for an approver" in refused.stderr) == (1, True)
    assert charges(bare) == []
    approve(bare)
    assert charges(bare) == []
    assert run(bare, "profile", "clinic").exit_code == 0
    assert run(bare, "profile", "clinic").exit_code == 1, "nothing more was approved"
    assert charges(bare) == TENTH
    assert bare.used_nano("dataset", "clinic") == 10**8
    assert [action for action in bare.actions() if action.startswith("dataset")] == [
        "dataset.import",
        "dataset.approve",
        "dataset.profile.reserve",
        "dataset.profile.release",
    ]
    bare.assert_sound()
    with application(bare) as place:
        shown = place.client("ben").good("GET", "/datasets/clinic")["profile"]
        assert set(shown["tables"]) == {"visits"}
        assert shown["edition"] == 1


def test_later_editions_go_on_with_it(bare: Home, tmp_path: Path) -> None:
    """Nothing is spent again; queries of the new edition are planned by it, until the custodian buys another."""
    bought(bare, tmp_path, **{'type = "integer"\nbounds = [0, 120]': 'type = "integer"\nbounds = [0, 130]'})
    again = run(bare, "import", str(write_clinic(tmp_path)))
    assert "edition 1" in again.stdout
    told = imported(bare, tmp_path)["profile"]
    assert (told["bought"], told["edition"]) == (False, 1)
    assert told["cost"] == {"epsilon": 0.1, "rho": pytest.approx(0.005 / 7, rel=0.01), "delta": 0.0}
    assert charges(bare) == TENTH
    assert bare.used_nano("dataset", "clinic") == 10**8
    with application(bare) as place:
        ada = place.client("ada")
        shown = ada.good("GET", "/datasets/clinic")
        assert (shown["edition"], shown["profile"]["edition"]) == (3, 1)
        reply = place.client("admin").post("/datasets/clinic/profile", {"epsilon": 50.0})
        assert (reply.status, reply.code) == (403, "not-approved")
        place.client("admin").good("POST", "/datasets/clinic/propose", {"profile": 50.0, "reason": "new persons"})
        approve(bare)
        reply = place.client("admin").post("/datasets/clinic/profile", {"epsilon": 50.0})
        assert (reply.status, reply.json()["edition"]) == (201, 3)
        assert ada.good("GET", "/datasets/clinic")["profile"]["edition"] == 3
        place.open_study("s", "clinic")
        estimate = ada.good("POST", "/studies/s/estimates", ask({"n": {"count": "events"}}, 5.0, "visits"))
        assert estimate["columns"][0]["truncation"] == "profile"
    assert imported(bare, tmp_path)["profile"]["edition"] == 3
    with application(bare) as place:
        body = ask({"n": {"count": "events"}}, 5.0, "visits")
        later = place.client("ada").good("POST", "/studies/s/estimates", body)
        assert later["columns"] == estimate["columns"]
    assert bare.used_nano("dataset", "clinic") == 10**8 + 50 * 10**9


def test_a_manifest_may_go_without(bare: Home, tmp_path: Path) -> None:
    """With `profile = false` none is proposed, which is said; approved later, an import that names it buys it."""
    told = imported(bare, tmp_path, **{CAP: f"{CAP}\nprofile = false"})["profile"]
    assert (told["bought"], told["cost"]) == (False, None)
    assert "manifest" in told["words"]
    approve(bare)
    later = imported(bare, tmp_path)["profile"]
    assert (later["bought"], later["cost"]) == (False, None), "by itself nothing is spent on an edition that came later"
    refused = imported(bare, tmp_path, **{CAP: f"{CAP}\nprofile = 0.25"})["profile"]
    assert (refused["bought"], "approved" in refused["words"]) == (False, True)
    assert charges(bare) == []
    assert run(bare, "dataset", "propose", "clinic", "--profile", "0.25", "--reason", "better").exit_code == 0
    approve(bare)
    assert imported(bare, tmp_path, **{CAP: f"{CAP}\nprofile = 0.25"})["profile"]["bought"] is True
    assert charges(bare) == [("reserve", 25 * 10**7), ("settle", 25 * 10**7)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("true", "must be a finite number"),
        ("0", "must be at least epsilon_min, 0.001, and at most the cap"),
        ("-0.1", "must be at least epsilon_min"),
        ("10001", "at most the cap"),
        ('"much"', "must be a finite number"),
    ],
)
def test_manifest_with_wrong_profile_value_refused_before_build(
    bare: Home, tmp_path: Path, value: str, reason: str
) -> None:
    """A wrong value is refused with its place, before anything is built."""
    ended = run(bare, "import", str(write_clinic(tmp_path, **{CAP: f"{CAP}\nprofile = {value}"})))
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "dataset.profile" in ended.stderr
    assert reason in ended.stderr
    assert bare.rows("SELECT * FROM editions") == []


def test_a_small_cap_is_not_taken_by_itself(bare: Home, tmp_path: Path) -> None:
    """The default takes a quarter of the cap at most; a custodian who names an epsilon may propose more."""

    def proposed() -> float:
        told = json.loads(run(bare, "dataset", "show", "clinic", "--json").stdout)
        return float(told["terms"]["waiting"]["profile"])

    told = imported(bare, tmp_path, **{CAP: "epsilon = 0.4"})
    assert proposed() == 0.1
    told = imported(bare, tmp_path, **{CAP: "epsilon = 0.39"})
    assert told["edition"] == 2
    assert "0.39" in told["profile"]["words"]
    assert proposed() == 0
    bought(bare, tmp_path, **{CAP: "epsilon = 0.39\nprofile = 0.39"})
    assert bare.used_nano("dataset", "clinic") == 39 * 10**7


def test_an_import_stands_whatever_becomes_of_the_profile(
    bare: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What studies were promised, too small an epsilon, a scan that fails: the edition is there, and it is said why."""
    with application(bare) as place:
        import_file(place.services, write_clinic(tmp_path, **{CAP: "epsilon = 1.0", "overcommit = true\n": ""}))
        place.open_study("s", "clinic", epsilon=0.95)
    promised = imported(bare, tmp_path, **{CAP: "epsilon = 1.0\nprofile = 0.1", "overcommit = true\n": ""})
    assert promised["edition"] == 2
    assert promised["profile"]["bought"] is False
    assert "epsilon 0.05" in promised["profile"]["words"]
    tiny = imported(
        bare, tmp_path, **{CAP: "epsilon = 1.0\nepsilon_min = 1e-9\nprofile = 1e-9", "overcommit = true\n": ""}
    )
    assert tiny["profile"]["bought"] is False
    assert charges(bare) == []
    with monkeypatch.context() as fault:
        fault.setattr(tallying, "tally", lambda *_: 1 / 0)
        failed = imported(bare, tmp_path, **{CAP: "epsilon = 1.0\nprofile = 0.05", "overcommit = true\n": ""})
    assert failed["edition"] == 4
    assert failed["profile"]["bought"] is False
    assert "`rowless profile clinic --epsilon 0.05`" in failed["profile"]["words"]
    assert charges(bare) == [("reserve", 5 * 10**7), ("settle", 5 * 10**7)]
    assert run(bare, "profile", "clinic", "--epsilon", "0.05").exit_code == 0
    assert charges(bare) == [("reserve", 5 * 10**7), ("settle", 5 * 10**7)]


def test_studies_are_not_promised_what_the_profile_took(bare: Home, tmp_path: Path) -> None:
    """The limits of the studies and the profile together stay within the cap."""
    bought(bare, tmp_path, **{CAP: "epsilon = 1.0", "overcommit = true\n": ""})
    with application(bare) as place:
        admin = place.client("admin")
        body = {"dataset": "clinic", "title": "t", "purpose": "p", "legal_basis": "l", "formalities": FORMALITIES}
        refused = admin.post("/studies", {**body, "name": "all", "epsilon": 0.95})
        assert (refused.status, refused.code) == (409, "wrong-state")
        assert admin.post("/studies", {**body, "name": "rest", "epsilon": 0.9}).status == 201


def test_the_approver_is_told_of_it(bare: Home, tmp_path: Path) -> None:
    """A study shows what profile its dataset has and what it cost: over HTTP, on the command line, at the approval."""
    with application(bare) as place:
        import_file(place.services, write_clinic(tmp_path))
        place.open_study("s", "clinic", approve=False)
        assert place.client("dora").good("GET", "/studies/s")["profile"] is None
    assert "no contribution profile" in run(bare, "study", "show", "s").stdout
    assert run(bare, "profile", "clinic", "--epsilon", "0.5").exit_code == 0
    wanted = {"edition": 1, "cost": {"epsilon": 0.5, "delta": 0.0}}
    with application(bare) as place:
        shown = place.client("dora").good("GET", "/studies/s")["profile"]
        assert shown["edition"] == 1
        assert shown["cost"]["epsilon"] == wanted["cost"]["epsilon"]  # type: ignore[index]
        assert place.client("ada").good("GET", "/studies/s")["profile"] == shown
    ended = run(bare, "study", "approve", "s", "--reason", "good", "--without-advice", "a test")
    assert "the dataset's contribution profile (edition 1) cost epsilon 0.5" in ended.stdout, ended.output
    told = json.loads(run(bare, "study", "show", "s", "--json").stdout)
    assert told["profile"] == shown


DYING = """
import os, signal, sys
from queries.execution.duckdb import Store
from server.journey import importing
if sys.argv[2] == "before":
    importing.buy = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    def dying(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)
        yield
    Store.columns = dying
from server.cli.main import main
main(["import", sys.argv[1]])
"""


def killed_import(home: Home, folder: Path, when: str) -> None:
    """Kill an import that buys a profile: its dataset is approved, and its manifest names an epsilon."""
    with application(home) as place:
        import_file(place.services, write_clinic(folder))
    manifest = write_clinic(folder, **{CAP: f"{CAP}\nprofile = 0.1"})
    killed = subprocess.run(
        [sys.executable, "-c", DYING, str(manifest), when],
        env=environment(**home.environment()),
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed


@pytest.mark.parametrize("when", ["before", "while"])
def test_who_is_killed_between_edition_and_profile(bare: Home, tmp_path: Path, when: str) -> None:
    """The edition is in service without a profile; the command mends it; there are never two charges."""
    killed_import(bare, tmp_path, when)
    assert charges(bare) == ([] if when == "before" else TENTH[:1])
    run(bare, "recover")
    again = imported(bare, tmp_path)["profile"]
    assert again["bought"] is False
    assert "rowless profile clinic --epsilon 0.1" in again["words"]
    assert len(charges(bare)) == (0 if when == "before" else 2)
    assert run(bare, "profile", "clinic", "--epsilon", "0.1").exit_code == 0
    assert json.loads(run(bare, "doctor", "--json").stdout)["healthy"] is True


def test_the_command_resumes_the_charge_of_an_import_that_was_killed(bare: Home, tmp_path: Path) -> None:
    """On the same edition the charge that the import made is the one that `rowless profile` scans on."""
    killed_import(bare, tmp_path, "while")
    assert run(bare, "profile", "clinic", "--epsilon", "0.1").exit_code == 0
    assert charges(bare) == TENTH
    assert bare.used_nano("dataset", "clinic") == 10**8


def test_an_answer_of_the_first_import_says_what_it_cuts(bare: Home, tmp_path: Path) -> None:
    """With the profile that the import proposed no number is of unknown truncation."""
    bought(bare, tmp_path, **{CAP: f"{CAP}\nprofile = 50"})
    with application(bare) as place:
        place.open_study("s", "clinic")
        said = place.client("ada").good("POST", "/studies/s/queries", ask({"n": {"count": "events"}}, 5.0, "visits"))
        (column,) = said["columns"]
        assert column["truncation"] == "profile"
        assert column["expected_loss"] < 0.02
        (row,) = said["rows"]
        # Within seven margins of 95% each, which noise passes once in 10^9 runs.
        margin = row["n"]["high"] - row["n"]["value"]
        assert abs(row["n"]["value"] - 300) <= 7 * margin + 300 * column["expected_loss"]
        assert "truncation" not in row["n"]
        assert place.client("ada").good("POST", "/studies/s/queries", ask(PATIENTS, 5.0, "visits"))["rows"]
