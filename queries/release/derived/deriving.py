"""Standardised rates and differences of curves, as a request asks for them: names are bound, then numbers computed.

Everything comes from the answer as it is shown, and from the request. `standardising.py` and `comparing.py` compute.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, assert_never

from queries.contribution.truncation import Truncation
from queries.errors import InvalidQuery
from queries.language.showing import Derive, Difference, Standardise
from queries.release import postprocessing
from queries.release.derived import comparing, standardising
from queries.statistics.parts.lists import LISTS, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

AS_THEY_ARE = {"low": None, "high": None, "step": None}  # they are within their limits already


@dataclass(frozen=True)
class Known:
    """What is known of an answer's columns: the keys, the word of each statistic, which of them say their noise.

    `labels` returns the labels of a key in the answer's order, and `undeclared` are keys whose values the answer alone
    knows.
    """

    keys: Sequence[str]
    words: Mapping[str, str]
    telling: frozenset[str]
    undeclared: frozenset[str]
    labels: Callable[[str], Sequence[object]] = field(compare=False)

    def labelled(self, own: Mapping[str, Sequence[str]]) -> Known:
        """Return the same where bins of some keys have labels of the asker's own."""

        def labels(name: str) -> Sequence[object]:
            found = self.labels(name)
            return (*own[name], *(label for label in found if label is None)) if name in own else found

        return replace(self, labels=labels)


def pointer(asked: Derive) -> str:
    """Return the place of what is to be computed in a request."""
    return standardising.POINTER if isinstance(asked, Standardise) else comparing.POINTER


def names(asked: Derive, known: Known) -> tuple[str, ...]:
    """Return the names of the statistics that are computed. A name that is taken gets an underscore at its end."""
    forms = comparing.NAMES if isinstance(asked, Difference) else (standardising.NAME, standardising.BY)
    taken = {*known.keys, asked.statistic} if isinstance(asked, Difference) else set(known.keys)
    found = []
    for form in forms:
        name = form.format(statistic=asked.statistic, by=asked.by)
        while name in taken:
            name += "_"
        taken.add(name)
        found.append(name)
    return tuple(found)


def require(asked: Derive, known: Known) -> None:
    """Raise InvalidQuery, with the place, for what cannot be computed from an answer. Names are the answer's own."""
    place = pointer(asked)
    word = known.words.get(asked.statistic)
    wanted = tuple(standardising.RATIOS) if isinstance(asked, Standardise) else ("survival",)
    if word not in wanted:
        raise InvalidQuery(f"{place}/statistic", f"must be the name of a {' or '.join(wanted)} of the answer")
    if asked.by not in known.keys:
        raise InvalidQuery(f"{place}/by", f"must be a key of the answer: {', '.join(known.keys) or 'it has none'}")
    if asked.by in known.undeclared:
        raise InvalidQuery(f"{place}/by", f"which values {asked.by} has is not declared")
    if asked.statistic not in known.telling:
        raise InvalidQuery(place, "this release is of an earlier version, which kept too little for it")
    labels = known.labels(asked.by)
    match asked:
        case Standardise():
            standardising.require_weights(asked, labels)
        case Difference():
            comparing.require_reference(asked, labels)
        case _:
            assert_never(asked)


def apply(shown: Mapping[str, Any], asked: Derive, known: Known) -> dict[str, Any]:
    """Return an answer with what was asked for in the place of its rows. It has no more than `shown` has."""
    taken = names(asked, known)
    if isinstance(asked, Standardise):
        found = standardising.derive(shown, asked, known.words[asked.statistic], taken)
    else:
        found = comparing.derive(shown, asked, taken)
    computed = [name for name in taken if isinstance(asked, Difference) or name == taken[0]]
    about = {column["name"]: column for column in found.columns}
    rows = [
        {**row, **{name: _tidied(row[name], about[name], shown["post"]) for name in computed}} for row in found.rows
    ]
    labels = dict(shown.get("value_labels", {}))
    if isinstance(asked, Standardise) and asked.by in labels:
        labels[taken[1]] = labels.pop(asked.by)
    notes = [*shown["notes"], *postprocessing.warnings(computed, rows), *found.notes]
    labelled = {name: one for name, one in labels.items() if name in about}
    changed = {"columns": found.columns, "rows": rows, "notes": notes}
    return {**shown, **changed, **({"value_labels": labelled} if "value_labels" in shown else {})}


def _tidied(result: Mapping[str, Any], column: Mapping[str, Any], post: Sequence[str]) -> Mapping[str, Any]:
    """Return a computed result rounded, if that was asked for, and marked as any number of a released answer."""
    words = [word for word in post if word == "round"]
    member = next((one for one in LISTS if one in result), None)
    done = [
        part if part["value"] is None else postprocessing.processed(part, part["value"], AS_THEY_ARE, words)
        for part in parts_of(result)
    ]
    found = done[0] if member is None else {**result, member: done}
    return postprocessing.marked(found) if column.get("truncation") == Truncation.UNKNOWN else found
