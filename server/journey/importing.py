"""An import as the custodian sees it: the next edition of a dataset, with a contribution profile for the first.

The edition comes first, and it stays even if the profile fails. The profile is charged once, like any other
(`profile.py`). It is bought if the dataset was never charged for one, and either this is its first edition or the
manifest names an epsilon. Later editions use the same profile, so nothing is spent again without a command. If the
import dies in between, the edition has no profile, and `rowless profile` buys one or resumes the charge that was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgets import amounts
from budgets.errors import BudgetsError
from budgets.ledger import profiles
from queries.catalog.manifest import PROFILE, PROFILE_PART
from queries.errors import QueriesError
from server.errors import QueryFailed, ServerError
from server.journey.profile import buy
from server.runtime import stores

if TYPE_CHECKING:
    from budgets.actors import Actor
    from budgets.governance.datasets import Edition
    from queries.catalog.manifest import Manifest
    from queries.store.ingest import ImportReport, Progress
    from server.runtime.services import Services

FIRST = 1


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
    """An edition, its profile, and what the import lost (for the admin alone)."""

    edition: Edition
    report: ImportReport
    profile: Profiled


def import_dataset(
    services: Services, manifest: Manifest, by: Actor, progress: Progress, *, accept_losses: bool = False
) -> Imported:
    """Import a dataset's sources as its next edition, and buy its profile if it should have one.

    If the import of the sources does not finish, nothing changes. Raises what `stores.import_manifest` raises, and
    Invalid for a wrong epsilon. Errors of the profile are not raised, because the edition stays without it.
    """
    epsilon_nano = None if manifest.profile is None else amounts.epsilon_nano(manifest.profile, "dataset.profile")
    edition, report = stores.import_manifest(
        services.settings, services.database, manifest, by, progress, accept_losses=accept_losses
    )
    return Imported(edition, report, _profile_of(services, by, manifest, edition, epsilon_nano))


def _profile_of(
    services: Services, by: Actor, manifest: Manifest, edition: Edition, epsilon_nano: int | None
) -> Profiled:
    """Buy the profile that a dataset should have, or return why not."""
    name = edition.dataset
    later = f"`rowless profile {name} --epsilon {PROFILE}` buys one"
    with services.database.read() as transaction:
        present = profiles.in_use(transaction, name, edition.number)
        charged = profiles.ever_charged(transaction, name)
    if present:
        cost, of = present[0].body["cost"], present[0].question.edition
        words = f"the profile of edition {of} (epsilon {cost['epsilon']:g}) stays in use; nothing was spent again"
        return Profiled(bought=False, words=words, cost=cost, edition=of)
    if epsilon_nano is None:
        return Profiled(
            bought=False, words=f"none, because the manifest asks for none: what bounds cut off is unknown; {later}"
        )
    if charged:
        return Profiled(bought=False, words=f"none, because one was charged and never finished; {later}")
    if not manifest.profile_asked and edition.number > FIRST:
        return Profiled(bought=False, words=f"none, because none was bought with the first edition; {later}")
    cap = manifest.dataset.epsilon
    if not manifest.profile_asked and cap < PROFILE * PROFILE_PART:
        words = f"none, because epsilon {PROFILE} is more than a quarter of the cap, {cap}; the manifest can name one"
        return Profiled(bought=False, words=words)
    try:
        made = buy(services, by, name, epsilon_nano)
    except QueryFailed:
        words = (
            f"it failed after it was charged; `rowless profile {name} --epsilon {manifest.profile}` resumes it for free"
        )
        return Profiled(bought=False, words=words)
    except (BudgetsError, QueriesError, ServerError) as refusal:
        return Profiled(bought=False, words=f"none was bought: {refusal}; {later}")
    cost = made["profile"]["cost"]
    words = f"bought for epsilon {cost['epsilon']:g} of the dataset's cap; it is public, and serves later editions too"
    return Profiled(bought=True, words=words, cost=cost, edition=made["edition"])
