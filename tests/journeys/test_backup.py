"""The backup recipes of docs/operations.md, run as they stand there while a server is at work, restored and verified."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.serving import PATIENTS, ROOT, ask, environment, serving

if TYPE_CHECKING:
    from tests.postgres import Postgres
    from tests.serving import Client, Home


def recipes() -> list[str]:
    """Return the blocks of commands in the section on backups: back up and restore, for each database."""
    section = (ROOT / "docs" / "operations.md").read_text().split("## Backup")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 4
    return ["\n".join(line.removeprefix("$ ") for line in block.splitlines()) for block in blocks]


def shell(commands: str, home: Home, *, programs: tuple[Path, ...] = (), **variables: str) -> None:
    """Run commands in a shell with the home's settings."""
    path = os.pathsep.join(map(str, (Path(sys.executable).parent, *programs, os.environ["PATH"])))
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        env=environment(**home.environment(), **variables, PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran


def spend_while(
    client: Client, commands: str, home: Home, *, programs: tuple[Path, ...] = (), **variables: str
) -> None:
    """Run commands while queries are answered."""
    over = threading.Event()

    def spend() -> None:
        number = 0
        while not over.is_set():
            number += 1
            client.good("POST", "/studies/s/queries", ask({f"n{number}": {"count": "persons"}}, 0.001))

    spending = threading.Thread(target=spend)
    spending.start()
    try:
        shell(commands, home, programs=programs, **variables)
    finally:
        over.set()
        spending.join()


def check_restored(home: Home, first: str) -> None:
    """Assert that a restored home is whole, keeps what was released before the backup, and serves."""
    home.assert_sound()
    with serving(home) as server:
        ada = server.client("ada")
        again = ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.5))
        assert again["replayed"]
        assert json.dumps(again["rows"]) == first
        assert ada.post("/studies/s/queries", ask(PATIENTS, 0.25)).status == 201
    home.assert_sound()


def test_a_sqlite_ledger_is_backed_up_and_restored(home: Home, tmp_path: Path) -> None:
    """A backup made while queries run is one moment of the ledger: it opens, is sound, and goes on."""
    backup, aside = tmp_path / "backup", tmp_path / "aside"
    backup.mkdir()
    aside.mkdir()
    back_up, restore, _, _ = recipes()
    with serving(home) as server:
        server.open_study("s", "rand-hie", epsilon=9.0)
        ada = server.client("ada")
        first = json.dumps(ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.5))["rows"])
        spend_while(ada, back_up, home, BACKUP=str(backup))
        ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.125))
    spent = home.used_nano("study", "s")
    assert (backup / "audit.key").read_bytes() == (home.path / "audit.key").read_bytes()
    shell(restore, home, BACKUP=str(backup), ASIDE=str(aside))
    assert 500_000_000 <= home.used_nano("study", "s") < spent
    check_restored(home, first)


def test_a_postgresql_ledger_is_backed_up_and_restored(
    shared_template: Home, postgres_server: Postgres, tmp_path: Path
) -> None:
    """The same with pg_dump, restored into a new database."""
    backup = tmp_path / "backup"
    backup.mkdir()
    _, _, back_up, restore = recipes()
    database, restored = postgres_server.create(shared_template.ledger.rpartition("/")[2]), postgres_server.create()
    home = shared_template.copy(tmp_path / "home", database)
    programs = (Path(postgres_server.binary("psql")).parent,)
    with serving(home) as server:
        server.open_study("s", "rand-hie", epsilon=9.0)
        ada = server.client("ada")
        first = json.dumps(ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.5))["rows"])
        spend_while(ada, back_up, home, BACKUP=str(backup), programs=programs)
        ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.125))
    shell(restore, home, BACKUP=str(backup), RESTORED_URL=restored, programs=programs)
    other = replace(home, database=restored)
    assert 500_000_000 <= other.used_nano("study", "s") < home.used_nano("study", "s")
    check_restored(other, first)
    for made in (database, restored):
        postgres_server.drop(made)
