"""Bins as a CASE, both ways.

    CASE WHEN age < 18 THEN 'child' WHEN age < 65 THEN 'adult' WHEN age >= 65 THEN 'old' END

Branches are tried in turn, so one needs no low end if all that lies below was taken by those before it. The first and
the last bin may be open; they then reach to the declared bounds of the column (`queries/spelling/sql/naming.py`). ELSE
would also take rows without a value, which are in no bin.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from sqlglot import exp

from queries.language import nodes
from queries.language.sql.syntax import column_name, only, refusal, scalar

WANTED = (
    "a CASE of bins is written: CASE WHEN a >= 0 AND a < 5 THEN 'low' WHEN a >= 5 AND a < 9 THEN 'high' END, or with "
    "open ends: CASE WHEN a < 5 THEN 'low' WHEN a >= 5 THEN 'high' END"
)
FOLLOW = "bins follow each other without a gap: each begins where the one before ends"
ELSE = "ELSE would also take rows without a value: write the last bin with its low end, as WHEN a >= 65 THEN 'old'"


class _Branch(NamedTuple):
    """One WHEN: the ends that it names, None where it names none."""

    column: str
    low: nodes.Scalar | None
    high: nodes.Scalar | None
    label: str


def read(body: exp.Case, name: str | None) -> tuple[nodes.ByBins, tuple[str, ...]]:
    """Return the bins of a CASE, and their labels. Raises InvalidQuery with line and column."""
    if body.args.get("default") is not None:
        raise refusal(body.args["default"], ELSE)
    only(body, "ifs")
    branches = [_branch(one) for one in body.args["ifs"]]
    for (before, after), written in zip(itertools.pairwise(branches), body.args["ifs"][1:], strict=True):
        # What lies below the low end of the first bin would be in a later one that names no low end.
        if before.high is None or after.low not in (before.high, None if branches[0].low is None else before.high):
            raise refusal(written, FOLLOW)
    columns = {one.column for one in branches}
    if len(columns) != 1:
        raise refusal(body, WANTED)
    first, last, column = branches[0], branches[-1], columns.pop()
    edges = [one.high for one in branches if one.high is not None]
    if first.low is not None:
        edges.insert(0, first.low)
    key = nodes.ByBins(
        column,
        tuple(edges),
        None if name == column else name,
        open_below=first.low is None,
        open_above=last.high is None,
    )
    return key, tuple(one.label for one in branches)


def _branch(branch: exp.Expr) -> _Branch:
    only(branch, "this", "true")
    test, label = branch.this, branch.args["true"]
    ends = [test.this, test.expression] if isinstance(test, exp.And) else [test]
    kinds = [type(end) for end in ends]
    if kinds not in ([exp.GTE, exp.LT], [exp.LT], [exp.GTE]):
        raise refusal(branch, WANTED)
    columns = {column_name(end.this) for end in ends}
    if len(columns) != 1:
        raise refusal(branch, WANTED)
    if not isinstance(label, exp.Literal) or not label.is_string:
        raise refusal(label, "the label of a bin is a text, as 'adult'")
    found = {type(end): scalar(end.expression) for end in ends}
    return _Branch(columns.pop(), found.get(exp.GTE), found.get(exp.LT), str(label.this))


def own_labels(key: nodes.ByBins) -> tuple[str, ...]:
    """Return the labels that bins have by themselves. An open end has none that is known here."""
    return tuple(f"[{low}, {high})" for low, high in _ends(key))


def written(key: nodes.ByBins, labels: tuple[str, ...] | None) -> exp.Case:
    """Return bins as a CASE, with labels of their own or others."""
    bins = exp.Case()
    for (low, high), label in zip(_ends(key), labels or own_labels(key), strict=True):
        tests: list[exp.Expr] = (
            [] if low is None else [exp.GTE(this=exp.column(key.column), expression=exp.convert(low))]
        )
        tests += [] if high is None else [exp.LT(this=exp.column(key.column), expression=exp.convert(high))]
        bins = bins.when(exp.and_(*tests), exp.Literal.string(label))
    return bins


def _ends(key: nodes.ByBins) -> list[tuple[nodes.Scalar | None, nodes.Scalar | None]]:
    edges = [*([None] if key.open_below else []), *key.edges, *([None] if key.open_above else [])]
    return list(itertools.pairwise(edges))
