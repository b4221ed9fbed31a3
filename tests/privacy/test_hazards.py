"""The known hazards, each with the defence whose absence would show."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from queries.catalog import parts
from queries.catalog.codes import code_type
from queries.catalog.schema import PERSONS
from queries.errors import InvalidQuery
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.language import nodes
from queries.planning import fingerprint, planner
from queries.release import assembly
from tests.laws import tries
from tests.privacy.checks import cells_violate, random_events
from tests.queries.clinic import COLUMNS, TABLE, Event, bounded, planned, stream
from tests.queries.sources import Built, build, clinic_store, rows

if TYPE_CHECKING:
    from pathlib import Path

    from queries.plan import Plan


def asked(**bounds: int) -> Plan:
    """Return a plan with every statistic over several keys."""
    return planned(
        nodes.ByValue("sex"),
        nodes.ByValue("region"),
        nodes.ByBins("visits", (0, 5, 9)),
        cells=bounds.get("cells", 3),
        events=bounds.get("events", 2),
        people=nodes.Count("persons"),
        n=nodes.Count("events"),
        total=nodes.Sum("balance", (-50, 100)),
        wide=nodes.Sum("wide"),
        average=nodes.Mean("balance"),
    )


def exact(store: Path, one: Plan, threads: int = 2) -> list[list[int]]:
    """Return the exact cells of a plan over a store."""
    engine = Store(store, memory_limit="300MB", threads=threads, query_seconds=60)
    try:
        return [cells.tolist() for cells in kernel.bound_in_parts(one, engine.ranges(), engine.stream)]
    finally:
        engine.close()


# Sums do not depend on order


@pytest.mark.parametrize("seed", range(tries(8, audited=20)))
def test_the_order_of_persons_changes_no_cell(seed: int) -> None:
    """Numbering the persons anew, in any order, and cutting the stream anywhere gives identical cells."""
    random = np.random.default_rng(seed)
    events = random_events(random, persons=30, most_events=20)
    numbers = random.permutation(30)
    moved = sorted((Event(int(numbers[e.person]), e.codes) for e in events), key=lambda event: event.person)
    one = asked()
    expected = [cells.tolist() for cells in bounded(one, events)]
    for batch in (1, 7, 65_536):
        assert [cells.tolist() for cells in bounded(one, moved, batch)] == expected
    assert any(any(cells) for cells in expected)


def test_the_order_within_a_person_decides_only_beyond_the_bounds() -> None:
    """Shuffling a person's events changes nothing while all of them count, and something when some are cut off."""
    random = np.random.default_rng(4)
    events = random_events(random, persons=8, most_events=20)
    shuffled = _shuffled(events, random)
    generous, tight = asked(cells=1000, events=1000), asked(cells=1, events=1)
    assert list(map(list, bounded(generous, shuffled))) == list(map(list, bounded(generous, events)))
    assert list(map(list, bounded(tight, shuffled))) != list(map(list, bounded(tight, events)))


def _shuffled(events: list[Event], random: np.random.Generator) -> list[Event]:
    """Return the events with each person's own in another order."""
    found: list[Event] = []
    for _, group in itertools.groupby(events, key=lambda event: event.person):
        own = list(group)
        found += [own[place] for place in random.permutation(len(own))]
    return found


def test_two_imports_and_any_threads_give_the_same_cells(tmp_path: Path) -> None:
    """Where no bound cuts off, the secret order of an import does not show in any cell."""
    events = random_events(np.random.default_rng(8), persons=60, most_events=15)
    one = asked(cells=1000, events=1000)
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store = clinic_store(tmp_path / name, events)
        found += [exact(store, one, threads) for threads in (1, 3)]
    assert all(other == found[0] for other in found[1:])
    assert found[0] == [cells.tolist() for cells in bounded(one, events)]


# Overflow


def test_data_at_the_bounds_are_exact(tmp_path: Path) -> None:
    """2^40 units on every event, up and down: exact through import, store and kernel, where a float would round."""
    top = 2**40
    text = f"""
    [tables.t]
    source = "s.parquet"
    [tables.t.columns.v]
    type = "integer"
    bounds = [{-top - 1}, {top + 1}]
    """
    values = [top + 1, -top - 1, top, top + 1, 10**17, 1]
    built = build(tmp_path, text, {"s.parquet": pa.table({"patient": [1, 1, 2, 3, 4, 4], "v": values})})
    one = planned(dataset=built.dataset, table="t", events=2, epsilon_nano=10**12, s=nodes.Sum("v"), m=nodes.Mean("v"))
    total = sum(min(value, top + 1) for value in values)
    assert total % 2 == 1
    assert exact(built.path, one) == [[total], [total], [6]]


