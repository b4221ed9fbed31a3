from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command

from budgets.actors import Actor
from budgets.audit import log
from budgets.database import connection
from budgets.database.connection import Database
from budgets.errors import FourEyes
from budgets.governance import approval, studies, study_budgets
from budgets.identity import people
from budgets.ledger.limits import Limits
from tests.budgets.world import FLU, TERMS, actions, log_problems

if TYPE_CHECKING:
    from budgets.actors import Actor
    from budgets.governance.study import Study
    from tests.budgets.world import World
    from tests.databases import Databases


def as_approver(person: Actor) -> Actor:
    """Return a person who has become an approver: the same one, with another role."""
    return replace(person, role="approver")


def second_admin(world: World) -> Actor:
    """Add another admin."""
    with world.database.write() as transaction:
        return people.add_user(transaction, "second.admin", "admin", world.admin)


def approve(world: World, by: Actor) -> Study:
    """Approve the study, as the server does."""
    with approval.deciding(world.database) as transaction:
        return studies.move(transaction, "hearts", "approve", "a reason", by, without_advice="a test")


def approve_raise(world: World, by: Actor) -> Study:
    """Approve the larger budget, as the server does."""
    with approval.deciding(world.database) as transaction:
        return study_budgets.approve_budget(transaction, "hearts", "a reason", by, without_advice="a test")


def edit(world: World, title: str, by: Actor) -> None:
    """Give the study another title."""
    with world.database.write() as transaction:
        studies.edit(transaction, "hearts", replace(TERMS, title=title), by)


def entry(world: World) -> dict[str, Any]:
    """Return the last entry of the log."""
    with world.database.read() as transaction:
        said: dict[str, Any] = json.loads(list(log.every_entry(transaction))[-1].body)
    return said


def test_who_opened_a_study_cannot_approve_it(world: World) -> None:
    """An admin who becomes an approver does not approve a study of their own; another approver does."""
    world.open_study("hearts", 100, state="draft")
    with pytest.raises(FourEyes, match="opened"):
        approve(world, as_approver(world.admin))
    assert world.study("hearts").state == "draft"
    assert approve(world, world.approver).state == "approved"


def test_whoever_edited_a_study_cannot_approve_it(world: World) -> None:
    """All who edited it count, also when somebody else edited it last, and also after it was approved in between."""
    world.open_study("hearts", 100, state="draft")
    other = second_admin(world)
    edit(world, "One", other)
    edit(world, "Two", world.admin)
    with pytest.raises(FourEyes, match="edited"):
        approve(world, as_approver(other))
    approve(world, world.approver)
    edit(world, "Three", world.admin)
    with pytest.raises(FourEyes, match="edited"):
        approve(world, as_approver(other))
    assert set(world.study("hearts").edited_by) == {other.commitment, world.admin.commitment}


def test_who_set_a_drafts_budget_cannot_approve_it(world: World) -> None:
    """A draft's budget is part of what is approved."""
    world.open_study("hearts", 100, state="draft")
    other = second_admin(world)
    with world.database.write() as transaction:
        study_budgets.set_budget(transaction, "hearts", 200, None, "a reason", other)
    with pytest.raises(FourEyes):
        approve(world, as_approver(other))


def test_who_proposed_a_raise_cannot_approve_it(world: World) -> None:
    """A larger budget takes an admin and an approver who is somebody else; of two proposals the last one counts."""
    world.open_study("hearts", 100)
    other = second_admin(world)
    for by in (world.admin, other):
        with world.database.write() as transaction:
            study_budgets.set_budget(transaction, "hearts", 200, None, "a reason", by)
    assert world.study("hearts").raise_by == other.commitment
    with pytest.raises(FourEyes, match="proposed"):
        approve_raise(world, as_approver(other))
    limits = world.balance("hearts").limits
    assert limits == Limits.of(100, limits.delta_atto)
    assert approve_raise(world, world.approver).raise_by is None
    assert world.balance("hearts").limits.epsilon_nano == 200


