"""What contribution bounds do to accuracy, and what a bought profile makes of them: `python -m benchmarks.profile`.

Persons are counted by 300 codes on a skewed table of 10 million events of a million persons (activity lognormal, codes
by Zipf's law; half of the persons have at most 5 codes, some nearly 200), with epsilon 1: for several bounds, and for
those that the planner proposes when the profile was bought from the same epsilon first. The error is the median over
the codes of |answer - truth| / truth; the same with Gaussian noise of the same rho.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.queries import FORMALITIES, rowless
from budgets.governance import datasets
from queries.language import nodes
from queries.mechanisms import NANO
from queries.planning import planner
from queries.release import assembly
from server.runtime.services import open_services
from server.runtime.settings import load_settings
from server.runtime.stores import catalogs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from queries.catalog.schema import Dataset
    from queries.plan import Plan
    from server.runtime.stores import OpenEdition

CODES = 300
EVENTS_PER_PERSON = 10
SPREAD = 1.0  # of the logarithm of a person's activity
CAPS = (3, 10, 20, 50, 80, 120, 200)
DRAWS = 5
EPSILON = 1.0
PROFILE_EPSILON = 0.1


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data/skewed"))
    given = parser.parse_args()
    home, source = prepare(given.folder, given.persons)
    counted = duckdb.execute(
        f"SELECT count(DISTINCT person) FROM read_parquet('{source}') GROUP BY code ORDER BY code"
    ).fetchall()
    truth = np.array([persons for (persons,) in counted])
    each = duckdb.execute(
        f"SELECT avg(n), median(n), max(n), sum(m) FROM (SELECT count(DISTINCT code) AS n, count(*) AS m "
        f"FROM read_parquet('{source}') GROUP BY person)"
    ).fetchall()[0]
    print(
        f"{given.persons:,} persons, {each[3]:,.0f} events; persons by code: {truth.min():,} to {truth.max():,}; "
        f"codes of a person with events: {each[0]:.1f}, median {each[1]:.0f}, at most {each[2]}"
    )
    began = time.perf_counter()
    bought = rowless(home, "profile", "skewed", "--epsilon", str(PROFILE_EPSILON))
    print(
        f"profile of epsilon {PROFILE_EPSILON:g}{' (replayed)' if bought['replayed'] else ''}: "
        f"{time.perf_counter() - began:.1f} s with the start of the command"
    )
    services = open_services(load_settings({"ROWLESS_HOME": str(home)}))
    try:
        with services.database.read() as transaction:
            store = services.stores.edition(datasets.current(transaction, "skewed"))
            profiled, *_, plain = catalogs(transaction, store).known
        whole, rest = EPSILON, EPSILON - PROFILE_EPSILON
        print(f"{'cells_per_person':<34} {'Laplace':>9} {'Gaussian':>9}")
        best = [1.0, 1.0]
        for cap in CAPS:
            told = [measure(store, planned(plain, privacy, cap), truth) for privacy in privacies(whole)]
            print(f"{cap:<34} {told[0]:>9.2%} {told[1]:>9.2%}")
            best = list(map(min, best, told))
        made = [planned(profiled, privacy) for privacy in privacies(rest)]
        told = [measure(store, one, truth) for one in made]
        label = f"proposed: {made[0].cells_per_person} and {made[1].cells_per_person} (epsilon {rest:g})"
        print(f"{label:<34} {told[0]:>9.2%} {told[1]:>9.2%}")
        print(f"{'times the best of these':<34} {told[0] / best[0]:>9.2f} {told[1] / best[1]:>9.2f}")
        print(made[0].notes[0])
    finally:
        services.close()


def privacies(epsilon: float) -> tuple[nodes.Privacy, nodes.Privacy]:
    """Return what buys Laplace noise of epsilon, and what buys Gaussian noise at the same rho."""
    return nodes.Privacy(round(epsilon * NANO)), nodes.Privacy(rho_nano=round(epsilon**2 / 2 * NANO))


def planned(dataset: Dataset, privacy: nodes.Privacy, cap: int | None = None) -> Plan:
    """Return the plan of the question, with a bound or with the planner's."""
    select = (("n", nodes.Count("persons")),)
    query = nodes.Query("events", select, None, (nodes.ByValue("code"),), nodes.Bounds(cap))
    return planner.plan(query, dataset, privacy, 1_000_000)


def measure(store: OpenEdition, made: Plan, truth: NDArray[np.int64]) -> float:
    """Return the median relative error over the codes, the middle one of a few draws."""
    exact = store.engine.cells(made)
    errors = [np.median(np.abs(assembly.add_noise(made, exact)[0] - truth) / truth) for _ in range(DRAWS)]
    return float(np.median(errors))


def prepare(folder: Path, persons: int) -> tuple[Path, Path]:
    """Generate and import the table, once. Return the home and the source."""
    home, source, manifest = folder / "home", folder / f"skewed-{persons}.parquet", folder / "skewed.toml"
    if source.exists():
        return home, source
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    activity = EVENTS_PER_PERSON * np.exp(SPREAD * random.standard_normal(persons) - SPREAD**2 / 2)
    who = np.repeat(np.arange(persons), random.poisson(activity))
    shares = 1 / np.arange(1, CODES + 1)
    codes = random.choice(CODES, len(who), p=shares / shares.sum())
    names = [f"C{place:03}" for place in range(CODES)]
    column = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int16)), pa.array(names))
    manifest.write_text(
        f'[dataset]\nname = "skewed"\nepsilon = 10000.0\njustification = "made-up data"\n'
        f"delta = 1e-6\npersons_max = {persons}\n"
        f"[dataset.formalities]\n{FORMALITIES.read_text()}"
        f'[person]\nid = "person"\n[tables.events]\nsource = "{source.name}"\n'
        f'[tables.events.columns.code]\ntype = "category"\nvalues = {names}\n'
    )
    pq.write_table(pa.table({"person": who, "code": column}), source)
    shutil.rmtree(home, ignore_errors=True)
    rowless(home, "init", "--dpo", "dpo", "--approver", "approver")
    rowless(home, "import", str(manifest))
    rowless(home, "dataset", "approve", "skewed", "--reason", "benchmark", "--without-advice", "benchmark")
    rowless(home, "profile", "skewed")
    return home, source


if __name__ == "__main__":
    main()
