"""What `rowless audit verify` finds: each tampering is done to a real log, in the export and under the server."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from budgets.verify import files
from budgets.verify.canonical_json import dumps
from budgets.verify.merkle import Frontier, leaf_hash
from server.cli.main import main
from tests.empty_machine import on_an_empty_machine
from tests.serving import PATIENTS, ROOT, UNADVISED, Home, application, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.serving import Place

Entries = list[dict[str, Any]]
INIT = ("init", "--dpo", "dora", "--approver", "vera")


def run(home: Home, *arguments: str) -> Any:
    """Run a command with --json and return what it said, with its exit code."""
    ended = CliRunner().invoke(main, [*arguments, "--json"], env=home.environment())
    assert ended.stdout.count("\n") == 1, ended.output
    return json.loads(ended.stdout) | {"exit": ended.exit_code}


@dataclass(frozen=True)
class Log:
    """A home with a log in it, the key and the checkpoints that the DPO kept, and an export."""

    home: Home
    key: str
    older: Path
    export: Path

    def verify(self, *arguments: str, export: Path | None = None, since: bool = False) -> Any:
        """Verify an export."""
        further = ["--since", str(self.older)] if since else []
        return run(self.home, "audit", "verify", str(export or self.export), "--key", self.key, *further, *arguments)

    def entries(self) -> Entries:
        """Return what the export says."""
        return [json.loads(line) for line in self.export.read_text().splitlines()]

    def write(self, to: Path, lines: list[str]) -> Path:
        """Write an export by hand, beside it the checkpoint of the real one."""
        to.write_text("".join(f"{line}\n" for line in lines))
        to.with_name(f"{to.name}.checkpoint").write_text(self.note())
        return to

    def note(self) -> str:
        """Return the checkpoint of the export."""
        return self.export.with_name(f"{self.export.name}.checkpoint").read_text()


def asked(place: Place, epsilon: float, study: str = "flu", status: int = 201) -> None:
    """Ask a query as a researcher would."""
    reply = place.client("ada").post(f"/studies/{study}/queries", ask(PATIENTS, epsilon=epsilon))
    assert reply.status == status, reply


@pytest.fixture(scope="module")
def log(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Return the log of a server that imported, approved, answered, refused, replayed and made a profile."""
    folder = tmp_path_factory.mktemp("log")
    home = template.copy(folder / "home")
    older, export = folder / "older", folder / "log.jsonl"
    with application(home) as place:
        place.open_study(epsilon=5.0)
        for epsilon in (0.5, 0.25, 0.5, 1.0):
            asked(place, epsilon)  # the third is the first once more, and free
        place.client("admin").good("POST", "/datasets/rand-hie/profile", {"epsilon": 0.1})
        run(home, "audit", "checkpoint", str(older))
        asked(place, 1.5)
        asked(place, 4.5, status=409)
        place.client("admin").good(
            "PUT", "/studies/flu/budget", {"epsilon": 6.0, "justification": "a test", "reason": "more"}
        )
        place.client("vera").good("POST", "/studies/flu/budget/approve", {"reason": "well", **UNADVISED})
        asked(place, 2.5)
    key = run(home, "audit", "key")["audit_key"]
    assert run(home, "audit", "export", str(export))["exit"] == 0
    return Log(home, key, older, export)


def test_verify_passes_untouched_log(log: Log) -> None:
    """A log nobody touched passes with and without an older checkpoint, and the accounts are those of the server."""
    for found in (log.verify(), log.verify(since=True)):
        assert (found["exit"], found["verdict"], found["problems"]) == (0, "ok", [])
        assert found["entries"] == len(log.entries())
        accounts = {(one["kind"], one["owner"]): one for one in found["accounts"]}
        for (kind, owner), one in accounts.items():
            assert round(one["used"]["epsilon"] * 10**9) == log.home.used_nano(kind, owner)
            assert one["within_limits"]
            assert one["open_charges"] == 0
    assert accounts["study", "flu"]["used"]["epsilon"] == 5.75
    assert accounts["dataset", "rand-hie"]["used"]["epsilon"] == 5.85
    assert accounts["study", "flu"]["limits"]["epsilon"] == 6.0


