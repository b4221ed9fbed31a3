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


CLIENTS = 4


def recipes() -> list[str]:
    """Return the blocks of commands in the section on backups: back up and restore, for each database; charge again."""
    section = (ROOT / "docs" / "operations.md").read_text().split("## Backup")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 5
    return ["\n".join(line.removeprefix("$ ") for line in block.splitlines()) for block in blocks]


def shell(
    commands: str, home: Home, *, programs: tuple[Path, ...] = (), folder: Path | None = None, **variables: str
) -> None:
    """Run commands in a shell with the home's settings, in a folder."""
    path = os.pathsep.join(map(str, (Path(sys.executable).parent, *programs, os.environ["PATH"])))
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=environment(**home.environment(), **variables, PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran


def spend_while(
    client: Client, commands: str, home: Home, *, programs: tuple[Path, ...] = (), **variables: str
) -> None:
    """Run commands while four clients have queries answered."""
    over, failed = threading.Event(), list[BaseException]()

    def spend(who: int) -> None:
        number = 0
        try:
            while not over.is_set():
                number += 1
                client.good("POST", "/studies/s/queries", ask({f"n{who}_{number}": {"count": "persons"}}, 0.001))
        except BaseException as error:  # noqa: BLE001  # a thread's failure fails the test
            failed.append(error)

    spending = [threading.Thread(target=spend, args=(who,)) for who in range(CLIENTS)]
    for thread in spending:
        thread.start()
    try:
        shell(commands, home, programs=programs, **variables)
    finally:
        over.set()
        for thread in spending:
            thread.join()
    assert failed == []


def export_later(home: Home, folder: Path) -> None:
    """Export the log, as the DPO does now and then."""
    shell("rowless audit export later.jsonl --as dora", home, folder=folder)


def check_respent(home: Home, commands: str, folder: Path, spent: int, *, again: bool = False) -> None:
    """Assert that the recipe charges a restored home with all that was spent, once, also when it is run again.

    A charge that was open in the backup was answered afterwards, and is charged for its second answer too.
    """
    shell(commands, home, folder=folder)
    used = home.used_nano("study", "s")
    assert spent <= used <= spent + CLIENTS * 1_000_000
    if again:
        shell(commands, home, folder=folder)
    assert home.used_nano("study", "s") == home.used_nano("dataset", "rand-hie") == used
    home.assert_sound()


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
    back_up, restore, _, _, respend = recipes()
    with serving(home) as server:
        server.open_study("s", "rand-hie", epsilon=9.0)
        ada = server.client("ada")
        first = json.dumps(ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.5))["rows"])
        spend_while(ada, back_up, home, BACKUP=str(backup))
        ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.125))
    spent = home.used_nano("study", "s")
    export_later(home, tmp_path)
    assert (backup / "audit.key").read_bytes() == (home.path / "audit.key").read_bytes()
    shell(restore, home, BACKUP=str(backup), ASIDE=str(aside))
    assert 500_000_000 <= home.used_nano("study", "s") < spent
    check_respent(home, respend, tmp_path, spent, again=True)
    check_restored(home, first)


def test_a_postgresql_ledger_is_backed_up_and_restored(
    shared_template: Home, postgres_server: Postgres, tmp_path: Path
) -> None:
    """The same with pg_dump, restored into a new database."""
    backup = tmp_path / "backup"
    backup.mkdir()
    _, _, back_up, restore, respend = recipes()
    database, restored = postgres_server.create(shared_template.ledger.rpartition("/")[2]), postgres_server.create()
    home = shared_template.copy(tmp_path / "home", database)
    programs = (Path(postgres_server.binary("psql")).parent,)
    with serving(home) as server:
        server.open_study("s", "rand-hie", epsilon=9.0)
        ada = server.client("ada")
        first = json.dumps(ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.5))["rows"])
        spend_while(ada, back_up, home, BACKUP=str(backup), programs=programs)
        ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.125))
    export_later(home, tmp_path)
    shell(restore, home, BACKUP=str(backup), RESTORED_URL=restored, programs=programs)
    other = replace(home, database=restored)
    assert 500_000_000 <= other.used_nano("study", "s") < home.used_nano("study", "s")
    check_respent(other, respend, tmp_path, home.used_nano("study", "s"))
    check_restored(other, first)
    for made in (database, restored):
        postgres_server.drop(made)
