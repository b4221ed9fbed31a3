from __future__ import annotations

import csv
import json
import logging
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from server.cli.main import main
from server.demo.observatory import Shape, write_observatory
from tests import processes
from tests.serving import (
    PATIENTS,
    ROOT,
    Home,
    application,
    ask,
    assert_chain,
    environment,
    write_clinic,
    write_demo_manifest,
    write_formalities,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

WORDS = ("--title", "T", "--purpose", "P", "--legal-basis", "L", "--justification", "a test")
INIT = ("init", "--dpo", "dora", "--approver", "vera")
UNADVISED = ("--without-advice", "the DPO is away")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of failures that are wanted out of the tests' output."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def run(home: Home | Path, *arguments: str) -> Result:
    """Run a command over a home."""
    variables = home.environment() if isinstance(home, Home) else {"ROWLESS_HOME": str(home)}
    return CliRunner().invoke(main, list(arguments), env=variables)


def said(home: Home | Path, *arguments: str) -> Any:
    """Run a command that must succeed with --json and return what it printed: one object and nothing else."""
    ended = run(home, *arguments, "--json")
    assert ended.exit_code == 0, (arguments, ended.output)
    assert ended.stderr == ""
    assert ended.stdout.count("\n") == 1
    found = json.loads(ended.stdout)
    assert isinstance(found, dict)
    return found


def refused(home: Home | Path, *arguments: str) -> str:
    """Run a command that must be refused, in words and as JSON, and return the reason."""
    in_words, as_json = run(home, *arguments), run(home, *arguments, "--json")
    assert (in_words.exit_code, as_json.exit_code) == (1, 1), (arguments, in_words.output, in_words.exception)
    assert in_words.stdout == ""
    assert in_words.stderr.startswith("rowless: ")
    told = json.loads(as_json.stdout)
    assert list(told) == ["error"]
    reason: str = told["error"]
    assert reason in in_words.stderr
    return reason


def process(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    return processes.run("server.cli", *arguments, variables=environment(ROWLESS_HOME=str(home)))


# Every command


def test_every_command_has_help_and_misuse() -> None:
    """Each command explains itself with exit code 0, and an option that it does not have is misuse: exit code 2."""
    seen = 0

    def visit(command: Any, path: list[str]) -> None:
        nonlocal seen
        shown = CliRunner().invoke(main, [*path, "--help"])
        assert shown.exit_code == 0, path
        assert command.help, path
        assert CliRunner().invoke(main, [*path, "--no-such-option"]).exit_code == 2, path
        seen += 1
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                visit(command.get_command(context, name), [*path, name])

    visit(main, [])
    assert seen >= 44


CONTRACT = {
    *("init", "import", "serve", "demo", "query", "recover", "doctor"),
    *("user add", "token new", "token revoke", "audit entries", "audit export", "audit verify", "audit checkpoint"),
    *(f"study {verb}" for verb in ("new", "list", "show", "budget", "member", "approve", "suspend", "close")),
    *("study protocol", "user list", "user remove", "token list", "audit identities", "audit erase"),
}


def test_the_commands_are_those_of_the_contract() -> None:
    """Every command of the contract is there, and each but serve and demo takes --json."""
    for name in CONTRACT:
        shown = CliRunner().invoke(main, [*name.split(), "--help"])
        assert shown.exit_code == 0, name
        assert ("--json" in shown.output) == (name not in ("serve", "demo")), name


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["user", "add"],
        ["user", "add", "eve"],
        ["user", "add", "eve", "--role", "root"],
        ["import"],
        ["study", "new", "s"],
        ["study", "approve", "flu"],
        ["study", "budget", "flu", "--reason", "r"],
        ["study", "budget", "flu", "--reason", "r", "--epsilon", "1", "--approve"],
        ["query", "flu", "no-such-file.json"],
        ["demo-data", "x", "--persons", "0"],
    ],
)
def test_command_misuse_is_exit_code_2(home: Home, arguments: list[str]) -> None:
    """What cannot be understood is misuse: exit code 2, nothing on standard output, nothing changed."""
    before = home.last_entry()
    ended = run(home, *arguments)
    assert ended.exit_code == 2, ended.output
    assert ended.stdout == ""
    assert home.last_entry() == before


# init, user, token


def test_init_makes_a_home_once(tmp_path: Path) -> None:
    """`rowless init` prints the home, the first admin's token and the verifier key; again it makes neither anew."""
    home = tmp_path / "deep" / "home"
    first = said(home, *INIT, "--admin", "ann")
    tokens = {"admin_token", "dpo_token", "approver_token"}
    assert set(first) == {"home", "audit_key", "missing", *tokens}
    assert (first["home"], first["missing"]) == (str(home), None)
    assert len({first[one] for one in tokens}) == 3
    assert all(first[one].startswith("rowless_") for one in tokens)
    listed = {one["user"]: one["role"] for one in said(home, "user", "list")["items"]}
    assert listed == {"ann": "admin", "dora": "dpo", "vera": "approver"}
    assert said(home, "doctor")["healthy"]
    assert first["audit_key"].startswith("rowless-")
    assert (home / "audit.key").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert first["audit_key"].rsplit("+", 1)[1] not in (home / "audit.key").read_text()
    for again in (("init",), INIT, ("init", "--dpo", "eve", "--approver", "eva")):
        assert said(home, *again) == {**first, **dict.fromkeys(tokens)}
    assert "only now" not in run(home, "init").output
    assert {one["user"] for one in said(home, "user", "list")["items"]} == set(listed)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "dpo: a new home needs its first dpo"),
        (("--dpo", "dora"), "approver: a new home needs its first approver"),
        (("--dpo", "dora", "--approver", "DORA"), "give three names"),
        (("--dpo", "admin", "--approver", "vera"), "give three names"),
        (("--dpo", "a b", "--approver", "vera"), "dpo: use letters"),
        (("--dpo", "dora", "--approver", "system"), "approver: "),
    ],
)
def test_a_new_home_needs_three_persons(tmp_path: Path, given: tuple[str, ...], says: str) -> None:
    """Without a DPO and an approver of other names nothing is made, and the refusal says what is missing."""
    home = tmp_path / "home"
    assert says in refused(home, "init", *given)
    assert not home.exists()