def test_sums_beyond_32_bits_and_53_bits_are_exact() -> None:
    """Three times two billion is six billion, and 2^60 and 1 is odd."""
    one = planned(nodes.ByValue("sex"), events=3, s=nodes.Sum("wide"))
    wide, sex = COLUMNS.index("wide"), COLUMNS.index("sex")

    def event(person: int, units: int) -> Event:
        codes = [1] * len(COLUMNS)
        codes[wide], codes[sex] = units - TABLE.columns["wide"].low + 1, 1
        return Event(person, tuple(codes))

    assert bounded(one, [event(0, 2 * 10**9)] * 3)[0].tolist() == [6 * 10**9, 0]
    many = [event(person, 2**33) for person in range(200_000 // 3)]
    person, batch = next(stream(many))
    total = 0
    accumulator = kernel.accumulator(one)
    for part in range(100):
        accumulator.take(person + part * len(person), batch)
        total += len(person) * 2**33
    accumulator.take(np.array([10**8], dtype=np.int32), next(stream([event(0, 1)]))[1])
    assert accumulator.cells()[0].tolist() == [total + 1, 0]
    assert total > 2**53


# Poison


GOOD: dict[str, list[Any]] = {
    "patient": ["p1", "p1", "p2"],
    "when": ["2020-05-01", "2020-06-01", "2021-01-01"],
    "cost": ["1.5", "2", "3"],
    "kind": ["a", "b", "a"],
    "code": ["X1", "X2", "X1"],
    "flag": ["true", "false", "true"],
}
POISON: list[Any] = [
    None,
    "",
    " ",
    "NaN",
    "inf",
    "-inf",
    "1e300",
    "-1e300",
    "2020-02-30",
    "infinity",
    "x" * 1_000_000,
    "'; DROP TABLE t; --",
    "\x00",
    "🦆" * 50,
    "9" * 400,
    "{}",
]
MANIFEST = """
[tables.t]
source = "s.parquet"
[tables.t.columns.when]
type = "date"
bounds = [2020-01-01, 2021-12-31]
nullable = true
[tables.t.columns.cost]
type = "number"
step = 0.5
bounds = [0, 10]
nullable = true
[tables.t.columns.kind]
type = "category"
values = ["a", "b"]
nullable = true
[tables.t.columns.code]
type = "category"
nullable = true
[tables.t.columns.flag]
type = "boolean"
nullable = true
"""


def poisoned(folder: Path, poison: list[Any]) -> Built:
    """Import three good events, and one more person whose every value is poison."""
    folder.mkdir()
    source = {name: values + (poison if name != "patient" else ["evil"] * len(poison)) for name, values in GOOD.items()}
    return build(
        folder, MANIFEST, {"s.parquet": pa.table({name: pa.array(v, pa.string()) for name, v in source.items()})}
    )


def questions(built: Built) -> list[Plan]:
    """Return plans that read every column in every way."""
    everything = {
        "people": nodes.Count("persons"),
        "n": nodes.Count("events"),
        "total": nodes.Sum("cost"),
        "average": nodes.Mean("cost", (0, 5)),
    }
    keys: list[tuple[nodes.Key, ...]] = [
        (),
        (nodes.ByPeriod("when", "quarter"),),
        (nodes.ByValue("kind"), nodes.ByValue("flag")),
        (nodes.ByBins("cost", (0, 1, 2.5, 10)),),
    ]
    filters: list[nodes.Predicate | None] = [
        None,
        nodes.Comparison("code", "=", "X1"),
        nodes.Not(nodes.Comparison("code", "in", ("X1", "NaN"))),
        nodes.Comparison("cost", ">", 1),
        nodes.Comparison("when", "is_null"),
    ]
    queries = [
        nodes.Query("t", tuple(everything.items()), where, key, nodes.Bounds(2, 2))
        for key, where in itertools.product(keys, filters)
    ]
    return [planner.plan(query, built.dataset, nodes.Privacy(10**9), 10_000) for query in queries]


def shape(answer: Any) -> Any:
    """Return an answer with every number replaced by its type: what anyone can see of it beside the noise."""
    match answer:
        case dict():
            return {name: shape(part) for name, part in answer.items()}
        case list():
            return [shape(part) for part in answer]
        case bool() | str() | None:
            return answer
        case _:
            return "number"


def test_a_poisonous_person_changes_neither_shape_nor_cost(tmp_path: Path) -> None:
    """On a dataset, on its neighbour with a person of poison and on an empty one: same plans, charges and rows."""
    stores = [poisoned(tmp_path / "without", []), poisoned(tmp_path / "with", POISON)]
    seen = []
    for built in stores:
        answers = []
        engine = Store(built.path, memory_limit="300MB", threads=2, query_seconds=60)
        for one in questions(built):
            cells = kernel.bound_in_parts(one, engine.ranges(), engine.stream)
            shown = assembly.rows(one, assembly.add_noise(one, cells))
            keys = [{key.name: row[key.name] for key in one.keys} for row in shown]
            statistics = [
                {name: row[name] for name in row if name not in {key.name for key in one.keys}} for row in shown
            ]
            json.dumps(list(shown), allow_nan=False)
            answers.append((fingerprint.of(one), one.cost, assembly.columns(one), keys, shape(statistics)))
        engine.close()
        seen.append(answers)
    assert seen[0] == seen[1]
    assert rows(stores[1].path, "SELECT count(*) FROM t")[0][0] == 3 + len(POISON)


def test_a_poisonous_person_moves_cells_by_no_more_than_planned(tmp_path: Path) -> None:
    """The neighbours' exact cells stay within the planned sensitivities."""
    without, poison = poisoned(tmp_path / "without", []), poisoned(tmp_path / "with", POISON)
    for one in questions(without):
        here, there = (
            [np.array(cells, dtype=np.int64) for cells in exact(built.path, one)] for built in (without, poison)
        )
        # The good persons have fewer events than the bounds, so that their secret order decides nothing.
        assert cells_violate(one, here, there) == set()


def test_every_poison_in_every_column_imports_alone(tmp_path: Path) -> None:
    """One poison at a time, so that none hides behind another."""
    for place, poison in enumerate(POISON):
        built = poisoned(tmp_path / str(place), [poison])
        report = built.report.tables["t"]
        assert (report.rows, report.kept) == (4, 4)
        for name, one in report.columns.items():
            accounted = one.null + one.missing + one.coerced + one.unknown
            ((zeros,),) = rows(built.path, f'SELECT count(*) FROM t WHERE "{name}" = 0')
            assert zeros == accounted


# The keys of an answer


def test_a_unique_undeclared_value_does_not_change_the_keys(tmp_path: Path) -> None:
    """A person with a value that nobody else has adds no row anywhere; an undeclared column is no key without delta."""
    code = COLUMNS.index("diagnosis")
    common = Event(0, (1, 1, 1, 1, 1, 1, 1, 1, 1, 1))
    unique = Event(1, (*common.codes[:code], 7, *common.codes[code + 1 :]))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = asked()
    found = [
        exact(clinic_store(tmp_path / name, events), one) for name, events in (("a", [common]), ("b", [common, unique]))
    ]
    assert [len(cells) for cells in found[0]] == [len(cells) for cells in found[1]] == [one.cells] * len(one.measures)
    with pytest.raises(InvalidQuery, match="no declared values"):
        planned(nodes.ByValue("diagnosis"), n=nodes.Count("events"))


def test_the_schema_of_the_store_is_public(tmp_path: Path) -> None:
    """Which tables and column types a store has follows from the manifest: the same for nobody as for everybody."""
    schemas = []
    for place, events in enumerate(([], random_events(np.random.default_rng(2), 9, 9))):
        (tmp_path / str(place)).mkdir()
        store = clinic_store(tmp_path / str(place), events)
        schemas.append(
            rows(
                store, "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
            )
        )
    assert schemas[0] == schemas[1]
    assert ("visits", "wide", code_type(TABLE.columns["wide"])) in schemas[0]
    assert {table for table, _, _ in schemas[0]} == {"visits", PERSONS, "visits.diagnosis", parts.MARK}