def test_the_words_say_what_was_checked(log: Log) -> None:
    """Without --json the command says what it checked, each account's sums, and the verdict."""
    ended = CliRunner().invoke(main, ["audit", "verify", str(log.export), "--key", log.key])
    assert ended.exit_code == 0
    for text in (
        "whether each has the right hash",
        "no older checkpoint",
        "study flu: used epsilon 5.75",
        "Verdict: ok",
    ):
        assert text in ended.stdout


def test_verify_runs_without_home(log: Log, tmp_path: Path) -> None:
    """The check runs where there is no home, on the export and its checkpoint alone."""
    arguments = ["audit", "verify", str(log.export), "--key", log.key]
    ended = CliRunner().invoke(main, arguments, env={"ROWLESS_HOME": str(tmp_path / "none")})
    assert ended.exit_code == 0, ended.output


def test_verify_folder_runs_on_empty_machine(log: Log, tmp_path: Path) -> None:
    """Copied to an empty machine with cryptography alone, the folder `verify` checks an export."""
    shutil.copytree(ROOT / "budgets" / "verify", tmp_path / "verify")
    for key, code in ((log.key, 0), (log.key.replace("A", "B", 1), 1)):
        command = ["-m", "verify", str(log.export), "--key", key, "--since", str(log.older)]
        ended = on_an_empty_machine(tmp_path, *command)
        assert ended.returncode == code, ended
    french = on_an_empty_machine(tmp_path, "-m", "verify", str(log.export), "--key", log.key, "--lang", "fr")
    assert french.returncode == 0
    assert french.stdout.endswith("Verdict\u202f: bon. Ce qui a été vérifié est exact.\n")
    ours = CliRunner().invoke(main, ["--lang", "fr", "audit", "verify", str(log.export), "--key", log.key])
    assert french.stdout == ours.stdout
    assert not re.search(r"\b(?:of|the|used|entry|study)\b", french.stdout)
    missing = on_an_empty_machine(tmp_path, "-c", "import sqlalchemy")
    assert "No module named 'sqlalchemy'" in missing.stderr


# What somebody might do to entries


def position(entries: Entries, action: str, number: int = 0) -> int:
    """Return the position of an entry of an action."""
    return [place for place, entry in enumerate(entries) if entry["action"] == action][number]


def edit(entries: Entries) -> None:
    """Make a query look cheaper than it was."""
    entries[position(entries, "query.reserve")]["facts"]["loss"]["epsilon_nano"] //= 2


def reword(entries: Entries) -> None:
    """Change who approved the study."""
    entries[position(entries, "study.approve")]["actor"] = "f" * 64


def delete(entries: Entries) -> None:
    """Take a release out of the log."""
    del entries[position(entries, "query.release")]


def delete_query(entries: Entries) -> None:
    """Take a whole query out of the log."""
    for action in ("query.release", "query.reserve"):
        del entries[position(entries, action)]


def insert(entries: Entries) -> None:
    """Put a resumption in that never was."""
    place = position(entries, "query.release")
    entries.insert(place, {**entries[place - 1], "action": "query.resume"})


def reorder(entries: Entries) -> None:
    """Let the approval come after the first query."""
    entries.insert(position(entries, "query.reserve") + 2, entries.pop(position(entries, "study.approve")))


def swap(entries: Entries) -> None:
    """Exchange two neighbours."""
    place = position(entries, "query.reserve", 1)
    entries[place], entries[place + 1] = entries[place + 1], entries[place]


def truncate(entries: Entries) -> None:
    """Cut the log off after the first query."""
    del entries[position(entries, "query.release") + 1 :]


def behead(entries: Entries) -> None:
    """Cut the beginning off."""
    del entries[:3]


