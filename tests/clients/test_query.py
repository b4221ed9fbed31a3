"""The query builder: what it writes is the JSON of the docs, it has all of the language, and the server takes it."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rowless_client import Misused, NotAllowed, Question, Rowless, code_list, parameter, statistics, table, values
from rowless_client.query.asking import body

from queries.language import nodes, templates
from queries.release.postprocessing import WORDS
from queries.statistics import registry
from tests.serving import FORMALITIES

if TYPE_CHECKING:
    from rowless_client import Study

    from tests.serving import Server

years, visits = table("years"), table("visits")
consultations, prescriptions = table("consultations"), table("prescriptions")
seen = consultations.where(consultations.diagnosis == "D007")
drug = prescriptions.where(prescriptions.drug.isin(["M016", "M032"]))
adult = years.age >= 18

# name -> (study, question, JSON)
QUESTIONS: dict[str, tuple[str, Question, dict[str, Any]]] = {
    "filters": (
        "cost-sharing",
        years.where(
            years.year.between(1, 3) & (years.health.isin(["fair", "poor"]) | (years.visits > 10)),
            ~(years.sex == "male"),
        ).count_persons("patients"),
        {
            "from": "years",
            "where": {
                "all": [
                    {"column": "year", "op": "between", "value": [1, 3]},
                    {
                        "any": [
                            {"column": "health", "op": "in", "value": ["fair", "poor"]},
                            {"column": "visits", "op": ">", "value": 10},
                        ]
                    },
                    {"not": {"column": "sex", "op": "=", "value": "male"}},
                ]
            },
            "select": {"patients": {"count": "persons"}},
        },
    ),
    "families of codes": (
        "pathways",
        consultations.where(
            consultations.diagnosis.under("D00") | consultations.diagnosis.begins("D01")
        ).count_persons(),
        {
            "from": "consultations",
            "where": {
                "any": [
                    {"column": "diagnosis", "op": "under", "value": "D00"},
                    {"column": "diagnosis", "op": "begins", "value": "D01"},
                ]
            },
            "select": {"persons": {"count": "persons"}},
        },
    ),
    "other comparisons": (
        "cost-sharing",
        years.where(years.child | (years.age < 60) & (years.age <= 59) & (years.sex != "male") & ~years.cost.is_null())
        .count_events()
        .bounds(events_per_cell=5),
        {
            "from": "years",
            "where": {
                "any": [
                    {"column": "child", "op": "=", "value": True},
                    {
                        "all": [
                            {"column": "age", "op": "<", "value": 60},
                            {"column": "age", "op": "<=", "value": 59},
                            {"column": "sex", "op": "!=", "value": "male"},
                            {"not": {"column": "cost", "op": "is_null"}},
                        ]
                    },
                ]
            },
            "select": {"count": {"count": "events"}},
            "bounds": {"events_per_cell": 5},
        },
    ),
    "every statistic but survival": (
        "cost-sharing",
        years.by(years.year.named("study_year"), "sex", years.age.bins(0, 18, 40, 65))
        .count_persons("patients", where=adult)
        .sum("visits", bounds=(0, 30))
        .mean(years.cost, "cost", bounds=(0, 2000))
        .proportion(years.visits > 0, "seen", of="persons")
        .variance("age")
        .stddev("visits", bounds=(0, 30))
        .median("cost")
        .quantile("visits", [0.25, 0.75], bounds=(0, 50))
        .iqr("cost", bounds=(0, 2000))
        .histogram("age", [0, 18, 65])
        .top("site", 3)
        .covariance("age", "visits", bounds=[(0, 70), (0, 30)])
        .correlation("age", "visits")
        .slope("visits", "age", bounds=[(0, 30), (0, 70)])
        .bounds(cells_per_person=5, events_per_cell=1),
        {
            "from": "years",
            "group_by": [{"column": "year", "as": "study_year"}, "sex", {"column": "age", "bins": [0, 18, 40, 65]}],
            "select": {
                "patients": {"count": "persons", "where": {"column": "age", "op": ">=", "value": 18}},
                "sum_visits": {"sum": "visits", "bounds": [0, 30]},
                "cost": {"mean": "cost", "bounds": [0, 2000]},
                "seen": {"proportion": {"column": "visits", "op": ">", "value": 0}, "of": "persons"},
                "variance_age": {"variance": "age"},
                "stddev_visits": {"stddev": "visits", "bounds": [0, 30]},
                "median_cost": {"quantile": "cost", "at": 0.5},
                "quantile_visits": {"quantile": "visits", "at": [0.25, 0.75], "bounds": [0, 50]},
                "iqr_cost": {"iqr": "cost", "bounds": [0, 2000]},
                "histogram_age": {"histogram": "age", "bins": [0, 18, 65]},
                "top_site": {"top": "site", "k": 3},
                "covariance_age_visits": {"covariance": ["age", "visits"], "bounds": [[0, 70], [0, 30]]},
                "correlation_age_visits": {"correlation": ["age", "visits"]},
                "slope_visits_age": {"slope": ["visits", "age"], "bounds": [[0, 30], [0, 70]]},
            },
            "bounds": {"cells_per_person": 5, "events_per_cell": 1},
        },
    ),
    "a width": (
        "cost-sharing",
        table("persons")
        .by(table("persons").income.width(5000, start=2500))
        .select(patients=statistics.count_persons()),
        {
            "from": "persons",
            "group_by": [{"column": "income", "width": 5000, "from": 2500}],
            "select": {"patients": {"count": "persons"}},
        },
    ),
    "dates": (
        "clinic",
        visits.where(visits.day >= dt.date(2020, 2, 1))
        .by(visits.day.period("month"), visits.day.part("weekday").named("weekday"))
        .count_persons(),
        {
            "from": "visits",
            "where": {"column": "day", "op": ">=", "value": "2020-02-01"},
            "group_by": [{"column": "day", "period": "month"}, {"column": "day", "part": "weekday", "as": "weekday"}],
            "select": {"persons": {"count": "persons"}},
        },
    ),
    "cohorts": (
        "pathways",
        table("persons")
        .by("sex")
        .where(seen.persons(at_least=2))
        .proportion(
            drug.persons(after=seen.events(within_days=90), without=drug.events(within_days=365)), of="persons"
        ),
        {
            "from": "persons",
            "where": {
                "column": "person",
                "op": "in",
                "value": {
                    "persons": "consultations",
                    "where": {"column": "diagnosis", "op": "=", "value": "D007"},
                    "at_least": 2,
                },
            },
            "group_by": ["sex"],
            "select": {
                "proportion": {
                    "proportion": {
                        "column": "person",
                        "op": "in",
                        "value": {
                            "persons": "prescriptions",
                            "where": {"column": "drug", "op": "in", "value": ["M016", "M032"]},
                            "after": {
                                "of": "consultations",
                                "where": {"column": "diagnosis", "op": "=", "value": "D007"},
                                "within_days": 90,
                            },
                            "without": {
                                "of": "prescriptions",
                                "where": {"column": "drug", "op": "in", "value": ["M016", "M032"]},
                                "within_days": 365,
                            },
                        },
                    },
                    "of": "persons",
                }
            },
        },
    ),
    "values of each person": (
        "pathways",
        consultations.per_person(
            visits=values.count(bounds=(0, 30)),
            cost=values.sum("cost", bounds=(0, 3000), where=consultations.urgent),
            usual=values.mean("cost"),
            lowest=values.min("systolic"),
            highest=values.max("systolic"),
            one=values.first("diagnosis", date="date"),
            other=values.last("diagnosis"),
            emergency=values.exists(consultations.urgent),
            wait=values.days_to(drug.events(within_days=365, date="date"), bounds=(0, 365), date="date"),
        )
        .by("emergency")
        .mean("cost"),
        {
            "from": {
                "per_person": "consultations",
                "values": {
                    "visits": {"count": "events", "bounds": [0, 30]},
                    "cost": {
                        "sum": "cost",
                        "bounds": [0, 3000],
                        "where": {"column": "urgent", "op": "=", "value": True},
                    },
                    "usual": {"mean": "cost"},
                    "lowest": {"min": "systolic"},
                    "highest": {"max": "systolic"},
                    "one": {"first": "diagnosis", "date": "date"},
                    "other": {"last": "diagnosis"},
                    "emergency": {"exists": {"column": "urgent", "op": "=", "value": True}},
                    "wait": {
                        "days_to": {
                            "of": "prescriptions",
                            "where": {"column": "drug", "op": "in", "value": ["M016", "M032"]},
                            "within_days": 365,
                            "date": "date",
                        },
                        "bounds": [0, 365],
                        "date": "date",
                    },
                },
            },
            "group_by": ["emergency"],
            "select": {"mean_cost": {"mean": "cost"}},
        },
    ),
    "survival": (
        "pathways",
        seen.per_person(wait=values.days_to(drug.events()), last=values.max("date"))
        .by("sex")
        .survival("wait", [0, 30, 90], "untreated", ends=dt.date(2022, 12, 31))
        .rate("wait", 730, ends="2022-12-31", censored="last"),
        {
            "from": {
                "per_person": "consultations",
                "where": {"column": "diagnosis", "op": "=", "value": "D007"},
                "values": {
                    "wait": {
                        "days_to": {
                            "of": "prescriptions",
                            "where": {"column": "drug", "op": "in", "value": ["M016", "M032"]},
                        }
                    },
                    "last": {"max": "date"},
                },
            },
            "group_by": ["sex"],
            "select": {
                "untreated": {"survival": "wait", "bins": [0, 30, 90], "ends": "2022-12-31"},
                "rate_wait": {"rate": "wait", "days": 730, "ends": "2022-12-31", "censored": "last"},
            },
        },
    ),
}


@pytest.mark.parametrize(("question", "shape"), [pair[1:] for pair in QUESTIONS.values()], ids=QUESTIONS)
def test_a_question_is_the_json_of_the_docs(question: Question, shape: dict[str, Any]) -> None:
    """What the builder writes is what somebody would write by hand."""
    assert question.to_json() == shape
    assert json.loads(repr(question)) == shape


@pytest.mark.filterwarnings("ignore::rowless_client.cautions.Caution")
@pytest.mark.parametrize(("study", "question", "_shape"), QUESTIONS.values(), ids=QUESTIONS)
def test_the_server_takes_every_question(server: Server, study: str, question: Question, _shape: Any) -> None:
    """Each question is priced by a real server, which writes it as it was asked."""
    estimate = of(server, study).estimate(question, epsilon=1.0)
    assert set(estimate.query["select"]) == set(question.to_json()["select"])
    assert estimate.affordable


def test_the_builder_has_all_of_the_language() -> None:
    """Every statistic, value of a person, operator and way to cut a key that the server knows is written above."""
    written = json.dumps([shape for *_, shape in QUESTIONS.values()])
    words = {*registry.WORDS, *nodes.BUILT, "bins", "width", "period", "part", "after", "without", "at_least", "as"}
    assert [word for word in sorted(words) if f'"{word}": ' not in written] == []
    assert [op for op in nodes.COMPARISONS if f'"op": "{op}"' not in written] == []
    assert [word for word in registry.WORDS if not hasattr(Question, word)] == ["count"]  # it has two methods


def test_what_a_question_may_spend() -> None:
    """Epsilon, rho and margins, with all that goes with them, stand where the server reads them."""
    margin = {"patients": 10, "cost": {"margin": 40, "at": 1000}}
    made = body(sql="SELECT 1", bounds={"events_per_cell": 4}, margin=margin, confidence=0.9, noise="gaussian")
    assert made == {
        "sql": "SELECT 1",
        "bounds": {"events_per_cell": 4},
        "privacy": {"margin": margin, "confidence": 0.9, "noise": "gaussian"},
    }
    made = body(
        {"from": "t"}, rho=0.1, delta=1e-8, post=WORDS, show="LIMIT 3", require_drowned=0.5, require_question="q"
    )
    assert made == {
        "query": {"from": "t"},
        "privacy": {"rho": 0.1, "delta": 1e-8},
        "post": list(WORDS),
        "show": {"sql": "LIMIT 3"},
        "require": {"drowned": 0.5, "question": "q"},
    }


def test_values_of_numpy_are_values() -> None:
    """Numbers that analysts have in their frames are compared with as they are."""
    where = years.where(years.age >= np.int64(18), years.cost < np.float64(2.5), years.year.isin(np.array([1, 2])))
    members = where.count_persons().to_json()["where"]["all"]
    assert json.dumps([one["value"] for one in members]) == "[18, 2.5, [1, 2]]"


def test_columns_are_compared_with_each_other() -> None:
    """Of one row, or of one person."""
    compared = years.age > years.year
    assert compared.to_json() == {"column": "age", "op": ">", "value": {"column": "year"}}


def test_a_code_list_is_named() -> None:
    """The codes of a protocol's list, or all that begin with one of them."""
    for condition, op in (
        (consultations.diagnosis.isin(code_list("diabetes")), "in"),
        (consultations.diagnosis.under(code_list("diabetes")), "under"),
        (consultations.diagnosis.begins(code_list("diabetes")), "begins"),
    ):
        assert condition.to_json() == {"column": "diagnosis", "op": op, "value": {"list": "diabetes"}}


