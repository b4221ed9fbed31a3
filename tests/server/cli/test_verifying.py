from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from budgets.audit.signing import create_key, verifier_key
from budgets.verify.export import Report, verify
from tests.server.cli.test_cli import run, said
from tests.serving import PATIENTS, ROOT, Home, application, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Bodies = list[dict[str, Any]]


def check(lines: list[bytes], key: str, note: str, since: str | None = None) -> Report:
    """Check an export against its checkpoint and perhaps one that was kept."""
    return verify(lines, key=key, covering=note, older=[] if since is None else [since])


@dataclass(frozen=True)
class Export:
    """A log as the DPO has it: its lines and the checkpoint over them."""

    lines: list[bytes]
    note: str

    def bodies(self) -> Bodies:
        """Return what the entries say."""
        return [json.loads(line) for line in self.lines]


def mth(hashes: list[bytes]) -> bytes:
    """Return the root over leaf hashes, as RFC 6962 defines it."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256().digest()
    k = 1 << ((len(hashes) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def sign(home: Home, lines: list[bytes]) -> str:
    """Sign a checkpoint over lines with the home's key, by the text of C2SP's formats."""
    _, _, name, key_hash, encoded = (home.path / "audit.key").read_text().strip().split("+", 4)
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(encoded)[1:])
    root = mth([hashlib.sha256(b"\x00" + line.removesuffix(b"\n")).digest() for line in lines])
    text = f"{name}\n{len(lines)}\n{base64.b64encode(root).decode()}\n"
    return f"{text}\n— {name} {base64.b64encode(bytes.fromhex(key_hash) + key.sign(text.encode())).decode()}\n"


def export(home: Home) -> Export:
    """Export the log with the command, and have the server's key sign what was exported, whatever it is."""
    file = home.path.parent / "log.jsonl"
    said(home, "audit", "export", str(file))
    lines = file.read_bytes().splitlines(keepends=True)
    return Export(lines, sign(home, lines))


def vkey(home: Home) -> str:
    """Return the home's verifier key."""
    return verifier_key(home.path / "audit.key")


def problems(home: Home, shown: Export, since: str | None = None) -> list[str]:
    """Return what the check finds."""
    return check(shown.lines, vkey(home), shown.note, since).problems


def chained(bodies: Bodies) -> list[bytes]:
    """Return entries numbered and chained anew: what a forger who can write the database would do."""
    lines, previous = [], "0" * 64
    for index, body in enumerate(bodies):
        text = json.dumps(
            {**body, "index": index, "previous": previous}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
        previous = hashlib.sha256(b"\x00" + text).hexdigest()
        lines.append(text + b"\n")
    return lines


def forged(home: Home, bodies: Bodies) -> Export:
    """Return a log made anew by somebody who holds even the signing key."""
    lines = chained(bodies)
    return Export(lines, sign(home, lines))


@pytest.fixture
def lived(home: Home) -> Home:
    """Return a home that has charges of every kind in its log: queries, one given back, a profile."""
    with application(home) as place:
        place.open_study()
        ada = place.client("ada")
        place.client("admin").good("POST", "/datasets/rand-hie/profile", {"epsilon": 0.5})
        for epsilon in (0.25, 0.5):
            ada.good("POST", "/studies/flu/queries", ask(PATIENTS, epsilon))
        ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
        ada.good("POST", "/studies/flu/queries", {**ask(PATIENTS), "privacy": {"rho": 0.01}})
    store = home.store("rand-hie")
    kept = store.read_bytes()
    store.write_bytes(b"no store at all" * 1000)
    with application(home) as place:
        assert place.client("ada").post("/studies/flu/queries", ask(PATIENTS, 0.125)).status == 503
    store.write_bytes(kept)
    assert {"query.void", "query.replay", "query.release", "dataset.profile.release"} <= set(home.actions())
    return home


def test_verifier_finds_no_problem_in_sound_log(lived: Home) -> None:
    """A log of every kind of charge has no problems, alone or since an earlier checkpoint, and its sums are the ledger's."""
    earlier = export(lived)
    with application(lived) as place:
        place.client("ada").good("POST", "/studies/flu/queries", ask({"e": {"count": "events"}}, 0.5))
    shown = export(lived)
    report = check(shown.lines, vkey(lived), shown.note, earlier.note)
    assert report.problems == []
    assert report.entries == len(shown.lines) == len(earlier.lines) + 3
    accounts = {(account["kind"], account["owner"]): account for account in report.accounts}
    for kind, owner, epsilon, rho, gaussian, delta, unbounded in lived.rows(
        "SELECT kind, owner, epsilon_spent_nano + epsilon_reserved_nano, rho_spent_nano + rho_reserved_nano, "
        "gaussian_spent_nano + gaussian_reserved_nano, delta_spent_atto + delta_reserved_atto, unbounded_spent + unbounded_reserved FROM accounts"
    ):
        found = accounts[kind, owner]
        told = None if unbounded else epsilon / 10**9
        kinds = {"laplace_epsilon": epsilon / 10**9, "gaussian_rho": gaussian / 10**9}
        assert found["used"] == {"epsilon": told, "rho": rho / 10**9, "delta": delta / 10**18, **kinds}
        assert found["within_limits"]
    assert accounts["study", "flu"]["used"]["rho"] > 0


# The export, changed by hand: the genuine checkpoint does not cover it

BY_HAND: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "edit": lambda lines: [*lines[:5], lines[5].replace(b'"summary":"', b'"summary":"x'), *lines[6:]],
    "edit the last": lambda lines: [*lines[:-1], lines[-1].replace(b'"summary":"', b'"summary":"x')],
    "a space": lambda lines: [*lines[:5], lines[5].replace(b'":', b'": ', 1), *lines[6:]],
    "delete": lambda lines: [*lines[:5], *lines[6:]],
    "delete the first": lambda lines: lines[1:],
    "insert": lambda lines: [*lines[:5], lines[3], *lines[5:]],
    "append": lambda lines: [*lines, lines[-1]],
    "reorder": lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
    "truncate": lambda lines: lines[:-1],
    "cut within": lambda lines: [*lines[:-1], lines[-1][:-9]],
    "nothing": lambda lines: lines[:0],
    "an empty line": lambda lines: [*lines, b"\n"],
    "no text": lambda lines: [*lines[:5], b"\xff\xfe\n", *lines[6:]],
    "no entry": lambda lines: [*lines[:5], b"[]\n", *lines[6:]],
    "too deep": lambda lines: [*lines[:5], b"[" * 200_000 + b"\n", *lines[6:]],
    "NaN": lambda lines: [*lines[:5], b'{"index":NaN}\n', *lines[6:]],
    "chained anew": lambda lines: chained([json.loads(line) for line in (*lines[:5], *lines[6:])]),
}