def test_init_asks_on_a_terminal(tmp_path: Path) -> None:
    """The names that were not given are asked for, and a token of each is printed."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "server.cli", "init", "--dpo", "dora"]
    variables = environment(ROWLESS_HOME=str(tmp_path / "home"))
    with subprocess.Popen(command, stdin=its, stdout=subprocess.PIPE, env=variables, cwd=ROOT, text=True) as process:
        os.write(ours, b"vera\n")
        printed, _ = process.communicate(timeout=300)
    os.close(its)
    os.close(ours)
    assert process.returncode == 0
    for who in ("admin admin", "dpo dora", "approver vera"):
        assert f"Token of the {who}, shown only now: rowless_" in printed


def test_a_home_of_someone_else_cannot_read_the_ledger(tmp_path: Path) -> None:
    """The ledger and the key lie in a folder that only its owner may enter."""
    said(tmp_path / "home", *INIT)
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0


def test_user_added_by_command_has_token_until_revoked(home: Home) -> None:
    """A user added on the command line has a token that HTTP takes until it is revoked."""
    made = said(home, "user", "add", "eve", "--role", "researcher")
    assert set(made) >= {"user", "role", "token"}
    assert (made["user"], made["role"]) == ("eve", "researcher")
    other = said(home, "token", "new", "eve")
    with application(home) as place:
        clients = [type(c)(c.send, one["token"]) for c in [place.client(None)] for one in (made, other)]
        assert [client.get("/me").status for client in clients] == [200, 200]
        assert said(home, "token", "revoke", other["token_id"]) == {"revoked": other["token_id"]}
        assert [client.get("/me").status for client in clients] == [200, 401]
    limited = said(home, "token", "new", "eve", "--days", "7", "--read-only")
    listed = {one["id"]: one for one in said(home, "token", "list", "eve")["items"]}
    assert set(listed) == {made["token_id"], limited["token_id"]}
    assert listed[limited["token_id"]]["reads_only"]
    assert listed[limited["token_id"]]["expires_at"] == limited["expires_at"] < made["expires_at"]
    assert {one["user"]: one["role"] for one in said(home, "user", "list")["items"]}["eve"] == "researcher"
    assert "only reading" in run(home, "token", "list").stdout
    assert "nowhere" in refused(home, "token", "new", "eve", "--study", "nowhere")
    assert "eve already" in refused(home, "user", "add", "Eve", "--role", "researcher")
    assert "nobody" in refused(home, "token", "new", "nobody")
    assert refused(home, "token", "revoke", other["token_id"])
    assert "letters" in refused(home, "user", "add", "a b", "--role", "researcher")


def test_two_persons_on_the_command_line(home: Home) -> None:
    """An admin's command only proposes; a DPO or an approver confirms, and whoever proposed cannot."""
    made = said(home, "user", "add", "olga", "--role", "dpo")
    assert (made["act"], made["user"], made["role"], made["proposed_by"]) == ("add", "olga", "dpo", "admin")
    assert [one["id"] for one in said(home, "user", "proposals")["items"]] == [made["id"]]
    assert "add olga (dpo)  proposed by admin" in run(home, "user", "proposals").stdout
    assert "role dpo or approver" in refused(home, "user", "confirm", made["id"], "--as", "admin")
    assert "role dpo or approver" in refused(home, "user", "confirm", made["id"], "--as", "ada")
    assert "on whose behalf: dora, vera" in refused(home, "user", "confirm", made["id"])
    done = said(home, "user", "confirm", made["id"], "--as", "vera")
    with application(home) as place:
        client = place.client("ada")
        joined = type(client)(client.send, made["token_part"] + done["token_part"])
        assert joined.good("GET", "/me")["role"] == "dpo"
    for what in (("token", "new", "olga"), ("user", "remove", "olga")):
        words = run(home, *what).stdout
        (proposal,) = (one["id"] for one in said(home, "user", "proposals")["items"])
        assert proposal in words
        assert ("Part 1 of the token" in words) == (what[0] == "token")
        words = run(home, "user", "confirm", proposal, "--as", "dora").stdout
        assert ("Part 2 of the token" in words) == (what[0] == "token")
    assert "only user of the role dpo" in refused(home, "user", "remove", "dora")
    proposal = said(home, "token", "new", "dora")["id"]
    assert said(home, "user", "withdraw", proposal, "--as", "dora") == {"withdrawn": proposal}
    assert said(home, "user", "proposals") == {"items": []}
    alerts = said(home, "audit", "alerts", "--kind", "privileges", "--as", "dora")["items"]
    assert [one["facts"]["step"] for one in alerts] == [*["proposed", "confirmed"] * 3, "proposed"]
    home.assert_sound()


