"""The report over every shape that a protocol, a study and a release can have: it is valid, renders and raises nothing."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from budgets.database.tables import identities
from budgets.errors import BudgetsError
from budgets.governance import approval, studies, study_budgets
from budgets.governance.study import Terms
from budgets.identity import commitments, people
from budgets.ledger import charges
from budgets.ledger.charges import Question
from budgets.loss import NANO, Loss
from queries.statistics.registry import WORDS
from server.api.requests.schemas import ProtocolSchema, TermsSchema
from server.cli.main import main
from tests.budgets.world import FORMALITIES as FORMAL
from tests.server.api.test_openapi import validator
from tests.server.reporting.test_report import HOSTILE, Elements, page_of
from tests.server.routes import document
from tests.serving import Home, Place, application, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import Draft202012Validator

URGENT = {"column": "urgent", "op": "=", "value": True}
BUILT = {
    "per_person": "visits",
    "values": {
        "n": {"count": "events", "bounds": [0, 5]},
        "urgent": {"exists": URGENT},
        "wait": {"days_to": {"of": "visits", "where": URGENT}},
    },
}
COHORT = {"column": "person", "op": "in", "value": {"persons": "visits", "where": URGENT, "at_least": 2}}
EVERY = {
    "count": {"count": "persons"},
    "sum": {"sum": "cost", "bounds": [0, 100]},
    "mean": {"mean": "cost"},
    "proportion": {"proportion": URGENT},
    "variance": {"variance": "age"},
    "stddev": {"stddev": "age"},
    "quantile": {"quantile": "age", "at": [0.25, 0.5]},
    "iqr": {"iqr": "age"},
    "histogram": {"histogram": "age", "bins": [0, 18, 65]},
    "top": {"top": "sex", "k": 1},
    "covariance": {"covariance": ["age", "cost"]},
    "correlation": {"correlation": ["age", "cost"]},
    "slope": {"slope": ["cost", "age"]},
}
ASKED = [
    *(ask({name: statistic}, 0.5, "visits") for name, statistic in EVERY.items()),
    ask(EVERY, 5.0, "visits", group_by=["sex", {"column": "day", "period": "year"}]),
    {**ask({"n": {"count": "events"}}, table="visits"), "privacy": {"rho": 0.01}},
    {**ask({"n": {"count": "persons"}}, table="visits", group_by=["code"]), "privacy": {"epsilon": 1, "delta": 1e-9}},
    {**ask({"n": {"count": "persons"}}, table="visits", group_by=["code"]), "privacy": {"rho": 0.1, "delta": 1e-9}},
    ask({"n": {"count": "persons"}}, 0.25, "visits", where=COHORT),
    {
        "query": {
            "from": BUILT,
            "select": {"n": {"mean": "n"}, "u": {"proportion": {"column": "urgent", "op": "=", "value": True}}},
        },
        "privacy": {"epsilon": 1},
    },
    {
        "query": {
            "from": BUILT,
            "select": {
                "curve": {"survival": "wait", "bins": [0, 30, 365]},
                "rate": {"rate": "wait", "days": 365, "ends": "2021-12-31"},
            },
        },
        "privacy": {"epsilon": 1},
    },
]


@pytest.fixture(scope="module")
def lived(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application over a home in which everything was asked once, and a profile was bought."""
    with application(template.copy(tmp_path_factory.mktemp("shapes") / "home")) as place:
        place.client("admin").good("POST", "/datasets/clinic/profile", {"epsilon": 0.5})
        place.open_study("all", "clinic")
        for body in ASKED:
            place.client("ada").good("POST", "/studies/all/queries", body)
        yield place


@pytest.fixture(scope="module")
def bodies(lived: Place) -> list[dict[str, Any]]:
    """Return the stored body of each of these releases."""
    found = [json.loads(body) for (body,) in lived.home.rows("SELECT body FROM releases")]
    assert len(found) == len(ASKED)
    words = {word for body in found for statistic in body["query"]["select"].values() for word in statistic}
    assert set(WORDS) <= words
    return found


@pytest.fixture(scope="module")
def schema(lived: Place) -> Draft202012Validator:
    """Return what the OpenAPI document says of reports."""
    served = document(lived)
    return validator(served, {"$ref": "#/components/schemas/Report"})


