"""The code lists of a study: named lists of codes, which its protocol keeps, in place of which their codes are asked.

A list is replaced by its codes before anything else looks at the query. Therefore a list's name has no meaning of its
own: a question has the same fingerprint, answer and charge whether its codes come from a list or are written out, and a
release shows the codes, whatever becomes of the list.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from queries.errors import InvalidQuery
from queries.language import nodes, references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Lists = Mapping[str, Sequence[str]]

T = TypeVar("T")


def filled_in(query: nodes.Query, lists: Lists) -> nodes.Query:
    """Return the query with the codes of each list that it names. Raises InvalidQuery with the place of the name."""
    named = tuple(references.code_lists(query))
    for pointer, name in named:
        if name not in lists:
            if not lists:
                raise InvalidQuery(pointer, "the study's protocol has no code lists")
            raise InvalidQuery(pointer, f"the study's protocol has no code list {name}; it has {', '.join(lists)}")
    return _filled(query, lists) if named else query


def _filled(part: T, lists: Lists) -> T:
    if isinstance(part, nodes.Comparison) and isinstance(part.value, nodes.CodeList):
        found: Any = _with_codes(part, tuple(lists[part.value.name]))
    elif isinstance(part, tuple):
        found = tuple(_filled(one, lists) for one in part)
    elif is_dataclass(part) and not isinstance(part, type):
        found = replace(part, **{one.name: _filled(getattr(part, one.name), lists) for one in fields(part)})
    else:
        found = part
    return found  # type: ignore[no-any-return]


def _with_codes(comparison: nodes.Comparison, codes: tuple[str, ...]) -> nodes.Predicate:
    if comparison.op == "in":
        return replace(comparison, value=codes)
    return nodes.Any(tuple(replace(comparison, value=code) for code in codes))
