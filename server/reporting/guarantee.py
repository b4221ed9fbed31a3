"""A guarantee in words: the three criteria of anonymity of WP29 Opinion 05/2014, each with its bound and a sentence.

The opinion asks whether, after anonymisation, somebody can still single out an individual, link records of an
individual, or infer information about an individual. The answers here assume the strongest attacker, who knows all
other persons' data and everything else about the person in question.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from budgets.loss import ATTO, NANO, Loss
from server.reporting import attack_odds
from server.reporting.attack_odds import Guarantee

if TYPE_CHECKING:
    from budgets.ledger.limits import Balance

FALSE_POSITIVES = (Decimal("0.001"), Decimal("0.01"), Decimal("0.05"))
PRIORS = (Decimal("0.01"), Decimal("0.1"), Decimal("0.25"), Decimal("0.5"), Decimal("0.75"), Decimal("0.9"))
RARE_PICKS, BELIEF, EVEN = Decimal("0.01"), Decimal("0.1"), Decimal("0.5")
WEAK = Decimal("0.9")  # above this advantage a bound excludes little by itself

SINGLING_OUT, LINKABILITY, INFERENCE = "singling out", "linkability", "inference"
QUESTIONS = {
    SINGLING_OUT: "Can someone be picked out as a person in these data?",
    LINKABILITY: "Can a person in another file be recognised as one in these data?",
    INFERENCE: "Can a fact about a person known to be in these data be deduced?",
}
ALWAYS = "This holds for every answer, because delta is 0."
BUT_RARELY = (
    "The bounds on beliefs hold for conclusions that the answers would suggest with a chance of at least 1 in 1,000 if "
    "they were false. In addition, with a chance of at most delta ({delta}; for facts 1 + e^epsilon times that) more "
    "is revealed."
)
HIGH = "A bound this high excludes little by itself."
WEAK_WORDS = (
    "A bound this high excludes little by itself. It is a worst case: only an attacker who knows everything except "
    "this one fact could reach it, and only if all answers depend on the fact."
)


def percent(bound: Decimal | float) -> str:
    """Return a probability as a percentage, rounded up to a tenth; below 1% to a hundredth."""
    hundredfold = Decimal(str(bound)) * 100
    step = Decimal("0.01") if 0 < hundredfold < 1 else Decimal("0.1")
    text = f"{hundredfold.quantize(step, rounding=ROUND_CEILING):f}"
    return f"{text.rstrip('0').rstrip('.')}%"


def shortened(epsilon: Decimal) -> str:
    """Return an epsilon, rounded up to a thousandth unless it is smaller than that."""
    step = Decimal("0.001")
    shown = epsilon if 0 < epsilon < step else epsilon.quantize(step, rounding=ROUND_CEILING)
    return f"{shown.normalize():f}"


def meaning(epsilon_nano: int, delta_atto: int) -> str:
    """Return in a sentence what an epsilon means, for whoever is about to set it or to decide on it."""
    found = Guarantee(epsilon_nano, delta_atto, attack_odds.BY_LIMIT)
    present, fact = (percent(attack_odds.posterior(one, BELIEF)) for one in (found, attack_odds.of_replacing(found)))
    words = (
        f"Epsilon {shortened(found.epsilon)} means: a belief of 10% that a person is in the data can become at most "
        f"{present}, and a belief of 10% in a fact about them at most {fact}."
    )
    return f"{words} {HIGH}" if attack_odds.advantage(found) > WEAK else words


def describe_account(balance: Balance) -> dict[str, Any]:
    """Return an account for a report: limits, sums, the accountants, and what spend and limit guarantee.

    Reserved losses count as spent, because a running query may already have its answer.
    """
    used, limits = balance.used_sum, balance.limits
    accountants = {
        attack_odds.BY_EPSILON: attack_odds.by_epsilon(used),
        attack_odds.BY_RHO: attack_odds.by_rho(used, limits),
        attack_odds.BY_SPLIT: attack_odds.by_split(used, limits),
    }
    return {
        "kind": balance.kind,
        "name": balance.owner,
        "budget": balance.to_json(),
        "used": used.to_json(),
        "delta_keys": Loss(0, 0, limits.delta_keys_atto).to_json()["delta"],
        "accountants": {name: None if one is None else _pair(one) for name, one in accountants.items()},
        "at_spend": describe(attack_odds.at_spend(used, limits)),
        "at_limit": describe(attack_odds.at_limit(limits)),
    }


def describe(guarantee: Guarantee) -> dict[str, Any]:
    """Return a guarantee's bounds on attacks, as JSON values with sentences."""
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
    """Return the nearest float whose decimal, as JSON writes it, is not below an exact number."""
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
            f"are. The rate of right picks exceeds the rate of wrong picks by at most "
            f"{percent(attack_odds.advantage(guarantee))}."
        ),
        LINKABILITY: (
            f"A belief of 10% that a person of another file is in these data can become at most {known}; a belief of "
            f"50% at most {even}."
        ),
        INFERENCE: (
            f"A belief of 10% in a fact about a person in these data can become at most {fact}; a belief of 50% at "
            f"most {fact_even}. (This leaves out what the data of others reveal about everybody.)"
        ),
    }


def _summary(guarantee: Guarantee) -> str:
    if guarantee.epsilon_nano == 0 and guarantee.delta_atto == 0:
        return "Nothing was spent, so nothing was revealed about anyone."
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
