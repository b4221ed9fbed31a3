"""Standardised rates and differences of curves: what they are computed from, how wide their margins are, refusals.

They are functions of the answer as it is shown and of the request alone: recomputed from its JSON they are the same.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from queries.errors import InvalidQuery
from queries.language.nodes import ByValue, Comparison, Mean, Privacy, Proportion, Query
from queries.language.showing import Difference, Order, Show, Standardise
from queries.plan import CONFIDENCE
from queries.planning import planner
from queries.release import answer_columns, assembly, postprocessing, showing
from queries.release.derived import comparing, differences, ratios, standardising
from queries.spelling import json_writing, sql
from queries.statistics import rates, survival
from server.api.requests.showing import parse_show
from tests.laws import tries
from tests.queries.registry import NANO, REGISTRY, planned
from tests.queries.statistics.test_rates import rate_of
from tests.queries.statistics.test_survival import curve_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from queries.plan import Plan

    Floats = NDArray[np.float64]

RELEASES = tries(1_000, audited=10_000)


def drawn(scale: float, size: int, random: np.random.Generator, *, gaussian: bool) -> Floats:
    """Return noise of whole numbers."""
    return np.asarray(np.round((random.normal if gaussian else random.laplace)(0, scale, size)))


# The margins


@pytest.mark.parametrize("gaussian", [False, True], ids=["laplace", "gaussian"])
@pytest.mark.parametrize("strata", [1, 3, 18])
@pytest.mark.parametrize(("clear", "rate"), [(3.0, 0.1), (3.0, 0.001), (30.0, 0.02)])
def test_standardised_interval_covers(clear: float, rate: float, strata: int, gaussian: bool) -> None:
    """In 94% of the releases at least it holds the standardised rate, or there is none; in a planted fault not."""
    random = np.random.default_rng(strata)
    noise = ratios.RatioNoise(12, 600, gaussian)
    below = np.round(clear * noise.reach_below(CONFIDENCE) * np.linspace(1, 2, strata))
    above, weights = np.round(below * rate * np.linspace(1, 3, strata)), np.full(strata, 1 / strata)
    truth = float((weights * above / below).sum())
    half = replace(noise, above=6, below=300)
    held = shown = narrow = 0
    for _ in range(RELEASES):
        x = above + drawn(12, strata, random, gaussian=gaussian)
        y = below + drawn(600, strata, random, gaussian=gaussian)
        found = ratios.standardised(x, y, weights, noise, CONFIDENCE, (0, 1))
        known = not found.unclear.any()
        shown += known
        held += not known or found.low <= truth <= found.high
        planted = ratios.standardised(x, y, weights, half, CONFIDENCE, (0, 1))
        narrow += planted.low <= truth <= planted.high
    # 1,000 releases are too few to tell 94% from 93%.
    assert held >= RELEASES * (0.94 if RELEASES == 10_000 else 0.925)
    assert shown >= 0.9 * RELEASES
    assert narrow <= 0.92 * RELEASES


@pytest.mark.parametrize("gaussian", [False, True], ids=["laplace", "gaussian"])
@pytest.mark.parametrize("persons", [25, 400])
def test_interval_of_a_standardised_share_covers(persons: int, gaussian: bool) -> None:
    """Likewise where the numerator is one side of the denominator."""
    random, weights = np.random.default_rng(persons), np.array([0.5, 0.3, 0.2])
    noise = ratios.RatioNoise(4, 4, gaussian, share=True)
    holding, others = np.round(persons * np.array([0.1, 0.5, 0.9])), np.round(persons * np.array([0.9, 0.5, 0.1]))
    truth, held = float((weights * holding / (holding + others)).sum()), 0
    for _ in range(RELEASES):
        x, y = (one + drawn(4, 3, random, gaussian=gaussian) for one in (holding, others))
        found = ratios.standardised(x, x + y, weights, noise, CONFIDENCE, (0, 1))
        held += bool(found.unclear.any()) or found.low <= truth <= found.high
    assert held >= RELEASES * (0.94 if RELEASES == 10_000 else 0.925)


def test_denominators_that_are_noise_give_no_number() -> None:
    """Strata without persons are named, whatever their numerator; those of weight 0 do not matter."""
    noise = ratios.RatioNoise(4, 1000, gaussian=False)
    above, below = np.array([40.0, 3.0, 50.0]), np.array([100_000.0, 2_000.0, 90_000.0])
    found = ratios.standardised(above, below, np.array([0.4, 0.2, 0.4]), noise, CONFIDENCE, (0, 1))
    assert found.unclear.tolist() == [False, True, False]
    assert np.isnan([found.value, found.low, found.high]).all()
    without = ratios.standardised(above, below, np.array([0.5, 0, 0.5]), noise, CONFIDENCE, (0, 1))
    assert without.value == pytest.approx((40 / 100_000 + 50 / 90_000) / 2)
    random = np.random.default_rng(1)
    empty = sum(
        not ratios.standardised(
            drawn(4, 3, random, gaussian=False),
            drawn(1000, 3, random, gaussian=False),
            np.full(3, 1 / 3),
            noise,
            0.95,
            (0, 1),
        ).unclear.any()
        for _ in range(2000)
    )
    assert empty == 0


def test_negative_numerators_do_not_raise_the_standardised_rate() -> None:
    """A mean of many strata with fewer events than the noise is unbiased; a planted fault that clamps them is not."""
    random, noise = np.random.default_rng(4), ratios.RatioNoise(6, 300, gaussian=False)
    above, below, weights = np.full(18, 2.0), np.full(18, 20_000.0), np.full(18, 1 / 18)
    found, clamped = [], []
    for _ in range(500):
        x, y = above + drawn(6, 18, random, gaussian=False), below + drawn(300, 18, random, gaussian=False)
        found.append(ratios.standardised(x, y, weights, noise, CONFIDENCE, (-1, 1)).value)
        clamped.append(ratios.standardised(np.maximum(x, 0), y, weights, noise, CONFIDENCE, (-1, 1)).value)
    assert np.mean(found) == pytest.approx(1e-4, rel=0.1)
    assert np.mean(clamped) > 1.3e-4


def group(persons: int, intervals: int, hazard: float) -> Floats:
    """Return counts by what became of persons."""
    numbers = np.round(np.tile([hazard, 0.3 / intervals], intervals) * persons)
    return np.append(numbers, persons - numbers.sum())


@pytest.mark.parametrize("gaussian", [False, True], ids=["laplace", "gaussian"])
@pytest.mark.parametrize(
    ("persons", "scale", "intervals", "hazard"),
    [((150, 150), 2.0, 10, 0.06), ((300, 3000), 5.0, 10, 0.01), ((3000, 3000), 20.0, 60, 0.004)],
)
def test_band_of_a_difference_covers(
    persons: tuple[int, int], scale: float, intervals: int, hazard: float, gaussian: bool
) -> None:
    """In 94% of the releases at least: at each day, at all of them, and the days of survival. Half the noise is caught."""
    random, edges = np.random.default_rng(intervals), range(0, 7 * intervals + 1, 7)
    one, other = (group(n, intervals, hazard / k) for n, k in zip(persons, (1, 2), strict=True))
    exact, noise = (differences.Noise(size, gaussian, CONFIDENCE) for size in (1e-9, scale))
    truth = differences.difference(one, other, edges, exact, simultaneous=False).value
    days = differences.days_difference(one, other, edges, exact)
    assert days is not None
    held, narrow, at_once, of_days = np.zeros(intervals), np.zeros(intervals), 0, 0
    for _ in range(RELEASES):
        x = one + drawn(scale, len(one), random, gaussian=gaussian)
        y = other + drawn(scale, len(other), random, gaussian=gaussian)
        band = differences.difference(x, y, edges, noise, simultaneous=False)
        held += (band.low <= truth) & (truth <= band.high)
        assert np.all((band.low <= band.value) & (band.value <= band.high))
        half = differences.difference(x, y, edges, replace(noise, scale=scale / 2), simultaneous=False)
        narrow += (half.low <= truth) & (truth <= half.high)
        band = differences.difference(x, y, edges, noise, simultaneous=True)
        at_once += bool(np.all((band.low <= truth) & (truth <= band.high)))
        found = differences.days_difference(x, y, edges, noise)
        of_days += found is None or found[1] <= days[0] <= found[2]
    least = RELEASES * (0.94 if RELEASES == 10_000 else 0.925)
    assert min(held.min(), at_once, of_days) >= least
    assert narrow.min() < 0.9 * RELEASES


def test_days_of_survival_are_those_of_single_days_where_events_lie_evenly() -> None:
    """One event on each of thirty days, told in intervals of ten and twenty days: the area under Kaplan and Meier's."""
    daily = sum(1 - (day + 1) / 100 for day in range(30))
    found = differences.days(np.array([10, 0, 20, 0, 70.0]), [0, 10, 30], differences.Noise(1e-6, False, CONFIDENCE))
    assert found is not None
    assert found[0] == pytest.approx(daily)