@pytest.mark.parametrize("how", list(BY_HAND))
def test_a_changed_export_is_found(lived: Home, how: str) -> None:
    """Whatever is changed in an export, its checkpoint is not that of these entries."""
    shown = export(lived)
    assert problems(lived, Export(BY_HAND[how](shown.lines), shown.note))


# The database, changed under the server, which then exports and signs what it finds


def position(home: Home, action: str) -> int:
    """Return the place of the last entry of an action."""
    ((found,),) = home.rows("SELECT max(position) FROM audit_entries WHERE action = ?", action)
    return int(found)


def edit(home: Home) -> None:
    """Lower a charge in the log."""
    at = position(home, "query.reserve")
    home.change("UPDATE audit_entries SET body = replace(body, '_nano\":', '_nano\":1') WHERE position = ?", at)


def delete(home: Home) -> None:
    """Delete an entry and close the gap."""
    at = position(home, "query.release")
    home.change("DELETE FROM audit_entries WHERE position = ?", at)
    for later in range(at + 1, home.last_entry() + 1):
        home.change("UPDATE audit_entries SET position = ? WHERE position = ?", later - 1, later)


def mend_tree(home: Home) -> None:
    """Make the stored nodes of the tree anew, as a careful forger would."""
    home.change("DELETE FROM audit_nodes")
    below = [bytes.fromhex(leaf) for (leaf,) in home.rows("SELECT leaf_hash FROM audit_entries ORDER BY position")]
    level = 0
    while len(below) > 1:
        level += 1
        pairs = zip(below[::2], below[1::2], strict=False)
        below = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
        for index, found in enumerate(below):
            home.change('INSERT INTO audit_nodes (level, "index", hash) VALUES (?, ?, ?)', level, index, found.hex())


def insert(home: Home) -> None:
    """Put a copy of the entry before the last but one in its place."""
    last = home.last_entry()
    home.change("UPDATE audit_entries SET position = ? WHERE position = ?", last + 1, last)
    columns = "leaf_hash, body, at, actor, action, study"
    home.change(
        f"INSERT INTO audit_entries (position, {columns}) SELECT ?, {columns} FROM audit_entries WHERE position = ?",
        last,
        last - 1,
    )


def reorder(home: Home) -> None:
    """Swap two entries."""
    for before, after in ((5, -1), (6, 5), (-1, 6)):
        home.change("UPDATE audit_entries SET position = ? WHERE position = ?", after, before)


