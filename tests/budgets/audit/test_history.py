"""What a report reads of the past, on both databases."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from budgets.audit import history, log
from budgets.database import clock
from budgets.database.tables import identities
from budgets.governance import studies, study_budgets
from budgets.governance.study import Terms
from budgets.identity import commitments
from budgets.ledger import accounts, charges, profiles
from budgets.loss import NANO, Loss
from tests.budgets.world import ADMIN, ANNA, APPROVER, BEN, FLU, WHY, cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.budgets.world import World


@pytest.fixture
def past(world: World) -> World:
    """Make a ledger with two studies, releases, a charge that failed, one given back, one open, and a profile."""
    world.open_study("heart", 5 * NANO)
    world.open_study("lung", NANO, state="draft")
    world.import_edition()
    for number in range(3):
        body = {"rows": [{"n": number}], "columns": [number]}
        world.settle(world.reserve("heart", f"q{number}", cost(NANO // 10)), body)
    world.settle(world.reserve("heart", "fails", cost(NANO // 5)), None)
    assert world.void(world.reserve("heart", "given back", cost(NANO // 4)))
    world.reserve("heart", "under way", Loss(None, 1000, 0))
    with world.database.write() as transaction:
        studies.add_member(transaction, "heart", ANNA, world.admin)
        study_budgets.set_budget(transaction, "heart", 6 * NANO, None, "more", world.admin, justification=WHY)
        study_budgets.approve_budget(transaction, "heart", "well", world.approver, without_advice="a test")
        charge = profiles.reserve(transaction, profiles.question(FLU, 2, uuid.uuid4().hex), cost(NANO // 2))
        charges.settle(transaction, charge, {"tables": {"visits": [1]}, "cost": 1})
    return world


def test_history_of_study_decisions_in_order(past: World) -> None:
    """The acts of a study come in order with names, reasons and limits; those of its queries and of others do not."""
    with past.database.read() as transaction:
        acts = history.acts_of_study(transaction, "heart")
    assert [(act.action, act.name) for act in acts] == [
        ("study.open", ADMIN),
        ("study.approve", APPROVER),
        ("study.member.add", ADMIN),
        ("study.budget.ask", ADMIN),
        ("study.budget.approve", APPROVER),
    ]
    assert [act.index for act in acts] == sorted(act.index for act in acts)
    limits = [act.limits.epsilon_nano for act in acts if act.limits is not None]
    assert limits == [5 * NANO, 5 * NANO, 6 * NANO, 6 * NANO]
    assert acts[1].reason == "as the test needs it"
    assert acts[2].member == ANNA


def test_history_of_dataset_decisions_in_order(past: World) -> None:
    """The acts of a dataset are its imports and the decisions about its studies, in one order."""
    with past.database.read() as transaction:
        acts = history.acts_of_dataset(transaction, FLU)
        assert history.acts_of_dataset(transaction, "another") == []
    assert [(act.action, act.study) for act in acts] == [
        ("dataset.import", None),
        ("dataset.approve", None),
        ("study.open", "heart"),
        ("study.approve", "heart"),
        ("study.open", "lung"),
        ("dataset.import", None),
        ("study.budget.approve", "heart"),
    ]


def test_history_has_past_members_with_times(past: World) -> None:
    """Members of the past stay with their times; of an erased name the beginning is told, and no end."""

    def told() -> list[tuple[str | None, bool, bool, bool]]:
        present = past.study("heart").members
        with past.database.read() as transaction:
            found = history.memberships(transaction, "heart", present)
            assert history.memberships(transaction, "lung", ()) == []
        return [(one.name, one.since is not None, one.until is not None, one.is_member) for one in found]

    def do(act: Callable[..., object], name: str) -> None:
        with past.database.write() as transaction:
            act(transaction, "heart", name, past.admin)

    assert told() == [(ANNA, True, False, True)]
    do(studies.remove_member, ANNA)
    do(studies.add_member, BEN)
    assert told() == [(ANNA, True, True, False), (BEN, True, False, True)]
    do(studies.add_member, ANNA)
    assert told() == [(ANNA, True, True, False), (BEN, True, False, True), (ANNA, True, False, True)]
    # Anna goes by a new commitment, and what ties the old one to her is erased.
    with past.database.write() as transaction:
        commitments.renew(transaction, past.anna)
        transaction.execute(sa.delete(identities).where(identities.c.commitment == past.anna.commitment))
    nobody = (None, True, False, False)
    assert told() == [nobody, (BEN, True, False, True), nobody, (ANNA, False, False, True)]
    do(studies.remove_member, ANNA)
    assert told() == [nobody, (BEN, True, False, True), nobody, (ANNA, False, True, False)]


def test_going_on_is_no_approval(past: World) -> None:
    """Approvals are of terms and of larger budgets; to resume what was suspended is none, but is told."""
    with past.database.write() as transaction:
        studies.move(transaction, "heart", "suspend", "a question", past.dpo)
        studies.move(transaction, "heart", "resume", "answered", past.dpo)
    with past.database.read() as transaction:
        acts = history.acts_of_dataset(transaction, FLU)
    assert [act.action for act in acts if act.study == "heart"][-2:] == ["study.suspend", "study.resume"]
    assert [act.action for act in acts if act.action in history.APPROVALS] == [
        "dataset.approve",
        "study.approve",
        "study.budget.approve",
    ]


def test_history_without_erased_names(past: World) -> None:
    """Where the table of names was erased, the acts are told without."""
    with past.database.write() as transaction:
        transaction.execute(sa.delete(identities).where(identities.c.name == ADMIN))
    with past.database.read() as transaction:
        acts = history.acts_of_study(transaction, "heart")
    assert [act.name for act in acts] == [None, APPROVER, None, None, APPROVER]


def test_history_of_releases_has_losses_without_rows(past: World) -> None:
    """Releases come in order with their losses and without their rows, and other reads may go on in between."""
    with past.database.read() as transaction:
        found = []
        for released in history.releases_of(transaction, study="heart"):
            # A long list is streamed; whoever reads it looks other things up meanwhile.
            assert accounts.balance(transaction, accounts.STUDY, "heart").used.rho_nano > 0
            assert (released.study, released.edition, released.loss) == ("heart", 1, cost(NANO // 10))
            assert released.body.keys() == {"columns"}
            found.append(released.id)
        assert [one.id for one in history.releases_of(transaction, dataset=FLU)] == found
        assert len(found) == 3
        assert list(history.releases_of(transaction, study="lung")) == []
        assert list(history.releases_of(transaction, dataset="another")) == []
        # What is read and written afterwards on the same connection is as ever.
        assert history.studies_on(transaction, FLU) == ["heart", "lung"]
    with past.database.write() as transaction:
        list(history.releases_of(transaction, study="heart"))
        log.append(transaction, past.dpo, "report.read", "study:heart", "a report was made", study="heart")
        assert history.covering(transaction).entries == log.size(transaction)


def test_many_releases_are_read_in_batches(past: World) -> None:
    """More releases than one batch holds all come, once each."""
    for number in range(2 * history.BATCH_ROWS + 7):
        past.settle(past.reserve("heart", f"more {number}", cost(1000)), {"rows": []})
    with past.database.read() as transaction:
        found = [one.id for one in history.releases_of(transaction, dataset=FLU)]
    assert len(found) == len(set(found)) == 2 * history.BATCH_ROWS + 10


def test_profiles_and_what_has_no_answer(past: World) -> None:
    """A profile comes without its histograms; charges without a release are counted, those given back are not."""
    with past.database.read() as transaction:
        (profile,) = history.profiles_of(transaction, FLU)
        assert (profile.study, profile.edition, profile.loss, profile.body) == (None, 2, cost(NANO // 2), {"cost": 1})
        assert history.unanswered(transaction, study="heart") == 2
        assert history.unanswered(transaction, dataset=FLU) == 2
        assert history.unanswered(transaction, study="lung") == 0
        assert [number for number, _ in history.editions_of(transaction, FLU)] == [1, 2]
        assert history.title_of(transaction, FLU) == "Flu"


def test_an_edited_study_is_told_with_what_changed(past: World) -> None:
    """An edit stands among the acts."""
    with past.database.write() as transaction:
        studies.edit(transaction, "lung", Terms("Lungs", "P", "L", ends=clock.today()), past.admin)
        (opened, edited) = history.acts_of_study(transaction, "lung")
    assert (opened.action, edited.action) == ("study.open", "study.edit")
    assert "title" in edited.summary
