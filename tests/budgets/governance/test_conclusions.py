"""The approver's conclusion of a study's report: whose it is, what it is about, and when it is older than the report."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from budgets.audit import log
from budgets.database.tables import conclusions as table
from budgets.errors import BudgetsError, Forbidden, FourEyes, Invalid, NotFound, WrongState
from budgets.governance import advising, approval, conclusions, dataset_terms, studies, study_budgets
from budgets.identity import people
from budgets.ledger.limits import Budget
from budgets.loss import NANO, Loss
from budgets.verify import canonical_json
from budgets.verify.conduct import Conduct
from tests.budgets.world import ANNA, TERMS, WHY, actions, log_problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.actors import Actor
    from budgets.governance.conclusions import Conclusion
    from tests.budgets.world import World

HOSTILE = "\"'><script>alert(1)</script>\u202eevil {{ 7*7 }}\n%s"


@pytest.fixture
def hearts(world: World) -> World:
    """Return a ledger with the approved study hearts."""
    world.open_study("hearts", 2 * NANO)
    return world


def read(world: World) -> str:
    """Return the digest of the report as it is."""
    with world.database.read() as transaction:
        return conclusions.digest(conclusions.about(transaction, studies.study(transaction, "hearts")))


def conclude(world: World, text: str = "Not personal.", seen: str | None = None, by: Actor | None = None) -> None:
    """Conclude, as the server does."""
    digest = read(world) if seen is None else seen
    with approval.deciding(world.database) as transaction:
        conclusions.conclude(transaction, "hearts", text, by or world.approver, read=digest)


def standing(world: World) -> Conclusion:
    """Return the conclusion that stands."""
    with world.database.read() as transaction:
        found = conclusions.standing(transaction, "hearts")
        assert found is not None
        return found


def changed(world: World) -> list[str]:
    """Return what has changed since the conclusion that stands."""
    with world.database.read() as transaction:
        present = conclusions.about(transaction, studies.study(transaction, "hearts"))
    return standing(world).changed(present)


def entries(world: World) -> list[dict[str, Any]]:
    """Return the entries of conclusions."""
    with world.database.read() as transaction:
        bodies = [json.loads(body) for body in log.every_body(transaction, log.size(transaction))]
    return [body for body in bodies if body["action"] == conclusions.ACTION]


def last(world: World) -> str:
    """Return the action of the last entry."""
    with world.database.read() as transaction:
        return actions(transaction)[-1]


def move(action: str) -> Callable[[World], Any]:
    """Return what moves the study."""

    def work(world: World) -> None:
        with world.database.write() as transaction:
            by = world.approver if action == "approve" else world.dpo
            studies.move(transaction, "hearts", action, "a reason", by)

    return work


def edit(world: World) -> None:
    """Change the study's terms."""
    with world.database.write() as transaction:
        studies.edit(transaction, "hearts", replace(TERMS, purpose="another"), world.admin)


def budget(epsilon: int) -> Callable[[World], Any]:
    """Return what sets the budget, or proposes a larger one."""

    def work(world: World) -> None:
        with world.database.write() as transaction:
            study_budgets.set_budget(transaction, "hearts", epsilon, None, "a reason", world.admin, justification=WHY)

    return work


def grant(world: World) -> None:
    """Propose a larger budget, and approve it."""
    budget(3 * NANO)(world)
    with world.database.write() as transaction:
        study_budgets.approve_budget(transaction, "hearts", "well", world.approver, without_advice="a test")


def raise_cap(world: World) -> None:
    """Propose a larger cap of the dataset, and approve it."""
    with world.database.write() as transaction:
        dataset_terms.propose(transaction, "flu", 20 * NANO, None, 0, "a reason", world.admin, justification=WHY)
        dataset_terms.approve(transaction, "flu", "well", world.approver, without_advice="a test")


def join(world: World) -> None:
    """Make somebody a member."""
    with world.database.write() as transaction:
        studies.add_member(transaction, "hearts", ANNA, world.admin)


def come_and_go(world: World) -> None:
    """Make somebody a member, and end that again."""
    join(world)
    with world.database.write() as transaction:
        studies.remove_member(transaction, "hearts", ANNA, world.admin)


