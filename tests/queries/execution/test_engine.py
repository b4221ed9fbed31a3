"""The engine streams every event in person order, does nothing else, and fails with one text."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from queries.catalog import manifest, parts
from queries.catalog.codes import SPARE_CODES
from queries.catalog.schema import PERSON, PERSONS
from queries.errors import EngineFailed
from queries.execution import comparisons, kernel, scan
from queries.execution import duckdb as engines
from queries.execution.duckdb import Store, connect_locked
from queries.language import nodes
from queries.store import ingest
from tests.queries.binding.test_predicates import EVENTS
from tests.queries.clinic import planned
from tests.queries.sources import HEAD, Built, build, clinic_store, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queries.plan import Plan

FAILED = "the engine failed"
BIG_EVENTS, BIG_PERSONS = 2_000_000, 150_000


def opened(store: Path, threads: int = 2, memory_limit: str = "300MB", query_seconds: float = 60) -> Store:
    """Open a store as the server does."""
    return Store(store, memory_limit=memory_limit, threads=threads, query_seconds=query_seconds)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Import the clinic's events once."""
    return clinic_store(tmp_path_factory.mktemp("clinic"), EVENTS)


@pytest.fixture(scope="module")
def engine(clinic: Path) -> Iterator[Store]:
    """Open the clinic's store for all tests that only read."""
    one = opened(clinic)
    yield one
    one.close()


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Import a store of many batches and of enough persons for several streams."""
    random = np.random.default_rng(1)
    source = pa.table(
        {
            "patient": np.concatenate(
                [np.arange(BIG_PERSONS), random.integers(0, BIG_PERSONS, BIG_EVENTS - BIG_PERSONS)]
            ),
            "v": random.integers(0, 1001, BIG_EVENTS),
            "w": random.integers(0, 60_000, BIG_EVENTS),
        }
    )
    text = """
    [tables.t]
    source = "s.parquet"
    [tables.t.columns.v]
    type = "integer"
    bounds = [0, 1000]
    [tables.t.columns.w]
    type = "integer"
    bounds = [0, 60000]
    """
    head = HEAD.replace("100000", "1000000")
    return build(tmp_path_factory.mktemp("big"), text, {"s.parquet": source}, head=head)


def big_plan(built: Built) -> Plan:
    """Return a plan over every column of the big store, whose bounds cut much off."""
    return planned(
        nodes.ByBins("v", tuple(range(0, 1001, 100))),
        dataset=built.dataset,
        table="t",
        cells=4,
        events=2,
        people=nodes.Count("persons"),
        total=nodes.Sum("w", (500, 40_000)),
        average=nodes.Mean("w"),
    )


def cells(engine: Store, plan: Plan) -> list[list[int]]:
    """Return the exact cells of a plan as the server computes them."""
    return [one.tolist() for one in kernel.bound_in_parts(plan, engine.ranges(), engine.stream)]


# Streaming


def test_the_stream_is_the_store_in_its_order(clinic: Path) -> None:
    """Every event, in the stored order, as integers of the stored types, without gaps between batches."""
    plan = planned(
        nodes.ByValue("sex"),
        nodes.ByValue("region"),
        nodes.ByBins("wide", (0, 1)),
        a=nodes.Sum("visits"),
        b=nodes.Sum("balance"),
    )
    names = scan.columns(plan)
    stored = rows(clinic, f"SELECT {PERSON}, {', '.join(names)} FROM visits")
    one = opened(clinic)
    found: list[tuple[int, ...]] = []
    for person, batch in one.stream(plan):
        assert person.dtype == np.int32
        assert {name: column.dtype.name for name, column in batch.items()} == {
            "sex": "uint8",
            "region": "uint8",
            "wide": "int64",
            "visits": "uint8",
            "balance": "uint16",
        }
        found += zip(person.tolist(), *(batch[name].tolist() for name in names), strict=True)
    one.close()
    assert found == stored
    assert len(found) == len(EVENTS)


def test_the_number_of_threads_and_streams_changes_no_cell(big: Built) -> None:
    """One thread or four, one stream or several at once: identical cells."""
    plan = big_plan(big)
    found = []
    for threads in (1, 2, 4):
        one = opened(big.path, threads=threads)
        assert len(one.ranges()) == threads
        found.append(cells(one, plan))
        found.append([vector.tolist() for vector in kernel.bound(plan, one.stream(plan))])
        one.close()
    assert all(other == found[0] for other in found[1:])
    assert sum(found[0][0]) > BIG_PERSONS


@pytest.mark.parametrize("batch_rows", [1_000, 65_536, 10**7])
def test_the_size_of_batches_changes_no_cell(big: Built, monkeypatch: pytest.MonkeyPatch, batch_rows: int) -> None:
    """Batches cut persons anywhere and change nothing."""
    plan = big_plan(big)
    one = opened(big.path)
    expected = cells(one, plan)
    monkeypatch.setattr(engines, "BATCH_ROWS", batch_rows)
    assert cells(one, plan) == expected
    one.close()


def test_the_optimizer_changes_no_cell(big: Built) -> None:
    """The same SQL on a connection of our own, its optimizer on and off: identical cells."""
    plan = big_plan(big)
    one = opened(big.path)
    expected = cells(one, plan)
    one.close()
    select = scan.scan(plan, lambda _table, _column, _texts: []).sql("duckdb")
    for pragma in ("enable_optimizer", "disable_optimizer"):
        with duckdb.connect(str(big.path), read_only=True) as connection:
            connection.execute(f"PRAGMA {pragma}")
            reader = connection.sql(select).to_arrow_reader(10_000)
            stream = (
                (arrays[0], dict(zip(scan.columns(plan), arrays[1:], strict=True)))
                for arrays in ([column.to_numpy() for column in batch.columns] for batch in reader)
            )
            assert [vector.tolist() for vector in kernel.bound(plan, stream)] == expected


def test_ranges_hold_everybody_once(big: Built) -> None:
    """The ranges of persons follow each other from 0 to beyond any person, for any number of threads."""
    for threads in (1, 2, 3, 64):
        one = opened(big.path, threads=threads)
        ranges = one.ranges()
        one.close()
        assert ranges[0].start == 0
        assert ranges[-1].stop == 2**31
        assert all(left.stop == right.start for left, right in itertools.pairwise(ranges))
        assert all(ranges)


def test_a_range_streams_its_own_persons(big: Built) -> None:
    """A stream of a range has its persons and no others."""
    one = opened(big.path)
    plan = big_plan(big)
    seen = np.concatenate([person for person, _ in one.stream(plan, range(70_000, 70_003))])
    one.close()
    assert set(seen.tolist()) == {70_000, 70_001, 70_002}


def test_many_threads_may_ask_at_once(engine: Store) -> None:
    """Each thread gets its own answer, right and complete."""
    plans = [
        planned(where=nodes.Comparison("visits", "=", visits), n=nodes.Count("events"), events=1000)
        for visits in range(10)
    ]
    expected = [sum(event.code("visits") == visits + 1 for event in EVENTS) for visits in range(10)]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            found = list(threads.map(lambda plan: int(kernel.bound(plan, engine.stream(plan))[0].sum()), plans))
            assert found == expected


def test_the_table_of_persons_can_be_asked(engine: Store) -> None:
    """One row per person, those of the table of persons."""
    plan = planned(nodes.ByValue("sex"), table=PERSONS, n=nodes.Count("persons"))
    (found,) = cells(engine, plan)
    by_person = {event.person: event.code("sex") for event in EVENTS}
    assert found == [sum(code == sex for code in by_person.values()) for sex in (1, 2)]


def test_an_empty_store_gives_empty_cells(tmp_path: Path) -> None:
    """A dataset whose every event lacks a person has cells of zeros."""
    text = '[tables.t]\nsource = "s.parquet"\n[tables.t.columns.v]\ntype = "integer"\nbounds = [0, 3]'
    built = build(tmp_path, text, {"s.parquet": pa.table({"patient": pa.array([None], pa.int64()), "v": [1]})})
    plan = planned(nodes.ByValue("v"), dataset=built.dataset, table="t", n=nodes.Count("persons"))
    one = opened(built.path)
    assert cells(one, plan) == [[0, 0, 0, 0]]
    one.close()


# Filters on texts that are not public


@pytest.mark.parametrize(
    "where",
    [
        nodes.Comparison("diagnosis", "=", "text 3"),
        nodes.Comparison("diagnosis", "!=", "text 3"),
        nodes.Comparison("diagnosis", "in", ("text 1", "text 7", "nobody's")),
        nodes.Not(nodes.Comparison("diagnosis", "in", ("text 1", "text 7"))),
        nodes.Comparison("diagnosis", "=", "nobody's"),
        nodes.Comparison("diagnosis", "!=", "nobody's"),
        nodes.Comparison("diagnosis", "is_null"),
        nodes.Not(nodes.Comparison("diagnosis", "is_null")),
        nodes.Comparison("diagnosis", "=", "'; DROP TABLE visits; --"),
        nodes.Comparison("diagnosis", "=", "\ud800"),
        nodes.Comparison("diagnosis", "under", "text"),
        nodes.Comparison("diagnosis", "under", "text 1"),
        nodes.Not(nodes.Comparison("diagnosis", "under", "text 1")),
        nodes.Comparison("diagnosis", "under", "text 3 and more"),
        nodes.Comparison("diagnosis", "under", "\ud800"),
        nodes.Comparison("diagnosis", "under", "%"),
    ],
)
def test_a_filter_on_an_undeclared_category_finds_its_texts(engine: Store, where: nodes.Predicate) -> None:
    """Equal, different, listed, null: as over the texts themselves; a text that nobody has is no error."""

    def chosen(predicate: nodes.Predicate, code: int) -> bool:
        match predicate:
            case nodes.Not(part):
                return not chosen(part, code) if part.op == "is_null" else code > 0 and not chosen(part, code)
            case nodes.Comparison(_, "is_null"):
                return code == 0
            case nodes.Comparison(_, "!=", value):
                return code > 0 and f"text {code}" != value
            case nodes.Comparison(_, "=", value):
                return code > 0 and f"text {code}" == value
            case nodes.Comparison(_, "under", str() as value):
                return code > 0 and f"text {code}".startswith(value)
            case nodes.Comparison(_, "in", value):
                assert isinstance(value, tuple)
                return code > 0 and f"text {code}" in value
        raise AssertionError(predicate)

    plan = planned(where=where, n=nodes.Count("events"), events=1000)
    expected = sum(chosen(where, event.code("diagnosis")) for event in EVENTS)
    assert cells(engine, plan) == [[expected]]


def test_an_undeclared_attribute_of_the_person_is_found_in_every_table(tmp_path: Path) -> None:
    """Its texts are kept once, with the persons, and filter events and persons alike."""
    text = """
    [person.columns.town]
    type = "category"
    [tables.order]
    source = "s.parquet"
    [tables.order.columns.group]
    type = "category"
    """
    source = pa.table({"patient": [1, 1, 2], "town": ["Ulm", "Ulm", "Bonn"], "group": ["x", "y", "x"]})
    built = build(tmp_path, text, {"s.parquet": source})
    one = opened(built.path)
    for table, expected in (("order", 2), (PERSONS, 1)):
        where = nodes.Comparison("town", "=", "Ulm")
        plan = planned(where=where, dataset=built.dataset, table=table, n=nodes.Count("events"))
        assert cells(one, plan) == [[expected]]
    both = nodes.All((nodes.Comparison("town", "=", "Ulm"), nodes.Comparison("group", "=", "x")))
    assert cells(one, planned(where=both, dataset=built.dataset, table="order", n=nodes.Count("events"))) == [[1]]
    one.close()


class Recording:
    """A real cursor that remembers the SQL it was given, and with what."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self.cursor = cursor
        self.seen: list[tuple[str, Any]] = []

    def execute(self, sql: str, parameters: Any) -> duckdb.DuckDBPyConnection:
        self.seen.append((sql, parameters))
        return self.cursor.execute(sql, parameters)


