"""The DPO's advice: that an approval has it or says why not, and that it belongs to what it was given on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from budgets.audit import log
from budgets.errors import Forbidden, FourEyes, Invalid, NotAdvised, WrongState
from budgets.governance import advice, advising, approval, erasure, studies, study_budgets
from budgets.identity import people
from tests.budgets.world import TERMS, actions, log_problems

if TYPE_CHECKING:
    from budgets.actors import Actor
    from tests.budgets.world import World


@pytest.fixture
def draft(world: World) -> World:
    """Return a ledger with the draft hearts."""
    world.open_study("hearts", 100, state="draft")
    return world


@pytest.fixture
def raised(world: World) -> World:
    """Return a ledger with the approved study hearts, whose larger budget waits."""
    world.open_study("hearts", 100)
    propose(world, 200)
    return world


def propose(world: World, epsilon: int) -> None:
    """Set the budget of the study."""
    with world.database.write() as transaction:
        study_budgets.set_budget(transaction, "hearts", epsilon, None, "a reason", world.admin)


def advise(world: World, opinion: str = "favourable", reason: str = "it holds", by: Actor | None = None) -> None:
    """Advise on the draft, as the server does."""
    with approval.deciding(world.database) as transaction:
        advising.advise(transaction, "hearts", opinion, reason, by or world.dpo)


def advise_on_raise(world: World, opinion: str = "favourable", by: Actor | None = None) -> None:
    """Advise on the larger budget, as the server does."""
    with approval.deciding(world.database) as transaction:
        advising.advise_on_raise(transaction, "hearts", opinion, "it holds", by or world.dpo)


def approve(world: World, without: str | None = None, by: Actor | None = None) -> None:
    """Approve the draft, as the server does."""
    with approval.deciding(world.database) as transaction:
        studies.move(transaction, "hearts", "approve", "a reason", by or world.approver, without_advice=without)


def approve_raise(world: World, without: str | None = None, by: Actor | None = None) -> None:
    """Approve the larger budget, as the server does."""
    with approval.deciding(world.database) as transaction:
        study_budgets.approve_budget(transaction, "hearts", "a reason", by or world.approver, without_advice=without)


def standing(world: World, kind: str = advice.STUDY) -> advice.Advice | None:
    """Return the advice that stands."""
    with world.database.read() as transaction:
        return advice.standing(transaction, kind, "hearts")


def entry(world: World) -> dict[str, Any]:
    """Return the last entry of the log."""
    with world.database.read() as transaction:
        said: dict[str, Any] = json.loads(list(log.every_entry(transaction))[-1].body)
    return said


@pytest.mark.parametrize("opinion", advice.OPINIONS)
def test_an_approval_names_the_advice(draft: World, opinion: str) -> None:
    """Whatever the opinion, the approver decides; advice and approval have the terms and the budget, to the letter."""
    advise(draft, opinion, "two conditions")
    advised = entry(draft)
    assert (advised["action"], advised["role"], advised["actor"]) == ("study.advise", "dpo", draft.dpo.commitment)
    assert (advised["facts"]["opinion"], advised["facts"]["reason"]) == (opinion, "two conditions")
    approve(draft)
    approved = entry(draft)["facts"]
    assert approved["advice"] == {"opinion": opinion, "by": draft.dpo.commitment}
    assert approved["without_advice"] is None
    for same in ("terms", "budget"):
        assert approved[same] == advised["facts"][same]
    assert draft.study("hearts").state == "approved"
    assert log_problems(draft.database) == []


def test_an_approval_without_advice_says_why(draft: World) -> None:
    """Neither advice nor a reason is refused and changes nothing; with a reason, the log has it."""
    before = draft.everything()
    with pytest.raises(NotAdvised, match="without_advice"):
        approve(draft)
    for empty in ("", " \n", "x" * 10_001, "a\0"):
        with pytest.raises(Invalid):
            approve(draft, without=empty)
    assert draft.everything() == before
    approve(draft, without="the DPO is ill and the wave is now")
    facts = entry(draft)["facts"]
    assert (facts["advice"], facts["without_advice"]) == (None, "the DPO is ill and the wave is now")


def test_advice_is_not_passed_over(draft: World) -> None:
    """Where a DPO advised, an approval cannot say that there was no advice."""
    advise(draft, "unfavourable")
    with pytest.raises(WrongState, match="has advised"):
        approve(draft, without="nobody was asked")
    assert draft.study("hearts").state == "draft"


def test_an_edit_makes_advice_void(draft: World) -> None:
    """New terms and a new budget of a draft need new advice; terms that stay the same keep it, and so do members."""
    advise(draft)
    with draft.database.write() as transaction:
        studies.edit(transaction, "hearts", TERMS, draft.admin)
        studies.add_member(transaction, "hearts", draft.anna.name, draft.admin)
    assert standing(draft) is not None
    with draft.database.write() as transaction:
        studies.edit(transaction, "hearts", replace(TERMS, title="Another"), draft.admin)
    assert standing(draft) is None
    with pytest.raises(NotAdvised):
        approve(draft)
    advise(draft)
    propose(draft, 90)
    with pytest.raises(NotAdvised):
        approve(draft)
    advise(draft)
    approve(draft)
    with draft.database.write() as transaction:
        studies.edit(transaction, "hearts", replace(TERMS, title="A third"), draft.admin)
    with pytest.raises(NotAdvised):
        approve(draft)


def test_the_last_advice_counts(draft: World) -> None:
    """A DPO may advise again, and both stay in the log."""
    advise(draft, "unfavourable", "not yet")
    advise(draft, "conditional", "with a margin of 5")
    found = standing(draft)
    assert found is not None
    assert (found.opinion, found.reason) == ("conditional", "with a margin of 5")
    with draft.database.read() as transaction:
        assert actions(transaction).count("study.advise") == 2


@pytest.mark.parametrize("state", ["approved", "suspended", "closed"])
def test_only_a_draft_is_advised_on(world: World, state: str) -> None:
    """Advice comes before the approval: what is approved already is suspended, not advised on."""
    world.open_study("hearts", 100, state=state)
    with pytest.raises(WrongState, match=state):
        advise(world)


def test_only_dpo_advises(draft: World) -> None:
    """Advice of any role but the DPO is refused."""
    for other in (draft.admin, draft.approver, draft.anna):
        with pytest.raises(Forbidden):
            advise(draft, by=other)
    for opinion, reason in (("perhaps", "it holds"), ("favourable", " ")):
        with pytest.raises(Invalid):
            advise(draft, opinion, reason)
    assert standing(draft) is None


def test_who_wrote_a_study_does_not_advise_on_it(draft: World) -> None:
    """An admin who became a DPO does not advise on what they opened or proposed, and the log has the attempt."""
    before = replace(draft.admin, role="dpo")
    with pytest.raises(FourEyes, match="advise on a study that they opened"):
        advise(draft, by=before)
    assert entry(draft)["action"] == "study.advise.refuse"
    approve(draft, without="a test")
    propose(draft, 200)
    with pytest.raises(FourEyes, match="advise on a budget that they proposed"):
        advise_on_raise(draft, by=before)
    assert entry(draft)["action"] == "study.budget.advise.refuse"


def test_nobody_approves_on_their_own_advice(draft: World) -> None:
    """A DPO who became an approver does not approve what they advised on; another approver does."""
    advise(draft)
    with pytest.raises(FourEyes, match="own advice"):
        approve(draft, by=replace(draft.dpo, role="approver"))
    approve(draft)
    propose(draft, 200)
    advise_on_raise(draft)
    with pytest.raises(FourEyes, match="own advice"):
        approve_raise(draft, by=replace(draft.dpo, role="approver"))
    approve_raise(draft)


def test_a_larger_budget_needs_advice_of_its_own(raised: World) -> None:
    """Advice on a raise is about its amounts: another proposal makes it void, and once approved it is used up."""
    with pytest.raises(NotAdvised):
        approve_raise(raised)
    advise_on_raise(raised, "conditional")
    told = entry(raised)["facts"]
    assert (told["opinion"], told["epsilon_nano"]) == ("conditional", 200)
    propose(raised, 300)
    with pytest.raises(NotAdvised):
        approve_raise(raised)
    advise_on_raise(raised)
    approve_raise(raised)
    assert entry(raised)["facts"]["advice"] == {"opinion": "favourable", "by": raised.dpo.commitment}
    with pytest.raises(WrongState, match="no raise"):
        advise_on_raise(raised)
    propose(raised, 400)
    with pytest.raises(NotAdvised):
        approve_raise(raised)
    approve_raise(raised, without="the same as last year")
    assert raised.balance("hearts").limits.epsilon_nano == 400


def test_advice_keeps_the_advisers_name(draft: World) -> None:
    """The rule of four eyes needs the name of who advised, until the study is closed."""
    advise(draft)
    with draft.database.read() as transaction:
        needed = {one.commitment: one.needed_by for one in erasure.kept(transaction, 365)}
    assert needed[draft.dpo.commitment] == ("study:hearts",)
    with draft.database.write() as transaction:
        studies.move(transaction, "hearts", "close", "it is over", draft.dpo)
    with draft.database.read() as transaction:
        assert all(one.needed_by == () for one in erasure.kept(transaction, 365))
        assert people.names(transaction, [draft.dpo.commitment])
    assert standing(draft) is None
