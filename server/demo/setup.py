"""What a demonstration's home holds: datasets, four users with their tokens, and a study of each dataset.

The usual demonstration has two datasets (`usual`), and `omop.py` has a third. A home may have all. The admin imports,
the DPO advises, the approver approves, and then the admin buys each dataset's contribution profile.

A run that was stopped halfway is continued by the next one: only what is missing is made.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budgets.amounts import epsilon_nano
from budgets.errors import NotFound
from budgets.governance import advising, dataset_terms, datasets, studies
from budgets.governance.roles import grants
from budgets.governance.roles.founding import Founders
from budgets.governance.study import Terms
from budgets.identity import people
from budgets.identity import tokens as access
from queries.catalog.manifest import read_manifest
from server.demo import formal
from server.demo.observatory import Shape, write_observatory
from server.errors import ServerError
from server.journey.importing import import_dataset
from server.journey.profile import buy
from server.runtime.services import create_home, open_services

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import sqlalchemy as sa

    from budgets.actors import Actor
    from queries.catalog.manifest import Manifest
    from server.runtime.services import Services
    from server.runtime.settings import Settings

# Real data of a health insurance experiment; data/ORIGIN.md describes them.
MANIFEST = Path(__file__).parent / "data" / "rand-hie.toml"
STUDY = "cost-sharing"
TERMS = Terms(
    title="Cost sharing and doctor visits",
    purpose="Show whether people who pay a larger share of the bill see a doctor less often",
    legal_basis="Public data, for demonstration",
    formalities=formal.COST_SHARING,
)
# Made-up data, larger and with several tables and dates, for care pathways.
OBSERVATORY = Shape(persons=20_000, practices=100, diagnoses=100, drugs=100)
PATHWAYS = "pathways"
PATHWAYS_TERMS = Terms(
    title="From a diagnosis to a treatment",
    purpose="Show how many go from a diagnosis to a drug, and how long it takes",
    legal_basis="Made-up data, for demonstration",
    formalities=formal.PATHWAYS,
)
EPSILON = "1"  # of each study
TOKENS = "demo-tokens.json"  # a home has this file once a demonstration has made it
USERS = {"researcher": "ada", "approver": "vera", "dpo": "dora", "admin": "admin"}


class NoData(ServerError):
    """A file of the demonstration's data is missing, or is not what it should be."""


@dataclass(frozen=True)
class Part:
    """A dataset of a demonstration, how it is imported, and its study. `present` is said if it was imported before."""

    dataset: str
    bring: Callable[[Services, Actor, Callable[[str], None]], None]
    study: str
    terms: Terms
    present: str | None = None


def _sound(_settings: Settings) -> None:
    """Check nothing: our own data can be imported."""


@dataclass(frozen=True)
class Demonstration:
    """What is set up, and what is asked then, of the first part's study: in words, and as the body of a query.

    `check` runs before a new home is made. It raises what an import of the data would raise.
    """

    parts: tuple[Part, ...]
    question: str
    ask: Mapping[str, Any]
    check: Callable[[Settings], None] = _sound


def usual(manifest: Path) -> tuple[Part, ...]:
    """Return the usual datasets, of which the first is read from a manifest. Raises NoData."""
    declared = read_data(manifest)
    return (
        Part(declared.dataset.name, partial(_import_real, declared), STUDY, TERMS),
        Part("observatory", _import_observatory, PATHWAYS, PATHWAYS_TERMS),
    )


def read_data(manifest: Path) -> Manifest:
    """Read the manifest of the demonstration's data, and check that its sources are there. Raises NoData."""
    _require(manifest)
    declared = read_manifest(manifest)
    for source in filter(None, (declared.persons, *declared.events.values())):
        for path in source.paths:
            _require(path)
    return declared


def _require(file: Path) -> None:
    if not file.is_file():
        raise NoData(
            f"the demonstration needs {file}, which is missing. Rowless brings its data along: install it again, or "
            "name the manifest of a copy with --manifest. Nothing was made"
        )


def set_up(settings: Settings, parts: Sequence[Part], tell: Callable[[str], None]) -> dict[str, str]:
    """Make the home, the data, the users and the studies where they are missing. Return the tokens by role."""
    made = create_home(settings, Founders(USERS["dpo"], USERS["approver"], USERS["admin"]))
    if made.tokens:
        tell(f"Made a home in {settings.home}")
    services = open_services(settings)
    try:
        tokens = _add_users(services, settings.home / TOKENS, made.tokens)
        with services.database.read() as transaction:
            admin = people.user(transaction, USERS["admin"])
            known = datasets.names(transaction)
        for part in parts:
            if part.dataset not in known:
                part.bring(services, admin, tell)
            elif part.present is not None:
                tell(part.present)
        for part in parts:
            _approve(services, part.dataset, tell)
        with services.database.write() as transaction:
            studying = _Studying(transaction, admin, tell)
            for part in parts:
                studying.open(part.study, part.dataset, part.terms)
    finally:
        services.close()
    return tokens


