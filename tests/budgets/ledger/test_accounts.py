from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from budgets.errors import NotFound, OverBudget
from budgets.ledger import accounts
from budgets.ledger.limits import Balance, Budget, Limits
from budgets.loss import EPSILON_MAX, NANO, Loss, Sum
from tests.budgets.world import FLU, WHY, cost, everything

if TYPE_CHECKING:
    from tests.budgets.world import World

LIMITS = Limits.of(1_000, 1_000)  # half of the delta is for thresholds; no rho converts to so little
LIMIT = cost(1_000, 0, 500)


@pytest.fixture
def opened(world: World) -> World:
    """Open a study with epsilon 1000 billionths and delta 1000 units."""
    world.open_study("hearts", 1_000, 1_000)
    return world


def update(world: World, values: str, kind: str = "study") -> None:
    """Change an account's row directly, as a bug above the database might."""
    with world.database.write() as transaction:
        transaction.exec_driver_sql(f"UPDATE accounts SET {values} WHERE kind = '{kind}'")


def test_an_account_opens_empty(opened: World) -> None:
    """A new account has its limit, nothing reserved and nothing spent."""
    assert opened.balance("hearts") == Balance("study", "hearts", LIMITS, Sum(), Sum(), WHY)
    assert opened.balance("hearts").left == LIMIT


def test_unknown_study_or_dataset_has_no_balance(world: World) -> None:
    """A study and a dataset that do not exist have no balance, and a dataset's name is not a study's."""
    with world.database.read() as transaction:
        for kind, owner in (("study", "nowhere"), ("dataset", "nowhere"), ("study", FLU)):
            with pytest.raises(NotFound):
                accounts.balance(transaction, kind, owner)


def test_one_account_for_an_owner(opened: World) -> None:
    """A second account of one owner cannot be opened: it would be a second budget."""
    with pytest.raises(sa.exc.IntegrityError), opened.database.write() as transaction:
        accounts.open_account(transaction, "study", "hearts", Budget(1, 1))


def test_balance_subtracts_spent_and_reserved(opened: World) -> None:
    """What is spent and what is reserved are both gone from what is left."""
    opened.spend("hearts", "spent", cost(100, 10, 50))
    opened.reserve("hearts", "reserved", cost(7, 3, 2))
    balance = opened.balance("hearts")
    assert balance.spent == cost(100, 10, 50)
    assert balance.reserved == cost(7, 3, 2)
    assert balance.used == cost(107, 13, 52)
    assert balance.left == cost(893, 0, 448)


