from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from queries.catalog.schema import PERSON, PLACE
from queries.execution import scan
from queries.language import nodes
from tests.queries.binding.test_predicates import FILTERS, _leaves
from tests.queries.clinic import COLUMNS, plan_of, planned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.execution.sql_writer import LookUp


def found(codes: dict[str, int]) -> LookUp:
    """Return a look-up that knows some texts."""
    return Texts(codes)


class Texts:
    """A store that has some texts with their codes, and remembers what it was asked."""

    def __init__(self, codes: dict[str, int]) -> None:
        self.codes = codes
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def texts(self, _table: str, column: str, texts: Sequence[str], /) -> Sequence[int]:
        """Return the code of each text, or one from 900 on."""
        self.asked.append((column, tuple(texts)))
        return [self.codes.get(text, 900 + place) for place, text in enumerate(texts)]

    def beginning(self, _table: str, column: str, prefixes: Sequence[str], /) -> NDArray[np.int64]:
        """Return the code of each text that begins so, and others from 900 on."""
        self.asked.append((column, tuple(prefixes)))
        codes = [code if text.startswith(tuple(prefixes)) else 900 + code for text, code in self.codes.items()]
        return np.array([*codes, *range(990, 999)])


def shown(where: nodes.Predicate | None = None, codes: dict[str, int] | None = None) -> str:
    """Return the SQL of a count with a filter."""
    return scan.scan(planned(where=where, n=nodes.Count("events")), found(codes or {})).sql("duckdb")


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        (None, ""),
        (nodes.Comparison("visits", ">", 1), ' WHERE XOR("visits", 0) BETWEEN 3 AND 10'),
        (nodes.Comparison("visits", "=", 1), ' WHERE XOR("visits", 0) = 2'),
        (nodes.Comparison("visits", "!=", 1), ' WHERE XOR("visits", 0) = 1 OR XOR("visits", 0) BETWEEN 3 AND 10'),
        (nodes.Comparison("visits", "=", 2.5), " WHERE FALSE"),
        (nodes.Comparison("visits", "is_null"), ' WHERE XOR("visits", 0) = 0'),
        (nodes.Comparison("diagnosis", "=", "known"), ' WHERE XOR("diagnosis", 0) = 7'),
        (nodes.Comparison("diagnosis", "=", "unknown"), ' WHERE XOR("diagnosis", 0) = 900'),
        (
            nodes.Comparison("diagnosis", "!=", "known"),
            ' WHERE XOR("diagnosis", 0) > 0 AND NOT XOR("diagnosis", 0) = 7',
        ),
        (
            nodes.Comparison("diagnosis", "in", ("known", "unknown")),
            ' WHERE XOR("diagnosis", 0) = 7 OR XOR("diagnosis", 0) = 901',
        ),
        (
            nodes.Not(nodes.Comparison("diagnosis", "is_null")),
            ' WHERE XOR("diagnosis", 0) BETWEEN 1 AND 9007199254740992',
        ),
    ],
)
def test_a_filter_becomes_ranges_of_codes(where: nodes.Predicate | None, condition: str) -> None:
    """Golden SQL: names of the catalog, integers, and nothing else."""
    assert shown(where, {"known": 7}) == f'SELECT "person" FROM "visits"{condition}'


def test_a_long_list_is_no_part_of_the_scan() -> None:
    """Its column is read, and each event is decided by a table of codes; a short condition beside it stays the engine's."""
    texts = nodes.Comparison("diagnosis", "in", ("known", *(f"no {n}" for n in range(9))))
    assert shown(texts, {"known": 7}) == 'SELECT "person", "diagnosis" FROM "visits"'
    both = nodes.All((texts, nodes.Comparison("visits", "=", 1)))
    assert shown(both) == 'SELECT "person", "diagnosis" FROM "visits" WHERE XOR("visits", 0) = 2'
    either = nodes.Any((texts, nodes.Comparison("visits", "=", 1)))
    assert shown(either) == 'SELECT "person", "diagnosis", "visits" FROM "visits"'


