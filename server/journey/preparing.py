"""Steps 2 and 3 of a query's journey (`answer.py`): check that it may be asked, and plan it.

Both steps read only the request and public metadata, so a refusal reveals nothing and costs nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from budgets.errors import Forbidden, Invalid
from budgets.governance import datasets, studies
from budgets.ledger import releases
from budgets.ledger.charges import Question
from budgets.loss import Loss, epsilon_text
from queries.binding import dates
from queries.catalog import least_charge
from queries.catalog.schema import BOTH, allowed_noise
from queries.errors import InvalidQuery, OutsideProtocol
from queries.language import code_lists, nodes, references, size
from queries.language.showing import NOTHING, Show
from queries.language.templates import Template
from queries.planning import fingerprint, planner, policy
from queries.release import showing
from queries.spelling import sql
from server.admission.gate import stays
from server.runtime.stores import catalogs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.governance.study import Study
    from queries.catalog.schema import Dataset
    from queries.plan import Plan
    from queries.planning.policy import Protocol
    from server.runtime.services import Services
    from server.runtime.stores import OpenEdition


@dataclass(frozen=True)
class Request:
    """What a researcher sends: the query (read from SQL or JSON), what it may spend, and perhaps a key for retries.

    The question is query and privacy alone. `post` and `show` (how to show the answer), `notes` (how this spelling was
    understood) and what is required are not part of it: `drowned_max` refuses if a larger share of the numbers is
    expected to drown, `priced` if this is not the question that an estimate named. `has_left` returns whether the
    client has closed its connection: then nothing is charged any more.
    """

    query: nodes.Query
    privacy: nodes.Privacy
    key: str | None = None
    in_sql: bool = False
    post: tuple[str, ...] = ()
    show: Show = NOTHING
    show_in_sql: bool = False
    notes: tuple[str, ...] = ()
    drowned_max: float | None = None
    priced: str | None = None
    has_left: Callable[[], bool] = stays


@dataclass(frozen=True)
class Prepared:
    """A permitted request with its plan: everything that is known before data are read."""

    study: Study
    key: str | None
    store: OpenEdition
    catalog: Dataset  # with the profile that the plan uses
    plan: Plan
    loss: Loss
    question: Question
    privacy: nodes.Privacy
    show: Show = NOTHING  # with the names of the answer's columns
    has_left: Callable[[], bool] = stays

    @property
    def professionals(self) -> list[str]:
        """Return the columns about professionals that the query uses, because the protocol gives a reason."""
        marked = policy.professional_columns(self.catalog.tables)
        return sorted({column for _, column in references.columns(self.plan.query)} & marked)

    @property
    def hides_below(self) -> int | None:
        """Return the number below which cells are hidden by the study's protocol, which is approved."""
        limit: int | None = self.study.terms.protocol.get("hide_below")
        return limit

    @property
    def name(self) -> str:
        """Return what names the question with its price: the fingerprint has the privacy that it spends."""
        return f"{self.question.edition}-{self.question.fingerprint}"