def test_command_asks_on_whose_behalf_with_two_admins(home: Home) -> None:
    """With two admins a command asks on whose behalf it acts; --as says it, and the log keeps it."""
    said(home, "user", "add", "rita", "--role", "admin")
    assert "on whose behalf: admin, rita" in refused(home, "user", "add", "eve", "--role", "researcher")
    said(home, "user", "add", "eve", "--role", "researcher", "--as", "rita")
    ((name,),) = home.rows(
        "SELECT i.name FROM audit_entries a JOIN identities i ON i.commitment = a.actor "
        "WHERE a.action = 'user.add' ORDER BY a.position DESC LIMIT 1"
    )
    assert name == "rita"
    assert "nobody" in refused(home, "user", "add", "eva", "--role", "admin", "--as", "nobody")
    assert "dpo" in refused(home, "study", "new", "x", "--dataset", "clinic", "--epsilon", "1", *WORDS, "--as", "dora")


def test_without_a_home_nothing_works(tmp_path: Path) -> None:
    """Every command that needs a home says so with exit code 1 when there is none, and makes nothing."""
    for arguments in (
        *(["study", "list"], ["user", "add", "eve", "--role", "admin"], ["recover"], ["doctor"], ["serve"]),
        ["audit", "export", str(tmp_path / "log")],
        ["import", str(write_clinic(tmp_path))],
    ):
        ended = process(tmp_path / "home", *arguments)
        assert ended.returncode == 1, arguments
        assert "rowless init" in ended.stderr, (arguments, ended.stderr[-300:])
        assert "Traceback" not in ended.stderr, arguments
        assert not (tmp_path / "home").exists()


# Studies and queries


def test_the_protocol_of_a_study(home: Home, tmp_path: Path) -> None:
    """A protocol comes from a file, sends an approved study back to draft, and is shown as it could be given again."""
    with application(home) as place:
        place.open_study("s", protocol={"tables": ["years"]})
    assert said(home, "study", "protocol", "s") == {"tables": ["years"]}
    file = tmp_path / "protocol.json"
    query = {
        "from": "years",
        "where": {"column": "age", "op": ">=", "value": {"parameter": "age", "type": "number", "range": [18, 65]}},
        "select": PATIENTS,
    }
    protocol = {"templates": [{"name": "elders", "query": query}], "strict": True, "min_margin": 5.5}
    file.write_text(json.dumps(protocol))
    changed = said(home, "study", "protocol", "s", str(file))
    assert (changed["state"], changed["protocol"], changed["approved_by"]) == ("draft", protocol, None)
    assert json.loads(run(home, "study", "protocol", "s").stdout) == protocol
    words = run(home, "study", "approve", "s", "--reason", "r", *UNADVISED).stdout
    assert "opened by admin; edited by admin" in words
    assert "approved by vera" in words
    file.write_text(json.dumps({**protocol, "strict": "yes"}))
    assert "/strict: must be true or false" in refused(home, "study", "protocol", "s", str(file))
    file.write_text(json.dumps([]))
    assert "Invalid input type" in refused(home, "study", "protocol", "s", str(file))
    file.write_text("{")
    assert "line 1" in refused(home, "study", "protocol", "s", str(file))
    assert "nowhere" in refused(home, "study", "protocol", "nowhere")
    assert said(home, "study", "show", "s")["state"] == "approved"


def test_conclusion_on_the_command_line(home: Home, tmp_path: Path) -> None:
    """An approver concludes on the report whose digest it printed; it is shown, and what changed since too."""
    with application(home) as place:
        place.open_study("s")
    shown = run(home, "report", "study", "s").stdout
    assert "Conclusion on the study s: empty until an approver signs one" in shown
    seen = re.search(r"--seen ([0-9a-f]{64})$", shown, re.MULTILINE)
    assert seen is not None
    conclude = ("study", "conclude", "s", "--seen", seen[1])
    assert run(home, *conclude).exit_code == 2
    assert "role approver" in refused(home, *conclude, "--text", "Not personal.", "--as", "dora")
    file = tmp_path / "conclusion.txt"
    file.write_text("Not personal\nfor its readers.\n")
    given = said(home, *conclude, "--file", str(file))["conclusion"]
    assert (given["text"], given["by"]) == ("Not personal\nfor its readers.", "vera")
    assert (
        "conclusion of the report: Not personal\n    for its readers.\n    vera (approver), "
        in run(home, "study", "show", "s").stdout
    )
    assert (
        "Conclusion on the study s:\n  Not personal\n  for its readers.\n  vera"
        in run(home, "report", "study", "s").stdout
    )
    since = "The study has changed since: its state."
    for command in (("study", "show", "s"), ("report", "study", "s")):
        assert since not in run(home, *command).stdout
    said(home, "study", "suspend", "s", "--reason", "r")
    for command in (("study", "show", "s"), ("report", "study", "s")):
        assert since in run(home, *command).stdout
    assert "has changed since you read it" in refused(home, *conclude, "--text", "Not personal.")


