"""DuckDB over one store, a part of an edition: locked, read-only, one cursor per query.

Every failure in here raises EngineFailed with the same words. The cause is chained for the admin's log.
"""

from __future__ import annotations

import itertools
import threading
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
from sqlglot import exp

from queries.catalog import parts
from queries.catalog.parts import BadParts
from queries.catalog.schema import PERSON, PERSONS, PERSONS_MAX
from queries.errors import EngineFailed
from queries.execution import comparisons, event_numbers
from queries.execution import scan as scans
from queries.execution.reading import Reader
from queries.execution.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from queries.catalog.schema import Column, Table
    from queries.execution.passes import Codes
    from queries.execution.reading import Arrays, Batches
    from queries.plan import Plan

PERSONS_PER_STREAM = 50_000  # with fewer another stream does not pay
BATCH_ROWS = 65_536  # a batch of a few columns fits into a core's cache
CODES_PER_LOOK_UP = 1_000
CODE_LAST = 2**32 - 1  # of an undeclared category
BEYOND = 2**33  # added to a code that is not meant: no event has it then

# Optimizers that are off, because what they do depends on the data: on least and greatest values, on numbers of rows,
# or on whether a part of the result is empty. docs/privacy.md ("What askers can do to timing") describes all of them.
# Without them the plan of a query follows from its SQL alone. DuckDB refuses a name that it does not know.
OPTIMIZERS_OFF = (
    "statistics_propagation",
    "empty_result_pullup",
    "join_filter_pushdown",
    "join_order",
    "build_side_probe_side",
    "row_group_pruner",
    "compressed_materialization",
    "late_materialization",
    "partitioned_execution",
    "partial_aggregate_pushdown",
)


class _Persons(NamedTuple):
    """How many persons a store has, the largest of their numbers, and the columns of their table."""

    there: int
    last: int
    columns: frozenset[str]


