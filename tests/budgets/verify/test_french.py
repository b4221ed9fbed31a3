"""The independent check in French: alone, as the server says the same, and whatever stands in a log."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from budgets.verify import french
from server.languages import catalog
from server.languages.patterns import HOLE, Kind
from server.languages.phrase import translated
from tests.serving import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FILLED = {Kind.KEPT: "Zoé's{x}1,234.5<b>", Kind.NUMBER: "1,234.5", Kind.DAY: "2026-12-31T10:00:00.000Z"}
FILLED |= {Kind.WORDS: "dpo, admin or 7", Kind.PHRASE: "the export is empty"}
OWN = {said: answer for name in catalog.OF_CHECK.values() for said, answer in catalog.entries("fr")[name].items()}


def test_it_says_what_the_server_says() -> None:
    """Each sentence of the check has the same French from its own module and from the server's, and nothing is lost."""
    assert len(OWN) > 200
    for said in OWN:
        text = HOLE.sub(lambda hole: FILLED[Kind(hole[2] or "")], said)
        found = french.french().line(text)
        assert found == translated(text, "fr"), text
        assert found != text or said == OWN[said], text
        kept = [kind for _, kind in HOLE.findall(said) if not kind]
        assert found.count(FILLED[Kind.KEPT]) == len(kept), found


def test_words_stand_in_one_file() -> None:
    """No sentence or word of the check stands in the server's file too, where another French could be written."""
    sections = catalog.entries("fr")
    others = {
        said for name, one in sections.items() if name not in (*catalog.OF_CHECK.values(), "words") for said in one
    }
    assert others & set(OWN) == set()


@pytest.mark.parametrize("hole", ["x" * 4_000, ", " * 2_000, "entry 1: " * 500, "the study " * 400, "é" * 50_000])
def test_no_log_makes_it_slow(hole: str) -> None:
    """However long or odd a name in a log is, a line takes a moment and keeps it."""
    began = time.process_time()
    for text in (f"entry 1: it opens the study {hole}, which exists already", f"entry 1: {hole}", hole):
        assert hole in french.french().lines(text)
    assert time.process_time() - began < 2


def ran(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the check on a file that is no export."""
    file = folder / "log.jsonl"
    file.write_text("index,time\n")
    (folder / "log.jsonl.checkpoint").write_text("nothing\n")
    environment = {"PYTHONPATH": str(ROOT / "budgets"), "PYTHONUTF8": "1", **variables}
    command = [sys.executable, "-m", "verify", str(file), "--key", "x", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_the_language_is_that_of_the_option_or_of_the_environment(tmp_path: Path) -> None:
    """French is printed by --lang or a locale, English otherwise; the report as JSON is the same in both."""
    english, french_ = ran(tmp_path), ran(tmp_path, "--lang", "fr")
    assert (english.returncode, french_.returncode) == (1, 1)
    assert "Verdict: FAILED" in english.stdout
    assert "Verdict\u202f: ÉCHEC" in french_.stdout
    assert "clé de vérification" in french_.stdout
    for variables in ({"LANG": "fr_FR.UTF-8"}, {"LC_MESSAGES": "fr", "LANG": "de"}, {"LC_ALL": "fr", "LANG": "en"}):
        assert ran(tmp_path, **variables).stdout == french_.stdout
    for arguments, variables in ((("--lang", "en"), {"LANG": "fr"}), ((), {"LC_ALL": "C", "LANG": "fr"})):
        assert ran(tmp_path, *arguments, **variables).stdout == english.stdout
    reports = [json.loads(ran(tmp_path, "--json", f"--lang={code}").stdout) for code in ("en", "fr")]
    assert reports[0] == reports[1]


def test_help_and_misuse_are_french_too(tmp_path: Path) -> None:
    """No English is left in the help, and what is wrong with a command line is said in French."""
    told = ran(tmp_path, "--lang", "fr", "--help").stdout
    for word in ("usage:", "show this", "the ", "FILE", "VKEY"):
        assert word not in told
    for wrong, said in (
        (("--since",), "il manque une valeur"),
        (("--nothing",), "arguments inconnus\u202f: --nothing"),
        (("--log", "x"), "--log accompagne une attestation"),
        (("--checkpoint", "nowhere"), "nowhere\u202f: ce fichier ou ce dossier n’existe pas"),
    ):
        ended = ran(tmp_path, "--lang", "fr", *wrong)
        assert ended.returncode == 2
        assert said in ended.stderr
        assert "erreur\u202f:" in ended.stderr
