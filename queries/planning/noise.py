"""The noise that a share of the charge buys: for the measures of a statistic, or for an undeclared key's threshold.

The argument. Adding or removing one person changes the numbers of one cell of a measure by at most `draft.largest`
together (`drafts.py`), and the kernel lets a person count in at most `cells_per_person` cells (`kernel.py`).
Therefore one person moves the whole vector by at most L1 = cells_per_person * largest, and in L2 by at most the square
root of cells_per_person * largest^2. `sensitivity` is the one place where this is derived. Each mechanism is made for
that sensitivity, and the charge is what OpenDP returns for it (`queries/mechanisms.py`), never what was asked for.
A search draws in rounds. Each round has the sensitivity of the whole, because its bins are sums of a cell's numbers,
each number in one bin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, assert_never

from queries import mechanisms
from queries.catalog.schema import BOTH, GAUSSIAN, LAPLACE
from queries.errors import InvalidQuery
from queries.mechanisms import NANO, Rounds
from queries.plan import Counted, Draft, Measure, Output
from queries.planning import allocation

if TYPE_CHECKING:
    from queries.language import nodes
    from queries.mechanisms import DiscreteGaussian, DiscreteLaplace, Threshold

SUM_MAX = 2**62  # every sum and its noise stay below, so that 64-bit integers never overflow
NOISE_REACH = 64  # scales; Laplace noise goes beyond with probability below e^-64, Gaussian noise far below


@dataclass(frozen=True)
class Sensitivity:
    """How far one person can move a vector of numbers: in L1, and the square of how far in L2."""

    l1: int
    l2_squared: int


class Noise(Enum):
    """A kind of noise, and in what it is bought: `nano` billionths of epsilon, or of rho."""

    LAPLACE = "Laplace noise for epsilon"
    LAPLACE_OF_RHO = "Laplace noise of epsilon = sqrt(2 rho), which costs rho"
    GAUSSIAN = "Gaussian noise for rho"

    def mechanism(self, sensitivity: Sensitivity, nano: int) -> DiscreteLaplace | DiscreteGaussian:
        """Return the mechanism that so much buys for a vector of this sensitivity."""
        match self:
            case Noise.LAPLACE:
                return mechanisms.discrete_laplace(sensitivity.l1, nano)
            case Noise.LAPLACE_OF_RHO:
                return mechanisms.discrete_laplace(sensitivity.l1, mechanisms.epsilon_of_rho(nano))
            case Noise.GAUSSIAN:
                return mechanisms.discrete_gaussian(sensitivity.l2_squared, nano)
            case _:
                assert_never(self)


def kinds_of(privacy: nodes.Privacy, allowed: str) -> tuple[Noise, ...]:
    """Return the kinds of noise that a request may get, of those that dataset and protocol allow.

    Margins name theirs, epsilon buys Laplace noise, rho either. Raises InvalidQuery with the place if none is left.
    """
    found = _kinds_of(privacy)
    if allowed != BOTH:
        found = tuple(kind for kind in found if (kind is Noise.GAUSSIAN) == (allowed == GAUSSIAN))
    if found:
        return found
    if privacy.margins is not None:
        other = allowed if allowed == LAPLACE else GAUSSIAN
        raise InvalidQuery(
            "/privacy/noise",
            f"the dataset or the study's protocol allows {allowed} noise alone: ask for these margins with "
            f'"noise": "{other}"',
        )
    raise InvalidQuery(
        "/privacy/epsilon",
        "buys Laplace noise, and the dataset or the study's protocol allows Gaussian noise alone: offer rho instead",
    )


def _kinds_of(privacy: nodes.Privacy) -> tuple[Noise, ...]:
    if privacy.margins is not None:
        return (Noise.GAUSSIAN if privacy.margins.gaussian else Noise.LAPLACE,)
    return (Noise.LAPLACE,) if privacy.currency == "epsilon" else (Noise.LAPLACE_OF_RHO, Noise.GAUSSIAN)


@dataclass(frozen=True)
class Terms:
    """What all noise of a query depends on beside its share: how much of one person counts, of how many persons."""

    cells_per_person: int
    persons_max: int
    privacy: nodes.Privacy


@dataclass(frozen=True)
class Drafted:
    """A statistic before it has its noise: its measures, and how it takes part in sharing the charge."""

    name: str
    node: nodes.Statistic
    drafts: tuple[Draft, ...]
    weight: allocation.Weight
    target: nodes.Target | None  # the margin asked for

    def parts(self, nano: int) -> list[int]:
        """Return the statistic's share, split between its measures."""
        return allocation.split(nano, self.weight.parts, [1] * len(self.drafts))


