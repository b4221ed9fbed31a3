from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.amounts import delta_atto, epsilon_nano, offered, rounding
from budgets.errors import Invalid
from budgets.loss import ATTO, EPSILON_MAX, NANO, Loss

if TYPE_CHECKING:
    from collections.abc import Callable

amounts = st.fractions(min_value=0, max_value=1000)
units = st.integers(min_value=0, max_value=10**18)
losses = st.builds(Loss, st.none() | units, units, units)
finite_losses = st.builds(Loss, units, units, units)


@given(amounts, amounts, amounts)
def test_an_exact_loss_is_rounded_up_by_less_than_one_unit(epsilon: Fraction, rho: Fraction, delta: Fraction) -> None:
    """What is charged is never below the exact loss, and above it by less than one unit."""
    loss = Loss.of(epsilon, rho, delta)
    assert loss.epsilon_nano is not None
    for charged, exact in (
        (loss.epsilon_nano, epsilon * NANO),
        (loss.rho_nano, rho * NANO),
        (loss.delta_atto, delta * ATTO),
    ):
        assert charged - 1 < exact <= charged


@given(units, units, units)
def test_a_loss_of_whole_units_is_exact(epsilon: int, rho: int, delta: int) -> None:
    """A loss that is a whole number of units is not rounded at all."""
    made = Loss.of(Fraction(epsilon, NANO), Fraction(rho, NANO), Fraction(delta, ATTO))
    assert made == Loss(epsilon, rho, delta)


def test_the_smallest_loss_costs_a_unit() -> None:
    """A loss above zero, however small, is never charged as nothing."""
    least = Fraction(1, 10**40)
    assert Loss.of(least, least, least) == Loss(1, 1, 1)


@given(st.lists(finite_losses, max_size=20))
def test_sum_of_losses_is_sum_of_integers(parts: list[Loss]) -> None:
    """A sum of losses is, in each measure, the sum of the integers."""
    total = sum(parts, Loss(0, 0, 0))
    assert total.epsilon_nano == sum(part.epsilon_nano or 0 for part in parts)
    assert total.rho_nano == sum(part.rho_nano for part in parts)
    assert total.delta_atto == sum(part.delta_atto for part in parts)


@given(losses, losses, losses)
def test_the_order_of_a_sum_does_not_matter(one: Loss, two: Loss, three: Loss) -> None:
    """Losses add up to the same in any order and grouping."""
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)


@given(finite_losses)
def test_an_infinite_epsilon_stays_infinite(loss: Loss) -> None:
    """A sum with a loss that has no finite epsilon has none either, and keeps counting rho and delta."""
    gaussian = Loss(None, 7, 5)
    assert gaussian + loss == Loss(None, 7 + loss.rho_nano, 5 + loss.delta_atto)


def test_epsilon_0_1_is_exact_in_billionths() -> None:
    """The epsilon 0.1 that people write is 100000000 billionths, and ten of them are 1."""
    assert epsilon_nano(0.1) == 100_000_000
    assert epsilon_nano(Decimal("0.1")) == 100_000_000
    assert 10 * epsilon_nano(0.1) == epsilon_nano(1)
    assert delta_atto(1e-6) == 10**12
    assert delta_atto(0.1) == 10**17


@given(st.integers(min_value=0, max_value=EPSILON_MAX * NANO))
def test_every_epsilon_can_be_written(nano: int) -> None:
    """Each whole number of billionths, written as a decimal or as a float, is read as itself."""
    assert epsilon_nano(Decimal(nano) / NANO) == nano
    assert epsilon_nano(nano / NANO) == nano


@given(st.integers(min_value=0, max_value=ATTO - 1))
def test_every_delta_can_be_written(atto: int) -> None:
    """Each whole number of 10^-18, written as a decimal, is read as itself."""
    assert delta_atto(Decimal(atto) / ATTO) == atto


@pytest.mark.parametrize("read", [epsilon_nano, delta_atto])
@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        -1,
        -1e-9,
        Decimal("-1e-18"),
        1e-19,
        Decimal("0.1000000000000000001"),
        EPSILON_MAX + 1,
        1e300,
    ],
)
def test_number_that_is_no_loss_refused(read: Callable[[float | Decimal], int], value: float | Decimal) -> None:
    """Neither reader takes what is not a number, infinite, negative, too fine or too large."""
    with pytest.raises(Invalid):
        read(value)


@pytest.mark.parametrize(
    "value",
    [1e-10, 0.1234567891, 0.1 + 0.2, Decimal("1e-18"), Decimal("1e-999999999"), Decimal(EPSILON_MAX) + Decimal("1e-9")],
)
def test_a_declared_epsilon_is_not_rounded(value: float | Decimal) -> None:
    """A declared epsilon finer than a billionth, or a billionth past the largest, is refused and not rounded."""
    with pytest.raises(Invalid):
        epsilon_nano(value)


