from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.errors import Invalid
from budgets.governance import dataset_terms, datasets, studies, study_budgets
from budgets.ledger import justification
from budgets.ledger.limits import Budget
from budgets.loss import ATTO, NANO
from budgets.verify import decisions
from budgets.verify.conduct import Conduct
from tests.budgets.world import FLU, TERMS, cost

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from tests.budgets.world import World

LARGE = 3 * NANO
LEAST = math.ceil(math.log(19) * NANO)  # the least epsilon beyond an advantage of 0.9 with delta 0
APPROVE = {"without_advice": "a test"}


@given(st.integers(1, 50 * NANO) | st.integers(LEAST - 3, LEAST + 3), st.sampled_from([0, 10**12, 10**17]))
def test_a_justification_is_needed_beyond_an_advantage_of_nine_tenths(epsilon: int, delta: int) -> None:
    """The border is that of (e^epsilon - 1 + 2 delta) / (e^epsilon + 1) > 0.9, computed here to 60 digits."""
    with mpmath.workdps(60):
        factor, loss = mpmath.exp(mpmath.mpf(epsilon) / NANO), mpmath.mpf(delta) / ATTO
        exceeds = (factor - 1 + 2 * loss) / (factor + 1) > mpmath.mpf(9) / 10
    assert justification.is_needed(epsilon, delta) == exceeds
    found = list(decisions.justified(Budget(epsilon, delta).facts()))
    assert bool(found) == exceeds
    assert list(decisions.justified(Budget(epsilon, delta, justification="because").facts())) == []


def test_the_border_is_known() -> None:
    """Epsilon 2.944438979 needs none, and one billionth more does."""
    assert LEAST == 2_944_438_980
    assert [justification.is_needed(LEAST + more, 0) for more in (-1, 0)] == [False, True]


def opens(transaction: sa.Connection, world: World) -> None:
    """Open a study with a large budget."""
    studies.open_study(transaction, "large", FLU, TERMS, LARGE, None, world.admin)


def sets(transaction: sa.Connection, world: World) -> None:
    """Set a large budget of a study."""
    study_budgets.set_budget(transaction, "hearts", LARGE, None, "more", world.admin)


def proposes(transaction: sa.Connection, world: World) -> None:
    """Propose a larger cap."""
    dataset_terms.propose(transaction, FLU, 20 * NANO, None, 0, "more", world.admin)


def imports(transaction: sa.Connection, world: World) -> None:
    """Import a dataset for the first time."""
    add(transaction, world, "asthma", LARGE)


def add(transaction: sa.Connection, world: World, name: str, epsilon: int, why: str | None = None) -> None:
    """Put an edition of a dataset in service."""
    datasets.add_edition(
        transaction,
        dataset=name,
        title=name,
        epsilon_nano=epsilon,
        delta_atto=0,
        overcommit=True,
        folder=name,
        by=world.admin,
        noise="both",
        justification=why,
    )


@pytest.mark.parametrize("act", [opens, sets, proposes, imports])
def test_a_large_budget_is_refused_without_a_justification(
    world: World, act: Callable[[sa.Connection, World], None]
) -> None:
    """Nobody opens, sets, proposes or imports a budget beyond the border without saying why; nothing changes."""
    world.open_study("hearts", NANO)
    before = world.everything()
    with pytest.raises(Invalid, match="justification") as refused, world.database.write() as transaction:
        act(transaction, world)
    assert refused.value.field == "justification"
    assert world.everything() == before


def test_a_justification_is_kept_with_the_terms_and_in_the_log(world: World) -> None:
    """It stands in the account, in what waits, in the entries of proposal and approval, and in the digest that is read."""
    world.open_study("hearts", NANO)
    for text in ("rare diseases", "rarer diseases"):
        with world.database.write() as transaction:
            study_budgets.set_budget(transaction, "hearts", LARGE, None, "more", world.admin, justification=text)
        assert world.study("hearts").raise_to == Budget(LARGE, 10**12, 50, text)
    with world.database.write() as transaction:
        study_budgets.approve_budget(transaction, "hearts", "well", world.approver, **APPROVE)
    assert world.balance("hearts").budget == Budget(LARGE, 10**12, 50, "rarer diseases")
    (entry,) = entries(world, "study.budget.approve")
    assert entry["facts"]["justification"] == "rarer diseases"


