"""The public schemas of the datasets. All but researchers also see the budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.governance import datasets
from budgets.ledger import accounts
from queries.catalog.schema import describe
from server.admission.gates import Work
from server.api import replies
from server.api.requests.schemas import NewProfileSchema
from server.journey import profile
from server.views.study import noted
from server.web import admitting
from server.web.auth import ROLES, actor, for_roles, services
from server.web.bodies import Blueprint

if TYPE_CHECKING:
    import sqlalchemy as sa

blueprint: Any = Blueprint("datasets", __name__, description="The catalog")


@blueprint.route("/datasets")
@for_roles(*ROLES, beyond_a_study=True)
@blueprint.response(200, replies.page_of(replies.DatasetName))
def list_datasets() -> Any:
    """List the datasets."""
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
        shown = {**describe(store.dataset), "edition": store.edition.number}
        shown["profile"] = profile.shown(transaction, name, store.edition.number)
        if actor().role != "researcher":
            shown["budget"] = accounts.balance(transaction, accounts.DATASET, name).to_json()
    return shown


@blueprint.route("/datasets/<name>/profile", methods=["POST"])
@for_roles("admin", work=Work.QUERY)
@blueprint.arguments(NewProfileSchema)
@blueprint.response(201, replies.BoughtProfile)
def buy_profile(body: dict[str, Any], name: str) -> Any:
    """Buy a dataset's contribution profile from the dataset's budget. It is public. Repeating this is free."""
    with admitting.place():
        return noted(profile.buy(services(), actor(), name, body["epsilon_nano"]), body["notes"])


def _head(transaction: sa.Connection, name: str) -> dict[str, Any]:
    """Return a dataset for the list. One whose store is missing or damaged must not hide the others."""
    edition = datasets.current(transaction, name)
    return {
        "name": name,
        "title": datasets.title(transaction, name),
        "edition": edition.number,
        "state": "ready" if services().stores.opens(edition) else "unavailable",
    }
