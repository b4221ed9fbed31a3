"""No amplifier of one row: the engine does the same work whether one row, value or text is there or not.

The quick tests compare what the engine did: its plan, and how many rows each part of it read. `make audit` also compares
times, over 1,000,000 events or as many as ROWLESS_AMPLIFIER_EVENTS says.
"""

from __future__ import annotations

import gc
import json
import os
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from sqlglot import exp

from queries.catalog.codes import SPARE_CODES
from queries.catalog.schema import PERSONS_MAX
from queries.execution import comparisons
from queries.execution import duckdb as engines
from queries.execution.duckdb import Store
from queries.execution.reading import Reader
from queries.language.nodes import Comparison
from server.serving import spare_the_collector
from tests.privacy import pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from queries.plan import Plan
    from tests.queries.sources import Built

DOCUMENT = Path(__file__).parents[2] / "docs" / "privacy.md"
FEW, MANY = 20_000, int(os.environ.get("ROWLESS_AMPLIFIER_EVENTS", "1000000"))
WITHIN = 1.3  # of medians
ROUNDS, TRIES = 7, 3
NAMES = [f"{name}: {place}" for name in pairs.PAIRS for place in pairs.questions(pairs.PAIRS[name][0])]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Import a small store, once."""
    return pairs.store(tmp_path_factory.mktemp("pairs"), FEW)


@pytest.fixture
def engine(built: Built) -> Iterator[Store]:
    """Open the small store."""
    one = opened(built)
    yield one
    one.close()


def opened(built: Built) -> Store:
    """Open a store as the server does."""
    return Store(built.path, memory_limit="4GB", threads=2, query_seconds=3600, persons_max=built.dataset.persons_max)


def statements(engine: Store, plan: Plan) -> list[str]:
    """Return what the engine runs for a plan, over a range of persons that all are in: cohorts, then the scan."""
    run: list[str] = []
    with engine._connection().cursor() as cursor:
        look_up = engines.Dictionaries(cursor, plan.tables)

        def batches(select: exp.Select) -> Iterator[list[Any]]:
            run.append(select.sql("duckdb"))
            return iter(())

        everybody = range(engine.everybody())
        assert list(Reader(plan.tables, everybody, range(2**31), look_up, batches).stream(plan)) == []
    return run


def work(engine: Store, plan: Plan) -> Any:
    """Return the operators that ran, as a tree, and how many rows each scan read."""
    with engine._connection().cursor() as cursor:
        found = [cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}").fetchall() for sql in statements(engine, plan)]
    return [_operator(root) for one in found for root in json.loads(one[0][1])["operator"]]


def _operator(node: dict[str, Any]) -> Any:
    read = (node.get("rows_scanned"), node.get("row_groups_scanned"))
    return (node["name"], node["extra_info"].get("Join Type"), *read, *map(_operator, node.get("children", [])))


def planned_work(engine: Store, plan: Plan) -> Any:
    """Return the operators that would run, as a tree."""
    with engine._connection().cursor() as cursor:
        found = [cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchall() for sql in statements(engine, plan)]
    return [_operator(root) for one in found for root in json.loads(one[0][1])]


# Of the quick tests: one pair in every place, every pair in two places.
FEW_NAMES = [one for one in NAMES if one.startswith("largest") or one.endswith((": built, inner", ": not in"))]


def amplified(engine: Store, built: Built, names: Collection[str]) -> set[str]:
    """Return those of the pairs for whose two questions the engine did different things."""
    found = set()
    for name, somebody, nobody in pairs.every_pair(built.dataset, names):
        here, there = work(engine, somebody), work(engine, nobody)
        if here != there or "EMPTY_RESULT" in str(here):
            found.add(name)
    return found


def test_the_engine_does_the_same_whether_somebody_is_there(engine: Store, built: Built) -> None:
    """In every place a condition may stand: one plan, the same rows read, nothing folded and nothing skipped."""
    assert amplified(engine, built, FEW_NAMES) == set()


def test_a_pair_is_one_text_but_for_its_numbers(engine: Store, built: Built) -> None:
    """The SQL of a pair has the same shape, and lists of the same length: no FALSE for a text that nobody has."""
    for name, somebody, nobody in pairs.every_pair(built.dataset, FEW_NAMES):
        here, there = (
            "; ".join(
                exp.maybe_parse(sql, dialect="duckdb").transform(_numberless).sql("duckdb")
                for sql in statements(engine, plan)
            )
            for plan in (somebody, nobody)
        )
        assert here.replace('"holey"', '"full"') == there.replace('"holey"', '"full"'), name
        assert "FALSE" not in here


def _numberless(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Literal):
        return node
    return exp.Literal(this=re.sub("[0-9]+", "0", node.this), is_string=node.is_string)


@pytest.mark.parametrize("length", [SPARE_CODES - 1, SPARE_CODES, SPARE_CODES + 1, 2 * SPARE_CODES])
def test_a_list_has_one_plan_whichever_codes_it_has(engine: Store, built: Built, length: int) -> None:
    """Also where, without the one text that somebody has, the codes of the store would do no more."""
    for place in ("filter", "own filter", "built, exists", "in"):
        plans = [
            pairs.planned(pairs.questions(Comparison("text", "in", texts))[place], built.dataset)
            for texts in (("rare", *_nobody_has(length - 1)), _nobody_has(length))
        ]
        with engine._connection().cursor() as cursor:
            here, there = (
                [
                    re.sub("[0-9]+", "0", str(cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchall()))
                    for sql in statements(engine, one)
                ]
                for one in plans
            )
        assert here == there, place


def _nobody_has(number: int) -> tuple[str, ...]:
    return tuple(f"nobody's {n}" for n in range(number))


def test_a_longer_list_makes_no_more_objects(engine: Store, built: Built) -> None:
    """Python's garbage collector runs at numbers of objects: neither a list nor what it finds may set it off."""
    places = pairs.questions(Comparison("text", "in", _nobody_has(9)))
    for place in places:
        nodes: set[int] = set()
        for length in (9, 2_000):
            texts = ("rare", *_nobody_has(length - 1))
            plan = pairs.planned(pairs.questions(Comparison("text", "in", texts))[place], built.dataset)
            trees = [exp.maybe_parse(sql, dialect="duckdb") for sql in statements(engine, plan)]
            nodes.add(len([node for tree in trees for node in tree.walk()]))
        assert len(nodes) == 1, place
    texts = ("rare", *(f"text {n}" for n in range(1, pairs.TEXTS)), *_nobody_has(1_000))
    with engine._connection().cursor() as cursor:
        assert _collections(lambda: engines._look_up(cursor, built.dataset.tables["events"], "text", texts)) == 0


