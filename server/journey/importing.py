"""An import as the custodian sees it: the next edition of a dataset, and what becomes of its contribution profile.

The first import proposes a profile together with the cap, and buys none: an approver decides on both
(`budgets/governance/dataset_terms.py`), and then `rowless profile` buys it. Once a dataset is approved, an import buys
a profile only if its manifest names an epsilon that is within what was approved, and the dataset was never charged for
one. Later editions use the same profile, so nothing is spent again without a command. The edition stays whatever
becomes of the profile. If the import dies in between, `rowless profile` buys one or resumes the charge that was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgets import amounts
from budgets.errors import BudgetsError
from budgets.governance import dataset_terms
from budgets.identity import people
from budgets.ledger import accounts, profiles
from queries.catalog.manifest import PROFILE, PROFILE_PART
from queries.errors import QueriesError
from server.errors import QueryFailed, ServerError
from server.journey.profile import buy
from server.runtime import stores

if TYPE_CHECKING:
    from budgets.actors import Actor
    from budgets.governance.datasets import Edition
    from queries.catalog.manifest import Manifest
    from queries.store.ingest import Progress
    from queries.store.reports import ImportReport
    from server.runtime.services import Services


@dataclass(frozen=True)
class Profiled:
    """Whether an import bought a profile, and why, in words. `cost` and `edition` are of the profile in use."""

    bought: bool
    words: str
    cost: dict[str, Any] | None = None
    edition: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"bought": self.bought, "cost": self.cost, "edition": self.edition, "words": self.words}


@dataclass(frozen=True)
class Imported:
    """An edition, its profile, and what the import lost (for the admin alone).

    `lack` is what its formalities lack, so that nothing can be approved, or None.
    """

    edition: Edition
    report: ImportReport
    profile: Profiled
    lack: str | None


def import_dataset(
    services: Services, manifest: Manifest, by: Actor, progress: Progress, *, accept_losses: bool = False
) -> Imported:
    """Import a dataset's sources as its next edition, and buy its profile if it should have one.

    If the import of the sources does not finish, nothing changes. Raises Forbidden before anything is built, what
    `stores.import_manifest` raises, and Invalid for a wrong epsilon or formality. Errors of the profile are not raised,
    because the edition stays without it.
    """
    people.require_role(by, "admin")
    epsilon_nano = None if manifest.profile is None else amounts.epsilon_nano(manifest.profile, "dataset.profile")
    against = _against_any(manifest)
    proposed = 0 if epsilon_nano is None or against is not None else epsilon_nano
    edition, report = stores.import_manifest(
        services.settings,
        services.database,
        manifest,
        by,
        progress,
        accept_losses=accept_losses,
        profile_nano=proposed,
    )
    profile = _profile_of(services, by, manifest, edition, epsilon_nano)
    with services.database.read() as transaction:
        lack = dataset_terms.describe(transaction, edition.dataset)["lack"]
    return Imported(edition, report, profile, lack)


def _profile_of(
    services: Services, by: Actor, manifest: Manifest, edition: Edition, epsilon_nano: int | None
) -> Profiled:
    """Buy the profile that a dataset should have, or return why not. `epsilon_nano` is that of the manifest."""
    with services.database.read() as transaction:
        present = profiles.in_use(transaction, edition.dataset, edition.number)
        charged = profiles.ever_charged(transaction, edition.dataset)
        waits = not accounts.is_approved(transaction, edition.dataset)
    if present:
        cost, of = present[0].body["cost"], present[0].question.edition
        words = f"the profile of edition {of} (epsilon {cost['epsilon']:g}) stays in use; nothing was spent again"
        return Profiled(bought=False, words=words, cost=cost, edition=of)
    reason = _against_any(manifest) or (None if waits else _against_now(manifest, edition, charged=charged))
    if reason is not None or epsilon_nano is None:
        return Profiled(bought=False, words=f"none, because {reason}")
    if waits:
        words = (
            f"one of epsilon {manifest.profile} waits for an approver, together with the cap; once it is approved, "
            f"`rowless profile {edition.dataset}` buys it"
        )
        return Profiled(bought=False, words=words)
    return _buy(services, by, edition.dataset, epsilon_nano, manifest)


def _against_any(manifest: Manifest) -> str | None:
    """Return why a manifest proposes no profile, or None if it does."""
    dataset, cap = manifest.dataset.name, manifest.dataset.epsilon
    if manifest.profile is None:
        return f"the manifest asks for none: what bounds cut off is unknown; {_later(dataset)}"
    if not manifest.profile_asked and cap < PROFILE * PROFILE_PART:
        return f"epsilon {PROFILE} is more than a quarter of the cap, {cap}; the manifest can name one"
    return None


def _against_now(manifest: Manifest, edition: Edition, *, charged: bool) -> str | None:
    """Return why an approved dataset without a profile gets none from this import, or None if it should get one."""
    if charged:
        return f"one was charged and never finished; {_later(edition.dataset)}"
    if not manifest.profile_asked:
        return f"none was bought with the first edition; {_later(edition.dataset)}"
    return None


def _buy(services: Services, by: Actor, dataset: str, epsilon_nano: int, manifest: Manifest) -> Profiled:
    try:
        made = buy(services, by, dataset, epsilon_nano)
    except QueryFailed:
        again = f"`rowless profile {dataset} --epsilon {manifest.profile}`"
        return Profiled(bought=False, words=f"it failed after it was charged; {again} resumes it for free")
    except (BudgetsError, QueriesError, ServerError) as refusal:
        return Profiled(bought=False, words=f"none was bought: {refusal}; {_later(dataset)}")
    cost = made["profile"]["cost"]
    words = f"bought for epsilon {cost['epsilon']:g} of the dataset's cap; it is public, and serves later editions too"
    return Profiled(bought=True, words=words, cost=cost, edition=made["edition"])


def _later(dataset: str) -> str:
    return f"`rowless profile {dataset} --epsilon {PROFILE}` buys one"