HOSTILE = ("nobody's", "'; DROP TABLE visits; --", "\ud800", "\x00", "", "text 1 ", "Text 1", "?", "$1")


def test_texts_are_looked_up_as_one_bound_value(clinic: Path) -> None:
    """One constant statement for any list: the texts are its parameter and nowhere else."""
    connection = connect_locked(clinic, memory_limit="300MB")
    cursor: Any = Recording(connection)
    table = planned(n=nodes.Count("events")).table
    codes = dict(rows_of(connection, 'SELECT value, code FROM "visits.diagnosis" WHERE value IS NOT NULL'))
    asked = [*codes, *HOSTILE]
    found = engines._look_up(cursor, table, "diagnosis", asked)
    assert engines._look_up(cursor, table, "diagnosis", ["text 1"]) == [codes["text 1"]]
    used = {code for (code,) in rows_of(connection, "SELECT DISTINCT diagnosis FROM visits")}
    connection.close()
    assert found[: len(codes)] == list(codes.values())
    assert len(set(found)) == len(asked)
    assert not set(found[len(codes) :]) & used
    ((sql, _), (same, _)) = cursor.seen
    assert sql == same
    assert not any(text in sql for text in asked if text not in ("", "?", "$1"))


def test_beginnings_are_compared_with_every_text(clinic: Path) -> None:
    """Each text has a number in what is found, whether it begins so or not; prefixes are parameters and nowhere else."""
    connection = connect_locked(clinic, memory_limit="300MB")
    cursor: Any = Recording(connection)
    table = planned(n=nodes.Count("events")).table
    codes = dict(rows_of(connection, 'SELECT value, code FROM "visits.diagnosis" WHERE value IS NOT NULL'))
    for prefixes in (
        ["text 1"],
        ["te", "text 2"],
        ["it", "nobody's"],
        ["\ud800", "text"],
        ["text 1", "text 3", "a", "bc"],
    ):
        found = engines._beginning(cursor, table, "diagnosis", prefixes)
        assert len(set(found.tolist())) == len(codes) + SPARE_CODES + comparisons.SHORT + 1
        own = {code for text, code in codes.items() if text.startswith(tuple(prefixes))}
        assert set(found[found < engines.BEYOND].tolist()) == own
    assert not any("text" in sql or "nobody" in sql for sql, _ in cursor.seen)
    connection.close()


