"""The public schemas of the datasets. All but researchers also see the budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.governance import approval, dataset_terms, datasets
from budgets.ledger import accounts
from queries.catalog.schema import describe
from server.admission.gates import Work
from server.api import replies
from server.api.requests.lookup import CodesSchema
from server.api.requests.schemas import AdviceSchema, ApprovalSchema, NewDatasetTermsSchema, NewProfileSchema
from server.journey import profile
from server.runtime.stores import in_force
from server.views import lookup
from server.views.dataset import describe_dataset
from server.views.study import noted
from server.web import admitting
from server.web.auth import ROLES, actor, for_roles, services
from server.web.bodies import Blueprint

if TYPE_CHECKING:
    import sqlalchemy as sa

    from budgets.governance.datasets import Edition

blueprint: Any = Blueprint("datasets", __name__, description="The catalog")


@blueprint.route("/datasets")
@for_roles(*ROLES, beyond_a_study=True)
@blueprint.response(200, replies.page_of(replies.DatasetName))
def list_datasets() -> Any:
    """List the datasets: to all but researchers with what was approved of each and what waits."""
    with services().database.read() as transaction:
        found = [_head(transaction, name) for name in datasets.names(transaction)]
    return {"items": found, "next": None}


@blueprint.route("/datasets/<name>")
@for_roles(*ROLES, beyond_a_study=True)
@blueprint.response(200, replies.Dataset)
def show_dataset(name: str) -> Any:
    """Return a dataset's tables, columns, categories and bounds, and its contribution profile if it has one."""
    with services().database.read() as transaction:
        store = services().stores.current(transaction, name)
        shown = {**describe(in_force(transaction, store)), "edition": store.edition.number}
        shown["profile"] = profile.shown(transaction, name, store.edition.number)
        if actor().role != "researcher":
            shown["budget"] = accounts.balance(transaction, accounts.DATASET, name).to_json()
            shown["terms"] = dataset_terms.describe(transaction, name)
    return shown


@blueprint.route("/datasets/<name>/codes")
@for_roles(*ROLES, beyond_a_study=True)
@blueprint.arguments(CodesSchema, location="query")
@blueprint.response(200, replies.FoundCodes)
def find_codes(asked: dict[str, Any], name: str) -> Any:
    """Find codes by their names: in the catalog's values, labels, hierarchies and vocabularies, and never in data."""
    with services().database.read() as transaction:
        store = services().stores.current(transaction, name)
    return lookup.search(
        store.dataset, f"{name}/{store.edition.folder}", asked["search"], asked["column"], asked["limit"]
    )


@blueprint.route("/datasets/<name>/profile", methods=["POST"])
@for_roles("admin", work=Work.QUERY)
@blueprint.arguments(NewProfileSchema)
@blueprint.response(201, replies.BoughtProfile)
def buy_profile(body: dict[str, Any], name: str) -> Any:
    """Buy a dataset's contribution profile from the dataset's budget, as approved. It is public. Repeating is free."""
    with admitting.place():
        return noted(profile.buy(services(), actor(), name, body["epsilon_nano"]), body["notes"])


@blueprint.route("/datasets/<name>/propose", methods=["POST"])
@for_roles("admin")
@blueprint.arguments(NewDatasetTermsSchema)
@blueprint.response(200, replies.DecidedDataset)
def propose_terms(body: dict[str, Any], name: str) -> Any:
    """Propose another cap for a dataset, a further profile, or other formalities. It waits for an approver."""
    wanted = body["epsilon_nano"], body["delta_atto"], body["profile_nano"], body["reason"]
    further = {key: body[key] for key in ("laplace_percent", "justification")}
    with services().database.write() as transaction:
        dataset_terms.propose(transaction, name, *wanted, actor(), named=body["formalities"], **further)
        return noted(describe_dataset(transaction, name), body["notes"])


@blueprint.route("/datasets/<name>/advise", methods=["POST"])
@for_roles("dpo")
@blueprint.arguments(AdviceSchema)
@blueprint.response(200, replies.DecidedDataset)
def advise_on_terms(body: dict[str, Any], name: str) -> Any:
    """Advise on the cap and the profile that wait, before an approver decides. Another proposal makes it void."""
    with approval.deciding(services().database) as transaction:
        dataset_terms.advise(transaction, name, body["opinion"], body["reason"], actor(), read=body["seen"])
        return describe_dataset(transaction, name)


@blueprint.route("/datasets/<name>/approve", methods=["POST"])
@for_roles("approver")
@blueprint.arguments(ApprovalSchema)
@blueprint.response(200, replies.DecidedDataset)
def approve_terms(body: dict[str, Any], name: str) -> Any:
    """Approve the cap and the profile that wait. Who imported or proposed them cannot."""
    with approval.deciding(services().database) as transaction:
        read = {"without_advice": body["without_advice"], "read": body["seen"]}
        dataset_terms.approve(transaction, name, body["reason"], actor(), **read)
        return describe_dataset(transaction, name)


def _head(transaction: sa.Connection, name: str) -> dict[str, Any]:
    """Return a dataset for the list. One whose store is missing or damaged must not hide the others."""
    edition = datasets.current(transaction, name)
    head = {
        "name": name,
        "title": datasets.title(transaction, name),
        "edition": edition.number,
        "state": _state(transaction, edition),
    }
    return head if actor().role == "researcher" else {**head, "terms": dataset_terms.describe(transaction, name)}


def _state(transaction: sa.Connection, edition: Edition) -> str:
    if not services().stores.opens(edition):
        return "unavailable"
    return "ready" if accounts.is_approved(transaction, edition.dataset) else "waiting"
