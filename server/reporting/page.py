"""A report as one page of HTML: self-contained, without scripts, made to be printed on A4.

The page may load nothing and run nothing. Its content security policy forbids it, and stands in the page too, because a
file has no headers. The policy allows the one style sheet by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import math
from decimal import Decimal
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from budgets.loss import ATTO, NANO
from server.reporting import attack_odds, guarantee, regulator
from server.reporting.attack_odds import Guarantee

CONTENT_TYPE = "text/html; charset=utf-8"
STYLE = resources.files("server.reporting").joinpath("report.css").read_text(encoding="utf-8")
POINTS = 50  # on each curve
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_pages = Environment(
    loader=PackageLoader("server.reporting", ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def html(document: dict[str, Any]) -> str:
    """Return the page of a report."""
    own = document["accounts"][0]
    return _pages.get_template("report.html").render(
        report=document,
        own=own,
        curves=[
            {"title": "so far", "points": _curve(own["at_spend"])},
            {"title": "at the limit", "points": _curve(own["at_limit"])},
        ],
        policy=POLICY,
        style=Markup(STYLE),  # noqa: S704  # a file of this package
        percent=guarantee.percent,
        loss=_loss,
        number=_number,
        by=regulator.by,
        approvals=regulator.approvals(document),
        recipients=[regulator.recipient(one) for study in document["studies"] for one in study["recipients"]],
        moment=_moment,
    )


def _curve(meant: dict[str, Any]) -> list[tuple[float, float]]:
    """Return points (prior, posterior) of a guarantee, both from 0 to 1."""
    epsilon, delta = (
        math.ceil(Decimal(str(meant[name])) * scale) for name, scale in (("epsilon", NANO), ("delta", ATTO))
    )
    found = Guarantee(epsilon, min(ATTO, delta), meant["by"])
    priors = [Decimal(step) / POINTS for step in range(POINTS + 1)]
    return [(float(prior), float(attack_odds.posterior(found, prior))) for prior in priors]


def _number(value: float | None) -> str:
    """Return a number for people; "infinite" for an epsilon that is not finite."""
    if value is None:
        return "infinite"
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e7:
        return f"{Decimal(str(value)):f}".rstrip("0").rstrip(".") if "." in f"{Decimal(str(value)):f}" else str(value)
    return f"{Decimal(str(value)).normalize():e}".replace("e", " x 10^").replace("+", "")


def _loss(cost: dict[str, float | None]) -> str:
    """Return a loss in a few words."""
    parts = [] if cost["epsilon"] is None else [f"epsilon {_number(cost['epsilon'])}"]
    if cost["epsilon"] is None and "rho" in cost:
        parts.append(f"rho {_number(cost['rho'])}")
    if cost["delta"]:
        parts.append(f"delta {_number(cost['delta'])}")
    return ", ".join(parts) or "nothing"


def _moment(text: str) -> str:
    """Return a time to the minute."""
    return f"{text[:10]} {text[11:16]}" if len(text) > 10 else text