TAMPERINGS: list[Callable[[Entries], None]] = [
    *(edit, reword, delete, delete_query, insert, reorder, swap, truncate, behead)
]
named = pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda one: one.__name__)
# Each is done to the log as it is, and with every index and hash of the chain made anew.
rechaining = pytest.mark.parametrize("rechain", [False, True], ids=["as-is", "rechained"])


def rechained(entries: Entries) -> Entries:
    """Return entries with their places and chain made anew."""
    made, previous = [], "0" * 64
    for index, entry in enumerate(entries):
        made.append({**entry, "index": index, "previous": previous})
        previous = leaf_hash(dumps(made[-1]).encode()).hex()
    return made


@named
@rechaining
def test_tampering_with_the_export_is_found(log: Log, tmp_path: Path, tamper: Any, rechain: bool) -> None:
    """Each change of an exported file is found, with no more than the checkpoint that came with it."""
    entries = log.entries()
    tamper(entries)
    changed = log.write(tmp_path / "log", [dumps(one) for one in (rechained(entries) if rechain else entries)])
    found = log.verify(export=changed)
    assert (found["exit"], found["verdict"]) == (1, "failed")
    assert found["problems"]
    assert found["problems_in_all"] >= len(found["problems"])


@named
@rechaining
def test_tampering_under_the_server_is_found(log: Log, tmp_path: Path, tamper: Any, rechain: bool) -> None:
    """Each change of the database is found, though the server itself exports the log and signs the checkpoint.

    Whoever makes the chain and the tree anew, and has the server sign them, is found by a checkpoint kept from before.
    """
    home = log.home.copy(tmp_path / "home")
    entries = log.entries()
    tamper(entries)
    rewrite(home, rechained(entries) if rechain else entries, nodes=rechain)
    doctor = run(home, "doctor")
    # With chain and tree made anew, a resumption more is like any other: it is found by older checkpoints alone.
    assert (doctor["exit"] == 1) == (not rechain or tamper is not insert), doctor
    if doctor["exit"] == 1:
        assert "WRONG" in doctor["error"]
        assert ("WRONG recount" if rechain else "WRONG audit log") in doctor["error"]
    export = tmp_path / "log"
    exported = run(home, "audit", "export", str(export))
    if exported["exit"] != 0:  # the server found its own log damaged
        assert "damaged" in exported["error"]
        return
    found = log.verify(export=export, since=True)
    assert (found["exit"], found["verdict"]) == (1, "failed")


def rewrite(home: Home, entries: Entries, *, nodes: bool) -> None:
    """Replace the log in a home's database, its tree as well if `nodes`."""
    tree = Frontier()
    with closing(sqlite3.connect(home.path / "ledger.sqlite")) as connection, connection:
        connection.execute("DELETE FROM audit_entries")
        if nodes:
            connection.execute("DELETE FROM audit_nodes")
        for place, entry in enumerate(entries):
            body = dumps(entry)
            leaf = leaf_hash(body.encode())
            beside = (entry["time"], entry["actor"], entry["action"], entry["study"])
            connection.execute(
                "INSERT INTO audit_entries VALUES (?, ?, ?, ?, ?, ?, ?)", (place, leaf.hex(), body, *beside)
            )
            for level, index, found in tree.add(leaf):
                if nodes:
                    connection.execute("INSERT INTO audit_nodes VALUES (?, ?, ?)", (level, index, found.hex()))


