"""How fast this machine is, measured once on made-up data. `queries/execution/scan_time.py` computes with it.

The speed is never measured on real scans: then the slots of later queries would depend on what those scans read. The
measurement takes about a second, when a server first starts over a home, and is kept there in `rates.json`. Every
server and every restart therefore gives a query the same slot. To measure anew, for example because the machine was
busy, delete the file.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
import time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from queries import plan, processors
from queries.catalog.schema import PERSONS, Column, Dataset, Kind, Table, frozen
from queries.execution.scan_time import Rates
from queries.language import nodes
from queries.mechanisms import NANO
from queries.planning import planner
from queries.release import assembly
from queries.store.made_up import rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from queries.execution.engine import Engine

logger = logging.getLogger("rowless")

FILE = "rates.json"
HERE = "duckdb"  # the engine of this machine
PERSONS_MADE = 30_000
EVENTS_MADE = PERSONS_MADE * rehearsal.EVENTS_MOST / 2
CODES = 5_000
TIMES = 2  # measurements of each kind; the fastest counts, because other load is not a property of the machine


def of_home(home: Path, measured: Callable[[], Rates], engine: str = HERE) -> Rates:
    """Return an engine's rates from the home's file; if the file has none, measure them and keep them there."""
    try:
        return Rates(**{name: float(value) for name, value in _read(home / FILE)[_name(engine)].items()})
    except (KeyError, TypeError, ValueError, AttributeError):
        rates = measured()
    try:
        keep(home, rates, engine)
    except OSError as error:
        logger.warning("the rates cannot be kept in %s, so each start measures them again", home, exc_info=error)
    return rates


def keep(home: Path, rates: Rates, engine: str = HERE) -> None:
    """Write rates into the home's file, beside those of other machines and engines. Raises OSError."""
    file = home / FILE
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({**_read(file), _name(engine): dataclasses.asdict(rates)}, indent=1))
    partial.replace(file)


def _name(engine: str) -> str:
    return "/".join((platform.node(), str(processors.usable()), version("rowless"), version("duckdb"), engine))


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def measure(memory_limit: str) -> Rates:
    """Return the rates of this machine as it is now, from scans of a made-up store."""
    engine = rehearsal.engine(MADE_UP, memory_limit=memory_limit, query_seconds=60, persons=PERSONS_MADE)
    try:
        fixed = _seconds(lambda: _scan(engine, _plan(nodes.Query("persons", PEOPLE))))
        summed = nodes.Query("a", (("s", nodes.Sum("cost")),), group_by=BY_CODE)
        column = _seconds(lambda: _scan(engine, _plan(summed))) / (3 * EVENTS_MADE)
        joined = _seconds(lambda: _scan(engine, _plan(nodes.Query("a", PEOPLE, COHORT, BY_CODE)))) / (3 * EVENTS_MADE)
        values = (("n", nodes.Value("count")), ("t", nodes.Value("sum", "cost")))
        built = _seconds(lambda: _scan(engine, _plan(nodes.Query(nodes.PerPerson("a", values), PEOPLE))))
        spread = _plan(nodes.Query("a", (("n", nodes.Count("events")),), group_by=BY_CODE))
        cells = engine.cells(spread)
        noise = _seconds(lambda: assembly.add_noise(spread, cells)) / CODES
        noisy = assembly.add_noise(spread, cells)
        # As a dictionary each, which most statistics need; counts and sums are written by column, in less time.
        row = _seconds(lambda: json.dumps(list(assembly.rows(spread, noisy)))) / (2 * CODES)
        return Rates(fixed, fixed, column, joined, built / (2 * EVENTS_MADE), noise, row)
    finally:
        engine.close()


def _plan(query: nodes.Query) -> plan.Plan:
    return planner.plan(query, MADE_UP, nodes.Privacy(NANO), 10 * CODES)


def _scan(engine: Engine, planned: plan.Plan) -> None:
    engine.cells(planned)


def _seconds(work: Callable[[], object]) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return min(once() for _ in range(TIMES))


def _table(name: str) -> Table:
    columns = {
        "day": Column("day", Kind.DATE, low=18_000, high=20_000),
        "code": Column("code", Kind.INTEGER, low=1, high=CODES),
        "cost": Column("cost", Kind.NUMBER, low=0, high=100_000, step=Decimal("0.01")),
    }
    return Table(name, frozen(columns), cells_per_person=5, events_per_cell=5)


PEOPLE: tuple[tuple[str, nodes.Statistic], ...] = (("n", nodes.Count("persons")),)
# By an attribute of the person no event would be read (`queries/execution/event_numbers.py`).
BY_CODE = (nodes.ByValue("code"),)
COHORT = nodes.Cohort("a", after=nodes.Related("b"))
MADE_UP = Dataset(
    "made-up",
    "Made-up",
    Decimal(10),
    Decimal(0),
    PERSONS_MADE,
    frozen({PERSONS: Table(PERSONS, frozen({})), "a": _table("a"), "b": _table("b")}),
)
