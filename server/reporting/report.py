"""A report as JSON values, from the ledger and the log alone: nothing here reads the data.

Each reading of a report is an entry of the log. The entry is written first, so the state of the log that the report
names includes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.audit import history, log, signing
from budgets.database import clock
from budgets.governance import conclusions, dataset_terms, datasets, studies
from budgets.identity import people
from budgets.ledger import accounts
from server.errors import StoreUnavailable
from server.languages.language import ENGLISH, language
from server.reporting import criteria, guarantee, publishing, regulator
from server.views.study import describe_conclusion, describe_study

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.audit.history import Act, Released
    from queries.catalog.schema import Dataset
    from server.runtime.services import Services

READERS = ("dpo", "admin", "approver")
STUDY, DATASET = accounts.STUDY, accounts.DATASET
SHOWN_MAX = 10_000  # of releases are listed; the count includes all


def assemble(
    services: Services, actor: Actor, kind: str, name: str, form: str, *, version: str = publishing.FULL
) -> dict[str, Any]:
    """Return the report of a study or a dataset, and log that it was read as `form`. Raises NotFound, Forbidden.

    `version` is full, or public: to publish.
    """
    people.require_role(actor, *READERS)
    study = name if kind == STUDY else None
    with services.database.write() as transaction:
        # Raises NotFound before anything is logged.
        accounts.balance(transaction, kind, name)
        summary = f"the report of the {kind} {name} was read"
        log.append(transaction, actor, "report.read", f"{kind}:{name}", summary, study=study, facts={"form": form})
    with services.database.read() as transaction:
        document = _of_study(services, transaction, name) if kind == STUDY else _of_dataset(services, transaction, name)
    # Signed now, after everything in the report: the checkpoint covers the report, and perhaps later entries.
    signed = signing.sign(services.database, services.settings.key_path)
    document["log"] = {**document["log"], "checkpoint": signed}
    english = language(ENGLISH)
    whole = {
        **document,
        "version": publishing.FULL,
        "identity_days": services.settings.identity_days,
        "criteria": criteria.stated(ENGLISH, services.settings.identity_days),
        "left_out": regulator.left_out(english),
        "regulation": regulator.facts(document, english),
    }
    return publishing.without_persons(whole) if version == publishing.PUBLIC else whole


def _of_study(services: Services, transaction: sa.Connection, name: str) -> dict[str, Any]:
    present = studies.study(transaction, name)
    own, shared = accounts.balances(transaction, name, present.dataset)
    return {
        **_head(transaction, STUDY, name, present.terms.title),
        "study": describe_study(transaction, present),
        "studies": [_of_several(transaction, name)],
        "dataset": _dataset(services, transaction, present.dataset),
        "digest": conclusions.digest(conclusions.about(transaction, present)),
        "history": [_act(act) for act in history.acts_of_study(transaction, name)],
        "accounts": [guarantee.describe_account(own), guarantee.describe_account(shared)],
        "releases": _releases(
            history.releases_of(transaction, study=name), [], history.unanswered(transaction, study=name)
        ),
    }


def _of_dataset(services: Services, transaction: sa.Connection, name: str) -> dict[str, Any]:
    described = _dataset(services, transaction, name)
    return {
        **_head(transaction, DATASET, name, described["title"]),
        "study": None,
        "studies": [_of_several(transaction, one) for one in history.studies_on(transaction, name)],
        "dataset": described,
        "digest": None,
        "history": [_act(act) for act in history.acts_of_dataset(transaction, name)],
        "accounts": [guarantee.describe_account(accounts.balance(transaction, DATASET, name))],
        "releases": _releases(
            history.releases_of(transaction, dataset=name),
            history.profiles_of(transaction, name),
            history.unanswered(transaction, dataset=name),
        ),
    }


def _head(transaction: sa.Connection, kind: str, name: str, title: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "title": title,
        "made_at": clock.now(),
        "log": history.covering(transaction).to_json(),
    }


def _of_several(transaction: sa.Connection, name: str) -> dict[str, Any]:
    present = studies.study(transaction, name)
    balance = accounts.balance(transaction, STUDY, name)
    return {
        "id": name,
        "title": present.terms.title,
        "purpose": present.terms.purpose,
        "legal_basis": present.terms.legal_basis,
        "state": present.state,
        "members": list(present.members),
        "recipients": [one.to_json() for one in history.memberships(transaction, name, present.members)],
        "limit": {"epsilon": balance.to_json()["epsilon"], "delta": balance.to_json()["delta"]},
        "spent": balance.used.to_json(),
        "hide_below": present.terms.protocol.get("hide_below"),
        "professionals": present.terms.protocol.get("professionals", {}),
        "conclusion": describe_conclusion(transaction, present),
    }


def _dataset(services: Services, transaction: sa.Connection, name: str) -> dict[str, Any]:
    catalog = _catalog(services, transaction, name)
    tables = {} if catalog is None else catalog.tables
    present = dataset_terms.formalities_of(transaction, name)
    return {
        "name": name,
        "formalities": None if present is None else present.facts(),
        "title": history.title_of(transaction, name),
        "persons_max": None if catalog is None else catalog.persons_max,
        "editions": [{"edition": n, "imported_at": at} for n, at in history.editions_of(transaction, name)],
        "tables": [
            {
                "name": table.name,
                "title": table.title,
                "columns": list(table.columns),
                "professionals": [name for name, column in table.columns.items() if column.professional],
            }
            for table in tables.values()
        ],
    }


def _catalog(services: Services, transaction: sa.Connection, name: str) -> Dataset | None:
    """Return the public schema; None if the store cannot be opened, because the report is still available then."""
    edition = datasets.current(transaction, name)
    try:
        return services.stores.edition(edition).dataset
    except StoreUnavailable:
        return None


def _act(act: Act) -> dict[str, Any]:
    limits = None if act.limits is None else act.limits.to_json()
    return {
        "index": act.index,
        "time": act.time,
        "action": act.action,
        "approval": act.action in history.APPROVALS,
        "study": act.study,
        "name": act.name,
        "role": act.role,
        "summary": act.summary,
        "reason": act.reason,
        "member": act.member,
        "limit": None if limits is None else {"epsilon": limits["epsilon"], "delta": limits["delta"]},
    }


def _releases(found: Iterable[Released], profiles: list[Released], unanswered: int) -> dict[str, Any]:
    shown: list[dict[str, Any]] = []
    count = naming = 0
    last = None
    for count, one in enumerate(found, start=1):
        last = one.charged_at
        naming += any("threshold" in column for column in one.body["columns"])
        if count <= SHOWN_MAX:
            shown.append(_release(one))
    return {
        "count": count,
        "unanswered": unanswered,
        "first": shown[0]["charged_at"] if shown else None,
        "last": last,
        "naming": naming,
        "shown": shown,
        "profiles": [_charged(one) for one in profiles],
    }


def _release(one: Released) -> dict[str, Any]:
    return {**_charged(one), "study": one.study, "sql": one.body["sql"], "mechanisms": _mechanisms(one)}


def _charged(one: Released) -> dict[str, Any]:
    return {"id": one.id, "edition": one.edition, "charged_at": one.charged_at, "cost": one.loss.to_json()}


def _mechanisms(one: Released) -> list[str]:
    """Return the different mechanisms of a release, in the order of its columns."""
    named = [column["mechanism"] for column in one.body["columns"] if "mechanism" in column]
    return list(dict.fromkeys(named))
