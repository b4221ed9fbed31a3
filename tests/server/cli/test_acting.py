"""On whose behalf a command may act: only for a user of a role that the independent check allows for its entries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from click.testing import CliRunner

from server.cli.main import main
from tests.serving import USERS, write_clinic, write_formalities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.serving import Home

NAMES = {"admin": "admin", "dpo": "dora", "approver": "vera", "researcher": "ada"}  # role -> a user
assert {USERS[name]: name for name in NAMES.values()} == NAMES
SEE = "admin dpo approver"
WORDS = "--title T --purpose P --legal-basis L --justification why"
# The life of a home: the roles that may do a step, the first of which gets it done, and the command.
LIFE = (
    ("admin", "user add eve --role researcher"),
    ("admin", "token new eve"),
    ("admin", "user list"),
    ("admin", "token list"),
    ("admin", "token revoke {token}"),
    ("admin", "user unlink ada"),
    ("admin", "user remove eve"),
    ("admin", "user add dan --role dpo"),
    (SEE, "user withdraw {proposal}"),
    ("admin", "user add dan --role dpo"),
    ("dpo approver", "user confirm {proposal}"),
    ("admin", "import {folder}/manifest.toml"),
    ("admin", "dataset propose clinic --profile 0.5 --reason r"),
    ("dpo", "dataset advise clinic --opinion favourable --reason r --seen {terms}"),
    ("approver", "dataset approve clinic --reason r --seen {terms}"),
    ("admin", "profile clinic"),
    ("admin", f"study new s --dataset clinic --epsilon 2 {WORDS}"),
    ("admin", "study member s ada"),
    ("admin", "study protocol s {folder}/protocol.json"),
    ("admin", "study formalities s {folder}/formalities.toml"),
    ("dpo", "study advise s --opinion favourable --reason r --seen {study}"),
    ("approver", "study approve s --reason r --seen {study}"),
    ("admin", "study budget s --epsilon 3 --reason r --justification why"),
    ("dpo", "study advise s --raise --opinion favourable --reason r --seen {raise}"),
    ("approver", "study budget s --approve --reason r --seen {raise}"),
    ("researcher", "query s {folder}/query.json"),
    (f"researcher {SEE}", "release list s"),
    (f"researcher {SEE}", "release show s {release}"),
    (f"researcher {SEE}", "certificate s {release} {folder}/certificate"),
    ("dpo", "study suspend s --reason r"),
    ("dpo", "study resume s --reason r"),
    ("dpo admin", "study close s --reason r"),
    (SEE, "report study s"),
    ("approver", "study conclude s --text t --seen {report}"),
    (SEE, "report dataset clinic"),
    (SEE, "report persons clinic"),
    ("admin", "dataset parts clinic"),
    ("admin", "dataset parts clinic --into 2"),
    ("dpo", "audit entries"),
    ("dpo", "audit alerts"),
    ("dpo", "audit identities"),
    ("dpo", "audit erase"),
    ("dpo", "audit export {folder}/log"),
    ("admin", "ledger respend {folder}/log"),
    ("admin", "audit rotate-key"),
)
LATEST = {
    "token": "SELECT id FROM tokens WHERE user = 'eve'",
    "proposal": "SELECT id FROM proposals",
    "release": "SELECT id FROM releases",
}


def acting_commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every command that has --as."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from acting_commands(command.get_command(context, name), (*path, name))
    elif any("--as" in option.opts for option in command.params):
        yield " ".join(path)


def digests(run: Callable[[str], dict[str, Any]]) -> dict[str, str | None]:
    """Return the digests of what waits, as `show` has them."""
    study, terms = run("study show s"), run("dataset show clinic")["terms"]["waiting"]
    of_terms = None if terms is None else terms["digest"]
    report = run("report study s --as vera").get("digest")
    return {"terms": of_terms, "study": study.get("digest"), "raise": study.get("raise_digest"), "report": report}


def test_whoever_a_command_acts_for_the_log_stays_in_order(template: Home, tmp_path: Path) -> None:
    """Each command that has --as refuses users of other roles, and whatever it accepted passes `audit verify`."""
    assert [one for one in acting_commands(main) if not any(f"{step} ".startswith(f"{one} ") for _, step in LIFE)] == []
    home = template.copy(tmp_path / "home")
    home.change("UPDATE users SET subject = 'x' WHERE name = 'ada'")  # she signs in by an issuer
    write_clinic(tmp_path).rename(tmp_path / "manifest.toml")
    write_formalities(tmp_path)
    (tmp_path / "protocol.json").write_text(json.dumps({"max_epsilon": 1.0}))
    body = {"query": {"from": "visits", "select": {"n": {"count": "persons"}}}, "privacy": {"epsilon": 0.5}}
    (tmp_path / "query.json").write_text(json.dumps(body))
    variables = home.environment()

    def run(step: str, *further: str) -> dict[str, Any]:
        ended = CliRunner().invoke(main, [*step.split(), *further, "--json"], env=variables)
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    key = run("audit key")["audit_key"]  # the DPO keeps the first one
    for allowed, step in LIFE:
        found = {what: one for what, select in LATEST.items() for (one,) in home.rows(select)}
        found |= digests(run) if "--seen" in step else {}
        command = step.format(folder=tmp_path, **found)
        for role in NAMES.keys() - set(allowed.split()):
            assert run(command, "--as", NAMES[role])["error"].startswith("this is for the role "), (role, command)
        done, *others = (run(command, "--as", NAMES[role]) for role in allowed.split())
        assert "error" not in done, (command, done)
        assert not any(one.get("error", "").startswith("this is for") for one in others), command
    exported = f"{tmp_path}/verified"
    run(f"audit export {exported} --as dora")
    verified = run(f"audit verify {exported} --key {key}")
    assert (verified["verdict"], verified["problems"]) == ("ok", [])
    home.assert_sound()
