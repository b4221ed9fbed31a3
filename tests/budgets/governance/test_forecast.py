from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.errors import OverBudget
from budgets.governance import forecast, studies
from budgets.governance.forecast import Forecast, pure
from budgets.ledger.limits import Balance, Limits
from budgets.loss import NANO, Loss, Sum
from tests.budgets.world import FLU

if TYPE_CHECKING:
    from tests.budgets.world import World

NOTHING = Sum()
LIMITS = st.sampled_from(
    [Limits.of(NANO, 10**12), Limits.of(10 * NANO, 10**14, 80), Limits.of(3 * NANO, 0), Limits.of(NANO, 10**13, 100)]
)
LOSSES = st.builds(
    lambda loss, has_epsilon, delta: replace(loss, delta_atto=delta, **({} if has_epsilon else {"epsilon_nano": None})),
    st.integers(1, 10 * NANO).map(pure),
    st.booleans(),
    st.sampled_from([0, 0, 1, 10**10]),
)


def balance(limits: Limits, spent: Sum = NOTHING, reserved: Sum = NOTHING) -> Balance:
    """Return an account's balance."""
    return Balance("study", "s", limits, reserved, spent)


def times(number: int, loss: Loss) -> Sum:
    """Return the sum of so many equal losses."""
    return Sum(*(number * part for part in vars(Sum.of(loss)).values()))


@given(LIMITS, LIMITS, st.lists(LOSSES, max_size=3), LOSSES)
def test_as_many_fit_as_are_admitted(study: Limits, dataset: Limits, earlier: list[Loss], loss: Loss) -> None:
    """So many more charges of a loss are admitted by both accounts, and not one more."""
    spent = sum(map(Sum.of, earlier), NOTHING)
    if not (study.hold(spent) and dataset.hold(spent)):
        spent = NOTHING
    ahead = Forecast(balance(study, spent), balance(dataset, NOTHING, spent), None)
    queries = ahead.fit(loss).queries
    for limits in (study, dataset):
        assert limits.hold(spent + times(queries, loss))
    assert not (study.hold(spent + times(queries + 1, loss)) and dataset.hold(spent + times(queries + 1, loss)))


def test_few_large_ones_fit_by_epsilon_and_many_small_ones_by_rho() -> None:
    """The curve shows both filters: at the large end the sum of epsilon admits more, at the small end that of rho."""
    account = balance(Limits.of(10 * NANO, 2 * 10**12))
    curve = Forecast(account, account, None).curve()
    assert [loss.epsilon_text for loss, _ in curve[:4]] == ["0.001", "0.002", "0.005", "0.01"]
    assert curve[-1][0].epsilon_text == "10"
    assert all(fit.queries == max(fit.by_epsilon, fit.by_rho, fit.by_split) for _, fit in curve)
    large, small = dict(curve)[pure(NANO)], dict(curve)[pure(NANO // 10)]
    assert (large.queries, large.by_epsilon) == (10, 10)
    assert small.queries == small.by_rho > 2 * small.by_epsilon == 200
    assert [fit.queries for _, fit in curve] == sorted((fit.queries for _, fit in curve), reverse=True)


@pytest.mark.parametrize(
    ("limit", "last", "said"),
    [
        (NANO, pure(NANO // 2), "about 2 more queries like the last one (epsilon 0.5)"),
        (NANO, pure(NANO), "one more query like the last one (epsilon 1)"),
        (NANO, pure(2 * NANO), "no more query like the last one (epsilon 2)"),
        (NANO, Loss(None, 10**6, 0), "about 21 more queries like the last one (rho 0.001)"),
        (2 * NANO, pure(NANO // 1000), "about 158,386 more queries like the last one (epsilon 0.001)"),
        (NANO, None, "about 10 more queries of epsilon 0.1"),
        (NANO // 10, None, "one more query of epsilon 0.1"),
    ],
)
def test_forecast_in_words_counts_queries_left(limit: int, last: Loss | None, said: str) -> None:
    """The remaining budget is said as a number of queries like the last one, or of a usual size."""
    account = balance(Limits.of(limit, 10**12))
    assert Forecast(account, account, last).words == said


def test_the_forecast_of_a_study_is_what_the_ledger_then_admits(world: World) -> None:
    """A study is told of its last charge and of what its dataset leaves, and can spend exactly that."""
    world.import_edition(2 * NANO, 0)
    world.open_study("hearts", 2 * NANO, 0)
    world.open_study("lungs", 2 * NANO, 0)
    with world.database.read() as transaction:
        assert forecast.of_study(transaction, studies.study(transaction, "hearts")).last is None
    world.spend("lungs", "theirs", pure(NANO))
    world.spend("hearts", "first", pure(NANO // 4))
    world.reserve("hearts", "second", pure(NANO // 10))
    with world.database.read() as transaction:
        ahead = forecast.of_study(transaction, studies.study(transaction, "hearts"))
    assert ahead.last == pure(NANO // 10)
    assert (ahead.study.owner, ahead.dataset.owner) == ("hearts", FLU)
    assert ahead.fit(ahead.last).queries == 6
    assert ahead.to_json()["queries_left"] == 6
    for number in range(6):
        world.spend("hearts", f"more {number}", ahead.last)
    with pytest.raises(OverBudget):
        world.spend("hearts", "one more", ahead.last)
