"""At a large epsilon curves, rates and what is computed from them are what statsmodels and pandas find in the file.

The file is public: 432 persons who were released from prison, with financial aid or without, and followed for a year
(Rossi, Berk and Lenihan 1980). lifelines, which brings it too, needs a pandas before 3, and so cannot be a dependency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from queries.binding import dates
from queries.catalog import manifest, parts
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.language.nodes import ByBins, ByValue, PerPerson, Privacy, Query, Rate, Related, Survival, Value
from queries.planning import planner
from queries.release import answer_columns, assembly, postprocessing, showing
from queries.spelling import json_writing, sql
from queries.store import ingest
from server.api.requests.showing import parse_show
from tests.queries.registry import NANO
from tests.queries.sources import silent
from tests.serving import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queries.catalog.schema import Dataset

CASE = ROOT / "tests" / "cases" / "survival-rossi"
AGE = '[person.columns.age]\ntype = "integer"\nbounds = [17, 44]\n'
LAST = pd.Timestamp("2000-12-30")
RELEASED = PerPerson("release", (("wait", Value("days_to", to=Related("arrest"))),))
BINS = (17, 22, 30, 45)
WEIGHTS = {"[17, 22)": 30, "[22, 30)": 50, "[30, 45)": 20}


@pytest.fixture(scope="module")
def rossi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dataset, Store]]:
    """Import the file with the persons' ages."""
    folder = tmp_path_factory.mktemp("rossi")
    declared = manifest.parse((CASE / "manifest.toml").read_text(encoding="utf-8") + AGE, CASE)
    ingest.build(declared, folder, memory_limit="300MB", threads=1, progress=silent)
    engine = Store(folder / parts.WHOLE, memory_limit="300MB", threads=1, query_seconds=600)
    yield declared.dataset, engine
    engine.close()


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """Return the persons of the file: days to the arrest or to the end of the year, and which it is."""
    read = {name: pd.read_csv(CASE / f"{name}.csv").set_index("id") for name in ("people", "release", "arrest")}
    found = read["people"].join(read["release"]).join(read["arrest"])
    arrest = pd.to_datetime(found["date"])
    found["happened"] = (arrest <= LAST).astype(int)
    found["days"] = (arrest.where(arrest <= LAST, LAST) - pd.to_datetime(found["start"])).dt.days
    return found


def shown(rossi: tuple[Dataset, Store], statistic: Any, keys: tuple[Any, ...], show: dict[str, Any]) -> list[Any]:
    """Return the rows of an answer at an epsilon of 50,000, from the store on: the noise of all days is 0 but for e^-60."""
    dataset, engine = rossi
    query = dates.fill_in(Query(RELEASED, (("r", statistic),), None, keys), dataset.tables)
    plan = planner.plan(query, dataset, Privacy(50_000 * NANO), 100_000)
    cells = kernel.bound_in_parts(plan, engine.ranges(), engine.stream)
    body = {
        "query": json_writing.to_json(plan.query),
        "sql": sql.to_sql(plan.query),
        "columns": assembly.columns(plan),
        "notes": [],
        "rows": assembly.rows(plan, assembly.add_noise(plan, cells)),
    }
    bound = showing.bind(parse_show(show), answer_columns.released(body))
    rows: list[Any] = showing.arrange(postprocessing.apply(body, ()), bound)["rows"]
    return rows


def test_curves_their_difference_and_days_are_those_of_statsmodels(
    rossi: tuple[Dataset, Store], people: pd.DataFrame
) -> None:
    """To 4 digits on each of 364 days: both curves, the difference, and the areas under the steps."""
    pytest.importorskip("statsmodels", reason="statsmodels is not installed")
    from statsmodels.duration.survfunc import SurvfuncRight

    asked = {"difference": {"statistic": "r", "by": "fin", "reference": False}}
    without, with_aid = shown(rossi, Survival("wait", tuple(range(365)), "2000-12-30"), (ByValue("fin"),), asked)
    assert (without["fin"], with_aid["fin"]) == (False, True)
    known = []
    for fin in (0, 1):
        group = people[people["fin"] == fin]
        found = SurvfuncRight(group["days"], group["happened"])
        steps = pd.Series(found.surv_prob, found.surv_times).reindex(range(364)).ffill().fillna(1.0)
        known.append(steps.to_numpy())
    for row, curve in zip((without, with_aid), known, strict=True):
        assert np.allclose([part["value"] for part in row["r"]["survival"]], curve, atol=5e-5)
        assert row["r_days"]["value"] == pytest.approx(curve.sum(), rel=5e-5)
    apart = [part["value"] for part in with_aid["r_difference"]["differences"]]
    assert np.allclose(apart, known[1] - known[0], atol=5e-5)
    assert apart[-1] > 0.06
    area = with_aid["r_days_difference"]
    assert area["value"] == pytest.approx((known[1] - known[0]).sum(), rel=5e-5)
    assert area["low"] < (known[1] - known[0]).sum() < area["high"]


def test_standardised_rates_are_weighted_means_of_the_file(rossi: tuple[Dataset, Store], people: pd.DataFrame) -> None:
    """To 4 digits, by aid, over three bands of age with a declared population."""
    asked = {"standardise": {"statistic": "r", "by": "age", "weights": WEIGHTS}}
    rows = shown(rossi, Rate("wait", 400, "2000-12-30"), (ByValue("fin"), ByBins("age", BINS)), asked)
    band = pd.cut(people["age"], BINS, right=False)
    sums = people.groupby(["fin", band], observed=False)[["happened", "days"]].sum()
    each = (sums["happened"] / sums["days"] * 365.25).unstack()
    weights = np.array(list(WEIGHTS.values()))
    for row, (_, strata) in zip(rows, each.iterrows(), strict=True):
        assert row["r_standardised"]["value"] == pytest.approx((strata * weights).sum() / weights.sum(), rel=5e-5)
        assert [part["value"] for part in row["r_by_age"]["bins"]] == pytest.approx(list(strata), rel=5e-5)
