"""Every route x every role x every state of a study, from the OpenAPI document: a new route needs a rule in routes.py."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.databases import change, rows
from tests.server.routes import (
    BODIES,
    BY_STATE,
    CODES,
    CONTRACT,
    NEW_STUDY,
    REASON,
    STATES,
    document,
    filled,
    operations,
)
from tests.serving import PATIENTS, Home, Place, application, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

# Who asks: a member, a researcher who is none, an admin, a DPO, an approver; and nobody, without a token.
WHO = {"ada": "researcher", "ben": "researcher", "admin": "admin", "dora": "dpo", "vera": "approver", None: None}


@dataclass(frozen=True)
class Stage:
    """An application with a study in each state, and the release of each."""

    place: Place
    releases: dict[str, str]


@pytest.fixture(scope="module")
def stage(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Bring a study into each state, with a member, a release and a raise that waits."""
    with application(template.copy(tmp_path_factory.mktemp("stage") / "home")) as place:
        admin, dora, ada = map(place.client, ("admin", "dora", "ada"))
        releases = {}
        for state in STATES:
            place.open_study(state, epsilon=100.0)
            releases[state] = ada.good("POST", f"/studies/{state}/queries", ask(PATIENTS))["id"]
            admin.good("PUT", f"/studies/{state}/budget", {"epsilon": 200.0, "justification": "a test", **REASON})
        admin.good("PATCH", "/studies/draft", {"title": "Changed"})
        dora.good("POST", "/studies/suspended/suspend", REASON)
        dora.good("POST", "/studies/closed/close", REASON)
        for state in STATES:
            assert admin.good("GET", f"/studies/{state}")["state"] == state
        yield Stage(place, releases)


@contextmanager
def as_it_was(home: Home) -> Iterator[None]:
    """Bring back, behind the product's back, what a request changes of the studies, so that the next finds it anew."""
    tables = ("studies", "members", "accounts", "advice")
    kept = {table: rows(home.ledger, f"SELECT * FROM {table}") for table in tables}
    yield
    statements = ["PRAGMA foreign_keys = OFF"]
    for table in tables:
        if kept[table] != rows(home.ledger, f"SELECT * FROM {table}"):
            statements += [f"DELETE FROM {table}", *(f"INSERT INTO {table} VALUES {_row(row)}" for row in kept[table])]
    change(home.ledger, *statements)


def _row(row: tuple[object, ...]) -> str:
    return f"({', '.join('NULL' if one is None else repr(one) for one in row)})"


def test_every_route_below_a_study_has_its_states(shared: Place) -> None:
    """Each route of the document below a study has a rule for each state, and no rule is for another path."""
    served = {route for route in operations(document(shared)) if "{study}" in route[1]}
    assert served <= set(BY_STATE), "say in routes.py what a new route answers in each state"
    assert all("{study}" in path and (method, path) in CONTRACT for method, path in BY_STATE)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("who", WHO)
def test_every_route_for_everyone_in_every_state(stage: Stage, who: str | None, state: str) -> None:
    """Each route answers each role in each state as its rules say, and what is refused changes nothing but the log.

    No token is 401; a role that a route is not for is 403; a researcher outside the study is told that there is none.
    """
    place, role = stage.place, WHO[who]
    client = place.client(who)
    seen = 0
    for method, path in operations(document(place)):
        if "{study}" not in path:
            continue
        rule, roles = BY_STATE[method, path], CONTRACT[method, path]
        assert roles is not None
        expected, code = rule[STATES.index(state)], CODES.get(rule[STATES.index(state)])
        if role is None:
            expected, code = 401, "unauthenticated"
        elif role not in roles:
            expected, code = 403, "forbidden"
        elif who == "ben":
            expected, code = 404, "not-found"
        where = filled(path, study=state, release=stage.releases[state])
        before = (
            place.home.rows("SELECT * FROM studies"),
            place.home.rows("SELECT * FROM members"),
            place.home.charges(),
        )
        with as_it_was(place.home):
            reply = client.request(method, where, BODIES.get((method, path)))
            after = place.home.rows("SELECT * FROM studies"), place.home.rows("SELECT * FROM members")
            assert reply.status == expected, (method, path, reply)
            if code is not None:
                assert reply.code == code, (method, path, reply)
                assert after == before[:2], (method, path)
        if reply.status != 201:
            assert place.home.charges() == before[2], (method, path)
        seen += 1
    assert seen >= 16


