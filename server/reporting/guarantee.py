"""A guarantee in words: the three criteria of anonymity of WP29 Opinion 05/2014, each with its bound and a sentence.

The opinion asks of a technique whether one can still single out an individual, link records of an individual, and infer
information about one. Each question is put here to the strongest attacker: one who knows everybody else's data and
everything else of the person asked for.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from budgets.loss import ATTO, NANO, Loss
from server.reporting import attack_odds

if TYPE_CHECKING:
    from budgets.ledger.accounts import Balance
    from server.reporting.attack_odds import Guarantee

FALSE_POSITIVES = (Decimal("0.001"), Decimal("0.01"), Decimal("0.05"))
PRIORS = (Decimal("0.01"), Decimal("0.1"), Decimal("0.25"), Decimal("0.5"), Decimal("0.75"), Decimal("0.9"))
RARE_PICKS, BELIEF, EVEN = Decimal("0.01"), Decimal("0.1"), Decimal("0.5")
WEAK = Decimal("0.9")  # an advantage beyond which a bound says little by itself

SINGLING_OUT, LINKABILITY, INFERENCE = "singling out", "linkability", "inference"
QUESTIONS = {
    SINGLING_OUT: "Can someone be picked out as a person in these data?",
    LINKABILITY: "Can a person in another file be recognised as one in these data?",
    INFERENCE: "Can a fact about a person known to be in these data be deduced?",
}
ALWAYS = "This holds for every answer: delta is 0 here."
BUT_RARELY = (
    "Beliefs are bounded for conclusions that the answers would lead to with a chance of at least 1 in 1,000 where "
    "they are false; beside that there is a chance of at most delta ({delta}; of facts 1 + e^epsilon times that) that "
    "more is revealed."
)
WEAK_WORDS = (
    "A bound this high excludes little by itself. It is a worst case: reaching it takes an attacker who knows "
    "everything but the one fact, and answers that all bear on it."
)


def percent(bound: Decimal | float) -> str:
    """Return a probability as a percentage, rounded up; small ones to a hundredth of a percent."""
    hundredfold = Decimal(str(bound)) * 100
    step = Decimal("0.01") if 0 < hundredfold < 1 else Decimal("0.1")
    text = f"{hundredfold.quantize(step, rounding=ROUND_CEILING):f}"
    return f"{text.rstrip('0').rstrip('.')}%"


def shortened(epsilon: Decimal) -> str:
    """Return an epsilon, rounded up to a thousandth if that says enough."""
    step = Decimal("0.001")
    shown = epsilon if 0 < epsilon < step else epsilon.quantize(step, rounding=ROUND_CEILING)
    return f"{shown.normalize():f}"


def account(balance: Balance) -> dict[str, Any]:
    """Return an account for a report: limits and sums, both accountants, and what spend and limit mean.

    What is reserved counts as spent: a query that is under way may have its answer by now.
    """
    used, limits = balance.used, balance.limits
    by_epsilon, by_rho = attack_odds.by_epsilon(used), attack_odds.by_rho(used, limits)
    return {
        "kind": balance.kind,
        "name": balance.owner,
        "budget": balance.to_json(),
        "used": used.to_json(),
        "delta_keys": Loss(0, 0, limits.delta_keys_atto).to_json()["delta"],
        "accountants": {
            "epsilon": None if by_epsilon is None else _pair(by_epsilon),
            "rho": None if by_rho is None else _pair(by_rho),
        },
        "at_spend": of(attack_odds.at_spend(used, limits)),
        "at_limit": of(attack_odds.at_limit(limits)),
    }


def of(guarantee: Guarantee) -> dict[str, Any]:
    """Return what a guarantee means, as JSON values and words."""
    within = attack_odds.of_replacing(guarantee)
    return {
        **_pair(guarantee),
        "by": guarantee.by,
        "advantage": float(attack_odds.advantage(guarantee)),
        "true_positives": [
            {"false_positives": float(share), "at_most": float(attack_odds.true_positives(guarantee, share))}
            for share in FALSE_POSITIVES
        ],
        "presence": _beliefs(guarantee),
        "fact": _beliefs(within),
        "criteria": [
            {"criterion": name, "question": QUESTIONS[name], "answer": answer}
            for name, answer in _answers(guarantee, within).items()
        ],
        "words": _summary(guarantee),
        "condition": _condition(guarantee),
    }


def _pair(guarantee: Guarantee) -> dict[str, float]:
    return {
        "epsilon": not_below(Fraction(guarantee.epsilon_nano, NANO)),
        "delta": not_below(Fraction(guarantee.delta_atto, ATTO)),
    }


def not_below(exact: Fraction) -> float:
    """Return the float nearest to an exact number whose decimal, as JSON writes it, is not below the number."""
    nearest = float(exact)
    return nearest if Fraction(repr(nearest)) >= exact else math.nextafter(nearest, math.inf)


def _beliefs(guarantee: Guarantee) -> list[dict[str, float]]:
    return [{"prior": float(prior), "at_most": float(attack_odds.posterior(guarantee, prior))} for prior in PRIORS]


def _answers(guarantee: Guarantee, within: Guarantee) -> dict[str, str]:
    found = percent(attack_odds.true_positives(guarantee, RARE_PICKS))
    known = percent(attack_odds.posterior(guarantee, BELIEF))
    even = percent(attack_odds.posterior(guarantee, EVEN))
    fact = percent(attack_odds.posterior(within, BELIEF))
    fact_even = percent(attack_odds.posterior(within, EVEN))
    return {
        SINGLING_OUT: (
            f"A test that wrongly picks 1% of the persons who are not in the data picks at most {found} of those who "
            f"are. Its rate of right picks exceeds that of wrong ones by at most "
            f"{percent(attack_odds.advantage(guarantee))}."
        ),
        LINKABILITY: (
            f"Who believes with 10% that a person of another file is in these data can become sure to at most {known}; "
            f"who believes it with 50%, to at most {even}."
        ),
        INFERENCE: (
            f"Who believes with 10% that something is true of a person in these data can become sure to at most "
            f"{fact}; who believes it with 50%, to at most {fact_even}. (What the data of others teach about everybody "
            "aside.)"
        ),
    }


def _summary(guarantee: Guarantee) -> str:
    if guarantee.epsilon_nano == 0 and guarantee.delta_atto == 0:
        return "Nothing was spent, and so nothing was revealed of anyone here."
    chance = f" and delta {_delta_text(guarantee)}" if guarantee.delta_atto else ""
    words = f"Epsilon {shortened(guarantee.epsilon)}{chance}: a belief of 10% that a person is in the data can "
    words += f"become at most {percent(attack_odds.posterior(guarantee, BELIEF))}."
    return f"{words} {WEAK_WORDS}" if attack_odds.advantage(guarantee) > WEAK else words


def _condition(guarantee: Guarantee) -> str:
    if guarantee.delta_atto == 0:
        return ALWAYS
    return BUT_RARELY.format(delta=_delta_text(guarantee))


def _delta_text(guarantee: Guarantee) -> str:
    return Loss(0, 0, guarantee.delta_atto).delta_text
