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
