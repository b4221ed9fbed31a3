"""The odds of an attack on one person: how an (epsilon, delta) limits them, whatever else the attacker knows.

(epsilon, delta)-differential privacy means: if one set of data has one person more than another, then for every set S
of answers P(S) <= e^epsilon P'(S) + delta, both ways. A test decides from the answers whether a person is in the data.
Its true positives (TPR) are limited by its false positives (FPR):

    true positives   TPR <= min(e^epsilon FPR + delta, 1 - e^-epsilon (1 - delta - FPR))
                     (Wasserman and Zhou 2010; Kairouz, Oh and Viswanath 2015, theorem 2.1)
    advantage        TPR - FPR <= (e^epsilon - 1 + 2 delta) / (e^epsilon + 1)
                     (Humphries et al. 2023; the two lines above cross there)
    posterior        q <= m p / (m p + 1 - p), with m = e^epsilon when delta is 0, for a prior belief p (Bayes)

If delta is above 0, no bound on the posterior holds for every single answer, because with a chance of delta anything
may come out. A bound holds for conclusions that are drawn often enough: if a conclusion is drawn with a chance of at
least f about persons who are not in the data, then m = TPR / FPR <= e^epsilon + delta / f. `posterior` uses f = `RARE`.
With delta = 0 the bound holds for every answer.

To change one fact about a person who is known to be in the data takes two steps: take the person out and put a changed
one in. The bound for this is (2 epsilon, (1 + e^epsilon) delta) (group privacy; Dwork and Roth 2014, theorem 2.2).

Every bound is rounded up, so that no risk is understated. It is computed in decimals of 50 digits, gets a slack far
larger than their error, and is then rounded up to a millionth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import TYPE_CHECKING

from budgets import conversion
from budgets.loss import ATTO, NANO

if TYPE_CHECKING:
    from budgets.ledger.limits import Limits
    from budgets.loss import Sum

DIGITS = 50
SLACK = Decimal("1e-40")
STEP = Decimal("1e-6")
ONE = Decimal(1)
RARE = Decimal("0.001")  # if delta is above 0, the posterior has no bound for conclusions that are rarer than this

BY_EPSILON, BY_RHO, BY_SPLIT, BY_LIMIT = "epsilon", "rho", "split", "limit"


@dataclass(frozen=True)
class Guarantee:
    """An (epsilon, delta) that holds. `by` names its basis: a sum (epsilon, rho, or each by its noise) or a limit."""

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
    """Return what an account guarantees, whatever is charged to it later."""
    return Guarantee(limits.epsilon_nano, limits.delta_atto, BY_LIMIT)


def by_epsilon(used: Sum) -> Guarantee | None:
    """Return what the sum of epsilon guarantees; None if a charge has no finite epsilon."""
    return None if used.unbounded else Guarantee(used.laplace_nano, used.delta_atto, BY_EPSILON)


def by_rho(used: Sum, limits: Limits) -> Guarantee | None:
    """Return what the sum of rho guarantees, with the delta kept for conversions; None without a share of it.

    It converts at its own share of that delta, and takes all of it: which of the sums counts is decided by the answers,
    and then the shares add up (docs/ledger.md).
    """
    return _converted(used, used.rho_nano, limits, limits.delta_rho_atto, BY_RHO)


def by_split(used: Sum, limits: Limits) -> Guarantee | None:
    """Return what the sum of epsilon of Laplace noise and that of rho of Gaussian noise guarantee together."""
    found = _converted(used, used.gaussian_nano, limits, limits.delta_split_atto, BY_SPLIT)
    return None if found is None else replace(found, epsilon_nano=found.epsilon_nano + used.laplace_nano)


def _converted(used: Sum, rho_nano: int, limits: Limits, share_atto: int, by: str) -> Guarantee | None:
    if rho_nano == 0:
        return Guarantee(0, used.delta_atto, by)
    if share_atto == 0:
        return None
    for_conversions = limits.delta_atto - limits.delta_keys_atto
    return Guarantee(conversion.epsilon_nano(rho_nano, share_atto), used.delta_atto + for_conversions, by)


def at_spend(used: Sum, limits: Limits) -> Guarantee:
    """Return what the charges so far guarantee: the accountant with the smallest epsilon counts."""
    found = [one for one in (by_epsilon(used), by_rho(used, limits), by_split(used, limits)) if one is not None]
    assert found, "without a delta for the conversion every charge has a finite epsilon"
    return min(found, key=lambda one: (one.epsilon_nano, one.delta_atto))


def of_replacing(guarantee: Guarantee) -> Guarantee:
    """Return the guarantee for two sets of data that differ in the data of one person."""
    with localcontext(Context(prec=DIGITS, rounding=ROUND_CEILING)):
        # exp() rounds to nearest in every context, so the next decimal is an upper bound. Only e^0 is exact.
        factor = guarantee.epsilon.exp().next_plus() if guarantee.epsilon_nano else ONE
        delta = (1 + factor) * guarantee.delta_atto
        return Guarantee(2 * guarantee.epsilon_nano, min(ATTO, math.ceil(delta)), guarantee.by)


def advantage(guarantee: Guarantee) -> Decimal:
    """Return the largest difference of true and false positives that a test of who is in the data can have."""
    with localcontext(Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)):
        factor = guarantee.epsilon.exp()
        return _up((factor - 1 + 2 * guarantee.delta) / (factor + 1), guarantee)


def true_positives(guarantee: Guarantee, false_positives: Decimal) -> Decimal:
    """Return the largest share of true positives that a test can have with this share of false positives."""
    assert 0 <= false_positives <= 1
    with localcontext(Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)):
        factor, delta = guarantee.epsilon.exp(), guarantee.delta
        return _up(min(factor * false_positives + delta, 1 - (1 - delta - false_positives) / factor), guarantee)


def posterior(guarantee: Guarantee, prior: Decimal, rare: Decimal = RARE) -> Decimal:
    """Return how sure a belief of strength `prior` can become at most.

    If delta is above 0, the bound covers conclusions with a chance of at least `rare` if the belief is false.
    """
    assert 0 <= prior <= 1
    assert 0 < rare <= 1
    with localcontext(Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)):
        odds = (guarantee.epsilon.exp() + guarantee.delta / rare) * prior
        return _up(odds / (odds + 1 - prior), guarantee)


def _up(bound: Decimal, guarantee: Guarantee) -> Decimal:
    """Return a bound on a probability, rounded up to a millionth. Epsilon 0 needs no slack, because e^0 is exact."""
    slack = SLACK if guarantee.epsilon_nano else 0
    return min(ONE, (bound + slack).quantize(STEP, rounding=ROUND_CEILING))