def test_days_of_survival_change_as_their_derivatives_say() -> None:
    """Each number moves the area under the curve by its derivative, in intervals of any width."""
    edges, counts = [0, 1, 8, 30, 60, 90], np.array([5, 3, 20, 10, 30, 20, 10, 5, 7, 9, 100.0])

    def product(numbers: Floats) -> Floats:
        found = survival.grouped(numbers[None, :], edges)
        return np.asarray(np.cumprod(1 - found.events / found.at_risk, axis=1)[0])

    found = differences._gradient(counts, edges, product(counts))
    for place, unit in enumerate(np.eye(len(counts)) * 1e-4):
        ends = (differences._under(product(counts + side * unit), edges) for side in (1, -1))
        assert (next(ends) - next(ends)) / 2e-4 == pytest.approx(found[place], rel=1e-5)


# What they are computed from


@pytest.mark.parametrize("gaussian", [False, True], ids=["laplace", "gaussian"])
def test_interval_lies_around_the_mean_less_what_noise_of_denominators_adds(gaussian: bool) -> None:
    """In many strata of 20 scales the mean is too large by var(Y) / T^2, a half or a quarter of a percent."""
    random, noise = np.random.default_rng(9), ratios.RatioNoise(1, 100, gaussian)
    same, weights = np.full(2_000, 2_000.0), np.full(2_000, 1 / 2_000)
    values, centres = [], []
    for _ in range(100):
        y = same + drawn(100, 2_000, random, gaussian=gaussian)
        found = ratios.standardised(same, y, weights, noise, CONFIDENCE, (0, 2))
        values.append(found.value)
        centres.append((found.low + found.high) / 2)
    assert np.mean(values) - 1 == pytest.approx(0.0025 if gaussian else 0.005, rel=0.2)
    assert abs(np.mean(centres) - 1) < 0.002