def test_one_edited_row_is_found(log: Log, tmp_path: Path) -> None:
    """A body changed in the database, with its hash, is found by its place; so is one without, and a deleted row."""
    place = position(log.entries(), "query.reserve")
    body = dumps(log.entries()[place])
    cheaper = body.replace('"epsilon_nano":500000000', '"epsilon_nano":100000000')
    assert cheaper != body
    for number, (sql, values) in enumerate(
        [
            ("UPDATE audit_entries SET body = ? WHERE position = ?", (cheaper, place)),
            (
                "UPDATE audit_entries SET body = ?, leaf_hash = ? WHERE position = ?",
                (cheaper, leaf_hash(cheaper.encode()).hex(), place),
            ),
            ("DELETE FROM audit_entries WHERE position = ?", (place,)),
        ]
    ):
        home = log.home.copy(tmp_path / str(number))
        home.change(sql, *values)
        export = tmp_path / f"log{number}"
        assert run(home, "audit", "export", str(export))["exit"] == 0
        found = log.verify(export=export)
        assert found["verdict"] == "failed"
        assert any(problem.startswith((f"entry {place}:", f"entry {place + 1}:")) for problem in found["problems"])


# Forks and restored backups


def test_verify_finds_forked_log(log: Log, tmp_path: Path) -> None:
    """Two servers that went on from one home show the DPO two logs, each whole; no checkpoint of one fits the other."""
    notes, exports = [], []
    for number in (0, 1):
        home = log.home.copy(tmp_path / f"home{number}")
        with application(home) as place:
            asked(place, 0.01 + number / 100)
        notes.append(tmp_path / f"note{number}")
        exports.append(tmp_path / f"log{number}")
        run(home, "audit", "checkpoint", str(notes[-1]))
        run(home, "audit", "export", str(exports[-1]))
    for number in (0, 1):
        assert log.verify("--since", str(notes[number]), export=exports[number], since=True)["verdict"] == "ok"
        found = log.verify("--since", str(notes[1 - number]), export=exports[number], since=True)
        assert (found["exit"], found["verdict"]) == (1, "failed")
        assert any("fork" in problem for problem in found["problems"])


@pytest.mark.parametrize("queries", [0, 3])
def test_a_restored_backup_is_found(log: Log, tmp_path: Path, queries: int) -> None:
    """A backup put back, so that what was spent since is forgotten, is found; also when it was written on."""
    backup = log.home.copy(tmp_path / "backup")
    went_on, kept, export = log.home.copy(tmp_path / "home"), tmp_path / "kept", tmp_path / "log"
    with application(went_on) as place:
        for epsilon in (0.01, 0.02):
            asked(place, epsilon)
    run(went_on, "audit", "checkpoint", str(kept))
    with application(backup) as place:
        for number in range(queries):
            asked(place, 0.03 + number / 100)
    run(backup, "audit", "export", str(export))
    assert log.verify(export=export, since=True)["verdict"] == "ok"
    found = log.verify("--since", str(kept), export=export)
    assert (found["exit"], found["verdict"]) == (1, "failed")
    assert any("backup" in problem for problem in found["problems"])


# Spending


def test_overspending_behind_the_ledger_is_found(log: Log, tmp_path: Path) -> None:
    """Whoever raises a limit in the database, so that the server answers beyond the budget, is found by the recount."""
    home = log.home.copy(tmp_path / "home")
    home.change("UPDATE accounts SET epsilon_limit_nano = epsilon_limit_nano * 2 WHERE kind = 'study'")
    export = tmp_path / "log"
    with application(home) as place:
        asked(place, 0.75)
    run(home, "audit", "export", str(export))
    found = log.verify(export=export, since=True)
    assert found["verdict"] == "failed"
    assert any("overspends the budget of the study flu" in problem for problem in found["problems"])
    assert [one["owner"] for one in found["accounts"] if not one["within_limits"]] == ["flu"]


def signed_again(log: Log, folder: Path, entries: Entries) -> Any:
    """Verify entries that the server's own key has signed, without an older checkpoint: what the recount alone finds."""
    home = log.home.copy(folder / "home")
    rewrite(home, rechained(entries), nodes=True)
    assert run(home, "audit", "export", str(folder / "log"))["exit"] == 0
    return log.verify(export=folder / "log")


