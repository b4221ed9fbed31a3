"""docs/omop.md: an OMOP CDM of made-up persons, from its draft to the five questions, with the truth beside them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from queries.store.drafts import omop
from server.demo import cdm
from tests.queries.store.drafts.test_omop import completed
from tests.server.pages.browsing import browser
from tests.serving import ROOT, application, make_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from tests.serving import Place

PAGE = (ROOT / "docs/omop.md").read_text(encoding="utf-8")
QUESTIONS = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]
DIABETES = f"(SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = {cdm.DIABETES})"
ILL = f"(SELECT person_id FROM condition_occurrence WHERE condition_concept_id IN {DIABETES})"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, DuckDBPyConnection]]:
    """Serve a home with the CDM, beside the CDM itself."""
    folder: Path = tmp_path_factory.mktemp("omop")
    path = cdm.write_cdm(folder / "cdm.duckdb")
    text = re.sub(
        r"^epsilon = 10\b", "epsilon = 200", completed(omop.draft([path], cdm.RELEASE)), count=1, flags=re.MULTILINE
    )
    (folder / "cdm.toml").write_text(text, encoding="utf-8")
    with application(make_home(folder / "home", folder / "cdm.toml")) as place:
        place.open_study("cohort", "omop", epsilon=200.0, delta=1e-7)
        with duckdb.connect(str(path), read_only=True) as connection:
            yield place, connection


def answer(place: Place, number: int) -> dict[str, Any]:
    """Return the answer to one of the page's questions, at twenty times its price: then what is wrong is no noise."""
    question = QUESTIONS[number]
    body = question if "sql" in question else {"query": question, "privacy": {"epsilon": 1}}
    assert body["privacy"]["epsilon"] == 1
    body = {**body, "privacy": {**body["privacy"], "epsilon": 20}}
    found: dict[str, Any] = place.client("ada").good("POST", "/studies/cohort/queries", body)
    return found


def near(found: dict[str, float], truth: float, beside: float = 0.0) -> bool:
    """Return whether a number is within seven margins of the truth: noise goes beyond once in 10^9 numbers."""
    wide = 7 * max(found["high"] - found["value"], found["value"] - found["low"])
    assert wide <= 0.1 * max(truth, found["value"]) + 0.05, "these margins tell something"
    return abs(found["value"] - truth) <= wide + beside


def test_prevalence_by_sex_and_decade_of_birth(asked: tuple[Place, DuckDBPyConnection]) -> None:
    """Each cell is near the share in the CDM, and the page shows it."""
    place, connection = asked
    truth = {
        (str(sex), born): share
        for sex, born, share in connection.execute(
            f"SELECT gender_concept_id, year_of_birth // 10 * 10, avg((person_id IN {ILL})::INTEGER) FROM person GROUP BY ALL"
        ).fetchall()
    }
    found = answer(place, 0)
    assert found["value_labels"] == {"gender_concept_id": {"8507": "male", "8532": "female"}}
    cells = {(row["gender_concept_id"], int(row["year_of_birth"][1:5])): row["diabetes"] for row in found["rows"]}
    assert all(near(cells[key], share) for key, share in truth.items())
    for sex, named in (("8507", "male"), ("8532", "female")):
        shares = [f"{100 * truth[sex, born]:.1f}" for born in range(1920, 2010, 10)]
        assert f"| {named} | {' | '.join(shares)} |" in PAGE


def test_treated_within_90_days(asked: tuple[Place, DuckDBPyConnection]) -> None:
    """The share of those with the condition who got the drug."""
    place, connection = asked
    ill, treated = connection.execute(
        "SELECT count(DISTINCT c.person_id), count(DISTINCT d.person_id) FROM condition_occurrence c LEFT JOIN "
        f"drug_exposure d ON d.person_id = c.person_id AND d.drug_concept_id = {cdm.METFORMIN} AND "
        "d.drug_exposure_start_date BETWEEN c.condition_start_date AND c.condition_start_date + 90 "
        f"WHERE c.condition_concept_id IN {DIABETES}"
    ).fetchall()[0]
    assert f"Truth: {treated} of {ill}, {100 * treated / ill:.1f}%." in PAGE
    assert near(answer(place, 1)["rows"][0]["treated"], treated / ill)


