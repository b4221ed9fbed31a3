"""The engine that answers queries about an edition, as the settings say."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from queries.execution.duckdb import Store
from queries.execution.engine import LocalEngine

if TYPE_CHECKING:
    from pathlib import Path

    from queries.catalog.parts import Parts
    from queries.catalog.schema import Dataset
    from queries.execution.engine import Engine
    from server.runtime.settings import Settings

# What DuckDB needs for one open part, however little is in it: 16MB were too little for some queries, and 32MB enough.
PART_BYTES = 64_000_000
_UNITS = {"B": 0, "K": 3, "M": 6, "G": 9, "T": 12}  # rounded down, because KiB is more than KB
_SIZE = re.compile(r"([0-9]+(?:[.][0-9]+)?) *([A-Za-z]+)")


def of(settings: Settings, folder: Path, parts: Parts, dataset: Dataset) -> Engine:
    """Return the engine of an edition whose parts lie in a folder. Nothing is opened yet."""
    return LocalEngine(
        [
            Store(
                folder / part.file,
                memory_limit=divided(settings.memory_limit, len(parts)),
                threads=os.cpu_count() or 1,
                query_seconds=settings.query_seconds,
                persons_max=-(-dataset.persons_max // len(parts)),
                mark=(parts.name, part.number) if parts.is_marked else None,
            )
            for part in parts.parts
        ]
    )


def divided(size: str, by: int) -> str:
    """Return a part of a size such as 4GB, at least a byte. Open parts share the engine's memory."""
    found = _SIZE.fullmatch(size)
    assert found is not None, "the settings allow only sizes"
    return size if by == 1 else f"{float(found[1]) / by:.6f}{found[2]}"


def parts_most(size: str) -> int:
    """Return how many parts can be open within a memory limit, so that no query fails for want of memory."""
    found = _SIZE.fullmatch(size)
    assert found is not None, "the settings allow only sizes"
    return max(1, int(float(found[1]) * 10 ** _UNITS[found[2][0].upper()]) // PART_BYTES)
