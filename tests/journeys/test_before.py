"""A ledger, an export and certificates that an earlier version made: later code opens and verifies them.

`before/README.md` says how they were made. Everything goes through the commands, as people would do it.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.serving import ROOT, Home, environment

BEFORE = Path(__file__).parent / "before"
EXPORT, FIRST = BEFORE / "log.jsonl", BEFORE / "first.checkpoint"
SAID = json.loads((BEFORE / "said.json").read_text())
QUERIES = [(one["query"], one["answer"]) for one in SAID["answers"]]
FIRST_KEY, LAST_KEY = ((BEFORE / name).read_text().strip() for name in ("first.key", "last.key"))
EARLY, LATE = (BEFORE / f"{when}-the-rotation.certificate" for when in ("before", "after"))


def said(home: Home | None, *arguments: str, code: int = 0) -> Any:
    """Run a command with --json and return what it said."""
    ended = CliRunner().invoke(main, [*arguments, "--json"], env=home.environment() if home else {})
    assert ended.exit_code == code, (arguments, ended.output)
    return json.loads(ended.stdout)


def verified(*arguments: object, home: Home | None = None, code: int = 0) -> Any:
    """Verify an export or a certificate."""
    return said(home, "audit", "verify", *map(str, arguments), code=code)


@pytest.fixture
def old(tmp_path: Path) -> Home:
    """Return the home as the earlier version left it."""
    path = tmp_path / "home"
    path.mkdir()
    with closing(sqlite3.connect(path / "ledger.sqlite")) as ledger:
        ledger.executescript((BEFORE / "ledger.sql").read_text())
        ((folder,),) = ledger.execute("SELECT folder FROM editions").fetchall()
    shutil.copyfile(BEFORE / "audit.key", path / "audit.key")
    (path / "audit.key").chmod(0o600)
    edition = path / "datasets" / "clinic" / folder
    edition.mkdir(parents=True)
    shutil.copyfile(BEFORE / "manifest.toml", edition / "manifest.toml")
    (edition / "store.duckdb").write_bytes(gzip.decompress((BEFORE / "store.duckdb.gz").read_bytes()))
    return Home(path, {})


@pytest.fixture
def home(old: Home) -> Home:
    """Return the home with its schema brought up, as after an upgrade."""
    assert "there is no approver" in said(old, "init")["missing"]
    return old


def test_a_home_from_before_names_an_approver(home: Home) -> None:
    """Nothing can be approved until an approver is named, with the DPO's consent; the doctor says so until then."""
    assert "WRONG roles: there is no approver, so nothing can be approved" in said(home, "doctor", code=1)["error"]
    wanted = said(home, "user", "add", "vera", "--role", "approver")
    said(home, "user", "confirm", wanted["id"], "--as", "admin", code=1)
    said(home, "user", "confirm", wanted["id"])
    assert said(home, "init")["missing"] is None
    assert said(home, "doctor")["healthy"]
    home.assert_sound()


def test_an_upgrade_that_is_cut_off_has_begun_the_rules(old: Home) -> None:
    """A command that ends between the upgrade and what follows leaves no ledger that works by rules not yet begun."""
    key = old.path / "audit.key"
    signing, size = key.read_bytes(), len(old.actions())
    key.write_bytes(b"damaged")
    assert CliRunner().invoke(main, ["init"], env=old.environment()).exit_code != 0
    key.write_bytes(signing)
    assert old.actions()[size:] == ["rules.begin"]
    said(old, "user", "confirm", said(old, "user", "add", "vera", "--role", "approver")["id"])
    said(old, "init")
    old.assert_sound()


def test_the_doctor_finds_nothing_but_a_missing_approver(home: Home) -> None:
    """Schema, key, sums, log, tree and store are whole; only an approver is missing."""
    found = said(home, "doctor", code=1)["error"]
    assert re.findall("^WRONG ([^:]*):", found, re.MULTILINE) == ["roles"]
    home.assert_sound()


def test_studies_and_releases_are_shown_as_before(home: Home) -> None:
    """What a study has and what was released, numbers and all."""
    shown = said(home, "study", "show", "flu")
    assert as_before(shown, SAID["study"]) == SAID["study"]
    assert said(home, "release", "list", "flu") == SAID["releases"]
    for answer in (*(answer for _, answer in QUERIES), SAID["closed"]):
        again = said(home, "release", "show", answer["study"], answer["id"])
        assert facts(again) == facts(answer)


