"""Editions in parts, opened on a cluster and on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalog import parts
from queries.execution.duckdb import Store
from queries.execution.spark.copies import Located
from queries.execution.spark.engine import SparkEngine
from queries.execution.spark.tasks import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from queries.execution.spark.session import Session

LIMITS = Limits(memory_limit="300MB", threads=1, query_seconds=120, persons_max=2**31 - 1)


def located(folder: Path, dataset: str = "d") -> list[Located]:
    """Return the parts in a folder, which has a list of them."""
    listed = parts.kept(folder)
    found = []
    for part in listed.parts:
        assert part.sha256 is not None
        found.append(Located(dataset, listed.name, part.number, str(folder / part.file), part.sha256))
    return found


def on_spark(session: Session, folder: Path, some: list[Located] | None = None) -> SparkEngine:
    """Return an engine over the parts in a folder, or over parts that a test made wrong."""
    first = folder / parts.kept(folder).parts[0].file

    def texts() -> Store:
        return Store(first, memory_limit="200MB", threads=1, query_seconds=60)

    return SparkEngine(session, located(folder) if some is None else some, LIMITS, texts)
