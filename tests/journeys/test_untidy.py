"""docs/untidy.md, from the file to the dataset: each check prints what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from click.testing import CliRunner

from server.cli.main import main
from tests.serving import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of the page in a language."""
    page = (ROOT / "docs" / "untidy.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def test_an_untidy_file_becomes_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of the page ends as the page shows it, and the last one imports every row of a person without a loss."""
    monkeypatch.chdir(tmp_path)
    (source,), (program,) = blocks("csv"), blocks("python")
    manifest, of_persons, of_stays, of_sex = blocks("toml")
    refusal, losses, clean = blocks("text")

    def run(*arguments: str) -> tuple[int, str]:
        ended = CliRunner().invoke(main, [*arguments], env={"ROWLESS_HOME": str(tmp_path / "home")})
        return ended.exit_code, ended.output

    def check(text: str) -> tuple[int, str]:
        (tmp_path / "stays.toml").write_text(text, encoding="utf-8")
        return run("import", "stays.toml", "--check")

    (tmp_path / "stays.csv").write_text(source, encoding="cp1252")
    assert run("init", "--dpo", "dora", "--approver", "vera")[0] == 0
    assert check(manifest) == (1, refusal)
    manifest = manifest.replace("[person.columns.sex]\n", of_persons + "[person.columns.sex]\n")
    assert check(manifest) == (1, losses)
    manifest = manifest.replace("[tables.stays.columns.day]\n", of_stays + "[tables.stays.columns.day]\n")
    manifest = manifest.replace('values = ["F", "M"]\n', 'values = ["F", "M"]\n' + of_sex)
    assert check(manifest)[1].count("1 loss beyond loss_max") == 1
    subprocess.run([sys.executable, "-c", program], check=True)
    tidied = manifest.replace('"stays.csv"', '"tidy.csv"').replace('encoding = "cp1252"\n', "")
    assert check(tidied) == (0, clean)
    assert run("import", "stays.toml")[0] == 0
    assert "waits for an approver" in run("dataset", "show", "stays")[1]