def spare(connection: duckdb.DuckDBPyConnection) -> list[int]:
    """Return the codes of the clinic's diagnoses that nobody has."""
    return [code for (code,) in rows_of(connection, 'SELECT code FROM "visits.diagnosis" WHERE value IS NULL')]


def test_absent_texts_get_codes_that_nobody_has(clinic: Path, tmp_path: Path) -> None:
    """A list keeps its length whatever it matches: with more absent texts than spare codes, and in an older store."""
    older = tmp_path / "older.duckdb"
    shutil.copy(clinic, older)
    with duckdb.connect(str(older)) as connection:  # as an import of before made it
        connection.execute('DELETE FROM "visits.diagnosis" WHERE value IS NULL')
        connection.execute('ALTER TABLE "visits.diagnosis" ADD COLUMN digest UBIGINT DEFAULT 7')
    table = planned(n=nodes.Count("events")).table
    texts = ["text 1", *(f"nobody's {n}" for n in range(SPARE_CODES + 500))]
    for path, kept in ((clinic, SPARE_CODES), (older, 0)):
        connection = connect_locked(path, memory_limit="300MB")
        unused = spare(connection)
        assert len(unused) == kept
        found = engines._look_up(connection, table, "diagnosis", texts)
        present = {code for (code,) in rows_of(connection, "SELECT DISTINCT diagnosis FROM visits")}
        connection.close()
        assert len(set(found)) == len(texts)
        assert found[0] in present
        assert not set(found[1:]) & present
        assert set(unused) <= set(found[1:])
        assert not set(found[1 : 1 + kept]) - set(unused)


