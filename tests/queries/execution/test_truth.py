"""The demonstration's real data, through manifest, store, engine, kernel and noise, against NumPy and SciPy.

What is answered is near what is true of the file: the exact cells give NumPy's numbers, and the noisy ones hold them
within their intervals as often as is said. No contribution bound cuts anything off: nobody has more than five years.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import duckdb
import numpy as np
import pytest
from scipy import stats

from queries.catalog import manifest, parts
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.language import nodes
from queries.language.nodes import Privacy
from queries.planning import planner
from queries.release import assembly
from queries.store import ingest
from tests.laws import tries
from tests.queries.clinic import NANO, noiseless
from tests.queries.sources import silent
from tests.serving import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from queries.catalog.schema import Dataset
    from queries.plan import Plan

    Rows = dict[str, NDArray[Any]]
    Truth = Callable[[Rows], tuple[float, float]]

DEMO = ROOT / "server" / "demo" / "data"
RELEASES = tries(120, audited=300)
FALSE_ALARM = 1e-6
# As often as 94 times in a hundred at least, by the binomial distribution.
HELD_MIN = int(stats.binom.ppf(FALSE_ALARM, RELEASES, 0.94))
ADULT = nodes.Comparison("age", ">=", 18)
FAIR = nodes.Comparison("health", "in", ("fair", "poor"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dataset, Store]]:
    """Import the demonstration's data as `rowless import` does."""
    folder = tmp_path_factory.mktemp("truth")
    declared = manifest.parse((DEMO / "rand-hie.toml").read_text(encoding="utf-8"), DEMO)
    ingest.build(declared, folder, memory_limit="500MB", threads=2, progress=silent)
    engine = Store(folder / parts.WHOLE, memory_limit="500MB", threads=2, query_seconds=60)
    yield declared.dataset, engine
    engine.close()


@pytest.fixture(scope="module")
def source() -> dict[str, Rows]:
    """Read the file itself: the rows of women and of men."""
    wanted = "mdvis::DOUBLE AS visits, meddol AS cost, age::DOUBLE AS age, income, health"
    with duckdb.connect() as connection:
        return {
            sex: cast(  # it has no categories
                "Rows",
                connection.execute(
                    f"SELECT {wanted} FROM read_parquet('{DEMO / 'rand_hie.parquet'}') WHERE sex = '{sex}'"
                ).fetchnumpy(),
            )
            for sex in ("female", "male")
        }


def value(truth: Callable[[Rows], float]) -> Truth:
    """Return a truth that is one value."""
    return lambda rows: (float(truth(rows)),) * 2


def quantile(column: str, share: float, most: float) -> Truth:
    """Return the values between which a quantile may be set, a step apart at least."""

    def truth(rows: Rows) -> tuple[float, float]:
        ordered = np.sort(np.clip(rows[column], 0, most))
        rank = share * len(ordered)
        return float(ordered[int(np.ceil(rank)) - 1]), float(ordered[int(np.floor(rank))])

    return truth


def between(lower: Truth, upper: Truth) -> Truth:
    """Return the distances that two quantiles may have."""

    def truth(rows: Rows) -> tuple[float, float]:
        (least, low), (high, most) = lower(rows), upper(rows)
        return high - low, most - least

    return truth


def adults(rows: Rows) -> Rows:
    """Return the rows of adults."""
    return {name: column[rows["age"] >= 18] for name, column in rows.items()}


STATISTICS: dict[str, tuple[nodes.Statistic, Truth]] = {
    "mean": (nodes.Mean("cost", (0, 2000)), value(lambda of: np.clip(of["cost"], 0, 2000).mean())),
    "mean of adults": (
        nodes.Mean("visits", (0, 30), where=ADULT),
        value(lambda of: np.clip(adults(of)["visits"], 0, 30).mean()),
    ),
    "proportion": (nodes.Proportion(FAIR), value(lambda of: np.isin(of["health"], ["fair", "poor"]).mean())),
    "variance": (nodes.Variance("age"), value(lambda of: of["age"].var(ddof=1))),
    "standard deviation": (nodes.Stddev("visits", (0, 30)), value(lambda of: np.clip(of["visits"], 0, 30).std(ddof=1))),
    "standard deviation of adults": (
        nodes.Stddev("cost", (0, 2000), where=ADULT),
        value(lambda of: np.clip(adults(of)["cost"], 0, 2000).std(ddof=1)),
    ),
    "covariance": (
        nodes.Covariance(("age", "visits"), ((0, 70), (0, 30))),
        value(lambda of: np.cov(of["age"], np.clip(of["visits"], 0, 30))[0, 1]),
    ),
    "correlation": (
        nodes.Correlation(("age", "visits"), ((0, 70), (0, 30))),
        value(lambda of: stats.pearsonr(of["age"], np.clip(of["visits"], 0, 30)).statistic),
    ),
    "slope": (
        nodes.Slope(("visits", "age"), ((0, 30), (0, 70))),
        value(lambda of: stats.linregress(of["age"], np.clip(of["visits"], 0, 30)).slope),
    ),
    "median": (nodes.Quantile("age", (0.5,)), quantile("age", 0.5, 70)),
    "ninth tenth": (nodes.Quantile("cost", (0.9,), (0, 2000)), quantile("cost", 0.9, 2000)),
    "interquartile range": (
        nodes.Iqr("cost", (0, 2000)),
        between(quantile("cost", 0.25, 2000), quantile("cost", 0.75, 2000)),
    ),
}


