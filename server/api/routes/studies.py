"""Studies: admins open them, approvers approve them, members ask queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.governance import advising, approval, forecast, studies, study_budgets
from budgets.governance.study import MOVES, Study, Terms
from server.api import replies
from server.api.requests.schemas import (
    AdviceSchema,
    ApprovalSchema,
    BudgetChangeSchema,
    NewStudySchema,
    ReasonSchema,
    StudiesSchema,
    TermsSchema,
)
from server.api.requests.templates import spelled
from server.journey.preparing import require_askable
from server.views import changes
from server.views.study import describe_study, noted
from server.web.auth import ROLES, access, actor, for_roles, services
from server.web.bodies import Blueprint

if TYPE_CHECKING:
    import sqlalchemy as sa

blueprint: Any = Blueprint("studies", __name__, description="Studies")


@blueprint.route("/studies")
@for_roles(*ROLES, beyond_a_study=True)
@blueprint.arguments(StudiesSchema, location="query")
@blueprint.response(200, replies.page_of(replies.Study))
def list_studies(page: dict[str, Any]) -> Any:
    """List the studies: a researcher sees their own, the other roles see all; with waiting=true what is to decide."""
    with services().database.read() as transaction:
        found = studies.studies_of(
            transaction,
            actor(),
            only=access().study,
            waiting=page["waiting"],
            after=page["cursor"],
            limit=page["limit"] + 1,
        )
        shown = [describe_study(transaction, study) for study in found[: page["limit"]]]
    return {"items": shown, "next": found[page["limit"] - 1].id if len(found) > page["limit"] else None}


@blueprint.route("/studies", methods=["POST"])
@for_roles("admin")
@blueprint.arguments(NewStudySchema)
@blueprint.response(201, replies.Study)
def open_study(body: dict[str, Any]) -> Any:
    """Open a study as a draft. An approver has to approve it before its members can ask queries."""
    name, dataset, epsilon, delta = (body.pop(key) for key in ("name", "dataset", "epsilon_nano", "delta_atto"))
    notes = body.pop("notes")
    further = {key: body.pop(key) for key in ("laplace_percent", "justification")}
    with services().database.write() as transaction:
        opened = studies.open_study(transaction, name, dataset, Terms(**body), epsilon, delta, actor(), **further)
        _require_askable(transaction, opened)
        return noted(describe_study(transaction, opened), notes)


@blueprint.route("/studies/<study>")
@for_roles(*ROLES)
@blueprint.response(200, replies.Study)
def show_study(study: str) -> Any:
    """Return a study."""
    with services().database.read() as transaction:
        return describe_study(transaction, studies.visible(transaction, study, actor()))


@blueprint.route("/studies/<study>/templates")
@for_roles(*ROLES)
@blueprint.response(200, replies.page_of(replies.ShownTemplate))
def list_templates(study: str) -> Any:
    """List the templates of a study's protocol, with their SQL."""
    with services().database.read() as transaction:
        protocol = describe_study(transaction, studies.visible(transaction, study, actor()))["protocol"]
    return {"items": [spelled(one) for one in protocol.get("templates", ())], "next": None}


@blueprint.route("/studies/<study>", methods=["PATCH"])
@for_roles("admin")
@blueprint.arguments(TermsSchema(partial=True))
@blueprint.response(200, replies.Study)
def edit_study(body: dict[str, Any], study: str) -> Any:
    """Change a study's terms; terms that are not given stay. An approved study becomes a draft again."""
    notes = body.pop("notes")
    with services().database.write() as transaction:
        present = studies.study(transaction, study).terms
        kept = {name: getattr(present, name) for name in Terms.__dataclass_fields__}
        edited = studies.edit(transaction, study, Terms(**{**kept, **body}), actor())
        if "protocol" in body:
            _require_askable(transaction, edited)
        return noted(describe_study(transaction, edited), notes)


def _require_askable(transaction: sa.Connection, study: Study) -> None:
    require_askable(transaction, services().stores.current(transaction, study.dataset), study.terms.protocol)


@blueprint.route("/studies/<study>/members/<user>", methods=["PUT"])
@for_roles("admin")
@blueprint.response(200, replies.Study)
def add_member(study: str, user: str) -> Any:
    """Make a researcher a member of a study."""
    with services().database.write() as transaction:
        return describe_study(transaction, studies.add_member(transaction, study, user, actor()))


