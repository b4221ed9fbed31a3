"""What was asked for a release, and what was offered for it: to ask the same again, or to change it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from server.pages.frame.language import number, typed
from server.pages.frame.language import translated as _

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ASKED = "asked"  # what may be spent, in the API's words, where the form has none for it

SYMBOLS = {"epsilon": "ε", "rho": "ρ", "delta": "δ"}  # noqa: RUF001 (a rho is meant)


def offered(release: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was offered for a release, in a request's words. One of an earlier version has only what it cost."""
    if "privacy" in release:
        return dict(release["privacy"])
    cost = release["cost"]
    privacy = {"epsilon": cost["epsilon"]} if cost["epsilon"] is not None else {"rho": cost["rho"]}
    return {**privacy, "delta": cost["delta"]} if cost["delta"] else privacy


def to_change(release: Mapping[str, Any]) -> dict[str, str]:
    """Return the question of a release as the page for asking takes it in its address: all that was asked."""
    bounds = {name: str(bound) for name, bound in release["query"].get("bounds", {}).items()}
    return {"sql": str(release["sql"]), **bounds, **_price(offered(release))}


def _price(privacy: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of the form that offer the same; a price that it has no fields for is offered as it was."""
    rest = dict(privacy)
    delta = {"delta": typed(rest.pop("delta"))} if "delta" in rest else {}
    match rest:
        case {"epsilon": epsilon, **others} if not others:
            return {"epsilon": typed(epsilon), **delta}
        case {"margin": dict(targets), **others} if not others and len(targets) == 1:
            ((name, margin),) = targets.items()
            if isinstance(margin, float | int):
                return {"by": "margin", "margin_of": str(name), "margin": typed(margin), **delta}
    return {"by": ASKED, ASKED: json.dumps(privacy, ensure_ascii=False)}


def in_words(asked: str) -> list[str]:
    """Return what is offered as it was, in words, or as it stands where there are none for it."""
    try:
        return list(_words(json.loads(asked)))
    except (ValueError, TypeError, AttributeError, KeyError, ArithmeticError, RecursionError):
        return [asked]


def _words(privacy: dict[str, Any]) -> Iterator[str]:
    for name, value in privacy.items():
        match name:
            case "epsilon" | "rho" | "delta":
                yield f"{SYMBOLS[name]}\u00a0{number(float(value))}"
            case "confidence":
                yield _("margins hold %(times)s times of 100", times=number(100 * float(value)))
            case "noise":
                yield {"gaussian": _("Gaussian noise"), "laplace": _("Laplace noise")}[value]
            case "margin":
                yield from (_margin(statistic, wanted) for statistic, wanted in value.items())
            case _:
                raise KeyError(name)


def _margin(statistic: str, wanted: Any) -> str:
    match wanted:
        case float() | int():
            return f"{statistic} ±\u00a0{number(wanted)}"
        case {"events": events}:
            return _("%(name)s ± %(events)s events in rank", name=statistic, events=number(events))
        case {"margin": margin, "at": size}:
            shown = {"name": statistic, "margin": number(margin), "size": number(size)}
            return _("%(name)s ± %(margin)s in a group of %(size)s", **shown)
    raise KeyError(statistic)
