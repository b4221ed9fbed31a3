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
from server.charts import beliefs, budget
from server.charts.beliefs import Curve
from server.charts.budget import Picture, Used
from server.reporting import attack_odds, guarantee, regulator
from server.reporting.attack_odds import Guarantee

CONTENT_TYPE = "text/html; charset=utf-8"
STYLE = resources.files("server.reporting").joinpath("report.css").read_text(encoding="utf-8")
POINTS = 50  # on each curve
WIDTH = 480  # of a chart, in its units
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


CHANGED = {
    "state": "its state",
    "terms": "its terms",
    "budget": "its budget",
    "raise": "the larger budget that waits",
    "cap": "the cap of the dataset",
    "used": "what was charged",
    "releases": "its releases",
    "members": "its members",
}
_pages.filters["changed_part"] = CHANGED.__getitem__


def html(document: dict[str, Any]) -> str:
    """Return the page of a report."""
    own = document["accounts"][0]
    used = [_used(account) for account in document["accounts"]]
    return _pages.get_template("report.html").render(
        report=document,
        own=own,
        beliefs=_picture(_beliefs(own)),
        gauges=_picture(budget.gauges(used, "gauges", width=WIDTH)),
        spending=_picture(
            budget.spending(_charges(document, used[0].unit), used[0], document["made_at"], "spending", width=WIDTH)
        ),
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


def _picture(made: Picture) -> dict[str, Any]:
    """Return a drawing for the template."""
    return {"svg": Markup(made.svg), "title": made.title}  # noqa: S704  # its texts are escaped


def _used(account: dict[str, Any]) -> Used:
    """Return what an account used, by the accountant whose sum counts."""
    unit = account["at_spend"]["by"]
    used, limit = (Decimal(str(account[member][unit] or 0)) for member in ("used", "budget"))
    return Used(f"{account['kind']} {account['name']}", unit, used, limit)


def _charges(document: dict[str, Any], unit: str) -> list[tuple[str, Decimal]]:
    """Return when the releases and profiles of a report were charged, and how much, oldest first."""
    charged = [*document["releases"]["shown"], *document["releases"]["profiles"]]
    return sorted((one["charged_at"], Decimal(str(one["cost"][unit] or 0))) for one in charged)


def _beliefs(own: dict[str, Any]) -> Picture:
    """Return the curves of what answers could do to a belief, so far and at the limit."""
    curves = [Curve("so far", _curve(own["at_spend"])), Curve("at the limit", _curve(own["at_limit"]))]
    told = [
        f"A belief of {guarantee.percent(spent['prior'])} can become at most {guarantee.percent(spent['at_most'])} by "
        f"what was spent so far, and at most {guarantee.percent(limit['at_most'])} at the limit."
        for spent, limit in zip(own["at_spend"]["presence"], own["at_limit"]["presence"], strict=True)
    ]
    about = "Two curves over the belief before the answers, from 0 to 100%."
    return beliefs.beliefs(curves, " ".join([about, *told]), "beliefs")


def _curve(meant: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    """Return points (prior, posterior) of a guarantee, both from 0 to 1."""
    epsilon, delta = (
        math.ceil(Decimal(str(meant[name])) * scale) for name, scale in (("epsilon", NANO), ("delta", ATTO))
    )
    found = Guarantee(epsilon, min(ATTO, delta), meant["by"])
    priors = [Decimal(step) / POINTS for step in range(POINTS + 1)]
    return tuple((float(prior), float(attack_odds.posterior(found, prior))) for prior in priors)


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