def sensitivity(draft: Draft, terms: Terms) -> Sensitivity:
    """Return how far one person can move a measure's vector: at most `cells_per_person` cells, each by `largest`."""
    return Sensitivity(terms.cells_per_person * draft.largest, terms.cells_per_person * draft.largest**2)


def output(statistic: Drafted, nano: int, noise: Noise, terms: Terms) -> Output:
    """Return a statistic whose measures have the noise that its share buys. Raises InvalidQuery with the place."""
    measures = tuple(
        _measure(draft, part, noise, terms) for draft, part in zip(statistic.drafts, statistic.parts(nano), strict=True)
    )
    return Output(statistic.name, statistic.node, measures, None if statistic.target is None else statistic.target.at)


def _measure(draft: Draft, nano: int, noise: Noise, terms: Terms) -> Measure:
    """Return a vector with its noise, if neither sums nor noise can overflow. Raises InvalidQuery with the place."""
    if terms.persons_max * draft.largest >= SUM_MAX:
        raise InvalidQuery(
            "/query/bounds", "the bounds are so wide that a sum over all persons could overflow 64 bits; narrow them"
        )
    if is_too_noisy(draft, nano, terms):
        raise _too_little(terms)
    rounds = tuple(noise.mechanism(sensitivity(draft, terms), part) for part in _rounds(draft, nano))
    return Measure(**vars(draft), mechanism=rounds[0] if draft.search is None else Rounds(rounds))


def _rounds(draft: Draft, nano: int) -> list[int]:
    """Return what each round of a search may spend, the last one the rest. Other measures have one round."""
    if draft.search is None:
        return [nano]
    first = [nano * part // 10 for part in draft.search.tenths[:-1]]
    return [*first, nano - sum(first)]


def threshold(values_per_person: int, nano: int, noise: Noise, terms: Terms) -> Threshold:
    """Return the threshold that chooses which values of an undeclared key are named.

    A person changes the numbers of persons of at most `values_per_person` values, each by 1, as in a measure that
    counts persons in that many cells. Raises InvalidQuery with the place.
    """
    persons = Draft(Counted.PERSONS, 1)
    of_values = replace(terms, cells_per_person=values_per_person)
    if nano == 0 or is_too_noisy(persons, nano, of_values):
        raise _too_little(terms)
    assert terms.privacy.delta_atto is not None
    drawn = noise.mechanism(sensitivity(persons, of_values), nano)
    made = mechanisms.threshold(drawn, values_per_person, terms.privacy.delta_atto)
    if made is None:
        lowest = float(mechanisms.least_delta(values_per_person))
        raise InvalidQuery("/privacy/delta", f"is too small for any threshold; give more than {lowest:.2g}")
    return made


def is_too_noisy(draft: Draft, nano: int, terms: Terms) -> bool:
    """Return whether the noise that so much buys could, together with a sum, overflow 64 bits."""
    # No noise is larger than Laplace noise: Gaussian noise of the same rho has sqrt(cells_per_person) less.
    least = min(_rounds(draft, nano))
    if least == 0:
        return True
    epsilon_nano = least if terms.privacy.currency == "epsilon" else mechanisms.epsilon_of_rho(least)
    reach = Fraction(sensitivity(draft, terms).l1 * NANO, epsilon_nano) * NOISE_REACH
    return reach + terms.persons_max * draft.largest >= SUM_MAX


def _too_little(terms: Terms) -> InvalidQuery:
    return InvalidQuery(f"/privacy/{terms.privacy.word}", "is so small that the noise could overflow 64 bits")
