"""Studies: opened by admins, approved by DPOs, used by their members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets import accounts, approval, forecast, people, profiles, studies
from budgets.loss import NANO
from budgets.study import MOVES, Study, Terms
from server import replies
from server.api.parsing import Blueprint
from server.auth import ROLES, actor, for_roles, house
from server.preparing import require_askable
from server.schemas import BudgetChangeSchema, NewStudySchema, PageSchema, ReasonSchema, TermsSchema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

blueprint: Any = Blueprint("studies", __name__, description="Studies")


@blueprint.route("/studies")
@for_roles(*ROLES)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, replies.page_of(replies.Study))
def list_studies(page: dict[str, Any]) -> Any:
    """List the studies you may know of: your own, or as admin or DPO all."""
    with house().database.read() as transaction:
        found = studies.studies_of(transaction, actor(), after=page["cursor"], limit=page["limit"] + 1)
        shown = [show(transaction, study) for study in found[: page["limit"]]]
    return {"items": shown, "next": found[page["limit"] - 1].id if len(found) > page["limit"] else None}


@blueprint.route("/studies", methods=["POST"])
@for_roles("admin")
@blueprint.arguments(NewStudySchema)
@blueprint.response(201, replies.Study)
def open_study(body: dict[str, Any]) -> Any:
    """Open a study as a draft; a DPO has to approve it before it can ask."""
    name, dataset, epsilon, delta = (body.pop(key) for key in ("name", "dataset", "epsilon_nano", "delta_atto"))
    notes = body.pop("notes")
    with house().database.write() as transaction:
        opened = studies.open_study(transaction, name, dataset, Terms(**body), epsilon, delta, actor())
        return noted(show(transaction, _askable(transaction, opened)), notes)


@blueprint.route("/studies/<study>")
@for_roles(*ROLES)
@blueprint.response(200, replies.Study)
def show_study(study: str) -> Any:
    """Return a study."""
    with house().database.read() as transaction:
        return show(transaction, studies.visible(transaction, study, actor()))


@blueprint.route("/studies/<study>", methods=["PATCH"])
@for_roles("admin")
@blueprint.arguments(TermsSchema(partial=True))
@blueprint.response(200, replies.Study)
def edit_study(body: dict[str, Any], study: str) -> Any:
    """Change a study's terms; what is not given stays. One that was approved is a draft again."""
    notes = body.pop("notes")
    with house().database.write() as transaction:
        present = studies.study(transaction, study).terms
        kept = {name: getattr(present, name) for name in Terms.__dataclass_fields__}
        edited = studies.edit(transaction, study, Terms(**{**kept, **body}), actor())
        return noted(show(transaction, _askable(transaction, edited) if "protocol" in body else edited), notes)


def _askable(transaction: sa.Connection, study: Study) -> Study:
    require_askable(house().stores.current(transaction, study.dataset), study.terms.protocol)
    return study


@blueprint.route("/studies/<study>/members/<user>", methods=["PUT"])
@for_roles("admin")
@blueprint.response(200, replies.Study)
def add_member(study: str, user: str) -> Any:
    """Make a researcher a member."""
    with house().database.write() as transaction:
        return show(transaction, studies.add_member(transaction, study, user, actor()))


@blueprint.route("/studies/<study>/members/<user>", methods=["DELETE"])
@for_roles("admin")
@blueprint.response(200, replies.Study)
def remove_member(study: str, user: str) -> Any:
    """End a membership."""
    with house().database.write() as transaction:
        return show(transaction, studies.remove_member(transaction, study, user, actor()))


def _move(action: str) -> None:
    """Make the route of one change of state."""
    _, leads_to, roles = MOVES[action]

    @blueprint.route(f"/studies/<study>/{action}", methods=["POST"], endpoint=action)
    @for_roles(*roles)
    @blueprint.doc(summary=f"{action.capitalize()} a study: it is then {leads_to}")
    @blueprint.arguments(ReasonSchema)
    @blueprint.response(200, replies.Study)
    def view(body: dict[str, str], study: str) -> Any:
        with approval.deciding(house().database) as transaction:
            return show(transaction, studies.move(transaction, study, action, body["reason"], actor()))


for _action in MOVES:
    _move(_action)


@blueprint.route("/studies/<study>/budget")
@for_roles(*ROLES)
@blueprint.response(200, replies.StudyBudget)
def show_budget(study: str) -> Any:
    """Return a study's limits, what it spent, what remains and what that buys."""
    with house().database.read() as transaction:
        return forecast.of_study(transaction, studies.visible(transaction, study, actor())).to_json()


@blueprint.route("/studies/<study>/budget", methods=["PUT"])
@for_roles("admin")
@blueprint.arguments(BudgetChangeSchema)
@blueprint.response(200, replies.Study)
def set_budget(body: dict[str, Any], study: str) -> Any:
    """Set a study's limits. After approval a raise waits for a DPO."""
    with house().database.write() as transaction:
        changed = studies.set_budget(
            transaction, study, body["epsilon_nano"], body["delta_atto"], body["reason"], actor()
        )
        return noted(show(transaction, changed), body["notes"])


@blueprint.route("/studies/<study>/budget/approve", methods=["POST"])
@for_roles("dpo")
@blueprint.arguments(ReasonSchema)
@blueprint.response(200, replies.Study)
def approve_budget(body: dict[str, str], study: str) -> Any:
    """Put a raise that waits in force: not for who proposed it."""
    with approval.deciding(house().database) as transaction:
        return show(transaction, studies.approve_budget(transaction, study, body["reason"], actor()))


def show(transaction: sa.Connection, study: Study) -> dict[str, Any]:
    """Return a study as it is sent."""
    terms = study.terms
    hands = [study.opened_by, *study.edited_by, *filter(None, (study.approved_by, study.raise_by))]
    known = people.names(transaction, hands)
    protocol = _shown_limits(terms.protocol)
    if "templates" in protocol:
        protocol["templates"] = [_shown_limits(one) for one in protocol["templates"]]
    return {
        "id": study.id,
        "name": study.id,
        "title": terms.title,
        "purpose": terms.purpose,
        "legal_basis": terms.legal_basis,
        "dataset": study.dataset,
        "profile": profiles.standing(transaction, study.dataset),
        "state": study.state,
        "protocol": protocol,
        "starts": terms.starts,
        "ends": terms.ends,
        "created_at": study.created_at,
        # None once a name was erased.
        "opened_by": known.get(study.opened_by),
        "edited_by": sorted({known[one] for one in study.edited_by if one in known}),
        "approved_by": known.get(study.approved_by or ""),
        "raise_by": known.get(study.raise_by or ""),
        "members": list(study.members),
        "budget": accounts.balance(transaction, accounts.STUDY, study.id).to_json(),
        "raise_to": study.raise_to.to_json() if study.raise_to else None,
    }


def noted(said: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """Return what is said with `notes` on the numbers of the request that were rounded down, if there are any."""
    return {**said, "notes": list(notes)} if notes else said


def _shown_limits(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part of a protocol with its limits as they were given."""
    shown = dict(kept)
    if "epsilon_nano_max" in shown:
        shown["max_epsilon"] = shown.pop("epsilon_nano_max") / NANO
    if "margin_min" in shown:
        shown["min_margin"] = shown.pop("margin_min")
    return shown
