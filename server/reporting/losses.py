"""Numbers and losses of a report, as a language writes them."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.languages.language import Language


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}10"
DIGITS = 5  # of a delta, which is rounded up


def number(value: float | None, language: Language) -> str:
    """Return a number for people; "infinite" for an epsilon that is not finite."""
    return language.say("infinite") if value is None else language.number(_written(value))


def _written(value: float) -> str:
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e7:
        plain = f"{Decimal(str(value)):,f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    digits, _, exponent = f"{Decimal(str(value)).normalize():e}".partition("e")
    return f"{digits}{TIMES}{exponent.lstrip('+').translate(RAISED)}"


def delta(value: float, language: Language) -> str:
    """Return a delta for people, rounded up to five digits."""
    exact = Decimal(str(value))
    step = Decimal(1).scaleb(exact.adjusted() + 1 - DIGITS)
    return number(float(exact.quantize(step, rounding=ROUND_CEILING)) if exact else 0, language)


def loss(cost: Mapping[str, float | None], language: Language) -> str:
    """Return a loss in a few words."""
    parts = [] if cost["epsilon"] is None else [f"epsilon {number(cost['epsilon'], language)}"]
    if cost["epsilon"] is None and "rho" in cost:
        parts.append(f"rho {number(cost['rho'], language)}")
    if cost["delta"]:
        parts.append(f"delta {delta(cost['delta'], language)}")
    return language.amounts(parts) or language.say("nothing")


def noise(mechanisms: Sequence[str], language: Language) -> str:
    """Return by which mechanisms the noise was drawn."""
    said = {
        "discrete_laplace": language.say("discrete Laplace"),
        "discrete_gaussian": language.say("discrete Gaussian"),
        "discrete_laplace_threshold": language.say("discrete Laplace, with a threshold"),
        "discrete_gaussian_threshold": language.say("discrete Gaussian, with a threshold"),
    }
    return ", ".join(said.get(one, one.replace("_", " ")) for one in mechanisms)


def account(kind: str, name: str, language: Language) -> str:
    """Return the name of an account."""
    if kind == "study":
        return language.say("study %(name)s", name=name)
    return language.say("dataset %(name)s", name=name)
