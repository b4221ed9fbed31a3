"""What an estimate says of a query's error: the reason for its noise, what would help, what no margin tells."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.nodes import Margins, Privacy, Target
from queries.planning import advice, planner
from queries.planning.advice import Asked
from queries.statistics import estimates
from tests.queries.ward import EVERY, NANO, WARD, planned

UNIT, SEX, AGE = nodes.ByValue("unit"), nodes.ByValue("sex"), nodes.ByValue("age")
HALF = Privacy(epsilon_nano=NANO // 2)
ASKED = "bounds that were asked for cut off what is beyond them, and it is in no margin: a person counts "


def advised(
    privacy: Privacy,
    *group_by: nodes.Key,
    cells: int | None = 1,
    events: int | None = 1,
    rho_nano: int | None = None,
    **select: nodes.Statistic,
) -> list[str]:
    """Return the advice on a query of the ward."""
    made = planned(privacy, *group_by, cells=cells, events=events, **select)
    return advice.advise(Asked(made, WARD, privacy, 1_000_000, rho_nano))


def test_a_count_that_only_the_charge_limits() -> None:
    """One count of persons by an attribute of theirs: nothing is cut off, and there is one thing to say."""
    assert advised(HALF, SEX, n=EVERY["people"]) == [
        "n: the noise, ±6, is what hides one person at this epsilon; twice the epsilon would halve it. "
        "A group needs at least 60 persons for a margin under 10% of its count."
    ]


def test_advice_names_bound_on_cells_per_person() -> None:
    """The bound on cells is named as the reason, with what half of it would give, and what it cuts off."""
    said = advised(HALF, UNIT, cells=10, n=EVERY["people"])
    assert said == [
        "n: the noise, ±60, is large because a person counts in 10 cells; with cells_per_person 5 it would be ±30. "
        "A group needs at least 600 persons for a margin under 10% of its count.",
        f"n: {ASKED}in at most 10 cells of the 16 they could touch. No profile tells how much it is.",
    ]


def test_query_of_many_statistics_gets_no_advice_on_each() -> None:
    """Up to 16 statistics each get their advice; of 17 none does, and one sentence tells why."""
    few = {f"n{number}": EVERY["people"] for number in range(advice.EACH_MAX)}
    assert [said.partition(":")[0] for said in advised(HALF, SEX, **few)][: len(few)] == list(few)
    said = advised(HALF, SEX, **few, one_more=EVERY["people"])
    assert "17 statistics" in said[0]
    assert not any(one.startswith("n0:") for one in said)


def test_gaussian_noise_grows_with_the_square_root_of_the_cells() -> None:
    """With rho half the cells are the 0.71st part of the noise, and the advice says so."""
    (first, _) = advised(Privacy(rho_nano=NANO // 1000), UNIT, cells=10, n=EVERY["people"])
    now, then = map(int, re.findall(r"±(\d+)", first))
    assert then / now == pytest.approx(2**-0.5, abs=0.01)


def test_advice_names_bound_on_events_per_cell() -> None:
    """The bound on events is named, the margin with half of it is the one such a query would have."""
    said = advised(HALF, SEX, events=10, visits=EVERY["total"])
    margin = estimates.fixed_margin(planned(HALF, SEX, events=5, visits=EVERY["total"]).outputs[0], 0.95)
    assert said[0].startswith(
        "visits: the noise, ±1,797, is large because 10 events of a person count in each cell; "
        f"with events_per_cell 5 it would be ±{int(margin):,}."
    )
    assert said[1].startswith(f"visits: {ASKED}with at most 10 events in each cell. ")


def test_a_small_share_of_the_charge() -> None:
    """A count beside a wide correlation has little of the epsilon: asked by itself it would be as exact as alone."""
    said = advised(HALF, SEX, n=EVERY["people"], k=EVERY["correlation"])
    assert re.match(
        r"n: the noise, ±\d+, is \d+ times what it would be alone, for the query's 2 statistics share its epsilon; "
        r"asked by itself it would have ±6\. ",
        said[0],
    )


def test_advice_names_wide_bounds_of_values() -> None:
    """Where nothing else matters, a sum's noise is that of its largest value, and a mean's that of its range."""
    (total, _) = advised(HALF, SEX, s=EVERY["total"])
    assert total.startswith(
        "s: the noise, ±180, hides that one event can add up to 30; bounds half as wide would halve"
    )
    assert total.endswith("A group needs at least 120 events of 15 each for a margin under 10% of its sum.")
    (mean, *_) = advised(HALF, SEX, m=nodes.Mean("cost"))
    assert "grows with the range of the values, 0 to 20,000; a narrower one would lessen it." in mean


def test_values_that_are_clamped() -> None:
    """Bounds narrower than the column's are said to cut values off."""
    said = advised(HALF, SEX, m=EVERY["mean"])
    assert said[-1] == (
        f"m: {ASKED}with at most 1 event in each cell; m takes cost above 2,000 for 2,000 (the column goes from 0 to "
        "20,000). No profile tells how much it is."
    )
    said = advised(HALF, SEX, m=nodes.Sum("tenths", (0, 2)))
    assert "m takes tenths below 0 for 0 and above 2 for 2 (the column goes from -0.5 to 3)." in said[-1]
    assert not any("takes cost" in line for line in advised(HALF, SEX, m=nodes.Mean("cost")))


