"""Steps 2 and 3 of a query's journey (`answer.py`): check that it may be asked, and plan it.

Both steps read only the request and public metadata, so a refusal reveals nothing and costs nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from dataclasses import field as member
from typing import TYPE_CHECKING, Any, TypeVar

from budgets.errors import Forbidden, Invalid
from budgets.governance import datasets, studies
from budgets.ledger import releases
from budgets.ledger.charges import Question
from budgets.loss import Loss, epsilon_text
from budgets.verify import canonical_json
from queries.binding import dates
from queries.catalog import least_charge
from queries.catalog.schema import BOTH, allowed_noise
from queries.errors import InvalidQuery, OutsideProtocol
from queries.language import code_lists, nodes, references, size
from queries.language.showing import NOTHING, Show
from queries.language.templates import Template
from queries.planning import fingerprint, planner, policy
from queries.release import answer_columns, showing
from queries.spelling import sql
from server.admission.gate import stays
from server.runtime.remembered import Remembered
from server.runtime.stores import catalogs, in_force

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.governance.study import Study
    from queries.catalog.schema import Dataset
    from queries.plan import Plan
    from queries.planning.policy import Protocol
    from server.runtime.services import Services
    from server.runtime.stores import Catalogs, OpenEdition

T = TypeVar("T")

TEXT_MAX = 8 * 1024  # bytes of a request whose plan is remembered
LABELS_MAX = 10_000  # of the keys of such a plan
SAID_MAX = 4


@dataclass(frozen=True)
class Request:
    """What a researcher sends: the query (read from SQL or JSON), what it may spend, and perhaps a key for retries.

    The question is query and privacy alone. `post` and `show` (how to show the answer), `notes` (how this spelling was
    understood) and what is required are not part of it: `drowned_max` refuses if a larger share of the numbers is
    expected to drown, `priced` if this is not the question that an estimate named. `has_left` returns whether the
    client has closed its connection: then nothing is charged any more. `text` is the body that all of it but the key
    was read from: equal bodies ask the same, and need not be planned again.
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
    text: bytes = b""


@dataclass(frozen=True)
class Planned:
    """What follows from the text of a request, the catalog and the study's protocol alone.

    `said` has what is reported about it before the charge, by what else that depends on.
    """

    catalog: Dataset
    plan: Plan
    loss: Loss
    fingerprint: str
    show: Show
    said: Remembered[dict[str, Any]] = member(default_factory=lambda: Remembered(SAID_MAX), compare=False)

    @property
    def is_small(self) -> bool:
        """Return whether it takes little memory."""
        return sum(key.size for key in self.plan.keys) <= LABELS_MAX


@dataclass(frozen=True)
class Prepared:
    """A permitted request with its plan: everything that is known before data are read."""

    study: Study
    key: str | None
    is_bound: bool  # the key, if there is one, belongs to this question already
    store: OpenEdition
    planned: Planned
    question: Question
    privacy: nodes.Privacy
    has_left: Callable[[], bool] = stays

    @property
    def catalog(self) -> Dataset:
        """Return the catalog with the profile that the plan uses."""
        return self.planned.catalog

    @property
    def plan(self) -> Plan:
        """Return the plan."""
        return self.planned.plan

    @property
    def loss(self) -> Loss:
        """Return what it costs."""
        return self.planned.loss

    @property
    def show(self) -> Show:
        """Return how the answer is shown, with the names of its columns."""
        return self.planned.show

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
    prepared, _ = prepare_reading(services, actor, study, request, lambda *_: None)
    return prepared


def prepare_reading(
    services: Services,
    actor: Actor,
    study: str,
    request: Request,
    read: Callable[[sa.Connection, Prepared], T],
) -> tuple[Prepared, T | None]:
    """Permit and plan a request, and read more about it in the transaction that permitted it.

    None stands for what would be read if the plan is not remembered: no transaction is open while a plan is made.
    """
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
        named = _name(request, present, known, asked)
        planned: Planned | None = None if named is None else store.plans.find(named)
        if planned is not None:
            prepared = _prepared(request, present, store, planned, asked)
            return prepared, read(transaction, prepared)
    # A retry also keeps the bounds that were proposed then, even if a profile was bought in between.
    planned = _plan(request, present, store, known.known if asked else known.known[:1], asked, services)
    if named is not None and planned.is_small:
        store.plans.keep(named, planned)
    return _prepared(request, present, store, planned, asked), None


def _name(request: Request, present: Study, known: Catalogs, asked: Question | None) -> Hashable:
    """Return all that the plan of a request follows from, beside its edition; None if that is too long to remember.

    The study is in it, so that nobody can find out by the time of an estimate what another study asked.
    """
    if not 0 < len(request.text) <= TEXT_MAX:
        return None
    earlier = None if asked is None else asked.fingerprint
    noise = known.known[0].noise  # the one that was approved
    return present.id, request.text, known.profiles, noise, earlier, canonical_json.dumps(present.terms.protocol)


def _prepared(
    request: Request, present: Study, store: OpenEdition, planned: Planned, asked: Question | None
) -> Prepared:
    question = Question(present.id, present.dataset, store.edition.number, planned.fingerprint)
    is_bound = request.key is None or asked == question
    return Prepared(present, request.key, is_bound, store, planned, question, request.privacy, request.has_left)


def _plan(
    request: Request,
    present: Study,
    store: OpenEdition,
    known: Sequence[Dataset],
    asked: Question | None,
    services: Services,
) -> Planned:
    """Plan a request that is permitted. Raises InvalidQuery, OutsideProtocol."""
    try:
        asked_query = sql.resolved(request.query, store.dataset.tables) if request.in_sql else request.query
        with_codes = code_lists.filled_in(asked_query, present.terms.protocol.get("code_lists", {}))
        size.require(with_codes)
        query = dates.fill_in(with_codes, store.dataset.tables)
        limits = policy.check(query, request.privacy, protocol(present), with_codes, asked_query)
        policy.check_professionals(query, store.dataset.tables, limits)
        for catalog in [_of_study(one, present) for one in known]:
            planned = planner.plan(query, catalog, request.privacy, services.settings.max_cells)
            digest = hashlib.sha256(fingerprint.of(planned).encode()).hexdigest()
            if asked is not None and digest == asked.fingerprint:
                break
        policy.check_cost(planned.cost, request.privacy, limits)
        policy.check_margins(planned.outputs, limits)
    except (InvalidQuery, OutsideProtocol) as refusal:
        raise (sql.located(refusal) if request.in_sql else refusal) from None
    try:
        show = showing.bind(request.show, answer_columns.planned(planned))
    except InvalidQuery as refusal:
        raise (sql.located(refusal) if request.show_in_sql else refusal) from None
    cost = planned.cost
    return Planned(catalog, planned, Loss.of(cost.epsilon, cost.rho, cost.delta), digest, show)


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


def require_askable(transaction: sa.Connection, store: OpenEdition, protocol: Mapping[str, Any]) -> None:
    """Raise Invalid if no query could be asked: it may cost too little, or have no kind of noise."""
    noise, dataset = protocol.get("noise", BOTH), in_force(transaction, store)
    if allowed_noise(dataset.noise, noise) is None:
        raise Invalid("protocol/noise", f"must be {dataset.noise}, because the dataset allows no other noise")
    lowest = least_charge.nano(dataset, "epsilon")
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