def test_advice_on_the_command_line(home: Home) -> None:
    """A DPO advises, an approver approves with the advice or says why not; both are shown."""
    with application(home) as place:
        place.open_study("s", approve=False)
    assert "has not advised" in refused(home, "study", "approve", "s", "--reason", "r")
    advise = ("study", "advise", "s", "--reason", "only counts")
    assert "role dpo" in refused(home, *advise, "--opinion", "favourable", "--as", "vera")
    assert said(home, *advise, "--opinion", "conditional")["advice"]["by"] == "dora"
    assert "has advised" in refused(home, "study", "approve", "s", "--reason", "r", *UNADVISED)
    assert "advice: conditional, by dora: only counts" in run(home, "study", "show", "s").stdout
    assert said(home, "study", "approve", "s", "--reason", "r")["state"] == "approved"
    said(home, "study", "budget", "s", "--epsilon", "2000", "--reason", "r", *WORDS[-2:])
    assert "has not advised" in refused(home, "study", "budget", "s", "--approve", "--reason", "r")
    assert said(home, *advise, "--opinion", "favourable", "--raise")["raise_advice"]["opinion"] == "favourable"
    assert "advice on the raise: favourable" in run(home, "study", "show", "s").stdout
    assert said(home, "study", "budget", "s", "--approve", "--reason", "r")["budget"]["epsilon"] == 2000
    assert run(home, "study", "budget", "s", "--epsilon", "1", "--reason", "r", *UNADVISED).exit_code == 2


def test_nobody_approves_their_own_on_the_command_line(home: Home) -> None:
    """Four eyes hold for commands too: an admin who became an approver approves neither their study nor their raise."""
    with application(home) as place:
        place.open_study("s", approve=False)
    with closing(sqlite3.connect(home.path / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE users SET role = 'approver' WHERE name = 'admin'")
    assert "opened" in refused(home, "study", "approve", "s", "--reason", "r", *UNADVISED, "--as", "admin")
    assert home.actions()[-1] == "study.approve.refuse"
    assert said(home, "study", "approve", "s", "--reason", "r", *UNADVISED, "--as", "vera")["approved_by"] == "vera"


def test_a_study_from_new_to_close(home: Home, tmp_path: Path) -> None:
    """The life of a study on the command line, with a query in the middle."""
    new = ["study", "new", "s", "--dataset", "rand-hie", "--epsilon", "1.5", *WORDS, "--member", "ada"]
    new += ["--formalities", str(write_formalities(tmp_path))]
    made = said(home, *new, "--statistic", "count", "--table", "years", "--max-epsilon", "0.75", "--ends", "2099-12-31")
    assert (made["id"], made["state"], made["members"], made["raise"]) == ("s", "draft", ["ada"], None)
    assert made["protocol"] == {"tables": ["years"], "statistics": ["count"], "max_epsilon": 0.75}
    assert "s already" in refused(home, *new)
    file = tmp_path / "ask.json"
    file.write_text(json.dumps(ask(PATIENTS, 0.5)))
    assert "draft" in refused(home, "query", "s", str(file))
    assert said(home, "study", "approve", "s", "--reason", "r", *UNADVISED)["state"] == "approved"
    estimate = said(home, "query", "s", str(file), "--estimate")
    assert estimate["cost"]["epsilon"] == 0.5
    assert home.charges() == []
    answer = said(home, "query", "s", str(file))
    assert (answer["replayed"], answer["cost"]) == (False, estimate["cost"])
    assert said(home, "query", "s", str(file))["rows"] == answer["rows"]
    assert home.charges() == [("reserve", 500_000_000), ("settle", 500_000_000)]
    words = run(home, "query", "s", str(file)).stdout
    assert "free" in words
    assert "left: epsilon 1 or rho 0" in words
    assert "about 2 more queries like the last one (epsilon 0.5)" in words
    estimated = run(home, "query", "s", str(file), "--estimate").stdout
    assert "This would cost epsilon 0.5 (it was asked before: the same answer is free)" in estimated
    other = ("query", "s", "--sql", "SELECT COUNT(DISTINCT person) AS n FROM years", "--epsilon", "0.5", "--estimate")
    assert "This would cost epsilon 0.5 (2 such queries would fit the budget)" in run(home, *other).stdout
    dearer = ("0.75" if word == "0.5" else word for word in other)
    assert "This would cost epsilon 0.75 (1 such query would fit the budget)" in run(home, *dearer).stdout
    shown = said(home, "study", "budget", "s")
    assert (shown["queries_left"], shown["forecast"][-1]["epsilon"]) == (2, 1.0)
    assert "That buys about 2 more queries like the last one (epsilon 0.5)." in run(home, "study", "budget", "s").stdout
    file.write_text(json.dumps(ask({"c": {"sum": "cost"}}, 0.5)))
    assert refused(home, "query", "s", str(file)).startswith("/query/select/c: ")
    file.write_text(json.dumps(ask(PATIENTS, 0.75)))
    assert said(home, "query", "s", str(file))["budget"]["remaining"]["epsilon"] == 0.25
    file.write_text(json.dumps(ask(PATIENTS, 0.7)))
    assert "epsilon 0.25 or rho" in refused(home, "query", "s", str(file))
    assert said(home, "study", "budget", "s", "--epsilon", "3", "--reason", "r", *WORDS[-2:])["raise"]["epsilon"] == 3.0
    assert said(home, "study", "budget", "s", "--approve", "--reason", "r", *UNADVISED)["budget"]["epsilon"] == 3.0
    assert said(home, "study", "suspend", "s", "--reason", "r")["state"] == "suspended"
    assert "suspended" in refused(home, "query", "s", str(file))
    assert said(home, "study", "resume", "s", "--reason", "r")["state"] == "approved"
    assert said(home, "study", "member", "s", "ben")["members"] == ["ada", "ben"]
    assert "ada, ben" in refused(home, "query", "s", str(file))
    assert said(home, "query", "s", str(file), "--as", "ben")["rows"]
    assert said(home, "study", "member", "s", "ada", "--remove")["members"] == ["ben"]
    assert refused(home, "query", "s", str(file), "--as", "ada")
    assert [one["id"] for one in said(home, "study", "list")["studies"]] == ["s"]
    assert said(home, "study", "show", "s")["state"] == "approved"
    assert said(home, "study", "close", "s", "--reason", "r")["state"] == "closed"
    assert "nowhere" in refused(home, "study", "show", "nowhere")
    home.assert_sound()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "line 1"),
        (b'{"query": {}, "query": {}}', "twice"),
        (json.dumps(ask(PATIENTS, -1)).encode(), "/privacy/epsilon: "),
        (json.dumps(ask(PATIENTS, table="nope")).encode(), "/query/from: "),
    ],
)
def test_a_bad_query_file_is_refused(home: Home, tmp_path: Path, text: bytes, reason: str) -> None:
    """A query file is read as strictly as a request, and what is wrong with it is said with its place."""
    with application(home) as place:
        place.open_study()
    file = tmp_path / "ask.json"
    file.write_bytes(text)
    assert reason in refused(home, "query", "flu", str(file))
    assert home.charges() == []