MISTAKES = {
    "and": lambda: years.where(bool(adult)),
    "chained": lambda: years.where(18 <= years.age <= 65),
    "null": lambda: years.where(years.cost == None),  # noqa: E711
    "no statistic": years.to_json,
    "two ways to pay": lambda: body(years.count_persons(), epsilon=1, rho=1),
    "no way to pay": lambda: body(years.count_persons()),
    "two questions": lambda: body(years.count_persons(), sql="SELECT 1", epsilon=1),
    "a method that is none": lambda: years.group_by("sex"),
    "a text for a list": lambda: years.health.isin("fair"),
    "a name twice": lambda: years.count_persons("n").count_events("n"),
    "no condition": lambda: years.where("age >= 18"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_found_before_anything_is_sent(mistake: Any) -> None:
    """What Python would do silently with a condition, and what cannot be meant, is an error that says what to write."""
    with pytest.raises(Misused):
        mistake()


def test_a_table_of_a_study_knows_its_columns(server: Server) -> None:
    """A wrong name is an error at once, with the name that was probably meant, and notebooks complete the right ones."""
    q = of(server, "cost-sharing").table("years")
    assert "visits" in dir(q)
    with pytest.raises(AttributeError, match="did you mean visits"):
        _ = q.visit
    with pytest.raises(Misused, match="persons, years"):
        of(server, "cost-sharing").table("yeers")


def test_templates_are_filled_in(server: Server) -> None:
    """An admin writes a template with parameters here; a researcher fills it in, and nothing else is allowed."""
    question = (
        years.where(years.age >= parameter("low", "number", range=(18, 40)))
        .where(years.health.isin(parameter("health", "category", values=["fair", "poor"])))
        .by("sex")
        .count_persons("patients")
    )
    protocol = {"templates": [{"name": "adults", "query": question.to_json()}], "strict": True}
    terms = {"title": "T", "purpose": "P", "legal_basis": "L", "formalities": FORMALITIES, "epsilon": 5.0}
    terms["justification"] = "a test"
    of_admin(server).open_study("strict", "rand-hie", protocol=protocol, **terms).add_member("ada")
    Rowless(address(server), server.home.tokens["vera"]).study("strict").approve("it may", without_advice="away")
    study = of(server, "strict")
    assert {kind for kind in templates.KINDS} >= {"number", "category"}
    answer = study.ask(study.template("adults", low=20, health=["fair"]), epsilon=0.5)
    assert answer.query["where"]["all"][0]["value"] == 20
    with pytest.raises(NotAllowed):
        study.ask(study.template("adults", low=50, health=["fair"]), epsilon=0.5)
    with pytest.raises(Misused, match="needs a value for health"):
        study.template("adults", low=20)


def address(server: Server) -> str:
    """Return a server's address."""
    return f"http://127.0.0.1:{server.port}"


def of(server: Server, study: str) -> Study:
    """Return a study as Ada sees it."""
    return Rowless(address(server), server.home.tokens["ada"]).study(study)


def of_admin(server: Server) -> Rowless:
    """Return the client of the admin."""
    return Rowless(address(server), server.home.tokens["admin"])
