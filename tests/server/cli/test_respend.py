"""`rowless ledger respend`: a restored ledger is charged with what a later export shows, once, and nothing is drawn free."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from budgets.audit import signing
from budgets.verify import files
from server.cli.main import main
from tests.serving import Home, application, ask

if TYPE_CHECKING:
    from pathlib import Path

GAUSSIAN = {"privacy": {"rho": 0.01}}


def named(number: int, epsilon: float = 0.5) -> dict[str, Any]:
    """Return a query that differs from all others."""
    return ask({f"n{number}": {"count": "persons"}}, epsilon)


def run(home: Home, *arguments: str) -> tuple[int, Any]:
    """Run a command over a home; return its exit code and what it said as JSON."""
    ended = CliRunner().invoke(main, [*arguments, "--json"], env=home.environment())
    return ended.exit_code, json.loads(ended.stdout) if ended.stdout else ended.stderr


def export(home: Home, file: Path) -> Path:
    """Export the log."""
    code, said = run(home, "audit", "export", str(file))
    assert code == 0, said
    return file


def respend(home: Home, file: Path, *options: str) -> tuple[int, Any]:
    """Charge a home with what an export shows."""
    return run(home, "ledger", "respend", str(file), *options)


def verified(home: Home, folder: Path) -> dict[str, Any]:
    """Return the accounts of a home's log, which has to pass the independent check."""
    key = signing.verifier_key(home.path / "audit.key")
    report = files.verify_files(export(home, folder / "verified.jsonl"), key=key)
    assert report.verdict == "ok", report.problems
    return {f"{one['kind']} {one['owner']}": one["used"]["epsilon"] for one in report.accounts}


@dataclasses.dataclass(frozen=True)
class Past:
    """A home, a backup of it from before some queries, and an export from after them."""

    home: Home
    restored: Home
    later: Path
    spent: dict[str, int]


@pytest.fixture
def past(home: Home, tmp_path: Path) -> Past:
    """Ask before a backup and after it, by both kinds of noise and in a study that the backup does not know."""
    with application(home) as place:
        place.open_study("flu", epsilon=9.0)
        ada = place.client("ada")
        ada.good("POST", "/studies/flu/queries", named(0))
    restored = home.copy(tmp_path / "restored")
    with application(home) as place:
        ada = place.client("ada")
        ada.good("POST", "/studies/flu/queries", named(1))
        ada.good("POST", "/studies/flu/queries", {**named(2), **GAUSSIAN})
        place.open_study("new", epsilon=2.0)
        ada.good("POST", "/studies/new/queries", named(3, 1.0))
    spent = {"flu": home.used_nano("study", "flu"), "data": home.used_nano("dataset", "rand-hie")}
    return Past(home, restored, export(home, tmp_path / "later.jsonl"), spent)


def test_respend_charges_forgotten_losses_once(past: Past, tmp_path: Path) -> None:
    """Sums are those of before, the study that is unknown is charged to the dataset, and a second run changes nothing."""
    restored = past.restored
    assert restored.used_nano("dataset", "rand-hie") < past.spent["data"]
    code, said = respend(restored, past.later)
    assert code == 1, "the study new is not known"
    assert [one["study"] for one in said["charged"]] == ["flu", "flu", None]
    assert len(said["problems"]) == 1
    assert "the study new is not in this ledger" in said["problems"][0]
    assert restored.used_nano("study", "flu") == past.spent["flu"]
    assert restored.used_nano("dataset", "rand-hie") == past.spent["data"]
    restored.assert_sound()
    assert verified(restored, tmp_path)["dataset rand-hie"] is None, "one charge has no finite epsilon"
    before = restored.charges(), restored.rows("SELECT * FROM accounts")
    code, said = respend(restored, past.later)
    assert (said["charged"], said["known"]) == ([], 3)
    assert (restored.charges(), restored.rows("SELECT * FROM accounts")) == before
    assert restored.actions().count("ledger.respend") == 3


def test_question_asked_again_after_restore_is_charged_again(past: Past) -> None:
    """The restored ledger has not the old answer, so it draws another one, and charges for that one too."""
    restored = past.restored
    respend(restored, past.later)
    used = restored.used_nano("study", "flu")
    with application(restored) as place:
        ada = place.client("ada")
        assert not ada.good("POST", "/studies/flu/queries", named(1))["replayed"]
        assert restored.used_nano("study", "flu") == used + 500_000_000
        assert ada.good("POST", "/studies/flu/queries", named(0))["replayed"]
        assert restored.used_nano("study", "flu") == used + 500_000_000
    restored.assert_sound()