@pytest.mark.parametrize("tamper", [edit, delete, insert, reorder])
def test_a_changed_database_is_found(lived: Home, tamper: Callable[[Home], None]) -> None:
    """A change in the database breaks the chain: it is found although the server signed it, with no older checkpoint."""
    tamper(lived)
    mend_tree(lived)
    shown = export(lived)
    assert problems(lived, shown)


def test_a_truncated_log_is_found(lived: Home) -> None:
    """Without its last entries a log looks whole; the checkpoint that the DPO kept says that there were more."""
    kept = export(lived)
    bodies = kept.bodies()[:-4]
    shown = forged(lived, bodies)
    assert problems(lived, shown) == []
    assert any(
        "at the end unless a problem above shows where" in problem for problem in problems(lived, shown, kept.note)
    )


def test_a_restored_backup_is_found(lived: Home) -> None:
    """A ledger that was restored, and went on beyond its old length, is not the one of the checkpoint that was kept."""
    backup = lived.path.parent / "backup.sqlite"
    lived.rows("SELECT 1")
    subprocess.run([sys.executable, "-c", BACKUP, str(lived.path / "ledger.sqlite"), str(backup)], check=True)
    with application(lived) as place:
        place.client("ada").good("POST", "/studies/flu/queries", ask({"e": {"count": "events"}}, 0.5))
    kept = export(lived)
    for file in lived.path.glob("ledger.sqlite*"):
        file.unlink()
    shutil.copy(backup, lived.path / "ledger.sqlite")
    at_once = export(lived)
    assert problems(lived, at_once) == []
    assert any("a backup was restored" in problem for problem in problems(lived, at_once, kept.note))
    for _ in range(len(kept.lines) - len(at_once.lines) + 3):
        shown = export(lived)
    assert len(shown.lines) > len(kept.lines)
    assert problems(lived, shown) == []
    assert any("a restored backup that was written on" in problem for problem in problems(lived, shown, kept.note))


BACKUP = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', sys.argv[2:])"


def test_a_rewritten_log_is_found(lived: Home) -> None:
    """A forger with the database and the signing key can write a whole new log, but not one that was signed before."""
    kept = export(lived)
    bodies = kept.bodies()
    bodies[2]["summary"] = "nothing happened"
    shown = forged(lived, bodies)
    assert problems(lived, shown) == []
    assert any("rewritten" in problem for problem in problems(lived, shown, kept.note))


# The sums: logs whose chain and signature hold, with charges that do not


def last_of(bodies: Bodies, action: str) -> int:
    """Return the place of the last entry of an action."""
    return max(place for place, body in enumerate(bodies) if body["action"] == action)


def without(bodies: Bodies, action: str) -> Bodies:
    """Return the log without the last entry of an action."""
    place = last_of(bodies, action)
    return bodies[:place] + bodies[place + 1 :]


def again(bodies: Bodies, action: str) -> Bodies:
    """Return the log with the last entry of an action once more at its end."""
    return [*bodies, bodies[last_of(bodies, action)]]


def with_loss(bodies: Bodies, action: str, **loss: Any) -> Bodies:
    """Return the log with another loss in the last entry of an action."""
    bodies[last_of(bodies, action)]["facts"]["loss"] |= loss
    return bodies


def limited(bodies: Bodies, epsilon_nano: int) -> Bodies:
    """Return the log with another limit of the study."""
    bodies[last_of(bodies, "study.open")]["facts"]["budget"] |= {"epsilon_nano": epsilon_nano, "delta_atto": 0}
    return bodies


SUMS: dict[str, tuple[Callable[[Bodies], Bodies], str]] = {
    "no reserve": (lambda b: _unpaid(b), "not in the log"),
    "no profile's reserve": (lambda b: without(b, "dataset.profile.reserve"), "not in the log"),
    "a void twice": (lambda b: again(b, "query.void"), "which is given back"),
    "a void too large": (
        lambda b: with_loss(b, "query.void", epsilon_nano=10**9),
        "its loss is not that of the charge",
    ),
    "a reserve twice": (lambda b: again(b, "dataset.profile.reserve"), "appears twice"),
    "a release of more rho": (
        lambda b: with_loss(b, "query.release", rho_nano=10**9),
        "its loss is not that of the charge",
    ),
    "a release of more delta": (
        lambda b: with_loss(b, "dataset.profile.release", delta_atto=1),
        "its loss is not that of the charge",
    ),
    "a low limit": (lambda b: limited(b, 10**8), "it overspends"),
    "a negative loss": (lambda b: with_loss(b, "query.reserve", epsilon_nano=-1), "its facts are not those of"),
    "a loss of a float": (lambda b: with_loss(b, "query.reserve", rho_nano=0.5), "its facts are not those of"),
    "a huge delta": (lambda b: with_loss(b, "dataset.profile.reserve", delta_atto=10**17), "it overspends"),
}