def test_advice_names_few_persons_in_each_cell() -> None:
    """100,000 persons in 1,936 cells are 52 each, where 300 are needed: six times fewer cells would do."""
    said = advised(Privacy(epsilon_nano=NANO // 10), UNIT, AGE, n=EVERY["people"])
    assert said[1].startswith(
        "About 44% of the numbers of n are expected to drown in the noise, at best, if the dataset"
    )
    assert said[2] == (
        "The dataset has 100,000 persons at most, and there are 1,936 cells: on average no more than 51.7 persons in "
        "each, where n needs 300 for a margin under a tenth. 6 times fewer cells would do: coarser bins or periods, or "
        "fewer keys."
    )
    assert not any("fewer cells" in line for line in advised(Privacy(epsilon_nano=NANO // 10), UNIT, n=EVERY["people"]))


def test_rho_in_place_of_epsilon() -> None:
    """For as large a part of the budget rho gives a narrower margin to persons in many cells, and is not better in one."""
    rho = NANO // 32
    (_, said, _) = advised(HALF, UNIT, cells=10, rho_nano=rho, n=EVERY["people"])
    margin = planned(Privacy(rho_nano=rho), UNIT, cells=10, n=EVERY["people"]).measures[0].mechanism.margin(0.95)
    assert said == (
        "rho 0.0312 is as large a part of the study's budget as this query's epsilon, and would give "
        f"n ±{margin} instead of ±60; from then on the budget would count in rho, or each kind of noise by itself."
    )
    assert not any("rho" in line for line in advised(HALF, SEX, rho_nano=rho, n=EVERY["people"]))
    assert not any(
        "study's" in line for line in advised(Privacy(rho_nano=rho), UNIT, cells=10, rho_nano=rho, n=EVERY["people"])
    )


def test_where_margins_were_asked_the_cost_is_compared() -> None:
    """The margin is given; what other bounds change is what it costs."""
    asked = Privacy(margins=Margins((("n", Target(10)),)))
    (first, _) = advised(asked, UNIT, cells=10, n=EVERY["people"])
    assert first.startswith(
        "n: the noise, ±10, is large because a person counts in 10 cells; "
        "with cells_per_person 5 the query would cost epsilon 1.42 instead of epsilon 2.84."
    )


@pytest.mark.parametrize("name", EVERY)
def test_the_group_that_is_said_to_be_needed_is_enough(name: str) -> None:
    """In a group of the size named, the margin is under the tenth that is spoken of, to within a twentieth of it."""
    made = planned(HALF, events=4, s=EVERY[name])
    (output,) = made.outputs
    said = advice.advise(Asked(made, WARD, HALF, 1_000_000))[0]
    needed = int(re.findall(r"needs at least ([\d,]+)", said)[0].replace(",", ""))
    match EVERY[name]:
        case nodes.Count() | nodes.Histogram() | nodes.Top():
            assert estimates.fixed_margin(output, 0.95) <= needed / 10
        case nodes.Sum():
            assert estimates.fixed_margin(output, 0.95) <= needed * 15 / 10
        case nodes.Mean():
            assert estimates.margin_at(output, needed, 0.95) <= 100 * 1.06
        case nodes.Proportion():
            assert estimates.margin_at(output, needed, 0.95) <= 0.05 * 1.06
        case nodes.Quantile() | nodes.Iqr():
            assert estimates.rank_margin(output, 0.95) <= 0.05 * needed
        case nodes.Slope():
            assert estimates.margin_at(output, needed, 0.95) <= 0.1 * 15 / 60
        case nodes.Correlation():
            assert estimates.margin_at(output, needed, 0.95) <= 0.1
        case nodes.Variance():
            assert estimates.margin_at(output, needed, 0.95) <= 0.1 * 60**2 / 3
        case nodes.Stddev():
            assert estimates.margin_at(output, needed, 0.95) <= 0.1 * 60 / 3**0.5
        case nodes.Covariance():
            assert estimates.margin_at(output, needed, 0.95) <= 0.1 * 60 * 15 / 3


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.sampled_from(sorted(EVERY)), min_size=1, max_size=4, unique=True),
    st.integers(10**5, 5 * NANO),
    st.booleans(),
    st.integers(1, 16),
    st.integers(1, 40),
)
def test_there_is_advice_on_every_query(names: list[str], nano: int, in_rho: bool, cells: int, events: int) -> None:
    """Each statistic has its line, of at most two sentences; each line is a whole sentence with no empty part."""
    privacy = Privacy(rho_nano=nano) if in_rho else Privacy(epsilon_nano=nano)
    select = {name: EVERY[name] for name in names}
    try:
        said = advised(privacy, UNIT, cells=cells, events=events, rho_nano=nano, **select)
    except InvalidQuery as refusal:
        assert "overflow" in refusal.message  # noqa: PT017
        return
    assert [line.partition(":")[0] for line in said[: len(names)]] == names
    for line in said:
        assert line.endswith(".")
        assert not re.search(r"None|nan|inf\b|  |(?<![\d.,])1 events|(?<![\d.,])1 cells", line), line
    for line in said[: len(names)]:
        assert len(re.findall(r"\.(?= |$)", line)) == 2, line


def test_the_table_of_persons_is_cut_nowhere() -> None:
    """With one row per person no bound is in force, and no line speaks of one."""
    made = planned(HALF, n=EVERY["people"])
    query = replace(made.query, source="persons", select=(("n", EVERY["people"]),))
    other = planner.plan(query, WARD, HALF, 1_000_000)
    assert len(advice.advise(Asked(other, WARD, HALF, 1_000_000))) == 1