def answered(plan: Plan, vectors: list[NDArray[np.int64]]) -> dict[str, Any]:
    """Return an answer as it is shown."""
    noisy = assembly.add_noise(plan, vectors)
    query = {"query": json_writing.to_json(plan.query), "sql": sql.to_sql(plan.query)}
    described = {"columns": assembly.columns(plan), "notes": [], "statistics": postprocessing.describe(plan)}
    body = {**query, **described, "rows": assembly.rows(plan, noisy)}
    return json.loads(json.dumps(body, default=list))


def shown(body: dict[str, Any], show: Show, *post: str, must: int | None = None) -> dict[str, Any]:
    """Return how an answer is shown, from its JSON."""
    bound = showing.bind(show, answer_columns.released(body))
    return showing.arrange(postprocessing.apply(body, post, must), bound)


SEXES, BORN = ("female", "male"), (1990, 1991, 1992, 1993, 1994, None)
BY = (ByValue("sex"), ByValue("born"))


def plan_of(query: Query, epsilon: int = 20) -> Plan:
    """Return the plan of a query."""
    return planner.plan(query, REGISTRY, Privacy(epsilon * NANO), 100_000)


EVENTS = np.arange(12) * 11 + 20
DAYS = np.arange(12) * 1000 + 50_000
RATE = answered(plan_of(planned(rate_of(days=365, ends="2020-03-01", group_by=BY)).query), [EVENTS, DAYS])
CURVE = answered(
    plan_of(planned(curve_of(group_by=BY)).query), [np.tile([30, 5, 40, 6, 50, 7, 60, 9, 400], 12) + np.arange(108)]
)
WEIGHTS = {"1990": 5, "1991": 4, "1992": 3, "1993": 2, "1994": 0}
STANDARD = parse_show({"standardise": {"statistic": "r", "by": "born", "weights": WEIGHTS}})
LESS = parse_show({"difference": {"statistic": "s", "by": "sex", "reference": "male"}})


def test_a_standardised_rate_is_the_weighted_mean_of_the_released_ones() -> None:
    """For each sex, from the numbers in the answer's JSON; the strata stand beside as they were released."""
    found = shown(RATE, STANDARD)
    assert [column["name"] for column in found["columns"]] == ["sex", "r_standardised", "r_by_born"]
    assert [row["sex"] for row in found["rows"]] == list(SEXES)
    for row in found["rows"]:
        strata = [one for one in RATE["rows"] if one["sex"] == row["sex"]]
        assert [{**part, "bin": None} for part in row["r_by_born"]["bins"]] == [
            {**one["r"], "bin": None} for one in strata
        ]
        assert [part["bin"] for part in row["r_by_born"]["bins"]] == list(BORN)
        raw = [one["r"]["raw"] for one in strata]
        each = [one["events"] / one["person_days"] * rates.YEAR for one in raw]
        wanted = sum(weight * rate for weight, rate in zip(WEIGHTS.values(), each, strict=False)) / 14
        result = row["r_standardised"]
        assert result["value"] == pytest.approx(wanted, rel=1e-12)
        assert result["low"] < result["value"] < result["high"]