def test_time_to_drug_up_to_each_persons_end_of_observation(asked: tuple[Place, DuckDBPyConnection]) -> None:
    """Near Kaplan and Meier's curve over single days; bins of up to half a year add a few hundredths."""
    place, connection = asked
    waits = connection.execute(
        "WITH ill AS (SELECT person_id, min(condition_start_date) AS day FROM condition_occurrence WHERE "
        f"condition_concept_id IN {DIABETES} GROUP BY person_id) SELECT date_diff('day', day, (SELECT "
        "min(drug_exposure_start_date) FROM drug_exposure d WHERE d.person_id = ill.person_id AND drug_concept_id = "
        f"{cdm.METFORMIN} AND drug_exposure_start_date >= day)), date_diff('day', day, observation_period_end_date) "
        "FROM ill JOIN observation_period USING (person_id)"
    ).fetchall()
    curve = answer(place, 2)["rows"][0]["untreated"]["survival"]
    for part in curve:
        truth = _untreated(waits, part["until"])
        assert near(part, truth, beside=0.03)
        assert f"{100 * truth:.1f}%" in PAGE


def _untreated(waits: list[tuple[int | None, int]], until: int) -> float:
    share = 1.0
    for day in range(until):
        at_risk = sum(1 for wait, followed in waits if followed >= day and (wait is None or wait >= day))
        events = sum(1 for wait, followed in waits if wait == day and day <= followed)
        share *= 1 - events / at_risk
    return share


def test_ten_most_frequent_conditions_by_name(asked: tuple[Place, DuckDBPyConnection]) -> None:
    """With their names, and never the site's own concept."""
    place, connection = asked
    truth = connection.execute(
        "SELECT condition_concept_id, concept_name, count(DISTINCT person_id) FROM condition_occurrence JOIN concept ON "
        "concept_id = condition_concept_id GROUP BY ALL ORDER BY 3 DESC LIMIT 10"
    ).fetchall()
    assert all(f"| {concept} | {name} | {persons} |" in PAGE for concept, name, persons in truth)
    found = answer(place, 3)
    persons = {str(concept): number for concept, _, number in truth}
    names = {str(concept): name for concept, name, _ in truth}
    assert len(found["rows"]) >= 8
    for row in found["rows"]:
        concept = row["condition_concept_id"]
        if concept in persons:  # the tenth and eleventh may change places
            assert near(row["patients"], persons[concept], beside=5)
            assert found["value_labels"]["condition_concept_id"][concept] == names[concept]
    assert str(cdm.LOCAL) not in json.dumps(found)


def test_events_of_all_descendants(asked: tuple[Place, DuckDBPyConnection]) -> None:
    """Of a concept and of all that are under it, however deep."""
    place, connection = asked
    ((events, persons),) = connection.execute(
        f"SELECT count(*), count(DISTINCT person_id) FROM condition_occurrence WHERE condition_concept_id IN {DIABETES}"
    ).fetchall()
    assert f"Truth: {events} events of {persons} persons." in PAGE
    row = answer(place, 4)["rows"][0]
    assert near(row["events"], events)
    assert near(row["patients"], persons)


def test_pages_show_labels_beside_the_values(asked: tuple[Place, DuckDBPyConnection]) -> None:
    """In the catalog, in an answer's table and chart, and in the choices of a filter."""
    place, _ = asked
    released = answer(place, 0)["id"]
    opened = browser(place, "ada")
    catalog = opened.get("/datasets/omop").text
    assert "8507 (male), 8532 (female)" in catalog
    assert f"Codes of {cdm.RELEASE}" in catalog
    shown = opened.get(f"/studies/cohort/releases/{released}").text
    assert "<bdi>8532</bdi> <small><bdi>female</bdi></small>" in shown
    assert "8532 (female)" in shown.partition("<svg")[2]