def _collections(do: Callable[[], object]) -> int:
    """Return how often the collector runs if it does so at 500 objects."""
    threshold = gc.get_threshold()
    gc.collect()
    before = sum(generation["collections"] for generation in gc.get_stats())
    try:
        gc.set_threshold(500, *threshold[1:])
        do()
        return sum(generation["collections"] for generation in gc.get_stats()) - before
    finally:
        gc.set_threshold(*threshold)


def test_the_plan_follows_from_the_text_alone(engine: Store, built: Built, tmp_path: Path) -> None:
    """An empty store, and one with the numbers of rows the other way round, have the plan of this one."""
    for factor in (0, 8):
        path = tmp_path / f"{factor}.duckdb"
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"ATTACH '{built.path}' AS whole (READ_ONLY)")
            for (table,) in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'whole'"
            ).fetchall():
                times = factor if table == "drugs" else 0 if factor == 0 else 1
                connection.execute(
                    f'CREATE TABLE "{table}" AS SELECT t.* FROM whole."{table}" t, range({times}) ORDER BY ALL'
                )
        other = Store(path, memory_limit="1GB", threads=2, query_seconds=60)
        for place, query in pairs.questions(pairs.PAIRS["largest"][0]).items():
            plan = pairs.planned(query, built.dataset)
            assert planned_work(other, plan) == planned_work(engine, plan), place
        other.close()


def test_no_sentinel_is_a_person_or_enters_an_answer(engine: Store, built: Built) -> None:
    """No event has their numbers, and the persons in a cohort and those not in it are everybody, once."""
    low, high = comparisons.SENTINELS
    assert low < 0 <= PERSONS_MAX - 1 < high <= 2**31 - 1, "of 32 bits, beside every number that a person may have"
    everybody = engine.everybody()
    for persons in (range(2**31), range(500), range(500, 2**31)):
        inside, outside = (
            _persons(engine, pairs.planned(pairs.questions(pairs.PAIRS["kind"][1])[place], built.dataset), persons)
            for place in ("in", "not in")
        )
        assert inside == set()
        assert outside <= set(range(persons.start, min(persons.stop, everybody)))
        assert outside


def _persons(engine: Store, plan: Plan, persons: range) -> set[int]:
    return {int(one) for numbers, _ in engine.stream(plan, persons) for one in numbers}


# The defences, each taken out: the comparison above must see it.