@pytest.mark.parametrize("value", ["", "much", "nan", "inf", "-1", "0", "1e-10", "1e99", "1_0.0.0"])
def test_an_impossible_epsilon_is_refused(home: Home, value: str) -> None:
    """A study's epsilon on the command line is checked like any other."""
    assert refused(home, "study", "new", "s", "--dataset", "clinic", "--epsilon", value, *WORDS)
    assert home.rows("SELECT id FROM studies") == []


# Import


def test_import_reports_what_became_of_the_values(home: Home, tmp_path: Path) -> None:
    """An import says edition, persons and, for each table and column, what was lost; in words too."""
    visits = ["1,female,2020-01-15,10,30,true,A", "1,female,2020-01-15,9999,30,true,A", "2,alien,never,,x,maybe,B"]
    manifest = write_clinic(tmp_path, [*visits, ",female,2020-01-15,1,1,true,C"])
    told = said(home, "import", str(manifest), "--accept-losses")
    assert (told["dataset"], told["edition"], told["persons"]) == ("clinic", 2, 2)
    table = told["tables"]["visits"]
    assert (table["rows"], table["kept"], table["without_person"]) == (4, 3, 1)
    counts = {"null": 1, "coerced": 0, "unknown": 0, "clamped": 1, "missing": 0, "outside": 0}
    assert table["columns"]["cost"] == {**counts, "first": 3, "first_file": None}
    assert table["columns"]["day"]["coerced"] == 1
    assert told["identity"] == {"repeated": 0, "contradicting": 0, "case_variants": 0, "contradicting_by_column": {}}
    words = run(home, "import", str(manifest), "--accept-losses").stdout
    assert "edition 3" in words
    assert "1 without a person" in words


def test_import_reports_odd_persons_to_the_admin_alone(home: Home, tmp_path: Path) -> None:
    """Persons whose rows contradict each other and ids that differ in case are told, in words too, and logged nowhere."""
    visits = [f"{who},{sex},2020-01-15,10,30,true,A" for who in ("a", "A", "b") for sex in ("female", "male")]
    manifest = write_clinic(tmp_path, visits)
    told = said(home, "import", str(manifest))["identity"]
    assert told == {"repeated": 0, "contradicting": 3, "case_variants": 2, "contradicting_by_column": {"sex": 3}}
    words = run(home, "import", str(manifest)).stdout
    assert "3 persons have rows that contradict each other (sex: 3); the first row counts" in words
    assert "2 ids differ from another one in upper and lower case only" in words
    entry = json.loads(
        home.rows("SELECT body FROM audit_entries WHERE action = 'dataset.import' ORDER BY position DESC")[0][0]
    )
    assert set(entry["facts"]) == {"edition", "cap", "profile_epsilon_nano", "formalities", "noise"}, (
        "what an import counted is no fact of the log"
    )


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("persons_max = 10000", "persons_max = 0", "dataset.persons_max"),
        ("persons_max = 10000", 'persons_max = "many"', "dataset.persons_max"),
        ('name = "clinic"', 'name = "../clinic"', "dataset.name"),
        ('type = "date"', 'type = "day"', "tables.visits.columns.day.type"),
        ("bounds = [0, 120]", "bounds = [120, 0]", "tables.visits.columns.age.bounds"),
        ("step = 0.01", "stepp = 0.01", "tables.visits.columns.cost"),
        ("[person]", "[persona]", "person"),
        ('id = "patient"', 'id = "patiens"', "person"),
        ('source = "visits.csv"', 'source = "gone.csv"', "tables.visits.source"),
        ('source = "visits.csv"', 'source = "visits.exe"', "tables.visits.source"),
        ('values = ["female", "male"]', 'values = ["female", "female"]', "person.columns.sex.values"),
        ("[dataset]", "[dataset", "manifest"),
    ],
)
def test_a_bad_manifest_names_the_place_and_changes_nothing(
    home: Home, tmp_path: Path, old: str, new: str, place: str
) -> None:
    """A mistake in a manifest is refused with its place; edition, files and log stay as they were."""
    before = home.last_entry(), sorted(home.path.rglob("datasets/**/*"))
    assert place in refused(home, "import", str(write_clinic(tmp_path, **{old: new})))
    assert (home.last_entry(), sorted(home.path.rglob("datasets/**/*"))) == before
    assert home.rows("SELECT max(number) FROM editions WHERE dataset = 'clinic'") == [(1,)]


