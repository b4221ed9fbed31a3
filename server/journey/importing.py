"""An import as the custodian sees it: the next edition of a dataset, and with the first a contribution profile.

The edition comes first and stands whatever becomes of the profile. The profile is charged as any other
(`profile.py`): once. It is bought where the dataset never had one charged, with its first edition or where the
manifest names its epsilon, so that nothing is spent again by itself; later editions go on with it. If the import dies
in between, the edition is there without a profile, and `rowless profile` buys one, or resumes the charge that was made.
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
    """What an import did about the profile: what was `bought`, or why not, in words; `cost` is what is in use."""

    bought: bool
    words: str
    cost: dict[str, Any] | None = None
    edition: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"bought": self.bought, "cost": self.cost, "edition": self.edition, "words": self.words}


@dataclass(frozen=True)
class Imported:
    """An edition, what was lost on the way (for the admin alone), and its profile."""

    edition: Edition
    report: ImportReport
    profile: Profiled


def import_dataset(
    services: Services, manifest: Manifest, by: Actor, progress: Progress, *, accept_losses: bool = False
) -> Imported:
    """Import a dataset's sources as its next edition and see to its profile.

    Nothing changes unless the import of the sources finishes. Raises what `stores.import_manifest` does, and Invalid of
    an epsilon; nothing that the profile meets, for the edition stands without it.
    """
    epsilon_nano = None if manifest.profile is None else amounts.epsilon_nano(manifest.profile, "dataset.profile")
    edition, report = stores.import_manifest(
        services.settings, services.database, manifest, by, progress, accept_losses=accept_losses
    )
    return Imported(edition, report, _see_to_profile(services, by, manifest, edition, epsilon_nano))


def _see_to_profile(
    services: Services, by: Actor, manifest: Manifest, edition: Edition, epsilon_nano: int | None
) -> Profiled:
    """Buy the profile that a dataset is to have, or say why not."""
    name = edition.dataset
    later = f"`rowless profile {name} --epsilon {PROFILE}` buys one"
    with services.database.read() as transaction:
        present = profiles.in_use(transaction, name, edition.number)
        charged = profiles.ever_charged(transaction, name)
    if present:
        cost, of = present[0].body["cost"], present[0].subject.edition
        words = f"it goes on with that of edition {of}, of epsilon {cost['epsilon']:g}; nothing was spent again"
        return Profiled(bought=False, words=words, cost=cost, edition=of)
    if epsilon_nano is None:
        return Profiled(bought=False, words=f"none, as the manifest says: what bounds cut off is unknown; {later}")
    if charged:
        return Profiled(bought=False, words=f"none: one was charged and never finished; {later}")
    if not manifest.profile_asked and edition.number > FIRST:
        return Profiled(bought=False, words=f"none was bought with the first edition; {later}")
    cap = manifest.dataset.epsilon
    if not manifest.profile_asked and cap < PROFILE * PROFILE_PART:
        words = f"none: epsilon {PROFILE} would be more than a quarter of the cap, {cap}; name one in the manifest"
        return Profiled(bought=False, words=words)
    try:
        made = buy(services, by, name, epsilon_nano)
    except QueryFailed:
        words = (
            f"it failed after it was charged; `rowless profile {name} --epsilon {manifest.profile}` resumes it, free"
        )
        return Profiled(bought=False, words=words)
    except (BudgetsError, QueriesError, ServerError) as refusal:
        return Profiled(bought=False, words=f"none was bought: {refusal}; {later}")
    cost = made["profile"]["cost"]
    words = f"bought for epsilon {cost['epsilon']:g} of the dataset's cap; it is public, and serves later editions too"
    return Profiled(bought=True, words=words, cost=cost, edition=made["edition"])