def _unpaid(bodies: Bodies) -> Bodies:
    """Return the log without the first reserve of a query."""
    place = min(place for place, body in enumerate(bodies) if body["action"] == "query.reserve")
    return bodies[:place] + bodies[place + 1 :]


@pytest.mark.parametrize("how", list(SUMS))
def test_charges_that_do_not_add_up_are_found(lived: Home, how: str) -> None:
    """In a log that is whole and signed, a release without its charge, or a charge beyond its limit, is found."""
    change, said_of_it = SUMS[how]
    found = problems(lived, forged(lived, change(export(lived).bodies())))
    assert any(said_of_it in problem for problem in found), found


def test_odd_facts_are_problems_and_no_errors(lived: Home) -> None:
    """Whatever an entry holds in place of what it should hold, the check ends with a report."""
    bodies = export(lived).bodies()
    chance = random.Random(1)
    odd = [None, True, -1, 2**70, 10**400, 1.5, "x", [], {}, {"epsilon_nano": None}]

    def places(value: Any) -> list[tuple[Any, str]]:
        found = [(value, key) for key in value]
        return found + [place for part in value.values() if isinstance(part, dict) for place in places(part)]

    for _ in range(300):
        copy = json.loads(json.dumps(bodies))
        for _ in range(3):
            inside, key = chance.choice(places(chance.choice(copy)))
            inside[key] = chance.choice(odd)
        lines = chained(copy)
        assert isinstance(check(lines, vkey(lived), sign(lived, lines)), Report)


@pytest.mark.parametrize("study", [None, True, 1])
def test_a_study_whose_name_is_no_text_is_a_problem(lived: Home, study: object) -> None:
    """A study beside others whose name is no text is reported, and does not end the check."""
    bodies = export(lived).bodies()
    bodies.append({**bodies[last_of(bodies, "study.open")], "study": study})
    assert problems(lived, forged(lived, bodies))


# Keys and checkpoints


def test_another_key_or_note_is_found(lived: Home, tmp_path: Path) -> None:
    """A checkpoint of another log, changed, unsigned or no note at all, and a wrong key, are problems."""
    shown = export(lived)
    name, rest = vkey(lived).split("+", 1)
    for key in (create_key(tmp_path / "other.key"), f"{name}x+{rest}", vkey(lived)[:-4], "", "a+b+c"):
        assert check(shown.lines, key, shown.note).problems, key
    changed = [
        shown.note.replace(f"\n{len(shown.lines)}\n", f"\n{len(shown.lines) - 1}\n"),
        shown.note.split("\n\n")[0] + "\n\n",
        shown.note.replace("— ", "- "),
        shown.note[:-1],
        "",
        "\n",
        shown.note.replace(name, f"{name}x"),
    ]
    for note in changed:
        assert check(shown.lines, vkey(lived), note).problems, note
        assert check(shown.lines, vkey(lived), shown.note, note).problems, note


# The command


def test_the_command_needs_no_home(lived: Home, tmp_path: Path) -> None:
    """On a machine without a home the command says what it checked; exit code 1 on a problem, as JSON too."""
    away = tmp_path / "away"
    away.mkdir()
    shown = export(lived)
    log, note = away / "log", away / "log.checkpoint"
    log.write_bytes(b"".join(shown.lines))
    note.write_text(shown.note)
    arguments = ["audit", "verify", str(log), "--key", vkey(lived)]
    good = run(tmp_path / "none", *arguments)
    assert (good.exit_code, good.stderr) == (0, "")
    assert good.stdout.splitlines()[-1] == "Verdict: ok. What was checked holds."
    told = json.loads(run(tmp_path / "none", *arguments, "--since", str(note), "--json").stdout)
    assert (told["verdict"], told["entries"], told["problems"]) == ("ok", len(shown.lines), [])
    log.write_bytes(b"".join(shown.lines[:-1]))
    bad = run(tmp_path / "none", *arguments)
    assert bad.exit_code == 1
    assert "Problems:" in bad.stdout
    assert bad.stdout.splitlines()[-1] == "Verdict: FAILED. Do not rely on this log."
    as_json = run(tmp_path / "none", *arguments, "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["verdict"] == "failed"
    assert run(tmp_path / "none", *arguments, "--checkpoint", str(away / "nothing"), "--json").exit_code == 2
    assert not (tmp_path / "none").exists()


def test_the_check_brings_nothing_else_in() -> None:
    """Importing the check imports no part of the server, and no library but cryptography."""
    program = "import sys, budgets.verify.export; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    assert loaded.isdisjoint({"server", "queries", "sqlalchemy", "alembic", "flask", "click", "duckdb", "opendp"})
    assert "budgets" in loaded