@pytest.mark.parametrize("who", WHO)
def test_every_other_route_for_everyone(stage: Stage, who: str | None) -> None:
    """Each route that is of no study answers those that it is for, and nobody else."""
    place, role = stage.place, WHO[who]
    for method, path in operations(document(place)):
        if "{study}" in path:
            continue
        roles = CONTRACT[method, path]
        body = BODIES.get((method, path))
        if path in ("/studies", "/users") and body:
            body = {**body, "name": f"{body['name']}-{who}"}
        reply = place.client(who).request(method, filled(path, token_id="0" * 16), body)
        if roles is None:
            assert reply.status == 200, (method, path)
        elif role is None:
            assert (reply.status, reply.code) == (401, "unauthenticated"), (method, path)
        elif role not in roles:
            assert (reply.status, reply.code) == (403, "forbidden"), (method, path)
        else:
            # What a route wants beside (a token that is there, parameters) is its own tests' matter.
            assert reply.status not in (401, 403), (method, path, reply)
            assert reply.status < 500, (method, path, reply)


@pytest.mark.parametrize("state", STATES)
def test_what_one_may_not_know_of_is_not_there(stage: Stage, state: str) -> None:
    """To a researcher outside it a study in any state is as one that never was; lists leave it out; the schema is public."""
    ben = stage.place.client("ben")
    release = f"/releases/{stage.releases[state]}"
    for path in ("", "/budget", "/releases", release, f"{release}/certificate"):
        real, unreal = ben.get(f"/studies/{state}{path}"), ben.get(f"/studies/nowhere{path}")
        assert (real.status, real.body.replace(state.encode(), b"nowhere")) == (404, unreal.body), path
    assert ben.good("GET", "/studies")["items"] == []
    assert ben.good("GET", "/me")["studies"] == []
    names = [one["name"] for one in ben.good("GET", "/datasets")["items"]]
    assert names == ["clinic", "rand-hie"]
    for name in names:
        shown = ben.good("GET", f"/datasets/{name}")
        assert "budget" not in shown
        assert state not in str(shown.get("studies", ""))
    assert ben.get("/datasets/nowhere").status == 404


def test_a_member_who_was_added_after_approval_may_ask(stage: Stage) -> None:
    """Members are the admin's: adding one needs no new approval, is logged, and the member may ask at once."""
    place = stage.place
    with as_it_was(place.home):
        before = place.home.last_entry()
        assert place.client("admin").good("PUT", "/studies/approved/members/ben")["state"] == "approved"
        assert place.home.actions(before) == ["study.member.add"]
        assert place.client("ben").post("/studies/approved/estimates", ask(PATIENTS)).status == 200
    assert place.client("ben").post("/studies/approved/estimates", ask(PATIENTS)).status == 404


def test_new_studies_and_users_are_drafts_of_admins_alone(stage: Stage) -> None:
    """What the DPO and researchers send to the admin's routes leaves nothing behind."""
    for who in ("dora", "ada", "ben"):
        for path, body in (("/studies", {**NEW_STUDY, "name": "sneaked"}), ("/users", {"name": "eve", "role": "dpo"})):
            assert stage.place.client(who).post(path, body).status == 403
    assert stage.place.home.rows("SELECT id FROM studies WHERE id = 'sneaked'") == []
    assert stage.place.home.rows("SELECT name FROM users WHERE name = 'eve'") == []