def test_spare_codes_stand_among_the_others(clinic: Path) -> None:
    """In the same random order, neither first nor last: a column's least or greatest value would set them apart.

    (Of seven texts among a thousand it is so by chance once in 10^17.)
    """
    connection = connect_locked(clinic, memory_limit="300MB")
    taken = sorted(
        code for (code,) in rows_of(connection, 'SELECT code FROM "visits.diagnosis" WHERE value IS NOT NULL')
    )
    connection.close()
    assert len(taken) == 7
    assert taken != list(range(1, 8))
    assert taken != list(range(SPARE_CODES + 1, SPARE_CODES + 8))


CASE = Path(__file__).parents[2] / "cases" / "digest-collision"


def test_texts_whose_digests_begin_alike_are_told_apart(tmp_path: Path) -> None:
    """Two texts with the same first 64 bits of SHA-256: 50 persons have one, one person the other, in every import."""
    texts = {"971f246c06487ddb": 50, "9ba6c5804dede527": 1}
    assert len({hashlib.sha256(text.encode()).digest()[:8] for text in texts}) == 1
    declared = manifest.read_manifest(CASE / "manifest.toml")
    for attempt in range(4):  # the order of codes is drawn anew for each
        folder = tmp_path / str(attempt)
        folder.mkdir()
        ingest.build(declared, folder, memory_limit="500MB", threads=1, progress=lambda _what, _done: None)
        one = opened(folder / parts.WHOLE)
        for text, persons in texts.items():
            where = nodes.Comparison("drug", "=", text)
            plan = planned(dataset=declared.dataset, table="events", where=where, n=nodes.Count("persons"))
            assert cells(one, plan) == [[persons]]
        one.close()