def test_a_log_signed_again_passes_but_for_older_checkpoints(log: Log, tmp_path: Path) -> None:
    """A log that was rewritten as a whole and signed anew looks whole: that is what older checkpoints are kept for."""
    entries = log.entries()
    entries[position(entries, "study.approve")]["facts"]["reason"] = "of course"
    assert signed_again(log, tmp_path, entries)["verdict"] == "ok"
    assert log.verify(export=tmp_path / "log", since=True)["verdict"] == "failed"


def change(action: str, **facts: Any) -> Callable[[Entries], None]:
    """Return what changes the facts of an action's first entry."""

    def work(entries: Entries) -> None:
        entries[position(entries, action)]["facts"].update(facts)

    return work


def without(action: str) -> Callable[[Entries], None]:
    """Return what takes an action's first entry out."""
    return lambda entries: entries.pop(position(entries, action))


def resumed(entries: Entries, attempt: int) -> Any:
    """Return an entry of a further attempt on the first charge."""
    reserve = entries[position(entries, "query.reserve")]
    return {**reserve, "action": "query.resume", "facts": {**reserve["facts"], "attempt": attempt}}


def paid_by(action: str, like: str, charge_of: str, **parts: Any) -> Callable[[Entries], None]:
    """Return what adds an act like another, of the loss and on the charge of a third."""

    def work(entries: Entries) -> None:
        charge, old = entries[position(entries, charge_of)], entries[position(entries, like)]
        facts = {**old["facts"], "loss": charge["facts"]["loss"], "charge": charge["subject"], **parts}
        subject = charge["subject"] if action.endswith("resume") else "another"
        entries.insert(position(entries, charge_of) + 1, {**old, "action": action, "subject": subject, "facts": facts})

    return work


def taken_over(entries: Entries) -> None:
    """Let the first charge be one that a restored ledger took over, which needs neither approval nor membership."""
    place = position(entries, "query.reserve")
    admin = entries[position(entries, "study.open")]
    reserve = entries[place]
    facts = {"dataset": "rand-hie", "loss": reserve["facts"]["loss"], "why": "charged", "entry": 1}
    entries[place] = {**admin, "action": "ledger.respend", "subject": f"charge:{reserve['subject']}", "facts": facts}
    entries[place]["time"] = reserve["time"]


ANOTHER_QUESTION = "it is about another question than the charge"
CHEAP = {"epsilon_nano": 1, "rho_nano": 0, "delta_atto": 0}
UNSOUND = {
    "its loss is not that of the charge": change("query.reserve", loss=CHEAP),
    "which is not in the log": without("query.reserve"),
    "charges a question again": lambda entries: entries.insert(
        position(entries, "query.reserve"), {**entries[position(entries, "query.reserve")], "subject": "other"}
    ),
    "which was never made": without("query.release"),
    "below what was spent": lambda entries: entries.append(
        {
            **entries[position(entries, "study.budget.approve")],
            "action": "study.budget.set",
            "facts": {"epsilon_nano": 10, "delta_atto": 0, "reason": ""},
        }
    ),
    "did not wait for approval": without("study.budget.ask"),
    "overspends the budget": without("study.budget.approve"),
    "which no import may": lambda entries: entries.append(
        {
            **entries[position(entries, "dataset.import")],
            "facts": {"edition": 2, "cap": {"epsilon_nano": 10**15, "delta_atto": 0}},
        }
    ),
    "but the log opened 1 of these": without("study.open"),
    "its facts are not those of": change("query.reserve", loss={"epsilon_nano": -5, "rho_nano": 0, "delta_atto": 0}),
    "is a second release for the charge": lambda entries: entries.insert(
        position(entries, "query.release") + 1, {**entries[position(entries, "query.release")], "subject": "another"}
    ),
    "it is the attempt 3 on its charge, which had 1 before": lambda entries: entries.append(
        resumed(entries, 3),
    ),
    "it is the attempt 4 on its charge, which had 3 before": lambda entries: entries.extend(
        resumed(entries, attempt) for attempt in (2, 3, 4)
    ),
    "is of nothing, and no answer costs nothing": change("query.reserve", loss={**CHEAP, "epsilon_nano": 0}),
    "is of nothing, and no answer costs nothing (without epsilon)": change(
        "query.reserve", loss={**CHEAP, "epsilon_nano": None}
    ),
    f"{ANOTHER_QUESTION} (a query of another dataset)": paid_by(
        "query.release", "query.release", "query.reserve", dataset="clinic"
    ),
    f"{ANOTHER_QUESTION} (a profile of another dataset)": paid_by(
        "dataset.profile.release", "dataset.profile.release", "dataset.profile.reserve", dataset="clinic"
    ),
    f"{ANOTHER_QUESTION} (a query on a profile's charge)": paid_by(
        "query.release", "dataset.profile.release", "dataset.profile.reserve"
    ),
    f"{ANOTHER_QUESTION} (resumed)": paid_by("query.resume", "query.release", "query.reserve", edition=2),
    "which was taken over from an export and answers no question": taken_over,
    "gives back the charge": lambda entries: entries.append(
        {**entries[position(entries, "query.reserve")], "action": "query.void"}
    ),
}


