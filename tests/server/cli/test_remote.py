"""Commands over HTTP, against a real server: what they print is what the same commands print over the home."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli import remote
from server.cli.audit import log
from server.cli.main import main
from tests.server.sign_in.provider import CLIENT
from tests.server.sign_in.running import Provider, settings_of, start
from tests.serving import FORMALITIES, Home, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.serving import Server

SQL = ("--sql", "SELECT COUNT(DISTINCT person) AS patients FROM years", "--epsilon", "0.5")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Run a provider."""
    running = start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def server(template: Home, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that takes the provider's tokens, with an approved study and a draft."""
    home = template.copy(tmp_path_factory.mktemp("remote") / "home")
    with serving(home, **settings_of(provider.issuer, oidc_client=CLIENT)) as running:
        running.open_study("flu", "rand-hie")
        yield running


def run(server: Server, token: str | None, folder: Path, *arguments: str) -> Result:
    """Run a command on a machine that has no home."""
    variables = {
        "ROWLESS_URL": f"http://127.0.0.1:{server.port}",
        "ROWLESS_HOME": str(folder / "no-home"),
        "ROWLESS_CLIENT_FOLDER": str(folder),
        "ROWLESS_TOKEN": token,
    }
    return CliRunner().invoke(main, [*arguments], env=variables)


def said(server: Server, name: str, folder: Path, *arguments: str) -> Any:
    """Run a command as a user with --json and return what it said."""
    ended = run(server, server.home.tokens[name], folder, *arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def over_the_home(server: Server, *arguments: str) -> str:
    """Return what the same command prints over the home."""
    ended = CliRunner().invoke(main, [*arguments], env=server.home.environment())
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def refused_over_the_home(server: Server, *arguments: str) -> str:
    """Return why the same command is refused over the home."""
    ended = CliRunner().invoke(main, [*arguments], env=server.home.environment())
    assert ended.exit_code == 1, ended.output
    return ended.stderr


def test_a_researcher_needs_no_home(server: Server, tmp_path: Path) -> None:
    """Estimate, rehearsal, query, releases and certificate go over HTTP, and print what they print over the home."""
    token = server.home.tokens["ada"]
    estimated = run(server, token, tmp_path, "query", "flu", *SQL, "--estimate")
    assert estimated.exit_code == 0, estimated.output
    assert estimated.stdout == over_the_home(server, "query", "flu", *SQL, "--estimate")
    assert said(server, "ada", tmp_path, "query", "flu", *SQL, "--rehearse")["rehearsal"]
    asked = run(server, token, tmp_path, "query", "flu", *SQL)
    assert asked.exit_code == 0, asked.output
    assert "cost epsilon 0.5" in asked.stdout
    again = run(server, token, tmp_path, "query", "flu", *SQL)
    assert again.stdout == over_the_home(server, "query", "flu", *SQL)
    listed = run(server, token, tmp_path, "release", "list", "flu")
    assert listed.stdout == over_the_home(server, "release", "list", "flu")
    (one,) = said(server, "ada", tmp_path, "release", "list", "flu")["items"]
    for form in ((), ("--csv",), ("--svg",), ("--post", "round")):
        shown = run(server, token, tmp_path, "release", "show", "flu", one["id"], *form)
        assert shown.stdout == over_the_home(server, "release", "show", "flu", one["id"], *form)
    assert run(server, token, tmp_path, "release", "show", "flu", one["id"], "--csv", "--svg").exit_code == 2
    file = tmp_path / "c.json"
    wrote = said(server, "ada", tmp_path, "certificate", "flu", one["id"], str(file))
    assert wrote["release"] == one["id"]
    assert one["id"] in file.read_text()
    assert not (tmp_path / "no-home").exists()


def test_dpos_and_approvers_decide_over_http(server: Server, tmp_path: Path) -> None:
    """Advice, approval, suspension and resumption go over HTTP with each person's own token."""
    server.client("admin").good(
        "POST",
        "/studies",
        {
            "name": "new",
            "dataset": "rand-hie",
            "epsilon": 1.0,
            "title": "T",
            "purpose": "P",
            "legal_basis": "L",
            "formalities": FORMALITIES,
        },
    )
    dora, vera = server.home.tokens["dora"], server.home.tokens["vera"]
    assert run(server, dora, tmp_path, "study", "show", "new").stdout == over_the_home(server, "study", "show", "new")
    favourable = ("study", "advise", "new", "--opinion", "favourable", "--reason", "good", "--seen")
    shown = run(server, dora, tmp_path, "study", "show", "new").stdout.rpartition("--seen ")[2].strip()
    server.client("admin").good("PATCH", "/studies/new", {"title": "Another"})
    assert "has changed since you read it" in run(server, dora, tmp_path, *favourable, shown).stderr
    assert "has changed since you read it" in refused_over_the_home(server, *favourable, shown)
    shown = run(server, dora, tmp_path, "study", "show", "new").stdout.rpartition("--seen ")[2].strip()
    advised = run(server, dora, tmp_path, *favourable, shown)
    assert advised.exit_code == 0, advised.output
    assert "advice: favourable, by dora: good" in advised.stdout
    approved = run(server, vera, tmp_path, "study", "approve", "new", "--reason", "yes")
    assert approved.exit_code == 0, approved.output
    assert "approved by vera" in approved.stdout
    for action, state in (("suspend", "suspended"), ("resume", "approved")):
        assert said(server, "dora", tmp_path, "study", action, "new", "--reason", "r")["state"] == state
    seen = said(server, "vera", tmp_path, "report", "study", "new")["digest"]
    concluded = said(server, "vera", tmp_path, "study", "conclude", "new", "--seen", seen, "--text", "Not personal.")
    assert concluded["conclusion"]["by"] == "vera"
    assert {one["id"] for one in said(server, "dora", tmp_path, "study", "list")["studies"]} == {"flu", "new"}
    assert run(server, dora, tmp_path, "study", "list").stdout == over_the_home(server, "study", "list")


def test_what_a_study_and_a_dataset_have_is_shown_over_http(server: Server, tmp_path: Path) -> None:
    """Protocol, budget, dataset and what waits: as over the home; an admin's token changes what is an admin's."""
    ada, vera = server.home.tokens["ada"], server.home.tokens["vera"]
    for token, command in (
        (ada, ("study", "budget", "flu")),
        (ada, ("study", "protocol", "flu")),
        (vera, ("dataset", "show", "rand-hie")),
        (vera, ("dataset", "list")),
        (vera, ("user", "proposals")),
    ):
        ended = run(server, token, tmp_path, *command)
        assert ended.exit_code == 0, ended.output
        assert ended.stdout == over_the_home(server, *command)
    server.open_study("term", "rand-hie", approve=False)
    file = tmp_path / "protocol.json"
    file.write_text('{"max_epsilon": 0.5}')
    assert said(server, "admin", tmp_path, "study", "protocol", "term", str(file))["protocol"] == {"max_epsilon": 0.5}
    lower = ("study", "budget", "term", "--epsilon", "2", "--reason", "less")
    assert said(server, "admin", tmp_path, *lower)["budget"]["epsilon"] == 2
    assert run(server, vera, tmp_path, *lower).exit_code == 1


def test_two_persons_decide_over_http(server: Server, tmp_path: Path) -> None:
    """A dataset's profile and a new DPO are proposed by one and decided by another, each with their own token."""
    admin, dora, vera = (server.client(name) for name in ("admin", "dora", "vera"))
    admin.good("POST", "/datasets/clinic/propose", {"profile": 0.5, "reason": "new persons"})
    advice = ("--opinion", "favourable", "--reason", "good")
    advised = said(server, "dora", tmp_path, "dataset", "advise", "clinic", *advice)
    assert advised["terms"]["advice"]["by"] == "dora"
    done = said(server, "vera", tmp_path, "dataset", "approve", "clinic", "--reason", "good")
    assert done["terms"]["approved_by"] == "vera"
    made = admin.good("POST", "/proposals", {"act": "add", "user": "olga", "role": "dpo"})
    confirmed = run(server, server.home.tokens["vera"], tmp_path, "user", "confirm", made["id"])
    assert "olga is a dpo now" in confirmed.stdout
    assert "Part 2 of the token" in confirmed.stdout
    made = admin.good("POST", "/proposals", {"act": "remove", "user": "olga"})
    assert said(server, "dora", tmp_path, "user", "withdraw", made["id"]) == {"withdrawn": made["id"]}
    made = admin.good("POST", "/proposals", {"act": "remove", "user": "olga"})
    assert said(server, "vera", tmp_path, "user", "confirm", made["id"])["token_id"] is None
    assert vera.good("GET", "/proposals")["items"] == dora.good("GET", "/proposals")["items"] == []


def test_the_token_says_who_acts(server: Server, tmp_path: Path) -> None:
    """Over HTTP nobody acts for another: --as is misuse, and a role that may not is refused with the server's words."""
    ada = server.home.tokens["ada"]
    assert run(server, ada, tmp_path, "query", "flu", *SQL, "--as", "ben").exit_code == 2
    refused = run(server, ada, tmp_path, "study", "suspend", "flu", "--reason", "r")
    assert (refused.exit_code, "not researcher" in refused.stderr) == (1, True)
    outside = run(server, server.home.tokens["ben"], tmp_path, "query", "flu", *SQL)
    assert (outside.exit_code, outside.stderr.strip()) == (1, "rowless: there is no study flu")
    wrong = run(server, ada, tmp_path, "query", "flu", "--sql", "SELECT nothing", "--epsilon", "1")
    assert wrong.exit_code == 1
    none = run(server, None, tmp_path, "release", "list", "flu")
    assert (none.exit_code, "ROWLESS_TOKEN" in none.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [["user", "add", "bob", "--role", "researcher"], ["token", "list"]])
def test_commands_of_the_home_say_where_to_run_them(server: Server, tmp_path: Path, arguments: list[str]) -> None:
    """With ROWLESS_URL nobody is told to make a home of their own for a command that works on the server's."""
    ended = run(server, server.home.tokens["admin"], tmp_path, *arguments)
    assert ended.exit_code == 1
    assert "run it where the server is" in ended.stderr
    assert f"http://127.0.0.1:{server.port}" in ended.stderr
    assert "rowless init" not in ended.stderr


def test_odd_names_stay_within_their_part_of_the_path(server: Server, tmp_path: Path) -> None:
    """A study's name cannot lead a call to another address."""
    ended = run(server, server.home.tokens["ada"], tmp_path, "release", "list", "flu/../../me?x=")
    assert ended.exit_code == 1
    assert "no study" in ended.stderr or "does not exist" in ended.stderr


@pytest.mark.parametrize("url", ["http://rowless.example.org", "ftp://h", "rowless.example.org"])
def test_a_token_is_not_sent_in_the_clear(tmp_path: Path, url: str) -> None:
    """A server that is reached without TLS, other than on this machine, is refused before anything is sent."""
    ended = CliRunner().invoke(
        main, ["release", "list", "flu"], env={"ROWLESS_URL": url, "ROWLESS_TOKEN": "t", "ROWLESS_HOME": str(tmp_path)}
    )
    assert (ended.exit_code, "ROWLESS_URL" in ended.stderr) == (1, True)


def test_login_by_the_device_flow(
    server: Server, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rowless login` shows where to sign in, waits, and keeps a token for this user alone, which commands then use."""
    provider.tell("set", person=None)
    claims = {"preferred_username": "eve", "roles": ["rowless-researcher"]}
    signing = threading.Timer(2.0, lambda: provider.tell("person", subject="s-eve", claims=claims))
    signing.start()
    ended = run(server, None, tmp_path, "login")
    signing.join()
    assert ended.exit_code == 0, ended.output
    assert f"{provider.issuer}/device?user_code=" in ended.stderr
    assert "signed in as eve (researcher)" in ended.stdout
    file = tmp_path / remote.KEPT
    assert file.stat().st_mode & 0o777 == 0o600
    assert run(server, None, tmp_path, "study", "list").stdout == "There are no studies yet\n"


def test_login_ties_a_user_to_their_account(server: Server, provider: Provider, tmp_path: Path) -> None:
    """With --link and their own token a DPO signs in by the issuer from then on."""
    provider.tell("person", subject="s-dora", claims={"preferred_username": "whatever", "roles": []})
    ended = run(server, server.home.tokens["dora"], tmp_path, "login", "--link")
    assert ended.exit_code == 0, ended.output
    assert "signed in as dora (dpo)" in ended.stdout
    assert run(server, None, tmp_path, "study", "list").exit_code == 0


def test_a_dpo_reads_and_checks_over_http(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries, alerts, checkpoint, key, erasure and reports go over HTTP, with the words of the home."""
    dora = server.home.tokens["dora"]
    entries = run(server, dora, tmp_path, "audit", "entries", "--action", "study.open", "--from", "2020-01-01")
    assert entries.exit_code == 0, entries.output
    assert entries.stdout == over_the_home(server, "audit", "entries", "--action", "study.open", "--from", "2020-01-01")
    first = said(server, "dora", tmp_path, "audit", "entries", "--limit", "1", "--oldest-first")
    assert (len(first["items"]), first["next"]) == (1, 1)
    assert run(server, dora, tmp_path, "audit", "alerts").stdout == over_the_home(server, "audit", "alerts")
    assert run(server, dora, tmp_path, "audit", "key").stdout == over_the_home(server, "audit", "key")
    kept = tmp_path / "kept.checkpoint"
    size = said(server, "dora", tmp_path, "audit", "checkpoint", str(kept))["size"]
    assert kept.read_text().split("\n")[1] == str(size)
    # Texts of people may have characters at which Python ends a line, and JSON does not.
    monkeypatch.setattr(log, "PAGE", 3)
    odd = "one\u2028two\u0085three"
    server.client("dora").good("POST", "/studies/flu/suspend", {"reason": odd})
    server.client("dora").good("POST", "/studies/flu/resume", {"reason": odd})
    exported = tmp_path / "log.jsonl"
    wrote = said(server, "dora", tmp_path, "audit", "export", str(exported))
    assert exported.read_text().count("\n") == wrote["entries"] >= size
    key = said(server, "dora", tmp_path, "audit", "key")["audit_key"]
    checked = CliRunner().invoke(main, ["audit", "verify", str(exported), "--key", key, "--since", str(kept)])
    assert checked.exit_code == 0, checked.output
    table, at_home = tmp_path / "log.csv", tmp_path / "home.csv"
    wrote = said(server, "dora", tmp_path, "audit", "export", str(table), "--csv")
    over_the_home(server, "audit", "export", str(at_home), "--csv")
    lines = table.read_text().split("\n")[:-1]
    assert len(lines) == wrote["entries"] + 1
    assert at_home.read_text().split("\n")[: len(lines)] == lines
    listed = run(server, dora, tmp_path, "audit", "identities")
    assert (listed.exit_code, "  ada  from " in listed.stdout) == (0, True)
    assert len(listed.stdout.splitlines()) == len(over_the_home(server, "audit", "identities").splitlines())
    assert said(server, "dora", tmp_path, "audit", "identities", "--due") == {"identities": []}
    assert said(server, "dora", tmp_path, "audit", "erase") == {"erased": [], "shredded": True}
    reported = run(server, dora, tmp_path, "report", "study", "flu")
    assert reported.exit_code == 0, reported.output
    alike = over_the_home(server, "report", "study", "flu")
    assert reported.stdout.split("The audit log has")[0] == alike.split("The audit log has")[0]
    page = tmp_path / "report.html"
    said(server, "dora", tmp_path, "report", "study", "flu", "--html", str(page))
    assert page.read_text().lower().startswith("<!doctype html")
    assert run(server, server.home.tokens["ada"], tmp_path, "audit", "entries").exit_code == 1