def test_a_smaller_budget_keeps_its_justification_and_a_larger_one_needs_its_own(world: World) -> None:
    """What was said of a larger budget holds for a smaller one; a larger one has to be justified anew."""
    world.open_study("hearts", 8 * NANO)
    with world.database.write() as transaction:
        study_budgets.set_budget(transaction, "hearts", 5 * NANO, None, "less", world.admin)
    assert world.balance("hearts").justification == "a test"
    with pytest.raises(Invalid), world.database.write() as transaction:
        study_budgets.set_budget(transaction, "hearts", 6 * NANO, None, "more", world.admin)


def test_what_is_there_from_before_stays_and_is_justified_when_it_is_approved_again(world: World) -> None:
    """An account of before asks on and its data are imported anew; only what waits cannot be approved without one."""
    world.open_study("hearts", 5 * NANO)
    world.open_study("lungs", 5 * NANO, state="draft")
    world.edit("UPDATE accounts SET justification = NULL")
    world.spend("hearts", "asked", cost(NANO // 10))
    world.edit("UPDATE accounts SET justification = NULL")
    with world.database.write() as transaction:
        datasets.add_edition(
            transaction,
            dataset=FLU,
            title="Flu",
            epsilon_nano=10 * NANO,
            delta_atto=10**12,
            overcommit=True,
            folder="two",
            by=world.admin,
            noise="both",
        )
    with pytest.raises(Invalid, match="justification"), world.database.write() as transaction:
        studies.move(transaction, "lungs", "approve", "a reason", world.approver, **APPROVE)
    with world.database.write() as transaction:
        study_budgets.set_budget(transaction, "lungs", 5 * NANO, None, "said", world.admin, justification="rare")
        studies.move(transaction, "lungs", "approve", "a reason", world.approver, **APPROVE)
    assert world.study("lungs").state == "approved"


@pytest.mark.parametrize(
    ("action", "where"), [("study.approve", "budget"), ("study.budget.approve", None), ("dataset.approve", "cap")]
)
def test_the_check_finds_an_approval_without_a_justification(world: World, action: str, where: str | None) -> None:
    """In a log of the new rules a large budget that was approved without one is found, and in one of before it is not."""
    world.open_study("hearts", 4 * NANO)
    with world.database.write() as transaction:
        study_budgets.set_budget(transaction, "hearts", 5 * NANO, None, "more", world.admin, justification="rare")
        study_budgets.approve_budget(transaction, "hearts", "well", world.approver, **APPROVE)
        dataset_terms.propose(transaction, FLU, 20 * NANO, None, 0, "more", world.admin, justification="rare")
        dataset_terms.approve(transaction, FLU, "well", world.approver, **APPROVE)
    log = entries(world)
    assert problems(log) == []
    for rules, found in ((5, True), (4, False)):
        changed = json.loads(json.dumps(log))
        for entry in changed:
            if entry["action"] == "rules.begin":
                entry["facts"]["rules"] = rules
            if entry["action"] == action:
                facts = entry["facts"] if where is None else entry["facts"][where]
                facts["justification"] = None
        assert any("without a justification" in one for one in problems(changed)) == found


def entries(world: World, action: str | None = None) -> list[dict[str, Any]]:
    """Return the entries of the log, or those of an action."""
    rows = [json.loads(row[0]) for row in bodies(world)]
    return [one for one in rows if action in (None, one["action"])]


def bodies(world: World) -> list[Any]:
    """Return the bodies of the log's entries, in order."""
    with world.database.read() as transaction:
        return list(transaction.exec_driver_sql("SELECT body FROM audit_entries ORDER BY position").all())


def problems(log: list[dict[str, Any]]) -> list[str]:
    """Return what the check of conduct says."""
    conduct = Conduct()
    return [one for entry in log for one in conduct.read(entry)]
