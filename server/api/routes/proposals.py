"""Acts that need a second person: an admin proposes them, and a DPO or an approver confirms or refuses."""

from __future__ import annotations

from typing import Any

from budgets.governance import approval
from budgets.governance.roles import grants
from budgets.identity import tokens
from server.api import replies
from server.api.requests.schemas import ProposedActSchema
from server.web.auth import actor, for_roles, services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("proposals", __name__, description="Acts that need a second person")


@blueprint.route("/proposals")
@for_roles(*grants.SEE)
@blueprint.response(200, replies.page_of(replies.Proposal))
def list_proposals() -> Any:
    """List what waits for a second person, oldest first."""
    with services().database.read() as transaction:
        return {"items": grants.waiting(transaction), "next": None}


@blueprint.route("/proposals", methods=["POST"])
@for_roles("admin")
@blueprint.arguments(ProposedActSchema)
@blueprint.response(201, replies.NewProposal)
def propose(body: dict[str, Any]) -> Any:
    """Propose to add or remove a DPO or an approver, or a token for one, whose first part is shown only now."""
    scope = tokens.scope(
        body["days"], services().settings.identity_days, study=body["study"], reads_only=body["reads_only"]
    )
    with services().database.write() as transaction:
        made, first = grants.propose(transaction, body["act"], body["user"], body["role"], actor(), scope)
        return {**grants.shown(transaction, made), "token_part": first}


@blueprint.route("/proposals/<proposal>/confirm", methods=["POST"])
@for_roles(*grants.CONFIRMERS)
@blueprint.response(200, replies.ConfirmedProposal)
def confirm(proposal: str) -> Any:
    """Confirm what an admin proposed: it is done. The second part of a token is shown only now."""
    kept_days = services().settings.identity_days
    with approval.deciding(services().database) as transaction:
        done = grants.confirm(transaction, proposal, actor(), kept_days)
        return {**grants.shown(transaction, done.proposal), **done.token_json()}


@blueprint.route("/proposals/<proposal>", methods=["DELETE"])
@for_roles(*grants.SEE)
@blueprint.response(204)
def withdraw(proposal: str) -> Any:
    """Withdraw or refuse a proposal."""
    with services().database.write() as transaction:
        grants.withdraw(transaction, proposal, actor())
