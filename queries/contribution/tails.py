"""A lognormal tail: how many persons to expect in the bins of a histogram where noise hides them.

Contributions are skewed: most persons have few events, and a few persons have very many. A noisy histogram hides those
few, although a hundred persons of ten thousand may have a tenth of all events. The shape of the visible bins gives a
hint: numbers of events per person are usually lognormal, or fall faster. Therefore a lognormal distribution is fitted
to the largest bin and the bins after it, by least squares (each bin has the same noise). Its part beyond the bins that
stand out of the noise is the expected tail. If the true tail is heavier, such as a power law, or if a few persons
differ from all others, more is cut off than expected here.

Only released numbers are used. Sums are taken in one order, so that a profile gives the same tail each time.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.statistics.parts.intervals import Floats

# The means and standard deviations of the logarithm of a person's number that are tried.
MIDDLES = np.linspace(-1.5, 10.0, 93)
DEVIATIONS = np.geomspace(0.15, 2.0, 24)

_erfc = np.frompyfunc(math.erfc, 1, 1)


def expected(starts: tuple[int, ...], most: int, persons: Sequence[int]) -> list[float]:
    """Return the persons that the fitted distribution has in each bin; the first bin, that of 0, has none.

    `starts` are the first numbers of the bins, the last of which goes up to `most`; `persons` is what was released.
    """
    shapes = _shapes(starts, most)
    released = np.array(persons[1:], dtype=np.float64)
    falling = slice(int(np.argmax(released)), None)
    together = (shapes[:, falling] * released[falling]).sum(axis=1).clip(min=0)
    squares = (shapes[:, falling] ** 2).sum(axis=1).clip(min=1e-12)
    # The best factor for a shape is together / squares. The squared error is least where together^2 / squares is
    # largest.
    best = int(np.argmax(together**2 / squares))
    return [0.0, *(shapes[best] * (together[best] / squares[best])).tolist()]


@functools.lru_cache(maxsize=16)
def _shapes(starts: tuple[int, ...], most: int) -> Floats:
    """Return the part of all persons that each distribution has in each bin but the first: distributions x bins."""
    edges = np.log(np.array([*starts[1:], most + 1]) - 0.5)
    standard = (edges - MIDDLES[:, None, None]) / DEVIATIONS[None, :, None]
    below = 1 - np.asarray(_erfc(standard / math.sqrt(2)), dtype=np.float64) / 2
    return np.asarray(np.diff(below, axis=2).reshape(-1, len(starts) - 1))
