from __future__ import annotations

import datetime as dt
import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from budgets.database import clock, connection
from server.cli.main import main
from tests.databases import contents
from tests.serving import PATIENTS, Client, Home, application, ask, through_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.serving import Place, Reply

NAME = "quentin.zarathustra"  # which occurs nowhere else


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return how to let days pass."""

    def pass_(days: int) -> None:
        """Make it so many days after the test began."""
        gone = dt.timedelta(days=days)
        monkeypatch.setattr(clock, "moment", lambda: dt.datetime.now(dt.UTC) + gone)

    return pass_


def run(home: Home, *arguments: str, code: int = 0) -> str:
    """Run a command over a home and return what it printed."""
    result = CliRunner().invoke(main, list(arguments), env=home.environment())
    assert result.exit_code == code, result.output
    return result.stdout


def commitments_of(home: Home, name: str) -> list[str]:
    """Return a user's commitments, the oldest first."""
    found = home.rows("SELECT commitment FROM identities WHERE name = ? ORDER BY made_at", name)
    return [commitment for (commitment,) in found]


def entries(client: Client, **filters: str) -> list[dict[str, Any]]:
    """Return the entries that a filter finds."""
    asked = "&".join(f"{name}={value}" for name, value in filters.items())
    found: list[dict[str, Any]] = client.good("GET", f"/audit/entries?limit=1000&{asked}")["items"]
    return found


def list_of(client: Client, asked: str = "") -> Iterator[dict[str, Any]]:
    """Yield every name that is kept, page by page."""
    cursor = ""
    while True:
        page = client.good("GET", f"/audit/identities?limit=2{asked}{cursor}")
        yield from page["items"]
        if page["next"] is None:
            return
        cursor = f"&cursor={page['next']}"


def test_log_and_budgets_hold_after_year_with_erasure(
    place: Place, later: Callable[[int], None], tmp_path: Path
) -> None:
    """Somebody asks, leaves and is erased: the log verifies against the checkpoint from before, and every budget stays."""
    home, admin, dora = place.home, place.client("admin"), place.client("dora")
    token = admin.good("POST", "/users", {"name": NAME, "role": "researcher"})["token"]
    place.home.change("UPDATE tokens SET expires_at = '2999-01-01T00:00:00.000Z'")  # or they end on the way
    asker = Client(through_app(place.app), token)
    admin.good("PUT", f"/studies/flu/members/{NAME}")
    asker.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    (went_by,) = commitments_of(home, NAME)
    later(100)
    asker.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.25))
    assert len(commitments_of(home, NAME)) == 2
    assert len([one for one in entries(dora, actor=NAME) if one["action"] == "query.release"]) == 2
    assert admin.request("DELETE", f"/users/{NAME}").status == 204
    assert asker.get("/me").status == 401
    assert admin.good("GET", "/studies/flu")["members"] == ["ada"]

    later(400)
    key = json.loads(run(home, "audit", "key", "--json"))["audit_key"]
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    run(home, "audit", "export", str(before))
    spent = admin.good("GET", "/studies/flu/budget")
    proofs = proofs_of(dora, 20)
    listed = list(list_of(dora))
    due = [one for one in list_of(dora, "&due=true")]
    assert [one for one in listed if one["is_due"]] == due
    assert (NAME, went_by) in [(one["name"], one["commitment"]) for one in due]
    assert {one["name"] for one in listed if one["needed_by"] == ["study:flu"]} == {"admin", "vera"}

    done = dora.good("POST", "/audit/identities/erase", {"commitments": [went_by]})
    assert done == {"erased": [went_by], "shredded": True}
    still = {one["commitment"] for one in list_of(dora, "&due=true")}
    assert still == {one["commitment"] for one in due} - {went_by}
    assert len(entries(dora, actor=NAME)) > 0, "what is younger than the span is still found by name"
    assert {one["actor_name"] for one in entries(dora) if one["actor"] == went_by} == {None}

    later(100 + 366)
    assert len(dora.good("POST", "/audit/identities/erase", {})["erased"]) >= 1
    assert commitments_of(home, NAME) == []
    assert NAME.encode() not in contents(home.ledger), "no file of the ledger holds the name"
    assert entries(dora, actor=NAME) == []
    queries = [one for one in entries(dora, action="query.release")]
    assert [one["actor_name"] for one in queries] == [None, None]
    assert proofs_of(dora, 20) == proofs
    assert admin.good("GET", "/studies/flu/budget") == spent
    shown = dora.good("GET", "/studies/flu/report")
    joined = [act for act in shown["history"] if act["action"].startswith("study.member.")]
    assert [act["member"] for act in joined] == [None, None, None]  # ada, too, did nothing for a year
    run(home, "audit", "export", str(after))
    assert after.read_bytes().startswith(before.read_bytes())
    checked = run(home, "audit", "verify", str(after), "--key", key, "--since", f"{before}.checkpoint", "--json")
    assert json.loads(checked)["verdict"] == "ok"
    assert NAME.encode() not in after.read_bytes()
    home.assert_sound()