def test_an_answer_to_a_charge_of_the_backup_is_charged_again(home: Home, tmp_path: Path) -> None:
    """A charge that was open in the backup and answered later would be resumed for free: it is paid for twice."""
    with application(home) as place:
        place.open_study("flu", epsilon=9.0)
        place.client("ada").good("POST", "/studies/flu/queries", named(1))
    position = next(n for n, action in enumerate(home.actions()) if action == "query.release")
    restored = home.copy(tmp_path / "restored")
    later = export(home, tmp_path / "later.jsonl")
    forget(restored, position)
    code, said = respend(restored, later)
    assert (code, said["problems"]) == (0, [])
    assert [(one["why"], one["entry"]) for one in said["charged"]] == [("answered", position)]
    assert restored.used_nano("study", "flu") == 2 * 500_000_000
    assert respend(restored, later)[1]["charged"] == []
    with application(restored) as place:
        place.client("ada").good("POST", "/studies/flu/queries", named(1))
    assert restored.used_nano("study", "flu") == 2 * 500_000_000
    restored.assert_sound()


def forget(home: Home, position: int) -> None:
    """Bring a ledger back to the moment before the release at a position of its log."""
    for sql in (
        "DELETE FROM releases",
        "DELETE FROM charges WHERE kind = 'settle'",
        "UPDATE accounts SET epsilon_reserved_nano = epsilon_spent_nano, epsilon_spent_nano = 0, "
        "rho_reserved_nano = rho_spent_nano, rho_spent_nano = 0",
    ):
        home.change(sql)
    home.change("DELETE FROM audit_entries WHERE position >= ?", position)
    for level in range(1, 20):
        home.change('DELETE FROM audit_nodes WHERE level = ? AND "index" >= ?', level, position >> level)


def test_what_the_cap_does_not_hold_takes_the_rest_of_it(past: Past, tmp_path: Path) -> None:
    """A ledger that was served from before it was charged cannot hold both: nothing more is admitted then."""
    restored = past.restored
    for kind, owner in (("dataset", "rand-hie"),):
        restored.change(
            "UPDATE accounts SET epsilon_limit_nano = 700000000, rho_limit_nano = 200000000, "
            "laplace_limit_nano = 350000000, gaussian_limit_nano = 50000000 WHERE kind = ? AND owner = ?",
            *(kind, owner),
        )
    code, said = respend(restored, past.later)
    assert code == 1
    assert any("spent more than its cap" in problem for problem in said["problems"])
    assert said["charged"][-1]["why"] == "rest"
    with application(restored) as place:
        reply = place.client("ada").post("/studies/flu/queries", named(9, 0.01))
        assert (reply.status, reply.code) == (409, "budget-exceeded")
    again = restored.charges()
    respend(restored, past.later)
    assert restored.charges() == again


def test_only_a_good_export_of_the_same_log_counts(past: Past, tmp_path: Path, template: Home) -> None:
    """A changed line, another key, another log and a missing checkpoint are refused, and nothing is charged."""
    restored, before = past.restored, past.restored.rows("SELECT * FROM accounts")
    changed = tmp_path / "changed.jsonl"
    lines = past.later.read_text().replace("n1", "n9")
    changed.write_text(lines)
    shutil.copy(f"{past.later}.checkpoint", f"{changed}.checkpoint")
    code, said = respend(restored, changed)
    assert (code, "Do not rely on this log" in said["error"]) == (1, True)
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(past.later.read_text().splitlines(keepends=True)[:-1]))
    shutil.copy(f"{past.later}.checkpoint", f"{cut}.checkpoint")
    assert respend(restored, cut)[0] == 1
    lone = tmp_path / "lone.jsonl"
    lone.write_text(past.later.read_text())
    assert respend(restored, lone)[0] == 1
    other = template.copy(tmp_path / "other")
    (other.path / "audit.key").unlink()
    for file in other.path.glob("ledger.sqlite*"):
        file.unlink()
    assert run(other, "init", "--dpo", "dora", "--approver", "vera")[0] == 0
    code, said = respend(other, past.later)
    assert (code, "Do not rely on this log" in said["error"]) == (1, True)
    shutil.copy(restored.path / "audit.key", other.path / "audit.key")
    code, said = respend(other, past.later)
    assert (code, "of another log" in said["error"]) == (1, True)
    assert restored.rows("SELECT * FROM accounts") == before
    assert respend(restored, past.later, "--as", "ada")[0] == 1
    assert restored.rows("SELECT * FROM accounts") == before


def test_a_forged_respend_is_found(past: Past) -> None:
    """A log in which somebody who is no admin charges, or one charge is taken over twice, does not pass."""
    respend(past.restored, past.later)
    bodies = [json.loads(body) for (body,) in past.restored.rows("SELECT body FROM audit_entries ORDER BY position")]
    place = next(n for n, entry in enumerate(bodies) if entry["action"] == "ledger.respend")
    past.restored.assert_log_adds_up(bodies)
    researcher = next(one for one in bodies if one["action"] == "query.reserve")
    by_other = {**bodies[place], "actor": researcher["actor"], "role": "researcher"}
    for forged in (
        [*bodies[:place], by_other, *bodies[place + 1 :]],
        [*bodies, {**bodies[place], "time": bodies[-1]["time"]}],
    ):
        with pytest.raises(AssertionError):
            past.restored.assert_log_adds_up(forged)
