"""Whether the files of an edition are the parts that its list names, and how many persons each holds.

A file is told from its name, its mark (`queries/catalog/parts.py`), its length and its hash. Only the hash finds every
change, and it reads the whole file, as fast as the disk and one core do.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from queries.catalog import parts
from queries.catalog.schema import PERSONS
from queries.errors import ImportFailed
from queries.store.encoding import name, text
from queries.store.sources import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from queries.catalog.parts import Part, Parts
    from queries.store.ingest import Progress

MEMORY = "200MB"
STEP = "checking the parts"
FAULTS_NAMED = 3


@dataclass(frozen=True)
class Inspected:
    """One part. `persons` is None if its file cannot be read, and `fault` is what is wrong with it, in words."""

    part: Part
    bytes: int = 0
    persons: int | None = None
    fault: str | None = None


def inspect(folder: Path, listed: Parts, progress: Progress, *, hashes: bool) -> list[Inspected]:
    """Look at every part of a list. With `hashes` read all of every file that has a hash."""
    total, done = sum(part.bytes for part in listed.parts) or 1, 0

    def read(size: int) -> None:
        nonlocal done
        done += size
        progress(STEP, min(done / total, 1.0))

    if hashes:
        progress(STEP, 0.0)
    with duckdb.connect(":memory:", config={"memory_limit": MEMORY, "threads": 1}) as connection:
        found = [_inspect(connection, folder, listed, part, read if hashes else None) for part in listed.parts]
    if hashes:
        progress(STEP, 1.0)
    return found


def require_sound(folder: Path, listed: Parts, progress: Progress) -> None:
    """Raise ImportFailed unless every part is what the list says, to the last byte."""
    faults = [one.fault for one in inspect(folder, listed, progress, hashes=True) if one.fault is not None]
    if faults:
        raise ImportFailed(f"{in_words(faults)}. Nothing was changed; rowless doctor says what to do")


def in_words(faults: list[str]) -> str:
    """Return the first faults, and how many more there are."""
    more = f"; and {len(faults) - FAULTS_NAMED} more parts" if len(faults) > FAULTS_NAMED else ""
    return "; ".join(faults[:FAULTS_NAMED]) + more


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, file: Path, alias: str, *, new: bool = False) -> Iterator[None]:
    """Attach a part's file while the block runs: for reading, or a new one for writing."""
    run(connection, f"ATTACH {text(str(file))} AS {alias}{'' if new else ' (READ_ONLY)'}")
    try:
        yield
    finally:
        run(connection, f"DETACH {alias}")


def persons_of(connection: duckdb.DuckDBPyConnection) -> int:
    """Return how many persons the part that is attached as `part` has."""
    ((persons,),) = run(connection, f"SELECT count(*) FROM part.{name(PERSONS)}")
    return int(persons)


def _inspect(
    connection: duckdb.DuckDBPyConnection, folder: Path, listed: Parts, part: Part, read: Callable[[int], None] | None
) -> Inspected:
    file = folder / part.file
    try:
        size = file.stat().st_size
    except OSError:
        return Inspected(part, fault=f"{part.file} is missing")
    try:
        with attached(connection, file, "part"):
            persons = persons_of(connection)
            mark = _mark(connection) if listed.is_marked else None
    except duckdb.Error:
        return Inspected(part, size, fault=f"{part.file} is damaged: it cannot be opened")
    fault = None
    if listed.is_marked and mark != (listed.name, part.number):
        fault = f"{part.file} is a part of another edition or of an earlier list, or another part of this one"
    elif part.sha256 is not None and size != part.bytes:
        fault = f"{part.file} is damaged: it has {size} bytes in place of {part.bytes}"
    elif part.sha256 is not None and read is not None and _hash(file, read) != part.sha256:
        fault = f"{part.file} is damaged: it is not what was written, by its hash in {parts.FILE}"
    return Inspected(part, size, persons, fault)


def _mark(connection: duckdb.DuckDBPyConnection) -> tuple[str, int] | None:
    try:
        found = run(connection, f"SELECT list, number FROM part.{name(parts.MARK)}")
    except duckdb.CatalogException:
        return None
    return (str(found[0][0]), int(found[0][1])) if len(found) == 1 else None


def _hash(file: Path, read: Callable[[int], None]) -> str | None:
    """Return a file's hash, and tell how much was read after each block; None if it cannot be read."""
    try:
        with file.open("rb") as opened:

            def block(size: int) -> bytes:
                found = opened.read(size)
                read(len(found))
                return found

            return parts.sha256(block)
    except OSError:
        return None