def rows_of(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Return what a statement finds on a given connection."""
    return connection.execute(sql).fetchall()


# Locked


FORBIDDEN = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM frame",  # a variable of the calling Python code
    "SELECT getenv('HOME')",
    "ATTACH '/tmp/other.duckdb' AS other",
    "ATTACH ':memory:' AS other",
    "COPY visits TO '/tmp/visits.csv'",
    "COPY visits FROM '/etc/passwd'",
    "EXPORT DATABASE '/tmp/visits'",
    "IMPORT DATABASE '/tmp/visits'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET threads",
    "PRAGMA threads = 4",
    "PRAGMA enable_profiling",
    "CREATE SECRET s (TYPE s3)",
    "CREATE TABLE other (a INTEGER)",
    "CREATE VIEW other AS SELECT 1",
    "CREATE MACRO other() AS 1",
    "INSERT INTO persons SELECT * FROM persons",
    "UPDATE visits SET visits = 0",
    "DELETE FROM visits",
    "DROP TABLE visits",
    "ALTER TABLE visits DROP COLUMN visits",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_connection_can_do_nothing_but_read_the_store(clinic: Path, statement: str) -> None:
    """Files, other databases, extensions, settings and writes are refused by DuckDB itself, on cursors too."""
    frame = pa.table({"a": [1]})
    connection = connect_locked(clinic, memory_limit="300MB")
    for one in (connection, connection.cursor()):
        with pytest.raises(duckdb.Error):
            one.execute(statement).fetchall()
        assert one.execute("SELECT count(*) FROM visits").fetchall() == [(len(EVENTS),)]
    connection.close()
    assert len(frame) == 1


def test_an_unlocked_connection_would_read_files() -> None:
    """The statements above fail for the lock and not for a mistake in them."""
    with duckdb.connect() as connection:
        assert connection.execute("SELECT count(*) FROM read_text('/etc/passwd')").fetchall() == [(1,)]
        connection.execute("SET threads = 1")


def test_engine_has_memory_and_thread_limits(clinic: Path, tmp_path: Path) -> None:
    """The engine has the memory limit of the settings, and no thread of its own."""
    copy = tmp_path / "copy.duckdb"
    shutil.copy(clinic, copy)
    connection = connect_locked(copy, memory_limit="123MB")
    settings = "SELECT current_setting('threads'), current_setting('memory_limit')"
    ((threads, memory),) = rows_of(connection, settings)
    connection.close()
    assert threads == 1
    assert memory.startswith("117.")  # 123 million bytes in MiB


# Failing


def consume(store: Path, plan: Plan, pause: float = 0, **limits: Any) -> None:
    """Open a store, stream a plan with a pause after each batch, and close it again."""
    one = opened(store, **limits)
    try:
        for _ in one.stream(plan):
            time.sleep(pause)
    finally:
        one.close()


def says_nothing(error: EngineFailed) -> bool:
    """Say whether an error is the constant one, with its cause kept for the log."""
    return str(error) == FAILED and error.__cause__ is not None


@pytest.mark.parametrize("seconds", [0.0001, 0.001, 0.01, 0.1])
def test_a_query_that_takes_too_long_fails(big: Built, seconds: float) -> None:
    """Whenever its time is over, before the first row or between two batches, a query ends with the constant text."""
    with pytest.raises(EngineFailed) as failed:
        consume(big.path, big_plan(big), pause=0.02, query_seconds=seconds)
    assert str(failed.value) == FAILED


def test_a_query_in_time_is_not_interrupted(big: Built) -> None:
    """The clock of a finished query does not stop the next one, and no timer is left behind."""
    before = set(threading.enumerate())
    plan, first = big_plan(big), opened(big.path)
    began = time.monotonic()
    expected = cells(first, plan)
    first.close()
    enough = 1.0 + 5 * (time.monotonic() - began)  # a busy machine takes seconds
    one = opened(big.path, query_seconds=enough)
    assert cells(one, plan) == expected
    time.sleep(enough + 0.1)
    assert cells(one, plan) == expected
    one.close()
    assert set(threading.enumerate()) <= before


def test_a_stream_that_is_left_unread_lets_go(big: Built) -> None:
    """A kernel that refuses a stream leaves no cursor and no timer behind."""
    before = set(threading.enumerate())
    one = opened(big.path)
    stream: Any = one.stream(big_plan(big))
    next(stream)
    stream.close()
    one.close()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("limit", ["256KB", "300KB"])
def test_too_little_memory_fails_with_the_constant_text(big: Built, limit: str) -> None:
    """Whether DuckDB notices when it opens the store or when it reads it."""
    with pytest.raises(EngineFailed) as failed:
        consume(big.path, big_plan(big), memory_limit=limit)
    assert says_nothing(failed.value)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8])
def test_a_damaged_store_fails_with_the_constant_text(big: Built, tmp_path: Path, share: float) -> None:
    """A damaged header, or blocks anywhere behind it: no data, no path and no checksum in the text."""
    damaged = tmp_path / "store.duckdb"
    content = bytearray(big.path.read_bytes())
    start = int(share * len(content))
    for place in range(start, min(start + len(content) // 5, len(content))):
        content[place] ^= 0x5A
    damaged.write_bytes(content)
    with pytest.raises(EngineFailed) as failed:
        consume(damaged, big_plan(big))
    assert says_nothing(failed.value)


def test_a_store_that_is_gone_fails_with_the_constant_text(tmp_path: Path) -> None:
    """A missing file names no path to the researcher."""
    one = opened(tmp_path / "gone.duckdb")
    for use in (one.ranges, lambda: next(one.stream(planned(n=nodes.Count("events"))))):
        with pytest.raises(EngineFailed) as failed:
            use()
        assert says_nothing(failed.value)
    one.close()


def test_a_store_of_another_catalog_fails_with_the_constant_text(clinic: Path, big: Built, tmp_path: Path) -> None:
    """A table or column that the store lacks is the engine's failure, and DuckDB's hints stay in the log."""
    copy = tmp_path / "copy.duckdb"
    shutil.copy(clinic, copy)
    with pytest.raises(EngineFailed) as failed:
        consume(copy, big_plan(big))
    assert says_nothing(failed.value)
