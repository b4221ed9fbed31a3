"""How many persons there may be in the bins of a histogram in which noise hides them: a lognormal tail.

How much single persons contribute is skewed: most have little, a few very much. Of those few a noisy histogram shows
nothing, and yet a hundred persons of ten thousand may have a tenth of all events. What is known of them is the shape of
the rest: numbers of events per person are lognormal as a rule, or fall faster. So a lognormal distribution is fitted to
the largest bin and those after it, by least squares (the noise is the same on each), and what it has beyond the bins
that stand out of the noise is taken for the tail. Where the true tail is heavier, as a power law's is, or a few persons
stand apart from all others, more is cut off than this says.

Only released numbers are used. Sums are taken in one order, so that a profile gives the same tail each time.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.statistics.intervals import Floats

# Of the logarithm of a person's number: the middle and the deviation that are tried.
MIDDLES = np.linspace(-1.5, 10.0, 93)
DEVIATIONS = np.geomspace(0.15, 2.0, 24)

_erfc = np.frompyfunc(math.erfc, 1, 1)


def expected(starts: tuple[int, ...], most: int, persons: Sequence[int]) -> list[float]:
    """Return the persons that the fitted distribution has in each bin; of the first, that of 0, none.

    `starts` are the first numbers of the bins, the last of which goes up to `most`; `persons` is what was released.
    """
    shapes = _shapes(starts, most)
    released = np.array(persons[1:], dtype=np.float64)
    falling = slice(int(np.argmax(released)), None)
    together = (shapes[:, falling] * released[falling]).sum(axis=1).clip(min=0)
    squares = (shapes[:, falling] ** 2).sum(axis=1).clip(min=1e-12)
    # Of a shape times a factor the best factor is together / squares; it leaves the least where this is the most.
    best = int(np.argmax(together**2 / squares))
    return [0.0, *(shapes[best] * (together[best] / squares[best])).tolist()]


@functools.lru_cache(maxsize=16)
def _shapes(starts: tuple[int, ...], most: int) -> Floats:
    """Return what part of all persons each distribution has in each bin but the first: distributions x bins."""
    edges = np.log(np.array([*starts[1:], most + 1]) - 0.5)
    standard = (edges - MIDDLES[:, None, None]) / DEVIATIONS[None, :, None]
    below = 1 - np.asarray(_erfc(standard / math.sqrt(2)), dtype=np.float64) / 2
    return np.asarray(np.diff(below, axis=2).reshape(-1, len(starts) - 1))