@pytest.mark.parametrize("value", [1, 1.0, Decimal("1.0"), 1.5])
def test_delta_of_1_refused(value: float | Decimal) -> None:
    """A delta of 1 would promise nothing and is refused."""
    with pytest.raises(Invalid):
        delta_atto(value)
    assert delta_atto(Decimal("0.999999999999999999")) == ATTO - 1


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_no_number(value: bool) -> None:
    """A JSON true is refused as Invalid, as everything is that is no number."""
    with pytest.raises(Invalid):
        epsilon_nano(value)


def test_a_refusal_names_its_field() -> None:
    """The error says which field was wrong."""
    with pytest.raises(Invalid) as refused:
        epsilon_nano(-1, "budget.epsilon")
    assert refused.value.field == "budget.epsilon"
    with pytest.raises(Invalid) as refused:
        delta_atto(2, "budget.delta")
    assert refused.value.field == "budget.delta"


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_the_text_of_epsilon_is_exact(nano: int) -> None:
    """The text of an epsilon is a plain decimal, without an exponent or idle zeros, equal to it exactly."""
    text = Loss(nano, 0, 0).epsilon_text
    assert Fraction(text) == Fraction(nano, NANO)
    assert set(text) <= set("0123456789.")
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0"), (1, "0.000000001"), (NANO // 10, "0.1"), (10 * NANO, "10"), (EPSILON_MAX * NANO, "10000")],
)
def test_the_text_of_epsilon_reads_well(nano: int, text: str) -> None:
    """Epsilon is written as a person would write it."""
    assert Loss(nano, 0, 0).epsilon_text == text


def test_the_text_of_no_finite_epsilon() -> None:
    """Where epsilon is not finite the text says so, and JSON has null."""
    gaussian = Loss(None, NANO // 2, 10**12)
    assert gaussian.epsilon_text == "infinity"
    assert gaussian.to_json() == {"epsilon": None, "rho": 0.5, "delta": 1e-6}


# What a request offers


def floor_of(text: str, digits: int) -> int:
    """Return the whole units in a decimal, by its digits alone: what stands after the last unit is cut off."""
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    shift = int(exponent or 0) + digits
    written = whole + fraction
    point = len(whole) + shift
    return int(written[:point].ljust(point, "0") or 0) if point > 0 else 0


@pytest.mark.parametrize(
    ("value", "nano"),
    [
        (0.3, 300_000_000),
        (0.1 + 0.2, 300_000_000),
        (0.7 - 0.4, 299_999_999),
        (Decimal("0.29999999999999998"), 299_999_999),
        (Decimal("0.2" + "9" * 100), 299_999_999),
        (0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1, 999_999_999),
        (1.0000000001, 1_000_000_000),
        (1e-9, 1),
        (1.9999e-9, 1),
        (EPSILON_MAX, EPSILON_MAX * NANO),
        (0, 0),
        (0.0, 0),
    ],
)
def test_an_offer_is_rounded_down(value: float | Decimal, nano: int) -> None:
    """Never above what was offered, and less than a unit below it."""
    assert offered("epsilon", value) == nano


any_offer = st.floats(1e-9, EPSILON_MAX) | st.integers(1, 10**13).map(lambda nano: nano / NANO)


@given(any_offer | st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.7, 1e-9, 0.05]), min_size=1, max_size=40).map(sum))
def test_every_float_is_rounded_down_as_it_is_written(value: float) -> None:
    """From JSON and back: the units are the digits that were written, cut off; a note says so where any were lost."""
    written = json.dumps(value)
    read = json.loads(written)
    for word, digits, scale in (("epsilon", 9, NANO), ("rho", 9, NANO), ("delta", 18, ATTO)):
        if word == "delta" and value >= 1:
            continue
        units = offered(word, read)
        assert units == floor_of(written, digits)
        exact = Fraction(Decimal(written))
        assert 0 <= exact * scale - units < 1
        said = rounding(word, read, "privacy/x")
        if exact * scale == units:
            assert said is None
        else:
            assert said is not None
            assert said.startswith(f"privacy/x: {written} was offered and ")
            assert Fraction(Decimal(said.split()[5])) * scale == units


@pytest.mark.parametrize(
    ("word", "unit"), [("epsilon", "0.000000001"), ("rho", "0.000000001"), ("delta", "0." + "0" * 17 + "1")]
)
def test_an_offer_below_one_unit_is_refused(word: str, unit: str) -> None:
    """It would be taken as nothing. Its place is said, and what would be enough."""
    for value in (Decimal(unit) / 2, 5e-324, Decimal("1e-999999999")):
        with pytest.raises(Invalid) as refused:
            offered(word, value, f"budget.{word}")
        assert (refused.value.field, refused.value.message) == (f"budget.{word}", f"must be at least {unit}")
    assert offered(word, Decimal(unit)) == 1


@pytest.mark.parametrize("word", ["epsilon", "rho", "delta"])
def test_an_offer_that_is_no_number_is_refused(word: str) -> None:
    """As what is declared is."""
    for value in (-1, -1e-300, 1e300, float("nan"), float("inf"), Decimal("sNaN"), True, 10**400):
        with pytest.raises(Invalid):
            offered(word, value)
    with pytest.raises(Invalid):
        offered("delta", 1)