def _add_users(services: Services, file: Path, made: Mapping[str, str]) -> dict[str, str]:
    """Add the users that are missing, and keep a token of each in a file. Return the tokens by role."""
    tokens = {**_read_tokens(file), **made}
    with services.database.write() as transaction:
        for role in ("admin", "dpo", "approver", "researcher"):
            # A token of another ledger, or one that was revoked or has expired, gives no access: it is replaced.
            found = access.authenticate(transaction, tokens.get(role, ""))
            if found is None or found.actor.name != USERS[role]:
                tokens[role] = _token(transaction, role, services.settings.identity_days)
    _write_tokens(file, tokens)
    return tokens


def _token(transaction: sa.Connection, role: str, kept_days: int) -> str:
    """Return a new token of a user, and add the user if it is missing. It may take two persons, as it always does."""
    name, admin = USERS[role], people.user(transaction, USERS["admin"])
    try:
        people.user(transaction, name)
        act = grants.TOKEN
    except NotFound:
        act = grants.ADD
    if role in people.PRIVILEGED:
        other = people.user(transaction, USERS["dpo" if role == "approver" else "approver"])
        wanted, first = grants.propose(transaction, act, name, role, admin)
        return f"{first}{grants.confirm(transaction, wanted.id, other, kept_days).part}"
    if act == grants.ADD:
        people.add_user(transaction, name, role, admin)
    return people.new_token(transaction, name, admin).text


def _read_tokens(file: Path) -> dict[str, str]:
    """Return the tokens by role that an earlier run wrote; none where its file is missing or broken."""
    try:
        read = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {role: text for role, text in read.items() if isinstance(text, str)} if isinstance(read, dict) else {}


def _write_tokens(file: Path, tokens: dict[str, str]) -> None:
    """Replace the file in one step: a run that is stopped here leaves the old file whole."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(json.dumps(tokens))
    new.replace(file)


def _import_real(declared: Manifest, services: Services, admin: Actor, tell: Callable[[str], None]) -> None:
    imported = import_dataset(services, declared, admin, silent)
    report = imported.report
    tell(f"Imported {declared.dataset.name}: {report.persons:,} persons, {report.tables['years'].kept:,} person-years")


def _import_observatory(services: Services, admin: Actor, tell: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(dir=services.settings.home) as folder:
        written = write_observatory(Path(folder), OBSERVATORY)
        declared = replace(read_manifest(written.manifest), path=None)  # its files are deleted below
        import_dataset(services, declared, admin, silent)
    events = written.consultations + written.prescriptions
    tell(f"Imported observatory: {written.persons:,} made-up persons, {events:,} events")


def _approve(services: Services, name: str, tell: Callable[[str], None]) -> None:
    """Have what waits of a dataset approved, and buy the profile that was approved, unless it was bought before."""
    with services.database.write() as transaction:
        admin, dpo, approver = (people.user(transaction, USERS[role]) for role in ("admin", "dpo", "approver"))
        if dataset_terms.standing(transaction, name).waiting is not None:
            dataset_terms.advise(transaction, name, "favourable", "public or made-up data", dpo)
            dataset_terms.approve(transaction, name, "a demonstration on public data", approver)
            tell(f"The DPO advised on the cap of {name} and on its contribution profile; the approver approved them")
        left = dataset_terms.standing(transaction, name).profile_left_nano
    if left:
        epsilon = buy(services, admin, name, left)["profile"]["cost"]["epsilon"]
        tell(f"  the profile was bought for epsilon {epsilon:g} of the cap; it is public")


def silent(_what: str, _done: float) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class _Studying:
    """Opens studies that are missing, as an admin, lets the DPO advise on them, and approves them as the approver."""

    transaction: sa.Connection
    admin: Actor
    tell: Callable[[str], None]

    def open(self, name: str, dataset: str, terms: Terms) -> None:
        """Open one study, unless it is there."""
        try:
            studies.study(self.transaction, name)
        except NotFound:
            limit = epsilon_nano(float(EPSILON))
            studies.open_study(self.transaction, name, dataset, terms, limit, None, self.admin)
            studies.add_member(self.transaction, name, USERS["researcher"], self.admin)
            approver, dpo = (people.user(self.transaction, USERS[role]) for role in ("approver", "dpo"))
            advising.advise(self.transaction, name, "favourable", "public or made-up data", dpo)
            studies.move(self.transaction, name, "approve", "a demonstration on public data", approver)
            self.tell(
                f"Opened the study {name} with a budget of epsilon {EPSILON}; the DPO advised, the approver approved it"
            )
