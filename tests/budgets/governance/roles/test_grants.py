"""Acts that one person cannot do alone: making or removing a DPO or an approver, or making a token for one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from budgets.audit import log
from budgets.errors import AlreadyExists, Forbidden, FourEyes, Invalid, NeedsSecond, NotFound, WrongState
from budgets.governance import approval
from budgets.governance.roles import grants, leaving
from budgets.identity import people, tokens
from budgets.verify.conduct import Conduct
from tests.budgets.world import ADMIN, ANNA, APPROVER, DPO, actions, log_problems
from tests.databases import SQLITE_ALONE

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from budgets.actors import Actor
    from tests.budgets.world import World

NEW = "marvin.new"


def propose(world: World, act: str, user: str, role: str | None = None) -> tuple[str, str | None]:
    """Propose an act as the admin; return the proposal's id and the first part of a token."""
    with world.database.write() as transaction:
        made, first = grants.propose(transaction, act, user, role, world.admin)
    return made.id, first


def confirm(world: World, proposal: str, by: Actor, kept_days: int = 365) -> grants.Confirmed:
    """Confirm a proposal, as the server does."""
    with approval.deciding(world.database) as transaction:
        return grants.confirm(transaction, proposal, by, kept_days)


def entries(world: World) -> list[dict[str, Any]]:
    """Return the log."""
    with world.database.read() as transaction:
        return [json.loads(one.body) for one in log.every_entry(transaction)]


def owner(world: World, text: str) -> str | None:
    """Return whose token a text is."""
    with world.database.read() as transaction:
        found = tokens.authenticate(transaction, text)
    return None if found is None else found.actor.name


def check(world: World) -> None:
    """Assert that the log is whole and in order."""
    assert log_problems(world.database) == []
    conduct = Conduct()
    assert [problem for one in entries(world) for problem in conduct.read(one)] == []


@pytest.mark.parametrize("role", people.PRIVILEGED)
@pytest.mark.parametrize("second", people.PRIVILEGED)
def test_two_persons_make_a_dpo_or_an_approver(people_only: World, role: str, second: str) -> None:
    """An admin proposes, a DPO or an approver confirms; each step is an entry and an alert; the token is of two parts."""
    world = people_only
    by = {"dpo": world.dpo, "approver": world.approver}[second]
    before = len(entries(world))
    proposal, first = propose(world, grants.ADD, NEW, role)
    with pytest.raises(NotFound), world.database.read() as transaction:
        people.user(transaction, NEW)
    done = confirm(world, proposal, by)
    log_of_it = entries(world)[before:]
    wanted = ["proposal.make", "alert.privileges", "user.add", "token.new", "alert.privileges"]
    assert [one["action"] for one in log_of_it] == wanted
    assert [one["actor"] for one in log_of_it if not one["action"].startswith("alert")] == [
        world.admin.commitment,
        by.commitment,
        by.commitment,
    ]
    assert {one["facts"]["proposal"] for one in log_of_it if "proposal" in one["facts"]} == {proposal}
    assert NEW not in json.dumps(log_of_it)
    assert first is not None
    assert done.part is not None
    assert owner(world, first + done.part) == NEW
    for half in (first, done.part, first + first[-21:], f"{first}{'x' * 21}"):
        assert owner(world, half) is None
    with world.database.read() as transaction:
        assert people.user(transaction, NEW).role == role
        assert grants.waiting(transaction) == []
    check(world)


def test_a_proposed_token_ends_with_the_names(people_only: World) -> None:
    """A token that was proposed for longer than names are kept by now ends when they do."""
    proposal, _ = propose(people_only, grants.TOKEN, DPO)
    made = confirm(people_only, proposal, people_only.approver, kept_days=30).token
    assert made is not None
    assert made.expires_at[:10] <= tokens.end_of(tokens.Scope(30))[:10]


ALONE: dict[str, Callable[[sa.Connection, World, Actor], object]] = {
    "add a DPO": lambda t, _, by: people.add_user(t, NEW, "dpo", by),
    "add an approver": lambda t, _, by: people.add_user(t, NEW, "approver", by),
    "a token for a DPO": lambda t, _, by: people.new_token(t, DPO, by),
    "a token for an approver": lambda t, _, by: people.new_token(t, APPROVER, by),
    "remove a DPO": lambda t, _, by: leaving.remove_user(t, DPO, by),
    "remove an approver": lambda t, _, by: leaving.remove_user(t, APPROVER, by),
}


@pytest.mark.parametrize("act", ALONE)
def test_admin_alone_cannot_grant_or_remove_roles(people_only: World, act: str) -> None:
    """What an admin tries alone is refused, and nothing changes."""
    before = people_only.everything()
    with pytest.raises(NeedsSecond), people_only.database.write() as transaction:
        ALONE[act](transaction, people_only, people_only.admin)
    assert people_only.everything() == before