class Store:
    """One part's file, open for queries. Any number of threads may call it.

    `threads` is how many ranges of persons are read at once, each by a thread of its own. With `mark`, the file must
    carry it (`queries/catalog/parts.py`): the name of its list of parts, and its number.
    """

    def __init__(
        self,
        store: Path,
        *,
        memory_limit: str,
        threads: int,
        query_seconds: float,
        persons_max: int = PERSONS_MAX,
        mark: tuple[str, int] | None = None,
    ) -> None:
        self._store = store
        self._memory_limit = memory_limit
        self._threads = threads
        self._query_seconds = query_seconds
        self._persons_max = persons_max
        self._mark = mark
        self._opening = threading.Lock()
        self._opened: duckdb.DuckDBPyConnection | None = None
        self._persons: _Persons | None = None

    def close(self) -> None:
        """Release the store's file."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def open(self) -> None:
        """Open the store unless it is open. No event is read. Raises EngineFailed."""
        self._connection()

    def _connection(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._opened is None:
                try:
                    opened = connect_locked(self._store, memory_limit=self._memory_limit)
                except duckdb.Error as error:
                    raise EngineFailed("the engine failed") from error
                if self._mark is not None and mark_of(opened) != self._mark:
                    opened.close()
                    raise EngineFailed("the engine failed") from BadParts(f"{self._store.name} is of another edition")
                self._opened = opened
            return self._opened

    def ranges(self, persons_per_stream: int = PERSONS_PER_STREAM) -> list[range]:
        """Return ranges of persons that together hold everybody, to be streamed at once.

        Their number follows from the public number of persons: one more person does not make one more stream.
        """
        streams = max(1, min(self._threads, self._persons_max // persons_per_stream))
        everybody = max(self._of_persons().there, streams)
        edges = [everybody * stream // streams for stream in range(streams)]
        # The last range is open to the end, so no person is left out, whatever the count is.
        return [range(first, stop) for first, stop in itertools.pairwise([*edges, 2**31])]

    def _of_persons(self) -> _Persons:
        if self._persons is None:
            number = exp.column(PERSON, quoted=True)
            persons = exp.Table(this=exp.to_identifier(PERSONS, quoted=True))
            count = exp.select(exp.Count(this=exp.Star()), exp.Max(this=number)).from_(persons)
            shape = exp.select(exp.Star()).from_(persons.copy()).limit(0)
            try:
                with closing(self._connection().cursor()) as cursor:
                    ((persons_there, last),) = cursor.execute(count.sql("duckdb")).fetchall()
                    columns = [name for name, *_ in cursor.execute(shape.sql("duckdb")).description]
            except duckdb.Error as error:
                raise EngineFailed("the engine failed") from error
            self._persons = _Persons(persons_there, -1 if last is None else last, frozenset(columns))
        return self._persons

    def number_for(self, plan: Plan) -> str | None:
        """Return the column with each person's number of events, if a plan needs no more and the store has it.

        Older stores have none.
        """
        number = event_numbers.numbered(plan.table.name)
        return number if event_numbers.suffice(plan) and number in self._of_persons().columns else None

    def stream(
        self, plan: Plan, persons: range | None = None, stop: Stop | None = None, number: str | None = None
    ) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Codes]]]:
        """Yield the events of a range of persons in person order, as (person numbers, codes of each column).

        With `number`, yield each person once, with that column (`event_numbers.py`).
        Raises EngineFailed: out of memory, out of time, a damaged store, told to stop.
        """
        with self._reading(stop) as (cursor, batches):
            look_up = Dictionaries(cursor, plan.tables)
            yield from Reader(plan.tables, self._within(persons), persons, look_up, batches).stream(plan, number)

    def _within(self, persons: range | None) -> range:
        """Return a range of persons without the numbers that are above all persons."""
        whole = range(2**31) if persons is None else persons
        return range(whole.start, max(whole.start, min(whole.stop, self._of_persons().last + 1)))

    def everybody(self) -> int:
        """Return the number of persons. Raises EngineFailed."""
        return self._of_persons().there

    def columns(
        self, table: Table, names: Sequence[str], persons: range
    ) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Codes]]]:
        """Yield all events of a range of persons with some columns, as `stream` does. Raises EngineFailed."""
        with self._reading() as (_, batches):
            for person, *arrays in batches(scans.whole(table.name, names, persons)):
                yield person, dict(zip(names, arrays, strict=True))

    @contextmanager
    def _reading(self, stop: Stop | None = None) -> Iterator[tuple[duckdb.DuckDBPyConnection, Batches]]:
        """Yield a cursor, and what runs a SELECT on it. Raises EngineFailed, also if time is over or `stop` is told."""
        # One cursor per thread: a shared connection returned wrong rows (DuckDB 2.0).
        cursor = self._connection().cursor()
        own = Stop()
        stops = [own] if stop is None else [own, stop]

        def batches(select: exp.Select) -> Iterator[Arrays]:
            for batch in cursor.sql(select.sql("duckdb")).to_arrow_reader(BATCH_ROWS):
                # An interrupt between two batches stops nothing, so check as well.
                if any(one.is_told() for one in stops):
                    raise EngineFailed("the engine failed")
                yield [column.to_numpy(zero_copy_only=True) for column in batch.columns]

        try:
            with ExitStack() as watching:
                for one in stops:
                    watching.enter_context(one.interrupting(cursor.interrupt))
                watching.enter_context(_time_limit(own, self._query_seconds))
                yield cursor, batches
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            # Failures while a batch is read reach us through Arrow.
            raise EngineFailed("the engine failed") from error
        finally:
            cursor.close()

    def texts(self, table: Table, column: Column, codes: Sequence[int]) -> Mapping[int, str]:
        """Return the texts of an undeclared category behind some codes. Raises EngineFailed."""
        found: dict[int, str] = {}
        code, value = (exp.column(name, quoted=True) for name in ("code", "value"))
        kept = exp.Table(this=exp.to_identifier(dictionary(table.name, column), quoted=True))
        try:
            with closing(self._connection().cursor()) as cursor:
                for start in range(0, len(codes), CODES_PER_LOOK_UP):
                    some = [exp.Literal.number(one) for one in codes[start : start + CODES_PER_LOOK_UP]]
                    select = exp.select(code, value).from_(kept).where(exp.In(this=code.copy(), expressions=some))
                    found.update(cursor.execute(select.sql("duckdb")).fetchall())
        except duckdb.Error as error:
            raise EngineFailed("the engine failed") from error
        return found


def connect_locked(store: Path, *, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Open a store so that nothing but reading it is possible."""
    return duckdb.connect(
        str(store),
        read_only=True,
        config={
            "memory_limit": memory_limit,
            # A stream is read by the thread that feeds the kernel: none of the engine's own, which would take turns
            # with ours on the same cores.
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "enable_external_access": False,
            "preserve_insertion_order": True,
            "disabled_optimizers": ",".join(OPTIMIZERS_OFF),
            "asof_loop_join_threshold": 0,  # one way to join, whatever number of rows is expected
            "lock_configuration": True,
        },
    )


def mark_of(connection: duckdb.DuckDBPyConnection) -> tuple[str, int] | None:
    """Return the name of the list of parts that an open store is in, and its number there; None if it has no mark."""
    name, number = (exp.column(one, quoted=True) for one in ("list", "number"))
    select = exp.select(name, number).from_(exp.Table(this=exp.to_identifier(parts.MARK, quoted=True)))
    try:
        with closing(connection.cursor()) as cursor:
            found = cursor.execute(select.sql("duckdb")).fetchall()
    except duckdb.CatalogException:
        return None
    return (str(found[0][0]), int(found[0][1])) if len(found) == 1 else None


