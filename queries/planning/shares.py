"""How much of the charge each statistic of a query gets.

Either the request names the charge, which is split by the weights of the statistics (`allocation.py`); or it names
margins, and each statistic gets the least share with which its margin is met (`margins.py`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from queries.errors import InvalidQuery
from queries.planning import allocation, deadline, margins, noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.language import nodes
    from queries.planning.noise import Drafted, Noise, Terms


def of_charge(nano: int, statistics: Sequence[Drafted], privacy: nodes.Privacy) -> list[int]:
    """Return the shares of a charge. They do not depend on the order of the statistics, which is spelling."""
    if nano < sum(len(one.drafts) for one in statistics):
        raise InvalidQuery(f"/privacy/{privacy.word}", "is too small to be split between the statistics")
    by_name = sorted(statistics, key=lambda one: one.name)
    split = allocation.split(nano, [one.weight.whole for one in by_name], [len(one.drafts) for one in by_name])
    share_of = {one.name: share for one, share in zip(by_name, split, strict=True)}
    return [share_of[one.name] for one in statistics]


def of_margins(statistics: Sequence[Drafted], kind: Noise, terms: Terms) -> list[int]:
    """Return the least shares with which the margins asked for are met. Raises InvalidQuery where one cannot be met."""
    most = margins.MOST_NANO[terms.privacy.currency]
    found = [None if one.target is None else _of_margin(one, kind, terms, most) for one in statistics]
    weights, fewest = [one.weight.whole for one in statistics], [len(one.drafts) for one in statistics]
    shares = margins.as_exact(weights, found, fewest)
    if sum(shares) > most:
        raise InvalidQuery("/privacy/margin", "would cost more than any query may; allow wider margins")
    return shares


def _of_margin(statistic: Drafted, kind: Noise, terms: Terms, most: int) -> int:
    share = margins.least(partial(_is_enough, statistic, kind, terms), len(statistic.drafts), most)
    if share is None:
        raise InvalidQuery(f"/privacy/margin/{statistic.name}", "cannot be met, whatever is spent; allow a wider one")
    return share


def _is_enough(statistic: Drafted, kind: Noise, terms: Terms, nano: int) -> bool:
    """Return whether a statistic meets its margin with so large a share."""
    assert statistic.target is not None
    deadline.require()
    parts = zip(statistic.drafts, statistic.parts(nano), strict=True)
    if any(noise.is_too_noisy(draft, part, terms) for draft, part in parts):
        return False
    return margins.met(noise.output(statistic, nano, kind, terms), statistic.target, terms.privacy.confidence)
