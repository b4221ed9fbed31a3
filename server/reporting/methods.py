"""What was done to the data, as one file: method, parameters and quality of each answer.

Guidelines on health data ask that the anonymisation of results is documented (`criteria.toml` names them). This export
has what the import did to each column, the promise with its accounts, and for each release the question, the mechanism
of each column with its scale, what it cost, and how exact it is. It has no released number, no name and no row. Where
a protocol hides small cells, it does not count the numbers that drown either: hidden ones are among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.audit import history, log
from budgets.database import clock
from budgets.governance import dataset_terms, datasets, studies
from budgets.identity import people
from budgets.ledger import accounts
from queries.catalog.schema import describe
from queries.release import postprocessing
from server.errors import StoreUnavailable
from server.journey import hidden
from server.languages.language import ENGLISH
from server.reporting import criteria, guarantee

if TYPE_CHECKING:
    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.audit.history import Released
    from server.runtime.services import Services

FORMAT = "rowless-methods/1"
READERS = ("dpo", "admin", "approver")
FORM = "methods"  # as the log has it
STEPS = (
    "Rows of one identifier are one person. A row without an identifier is left out.",
    "Only columns that the manifest names are read.",
    "Each value becomes what its column declares. What does not fit is missing, or is cut to the bounds.",
    "Values are stored as whole numbers, in the order of persons.",
    "For each question the contribution of each person is limited to the bounds that the release names.",
    "Whole numbers are added up exactly. OpenDP adds noise of the mechanism and the scale that the release names.",
    "Groups that were not declared are named only if their number of persons, with noise, reaches the threshold.",
    "Releases stand here as drawn. What readers may choose (rounding, clamping, consistency) uses released numbers.",
    "With hide_below, numbers of smaller cells are not shown. They have noise too: hiding makes nothing more private.",
    "Columns marked professional tell of professionals. The guarantee is for one person of the dataset, not for them.",
)


def assemble(services: Services, actor: Actor, kind: str, name: str) -> dict[str, Any]:
    """Return the methods of a study or a dataset, and log that they were read. Raises NotFound, Forbidden."""
    people.require_role(actor, *READERS)
    of_study = kind == accounts.STUDY
    with services.database.write() as transaction:
        accounts.balance(transaction, kind, name)  # raises NotFound before anything is logged
        study = name if of_study else None
        summary = f"the methods of the {kind} {name} were read"
        log.append(transaction, actor, "report.read", f"{kind}:{name}", summary, study=study, facts={"form": FORM})
    with services.database.read() as transaction:
        dataset = studies.study(transaction, name).dataset if of_study else name
        where = {"study": name} if of_study else {"dataset": name}
        names = [name] if of_study else history.studies_on(transaction, name)
        below = {one: hidden.below(transaction, studies.study(transaction, one)) for one in names}
        released = [_release(one, below[str(one.study)]) for one in history.releases_of(transaction, **where)]
        profiles = [] if of_study else [_charged(one) for one in history.profiles_of(transaction, name)]
        return {
            "format": FORMAT,
            "made_at": clock.now(),
            "kind": kind,
            "name": name,
            "purposes": _purposes(transaction, names),
            "dataset": _dataset(services, transaction, dataset),
            "steps": list(STEPS),
            "guarantee": criteria.stated(ENGLISH, services.settings.identity_days)["guarantee"],
            "accounts": _accounts(transaction, kind, name, dataset),
            "releases": released,
            "profiles": profiles,
        }


def _purposes(transaction: sa.Connection, names: list[str]) -> list[dict[str, Any]]:
    found = [studies.study(transaction, one) for one in names]
    return [
        {
            "study": one.id,
            "title": one.terms.title,
            "purpose": one.terms.purpose,
            "legal_basis": one.terms.legal_basis,
            "state": one.state,
            "hide_below": one.terms.protocol.get("hide_below"),
            "professionals": one.terms.protocol.get("professionals", {}),
            "formalities": None if one.terms.formalities is None else one.terms.formalities.facts(),
        }
        for one in found
    ]


def _dataset(services: Services, transaction: sa.Connection, name: str) -> dict[str, Any]:
    """Return the public part of a dataset. Its tables are empty if its store was deleted."""
    present = dataset_terms.formalities_of(transaction, name)
    try:
        tables = describe(services.stores.edition(datasets.current(transaction, name)).dataset)["tables"]
    except StoreUnavailable:
        tables = {}
    return {
        "name": name,
        "title": datasets.title(transaction, name),
        "formalities": None if present is None else present.facts(),
        "editions": [{"edition": n, "imported_at": at} for n, at in history.editions_of(transaction, name)],
        "tables": tables,
    }


def _accounts(transaction: sa.Connection, kind: str, name: str, dataset: str) -> list[dict[str, Any]]:
    if kind == accounts.STUDY:
        return [guarantee.describe_account(one) for one in accounts.balances(transaction, name, dataset)]
    return [guarantee.describe_account(accounts.balance(transaction, kind, name))]


def _release(one: Released, must: int | None) -> dict[str, Any]:
    body, notes = one.body, one.body.get("notes", [])
    return {
        **_charged(one),
        "study": one.study,
        "question": body["sql"],
        "bounds": body.get("bounds", {}),
        "columns": body["columns"],
        "post": body.get("post", []),
        "notes": notes if must is None else postprocessing.without_warnings(notes),
    }


def _charged(one: Released) -> dict[str, Any]:
    return {"id": one.id, "edition": one.edition, "charged_at": one.charged_at, "cost": one.loss.to_json()}
