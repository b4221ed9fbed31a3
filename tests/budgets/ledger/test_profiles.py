"""Profiles in the ledger: charged once, to the dataset alone, before they are made; on both databases."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from budgets.database.tables import metadata
from budgets.errors import OverBudget, WrongState
from budgets.governance import studies
from budgets.ledger import accounts, charges, profiles
from budgets.loss import NANO, Loss
from tests.budgets.world import FLU, TERMS, cost

if TYPE_CHECKING:
    from typing import Any

    from budgets.ledger.charges import Charge, Question, Release
    from tests.budgets.world import World

TENTH = cost(NANO // 10)


def plan(text: str, edition: int = 1) -> Question:
    """Return the plan that a text stands for."""
    return profiles.question(FLU, edition, hashlib.sha256(text.encode()).hexdigest())


def columns(question: Question) -> dict[str, Any]:
    """Return the columns that identify a plan in the tables of profiles."""
    return charges.PROFILES.key(question)


def reserve(world: World, text: str, loss: Loss = TENTH, edition: int = 1) -> Charge:
    """Charge a profile, in a transaction of its own."""
    with world.database.write() as transaction:
        return profiles.reserve(transaction, plan(text, edition), loss)


def settle(world: World, charge: Charge, body: dict[str, Any] | None) -> Release | None:
    """Settle a charge, in a transaction of its own."""
    with world.database.write() as transaction:
        return charges.settle(transaction, charge, body)


def void(world: World, charge: Charge) -> bool:
    """Give a charge back, in a transaction of its own."""
    with world.database.write() as transaction:
        return charges.void(transaction, charge)


def shown(world: World, edition: int = 1) -> list[Any]:
    """Return the bodies of an edition's profiles, the one that is shown first."""
    with world.database.read() as transaction:
        return [one.body for one in profiles.of_edition(transaction, FLU, edition)]


def unresolved(world: World) -> list[Charge]:
    """Return the open charges."""
    with world.database.read() as transaction:
        return charges.unresolved(transaction)


def discrepancies(world: World) -> list[str]:
    """Return what does not add up."""
    with world.database.read() as transaction:
        return list(accounts.discrepancies(transaction))


def test_a_profile_is_charged_to_its_dataset_alone(world: World) -> None:
    """Reserved, then spent, on the dataset's account; a study's account does not move."""
    world.open_study("hearts", 8 * NANO)
    charge = reserve(world, "p")
    assert world.balance().reserved == TENTH
    assert world.balance().spent == cost(0)
    world.check()
    stored = settle(world, charge, {"a": [1, None]})
    assert stored is not None
    assert (stored.body, stored.charged_at) == ({"a": [1, None]}, charge.reserved_at)
    assert world.balance().reserved == cost(0)
    assert world.balance().spent == TENTH
    assert world.balance("hearts").used == cost(0)
    assert shown(world) == [{"a": [1, None]}]
    assert discrepancies(world) == []
    world.check()


def test_queries_and_profiles_add_up_in_one_account(world: World) -> None:
    """The dataset's sums are those of both kinds of charge, and a wrong sum is found."""
    world.open_study("hearts", 8 * NANO)
    world.spend("hearts", "q", cost(NANO))
    reserve(world, "p", cost(2 * NANO))
    settle(world, reserve(world, "r", cost(3 * NANO)), None)
    assert world.balance().used == cost(NANO) + cost(2 * NANO) + cost(3 * NANO)
    assert discrepancies(world) == []
    world.check()
    world.edit("UPDATE accounts SET epsilon_spent_nano = epsilon_spent_nano - 1 WHERE kind = 'dataset'")
    (found,) = discrepancies(world)
    assert found.startswith(f"dataset {FLU}")


def test_the_same_profile_resumes_its_charge(world: World) -> None:
    """The same plan is charged once, and to resume is to settle."""
    first = reserve(world, "p")
    assert reserve(world, "p") == replace(first, resumed=True, attempt=2)
    assert world.balance().used == world.balance().spent == TENTH
    assert not void(world, first), "another attempt may scan on it"
    world.check()


def test_a_failure_gives_nothing_back_and_can_be_resumed(world: World) -> None:
    """A charge that was closed without a profile stays spent; the profile can still be stored on it, once."""
    charge = reserve(world, "p")
    assert settle(world, charge, None) is None
    assert world.balance().spent == TENTH
    again = reserve(world, "p")
    assert again.id == charge.id
    first = settle(world, again, {"first": True})
    assert settle(world, again, {"second": True}) == first
    assert shown(world) == [{"first": True}]
    assert world.balance().spent == TENTH
    world.check()


def test_a_void_gives_the_loss_back(world: World) -> None:
    """What was never scanned for costs nothing; such a charge pays for nothing, and a next attempt is charged anew."""
    charge = reserve(world, "p")
    assert void(world, charge)
    assert not void(world, charge)
    assert world.balance().used == cost(0)
    with pytest.raises(WrongState, match="given back"):
        settle(world, charge, {})
    again = reserve(world, "p")
    assert again.id != charge.id
    assert not again.resumed
    assert discrepancies(world) == []
    world.check()