def test_plain_comparisons_would_be_seen(engine: Store, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """Least and greatest values of row groups decide what is read."""
    monkeypatch.setattr(comparisons, "opaque", lambda name: exp.column(name, quoted=True))
    seen = {"largest: filter", "first day: filter", "null: built, inner"}
    assert amplified(engine, built, seen) == seen


def test_no_cohort_is_a_join_of_the_scan(engine: Store, built: Built) -> None:
    """The engine does not read the other side of an empty build side: a cohort that nobody is in would skip the scan."""
    for name, plan, _ in pairs.every_pair(built.dataset, NAMES):
        *_, scanned = (exp.maybe_parse(sql, dialect="duckdb") for sql in statements(engine, plan))
        if plan.built is None:
            assert not list(scanned.find_all(exp.Join, exp.In, exp.Exists, exp.Subquery)), name


def test_a_text_that_becomes_false_would_be_seen(engine: Store, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """As does a list that loses the texts that nobody has."""
    looked_up = engines._look_up

    def found_only(cursor: Any, table: Any, name: str, texts: Any) -> list[int]:
        held = {text for (text,) in cursor.execute(f'SELECT value FROM "{table.name}.{name}"').fetchall()}
        return [code for code, text in zip(looked_up(cursor, table, name, texts), texts, strict=True) if text in held]

    monkeypatch.setattr(engines, "_look_up", found_only)
    seen = {"text: filter", "text: days to", "text: in"}
    assert amplified(engine, built, seen) == seen


def test_a_list_of_the_texts_that_begin_so_would_be_seen(
    engine: Store, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beginning becomes a list as long as there are texts, and not of those that are meant."""
    compared = engines._beginning

    def found_only(*given: Any) -> Any:
        found = compared(*given)
        return found[found < engines.BEYOND]

    seen = {"beginning: days to", "beginning: built, inner"}
    assert amplified(engine, built, seen) == set()
    monkeypatch.setattr(engines, "_beginning", found_only)
    assert amplified(engine, built, seen) == seen


def test_the_defences_are_in_force(engine: Store) -> None:
    """On the connection that runs queries: the three that folded, and those that choose by numbers of rows."""
    with engine._connection().cursor() as cursor:
        ((off, loop),) = cursor.execute(
            "SELECT current_setting('disabled_optimizers'), current_setting('asof_loop_join_threshold')"
        ).fetchall()
        known = {name for (name,) in cursor.execute("SELECT * FROM duckdb_optimizers()").fetchall()}
    assert set(off.split(",")) == set(engines.OPTIMIZERS_OFF) <= known
    assert {"statistics_propagation", "empty_result_pullup", "join_filter_pushdown", "join_order"} <= set(
        off.split(",")
    )
    assert int(loop) == 0


def test_each_optimizer_is_on_or_off_as_is_argued(engine: Store) -> None:
    """docs/privacy.md says of each one that this DuckDB has why it is on or off: a new one, or one less off, is seen."""
    table = DOCUMENT.read_text().split("| optimizer | on? | why |\n")[1].split("\n\n")[0].splitlines()[1:]
    said = {
        name: on.strip() for _, names, on, *_ in (row.split("|") for row in table) for name in names.strip().split(", ")
    }
    with engine._connection().cursor() as cursor:
        known = {name for (name,) in cursor.execute("SELECT * FROM duckdb_optimizers()").fetchall()}
    assert said == {name: "off" if name in engines.OPTIMIZERS_OFF else "on" for name in known}


def test_a_misspelled_optimizer_would_be_refused(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DuckDB that calls one otherwise opens no store."""
    monkeypatch.setattr(engines, "OPTIMIZERS_OFF", ("statistic_propagation",))
    with pytest.raises(duckdb.Error, match="not recognized"):
        engines.connect_locked(built.path, memory_limit="1GB")


def test_one_person_more_makes_no_stream_more(built: Built) -> None:
    """The number of streams follows from the public number of persons."""
    for persons_max, streams in ((1, 1), (99_999, 1), (100_000, 2), (PERSONS_MAX, 2)):
        one = Store(built.path, memory_limit="1GB", threads=2, query_seconds=60, persons_max=persons_max)
        assert len(one.ranges()) == streams
        one.close()


# Times


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Built, Store]]:
    """Import a large store, once; and treat Python's garbage collector as a worker does.

    Full collections of the tests' own many objects take longer than some scans. They come at regular intervals, which
    may be those of one of a pair's two questions.
    """
    built = pairs.store(tmp_path_factory.mktemp("large"), MANY)
    one = opened(built)
    threshold = gc.get_threshold()
    spare_the_collector()
    yield built, one
    gc.set_threshold(*threshold)
    gc.unfreeze()
    one.close()


def seconds(engine: Store, plan: Plan) -> float:
    """Return how long the engine takes for a plan, all streams at once."""
    began = time.perf_counter()
    ranges = engine.ranges()
    with ThreadPoolExecutor(len(ranges)) as threads:
        list(threads.map(lambda persons: sum(len(one) for one, _ in engine.stream(plan, persons)), ranges))
    return time.perf_counter() - began


def ratio(engine: Store, somebody: Plan, nobody: Plan) -> float:
    """Return the ratio of the medians, of rounds in turns."""
    found = [(seconds(engine, somebody), seconds(engine, nobody)) for _ in range(ROUNDS)]
    here, there = (statistics.median(times) for times in zip(*found, strict=True))
    return max(here, there) / min(here, there)


@pytest.mark.audit
@pytest.mark.parametrize("name", NAMES)
def test_the_time_of_the_engine_does_not_tell_whether_somebody_is_there(large: tuple[Built, Store], name: str) -> None:
    """The medians of a pair are within 1.3 of each other. A busy machine may need another try; a real difference stays."""
    built, engine = large
    (somebody, nobody) = next(two for _, *two in pairs.every_pair(built.dataset, [name]))
    found = []
    for _ in range(TRIES):
        found.append(ratio(engine, somebody, nobody))
        if found[-1] <= WITHIN:
            break
    assert min(found) <= WITHIN, found
