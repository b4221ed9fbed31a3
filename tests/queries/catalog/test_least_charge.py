from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries import plan
from queries.catalog import least_charge, manifest
from queries.catalog.schema import describe
from queries.contribution import profile
from queries.errors import InvalidQuery, ManifestError
from queries.language import nodes
from queries.language.nodes import Margins, Privacy, Target
from queries.planning import planner
from tests.queries.ward import EVERY, NANO, WARD

ORDINARY = replace(WARD, epsilon_min=Decimal("0.001"))
COUNT = nodes.Query("stays", (("n", EVERY["people"]),))
MILLI, HALF_SQUARE = 1_000_000, 500  # epsilon 0.001 and its square over 2, in billionths


def planned(privacy: Privacy, query: nodes.Query = COUNT) -> plan.Plan:
    """Plan a query on the dataset whose least charge is 0.001."""
    return planner.plan(query, ORDINARY, privacy, 1_000)


@pytest.mark.parametrize(
    ("too_little", "enough", "pointer", "said"),
    [
        (Privacy(MILLI - 1), Privacy(MILLI), "/privacy/epsilon", "at least 0.001,"),
        (
            Privacy(rho_nano=HALF_SQUARE - 1),
            Privacy(rho_nano=HALF_SQUARE),
            "/privacy/rho",
            "at least 5e-07,",
        ),
    ],
)
def test_less_than_the_least_is_refused(too_little: Privacy, enough: Privacy, pointer: str, said: str) -> None:
    """One billionth below the least is refused with its place and the least; the least itself is planned and charged."""
    with pytest.raises(InvalidQuery, match=said) as refused:
        planned(too_little)
    assert refused.value.pointer == pointer
    cost = planned(enough).cost
    assert cost.rho >= Fraction(HALF_SQUARE, NANO)
    assert cost.epsilon is None or cost.epsilon == Fraction(MILLI, NANO)


@pytest.mark.parametrize("gaussian", [False, True])
@given(margin=st.floats(1, 1e12), statistics=st.integers(1, 3))
def test_margins_cost_the_least_at_least(gaussian: bool, margin: float, statistics: int) -> None:
    """However wide the margins asked for, the charge is not below the least, and what is met is no wider."""
    names = [f"n{place}" for place in range(statistics)]
    asked = Privacy(margins=Margins(tuple((name, Target(margin)) for name in names), 0.95, gaussian))
    query = replace(COUNT, select=tuple((name, EVERY["people"]) for name in names))
    one = planned(asked, query)
    paid = one.cost.rho if gaussian else one.cost.epsilon
    lowest = Fraction(HALF_SQUARE if gaussian else MILLI, NANO)
    assert paid is not None
    assert paid >= lowest
    assert all(float(measure.mechanism.margin(0.95)) <= margin for measure in one.measures)
    raised = any("least that a question costs" in note for note in one.notes)
    assert raised == (paid < lowest + Fraction(10, NANO))


def test_a_profile_costs_the_least_at_least() -> None:
    """The same holds of what a custodian buys."""
    with pytest.raises(InvalidQuery, match="at least 0.001") as refused:
        profile.plan(ORDINARY, MILLI - 1)
    assert refused.value.pointer == "/epsilon"
    assert sum(one.epsilon_nano for one in profile.plan(ORDINARY, MILLI).mechanisms) == MILLI


@given(st.decimals("0.000000001", 100, places=9))
def test_the_least_rho_buys_no_less_than_the_least_epsilon(epsilon_min: Decimal) -> None:
    """A rho that is enough is never worth a smaller epsilon than one that is: it is rounded up."""
    dataset = replace(WARD, epsilon_min=epsilon_min)
    rho = Fraction(least_charge.nano(dataset, "rho"), NANO)
    assert 2 * rho >= Fraction(least_charge.nano(dataset, "epsilon"), NANO) ** 2


MANIFEST = """
[dataset]
name = "d"
epsilon = {epsilon}
persons_max = 10
{line}
[person]
id = "p"
[tables.t]
source = "t.csv"
"""


@pytest.mark.parametrize(
    ("epsilon", "line", "found"),
    [
        ("10.0", "", "0.001"),
        ("10.0", "epsilon_min = 0.01", "0.01"),
        ("10.0", "epsilon_min = 0.000000001", "1E-9"),
        ("0.0005", "", "0.0005"),
        ("1", "epsilon_min = 1", "1"),
    ],
)
def test_manifest_sets_least_charge(epsilon: str, line: str, found: str) -> None:
    """It is 0.001 where nothing is said, as for every edition from before, but never beyond the cap; and it is public."""
    read = manifest.parse(MANIFEST.format(epsilon=epsilon, line=line), Path()).dataset
    assert read.epsilon_min == Decimal(found)
    assert describe(read)["epsilon_min"] == float(found)


@pytest.mark.parametrize("wrong", ["0", "-1", "11", "0.0000000001", "nan", '"0.1"', "true"])
def test_what_cannot_be_the_least_is_refused_with_its_place(wrong: str) -> None:
    """Zero, more than the cap, parts of a billionth and what is no number."""
    with pytest.raises(ManifestError) as refused:
        manifest.parse(MANIFEST.format(epsilon="10.0", line=f"epsilon_min = {wrong}"), Path())
    assert refused.value.place == "dataset.epsilon_min"
