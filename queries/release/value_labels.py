"""What the values of an answer stand for in words, as the manifest declares it.

Only values that the answer names have their label in it. Labels are public and which values an answer has is released,
so this is post-processing. They are stored with the release, which may outlive the catalog that it was made under.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from queries.release.rows import Labels, Rows
from queries.statistics.parts.lists import LISTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from queries.catalog.schema import Column
    from queries.plan import Output, Plan

MEMBER = "value_labels"  # of an answer: {name of its column: {value: label}}


def of(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, str]]]:
    """Return the member of an answer with the labels of its values, or nothing if none has any."""
    found = {key.name: _labels(key.column, _column(rows, key.name)) for key in plan.keys}
    found |= {
        output.name: _labels(within.column, _listed(output, rows))
        for output in plan.outputs
        if (within := output.measures[0].within) is not None
    }
    labelled = {name: labels for name, labels in found.items() if labels}
    return {MEMBER: labelled} if labelled else {}


def _labels(column: Column, values: Iterable[Any]) -> dict[str, str]:
    if not column.value_labels:
        return {}
    return {value: column.value_labels[value] for value in values if value in column.value_labels}


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Iterable[Any]:
    """Return a column; of a key in rows by column its distinct labels are enough."""
    if isinstance(rows, Rows):
        column = rows.columns[name]
        return column.distinct if isinstance(column, Labels) else iter(column)
    return (row[name] for row in rows)


def _listed(output: Output, rows: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    """Yield the values that a statistic names in its lists: bins, or the most frequent."""
    for result in _column(rows, output.name):
        for listed in LISTS.values():
            for part in result.get(listed.member, ()):
                yield part[listed.label]