def test_profile_beyond_dataset_limit_refused(world: World) -> None:
    """A profile beyond what the dataset's account admits is refused with what is left, and nothing changes."""
    settle(world, reserve(world, "p", cost(6 * NANO)), {})
    before = world.everything()
    with pytest.raises(OverBudget, match="the dataset has epsilon 4 ") as refused:
        reserve(world, "q", cost(7 * NANO))
    assert refused.value.account == "dataset"
    assert world.everything() == before
    world.check()


def test_a_less_exact_profile_is_refused(world: World) -> None:
    """Once an edition has a profile another one needs a larger epsilon; the most exact one is shown."""
    settle(world, reserve(world, "p", cost(NANO)), {"epsilon": 1})
    for epsilon in (NANO, NANO // 2):
        with pytest.raises(WrongState, match="larger epsilon"):
            reserve(world, f"q {epsilon}", cost(epsilon))
    settle(world, reserve(world, "r", cost(2 * NANO)), {"epsilon": 2})
    assert shown(world) == [{"epsilon": 2}, {"epsilon": 1}]
    assert world.balance().spent == cost(NANO) + cost(2 * NANO)
    world.check()


def test_a_late_profile_does_not_displace_a_more_exact_one(world: World) -> None:
    """A profile that failed may be made after a more exact one, on its old charge; the more exact one stays shown."""
    late = reserve(world, "p", cost(NANO))
    settle(world, late, None)
    settle(world, reserve(world, "q", cost(2 * NANO)), {"epsilon": 2})
    settle(world, reserve(world, "p", cost(NANO)), {"epsilon": 1})
    assert shown(world) == [{"epsilon": 2}, {"epsilon": 1}]
    world.check()


def test_a_profile_belongs_to_its_edition(world: World) -> None:
    """A new edition has none; its own is charged to the account that editions share."""
    settle(world, reserve(world, "p"), {"edition": 1})
    world.import_edition()
    assert shown(world, 2) == []
    settle(world, reserve(world, "p", edition=2), {"edition": 2})
    assert (shown(world), shown(world, 2)) == ([{"edition": 1}], [{"edition": 2}])
    assert world.balance().spent == TENTH + TENTH
    world.check()


def test_open_charges_are_found(world: World) -> None:
    """What nobody resolved is listed, and no longer once it is closed or given back."""
    first, second, third = (reserve(world, text) for text in "abc")
    assert {charge.id for charge in unresolved(world)} == {first.id, second.id, third.id}
    settle(world, first, None)
    void(world, third)
    assert [charge.id for charge in unresolved(world)] == [second.id]


def test_a_profile_takes_nothing_that_studies_were_promised(people_only: World) -> None:
    """Without overcommitment studies and profiles share the cap: neither is admitted at the other's expense."""
    world = people_only
    world.import_edition(overcommit=False)
    world.open_study("hearts", 9 * NANO)
    with pytest.raises(WrongState, match=r"leave epsilon 1 of"):
        reserve(world, "p", cost(2 * NANO))
    settle(world, reserve(world, "q", cost(NANO // 4)), {})
    void(world, reserve(world, "r", cost(NANO // 2)))
    with world.database.write() as transaction, pytest.raises(WrongState, match=r"leave epsilon 0\.75 "):
        studies.open_study(transaction, "lungs", FLU, TERMS, NANO, None, world.admin)
    world.open_study("lungs", 3 * NANO // 4)
    with pytest.raises(WrongState, match="leave epsilon 0 of"):
        reserve(world, "s", cost(NANO // 2))
    world.check()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "refund"},
        {"kind": "settle"},
        {"reserve_id": "0" * 32},
        {"epsilon_nano": 0},
        {"rho_nano": -1},
        {"edition": 9},
    ],
)
def test_the_database_refuses_impossible_rows(world: World, change: dict[str, Any]) -> None:
    """Even a bug above it cannot write a charge that means nothing."""
    row = {**columns(plan("p")), **vars(TENTH), "id": "1" * 32, "kind": "reserve", "reserve_id": None, "at": "now"}
    with pytest.raises(sa.exc.IntegrityError), world.database.write() as transaction:
        transaction.execute(sa.insert(metadata.tables["profile_charges"]).values(**{**row, **change}))


def test_one_charge_has_one_profile(world: World) -> None:
    """The database refuses a second profile for a charge, and a second one for the same plan."""
    charge, other = reserve(world, "p"), reserve(world, "q")
    settle(world, charge, {})
    row = {**columns(plan("z")), "id": "1" * 32, "charge": charge.id, "charged_at": "now", "body": "{}"}
    for change in ({}, {"charge": other.id, **columns(plan("p"))}):
        with pytest.raises(sa.exc.IntegrityError), world.database.write() as transaction:
            transaction.execute(sa.insert(metadata.tables["profiles"]).values(**{**row, **change}))
