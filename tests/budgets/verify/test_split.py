"""The third filter in the independent check, from entries alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.ledger.limits import Limits
from budgets.loss import NANO, Loss, Sum
from budgets.verify.spending import Account, Filters, Spending

if TYPE_CHECKING:
    from collections.abc import Iterator

LAPLACE = {"epsilon_nano": NANO, "rho_nano": NANO // 2, "delta_atto": 0}
GAUSSIAN = {"epsilon_nano": None, "rho_nano": NANO // 50, "delta_atto": 0}


def entry(action: str, subject: str, facts: dict[str, Any], study: str | None = None) -> dict[str, Any]:
    """Return an entry, as far as the spending is read from it."""
    return {"action": action, "subject": subject, "study": study, "facts": facts, "role": "admin"}


def limits(epsilon: int, delta: int = 10**12, percent: int | None = 50) -> dict[str, int]:
    """Return limits as an entry has them; entries of earlier versions have no part for Laplace noise."""
    found = {"epsilon_nano": epsilon * NANO, "delta_atto": delta}
    return found if percent is None else {**found, "laplace_percent": percent}


def problems(
    percent: int | None, *losses: dict[str, Any], then: dict[str, int] | list[dict[str, int]] | None = None
) -> list[str]:
    """Return what the check says of a study of epsilon 4 that is charged losses and then gets other limits."""
    log = [
        entry("dataset.import", "dataset:flu", {"cap": limits(10, percent=percent)}),
        entry("study.open", "study:s", {"dataset": "flu", "budget": limits(4, percent=percent)}, "s"),
    ]
    for number, loss in enumerate(losses):
        asked = {"dataset": "flu", "edition": 1, "fingerprint": str(number), "loss": loss}
        log.append(entry("query.reserve", str(number), asked, "s"))
    later = [then] if isinstance(then, dict) else then or []
    log += [entry("study.budget.set", "study:s", one, "s") for one in later]
    return list(read(log))


def read(log: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with entries."""
    spending = Spending()
    for one in log:
        yield from spending.read(one)


def test_the_check_admits_both_kinds_of_noise_only_where_the_log_says_so() -> None:
    """A Gaussian query beside one of epsilon 1 fits a study of epsilon 4 by its split, and not in an old log."""
    assert problems(50, GAUSSIAN, LAPLACE, LAPLACE) == []
    assert problems(50, LAPLACE, GAUSSIAN, LAPLACE) == []
    for percent in (None, 100):
        found = problems(percent, GAUSSIAN, LAPLACE)
        assert [one.startswith("it overspends the budget of the study s") for one in found] == [True]


@pytest.mark.parametrize("more", [[LAPLACE], [{**GAUSSIAN, "rho_nano": 4 * NANO // 50}]])
def test_the_check_finds_each_part_overspent(more: list[dict[str, Any]]) -> None:
    """More than a part of epsilon for Laplace noise, or more than its rho of Gaussian noise, is overspending."""
    found = problems(50, GAUSSIAN, LAPLACE, LAPLACE, *more)
    assert [one.split(" the budget")[0] for one in found] == ["it overspends"]


def test_the_check_finds_that_epsilon_was_divided_anew() -> None:
    """After a charge another part is found, unless all limits are at least what they were; before it, it is none."""
    said = "it divides the epsilon of the study s anew after something was spent, and takes from a part"
    assert problems(50, then=limits(4, percent=80)) == []
    assert problems(50, LAPLACE, then=limits(4, percent=80)) == [said]
    assert problems(50, LAPLACE, then=limits(4, percent=None)) == [said]
    assert problems(50, LAPLACE, then=limits(9, percent=60)) == []
    assert problems(50, LAPLACE, then=[limits(1), limits(4, percent=80)]) == [said]
    assert problems(50, LAPLACE, then=[limits(1), limits(4), limits(9, percent=60)]) == []
    assert problems(50, then=[limits(9), limits(4), limits(4, percent=80)]) == []
    assert problems(None, then=limits(4)) == []
    assert problems(None, LAPLACE, then=limits(4)) == [said]
    assert problems(None, LAPLACE, then=limits(4, 2 * 10**12)) == []


@pytest.mark.parametrize("percent", [101, -1, 50.0, "50"])
def test_a_part_that_is_none_is_found(percent: Any) -> None:
    """A part is a whole number of percent."""
    assert problems(percent)


@given(st.integers(1, 20 * NANO), st.sampled_from([0, 10, 10**12, 10**15]), st.integers(0, 100))
def test_the_check_has_the_limits_of_the_ledger(epsilon: int, delta: int, percent: int) -> None:
    """Both compute the same limits, each by code of its own; the check allows a little for floats."""
    ours, theirs = Limits.of(epsilon, delta, percent), Filters.of((epsilon, delta, percent))
    assert (theirs.epsilon, theirs.laplace, theirs.keys) == (ours.epsilon_nano, ours.laplace_nano, ours.delta_keys_atto)
    for mine, other in ((ours.rho_nano, theirs.rho), (ours.gaussian_nano, theirs.gaussian)):
        assert mine <= other <= mine * (1 + 1e-6) + 3


@given(
    st.integers(0, 100), st.lists(st.sampled_from([Loss(**LAPLACE), Loss(**GAUSSIAN), Loss(7, 9, 10**11)]), max_size=9)
)
def test_the_check_holds_what_the_ledger_holds(percent: int, losses: list[Loss]) -> None:
    """Sums of charges are within the limits of both or of neither."""
    account = Account("study", "s", (4 * NANO, 10**12, percent))
    for loss in losses:
        account.add((loss.epsilon_nano, loss.rho_nano, loss.delta_atto), 1)
    assert account.holds() == Limits.of(4 * NANO, 10**12, percent).hold(sum(map(Sum.of, losses), Sum()))