def test_more_persons_than_declared_are_refused(home: Home, tmp_path: Path) -> None:
    """A source with more persons than persons_max is no edition."""
    manifest = write_clinic(tmp_path, **{"persons_max = 10000": "persons_max = 59"})
    assert "persons_max = 59" in refused(home, "import", str(manifest))
    assert len(list((home.path / "datasets" / "clinic").iterdir())) == 1


def test_an_import_cannot_raise_the_cap(home: Home, tmp_path: Path) -> None:
    """A manifest with a larger epsilon is refused for a dataset that is there, and leaves no files."""
    with application(home) as place:
        place.open_study("s", "clinic", epsilon=5.0)
        place.client("ada").good("POST", "/studies/s/queries", ask(PATIENTS, 5.0, "visits"))
    said(home, "import", str(write_clinic(tmp_path, **{"epsilon = 10000.0": "epsilon = 5.0"})))
    assert "cap" in refused(home, "import", str(write_clinic(tmp_path, **{"epsilon = 10000.0": "epsilon = 6.0"})))
    assert "spent" in refused(home, "import", str(write_clinic(tmp_path, **{"epsilon = 10000.0": "epsilon = 4.0"})))
    assert len(list((home.path / "datasets" / "clinic").iterdir())) == 2
    assert home.rows("SELECT epsilon_limit_nano FROM accounts WHERE owner = 'clinic'") == [(5_000_000_000,)]


def test_a_killed_import_leaves_the_edition_in_service(home: Home, tmp_path: Path) -> None:
    """Killed in the middle, an import changes nothing that counts; the next one puts its edition there and cleans up."""
    manifest = write_observatory(tmp_path / "data", Shape(persons=100_000)).manifest
    small = tmp_path / "small"
    text = write_observatory(small, Shape(persons=500)).manifest.read_text()
    (small / "observatory.toml").write_text(text.replace("persons_max = 1000", "persons_max = 1000000"))
    assert said(home, "import", str(small / "observatory.toml"))["edition"] == 1
    folder = home.path / "datasets" / "observatory"
    for turn, delay_ms in enumerate((0, 100, 300), start=1):
        kept = set(folder.iterdir())
        store = home.store("observatory").read_bytes()
        log = home.last_entry()
        with subprocess.Popen(
            [sys.executable, "-m", "server.cli", "import", str(manifest)],
            env=environment(**home.environment()),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as importing:
            deadline = time.monotonic() + 60
            while not {one for one in folder.iterdir() if one.is_dir()} - kept:  # its mark comes first
                assert time.monotonic() < deadline
                assert importing.poll() is None
                time.sleep(0.002)
            time.sleep(delay_ms / 1000)
            assert importing.poll() is None, "the import was over before it could be killed"
            os.killpg(importing.pid, signal.SIGKILL)
        assert set(folder.iterdir()) > kept, "a killed import leaves its folder to the next one"
        assert home.store("observatory").read_bytes() == store
        assert home.last_entry() == log
        with application(home) as place:
            assert place.client("ada").good("GET", "/datasets/observatory")["edition"] == turn
        assert said(home, "import", str(small / "observatory.toml"))["edition"] == turn + 1
        known = {name for (name,) in home.rows("SELECT folder FROM editions WHERE dataset = 'observatory'")}
        assert {one.name for one in folder.iterdir()} <= known
    assert said(home, "doctor")["healthy"]


# The audit log, doctor, recover, demo-data


def test_audit_export_is_the_log(home: Home, tmp_path: Path) -> None:
    """The export has every entry's body, byte for byte as hashed, the export's own entry last."""
    with application(home) as place:
        place.open_study()
        place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))
    file = tmp_path / "log.jsonl"
    told = said(home, "audit", "export", str(file))
    stored = home.rows("SELECT body, leaf_hash FROM audit_entries ORDER BY position")
    lines = file.read_text().splitlines()
    assert lines == [body for body, _ in stored]
    covering = f"{file}.checkpoint"
    assert told == {"file": str(file), "checkpoint": covering, "entries": len(lines)}
    assert_chain(stored)
    assert json.loads(lines[-1])["action"] == "audit.export"
    table = tmp_path / "log.csv"
    assert said(home, "audit", "export", str(table), "--csv")["entries"] == len(lines) + 1
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    every = [
        (str(place), leaf)
        for place, (_, leaf) in enumerate(home.rows("SELECT body, leaf_hash FROM audit_entries ORDER BY position"))
    ]
    assert [(row["index"], row["leaf_hash"]) for row in rows] == every
    assert {"ada", "admin", "dora", "system"} <= {row["actor_name"] for row in rows}
    assert int(table.with_name("log.csv.checkpoint").read_text().splitlines()[1]) == len(rows)
    verified = run(home, "audit", "verify", str(table), "--key", run(home, "audit", "key").stdout.strip())
    assert (verified.exit_code, "verify an export without --csv" in verified.output) == (1, True)
    ended = process(home.path, "audit", "export", str(tmp_path / "none" / "log.jsonl"))
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def test_audit_entries_are_found(home: Home) -> None:
    """The DPO finds entries by study, user, action and time, newest first; reading leaves an entry without a name."""
    with application(home) as place:
        place.open_study()
        place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))
    every = said(home, "audit", "entries", "--oldest-first", "--limit", "1000")["items"]
    assert [one["index"] for one in every] == list(range(len(every)))
    for option, key, value in (
        ("--study", "study", "flu"),
        ("--actor", "actor_name", "ada"),
        ("--action", "action", "query.release"),
    ):
        found = said(home, "audit", "entries", option, value, "--limit", "1000")
        assert found["next"] is None
        assert found["items"] == [one for one in reversed(every) if one[key] == value], option
        assert found["items"]
    page = said(home, "audit", "entries", "--limit", "2")
    assert [one["action"] for one in page["items"]] == ["audit.read"] * 2
    bodies = [json.loads(body) for (body,) in home.rows("SELECT body FROM audit_entries")]
    assert [body["facts"] for body in bodies if body["action"] == "audit.read"].count(
        {}
    ) >= 2  # by --actor, and by none
    assert not [body for body in bodies if '"ada"' in json.dumps(body)]
    following = said(home, "audit", "entries", "--limit", "1", "--cursor", str(page["next"]))["items"][0]
    assert following["index"] == page["next"]
    words = run(home, "audit", "entries", "--study", "flu", "--action", "query.release")
    assert words.exit_code == 0
    assert "ada" in words.output.splitlines()[1]
    assert run(home, "audit", "entries", "--action", "none").output == "no entry fits\n"
    assert run(home, "audit", "entries", "--from", "yesterday").exit_code == 2
    assert "is for the role dpo" in refused(home, "audit", "entries", "--as", "ada")