def test_a_difference_is_that_of_the_released_curves() -> None:
    """By sex within each year of birth; that of the reference to itself is 0, and the curves stand beside."""
    found = shown(CURVE, LESS)
    rows = {(row["sex"], row["born"]): row for row in found["rows"]}
    assert len(rows) == 12
    for born in BORN:
        one, other = rows["female", born], rows["male", born]
        points = zip(one["s"]["survival"], other["s"]["survival"], one["s_difference"]["differences"], strict=True)
        for high, low, part in points:
            assert part["until"] == high["until"]
            assert part["value"] == pytest.approx(high["value"] - low["value"])
            assert part["low"] < part["value"] < part["high"]
        assert {part["high"] - part["low"] for part in other["s_difference"]["differences"]} == {0}
        apart = one["s_days"]["value"] - other["s_days"]["value"]
        assert one["s_days_difference"]["value"] == pytest.approx(apart)
        assert one["s"] == next(row["s"] for row in CURVE["rows"] if (row["sex"], row["born"]) == ("female", born))
    at_once = replace(LESS, derive=replace(LESS.derive, band="simultaneous"))  # type: ignore[type-var]
    wider = shown(CURVE, at_once)["rows"][0]["s_difference"]["differences"]
    assert all(
        part["high"] - part["low"] > before["high"] - before["low"]
        for part, before in zip(wider, found["rows"][0]["s_difference"]["differences"], strict=True)
    )


