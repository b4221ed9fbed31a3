"""A report as one page of HTML: self-contained, without scripts, made to be printed on A4, in a language.

The page may load nothing and run nothing. Its content security policy forbids it, and stands in the page too, because a
file has no headers. The policy allows the one style sheet by its hash.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import re
from decimal import Decimal
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from budgets.loss import ATTO, NANO
from server.charts import beliefs, budget
from server.charts.beliefs import Curve
from server.charts.budget import Picture, Used
from server.languages.language import language
from server.reporting import asking, attack_odds, conclusion, criteria, guarantee, losses, publishing, regulator
from server.reporting import notice as notices
from server.reporting.attack_odds import Guarantee
from server.views import formalities

if TYPE_CHECKING:
    from server.languages.language import Language

CONTENT_TYPE = "text/html; charset=utf-8"
STYLE = resources.files("server.reporting").joinpath("report.css").read_text(encoding="utf-8")
CODE = re.compile(r"`([^`]*)`")
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


@functools.cache
def _templates(code: str) -> Environment:
    """Return the templates, which say things in a language."""
    said = language(code)
    made = Environment(
        loader=PackageLoader("server.reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    translations: Any = made  # the extension adds the method
    translations.install_gettext_callables(said.texts.ugettext, said.texts.ungettext, newstyle=True)
    made.filters |= {
        "phrase": said.phrase,
        "word": said.word,
        "day": said.day,
        "moment": said.moment,
        "percent": lambda bound: said.number(guarantee.percent(bound)),
        "number": lambda value: losses.number(value, said),
        "delta": lambda value: losses.delta(value, said),
        "coded": _coded,
        "whole": lambda count: said.number(f"{count:,}"),
        "loss": lambda cost: losses.loss(cost, said),
        "noise": lambda mechanisms: losses.noise(mechanisms, said),
        "by": lambda act: regulator.by(act, said),
    }
    return made


def _coded(text: str) -> Markup:
    """Return a text in which what stands between backticks is code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped before


def html(document: dict[str, Any], code: str) -> str:
    """Return the page of a report in a language."""
    said = language(code)
    own = document["accounts"][0]
    is_public = document["version"] == publishing.PUBLIC
    used = [_used(account, said) for account in document["accounts"]]
    charges = _charges(document, used[0].unit)
    words = said.chart_words()
    return (
        _templates(code)
        .get_template("report.html")
        .render(
            report=document,
            own=own,
            language=said,
            beliefs=_picture(_beliefs(own, said)),
            gauges=_picture(budget.gauges(used, "gauges", words, width=WIDTH)),
            spending=_picture(budget.spending(charges, used[0], document["made_at"], "spending", words, width=WIDTH)),
            policy=POLICY,
            style=Markup(STYLE),  # noqa: S704  # a file of this package
            account=losses.account,
            approvals=regulator.approvals(document, said),
            recipients=regulator.recipients(document, said),
            days=None if document["study"] is None else regulator.days(document["study"], said),
            left_out=regulator.left_out(said),
            regulation=[] if is_public else regulator.facts(document, said),
            asking=asking.told(document, said),
            conclusion=conclusion,
            is_public=is_public,
            criteria=criteria.stated(code, document["identity_days"]),
            law=criteria.elsewhere(code),
            formalities=[
                (title, list(formalities.shown(given, said.say, said.day)))
                for title, given in _formalities(document, said)
                if given is not None
            ],
        )
    )


def _formalities(document: dict[str, Any], said: Language) -> list[tuple[str, dict[str, Any] | None]]:
    of_dataset = said.say("Formalities of the dataset"), document["dataset"]["formalities"]
    if document["study"] is None:
        return [of_dataset]
    return [(said.say("Formalities of the study"), document["study"]["formalities"]), of_dataset]


def notice(document: dict[str, Any], code: str) -> str:
    """Return the page for the persons in a dataset, in a language."""
    said = language(code)
    return (
        _templates(code)
        .get_template("notice.html")
        .render(
            language=said,
            policy=POLICY,
            style=Markup(STYLE),  # noqa: S704  # a file of this package
            title=notices.title(document, said),
            sections=notices.sections(document, said),
            made=notices.made(document, said),
        )
    )


def _picture(made: Picture) -> dict[str, Any]:
    """Return a drawing for the template."""
    return {"svg": Markup(made.svg), "title": made.title}  # noqa: S704  # its texts are escaped


def _used(account: dict[str, Any], said: Language) -> Used:
    """Return what an account used, by the sum that decides."""
    gauge = account["budget"]["gauge"]
    name = losses.account(account["kind"], account["name"], said)
    return Used(name, gauge["of"], Decimal(str(gauge["used"])), Decimal(str(gauge["limit"])))


def _charges(document: dict[str, Any], unit: str) -> list[tuple[str, Decimal]]:
    """Return when the releases and profiles of a report were charged, and how much, oldest first."""
    charged = [*document["releases"]["shown"], *document["releases"]["profiles"]]
    return sorted((one["charged_at"], budget.amount(one["cost"], unit)) for one in charged)


def _beliefs(own: dict[str, Any], said: Language) -> Picture:
    """Return the curves of what answers could do to a belief, so far and at the limit."""
    curves = [
        Curve(said.say("so far"), _curve(own["at_spend"])),
        Curve(said.say("at the limit"), _curve(own["at_limit"])),
    ]
    told = [
        said.say(
            "A belief of %(before)s can become at most %(spent)s by what was spent so far, and at most %(limit)s at "
            "the limit.",
            before=said.number(guarantee.percent(spent["prior"])),
            spent=said.number(guarantee.percent(spent["at_most"])),
            limit=said.number(guarantee.percent(limit["at_most"])),
        )
        for spent, limit in zip(own["at_spend"]["presence"], own["at_limit"]["presence"], strict=True)
    ]
    about = said.say("Two curves over the belief before the answers, from 0 to 100%.")
    return beliefs.beliefs(curves, " ".join([about, *told]), "beliefs", said.chart_words())


def _curve(meant: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    """Return points (prior, posterior) of a guarantee, both from 0 to 1."""
    epsilon, delta = (
        math.ceil(Decimal(str(meant[name])) * scale) for name, scale in (("epsilon", NANO), ("delta", ATTO))
    )
    found = Guarantee(epsilon, min(ATTO, delta), meant["by"])
    priors = [Decimal(step) / POINTS for step in range(POINTS + 1)]
    return tuple((float(prior), float(attack_odds.posterior(found, prior))) for prior in priors)