def checks(home: Home) -> dict[str, bool]:
    """Return what doctor finds, by check, and hold its exit code against it."""
    words = run(home, "doctor")
    told = json.loads(run(home, "doctor", "--json").stdout)
    if words.exit_code == 0:
        assert told["healthy"]
        return {check["name"]: check["ok"] for check in told["checks"]}
    assert words.exit_code == 1, words.exception
    lines = words.stderr.removeprefix("rowless: ").splitlines()
    return {line[6:].split(":")[0]: line.startswith("ok") for line in lines}


def test_doctor_finds_a_healthy_home_healthy(home: Home) -> None:
    """A home in order passes every check."""
    with application(home) as place:
        place.open_study()
        place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))
    found = checks(home)
    assert all(found.values())
    assert set(found) >= {"schema", "signing key", "audit log", "accounts", "dataset clinic", "dataset rand-hie"}


DAMAGE = {
    "signing key": ["chmod"],
    "audit log": [
        "UPDATE audit_entries SET body = replace(body, 'clinic', 'clinik') WHERE action = 'dataset.import'",
        "DELETE FROM audit_entries WHERE position = 3",
        "UPDATE audit_entries SET leaf_hash = '00' WHERE position = 2",
    ],
    "accounts": [
        "UPDATE accounts SET epsilon_spent_nano = epsilon_spent_nano - 1 WHERE kind = 'study'",
        "UPDATE accounts SET epsilon_reserved_nano = 5 WHERE kind = 'dataset' AND owner = 'rand-hie'",
        "UPDATE charges SET epsilon_nano = 1 WHERE kind = 'reserve'",
    ],
    "schema": ["UPDATE alembic_version SET version_num = '0000'"],
    "dataset rand-hie": ["truncate", "remove"],
}


@pytest.mark.parametrize(("check", "damage"), [(check, one) for check, many in DAMAGE.items() for one in many])
def test_doctor_names_each_damage_of_home(home: Home, check: str, damage: str) -> None:
    """A key that others may read, a changed log or sum, a wrong schema, a broken store: doctor names it, exit code 1."""
    with application(home) as place:
        place.open_study()
        place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))
    store = home.store("rand-hie")
    if damage == "chmod":
        (home.path / "audit.key").chmod(0o644)
    elif damage == "truncate":
        store.write_bytes(store.read_bytes()[:5000])
    elif damage == "remove":
        store.unlink()
    else:
        home.change(damage)
    found = checks(home)
    assert found[check] is False
    # What is wrong with the log or the sums is seen again where the two are compared.
    again = {"recount"} if check in ("audit log", "accounts") else set()
    wrong = [line for line in run(home, "doctor").stderr.splitlines() if "WRONG" in line]
    hinted = {line.removeprefix("rowless: ")[6:].split(":")[0] for line in wrong if "restore a backup" in line}
    assert hinted == {name for name in ("audit log", "accounts", "recount") if found.get(name) is False}
    again |= {"home"} if damage == "chmod" else set()  # the home names every file that others may read
    assert all(ok for name, ok in found.items() if name not in {check, *again})


