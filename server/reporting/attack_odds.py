"""A loss in words a DPO can use: what it bounds of an attack on one person, whatever else the attacker knows.

(epsilon, delta)-differential privacy says that for two sets of data of which one has one person more, and every set S
of answers, P(S) <= e^epsilon P'(S) + delta, both ways. For a test that decides from the answers whether a person is in
the data, this bounds what it finds against what it takes wrongly:

    true positives   TPR <= min(e^epsilon FPR + delta, 1 - e^-epsilon (1 - delta - FPR))
                     (Wasserman and Zhou 2010; Kairouz, Oh and Viswanath 2015, theorem 2.1)
    advantage        TPR - FPR <= (e^epsilon - 1 + 2 delta) / (e^epsilon + 1)
                     (Humphries et al. 2023; it is where the two lines above cross)
    posterior        q <= m p / (m p + 1 - p), with m = e^epsilon when delta is 0, for a prior belief p (Bayes)

With delta above 0 no bound on the posterior holds for each single answer: with a chance of delta anything may come out.
It holds for conclusions that are drawn often enough: a conclusion that would be drawn, of persons who are not in the
data, with a chance of at least f has m = TPR / FPR <= e^epsilon + delta / f. That is what `posterior` returns, for f =
`RARE`; for delta = 0 it is the formula for every answer.

Of a person who is known to be in the data, one fact differs between two worlds by taking the person out and putting
another in: two steps, and so (2 epsilon, (1 + e^epsilon) delta) (group privacy; Dwork and Roth 2014, theorem 2.2).

Every bound is rounded up, so that a risk is never understated: computed in decimals of 50 digits, with a slack far
beyond their error, and then up to a millionth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import TYPE_CHECKING

from budgets import conversion
from budgets.loss import ATTO, NANO

if TYPE_CHECKING:
    from budgets.ledger.accounts import Limits
    from budgets.loss import Loss

DIGITS = 50
SLACK = Decimal("1e-40")
STEP = Decimal("1e-6")
ONE = Decimal(1)
RARE = Decimal("0.001")  # conclusions rarer than this have no bound on the posterior when delta is above 0

BY_EPSILON, BY_RHO, BY_LIMIT = "epsilon", "rho", "limit"


@dataclass(frozen=True)
class Guarantee:
    """An (epsilon, delta) that holds. `by` is what it follows from: the sum of epsilon, that of rho, or a limit."""

    epsilon_nano: int
    delta_atto: int
    by: str

    @property
    def epsilon(self) -> Decimal:
        """Return epsilon."""
        return Decimal(self.epsilon_nano) / NANO

    @property
    def delta(self) -> Decimal:
        """Return delta."""
        return Decimal(self.delta_atto) / ATTO


def at_limit(limits: Limits) -> Guarantee:
    """Return what an account promises, whatever is still charged to it."""
    return Guarantee(limits.epsilon_nano, limits.delta_atto, BY_LIMIT)


def by_epsilon(used: Loss) -> Guarantee | None:
    """Return what follows from the sum of epsilon; None where a charge has no finite one."""
    return None if used.epsilon_nano is None else Guarantee(used.epsilon_nano, used.delta_atto, BY_EPSILON)


def by_rho(used: Loss, limits: Limits) -> Guarantee | None:
    """Return what follows from the sum of rho, converted at the part of delta kept for it; None without such a part."""
    for_conversion = limits.delta_atto - limits.delta_keys_atto
    if used.rho_nano == 0:
        return Guarantee(0, used.delta_atto, BY_RHO)
    if for_conversion == 0:
        return None
    epsilon = conversion.epsilon_nano(used.rho_nano, for_conversion)
    return Guarantee(epsilon, used.delta_atto + for_conversion, BY_RHO)


def at_spend(used: Loss, limits: Limits) -> Guarantee:
    """Return what holds of what was charged so far: of the two accountants' epsilons the smaller one."""
    found = [one for one in (by_epsilon(used), by_rho(used, limits)) if one is not None]
    assert found, "without a delta for the conversion every charge has a finite epsilon"
    return min(found, key=lambda one: (one.epsilon_nano, one.delta_atto))


def of_replacing(guarantee: Guarantee) -> Guarantee:
    """Return what holds of two sets of data in which one person's data differ."""
    with localcontext(Context(prec=DIGITS, rounding=ROUND_CEILING)):
        # exp() rounds to the nearest whatever the context says: the next decimal is above. Only e^0 is exact.
        factor = guarantee.epsilon.exp().next_plus() if guarantee.epsilon_nano else ONE
        delta = (1 + factor) * guarantee.delta_atto
        return Guarantee(2 * guarantee.epsilon_nano, min(ATTO, math.ceil(delta)), guarantee.by)


def advantage(guarantee: Guarantee) -> Decimal:
    """Return the most by which true positives can exceed false positives in telling who is in the data."""
    with localcontext(Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)):
        factor = guarantee.epsilon.exp()
        return _up((factor - 1 + 2 * guarantee.delta) / (factor + 1), guarantee)


def true_positives(guarantee: Guarantee, false_positives: Decimal) -> Decimal:
    """Return the largest share of persons in the data that a test can find with such a share of wrong finds."""
    assert 0 <= false_positives <= 1
    with localcontext(Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)):
        factor, delta = guarantee.epsilon.exp(), guarantee.delta
        return _up(min(factor * false_positives + delta, 1 - (1 - delta - false_positives) / factor), guarantee)


def posterior(guarantee: Guarantee, prior: Decimal, rare: Decimal = RARE) -> Decimal:
    """Return the surest that a belief of strength `prior` can become.

    With delta above 0: by conclusions that have a chance of at least `rare` where the belief is false.
    """
    assert 0 <= prior <= 1
    assert 0 < rare <= 1
    with localcontext(Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)):
        odds = (guarantee.epsilon.exp() + guarantee.delta / rare) * prior
        return _up(odds / (odds + 1 - prior), guarantee)


def _up(bound: Decimal, guarantee: Guarantee) -> Decimal:
    """Return a bound on a probability, rounded up to a millionth. Only e^0 is exact and needs no slack."""
    slack = SLACK if guarantee.epsilon_nano else 0
    return min(ONE, (bound + slack).quantize(STEP, rounding=ROUND_CEILING))