def test_conclusion_is_an_entry_and_the_last_one_stands(hearts: World) -> None:
    """The entry has the text and all of what was read; a later conclusion takes its place, and the log keeps both."""
    for text in (HOSTILE, "x" * conclusions.TEXT_MAX):
        conclude(hearts, text)
        found = standing(hearts)
        assert (found.text, found.by) == (text, hearts.approver.commitment)
    first, second = entries(hearts)
    assert (first["facts"]["conclusion"], second["facts"]["conclusion"]) == (HOSTILE, found.text)
    assert first["facts"]["about"] == {
        "study": "hearts",
        "state": "approved",
        "terms": TERMS.facts(),
        "budget": Budget(2 * NANO, 10**12, 50, WHY).facts(),
        "raise": None,
        "cap": Budget(10 * NANO, 10**12, 50, WHY).facts(),
        "used": {"epsilon_nano": 0, "rho_nano": 0, "delta_atto": 0},
        "releases": 0,
        "members": {"joined": 0, "left": 0},
    }
    assert first["facts"]["digest"] == canonical_json.sha256(first["facts"]["about"]) == read(hearts)
    with hearts.database.read() as transaction:
        assert transaction.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 1
    assert log_problems(hearts.database) == []


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda world: world.spend("hearts", "q", Loss(NANO, NANO // 2, 0)), ["used", "releases"]),
        (lambda world: world.settle(world.reserve("hearts", "q", Loss(NANO, NANO // 2, 0)), None), ["used"]),
        (move("suspend"), ["state"]),
        (move("close"), ["state"]),
        (edit, ["state", "terms"]),
        (budget(NANO), ["budget"]),
        (budget(3 * NANO), ["raise"]),
        (grant, ["budget"]),
        (raise_cap, ["cap"]),
        (join, ["members"]),
        (come_and_go, ["members"]),
    ],
)
def test_conclusion_is_older_than_what_came_after_it(
    hearts: World, change: Callable[[World], Any], parts: list[str]
) -> None:
    """Each change of the study makes the conclusion older than the report, and the old digest is refused."""
    seen = read(hearts)
    conclude(hearts)
    assert changed(hearts) == []
    change(hearts)
    assert changed(hearts) == parts
    before = hearts.everything()
    with pytest.raises(WrongState, match="has changed since you read it"):
        conclude(hearts, seen=seen)
    assert hearts.everything() == before
    conclude(hearts, "Still not personal.")
    assert changed(hearts) == []


def test_release_of_a_charge_that_was_under_way_makes_the_conclusion_older(hearts: World) -> None:
    """A query that was under way when the approver read is charged already; its answer is new."""
    charge = hearts.reserve("hearts", "q", Loss(NANO, NANO // 2, 0))
    conclude(hearts)
    hearts.settle(charge, {"answer": "q"})
    assert changed(hearts) == ["releases"]


def test_what_other_studies_do_leaves_a_conclusion_as_it_is(hearts: World) -> None:
    """Queries of another study, and another edition, are within the cap that was read."""
    conclude(hearts)
    hearts.open_study("lungs", NANO)
    hearts.spend("lungs", "q", Loss(NANO, NANO // 2, 0))
    hearts.import_edition()
    assert changed(hearts) == []


@pytest.mark.parametrize("state", ["draft", "suspended", "closed"])
def test_every_state_of_a_study_may_be_concluded_on(world: World, state: str) -> None:
    """A draft has the bound of its budget, and a closed study is what a last conclusion is about."""
    world.open_study("hearts", NANO, state=state)
    conclude(world)
    assert standing(world).about["state"] == state
    assert log_problems(world.database) == []


@pytest.mark.parametrize("text", ["", " \n", "a\0b", "x" * (conclusions.TEXT_MAX + 1)])
def test_conclusion_says_something_and_not_too_much(hearts: World, text: str) -> None:
    """An empty text, one that is too long and one with NUL are refused, and nothing is written."""
    with pytest.raises(Invalid) as refused:
        conclude(hearts, text)
    assert refused.value.field == "text"
    assert entries(hearts) == []


@pytest.mark.parametrize("role", ["admin", "dpo", "anna"])
def test_only_an_approver_concludes(hearts: World, role: str) -> None:
    """Nobody else concludes for the controller, the DPO neither."""
    with pytest.raises(Forbidden):
        conclude(hearts, by=getattr(hearts, role))
    assert entries(hearts) == []


def as_approver(world: World, actor: Actor) -> Actor:
    """Make an approver of somebody, as one who was removed and added again under the same name."""
    world.edit(f"UPDATE users SET role = 'approver' WHERE name = '{actor.name}'")
    return replace(actor, role="approver")


def test_nobody_concludes_on_what_they_opened_edited_or_proposed(hearts: World) -> None:
    """Whatever role they have later; the attempt is an entry."""
    conclude(hearts)
    with pytest.raises(FourEyes, match="opened"):
        conclude(hearts, by=as_approver(hearts, hearts.admin))
    assert last(hearts) == "study.conclude.refuse"
    hearts.edit(f"UPDATE studies SET opened_by = '{hearts.ben.commitment}'")
    budget(3 * NANO)(replace(hearts, admin=replace(hearts.admin, role="admin")))
    with pytest.raises(FourEyes, match="proposed"):
        conclude(hearts, by=replace(hearts.admin, role="approver"))
    edit(hearts)
    with pytest.raises(FourEyes, match="edited"):
        conclude(hearts, by=replace(hearts.admin, role="approver"))
    assert len(entries(hearts)) == 1


def test_nobody_concludes_on_what_they_advised_on(world: World) -> None:
    """A DPO who advised, and is an approver later, does not conclude as long as that advice stands."""
    world.open_study("hearts", NANO, state="draft")
    with world.database.write() as transaction:
        advising.advise(transaction, "hearts", "favourable", "it holds", world.dpo)
    with pytest.raises(FourEyes, match="advised on"):
        conclude(world, by=as_approver(world, world.dpo))
    assert last(world) == "study.conclude.refuse"


def test_who_approved_a_study_may_conclude(hearts: World) -> None:
    """Both are the controller's decisions."""
    assert hearts.study("hearts").approved_by == hearts.approver.commitment
    conclude(hearts)


def test_conclusion_on_a_study_that_is_not_there_is_refused(hearts: World) -> None:
    """There is nothing to conclude on."""
    with pytest.raises(NotFound), hearts.database.write() as transaction:
        conclusions.conclude(transaction, "nowhere", "Not personal.", hearts.approver, read="0" * 64)


def test_honest_conclusions_are_in_order_by_the_independent_check(hearts: World) -> None:
    """The check finds nothing in what the ledger wrote, whatever state the study was in."""
    for change in (join, edit, move("approve"), budget(3 * NANO), grant, raise_cap, come_and_go):
        try:
            change(hearts)
        except BudgetsError:
            continue
        conclude(hearts)
    conduct = Conduct()
    with hearts.database.read() as transaction:
        bodies = list(log.every_body(transaction, log.size(transaction)))
        assert people.names(transaction, [standing(hearts).by]) == {standing(hearts).by: hearts.approver.name}
    found = [what for body in bodies for what in conduct.read(json.loads(body))]
    assert [what for what in found if "conclu" in what or "form of" in what] == []
    assert len(entries(hearts)) >= 5
