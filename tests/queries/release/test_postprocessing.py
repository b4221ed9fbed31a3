from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from queries import plan
from queries.catalog import manifest
from queries.language import nodes
from queries.planning import planner
from queries.release import postprocessing
from tests.serving import CLINIC

DATASET = manifest.parse(CLINIC.replace("[0, 1000]", "[-50, 1000]"), Path()).dataset
OLD = nodes.Comparison("age", ">=", 65)


def planned(*keys: nodes.Key, **select: nodes.Statistic) -> plan.Plan:
    """Return the plan of a query of the clinic's visits."""
    query = nodes.Query("visits", tuple(select.items()), None, keys)
    return planner.plan(query, DATASET, nodes.Privacy(10**9), 100_000)


def told(value: float, low: float, high: float, **others: Any) -> dict[str, Any]:
    """Return a result."""
    return {"value": value, "low": low, "high": high, **others}


def body(rows: list[dict[str, Any]], about: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a release as it is stored."""
    columns = [{"name": name, "kind": "statistic", "mechanism": "discrete_laplace", "scale": 20.0} for name in about]
    return {"columns": columns, "notes": ["one"], "statistics": about, "rows": rows}


COUNT = {"low": 0, "high": None, "step": "1"}


def processed(result: dict[str, Any], about: dict[str, Any], *post: str) -> dict[str, Any]:
    """Return one result after processing; what was stored must stay as it is."""
    stored = body([{"key": 1, "s": result}], {"s": about})
    before = copy.deepcopy(stored)
    shown = postprocessing.apply(stored, post)
    assert stored == before
    assert shown["rows"][0]["key"] == 1
    found: dict[str, Any] = shown["rows"][0]["s"]
    return found


# What is known of values


def test_public_limits_and_step_of_values() -> None:
    """Least, greatest, step: of counts, of sums by the sign of their bounds, of values by their bounds."""
    known = postprocessing.describe(
        planned(
            n=nodes.Count("persons"),
            h=nodes.Histogram("age", (0, 50, 121)),
            t=nodes.Top("sex", 1),
            up=nodes.Sum("cost", (0, 10)),
            down=nodes.Sum("cost", (-50, 0)),
            both=nodes.Sum("cost"),
            m=nodes.Mean("cost", (5, 10)),
            q=nodes.Quantile("cost", (0.5,), (1, 100.5)),
            i=nodes.Iqr("cost", (-1, 100.5)),
            p=nodes.Proportion(OLD),
            v=nodes.Variance("cost"),
            c=nodes.Covariance(("cost", "age")),
            r=nodes.Correlation(("cost", "age")),
        )
    )
    limits = {name: (about["low"], about["high"], about["step"]) for name, about in known.items()}
    assert limits == {
        **dict.fromkeys(("n", "h", "t"), (0, None, "1")),
        "up": (0, None, "0.01"),
        "down": (None, 0, "0.01"),
        "both": (None, None, "0.01"),
        "m": (5, 10, None),
        "q": (1, 100.5, "0.01"),
        "i": (0, 101.5, "0.01"),
        "p": (0, 1, None),
        "v": (0, None, None),
        "c": (None, None, None),
        "r": (-1, 1, None),
    }


def test_which_statistics_have_one_total() -> None:
    """Counts, proportions and histograms over every value share one if they count the same; others have none."""
    known = postprocessing.describe(
        planned(
            nodes.ByValue("urgent"),
            persons=nodes.Count("persons"),
            share=nodes.Proportion(OLD, "persons"),
            events=nodes.Count("events"),
            part=nodes.Proportion(OLD),
            whole=nodes.Histogram("age", (0, 50, 121)),
            wider=nodes.Histogram("day", ("2010-01-01", "2021-01-01", "2030-01-01")),
            values=nodes.Histogram("sex"),
            short=nodes.Histogram("age", (0, 50, 120)),
            late=nodes.Histogram("age", (1, 50, 121)),
            old=nodes.Count("events", where=OLD),
            old_bins=nodes.Histogram("sex", where=nodes.Not(nodes.Comparison("age", "<", 65))),
            top=nodes.Top("sex", 2),
            mean=nodes.Mean("age"),
        )
    )
    sharing: dict[int, set[str]] = {}
    for name, about in known.items():
        if "total" in about:
            sharing.setdefault(about["total"], set()).add(name)
    assert sorted(sharing.values(), key=sorted) == [
        {"events", "part", "values", "whole", "wider"},
        {"old", "old_bins"},
        {"persons", "share"},
    ]


# Applying


def test_without_a_request_nothing_is_changed() -> None:
    """What was stored is shown as it is, without what is kept for processing alone."""
    stored = body([{"s": told(-2.5, -4, 1)}], {"s": COUNT})
    shown = postprocessing.apply(stored, ())
    assert shown["rows"] == stored["rows"]
    assert shown["post"] == []
    assert shown["notes"] == ["one"]
    assert "statistics" not in shown


def test_release_of_earlier_version_is_not_processed() -> None:
    """Where a release was stored without what processing needs, nothing is applied, and a note says so."""
    stored = body([{"s": told(-2, -8, 4)}], {"s": COUNT})
    del stored["statistics"]
    shown = postprocessing.apply(stored, ("clamp",))
    assert (shown["rows"], shown["post"]) == (stored["rows"], [])
    assert "earlier version" in shown["notes"][-1]
    assert postprocessing.apply(stored, ())["notes"] == ["one"]


@pytest.mark.parametrize(
    ("result", "about", "wanted"),
    [
        (told(5, -1, 11), COUNT, told(5, 0, 11, raw_low=-1)),
        (told(-3, -9, 3), COUNT, told(0, 0, 3, raw_value=-3, raw_low=-9)),
        (told(-9, -15, -3), COUNT, told(0, 0, 0, raw_value=-9, raw_low=-15, raw_high=-3)),
        (told(50, 44, 56), COUNT, told(50, 44, 56)),
        (
            told(4.5, 0.5, 12.5),
            {"low": 5, "high": 10, "step": None},
            told(5, 5, 10, raw_value=4.5, raw_low=0.5, raw_high=12.5),
        ),
        (told(1.5, -2, 3), {"low": None, "high": 0, "step": "0.01"}, told(0, -2, 0, raw_value=1.5, raw_high=3)),
        (told(-1.5, -2, 3), {"low": None, "high": None, "step": "0.01"}, told(-1.5, -2, 3)),
    ],
)
def test_clamping_moves_value_and_ends_to_limits_and_keeps_raw(result: Any, about: Any, wanted: Any) -> None:
    """A value and its ends are moved to the limits, and what was released stays beside each that moved."""
    assert processed(result, about, "clamp") == wanted


@pytest.mark.parametrize(
    ("result", "step", "wanted"),
    [
        (told(5, -1, 11), "1", told(5, -1, 11)),
        (told(2**62 + 1, 2**61 + 1, 2**62 + 3), "1", told(2**62 + 1, 2**61 + 1, 2**62 + 3)),
        (told(20.15, 20.05, 20.25), "0.01", told(20.15, 20.05, 20.25)),
        (told(184.5625, 184.32, 184.8), "0.01", told(184.56, 184.32, 184.8, raw_value=184.5625)),
        (told(2.5, 1.25, 3.75), "1", told(3, 1, 4, raw_value=2.5, raw_low=1.25, raw_high=3.75)),
        (told(-2.5, -4, -1), "1", told(-3, -4, -1, raw_value=-2.5)),
        (told(7.1, 5, 9.2), "0.25", told(7, 5, 9.25, raw_value=7.1, raw_high=9.2)),
        (told(17, 13, 21), "5", told(15, 10, 25, raw_value=17, raw_low=13, raw_high=21)),
        # Two digits of half the interval's width: 0.2 -> 0.01, 3 -> 0.1, 45 -> 1, 1234 -> 100.
        (
            told(2.49376, 2.2912, 2.6963),
            None,
            told(2.49, 2.29, 2.7, raw_value=2.49376, raw_low=2.2912, raw_high=2.6963),
        ),
        (told(17.26, 14.21, 20.29), None, told(17.3, 14.2, 20.3, raw_value=17.26, raw_low=14.21, raw_high=20.29)),
        (told(17.6, -10, 80), None, told(18, -10, 80, raw_value=17.6)),
        (
            told(98_765.4, 97_531.4, 99_999.4),
            None,
            told(98_800, 97_500, 100_000, raw_value=98_765.4, raw_low=97_531.4, raw_high=99_999.4),
        ),
        (told(0.123456, 0.123456, 0.123456), None, told(0.123456, 0.123456, 0.123456)),
    ],
)
def test_rounding_takes_step_or_interval_and_ends_go_outwards(result: Any, step: str | None, wanted: Any) -> None:
    """A value is rounded to a multiple of its step, or to what its interval supports; its ends are rounded outwards."""
    found = processed(result, {"low": None, "high": None, "step": step}, "round")
    assert found == wanted
    for name, number in wanted.items():
        assert type(found[name]) is type(number), name


def test_rounding_does_not_leave_the_limits() -> None:
    """An end that is rounded beyond a limit comes back to it, if clamping was asked for too."""
    about = {"low": 0, "high": 10.55, "step": None}
    assert processed(told(10.1, 8.1, 10.52), about, "round", "clamp")["high"] == 10.55
    assert processed(told(10.1, 8.1, 10.52), about, "clamp", "round")["high"] == 10.55
    assert processed(told(10.1, 8.1, 10.52), about, "round")["high"] == 10.6


def test_lists_are_processed_part_by_part() -> None:
    """Bins, the most frequent values and quantiles keep their names, and each part has its raw numbers."""
    shown = processed({"bins": [{"bin": "a", **told(-2, -8, 4)}, {"bin": None, **told(9, 3, 15)}]}, COUNT, "clamp")
    assert shown == {"bins": [{"bin": "a", **told(0, 0, 4, raw_value=-2, raw_low=-8)}, {"bin": None, **told(9, 3, 15)}]}
    shown = processed({"top": [{"key": "a", **told(3, -3, 9)}]}, COUNT, "clamp")
    assert shown == {"top": [{"key": "a", **told(3, 0, 9, raw_low=-3)}]}
    about = {"low": 0, "high": 10, "step": "1"}
    shown = processed({"quantiles": [{"at": 0.5, **told(3.25, 1, 5)}]}, about, "round")
    assert shown == {"quantiles": [{"at": 0.5, **told(3, 1, 5, raw_value=3.25)}]}


def test_noisy_sum_and_count_of_mean_stay_as_released() -> None:
    """The noisy sum and count of a mean are left as they were released."""
    raw = {"centred_sum": -5.5, "count": -2}
    assert processed(told(5.055, 0, 10, raw=raw), {"low": 0, "high": 10, "step": None}, "round", "clamp")["raw"] == raw


def test_consistent_round_and_clamp_combine() -> None:
    """Consistent, whole and not negative at once; what was applied is named in the order in which it was."""
    about = {"n": {**COUNT, "total": 0}, "h": {**COUNT, "total": 0}}
    bins = [{"bin": "a", **told(-7, -13, -1)}, {"bin": "b", **told(30, 24, 36)}]
    stored = body([{"n": told(29, 23, 35), "h": {"bins": bins}}], about)
    shown = postprocessing.apply(stored, ("clamp", "round", "consistent"))
    assert shown["post"] == ["consistent", "round", "clamp"]
    # (29 / 1 + 23 / 2) / (1 / 1 + 1 / 2) = 27
    assert shown["rows"][0]["n"] == told(27, 23, 35, raw_value=29)
    assert shown["rows"][0]["h"]["bins"] == [
        {"bin": "a", **told(0, 0, 0, raw_value=-7, raw_low=-13, raw_high=-1)},
        {"bin": "b", **told(27, 24, 36, raw_value=30)},
    ]
    assert shown["notes"] == ["one"]


# Warnings


def test_values_within_their_noise_are_told() -> None:
    """A note counts the rows, or the parts of a list, of which the margin is more than half of the value."""
    bins = [{"bin": "female", **told(100, 40, 160)}, {"bin": "male", **told(100, 60, 140)}]
    rows = [
        {"urgent": False, "n": told(12, 6, 18), "e": told(900, 850, 950), "h": {"bins": bins}},
        {"urgent": True, "n": told(11, 5, 17), "e": told(-900, -950, -850), "h": {"bins": bins}},
    ]
    assert postprocessing.warnings(["n", "e", "h"], rows) == [
        "n: in 1 of 2 rows the margin is more than half of the value",
        "h: in 2 of 4 bins the margin is more than half of the value",
    ]


def test_a_value_of_zero_is_within_its_noise_unless_there_is_none() -> None:
    """0 with a margin is told; 0 without one is exact and is not."""
    assert len(postprocessing.warnings(["n"], [{"n": told(0, -6, 6)}])) == 1
    assert postprocessing.warnings(["n"], [{"n": told(0, 0, 0)}]) == []
