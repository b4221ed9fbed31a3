"""Numbers and losses of a report, as a language writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.languages.language import Language


def number(value: float | None, language: Language) -> str:
    """Return a number for people; "infinite" for an epsilon that is not finite."""
    return language.say("infinite") if value is None else language.number(_written(value))


def _written(value: float) -> str:
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e7:
        plain = f"{Decimal(str(value)):,f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"{Decimal(str(value)).normalize():e}".replace("e", " \N{MULTIPLICATION SIGN} 10^").replace("+", "")


def loss(cost: Mapping[str, float | None], language: Language) -> str:
    """Return a loss in a few words."""
    parts = [] if cost["epsilon"] is None else [f"epsilon {number(cost['epsilon'], language)}"]
    if cost["epsilon"] is None and "rho" in cost:
        parts.append(f"rho {number(cost['rho'], language)}")
    if cost["delta"]:
        parts.append(f"delta {number(cost['delta'], language)}")
    return language.amounts(parts) or language.say("nothing")


def noise(mechanisms: Sequence[str], language: Language) -> str:
    """Return by which mechanisms the noise was drawn."""
    said = {
        "discrete_laplace": language.say("discrete Laplace"),
        "discrete_gaussian": language.say("discrete Gaussian"),
    }
    return ", ".join(said.get(one, one.replace("_", " ")) for one in mechanisms)


def account(kind: str, name: str, language: Language) -> str:
    """Return the name of an account."""
    if kind == "study":
        return language.say("study %(name)s", name=name)
    return language.say("dataset %(name)s", name=name)
