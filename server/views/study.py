"""A study as the API and the command line show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.governance import advice, conclusions, seen, studies
from budgets.identity import people
from budgets.ledger import accounts, profiles
from budgets.loss import NANO, Loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from budgets.governance.advice import Advice
    from budgets.governance.conclusions import Conclusion
    from budgets.governance.study import Study


def describe_study(transaction: sa.Connection, study: Study) -> dict[str, Any]:
    """Return a study as it is sent."""
    terms = study.terms
    advised = {kind: advice.standing(transaction, kind, study.id) for kind in (advice.STUDY, advice.RAISE)}
    advisers = [one.by for one in advised.values() if one is not None]
    concluded = conclusions.standing(transaction, study.id)
    concluders = [] if concluded is None else [concluded.by]
    hands = [study.opened_by, *study.edited_by, *filter(None, (study.approved_by, study.raise_by)), *advisers]
    known = people.names(transaction, [*hands, *concluders])
    return {
        "id": study.id,
        "name": study.id,
        "title": terms.title,
        "purpose": terms.purpose,
        "legal_basis": terms.legal_basis,
        "dataset": study.dataset,
        "profile": profiles.standing(transaction, study.dataset),
        "state": study.state,
        "protocol": shown_protocol(terms.protocol),
        "starts": terms.starts,
        "ends": terms.ends,
        "formalities": None if terms.formalities is None else terms.formalities.facts(),
        "lack": studies.lack(transaction, study),
        "created_at": study.created_at,
        # None if the name was erased.
        "opened_by": known.get(study.opened_by),
        "edited_by": sorted({known[one] for one in study.edited_by if one in known}),
        "approved_by": known.get(study.approved_by or ""),
        "raise_by": known.get(study.raise_by or ""),
        "advice": _advice(advised[advice.STUDY], known),
        "raise_advice": _advice(advised[advice.RAISE], known),
        "conclusion": None if concluded is None else _conclusion(transaction, study, concluded, known),
        "members": list(study.members),
        "budget": accounts.balance(transaction, accounts.STUDY, study.id).to_json(),
        "raise_to": study.raise_to.to_json() if study.raise_to else None,
        "digest": seen.of_study(transaction, study),
        "raise_digest": seen.of_raise(study),
    }


def _advice(given: Advice | None, known: Mapping[str, str]) -> dict[str, Any] | None:
    return None if given is None else given.to_json(known)


def describe_conclusion(transaction: sa.Connection, study: Study) -> dict[str, Any] | None:
    """Return the conclusion of a study's report as it is sent, or None if nobody wrote one."""
    found = conclusions.standing(transaction, study.id)
    return None if found is None else _conclusion(transaction, study, found, people.names(transaction, [found.by]))


def _conclusion(
    transaction: sa.Connection, study: Study, found: Conclusion, known: Mapping[str, str]
) -> dict[str, Any]:
    about = found.about
    limit = Loss(about["budget"]["epsilon_nano"], 0, about["budget"]["delta_atto"]).to_json()
    return {
        "text": found.text,
        "parties": dict(found.parties),
        "by": known.get(found.by),
        "at": found.at,
        "digest": conclusions.digest(about),
        "state": about["state"],
        "releases": about["releases"],
        "limit": {"epsilon": limit["epsilon"], "delta": limit["delta"]},
        "spent": Loss(**about["used"]).to_json(),
        "changed": found.changed(conclusions.about(transaction, study)),
    }


def noted(reply: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """Return a reply, with `notes` on numbers of the request that were rounded down if there are any."""
    return {**reply, "notes": list(notes)} if notes else reply


def shown_protocol(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol, as the ledger and the log have it, as it is sent."""
    shown = _shown_limits(kept)
    if "templates" in shown:
        shown["templates"] = [_shown_limits(one) for one in shown["templates"]]
    return shown


def _shown_limits(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol or a template with its limits as the request gave them."""
    shown = dict(kept)
    if "epsilon_nano_max" in shown:
        shown["max_epsilon"] = shown.pop("epsilon_nano_max") / NANO
    if "margin_min" in shown:
        shown["min_margin"] = shown.pop("margin_min")
    return shown