def proofs_of(dora: Client, size: int) -> list[Any]:
    """Return every inclusion proof in the log of a size."""
    return [dora.good("GET", f"/audit/proofs/inclusion?index={index}&size={size}") for index in range(size)]


def test_renewing_is_one_write_in_a_month(place: Place, later: Callable[[int], None]) -> None:
    """Of 64 requests at once of one user one renews the commitment; from then on reading writes nothing."""
    token = place.client("admin").good("POST", "/users/ada/tokens")["token"]
    later(31)
    gate = threading.Barrier(16)

    def me(_number: int) -> Reply:
        gate.wait(300)
        return Client(through_app(place.app), token).get("/me")

    before = place.home.last_entry()
    with ThreadPoolExecutor(16) as pool:
        assert {reply.status for reply in pool.map(me, range(64))} == {200}
    assert place.home.actions(before) == ["identity.renew"]
    assert len(commitments_of(place.home, "ada")) == 2


def test_a_ledger_that_cannot_be_written_to_is_still_read(
    place: Place, tmp_path: Path, later: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a new commitment cannot be written, a request that only reads is answered all the same."""
    monkeypatch.setattr(connection, "WAIT_MS", 100)
    with application(place.home.copy(tmp_path / "copy")) as held:
        later(31)
        with closing(sqlite3.connect(held.home.path / "ledger.sqlite")) as other:
            other.execute("BEGIN IMMEDIATE")
            assert held.client("ada").get("/me").status == 200
            assert held.client("dora").get("/audit/identities").status == 503
        assert len(commitments_of(held.home, "ada")) == 1
        assert held.client("ada").get("/me").status == 200
        assert len(commitments_of(held.home, "ada")) == 2


def test_erasure_not_due_of_oneself_or_last_dpo_refused(place: Place, later: Callable[[int], None]) -> None:
    """What is not due is refused with the reason, as are oneself and the last DPO; and nothing changes."""
    place.home.change("UPDATE tokens SET expires_at = '2999-01-01T00:00:00.000Z'")  # or they end on the way
    admin, dora = place.client("admin"), place.client("dora")
    (mine,) = commitments_of(place.home, "ada")
    reply = dora.post("/audit/identities/erase", {"commitments": [mine]})
    assert (reply.status, reply.code) == (409, "wrong-state")
    assert "365 days" in reply.json()["detail"]
    for wrong in ({"commitments": ["x"]}, {"commitments": []}, {"commitments": "all"}, {"names": ["ada"]}):
        assert dora.post("/audit/identities/erase", wrong).status == 422
    assert dora.post("/audit/identities/erase", {"commitments": ["0" * 64]}).status == 404
    assert dora.get("/audit/identities?cursor=x").status == 422
    for name, status in (("admin", 403), ("dora", 409), ("nobody", 404)):
        assert admin.request("DELETE", f"/users/{name}").status == status
    assert {name for (name,) in place.home.rows("SELECT name FROM users")} == {"admin", "dora", "vera", "ada", "ben"}
    later(200)
    assert list(list_of(dora, "&due=true")) == []


def test_erasure_commands_do_the_same_as_api(place: Place, later: Callable[[int], None]) -> None:
    """`rowless audit identities`, `rowless audit erase` and `rowless user remove` do the same as the API."""
    home = place.home
    assert "ben is no user any more" in run(home, "user", "remove", "ben")
    assert home.rows("SELECT 1 FROM tokens WHERE user = 'ben'") == []
    (bens,) = commitments_of(home, "ben")
    assert "0 can be erased" in run(home, "audit", "identities", "--due")
    run(home, "audit", "erase", bens, code=1)
    later(380)
    said = json.loads(run(home, "audit", "identities", "--due", "--json"))
    assert said["days"] == 365
    assert bens in [one["commitment"] for one in said["identities"]]
    assert f"{bens}  ben" in run(home, "audit", "identities")
    assert json.loads(run(home, "audit", "erase", bens, "--json")) == {"erased": [bens], "shredded": True}
    assert commitments_of(home, "ben") == []
    assert "names were erased" in run(home, "audit", "erase")
    assert "0 can be erased" in run(home, "audit", "identities", "--due")
    home.assert_sound()
    assert json.loads(run(home, "doctor", "--json"))


def test_erasure_span_follows_setting(place: Place, later: Callable[[int], None]) -> None:
    """With a shorter span names are due sooner."""
    later(200)
    variables = place.home.environment(identity_days="183")
    result = CliRunner().invoke(main, ["audit", "identities", "--due", "--json"], env=variables)
    assert {one["name"] for one in json.loads(result.stdout)["identities"]} == {"ada", "ben", "dora"}