def test_balance_json_has_plain_numbers(world: World) -> None:
    """A balance's JSON has the limits, what is spent, reserved and remaining, in plain numbers."""
    limits = Limits.of(2 * NANO, 10**12)
    world.open_study("hearts", 2 * NANO, 10**12)
    world.spend("hearts", "spent", cost(NANO // 2, NANO // 8))
    world.reserve("hearts", "reserved", cost(NANO // 4, NANO // 32, 10**11))
    assert world.balance("hearts").to_json() == {
        "epsilon": 2.0,
        "delta": 1e-6,
        "spent": {"epsilon": 0.5, "rho": 0.125, "delta": 0.0, "laplace_epsilon": 0.5, "gaussian_rho": 0.0},
        "reserved": {"epsilon": 0.25, "rho": 0.03125, "delta": 1e-7, "laplace_epsilon": 0.25, "gaussian_rho": 0.0},
        "rho": limits.rho_nano / NANO,
        "laplace_percent": 50,
        "split": {"laplace_epsilon": 1.0, "gaussian_rho": limits.gaussian_nano / NANO},
        "remaining": {"epsilon": 1.25, "rho": limits.gaussian_nano / NANO, "delta": 4e-7},
        "gauge": {"of": "epsilon", "used": 0.75, "limit": 2.0},
        "justification": WHY,
    }


@pytest.mark.parametrize(
    ("loss", "account", "left"),
    [
        (cost(1_001), "study", cost(1_000, 0, 500)),
        (cost(1, 0, 501), "study", cost(1_000, 0, 500)),
        (cost(901), "dataset", cost(900, 0, 400)),
        (cost(1, 0, 401), "dataset", cost(900, 0, 400)),
    ],
)
def test_a_refusal_says_which_account_and_what_is_left(
    people_only: World, loss: Loss, account: str, left: Loss
) -> None:
    """A charge past a limit, in epsilon or delta, names the account it does not fit and changes nothing."""
    world = people_only
    world.import_edition(1_000, 1_000)
    world.open_study("other", 1_000, 1_000)
    world.open_study("hearts", 1_000, 1_000)
    world.spend("other", "spent", cost(100, 1, 100))
    before = world.everything()
    with world.database.write() as transaction:
        with pytest.raises(OverBudget) as refused:
            accounts.admit(transaction, "hearts", FLU, loss)
        assert everything(transaction) == before
    assert (refused.value.account, refused.value.cost, refused.value.left) == (account, loss, left)


def test_a_loss_without_epsilon_needs_the_second_filter(opened: World) -> None:
    """Where no rho converts to the limits, a loss with no finite epsilon is refused, and the refusal reads so."""
    before = opened.everything()
    with (
        pytest.raises(
            OverBudget,
            match=r"cost rho 0\.000000001 and delta 1e-18, and the study has epsilon .* or rho 0, with delta 5e-16 left",
        ),
        opened.database.write() as transaction,
    ):
        accounts.admit(transaction, "hearts", FLU, Loss(None, 1, 1))
    assert opened.everything() == before


def test_a_charge_without_epsilon_closes_the_first_filter_for_good(people_only: World) -> None:
    """Reserved or spent, one charge without a finite epsilon leaves its accounts' sums without one; given back, not."""
    people_only.import_edition()
    people_only.open_study("hearts", 5 * NANO, 10**12)
    charge = people_only.reserve("hearts", "a mean", Loss(None, NANO // 100, 0))
    for owner in ("hearts", None):
        balance = people_only.balance(owner)
        assert (balance.reserved.epsilon_nano, balance.spent.epsilon_nano, balance.used.epsilon_nano) == (None, 0, None)
        assert balance.left.epsilon_nano == balance.limits.laplace_nano
    assert people_only.void(charge)
    assert people_only.balance("hearts").used == Loss(0, 0, 0)
    people_only.spend("hearts", "another", Loss(None, NANO // 100, 0))
    for owner in ("hearts", None):
        balance = people_only.balance(owner)
        assert (balance.reserved.epsilon_nano, balance.spent.epsilon_nano, balance.used.epsilon_nano) == (0, None, None)
        most = balance.limits.laplace_nano
        assert not balance.admits(Loss(most + 1, balance.limits.rho_nano, 0))
        assert balance.admits(Loss(most + 1, balance.limits.rho_nano - NANO // 100, 0))
        assert balance.admits(Loss(most, balance.limits.rho_nano, 0))


@pytest.mark.parametrize("dimension", ["epsilon", "delta"])
def test_the_last_unit_can_be_spent_and_not_one_more(opened: World, dimension: str) -> None:
    """A limit is reached exactly."""
    last, more = {
        "epsilon": (cost(LIMIT.epsilon_nano or 0), cost(1)),
        "delta": (cost(1, 0, LIMIT.delta_atto), cost(1, 0, 1)),
    }[dimension]
    opened.spend("hearts", "all of it", last)
    with pytest.raises(OverBudget):
        opened.reserve("hearts", "one more", more)
    opened.check()


@pytest.mark.parametrize("kind", ["study", "dataset"])
@pytest.mark.parametrize(
    "values",
    [
        "epsilon_spent_nano = epsilon_limit_nano + 1, rho_spent_nano = rho_limit_nano + 1",
        "epsilon_reserved_nano = epsilon_limit_nano + 1, rho_spent_nano = rho_limit_nano + 1",
        "unbounded_spent = 1, rho_spent_nano = rho_limit_nano + 1",
        "unbounded_reserved = 1, rho_spent_nano = rho_limit_nano + 1",
        "rho_limit_nano = 0, unbounded_spent = 1",
        "unbounded_spent = -1",
        "unbounded_reserved = -1",
        "unbounded_spent = 1, gaussian_spent_nano = 1, epsilon_spent_nano = laplace_limit_nano + 1, "
        "rho_spent_nano = rho_limit_nano + 1",
        "gaussian_reserved_nano = gaussian_limit_nano + 1, unbounded_spent = 1, rho_spent_nano = rho_limit_nano + 1",
        "epsilon_spent_nano = epsilon_limit_nano + 1, gaussian_limit_nano = 1, rho_spent_nano = rho_limit_nano + 1",
        "laplace_limit_nano = epsilon_limit_nano + 1",
        "laplace_percent = 101",
        "laplace_percent = -1",
        "gaussian_spent_nano = -1",
        "gaussian_reserved_nano = -1",
        "epsilon_spent_nano = epsilon_limit_nano, epsilon_reserved_nano = 1, rho_spent_nano = rho_limit_nano + 1",
        "delta_spent_atto = delta_keys_limit_atto + 1",
        "delta_reserved_atto = delta_keys_limit_atto + 1",
        "delta_spent_atto = delta_keys_limit_atto, delta_reserved_atto = 1",
        "epsilon_limit_nano = epsilon_spent_nano + epsilon_reserved_nano - 1, rho_limit_nano = 0",
        "delta_keys_limit_atto = delta_spent_atto + delta_reserved_atto - 1",
        "epsilon_spent_nano = -1",
        "epsilon_reserved_nano = -1",
        "rho_spent_nano = -1",
        "rho_reserved_nano = -1",
        "delta_spent_atto = -1",
        "delta_reserved_atto = -1",
        "epsilon_spent_nano = NULL",
        "epsilon_limit_nano = NULL",
        "kind = 'gift'",
    ],
)
def test_the_database_itself_refuses_to_overspend(opened: World, kind: str, values: str) -> None:
    """No UPDATE can pass a limit, lower one below the spend, or make a sum negative, whatever code sends it."""
    opened.spend("hearts", "spent", cost(30, 1, 30))
    opened.reserve("hearts", "reserved", cost(20, 1, 20))
    before = opened.everything()
    with pytest.raises(sa.exc.IntegrityError):
        update(opened, values, kind)
    assert opened.everything() == before


@pytest.mark.parametrize("kind", ["study", "dataset"])
def test_the_database_admits_the_limit_itself(opened: World, kind: str) -> None:
    """The guards refuse what passes a limit and not what reaches it."""
    update(opened, "epsilon_spent_nano = epsilon_limit_nano, delta_reserved_atto = delta_keys_limit_atto", kind)
    owner = "hearts" if kind == "study" else None
    assert (opened.balance(owner).left.epsilon_nano, opened.balance(owner).left.delta_atto) == (0, 0)


def test_a_limit_is_set_down_to_what_is_used(opened: World) -> None:
    """A limit may be set to what is spent and reserved, and the database refuses it one unit below."""
    opened.spend("hearts", "spent", cost(30, 1, 30))
    opened.reserve("hearts", "reserved", cost(20, 1, 20))
    for epsilon, delta in ((49, 100), (50, 99)):
        with pytest.raises(sa.exc.IntegrityError), opened.database.write() as transaction:
            accounts.set_limits(transaction, "study", "hearts", Budget(epsilon, delta))
    with opened.database.write() as transaction:
        accounts.set_limits(transaction, "study", "hearts", Budget(50, 100))
    assert opened.balance("hearts").left == cost(0)
    assert opened.balance().left.epsilon_nano == 10 * NANO - 50


def test_spending_what_was_not_reserved_is_impossible(opened: World) -> None:
    """A loss cannot be spent twice, or without having been reserved."""
    charge = opened.reserve("hearts", "once", cost(20, 1, 20))
    opened.settle(charge, None)
    before = opened.everything()
    with pytest.raises(sa.exc.IntegrityError), opened.database.write() as transaction:
        accounts.spend(transaction, "hearts", FLU, charge.loss)
    assert opened.everything() == before


def test_promises_count_what_each_study_may_still_take(world: World) -> None:
    """What a dataset promised is its studies' limits, of closed ones only what is spent or reserved."""
    world.open_study("one", 400, 0)
    world.open_study("two", 50, 0, state="draft")
    world.open_study("three", 300, 0)
    world.spend("three", "spent", cost(7))
    world.reserve("three", "reserved", cost(5))

    def promised(besides: str | None = None) -> int:
        with world.database.read() as transaction:
            return accounts.promised_epsilon_nano(transaction, FLU, besides=besides)

    assert promised() == 750
    assert promised("one") == 350
    with world.database.write() as transaction:
        transaction.exec_driver_sql("UPDATE studies SET state = 'closed' WHERE id = 'three'")
    assert promised() == 462
    assert promised("three") == 450


def test_a_dataset_without_studies_promised_nothing(world: World) -> None:
    """Without studies the sum of their limits is 0."""
    with world.database.read() as transaction:
        assert accounts.promised_epsilon_nano(transaction, FLU, besides=None) == 0


def test_every_epsilon_that_may_be_a_cap_can_be_charged(people_only: World) -> None:
    """The largest epsilon that people may write can be charged, with the rho that goes with it."""
    people_only.import_edition(EPSILON_MAX * NANO)
    people_only.open_study("hearts", EPSILON_MAX * NANO)
    loss = Loss.of(Fraction(EPSILON_MAX), Fraction(EPSILON_MAX**2, 2), Fraction(0))
    people_only.reserve("hearts", "everything", loss)
    people_only.check()