def planned(dataset: Dataset, statistic: nodes.Statistic, **privacy: int) -> Plan:
    """Return the plan of a statistic of women and of men."""
    query = nodes.Query("years", (("s", statistic),), None, (nodes.ByValue("sex"),), nodes.Bounds(1, 5))
    return planner.plan(query, dataset, Privacy(**privacy), 100_000)


def exact(one: Plan, engine: Store) -> list[NDArray[np.int64]]:
    """Return the cells before the noise."""
    return kernel.bound_in_parts(one, engine.ranges(), engine.stream)


def holds(result: dict[str, Any], truth: tuple[float, float]) -> bool:
    """Say whether an interval holds the truth, or a part of what may be called it."""
    slack = 1e-9 * max(1.0, abs(truth[0]))
    return bool(result["low"] <= truth[1] + slack and truth[0] - slack <= result["high"])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_without_noise_the_answer_is_true(demo: tuple[Dataset, Store], source: dict[str, Rows], statistic: str) -> None:
    """The exact cells give what NumPy and SciPy compute from the file; a quantile within the width of a leaf."""
    dataset, engine = demo
    asked, truth = STATISTICS[statistic]
    one = planned(dataset, asked, epsilon_nano=NANO)
    for row in assembly.rows(one, noiseless(one, exact(one, engine))):
        result: Any = row["s"]
        low, high = truth(source[str(row["sex"])])
        if isinstance(asked, nodes.Quantile | nodes.Iqr):
            # To within a bin of the last round.
            assert result["low"] <= high
            assert low <= result["high"]
            assert low - 0.02 * high - 1 <= result["value"] <= high + 0.02 * high + 1
        else:
            assert result["value"] == pytest.approx(low, rel=1e-9)


@pytest.mark.parametrize("privacy", [{"epsilon_nano": NANO // 2}, {"rho_nano": NANO // 100}], ids=["epsilon", "rho"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_intervals_hold_the_truth(
    demo: tuple[Dataset, Store], source: dict[str, Rows], statistic: str, privacy: dict[str, int]
) -> None:
    """Over many releases the intervals hold it as often as is said, and they are narrow enough to be of use."""
    dataset, engine = demo
    asked, truth = STATISTICS[statistic]
    one = planned(dataset, asked, **privacy)
    cells = exact(one, engine)
    wanted = {sex: truth(rows) for sex, rows in source.items()}
    held, widths = 0, []
    for _ in range(RELEASES // 2):
        for row in assembly.rows(one, assembly.add_noise(one, cells)):
            result: Any = row["s"]
            held += holds(result, wanted[str(row["sex"])])
            widths.append(result["high"] - result["low"])
    assert held >= HELD_MIN
    assert np.median(widths) < 4 * wanted["female"][0]


@pytest.mark.parametrize("bins", [None, (0, 18, 40, 65)])
def test_a_histogram_is_that_of_the_file(
    demo: tuple[Dataset, Store], source: dict[str, Rows], bins: tuple[int, ...] | None
) -> None:
    """Without noise the bins are NumPy's, and the most frequent are theirs."""
    dataset, engine = demo
    one = planned(dataset, nodes.Histogram("age", bins), epsilon_nano=NANO)
    for row in assembly.rows(one, exact(one, engine)):
        ages = source[str(row["sex"])]["age"]
        edges = np.arange(72) if bins is None else np.array([*bins[:-1], bins[-1] - 0.5])
        result: Any = row["s"]
        assert [part["value"] for part in result["bins"]] == np.histogram(ages, edges)[0].tolist()
    top = planned(dataset, nodes.Top("health", 2), epsilon_nano=NANO)
    for row in assembly.rows(top, exact(top, engine)):
        health, counts = np.unique(source[str(row["sex"])]["health"].astype(str), return_counts=True)
        found: Any = row["s"]
        most = np.argsort(-counts)[:2]
        assert [(part["key"], part["value"]) for part in found["top"]] == [
            (str(health[n]), int(counts[n])) for n in most
        ]