def test_a_beginning_is_a_list_of_every_text_where_the_engine_compares() -> None:
    """In a scan it is decided for each event; in a per-person table it is a list of as many codes as there are texts."""
    under = nodes.Comparison("diagnosis", "under", "te")
    assert shown(under, {"text": 7, "other": 8}) == 'SELECT "person", "diagnosis" FROM "visits"'
    built = nodes.PerPerson("visits", (("v", nodes.Value("exists", where=under)),))
    plan = plan_of(nodes.Query(built, (("n", nodes.Count("persons")),)))
    assert "'[7, 908, 990, " in scan.scan(plan, found({"text": 7, "other": 8})).sql("duckdb")


@settings(max_examples=50)
@given(FILTERS, st.text(max_size=20), st.sampled_from([0, 20]))
def test_the_engine_sees_names_and_integers_only(where: nodes.Predicate, text: str, more: int) -> None:
    """No text of a researcher is in the SQL: a literal is a whole number or a list of them, a name the catalog's."""
    texts = (text, "'; DROP TABLE visits; --", *(f"no {n}'" for n in range(more)))
    hostile = nodes.Any((where, nodes.Comparison("diagnosis", "in", texts)))
    select = scan.scan(planned(nodes.ByValue("sex"), where=hostile, s=nodes.Sum("balance")), found({text: 3}))
    for literal in select.find_all(exp.Literal):
        assert re.fullmatch(r"\[\d+(, \d+)*\]" if literal.is_string else r"\d+", literal.this)
    assert {column.name for column in select.find_all(exp.Column)} <= {PERSON, PLACE, *COLUMNS}
    assert {table.name for table in select.find_all(exp.Table)} == {"visits"}
    assert parse_one(select.sql("duckdb"), dialect="duckdb").sql("duckdb") == select.sql("duckdb")


def test_only_columns_that_are_needed_are_read() -> None:
    """The person comes first, then keys and summed columns, each once; filtered ones stay in the engine."""
    plan = planned(
        nodes.ByValue("region"),
        nodes.ByBins("visits", (0, 5)),
        where=nodes.Comparison("urgent", "=", True),
        a=nodes.Sum("visits"),
        b=nodes.Mean("balance"),
        c=nodes.Sum("balance"),
        d=nodes.Count("persons"),
    )
    assert scan.columns(plan) == ("region", "visits", "balance")
    select = scan.scan(plan, found({}))
    assert [column.name for column in select.selects] == ["person", "region", "visits", "balance"]


def test_texts_are_looked_up_once_for_each_list_and_only_when_scanned() -> None:
    """Planning looks nothing up: texts meet the data only in the scan, which comes after the charge."""
    look_up = Texts({})
    plan = planned(where=nodes.Comparison("diagnosis", "in", ("b", "a", "a")), n=nodes.Count("events"))
    assert look_up.asked == []
    scan.scan(plan, look_up)
    assert look_up.asked == [("diagnosis", ("a", "b"))]


def test_a_range_of_persons_and_a_filter_hold_together() -> None:
    """A filter with alternatives does not let persons of other ranges in."""
    plan = planned(where=nodes.Comparison("visits", "!=", 1), n=nodes.Count("events"))
    condition = scan.scan(plan, found({}), range(5, 10)).sql("duckdb").partition(" WHERE ")[2]
    assert condition == ('"person" BETWEEN 5 AND 9 AND (XOR("visits", 0) = 1 OR XOR("visits", 0) BETWEEN 3 AND 10)')


def test_the_leaves_of_a_filter_are_its_comparisons() -> None:
    """The tests' own walk over a filter finds every column."""
    where = nodes.Not(nodes.All((nodes.Comparison("sex", "=", "male"), nodes.Comparison("visits", "<", 1))))
    assert list(_leaves(where)) == [("=", "sex"), ("<", "visits")]