@pytest.mark.parametrize("problem", UNSOUND)
def test_spending_that_does_not_add_up_is_found(log: Log, tmp_path: Path, problem: str) -> None:
    """Even in a log that its own key signed anew, charges, releases and limits have to add up."""
    entries = log.entries()
    tamper: Any = UNSOUND[problem]
    tamper(entries)
    found = signed_again(log, tmp_path, entries)
    assert found["verdict"] == "failed"
    assert any(problem.partition(" (")[0] in one for one in found["problems"]), found["problems"]


# The key


def test_verify_finds_checkpoint_of_another_key(log: Log, tmp_path: Path) -> None:
    """A checkpoint that another key signed is none of this log's, whatever it says; nor is a damaged key one."""
    other = tmp_path / "other"
    made = run(Home(other, {}), *INIT)["audit_key"]
    found = run(log.home, "audit", "verify", str(log.export), "--key", made)
    assert (found["exit"], found["verdict"]) == (1, "failed")
    found = run(log.home, "audit", "verify", str(log.export), "--key", log.key[:-2])
    assert (found["exit"], found["verdict"]) == (1, "failed")


def test_a_checkpoint_that_was_changed_is_found(log: Log, tmp_path: Path) -> None:
    """A checkpoint with another size, root or signature, and a file that is none, are found."""
    size = str(len(log.entries()))
    for text in (log.note().replace(f"\n{size}\n", "\n7\n"), log.note()[:-9] + "AAAAAAA=\n", "nothing", ""):
        changed = tmp_path / "note"
        changed.write_text(text)
        assert log.verify("--checkpoint", str(changed))["verdict"] == "failed"
        assert log.verify("--since", str(changed))["verdict"] == "failed"


@pytest.mark.parametrize("lines", [b"", b"\n", b"\xff\n", b"[]\n", b"{}\n", b"[" * 100_000, b'{"index":NaN}\n'])
def test_an_export_that_is_none_is_found(log: Log, tmp_path: Path, lines: bytes) -> None:
    """An empty file, or one that holds anything else, fails in words and without a traceback."""
    other = log.write(tmp_path / "log", [])
    other.write_bytes(lines)
    found = log.verify(export=other)
    assert (found["exit"], found["verdict"]) == (1, "failed")


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (b"\x1f\x8b", "unpack it first"),
        (b"index,time,", "verify an export without --csv"),
        (b"<html>", "is this file an export at all"),
    ],
)
def test_another_kind_of_file_is_named(log: Log, tmp_path: Path, begin: bytes, said: str) -> None:
    """A packed file, or another one, is told once to be such."""
    other = log.write(tmp_path / "log", [])
    other.write_bytes(begin + b"\n" + bytes(range(256)) * 100)
    found = log.verify(export=other)
    assert (found["exit"], found["verdict"]) == (1, "failed")
    assert said in found["problems"][0]
    assert not any(said in problem for problem in found["problems"][1:])


