"""What an executor does: answer a question for one part, with the code that one machine uses.

A task gets a question and the list of parts, and returns the part's number with its integers. It never raises for a
reason in the data: Spark would try it again, which costs time that tells. A failure is a value, too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from queries.catalog.parts import BadParts
from queries.errors import EngineFailed
from queries.execution import engine, kernel, partition_selection
from queries.execution.duckdb import Store
from queries.execution.spark import copies

if TYPE_CHECKING:
    from queries.execution.engine import Question, Vectors
    from queries.execution.spark.copies import Located

logger = logging.getLogger("rowless")


@dataclass(frozen=True)
class Limits:
    """What one task may use. `persons_max` is that of a part."""

    memory_limit: str
    threads: int
    query_seconds: float
    persons_max: int


@dataclass(frozen=True)
class Partial:
    """The integers of some parts, added up. `vectors` is None if one of them failed, and `failure` says why."""

    numbers: frozenset[int]
    vectors: Vectors | None
    failure: str = ""


class PartTwice(Exception):
    """A part came twice: its persons would count twice."""


def answered(question: Question, part: Located, limits: Limits) -> Partial:
    """Return what a part adds to the answer."""
    number = frozenset({part.number})
    try:
        store = Store(
            copies.fetched(part),
            memory_limit=limits.memory_limit,
            threads=limits.threads,
            query_seconds=limits.query_seconds,
            persons_max=limits.persons_max,
            mark=(part.listed, part.number),
        )
        try:
            return Partial(number, engine.of_part(question, store))
        finally:
            store.close()
    except (EngineFailed, BadParts, duckdb.Error, OSError, MemoryError) as error:
        cause = error.__cause__ or error
        return Partial(number, None, f"part {part.number}: {type(cause).__name__}: {cause}")


def merged(one: Partial, other: Partial) -> Partial:
    """Return two partial answers as one. Raises PartTwice if a part is in both."""
    twice = one.numbers & other.numbers
    if twice:
        raise PartTwice(f"parts {sorted(twice)} came twice")
    numbers = one.numbers | other.numbers
    if one.vectors is None or other.vectors is None:
        return Partial(numbers, None, one.failure or other.failure)
    return Partial(numbers, engine.added(one.vectors, other.vectors))


def warm() -> None:
    """Load and compile what every task needs."""
    kernel.warm()
    partition_selection.warm()