def test_a_refusal_leaves_an_entry_and_nothing_else(world: World) -> None:
    """The log tells who tried what, with the study; the study stays as it was."""
    world.open_study("hearts", 100, state="draft")
    before = world.everything()
    with pytest.raises(FourEyes):
        approve(world, as_approver(world.admin))
    after = world.everything()
    assert after.pop("audit_entries")[:-1] == before.pop("audit_entries")
    assert set(after.pop("audit_nodes")) >= set(before.pop("audit_nodes"))
    ((kind, actor, _, told),) = after.pop("bursts")  # how lately somebody was refused
    assert (kind, actor, told, before.pop("bursts")) == ("refusals", world.admin.commitment, 0, [])
    assert after == before
    said = entry(world)
    assert (said["action"], said["actor"], said["role"]) == ("study.approve.refuse", world.admin.commitment, "approver")
    assert (said["study"], said["subject"]) == ("hearts", "study:hearts")
    with world.database.write() as transaction:
        studies.move(transaction, "hearts", "approve", "a reason", world.approver, without_advice="a test")
        study_budgets.set_budget(transaction, "hearts", 200, None, "a reason", world.admin)
    with pytest.raises(FourEyes):
        approve_raise(world, as_approver(world.admin))
    with world.database.read() as transaction:
        assert actions(transaction)[-1] == "study.budget.approve.refuse"
    assert log_problems(world.database) == []


def test_suspending_and_closing_need_no_second_person(world: World) -> None:
    """What stops a study is open to each of its roles alone."""
    world.open_study("hearts", 100)
    for action in ("suspend", "close"):
        with approval.deciding(world.database) as transaction:
            studies.move(transaction, "hearts", action, "a reason", replace(world.admin, role="dpo"))
    assert world.study("hearts").state == "closed"


def test_older_ledgers_learn_who_had_a_hand_from_the_log(databases: Databases) -> None:
    """A ledger of the schema before is filled from its audit log: editors, who approved, and who proposed a raise."""
    address = databases.empty()
    opened = Database(address)
    config = connection._alembic()
    with opened.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0005")
    with opened.write() as transaction:
        by = {name: Actor(name, role, f"the commitment of {name}") for name, role in ROLES.items()}
        for one in by.values():  # as the schema of then had them
            names = "(commitment, salt, name)"
            transaction.exec_driver_sql(f"INSERT INTO identities {names} VALUES ('{one.commitment}', '', '{one.name}')")
        transaction.exec_driver_sql(f"INSERT INTO datasets VALUES ('{FLU}', 'Flu', 1, 'then')")
        for name, waits in (("hearts", "9, 9"), ("quiet", "NULL, NULL")):
            values = f"'{name}', 'T', 'P', 'L', '{FLU}', '{{}}', NULL, NULL, 'approved', '{by['ann'].commitment}'"
            transaction.exec_driver_sql(f"INSERT INTO studies VALUES ({values}, 'then', {waits})")
        for who, action in ACTS:
            log.append(transaction, by[who], action, "study:hearts", "done", study="hearts")
    opened.upgrade()
    with opened.read() as transaction:
        hearts, quiet = (studies.study(transaction, name) for name in ("hearts", "quiet"))
    opened.close()
    assert hearts.opened_by == quiet.opened_by == by["ann"].commitment
    assert set(hearts.edited_by) == {by["bob"].commitment, by["cy"].commitment}
    assert (hearts.approved_by, hearts.raise_by) == (by["dora"].commitment, by["bob"].commitment)
    assert (quiet.edited_by, quiet.approved_by, quiet.raise_by) == ((), None, None)


ROLES = {"ann": "admin", "bob": "admin", "cy": "admin", "dora": "dpo"}
ACTS = [
    ("ann", "study.open"),
    ("bob", "study.edit"),
    ("cy", "study.budget.set"),
    ("dora", "study.approve"),
    ("ann", "study.budget.set"),
    ("ann", "study.budget.ask"),
    ("bob", "study.budget.ask"),
]