# What a study can be. Texts are of every kind that can be written in UTF-8, without NUL, which PostgreSQL cannot keep.

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=80),
    st.sampled_from(
        [HOSTILE, "<b>" * 300, "x" * 10_000, "{% raw %}{{ 1 }}", "a\r\nb\tc", "‮evil", "é" * 50, "</style>"]
    ),
).filter(lambda text: len(text.strip()) >= 1)
DAYS = st.one_of(st.none(), st.dates().map(lambda day: day.isoformat()))
NAMES = st.lists(TEXTS, max_size=3)
EPSILONS = st.integers(1, 10_000 * NANO).map(lambda nano: nano / NANO)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "category": TEXTS,
    "number": st.integers(-(10**20), 10**20) | st.floats(-1e300, 1e300),
    "date": st.dates().map(lambda day: day.isoformat()),
    "boolean": st.booleans(),
}


@st.composite
def parameters(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw a template's parameter."""
    kind = draw(st.sampled_from(sorted(VALUES)))
    shape: dict[str, Any] = {"parameter": name, "type": kind}
    how = draw(st.sampled_from(["any", "values", "range"]))
    if how == "values":
        shape["values"] = draw(st.lists(VALUES[kind], min_size=1, max_size=3))
    if how == "range" and kind in ("number", "date"):
        shape["range"] = sorted(draw(st.tuples(VALUES[kind], VALUES[kind])))
    return shape


@st.composite
def predicates(draw: st.DrawFn, one: dict[str, Any], several: dict[str, Any], depth: int = 2) -> dict[str, Any]:
    """Draw a template's filter, of every kind. A parameter has one declaration, wherever it stands."""
    inner = predicates(one, several, depth - 1)
    kinds = ["comparison", "in", "null", "cohort", *(["all", "any", "not"] if depth else [])]
    match draw(st.sampled_from(kinds)):
        case ("all" | "any") as word:
            return {word: draw(st.lists(inner, min_size=1, max_size=2))}
        case "not":
            return {"not": draw(inner)}
        case "null":
            return {"column": draw(TEXTS), "op": "is_null"}
        case "in":
            return {"column": "code", "op": "in", "value": draw(st.sampled_from([several, ["A", 1, True]]))}
        case "cohort":
            return {
                "column": "person",
                "op": "in",
                "value": {
                    "persons": "visits",
                    "where": draw(predicates(one, several, 0)),
                    "after": {"of": "visits", "within_days": 3},
                },
            }
    return {
        "column": "age",
        "op": draw(st.sampled_from(["=", "<", ">="])),
        "value": draw(st.just(one) | st.integers()),
    }


@st.composite
def templates(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw a template."""
    source: Any = draw(st.sampled_from(["visits", BUILT]))
    word = draw(st.sampled_from(sorted(EVERY)))
    query: dict[str, Any] = {"from": source, "select": {"a": EVERY[word]}}
    if draw(st.booleans()):
        query["where"] = draw(predicates(draw(parameters("one")), draw(parameters("several"))))
    if draw(st.booleans()):
        query["group_by"] = ["sex", {"column": "age", "bins": [0, {"parameter": "edge", "type": "number"}]}]
    return {"name": name, "query": query, **draw(st.sampled_from([{}, {"max_epsilon": 0.25}]))}


@st.composite
def protocols(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a protocol as it is sent, with each of its parts or without."""
    parts: dict[str, st.SearchStrategy[Any]] = {
        "tables": NAMES,
        "columns": NAMES,
        "statistics": st.lists(st.sampled_from(WORDS), max_size=3),
        "max_epsilon": EPSILONS | st.just(1),
        "min_margin": st.floats(1e-300, 1e300) | st.integers(1, 10**300),
        "hide_below": st.integers(2, 10**9),
        "professionals": st.dictionaries(st.sampled_from(["sex", "age"]), st.text(min_size=1, max_size=9), min_size=1),
        "templates": st.tuples(templates("one"), templates("two")).map(list) | templates("one").map(lambda one: [one]),
        "strict": st.booleans(),
        "code_lists": st.dictionaries(
            st.sampled_from(["a", "b_2"]), st.lists(st.text(min_size=1), min_size=1, unique=True)
        ),
    }
    given_parts = draw(st.sets(st.sampled_from(sorted(parts))))
    shape = {name: draw(parts[name]) for name in given_parts}
    if shape.get("strict") and not shape.get("templates"):
        del shape["strict"]
    return shape


LOSSES = st.one_of(
    st.integers(1, NANO).map(lambda nano: Loss(nano, -(-nano * nano // (2 * NANO)), 0)),
    st.integers(1, NANO // 50).map(lambda rho: Loss(None, rho, 0)),
    st.integers(1, NANO // 10).map(lambda nano: Loss(nano, nano, 10**9)),
)
MOVES = st.sampled_from(["approve", "suspend", "resume", "close", "agree", "renew", "edit"])
STEPS = st.one_of(
    MOVES.map(lambda move: (move, None)),
    st.tuples(st.sampled_from(["join", "leave"]), st.sampled_from(["ada", "ben"])),
    st.tuples(st.just("budget"), st.tuples(st.integers(1, 5 * NANO), st.sampled_from([None, 0, 10**11, 10**12]))),
    st.tuples(st.sampled_from(["answer", "fail", "void", "open"]), st.tuples(LOSSES, st.integers(0, 10**6))),
)
STUDIES = st.fixed_dictionaries(
    {
        "terms": st.tuples(TEXTS, TEXTS, TEXTS, protocols(), DAYS, DAYS),
        "epsilon": st.integers(1, 5 * NANO),
        "delta": st.sampled_from([None, 0, 10**11]),
        "reason": TEXTS,
        # Most begin with an approval: in a draft little can happen.
        "steps": st.tuples(
            st.sampled_from([[], [("join", "ada"), ("approve", None)]]), st.lists(STEPS, max_size=12)
        ).map(lambda both: [*both[0], *both[1]]),
    }
)


class Life:
    """A study that is opened and lives through steps, each of which may be refused."""

    def __init__(self, place: Place, name: str, drawn: dict[str, Any], bodies: list[dict[str, Any]]) -> None:
        self.database, self.name, self.reason, self.bodies = place.services.database, name, drawn["reason"], bodies
        self.joined: set[str] = set()
        self.approved = 0
        self.released: set[int] = set()  # the questions with a release: a second answer to one is the first
        title, purpose, basis, protocol, starts, ends = drawn["terms"]
        if starts and ends and starts > ends:
            starts, ends = ends, starts
        read = ProtocolSchema().load(json.loads(json.dumps(protocol)))
        self.terms = Terms(title, purpose, basis, read, starts, ends, FORMAL)
        with self.database.write() as transaction:
            studies.open_study(
                transaction,
                name,
                "clinic",
                self.terms,
                drawn["epsilon"],
                drawn["delta"],
                people.user(transaction, "admin"),
                justification="a test",
            )
        for step, value in drawn["steps"]:
            with suppress(BudgetsError), approval.deciding(self.database) as transaction:
                self.live(transaction, step, value)

    def live(self, transaction: sa.Connection, step: str, value: Any) -> None:
        """Take a step."""
        admin, dora, vera = (people.user(transaction, name) for name in ("admin", "dora", "vera"))
        match step:
            case "approve" | "suspend" | "resume" | "close":
                by = vera if step == "approve" else dora
                studies.move(transaction, self.name, step, self.reason, by, without_advice="a test")
                self.approved += step == "approve"
            case "agree":
                study_budgets.approve_budget(transaction, self.name, self.reason, vera, without_advice="a test")
                self.approved += 1
            case "edit":
                studies.edit(transaction, self.name, Terms("Another", "P", "L", {}, formalities=FORMAL), admin)
            case "join":
                studies.add_member(transaction, self.name, value, admin)
                self.joined.add(value)
            case "leave":
                studies.remove_member(transaction, self.name, value, admin)
            case "budget":
                study_budgets.set_budget(
                    transaction, self.name, value[0], value[1], self.reason, admin, justification="a test"
                )
            case "renew":
                # Names of the past are erased; each goes on by a new commitment.
                for user in ("admin", "dora", "vera", "ada", "ben"):
                    present = people.user(transaction, user)
                    commitments.renew(transaction, present)
                    transaction.execute(sa.delete(identities).where(identities.c.commitment == present.commitment))
                self.joined.clear()
            case _:
                self.charge(transaction, step, *value)

    def charge(self, transaction: sa.Connection, outcome: str, loss: Loss, number: int) -> None:
        """Charge a question, and settle it with a real release, without one, give it back, or leave it open."""
        question = Question(self.name, "clinic", 1, hashlib.sha256(f"{number}".encode()).hexdigest())
        charge = charges.reserve(transaction, question, loss)
        if outcome == "void":
            charges.void(transaction, charge)
        elif outcome != "open":
            body = self.bodies[number % len(self.bodies)] if outcome == "answer" else None
            charges.settle(transaction, charge, body)
            if outcome == "answer":
                self.released.add(number)


# Without shrinking: each example is a study more in the ledger, and half an hour of them says no more than one.
@settings(
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(STUDIES)
def test_every_shape_is_reported(
    lived: Place, bodies: list[dict[str, Any]], schema: Draft202012Validator, drawn: dict[str, Any]
) -> None:
    """Whatever was proposed, decided, charged and erased: the report is as documented, and a page without elements of ours."""
    ((known,),) = lived.home.rows("SELECT count(*) FROM studies")
    life = Life(lived, f"s{known}", drawn, bodies)
    # The dataset's report has all the studies so far: now and then is enough.
    for path in (f"/studies/{life.name}/report", *(["/datasets/clinic/report"] if known % 6 == 0 else [])):
        reply = lived.client("dora").get(path)
        assert reply.status == 200, reply
        schema.validate(reply.json())
        found = Elements(page_of(lived, path))
        assert not {"script", "img", "iframe", "object"} & {tag for tag, _ in found.elements}
    said = lived.client("dora").good("GET", f"/studies/{life.name}/report")
    assert said["study"]["title"] in (life.terms.title, "Another")
    assert said["releases"]["count"] == len(life.released)
    assert sum(act["approval"] for act in said["history"]) == life.approved
    assert life.joined <= {one["name"] for one in said["studies"][0]["recipients"]}


def test_every_shape_over_the_command_line(lived: Place) -> None:
    """A strict study with templates and one that asked everything: in words, as JSON and as a page, nothing raises."""
    strict = {
        "strict": True,
        "min_margin": 5,
        "hide_below": 11,
        "templates": [{"name": "t", "query": ASKED[0]["query"], "max_epsilon": 0.5}],
    }
    lived.open_study("strict", "clinic", protocol={**strict, "tables": ["visits"], "max_epsilon": 0.5}, title=HOSTILE)
    for about in (["study", "strict"], ["study", "all"], ["dataset", "clinic"]):
        for form in ([], ["--json"], ["--html", str(lived.home.path / "page.html")]):
            ended = CliRunner().invoke(main, ["report", *about, *form], env=lived.home.environment())
            assert ended.exit_code == 0, (about, form, ended.output, ended.exception)
            if form == ["--json"]:
                shown = json.loads(ended.stdout)
                path = f"/{'studies' if about[0] == 'study' else 'datasets'}/{about[1]}/report"
                assert shown.keys() == lived.client("dora").good("GET", path).keys()
    accountability = lived.client("dora").good("GET", "/studies/strict/report")["regulation"][0]["facts"]
    limits = {fact["question"]: fact["answer"] for fact in accountability}["Purpose limitation"]
    assert limits == (
        "tables: visits; at most epsilon 0.5 for one query; no count with a margin (at 95%) below 5; "
        "numbers of cells below 11 are hidden; only these templates: t (at most epsilon 0.5)"
    )


def test_half_a_character_is_refused(lived: Place) -> None:
    """A reason that a terminal gave in another encoding than UTF-8 is refused with its place, and nothing is done."""
    before = lived.home.last_entry()
    moved = ["study", "suspend", "all", "--reason", "caf\udce9"]
    ended = CliRunner().invoke(main, moved, env=lived.home.environment())
    assert ended.exit_code == 1
    assert "cannot be written in UTF-8" in ended.stderr
    assert lived.home.last_entry() == before


def test_terms_that_the_schema_takes_are_those_of_this_test() -> None:
    """The parts of terms and protocols drawn above are all there are: a new one has to be added on purpose."""
    assert set(ProtocolSchema().load_fields) == {
        *("tables", "columns", "statistics", "epsilon_nano_max", "margin_min", "hide_below", "professionals"),
        *("code_lists", "noise", "templates", "strict"),
    }
    assert set(TermsSchema().load_fields) == {
        "title",
        "purpose",
        "legal_basis",
        "protocol",
        "starts",
        "ends",
        "formalities",
    }
