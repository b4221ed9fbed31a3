"""The words for the codes by which approvers and DPOs decide: opinions, proposals, terms, alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.pages.frame import words
from server.pages.frame.formal_words import formality_parts
from server.pages.frame.language import translated as _

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flask import Flask


def register(app: Flask) -> None:
    """Give templates the functions of this module."""
    for function in FUNCTIONS:
        app.add_template_global(function)


def opinion_name(opinion: str) -> str:
    """Return an opinion of a DPO in words."""
    return {
        "favourable": _("in favour"),
        "conditional": _("in favour, with conditions"),
        "unfavourable": _("against"),
    }.get(opinion, opinion)


def act_name(act: str, role: str) -> str:
    """Return in words what was proposed for somebody of a role."""
    return {
        ("add", "dpo"): _("Add a data protection officer"),
        ("add", "approver"): _("Add an approver"),
        ("remove", "dpo"): _("Remove a data protection officer"),
        ("remove", "approver"): _("Remove an approver"),
        ("token", "dpo"): _("A token for a data protection officer"),
        ("token", "approver"): _("A token for an approver"),
    }.get((act, role), f"{act} {role}")


def party_names() -> dict[str, str]:
    """Return the relevant parties of a report, with their words."""
    return {
        "researcher": _("A researcher"),
        "reader": _("A reader of a publication"),
        "relative": _("A relative or neighbour"),
        "journalist": _("A journalist"),
        "insider": _("An insider"),
        "thief": _("A thief of released answers"),
    }


def changed_parts(parts: Sequence[str]) -> str:
    """Return in words what of a study has changed since a conclusion."""
    known = {
        "state": _("its state"),
        "terms": _("its terms"),
        "budget": _("its budget"),
        "raise": _("the larger budget that waits"),
        "cap": _("the cap of the dataset"),
        "used": _("what was charged"),
        "releases": _("its releases"),
        "members": _("its members"),
    }
    return ", ".join(known.get(part, part) for part in parts)


def field_name(field: str) -> str:
    """Return a field of a study, as changes name it, in words."""
    return {
        "title": _("Title"),
        "purpose": _("Purpose"),
        "legal_basis": _("Legal basis"),
        "starts": _("First day"),
        "ends": _("Last day"),
        "protocol/tables": _("Tables"),
        "protocol/columns": _("Columns"),
        "protocol/statistics": _("Statistics"),
        "protocol/max_epsilon": _("Most ε for one question"),
        "protocol/min_margin": _("Smallest margin of a count"),
        "protocol/hide_below": _("Cells that are hidden"),
        "protocol/templates": _("Prepared questions"),
        "protocol/professionals": _("Columns about professionals"),
        "protocol/code_lists": _("Code lists"),
        "protocol/strict": _("Only prepared questions"),
        "protocol/noise": _("Noise"),
        "budget/epsilon": _("Budget, ε"),
        "budget/delta": _("Budget, δ"),
        "cap/epsilon": _("Cap of the data, ε"),
        "cap/delta": _("Cap of the data, δ"),
        "noise": _("Noise of answers"),
        **{f"formalities/{part}": name for part, name in formality_parts().items()},
        **{f"{of}/laplace_percent": _("Part of ε for Laplace noise (percent)") for of in ("budget", "cap")},
        **{f"{of}/justification": _("Justification") for of in ("budget", "cap")},
    }.get(field, field)


def noise_name(noise: str | None) -> str:
    """Return the noise that the queries of a dataset may have, in words."""
    return {
        "laplace": _("Laplace noise alone"),
        "gaussian": _("Gaussian noise alone"),
        "both": _("either kind"),
    }.get(noise or "") or _("what the manifest says")


def allowed_statistic(name: str) -> str:
    """Return a statistic, as a protocol names it, in words."""
    return {
        "count": _("counts"),
        "proportion": _("shares"),
        "covariance": _("covariance"),
        "survival": _("survival curves"),
        "slope": _("trends"),
        "rate": _("incidence rates"),
    }.get(name) or words.statistic_name(name)


def unset_name(field: str) -> str:
    """Return in words what it means that a field of a study is not given."""
    return {
        "starts": _("from the approval on"),
        "ends": _("no end is set"),
        "protocol/tables": _("all"),
        "protocol/columns": _("all"),
        "protocol/statistics": _("all"),
        "protocol/max_epsilon": _("no limit but the budget"),
        "protocol/min_margin": _("any margin"),
        "protocol/hide_below": _("none"),
        "protocol/templates": _("none"),
        "protocol/professionals": _("none"),
        "protocol/code_lists": _("none"),
        "protocol/strict": _("no"),
        "protocol/noise": _("of either kind"),
    }.get(field, _("not given"))


def alert_name(kind: str) -> str:
    """Return a kind of alert in words."""
    return {
        "budget": _("budget used"),
        "refusals": _("many refusals"),
        "sign-ins": _("failed sign-ins"),
        "privileges": _("roles and tokens"),
        "clock": _("clock"),
        "deadlines": _("what ends"),
    }.get(kind, kind)


FUNCTIONS: tuple[Callable[..., Any], ...] = (
    opinion_name,
    act_name,
    field_name,
    noise_name,
    changed_parts,
    party_names,
    allowed_statistic,
    unset_name,
    alert_name,
)
