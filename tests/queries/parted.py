"""Editions in parts: made of one store by a repartition, and opened as the server opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalog import parts
from queries.execution.duckdb import Store
from queries.execution.engine import LocalEngine
from queries.store import repartition
from tests.queries.sources import silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from queries.catalog.parts import Parts

SOME = (1, 3, 16)


def divide(folder: Path, into: int, memory_limit: str = "300MB") -> Parts:
    """Give the edition in a folder another number of parts, and delete the old ones."""
    made = repartition.repartition(
        folder, parts.kept(folder), into, memory_limit=memory_limit, threads=2, progress=silent
    )
    parts.keep(folder, made)
    repartition.delete(repartition.leftovers(folder, made))
    return made


def opened(folder: Path, memory_limit: str = "200MB") -> LocalEngine:
    """Return an engine over the parts in a folder, each with its mark."""
    listed = parts.kept(folder)
    return LocalEngine(
        [
            Store(
                folder / part.file,
                memory_limit=memory_limit,
                threads=1,
                query_seconds=60,
                mark=(listed.name, part.number) if listed.is_marked else None,
            )
            for part in listed.parts
        ]
    )


def copied(store: Path, folder: Path) -> Path:
    """Return a new folder with a store as an edition of before there were lists: one file and no list."""
    folder.mkdir()
    (folder / parts.WHOLE).write_bytes(store.read_bytes())
    return folder


def divided(store: Path, folder: Path, several: Sequence[int] = SOME) -> list[LocalEngine]:
    """Return engines over a store, and over it divided into several numbers of parts."""
    engines = [opened(copied(store, folder / "whole"))]
    for into in several:
        place = copied(store, folder / str(into))
        divide(place, into)
        engines.append(opened(place))
    return engines