def test_questions_of_earlier_version_are_replayed_free(home: Home) -> None:
    """The same question is the same fingerprint still: it is replayed, and nothing is charged."""
    charges = home.charges()
    for query, answer in QUERIES:
        again = said(home, "query", *query)
        assert again["replayed"]
        assert facts(again) == facts(answer)
    assert home.charges() == charges
    assert said(home, "query", "flu", "--epsilon", "0.125", "--sql", "SELECT COUNT(*) AS n FROM visits")["rows"]
    assert len(home.charges()) == len(charges) + 2
    home.assert_sound()


def as_before(shown: Any, before: Any) -> Any:
    """Return what is shown, without members that the earlier version did not have."""
    if isinstance(shown, dict) and isinstance(before, dict):
        return {name: as_before(shown.get(name), part) for name, part in before.items()}
    return shown


def facts(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without words, and without what belongs to the moment it is read."""
    return {name: part for name, part in answer.items() if name not in ("notes", "budget", "replayed")}


def test_export_of_earlier_version_verifies() -> None:
    """By the key that was kept at first, with the checkpoint that was kept and without; not by a key of later."""
    for since in ((), ("--since", FIRST)):
        found = verified(EXPORT, "--key", FIRST_KEY, *since)
        assert found["verdict"] == "ok"
        assert found["entries"] == len(EXPORT.read_text().splitlines())
        assert any("rules" in line and "a DPO approves" in line for line in found["checked"])
    assert verified(EXPORT, "--key", LAST_KEY, code=1)["verdict"] != "ok"


def test_the_verifier_alone_finds_the_export_sound(tmp_path: Path) -> None:
    """The module of the independent check verifies it, and not when one number of it was changed."""
    changed = tmp_path / "log.jsonl"
    shutil.copyfile(BEFORE / "log.jsonl.checkpoint", tmp_path / "log.jsonl.checkpoint")
    whole = EXPORT.read_text()
    assert whole.count('"epsilon_nano":3000000000') > 1
    changed.write_text(whole.replace('"epsilon_nano":3000000000', '"epsilon_nano":2000000000'))
    for file, code in ((EXPORT, 0), (changed, 1)):
        command = [sys.executable, "-m", "budgets.verify", str(file), "--key", FIRST_KEY]
        ended = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == code, ended


def test_certificates_of_earlier_version_verify(tmp_path: Path) -> None:
    """By the first key, alone and beside the export; by a later key those of its time; one changed number is found."""
    for certificate in (EARLY, LATE):
        for beside in ((), ("--log", EXPORT)):
            assert verified(certificate, "--key", FIRST_KEY, *beside)["verdict"] == "ok"
        changed = tmp_path / certificate.name
        changed.write_text(certificate.read_text().replace('"edition":1', '"edition":2', 1))
        assert verified(changed, "--key", FIRST_KEY, code=1)["verdict"] != "ok"
    assert verified(LATE, "--key", LAST_KEY)["verdict"] == "ok"
    assert verified(EARLY, "--key", LAST_KEY, code=1)["verdict"] != "ok"


def test_a_certificate_is_made_again_byte_for_byte(home: Home, tmp_path: Path) -> None:
    """As long as the key is the same, so is what a paper cites by its hash."""
    released = json.loads(LATE.read_text())["certificate"]["release"]
    again = tmp_path / "again"
    said(home, "certificate", released["study"], released["id"], str(again))
    assert again.read_bytes() == LATE.read_bytes()


def test_a_later_export_goes_on_from_the_earlier_one(home: Home, tmp_path: Path) -> None:
    """The log that grew holds every entry of before, byte for byte, and agrees with each checkpoint that was kept."""
    later = tmp_path / "later.jsonl"
    said(home, "audit", "export", str(later), "--as", "dora")
    assert later.read_text().startswith(EXPORT.read_text())
    kept = ("--since", FIRST, "--since", BEFORE / "log.jsonl.checkpoint")
    found = verified(later, "--key", FIRST_KEY, *kept, home=home)
    assert found["verdict"] == "ok"
    assert any(f"since entry {len(EXPORT.read_text().splitlines())}: " in line for line in found["checked"])