def test_a_line_without_end_needs_little_memory(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of any length is read in parts, and is no entry."""
    monkeypatch.setattr(files, "LINE_BYTES_MAX", 2**20)
    other = log.write(tmp_path / "log", [])
    with other.open("wb") as file:
        file.write(b'{"a":"')
        for _ in range(64):
            file.write(b"x" * 2**20)
        file.write(b'"}\n')
    tracemalloc.start()
    try:
        report = files.verify_files(other, key=log.key)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.verdict == "failed"
    assert peak < 16 * 2**20


def test_a_checkpoint_that_is_missing_is_asked_for(log: Log, tmp_path: Path) -> None:
    """Without the checkpoint beside it an export is not checked, and it is said what to give."""
    alone = shutil.copy(log.export, tmp_path / "alone")
    ended = CliRunner().invoke(main, ["audit", "verify", str(alone), "--key", log.key])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "alone.checkpoint: there is no such file; name the checkpoint" in ended.stderr
    command = [sys.executable, "-m", "budgets.verify", str(alone), "--key", log.key]
    ended_alone = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended_alone.returncode == 2
    assert "alone.checkpoint: there is no such file" in ended_alone.stderr
    assert "Traceback" not in ended_alone.stderr


def test_an_export_comes_through_a_pipe(log: Log) -> None:
    """What another program writes can be checked as it comes, when its checkpoint is named."""
    note = log.export.with_name(f"{log.export.name}.checkpoint")
    arguments = ["audit", "verify", "/dev/stdin", "--key", log.key, "--checkpoint", str(note)]
    command = [sys.executable, "-m", "server.cli", *arguments]
    with log.export.open("rb") as export, subprocess.Popen(["cat"], stdin=export, stdout=subprocess.PIPE) as cat:
        ended = subprocess.run(command, stdin=cat.stdout, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended
    assert "Verdict: ok" in ended.stdout


def test_the_words_are_those_of_the_number(log: Log) -> None:
    """One key is one signing key, and a key that is none leaves nothing that was checked."""
    ended = CliRunner().invoke(main, ["audit", "verify", str(log.export), "--key", log.key])
    assert "\n  1 signing key\n" in ended.stdout
    assert "\n  1 study: whether each act" in ended.stdout
    ended = CliRunner().invoke(main, ["audit", "verify", str(log.export), "--key", "nonsense"])
    assert ended.stdout.startswith("Problems:\n  the key: this is not a verifier key")


def rotated(home: Home) -> str:
    """Replace a home's key and return the new verifier key."""
    found = run(home, "audit", "rotate-key")
    assert found["exit"] == 0, found
    key: str = found["audit_key"]
    return key


def test_a_rotated_key_is_accepted(log: Log, tmp_path: Path) -> None:
    """Who kept the first key can verify what later keys sign, and old checkpoints; a later key opens no earlier log."""
    home, export, between = log.home.copy(tmp_path / "home"), tmp_path / "log", tmp_path / "between"
    second = rotated(home)
    run(home, "audit", "checkpoint", str(between))
    third = rotated(home)
    assert len({log.key, second, third}) == 3
    assert run(home, "audit", "key")["audit_key"] == third
    with application(home) as place:
        asked(place, 0.01)
    run(home, "audit", "export", str(export))
    found = log.verify("--since", str(between), export=export, since=True)
    assert (found["verdict"], found["key"], found["problems"]) == ("ok", third, [])
    assert log.key in export.read_text()
    assert (home.path / "audit.key").stat().st_mode & 0o777 == 0o600
    assert not (home.path / "audit.key.next").exists()
    assert run(home, "audit", "verify", str(export), "--key", third)["verdict"] == "failed"
    assert run(home, "doctor")["exit"] == 0


def test_a_retired_key_signs_no_more(log: Log, tmp_path: Path) -> None:
    """A checkpoint of the grown log that the old key signed is refused; and the server does not sign with it."""
    home, export = log.home.copy(tmp_path / "home"), tmp_path / "log"
    old = (home.path / "audit.key").read_bytes()
    rotated(home)
    (home.path / "audit.key").write_bytes(old)
    refused = run(home, "audit", "export", str(export))
    assert refused["exit"] == 1
    assert "is not the one that the audit log names last" in refused["error"]


def test_a_key_that_the_old_one_did_not_sign_for_is_found(log: Log, tmp_path: Path) -> None:
    """Whoever writes a key of their own into the log cannot have it accepted without the old key's signature."""
    home = log.home.copy(tmp_path / "home")
    rotated(home)
    run(home, "audit", "export", str(tmp_path / "log"))
    bodies = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    handed = position(bodies, "audit.key.sign")
    stranger = run(Home(tmp_path / "other", {}), *INIT)["audit_key"].split("+", 1)
    named = bodies[handed - 1]["facts"]["key"].partition("+")[0]
    for facts, number in (({"checkpoint": "nothing"}, handed), ({"key": f"{named}+{stranger[1]}"}, handed - 1)):
        changed = json.loads(json.dumps(bodies))
        changed[number]["facts"].update(facts)
        file = tmp_path / "changed"
        file.write_text("".join(f"{dumps(one)}\n" for one in rechained(changed)))
        found = log.verify("--checkpoint", str(tmp_path / "log.checkpoint"), export=file)
        assert any("hand the log over" in one or "hands the log over" in one for one in found["problems"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rotation_that_was_cut_off(log: Log, tmp_path: Path, when: str) -> None:
    """Cut off before or after the log named the new key, the server signs with the right one, and rotates again."""
    home, export = log.home.copy(tmp_path / "home"), tmp_path / "log"
    key = home.path / "audit.key"
    old, entries = key.read_bytes(), home.rows("SELECT count(*) FROM audit_entries")
    made = rotated(home)
    key.with_name("audit.key.next").write_bytes(key.read_bytes())
    key.with_name("audit.key.next").chmod(0o600)
    key.write_bytes(old)
    if when == "before":
        rewrite(home, log.entries(), nodes=True)
        assert home.rows("SELECT count(*) FROM audit_entries") == entries
    assert run(home, "audit", "key")["audit_key"] == (log.key if when == "before" else made)
    run(home, "audit", "export", str(export))
    assert log.verify(export=export, since=True)["verdict"] == "ok"
    third = rotated(home)
    assert third not in {made, log.key}
    assert run(home, "audit", "key")["audit_key"] == third
    run(home, "audit", "export", str(export))
    assert log.verify(export=export, since=True)["verdict"] == "ok"


@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_a_key_that_others_may_read_is_refused(log: Log, tmp_path: Path, mode: int) -> None:
    """The key may lie elsewhere; when others may read it nothing is signed, and the refusal says what to do."""
    home, elsewhere = log.home.copy(tmp_path / "home"), tmp_path / "elsewhere.key"
    (home.path / "audit.key").replace(elsewhere)
    variables = home.environment(audit_key_file=str(elsewhere))
    ended = CliRunner().invoke(main, ["audit", "checkpoint"], env=variables)
    assert ended.exit_code == 0
    assert ended.stdout.startswith(log.key.partition("+")[0])
    elsewhere.chmod(mode)
    for command in (["audit", "checkpoint"], ["audit", "key"], ["audit", "rotate-key"], ["serve"]):
        ended = CliRunner().invoke(main, command, env=variables)
        assert ended.exit_code == 1
        assert "chmod 600" in ended.stderr
    ended = CliRunner().invoke(main, ["audit", "checkpoint"], env=home.environment())
    assert ended.exit_code == 1
    assert "there is no key" in ended.stderr