def test_recover_closes_what_a_crash_left_open(home: Home) -> None:
    """A charge left open is closed as spent, once; nothing is given back."""
    with application(home) as place:
        place.open_study()
        place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    assert said(home, "recover") == {"closed": 0}
    with closing(sqlite3.connect(home.path / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("DELETE FROM releases")
        ledger.execute("DELETE FROM charges WHERE kind = 'settle'")
        ledger.execute(
            "UPDATE accounts SET epsilon_reserved_nano = epsilon_spent_nano WHERE owner IN ('flu','rand-hie')"
        )
        ledger.execute(
            "UPDATE accounts SET rho_reserved_nano = rho_spent_nano, rho_spent_nano = 0, epsilon_spent_nano = 0"
        )
    assert said(home, "recover") == {"closed": 1}
    assert said(home, "recover") == {"closed": 0}
    assert home.used_nano("study", "flu") == 500_000_000
    assert home.actions()[-1] == "query.recover"
    home.assert_sound()
    assert said(home, "doctor")["healthy"]


def test_demo_data_can_be_imported(home: Home, tmp_path: Path) -> None:
    """demo-data writes an observatory that says how large it is, and that imports with nothing lost."""
    told = said(home, "demo-data", str(tmp_path / "data"), "--persons", "300", "--seed", "3")
    assert told["persons"] == 300
    imported = said(home, "import", told["manifest"])
    assert imported["persons"] == 300
    assert imported["tables"]["consultations"]["kept"] == told["consultations"]
    for table in imported["tables"].values():
        for column in table["columns"].values():
            assert column["coerced"] == column["unknown"] == column["clamped"] == 0


def test_commands_as_processes(tmp_path: Path) -> None:
    """As processes of their own the commands keep to exit codes and streams: init, import, doctor, a refusal, misuse."""
    home = tmp_path / "home"
    made = process(home, *INIT, "--json")
    assert (made.returncode, made.stderr) == (0, "")
    assert json.loads(made.stdout)["home"] == str(home)
    imported = process(home, "import", str(write_demo_manifest(tmp_path)), "--json")
    assert (imported.returncode, imported.stderr) == (0, "")
    assert json.loads(imported.stdout)["tables"]["years"]["kept"] == 20_190
    assert process(home, "doctor").returncode == 0
    again = process(home, "user", "add", "admin", "--role", "admin")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "rowless: there is a user admin already\n"
    assert process(home, "user", "add").returncode == 2


@pytest.mark.parametrize("options", [["--epsilon", "2"], ["--approve"], ["--delta", "0", "--reason", "r"]])
def test_a_change_of_a_budget_needs_its_parts(home: Home, options: list[str]) -> None:
    """A change without a reason, or of delta alone, is a misuse that changes nothing."""
    with application(home) as place:
        place.open_study("s", epsilon=1.0)
    before = home.last_entry()
    assert run(home, "study", "budget", "s", *options).exit_code == 2
    assert home.last_entry() == before


def test_query_command_takes_sql(home: Home) -> None:
    """A query is asked in SQL with what it may spend; misuse of the options is told."""
    with application(home) as place:
        place.open_study("s", epsilon=1.0)
    text = "SELECT sex, COUNT(DISTINCT person) AS n FROM years GROUP BY sex"
    answer = said(home, "query", "s", "--sql", text, "--epsilon", "0.5", "--cells-per-person", "1")
    assert [row["sex"] for row in answer["rows"]] == ["female", "male"]
    assert answer["cost"]["epsilon"] == 0.5
    assert "± " in run(home, "query", "s", "--sql", text, "--rho", "0.001", "--estimate").stdout
    assert refused(home, "query", "s", "--sql", f"{text} LIMIT 1 OFFSET 1", "--epsilon", "0.5").startswith(
        "/sql: line 1, column "
    )
    listed = (
        "SELECT MEDIAN(visits) AS m, HISTOGRAM(health) AS h, APPROX_TOP_K(site, 2) AS t, CORR(age, visits) FROM years"
    )
    foretold = run(home, "query", "s", "--sql", listed, "--rho", "0.001", "--estimate").stdout
    assert "m: to within about " in foretold
    assert " events further down or up" in foretold
    assert foretold.count("± ") == 6
    shown = run(home, "query", "s", "--sql", listed, "--epsilon", "0.1").stdout
    assert re.search(r"^  good +[\d,]+ ± [\d,]+$", shown, re.MULTILINE)
    for options in (["--sql", text, "x.json"], [], ["--epsilon", "1"]):
        assert run(home, "query", "s", *options).exit_code == 2
    assert refused(home, "query", "s", "--sql", text).startswith("/privacy")


def test_a_rehearsal_and_post_processing(home: Home) -> None:
    """--rehearse answers on made-up data for free; --post processes an answer, and asking again otherwise is free."""
    with application(home) as place:
        place.open_study("s", epsilon=1.0)
    asked = (
        "query",
        "s",
        "--sql",
        "SELECT age, COUNT(DISTINCT person) AS n FROM years GROUP BY age",
        "--epsilon",
        "0.02",
    )
    made = said(home, *asked, "--rehearse")
    assert (made["rehearsal"], made["id"], len(made["rows"])) == (True, None, 71)
    words = run(home, *asked, "--rehearse", "--post", "clamp").stdout
    assert "± " in words
    assert "Note: this is a rehearsal" in words
    assert home.charges() == []
    raw, clamped = said(home, *asked), said(home, *asked, "--post", "round,clamp")
    assert (clamped["replayed"], clamped["post"]) == (True, ["round", "clamp"])
    assert min(row["n"]["value"] for row in raw["rows"]) < 0 == min(row["n"]["value"] for row in clamped["rows"])
    assert refused(home, *asked, "--post", "up").startswith("/post/0: ")
    tail = "ORDER BY n DESC LIMIT 2"
    largest = sorted((row["n"]["value"] for row in raw["rows"]), reverse=True)[:2]
    for text in (tail, json.dumps({"sql": tail})):
        for shown in (
            said(home, *asked, "--show", text),
            said(home, "release", "show", "s", raw["id"], "--show", text),
        ):
            assert [row["n"]["value"] for row in shown["rows"]] == largest
            assert shown["show"]["left_out"] == 69
    assert refused(home, *asked, "--show", "ORDER BY m").startswith("/show/order_by/0: ")
    assert refused(home, "release", "show", "s", raw["id"], "--show", "LIMIT x").startswith("--show: ")
    assert run(home, *asked, "--rehearse", "--estimate").exit_code == 2
