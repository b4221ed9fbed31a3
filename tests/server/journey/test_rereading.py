"""Every reading of a release is an entry of the audit log, whichever way it is read; what is not read is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.serving import PATIENTS, Place, ask

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def made(place: Place) -> str:
    """Return the id of a release of the study flu."""
    return str(place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))["id"])


def entries_after(place: Place, before: int) -> list[dict[str, Any]]:
    """Return the audit log's entries beyond a position."""
    rows = place.home.rows("SELECT body FROM audit_entries WHERE position > ? ORDER BY position", before)
    return [json.loads(body) for (body,) in rows]


READINGS = [
    ("", "application/json", {"form": "json", "post": []}),
    ("", "text/csv", {"form": "csv", "post": []}),
    ("", "image/svg+xml", {"form": "svg", "post": []}),
    ("?post=round,clamp", "application/json", {"form": "json", "post": ["round", "clamp"]}),
    ("/certificate", "application/json", {"form": "certificate", "post": []}),
]


@pytest.mark.parametrize(("path", "accept", "facts"), READINGS)
@pytest.mark.parametrize("name", ["ada", "dora", "admin"])
def test_each_reading_is_an_entry(
    place: Place, made: str, path: str, accept: str, facts: dict[str, Any], name: str
) -> None:
    """A reading is one entry: who, which release of which study, in which form. It has none of the numbers."""
    before = place.home.last_entry()
    assert place.client(name).get(f"/studies/flu/releases/{made}{path}", Accept=accept).status == 200
    (entry,) = entries_after(place, before)
    told = {key: entry[key] for key in ("action", "subject", "study", "facts")}
    assert told == {"action": "release.read", "subject": made, "study": "flu", "facts": facts}
    assert place.home.rows("SELECT name FROM identities WHERE commitment = ?", entry["actor"]) == [(name,)]
    place.home.assert_sound()


def test_the_command_s_reading_is_an_entry(place: Place, made: str, tmp_path: Path) -> None:
    """`rowless certificate` logs on whose behalf it read: the admin's, or who --as names."""
    for given, name in (([], "admin"), (["--as", "ada"], "ada")):
        before = place.home.last_entry()
        arguments = ["certificate", "flu", made, str(tmp_path / "c.json"), *given]
        ended = CliRunner().invoke(main, arguments, env=place.home.environment())
        assert ended.exit_code == 0, ended.output
        (entry,) = entries_after(place, before)
        assert (entry["action"], entry["facts"]["form"]) == ("release.read", "certificate")
        assert place.home.rows("SELECT name FROM identities WHERE commitment = ?", entry["actor"]) == [(name,)]
    # On behalf of somebody who may not see the study, there is none.
    ended = CliRunner().invoke(
        main, ["certificate", "flu", made, str(tmp_path / "c.json"), "--as", "ben"], env=place.home.environment()
    )
    assert (ended.exit_code, ended.stderr.strip()) == (1, "rowless: there is no study flu")
    place.home.assert_sound()


@pytest.mark.parametrize("path", ["", "/certificate"])
def test_release_that_was_not_read_leaves_no_entry(place: Place, made: str, path: str) -> None:
    """Of a release that is not there, or not for the asker, there is no reading and no entry."""
    before = place.home.last_entry()
    for name, study, release in (("ben", "flu", made), ("ada", "flu", "0" * 32), ("dora", "nowhere", made)):
        assert place.client(name).get(f"/studies/{study}/releases/{release}{path}").status == 404
    assert entries_after(place, before) == []


def test_release_list_has_no_numbers_of_answers(place: Place, made: str) -> None:
    """A list of releases tells what was asked and what it cost, and no number of an answer: reading it is no entry."""
    before = place.home.last_entry()
    (head,) = place.client("ada").good("GET", "/studies/flu/releases")["items"]
    assert head["id"] == made
    assert not {"rows", "columns"} & set(head)
    assert entries_after(place, before) == []


@pytest.mark.parametrize(("path", "accept", "facts"), READINGS)
def test_without_an_entry_nothing_is_read(
    place: Place, made: str, path: str, accept: str, facts: dict[str, Any]
) -> None:
    """Where the log was cut off and is not written on, a release cannot be read unseen."""
    last = place.home.last_entry()
    # From an odd position on: the next entry would complete a node of the tree that is there already.
    place.home.change("DELETE FROM audit_entries WHERE position >= ?", last if last % 2 else last - 1)
    reply = place.client("ada").get(f"/studies/flu/releases/{made}{path}", Accept=accept)
    assert (reply.status, reply.code) == (503, "unavailable")
    assert b"patients" not in reply.body


def test_reading_entries_by_a_worn_commitment(place: Place) -> None:
    """Who reads the log by the command line goes on by a new commitment when it is time, and the log knows it."""
    place.home.change("UPDATE identities SET made_at = '2020-01-01T00:00:00.000Z' WHERE name = 'dora'")
    before = place.home.last_entry()
    ended = CliRunner().invoke(main, ["audit", "entries"], env=place.home.environment())
    assert ended.exit_code == 0, ended.output
    renewal, reading = entries_after(place, before)
    assert (renewal["action"], reading["action"]) == ("identity.renew", "audit.read")
    assert place.home.rows("SELECT name FROM identities WHERE commitment = ?", reading["actor"]) == [("dora",)]
    place.home.assert_sound()