def mean_and_share() -> dict[str, Any]:
    """Return an answer with a mean of a number in halves, and a proportion, by year of birth."""
    select = (("m", Mean("cost", (-4, 20))), ("p", Proportion(Comparison("urgent", "=", True))))
    plan = plan_of(Query("visits", select, None, (ByValue("born"),)))
    counts = np.arange(6) * 100 + 400
    sides = np.column_stack([counts // 4, counts - counts // 4]).ravel()
    return answered(plan, [counts * 7, counts, sides])


def test_means_and_shares_are_standardised_too() -> None:
    """In the units of the column, from what the answer says of the middle of its bounds."""
    body = mean_and_share()
    for name in ("m", "p"):
        show = parse_show({"standardise": {"statistic": name, "by": "born", "weights": WEIGHTS}})
        (row,) = shown(body, show)["rows"]
        values = [one[name]["value"] for one in body["rows"]][:5]
        wanted = sum(weight * value for weight, value in zip(WEIGHTS.values(), values, strict=True)) / 14
        result = row[f"{name}_standardised"]
        assert result["value"] == pytest.approx(wanted)
        widths = [one[name]["high"] - one[name]["low"] for one in body["rows"]]
        assert 0 < result["high"] - result["low"] < max(widths)


def perturbed(body: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return an answer with something changed."""
    copy = json.loads(json.dumps(body))
    change(copy)
    return copy


@pytest.mark.parametrize("show", [STANDARD, LESS], ids=["standardised", "difference"])
def test_only_shown_numbers_come_in(show: Show) -> None:
    """What a stored release has besides them changes nothing: salt, what describes it, values of other rows' intervals."""
    body = RATE if show is STANDARD else CURVE

    def other(copy: dict[str, Any]) -> None:
        copy["salt"], copy["cost"] = "another", {"epsilon": 9}
        for row in copy["rows"]:
            for result in row.values():
                if isinstance(result, dict):
                    result |= {"secret": 17}

    found = shown(perturbed(body, other), show)["rows"]
    text = json.dumps(shown(body, show)["rows"])
    assert json.dumps(found).replace(', "secret": 17', "") == text


def test_a_hidden_part_of_the_reference_hides_its_differences() -> None:
    """Also where the group itself is shown: nothing tells of the other's curve."""

    def hide(copy: dict[str, Any]) -> None:
        part = copy["rows"][6]["s"]["survival"][0]
        part |= {"value": None, "low": None, "high": None, "hidden": True}
        del part["raw"]

    before, after = (shown(body, LESS)["rows"][0] for body in (CURVE, perturbed(CURVE, hide)))
    assert after["s"] == before["s"]
    assert not any("hidden" in part for part in before["s_difference"]["differences"])
    assert all(part["hidden"] for part in after["s_difference"]["differences"])
    assert after["s_days_difference"]["hidden"]


@pytest.mark.parametrize("must", [None, 25])
def test_hidden_cells_hide_what_is_computed_from_them(must: int | None) -> None:
    """The stratum with fewer events is hidden, and with it the rate of its sex, also where nothing is a must."""
    few = perturbed(RATE, lambda copy: copy["rows"][1]["r"]["raw"].update(events=3))
    post = () if must else ("hide_below:25",)
    found = shown(few, STANDARD, *post, must=must)
    female, male = (row["r_standardised"] for row in found["rows"])
    assert female == {"value": None, "low": None, "high": None, "hidden": True}
    assert male["value"] is not None
    assert any("hidden, because a stratum is" in note for note in found["notes"])
    for place in (0, 6):  # the curve of a group, and that of its reference
        curve = perturbed(CURVE, lambda copy, at=place: copy["rows"][at]["s"]["survival"][2]["raw"].update(events=3))  # type: ignore[misc]
        rows = shown(curve, LESS, *post, must=must)["rows"]
        assert all(part["hidden"] for part in rows[0]["s_difference"]["differences"])
        assert rows[0]["s_days_difference"]["value"] is None
        if must:
            assert '"events": 3' not in json.dumps(rows)


def test_strata_that_are_noise_are_named() -> None:
    """Instead of a number there is a sentence with the strata."""
    empty = perturbed(RATE, lambda copy: copy["rows"][2]["r"]["raw"].update(person_days=3))
    found = shown(empty, STANDARD)
    assert found["rows"][0]["r_standardised"] == {"value": None, "low": None, "high": None}
    assert any(
        "in 1 of 2 rows there is no value, because denominators are hardly more than their noise: 1992" in note
        for note in found["notes"]
    )


def test_rows_are_chosen_by_what_was_computed() -> None:
    """HAVING and ORDER BY name the standardised rate, and post-processing rounds it."""
    show = replace(STANDARD, order_by=(Order("R_standardised", descending=True),), limit=1)
    found = shown(RATE, show, "round")
    (row,) = found["rows"]
    values = {one["sex"]: one["r_standardised"]["value"] for one in shown(RATE, STANDARD)["rows"]}
    assert row["sex"] == max(values, key=lambda sex: values[sex])
    assert len(str(row["r_standardised"]["value"])) < len(str(row["r_standardised"]["raw_value"]))
    assert found["show"]["left_out"] == 1


@pytest.mark.parametrize(
    ("show", "place"),
    [
        ({"standardise": {"statistic": "s", "by": "born", "weights": WEIGHTS}}, "/show/standardise/statistic"),
        ({"standardise": {"statistic": "r", "by": "sexes", "weights": WEIGHTS}}, "/show/standardise/by"),
        ({"standardise": {"statistic": "r", "by": "born", "weights": {"1990": 1}}}, "/show/standardise/weights"),
        (
            {"standardise": {"statistic": "r", "by": "born", "weights": {**WEIGHTS, "1995": 1}}},
            "/show/standardise/weights",
        ),
        ({"difference": {"statistic": "r", "by": "sex", "reference": "male"}}, "/show/difference/statistic"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_its_place(show: dict[str, Any], place: str) -> None:
    """Before any charge, and when a stored release is shown."""
    with pytest.raises(InvalidQuery) as refused:
        showing.bind(parse_show(show), answer_columns.released(RATE))
    assert refused.value.pointer == place
    with pytest.raises(InvalidQuery):
        showing.bind(parse_show(show), answer_columns.planned(planned(rate_of(group_by=BY))))


def test_a_reference_must_be_a_group() -> None:
    """And a release of an earlier version, which does not say all of its noise, is refused."""
    wrong = parse_show({"difference": {"statistic": "s", "by": "sex", "reference": "men"}})
    with pytest.raises(InvalidQuery, match="it has female, male"):
        showing.bind(wrong, answer_columns.released(CURVE))
    old = perturbed(RATE, lambda copy: [column.pop("noise", None) for column in copy["columns"]] and None)
    with pytest.raises(InvalidQuery, match="earlier version"):
        showing.bind(STANDARD, answer_columns.released(old))


def test_json_says_what_is_computed() -> None:
    """What is read is written again."""
    for show in (STANDARD, LESS):
        assert parse_show(json_writing.show_to_json(show)) == show
    assert isinstance(STANDARD.derive, Standardise)
    assert isinstance(LESS.derive, Difference)
    assert standardising.POINTER != comparing.POINTER