@blueprint.route("/studies/<study>/members/<user>", methods=["DELETE"])
@for_roles("admin")
@blueprint.response(200, replies.Study)
def remove_member(study: str, user: str) -> Any:
    """End a researcher's membership in a study."""
    with services().database.write() as transaction:
        return describe_study(transaction, studies.remove_member(transaction, study, user, actor()))


def _move(action: str) -> None:
    """Make the route of one change of state."""
    _, leads_to, roles = MOVES[action]

    @blueprint.route(f"/studies/<study>/{action}", methods=["POST"], endpoint=action)
    @for_roles(*roles)
    @blueprint.doc(summary=f"{action.capitalize()} a study; it is {leads_to} afterwards")
    @blueprint.arguments(ApprovalSchema if action == "approve" else ReasonSchema)
    @blueprint.response(200, replies.Study)
    def view(body: dict[str, Any], study: str) -> Any:
        read = {"without_advice": body.get("without_advice"), "read": body.get("seen")}
        with approval.deciding(services().database) as transaction:
            moved = studies.move(transaction, study, action, body["reason"], actor(), **read)
            return describe_study(transaction, moved)


for _action in MOVES:
    _move(_action)


@blueprint.route("/studies/<study>/advise", methods=["POST"])
@for_roles("dpo")
@blueprint.arguments(AdviceSchema)
@blueprint.response(200, replies.Study)
def advise(body: dict[str, Any], study: str) -> Any:
    """Advise on a draft, before an approver decides. An edit makes the advice void."""
    with approval.deciding(services().database) as transaction:
        advised = advising.advise(transaction, study, body["opinion"], body["reason"], actor(), read=body["seen"])
        return describe_study(transaction, advised)


@blueprint.route("/studies/<study>/budget")
@for_roles(*ROLES)
@blueprint.response(200, replies.StudyBudget)
def show_budget(study: str) -> Any:
    """Return a study's limits, what it spent, what is left, and what the rest buys."""
    with services().database.read() as transaction:
        return forecast.of_study(transaction, studies.visible(transaction, study, actor())).to_json()


@blueprint.route("/studies/<study>/changes")
@for_roles("admin", "approver", "dpo")
@blueprint.response(200, replies.Changes)
def show_changes(study: str) -> Any:
    """Return what of a study differs from what was approved last, field by field."""
    with services().database.read() as transaction:
        return changes.since_approval(transaction, studies.study(transaction, study))


@blueprint.route("/studies/<study>/budget", methods=["PUT"])
@for_roles("admin")
@blueprint.arguments(BudgetChangeSchema)
@blueprint.response(200, replies.Study)
def set_budget(body: dict[str, Any], study: str) -> Any:
    """Set a study's limits. In an approved study, a raise waits for an approver."""
    limits = body["epsilon_nano"], body["delta_atto"]
    further = {key: body[key] for key in ("laplace_percent", "justification")}
    with services().database.write() as transaction:
        changed = study_budgets.set_budget(transaction, study, *limits, body["reason"], actor(), **further)
        return noted(describe_study(transaction, changed), body["notes"])


@blueprint.route("/studies/<study>/budget/approve", methods=["POST"])
@for_roles("approver")
@blueprint.arguments(ApprovalSchema)
@blueprint.response(200, replies.Study)
def approve_budget(body: dict[str, Any], study: str) -> Any:
    """Approve a raise that waits. The user who proposed it cannot approve it."""
    read = {"without_advice": body["without_advice"], "read": body["seen"]}
    with approval.deciding(services().database) as transaction:
        raised = study_budgets.approve_budget(transaction, study, body["reason"], actor(), **read)
        return describe_study(transaction, raised)


@blueprint.route("/studies/<study>/budget/advise", methods=["POST"])
@for_roles("dpo")
@blueprint.arguments(AdviceSchema)
@blueprint.response(200, replies.Study)
def advise_on_budget(body: dict[str, Any], study: str) -> Any:
    """Advise on a raise that waits, before an approver decides."""
    with approval.deciding(services().database) as transaction:
        advised = advising.advise_on_raise(
            transaction, study, body["opinion"], body["reason"], actor(), read=body["seen"]
        )
        return describe_study(transaction, advised)