def test_proposer_cannot_confirm_own_proposal(people_only: World) -> None:
    """Neither as an admin nor with a role got since, and the attempt of one who has the role is in the log."""
    world = people_only
    proposal, _ = propose(world, grants.ADD, NEW, "approver")
    for by in (world.admin, world.anna):
        with pytest.raises(Forbidden):
            confirm(world, proposal, by)
    with pytest.raises(FourEyes, match="they proposed"):
        confirm(world, proposal, replace(world.admin, role="approver"))
    assert entries(world)[-1]["action"] == "proposal.confirm.refuse"
    assert entries(world)[-1]["subject"] == f"proposal:{proposal}"
    for by in (world.dpo, world.approver, world.anna):
        with pytest.raises(Forbidden), world.database.write() as transaction:
            grants.propose(transaction, grants.ADD, "another", "dpo", by)
    with world.database.read() as transaction:
        assert [one["user"] for one in grants.waiting(transaction)] == [NEW]


def test_a_proposal_is_used_once(people_only: World) -> None:
    """It is gone when it is confirmed or withdrawn, and cannot be made twice while it waits."""
    world = people_only
    proposal, _ = propose(world, grants.TOKEN, DPO)
    with pytest.raises(AlreadyExists):
        propose(world, grants.TOKEN, DPO)
    confirm(world, proposal, world.approver)
    with pytest.raises(NotFound):
        confirm(world, proposal, world.approver)
    proposal, _ = propose(world, grants.TOKEN, DPO)
    with world.database.write() as transaction:
        grants.withdraw(transaction, proposal, world.dpo)
    with pytest.raises(NotFound):
        confirm(world, proposal, world.approver)
    with pytest.raises(Forbidden), world.database.write() as transaction:
        grants.withdraw(transaction, proposal, world.anna)
    check(world)


def test_last_of_a_role_cannot_be_removed(people_only: World) -> None:
    """A DPO can leave once there is another one, and nobody confirms their own removal."""
    world = people_only
    for last in (DPO, APPROVER):
        with pytest.raises(WrongState, match="only user"):
            propose(world, grants.REMOVE, last)
    proposal, _ = propose(world, grants.ADD, NEW, "dpo")
    confirm(world, proposal, world.approver)
    leaves, _ = propose(world, grants.REMOVE, DPO)
    with pytest.raises(FourEyes, match="own removal"):
        confirm(world, leaves, world.dpo)
    also, _ = propose(world, grants.REMOVE, NEW)
    done = confirm(world, leaves, world.approver)
    assert (done.token, done.part) == (None, None)
    with pytest.raises(WrongState, match="only user"):
        confirm(world, also, world.approver)
    with pytest.raises(NotFound), world.database.read() as transaction:
        people.user(transaction, DPO)
    check(world)


@SQLITE_ALONE
@pytest.mark.parametrize(
    ("act", "user", "role", "error"),
    [
        (grants.ADD, NEW, "admin", Invalid),
        (grants.ADD, NEW, "researcher", Invalid),
        (grants.ADD, NEW, None, Invalid),
        (grants.ADD, ANNA, "dpo", AlreadyExists),
        (grants.ADD, "a b", "dpo", Invalid),
        (grants.TOKEN, ANNA, None, Invalid),
        (grants.REMOVE, ADMIN, None, Invalid),
        (grants.TOKEN, "nobody", None, NotFound),
        (grants.TOKEN, DPO, "approver", Invalid),
        ("promote", ANNA, "dpo", Invalid),
    ],
)
def test_odd_proposals_are_refused(
    people_only: World, act: str, user: str, role: str | None, error: type[Exception]
) -> None:
    """What needs no second person, or cannot be done, is not proposed."""
    before = people_only.everything()
    with pytest.raises(error):
        propose(people_only, act, user, role)
    assert people_only.everything() == before


def test_a_revoked_token_of_a_dpo_is_an_alert(people_only: World) -> None:
    """Revoking takes one person, because it may be urgent. It could keep a DPO out, so it raises an alert."""
    world = people_only
    proposal, _ = propose(world, grants.TOKEN, DPO)
    made = confirm(world, proposal, world.approver).token
    assert made is not None
    with world.database.write() as transaction:
        grants.revoke_token(transaction, made.id, world.admin)
        assert actions(transaction)[-2:] == ["token.revoke", "alert.privileges"]
        annas = people.new_token(transaction, ANNA, world.admin)
        grants.revoke_token(transaction, annas.id, world.admin)
        assert actions(transaction)[-1] == "token.revoke"
    check(world)


def test_who_leaves_takes_their_proposals_along(people_only: World) -> None:
    """A token that was proposed for a user who was removed is no longer made."""
    world = people_only
    second, _ = propose(world, grants.ADD, NEW, "approver")
    confirm(world, second, world.dpo)
    token, _ = propose(world, grants.TOKEN, NEW)
    leaves, _ = propose(world, grants.REMOVE, NEW)
    confirm(world, leaves, world.dpo)
    with pytest.raises(NotFound):
        confirm(world, token, world.dpo)
