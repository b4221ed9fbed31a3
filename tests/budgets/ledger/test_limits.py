from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from budgets.database import clock
from budgets.errors import Invalid, WrongState
from budgets.governance import dataset_terms, studies, study_budgets
from budgets.ledger import accounts
from budgets.ledger.limits import UNSPLIT, Balance, Budget, Limits
from budgets.loss import NANO, Loss, Sum
from tests.budgets.world import TERMS, WHY, cost

if TYPE_CHECKING:
    from tests.budgets.world import World

LIMITS = st.builds(Limits.of, st.integers(1, 4 * NANO), st.sampled_from([0, 10, 10**12, 10**15]), st.integers(0, 100))
CHARGES = st.lists(
    st.one_of(
        st.builds(lambda nano: Loss(nano, -(-nano * nano // (2 * NANO)), 0), st.integers(1, NANO)),
        st.builds(lambda nano: Loss(None, nano, 0), st.integers(1, NANO // 20)),
    ),
    max_size=12,
)
SMALLEST = (Loss(1, 1, 0), Loss(None, 1, 0))


def balance(limits: Limits, losses: list[Loss]) -> Balance:
    """Return the balance of an account that was charged what it admits of some losses."""
    used = Sum()
    for loss in losses:
        used = used + loss if limits.hold(used + loss) else used
    return Balance("study", "s", limits, Sum(), used)


@given(LIMITS, CHARGES)
def test_what_is_left_is_admitted_and_no_more(limits: Limits, losses: list[Loss]) -> None:
    """Of each kind of noise the charge that takes what is left is admitted, and one unit more only by the zCDP filter."""
    present = balance(limits, losses)
    left, used = present.left, present.used_sum
    assert left.epsilon_nano is not None
    if left.epsilon_nano:
        assert present.admits(Loss(left.epsilon_nano, 2**62, 0))
    assert not present.admits(Loss(left.epsilon_nano + 1, 2**62, 0))
    if left.rho_nano:
        assert present.admits(Loss(None, left.rho_nano, 0))
    assert not present.admits(Loss(None, left.rho_nano + 1, 0))
    for loss in SMALLEST:
        told = present.left_for(loss)
        assert present.admits(loss) == (
            (loss.epsilon_nano or 2**62) <= (told.epsilon_nano or 0) or loss.rho_nano <= told.rho_nano
        )
    assert present.gauge.share <= 1 or not used.rho_nano


@given(LIMITS, CHARGES)
def test_the_rest_takes_all_that_is_left(limits: Limits, losses: list[Loss]) -> None:
    """The charges of the rest are admitted one after the other, and then not even the smallest charge is."""
    present = balance(limits, losses)
    used = present.used_sum
    for loss in present.rest():
        assert limits.hold(used + loss)
        used += loss
    assert not any(limits.hold(used + loss) for loss in SMALLEST)


@given(LIMITS, CHARGES)
def test_the_gauge_is_full_only_when_little_is_left(limits: Limits, losses: list[Loss]) -> None:
    """The gauge shows a sum and a limit of the account, at most the limit; an untouched account has used nothing."""
    present = balance(limits, losses)
    gauge, json = present.gauge, present.to_json()
    assert gauge.used_nano <= gauge.limit_nano
    shown = json["spent"][gauge.of]
    assert gauge.to_json()["used"] == pytest.approx(shown)
    limit = json["split"] if gauge.of in json["split"] else json
    assert gauge.to_json()["limit"] == limit[gauge.of]
    if present.used_sum == Sum():
        assert gauge.share == 0


def divide(world: World, percent: int, epsilon: int = 4 * NANO, delta: int | None = None) -> None:
    """Set a study's budget with another part for Laplace noise."""
    with world.database.write() as transaction:
        study_budgets.set_budget(
            transaction, "hearts", epsilon, delta, "a test", world.admin, laplace_percent=percent, justification=WHY
        )


def test_a_study_divides_epsilon_as_its_dataset_or_as_it_says(people_only: World) -> None:
    """Without a part of its own a study has the dataset's; each part is between 0 and 100."""
    world = people_only
    world.import_edition(10 * NANO)
    for name, given_, found in (("a", None, 50), ("b", 80, 80), ("c", 0, 0), ("d", 100, 100)):
        with world.database.write() as transaction:
            studies.open_study(transaction, name, "flu", TERMS, NANO, None, world.admin, laplace_percent=given_)
        limits = world.balance(name).limits
        assert limits == Limits.of(NANO, 10**12, found)
    for percent in (-1, 101):
        with pytest.raises(sa.exc.IntegrityError), world.database.write() as transaction:
            accounts.open_account(transaction, "study", "e", Budget(NANO, 0, percent))


def test_epsilon_is_divided_anew_only_before_something_was_spent(world: World) -> None:
    """With charges a part may change only with a budget that takes from no part; given back, they count no more."""
    world.open_study("hearts", 4 * NANO, state="draft")
    divide(world, 80)
    assert world.balance("hearts").limits == Limits.of(4 * NANO, 10**12, 80)
    charge = world.reserve("hearts", "a", cost(NANO // 10))
    for percent in (50, 100, 81):
        with pytest.raises(WrongState, match="divided anew"):
            divide(world, percent)
    assert world.void(charge)
    divide(world, 100)
    world.spend("hearts", "a", Loss(None, NANO // 100, 0))
    with pytest.raises(WrongState, match="divided anew"):
        divide(world, 50, epsilon=5 * NANO, delta=5 * 10**11)
    # With half of the delta for each conversion, R stays what it was when delta doubles; here it grows by epsilon.
    divide(world, 50, epsilon=6 * NANO)
    assert world.balance("hearts").limits == Limits.of(6 * NANO, 10**12, 50)
    assert world.balance("hearts").admits(Loss(2 * NANO, 2 * NANO, 0))


def test_epsilon_is_not_divided_anew_by_way_of_a_lower_budget(world: World) -> None:
    """A lower budget, which an admin sets alone, takes nothing from what a later division has to contain."""
    world.open_study("hearts", 4 * NANO, state="draft")
    divide(world, 50, epsilon=9 * NANO)  # before the first charge: it counts no more
    divide(world, 50)
    world.spend("hearts", "a", cost(NANO // 10))
    divide(world, 50, epsilon=NANO)
    for percent, epsilon in ((80, 4 * NANO), (20, 4 * NANO), (60, NANO + NANO // 2)):
        with pytest.raises(WrongState, match="divided anew"):
            divide(world, percent, epsilon=epsilon)
    divide(world, 60, epsilon=6 * NANO)
    assert world.balance("hearts").limits == Limits.of(6 * NANO, 10**12, 60)
    world.check()


def test_budgets_since_the_first_charge_are_those_of_the_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was set back after the charge hides none of them."""
    world.open_study("hearts", 4 * NANO, state="draft")
    divide(world, 50)
    world.spend("hearts", "a", cost(NANO // 10))
    yesterday = clock.moment() - dt.timedelta(days=1)
    monkeypatch.setattr(clock, "moment", lambda: yesterday)
    divide(world, 50, epsilon=3 * NANO)
    divide(world, 50, epsilon=NANO)
    with pytest.raises(WrongState, match="divided anew"):
        divide(world, 80, epsilon=3 * NANO)


def test_a_cap_is_not_divided_anew_by_way_of_a_lower_one(world: World) -> None:
    """The same of a dataset: a manifest lowers its cap, and what an approver then approves contains the cap of before."""
    world.open_study("hearts", NANO)
    world.spend("hearts", "a", cost(NANO // 10))
    world.import_edition(2 * NANO)

    def propose(percent: int, epsilon: int) -> None:
        with world.database.write() as transaction:
            dataset_terms.propose(
                transaction, "flu", epsilon, None, 0, "r", world.admin, laplace_percent=percent, justification=WHY
            )

    for percent in (90, 10):
        with pytest.raises(WrongState, match="divided anew"):
            propose(percent, 10 * NANO)
    propose(60, 13 * NANO)


def test_an_account_of_an_earlier_version_is_divided_with_the_same_budget_until_it_is_charged(world: World) -> None:
    """An approver's decision gives it the third filter while nothing was charged; later it takes a larger budget."""
    world.open_study("hearts", 4 * NANO)
    old, new = (Budget(4 * NANO, 10**12, percent, WHY) for percent in (UNSPLIT, 50))
    with world.database.write() as transaction:
        accounts.set_limits(transaction, "study", "hearts", old)
    divide(world, 50)
    assert world.balance("hearts").budget == old
    with world.database.write() as transaction:
        study_budgets.approve_budget(transaction, "hearts", "a test", world.approver, without_advice="a test")
    assert world.balance("hearts").budget == new
    with world.database.write() as transaction:
        accounts.set_limits(transaction, "study", "hearts", old)
    divide(world, 50)
    world.reserve("hearts", "a", cost(NANO // 10))  # while the decision waits
    with pytest.raises(WrongState, match="divided anew"), world.database.write() as transaction:
        study_budgets.approve_budget(transaction, "hearts", "a test", world.approver, without_advice="a test")


def test_another_part_of_an_approved_study_waits_for_an_approver(world: World) -> None:
    """After the approval the division of epsilon is proposed, as a larger budget is, and stands in the log."""
    world.open_study("hearts", 4 * NANO)
    divide(world, 30)
    waiting = Budget(4 * NANO, 10**12, 30, WHY)
    assert world.study("hearts").raise_to == waiting
    assert world.balance("hearts").limits.laplace_percent == 50
    with world.database.write() as transaction:
        study_budgets.approve_budget(transaction, "hearts", "a test", world.approver, without_advice="a test")
    assert world.balance("hearts").budget == waiting
    assert world.study("hearts").raise_to is None


def test_twice_the_delta_gives_an_old_account_the_third_filter() -> None:
    """An account of an earlier version that has spent gets the split with the same epsilon and twice the delta."""
    old, new = Limits.of(4 * NANO, 10**12, 100), Limits.of(4 * NANO, 2 * 10**12, 50)
    assert new.contain(old)
    assert new.rho_nano == old.rho_nano
    assert not Limits.of(4 * NANO, 19 * 10**11, 50).contain(old)


@pytest.mark.parametrize("text", ["", " ", "a\0b", "x" * 10_001])
def test_a_justification_is_a_text(world: World, text: str) -> None:
    """A justification says something, and no more than can be read."""
    with pytest.raises(Invalid, match="justification"), world.database.write() as transaction:
        studies.open_study(transaction, "a", "flu", TERMS, NANO, None, world.admin, justification=text)