def dictionary(table: str, column: Column) -> str:
    """Return the name of the stored table with the texts of an undeclared category and their codes."""
    return f"{PERSONS if column.of_person else table}.{column.name}"


class Dictionaries:
    """The texts of the undeclared categories of some tables, looked up with one cursor."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> None:
        self._cursor = cursor
        self._tables = tables

    def texts(self, table: str, name: str, texts: Sequence[str], /) -> Sequence[int]:
        """Return as many different codes: that of each text, or an unused one if nobody has the text."""
        return _look_up(self._cursor, self._tables[table], name, texts)

    def beginning(self, table: str, name: str, prefixes: Sequence[str], /) -> NDArray[np.int64]:
        """Return as many codes as the column has texts, and some: those of texts that begin so, else unused ones."""
        return _beginning(self._cursor, self._tables[table], name, prefixes)


def _beginning(
    cursor: duckdb.DuckDBPyConnection, table: Table, name: str, prefixes: Sequence[str]
) -> NDArray[np.int64]:
    """Return a code for each text of a column: its own if the text begins with one of the prefixes, else an unused one.

    Every text is read and compared, and everything that follows is as long as there are texts: how many of them begin
    so, or whether one does, changes numbers alone. Prefixes of one length are compared together, so the work does not
    grow with their number. They reach the engine as bound parameters, which no parser reads.
    """
    kept, code, value = (
        exp.to_identifier(one, quoted=True) for one in (dictionary(table.name, table.columns[name]), "code", "value")
    )
    lengths = sorted({len(prefix) for prefix in prefixes})
    held = exp.or_(*(_begins(value, length, place) for place, length in enumerate(lengths, 1)))
    held = exp.Coalesce(this=held, expressions=[exp.false()])  # a spare code has no text
    select = exp.select(exp.Column(this=code), exp.alias_(held, "held")).from_(exp.Table(this=kept))
    asked = [[one for one in prefixes if len(one) == length] for length in lengths]
    found = cursor.execute(
        select.sql("duckdb"), [[one if _is_utf8(one) else None for one in several] for several in asked]
    ).fetchnumpy()
    codes = found["code"].astype(np.int64)
    # A few more, so that even a short list is one that the engine joins.
    more = 2 * BEYOND + np.arange(comparisons.SHORT + 1)
    return np.concatenate([np.where(found["held"], codes, codes + BEYOND), more])


def _begins(value: exp.Identifier, length: int, place: int) -> exp.Condition:
    """Return whether a text's first characters are one of the texts in a parameter."""
    parameter = exp.cast(exp.Parameter(this=exp.Literal.number(place)), "VARCHAR[]")
    first = exp.Left(this=exp.Column(this=value.copy()), expression=exp.Literal.number(length))
    return exp.In(this=first, query=exp.select(exp.Unnest(expressions=[parameter])).subquery())


def _look_up(cursor: duckdb.DuckDBPyConnection, table: Table, name: str, texts: Sequence[str]) -> list[int]:
    """Return as many different codes as there are texts: a text's own code, or one that is not in use.

    Texts are compared as texts, in one query whose work is the same whatever it finds. They reach the engine as a bound
    parameter, which no parser reads.
    """
    kept, code, value = (
        exp.to_identifier(one, quoted=True) for one in (dictionary(table.name, table.columns[name]), "code", "value")
    )
    asked = exp.select(exp.Unnest(expressions=[exp.cast(exp.Parameter(this=exp.Literal.number(1)), "VARCHAR[]")]))
    among = exp.In(this=exp.Column(this=value), query=asked.subquery())
    spare = exp.Is(this=exp.Column(this=value), expression=exp.null())
    select = exp.select(exp.Column(this=value), exp.Column(this=code)).from_(exp.Table(this=kept))
    # Fetch columns: rows would be a thousand tuples and more, which make Python's garbage collector run.
    found = cursor.execute(
        select.where(exp.or_(spare, among)).sql("duckdb"), [[one if _is_utf8(one) else None for one in texts]]
    ).fetchnumpy()
    held, numbers = found["value"].tolist(), found["code"].tolist()
    codes = {text: number for text, number in zip(held, numbers, strict=True) if text is not None}
    # The store has some codes that nobody has (`ingest.py`). If they are too few, or the store is older than they are,
    # take codes beyond those of all texts. All codes are alike to the engine, which does not know which are in use.
    spares = (number for text, number in zip(held, numbers, strict=True) if text is None)
    unused = itertools.chain(spares, range(CODE_LAST, 0, -1))
    return [codes[text] if text in codes else next(unused) for text in texts]


def _is_utf8(text: str) -> bool:
    """Return whether a text can be in a store at all. A lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _time_limit(stop: Stop, seconds: float) -> Iterator[None]:
    """Tell a scan to stop when its time is over."""
    timer = threading.Timer(seconds, stop.tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
