"""The guard of a stream's order refuses what would escape the contribution bounds, and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.contribution.person_order import PersonOrder, is_ordered
from queries.errors import EngineFailed

PERSONS = st.lists(st.integers(0, 9), max_size=12)


@given(PERSONS, st.integers(0, 9))
def test_ordered_is_what_never_decreases_from_the_first_on(persons: list[int], first: int) -> None:
    """The compiled check is the plain definition, of any length."""
    plain = all(left <= right for left, right in pairwise([first, *persons]))
    assert is_ordered(np.array(persons, dtype=np.int32), first) == plain


@given(PERSONS, st.lists(st.integers(0, 12), max_size=4), st.integers(0, 5), st.integers(5, 11))
def test_batches_are_refused_as_the_whole_stream_would_be(
    persons: list[int], cuts: list[int], start: int, stop: int
) -> None:
    """Where a stream is cut into batches changes nothing: a falling number or one of another range ends it."""
    order = PersonOrder(range(start, stop))
    edges = [0, *sorted(min(cut, len(persons)) for cut in cuts), len(persons)]
    batches = [np.array(persons[left:right], dtype=np.int32) for left, right in pairwise(edges)]
    if persons == sorted(persons) and all(start <= person < stop for person in persons):
        for batch in batches:
            order.require(batch)
        return
    with pytest.raises(EngineFailed, match=r"^the store's stream is not ordered by person"):
        for batch in batches:
            order.require(batch)