def prepare(services: Services, actor: Actor, study: str, request: Request) -> Prepared:
    """Permit and plan a request (steps 2 and 3). It reads the study and the catalog, and changes nothing."""
    _require_size(request)
    with services.database.read() as transaction:
        present = permit(transaction, actor, study)
        # A retry stays on the edition of its first attempt, even if the data were imported anew in between.
        asked = None if request.key is None else releases.question_of_key(transaction, study, request.key)
        edition = datasets.current(transaction, present.dataset)
        if asked is not None:
            earlier = datasets.edition(transaction, present.dataset, asked.edition)
            edition = earlier if services.stores.keeps(earlier) else edition
        store = services.stores.edition(edition)
        known = catalogs(transaction, store)
    try:
        asked_query = sql.resolved(request.query, store.dataset.tables) if request.in_sql else request.query
        with_codes = code_lists.filled_in(asked_query, present.terms.protocol.get("code_lists", {}))
        size.require(with_codes)
        query = dates.fill_in(with_codes, store.dataset.tables)
        limits = policy.check(query, request.privacy, protocol(present), with_codes, asked_query)
        policy.check_professionals(query, store.dataset.tables, limits)
        known = [_of_study(catalog, present) for catalog in known]
        # It also keeps the bounds that were proposed then, even if a profile was bought in between.
        for catalog in known if asked else known[:1]:
            planned = planner.plan(query, catalog, request.privacy, services.settings.max_cells)
            digest = hashlib.sha256(fingerprint.of(planned).encode()).hexdigest()
            if asked is None or digest == asked.fingerprint:
                break
        policy.check_cost(planned.cost, request.privacy, limits)
        policy.check_margins(planned.outputs, limits)
    except (InvalidQuery, OutsideProtocol) as refusal:
        raise (sql.located(refusal) if request.in_sql else refusal) from None
    try:
        show = showing.bind(request.show, showing.planned(planned))
    except InvalidQuery as refusal:
        raise (sql.located(refusal) if request.show_in_sql else refusal) from None
    cost = planned.cost
    question = Question(study, present.dataset, store.edition.number, digest)
    loss = Loss.of(cost.epsilon, cost.rho, cost.delta)
    left = request.has_left
    return Prepared(present, request.key, store, catalog, planned, loss, question, request.privacy, show, left)


def _of_study(catalog: Dataset, study: Study) -> Dataset:
    """Return a catalog with the kinds of noise that the study's protocol allows too. Raises OutsideProtocol."""
    wanted = study.terms.protocol.get("noise", BOTH)
    allowed = allowed_noise(catalog.noise, wanted)
    if allowed is None:
        raise OutsideProtocol(
            "/privacy", f"the study's protocol allows {wanted} noise alone, and the dataset {catalog.noise} noise alone"
        )
    return replace(catalog, noise=allowed)


def _require_size(request: Request) -> None:
    """Raise InvalidQuery if the query is too large, with its place in the SQL if it was sent as SQL."""
    try:
        size.require(request.query)
    except InvalidQuery as refusal:
        raise (sql.located(refusal) if request.in_sql else refusal) from None


def permit(transaction: sa.Connection, actor: Actor, study: str) -> Study:
    """Return the study if the actor may ask under it now. Raises NotFound, Forbidden, NotApproved."""
    present = studies.visible(transaction, study, actor)
    if actor.name not in present.members:
        raise Forbidden("only the study's members may ask")
    studies.require_open(transaction, present)
    return present


def require_askable(store: OpenEdition, protocol: Mapping[str, Any]) -> None:
    """Raise Invalid if no query could be asked: it may cost too little, or have no kind of noise."""
    noise = protocol.get("noise", BOTH)
    if allowed_noise(store.dataset.noise, noise) is None:
        raise Invalid("protocol/noise", f"must be {store.dataset.noise}, because the dataset allows no other noise")
    lowest = least_charge.nano(store.dataset, "epsilon")
    limits = {"protocol.max_epsilon": protocol.get("epsilon_nano_max")} | {
        f"protocol.templates.{place}.max_epsilon": one.get("epsilon_nano_max")
        for place, one in enumerate(protocol.get("templates", ()))
    }
    for field, limit in limits.items():
        if limit is not None and limit < lowest:
            raise Invalid(
                field.replace(".", "/"),
                f"is less than the cheapest query of this dataset costs, epsilon {epsilon_text(lowest)}",
            )


def protocol(study: Study) -> Protocol:
    """Return what a study allows its queries."""
    kept = study.terms.protocol
    lists = {name: frozenset(kept[name]) for name in ("tables", "columns", "statistics") if name in kept}
    templates = None
    if kept.get("strict"):
        templates = tuple(
            Template(one["name"], one["query"], one.get("epsilon_nano_max")) for one in kept.get("templates", ())
        )
    return policy.Protocol(
        **lists,
        epsilon_nano_max=kept.get("epsilon_nano_max"),
        margin_min=kept.get("margin_min"),
        hide_below=kept.get("hide_below"),
        professionals=frozenset(kept.get("professionals", ())),
        templates=templates,
    )
