"""What a dataset may spend waits for an approver: who decides, on whose advice, and what is charged before that."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from budgets.actors import SYSTEM
from budgets.audit import log
from budgets.database.connection import Database
from budgets.errors import Forbidden, FourEyes, Invalid, NotAdvised, NotApproved, OverBudget, WrongState
from budgets.governance import approval, dataset_terms, erasure, rules, studies
from budgets.identity import people
from budgets.ledger import charges, profiles
from budgets.loss import NANO
from budgets.verify.conduct import Conduct
from tests.budgets.world import FLU, WHY, actions, add_edition, cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.actors import Actor
    from tests.budgets.world import World
    from tests.databases import Databases


@pytest.fixture
def waiting(people_only: World) -> World:
    """Return a ledger whose dataset was imported and waits for an approver."""
    with people_only.database.write() as transaction:
        add_edition(transaction, people_only.admin, 10 * NANO, 10**12)
    return people_only


def propose(world: World, epsilon: int | None = None, profile: int = 0, by: Actor | None = None) -> None:
    """Propose terms as the admin."""
    with world.database.write() as transaction:
        dataset_terms.propose(
            transaction, FLU, epsilon, None, profile, "a reason", by or world.admin, justification=WHY
        )


def advise(world: World, opinion: str = "favourable", by: Actor | None = None) -> None:
    """Advise on the terms, as the server does."""
    with approval.deciding(world.database) as transaction:
        dataset_terms.advise(transaction, FLU, opinion, "it holds", by or world.dpo)


def approve(world: World, without: str | None = None, by: Actor | None = None, reason: str = "a reason") -> None:
    """Approve the terms, as the server does."""
    with approval.deciding(world.database) as transaction:
        dataset_terms.approve(transaction, FLU, reason, by or world.approver, without_advice=without)


def buy(world: World, epsilon: int, name: str = "p") -> Any:
    """Charge a profile."""
    with world.database.write() as transaction:
        return profiles.reserve(transaction, profiles.question(FLU, 1, name * 64), cost(epsilon))


def last(world: World) -> str:
    """Return the action of the last entry."""
    with world.database.read() as transaction:
        return actions(transaction)[-1]


def described(world: World) -> dict[str, Any]:
    """Return the terms as they are shown."""
    with world.database.read() as transaction:
        return dataset_terms.describe(transaction, FLU)


def problems(world: World, changed: Callable[[list[dict[str, Any]]], None] | None = None) -> list[str]:
    """Return what the independent check finds out of order in the log, or in one that was changed."""
    conduct = Conduct()
    with world.database.read() as transaction:
        entries = [json.loads(one.body) for one in log.every_entry(transaction)]
    if changed is not None:
        changed(entries)
    return [problem for one in entries for problem in conduct.read(one)]


def test_nothing_is_charged_before_the_approval(waiting: World) -> None:
    """No profile is bought and no study is approved; afterwards both are, within what was approved."""
    with pytest.raises(NotApproved):
        buy(waiting, NANO)
    waiting.open_study("hearts", 100, state="draft")
    with waiting.database.write() as transaction, pytest.raises(WrongState, match="waits for an approval of its own"):
        studies.move(transaction, "hearts", "approve", "a reason", waiting.approver, without_advice="a test")
    approve(waiting, without="a test")
    with waiting.database.write() as transaction:
        studies.move(transaction, "hearts", "approve", "a reason", waiting.approver, without_advice="a test")
    buy(waiting, NANO)
    waiting.check()


def test_terms_need_advice_or_a_reason_without(waiting: World) -> None:
    """As for a study: neither is refused, advice cannot be passed over, and another import makes it void."""
    with pytest.raises(NotAdvised):
        approve(waiting)
    with pytest.raises(Invalid, match="reason"):
        approve(waiting, without="a test", reason=" ")
    advise(waiting, "unfavourable")
    with pytest.raises(WrongState, match="has advised"):
        approve(waiting, without="nobody was asked")
    waiting_again = {**described(waiting)}
    assert waiting_again["advice"]["opinion"] == "unfavourable"
    with waiting.database.write() as transaction:
        add_edition(transaction, waiting.admin, 9 * NANO, 10**12)
    with pytest.raises(NotAdvised):
        approve(waiting)
    advise(waiting, "conditional")
    approve(waiting)
    told = described(waiting)
    assert (told["approved"], told["approved_by"], told["waiting"]) == (True, waiting.approver.name, None)
    assert waiting.balance().limits.epsilon_nano == 9 * NANO
    with pytest.raises(WrongState, match="nothing"):
        advise(waiting)


def test_who_imported_or_proposed_does_not_decide(waiting: World) -> None:
    """Whatever role they have later; the attempt is in the log. Nor does anybody approve on their own advice."""
    importer = replace(waiting.admin, role="approver")
    with pytest.raises(FourEyes):
        approve(waiting, without="mine", by=importer)
    assert last(waiting) == "dataset.approve.refuse"
    with pytest.raises(FourEyes):
        advise(waiting, by=replace(waiting.admin, role="dpo"))
    assert last(waiting) == "dataset.advise.refuse"
    proposer = replace(waiting.ben, role="admin")
    propose(waiting, profile=NANO, by=proposer)
    for hand in (waiting.admin, waiting.ben):
        with pytest.raises(FourEyes):
            approve(waiting, without="mine", by=replace(hand, role="approver"))
    advise(waiting)
    with pytest.raises(FourEyes, match="own advice"):
        approve(waiting, by=replace(waiting.dpo, role="approver"))
    for wrong in (waiting.admin, waiting.dpo, waiting.anna):
        with pytest.raises(Forbidden):
            approve(waiting, by=wrong)
    with pytest.raises(Forbidden):
        propose(waiting, profile=NANO, by=waiting.approver)
    approve(waiting)


def test_a_further_profile_waits_for_an_approver(waiting: World) -> None:
    """An approval allows so much and no more; what was given back may be bought again."""
    propose(waiting, profile=2 * NANO)
    approve(waiting, without="a test")
    first = buy(waiting, 2 * NANO)
    with pytest.raises(NotApproved):
        buy(waiting, 3 * NANO, "q")
    with waiting.database.write() as transaction:
        charges.void(transaction, first)
    with waiting.database.write() as transaction:
        charges.settle(transaction, buy_in(transaction, 2 * NANO), None)
    assert buy(waiting, 2 * NANO).resumed, "a charge that is there needs no further approval"
    propose(waiting, profile=3 * NANO)
    with pytest.raises(NotApproved):
        buy(waiting, 3 * NANO, "q")
    approve(waiting, without="a test")
    buy(waiting, 3 * NANO, "q")
    with pytest.raises(OverBudget):
        buy(waiting, 9 * NANO, "r")
    assert described(waiting)["profile_left"] == 0
    waiting.check()


@pytest.mark.parametrize(("epsilon", "said"), [(2 * NANO, []), (2 * NANO + 1, ["take more than was approved"])])
def test_an_approval_leaves_nothing_of_the_profiles_approved_before(
    world: World, epsilon: int, said: list[str]
) -> None:
    """What further profiles may take is what was approved last, and the check of the log knows it too."""
    propose(world, profile=2 * NANO)
    approve(world, without="a test")
    if said:
        with pytest.raises(NotApproved):
            buy(world, epsilon)

    def bought(entries: list[dict[str, Any]]) -> None:
        by_admin = next(one for one in entries if one["action"] == "dataset.propose")
        facts = {"dataset": FLU, "edition": 1, "loss": asdict(cost(epsilon))}
        entries.append({**entries[-1], **{part: by_admin[part] for part in ("actor", "role")}, "facts": facts})
        entries[-1] |= {"action": "dataset.profile.reserve", "subject": "a charge"}

    assert [problem.split(f"profiles of {FLU} ")[1] for problem in problems(world, bought)] == said


def buy_in(transaction: Any, epsilon: int) -> Any:
    """Charge a profile in a transaction."""
    return profiles.reserve(transaction, profiles.question(FLU, 1, "p" * 64), cost(epsilon))


def test_a_cap_is_raised_by_an_approval_alone(world: World) -> None:
    """The raise waits, and the old cap holds until then; it cannot be below what is spent."""
    propose(world, 20 * NANO)
    assert world.balance().limits.epsilon_nano == 10 * NANO
    advise(world)
    propose(world, 30 * NANO)
    with pytest.raises(NotAdvised):
        approve(world)
    approve(world, without="the same again")
    assert world.balance().limits.epsilon_nano == 30 * NANO
    world.open_study("hearts", 5 * NANO)
    world.spend("hearts", "a", cost(4 * NANO))
    with pytest.raises(WrongState, match="already spent"):
        propose(world, 3 * NANO)
    for wrong in ((0, 0), (NANO * 5, NANO * 6)):
        with pytest.raises(Invalid):
            propose(world, *wrong)
    with pytest.raises(WrongState, match="what flu has"):
        propose(world)


@pytest.mark.parametrize("wanted", [None, 20 * NANO])
def test_what_waits_is_lowered_with_the_cap(world: World, wanted: int | None) -> None:
    """After an import lowered the cap, to approve older terms does not raise it; the advice on them is void."""
    propose(world, wanted, profile=2 * NANO)
    advise(world)
    delta = world.balance().limits.delta_atto
    world.import_edition(10 * NANO, delta)
    assert described(world)["advice"] is not None, "an import that lowers nothing leaves it"
    world.import_edition(NANO, delta)
    told = described(world)
    assert told["waiting"].items() >= {"epsilon": 1.0, "delta": delta / 10**18, "profile": 1.0}.items()
    with pytest.raises(NotAdvised):
        approve(world)
    approve(world, without="a test")
    assert world.balance().limits.epsilon_nano == NANO
    assert problems(world) == []


def test_a_lower_proposal_is_left_by_a_higher_import(world: World) -> None:
    """An import above what waits changes neither the terms nor the advice on them."""
    propose(world, 3 * NANO)
    advise(world)
    world.import_edition(5 * NANO, world.balance().limits.delta_atto)
    approve(world)
    assert world.balance().limits.epsilon_nano == 3 * NANO
    assert problems(world) == []


def test_a_proposal_keeps_the_noise_that_waits(world: World) -> None:
    """A cap that is proposed after an import with another noise is approved with that noise, not with the one before."""
    with world.database.write() as transaction:
        add_edition(transaction, world.admin, 10 * NANO, 10**12, noise="laplace")
    propose(world, 20 * NANO)
    assert (described(world)["noise"], described(world)["waiting"]["noise"]) == ("both", "laplace")
    approve(world, without="a test")
    assert described(world)["noise"] == "laplace"
    assert problems(world) == []


def test_the_rules_for_datasets_begin_once(databases: Databases) -> None:
    """In a log that began under the rules of before they begin with the upgrade, and its datasets count as approved."""
    database = Database(databases.current())
    with database.write() as transaction:
        log.append(transaction, SYSTEM, rules.BEGIN, "rules", "", facts={"rules": 2})
        admin = people.add_user(transaction, "admin", "admin", SYSTEM)
        facts = {"edition": 1, "cap": {"epsilon_nano": NANO, "delta_atto": 0}}
        log.append(transaction, admin, "dataset.import", "dataset:flu", "", facts=facts)
        rules.begin(transaction)
        rules.begin(transaction)
    with database.read() as transaction:
        entries = [json.loads(one.body) for one in log.every_entry(transaction)]
    database.close()
    assert [one["facts"].get("rules") for one in entries if one["action"] == rules.BEGIN] == [2, rules.RULES]
    conduct = Conduct()
    assert [problem for one in entries for problem in conduct.read(one)] == []
    assert conduct.datasets.known["flu"].approved
    assert (conduct.began_at, conduct.datasets_began_at) == (0, len(entries) - 1)


def test_the_names_behind_what_waits_are_kept(waiting: World) -> None:
    """The rule of four eyes needs who imported and who advised, until it is approved."""

    def needed() -> set[str]:
        with waiting.database.read() as transaction:
            return {one.name for one in erasure.kept(transaction, 365) if f"dataset:{FLU}" in one.needed_by}

    advise(waiting)
    assert needed() == {waiting.admin.name, waiting.dpo.name}
    approve(waiting)
    assert needed() == set()
