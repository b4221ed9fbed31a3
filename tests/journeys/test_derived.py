"""Standardised rates and differences of survival curves through the whole server, beside the truth by DuckDB."""

from __future__ import annotations

import csv
import io
import itertools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import duckdb
import pytest

from server.demo.observatory import write_observatory
from server.demo.setup import OBSERVATORY
from tests.serving import Place, application, make_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STUDY = "/studies/pathways"
PRIVACY = {"epsilon": 5.0}  # so much that what is wrong is no noise
FOLLOWED = {
    "per_person": "consultations",
    "where": {"column": "diagnosis", "op": "=", "value": "D007"},
    "values": {
        "wait": {
            "days_to": {"of": "prescriptions", "where": {"column": "drug", "op": "in", "value": ["M016", "M032"]}}
        },
        "last_seen": {"max": "date"},
    },
}
ENDS = {"ends": "2022-12-31", "censored": "last_seen"}
BINS = [1920, 1950, 1980, 2017]
WEIGHTS = {"[1920, 1950)": 19_000, "[1950, 1980)": 41_000, "[1980, 2017)": 40_000}
RATES = {
    "from": FOLLOWED,
    "group_by": ["sex", {"column": "birth_year", "bins": BINS}],
    "select": {"treated": {"rate": "wait", "days": 730, **ENDS}},
}
STANDARD = {"standardise": {"statistic": "treated", "by": "birth_year", "weights": WEIGHTS}}
EDGES = list(range(0, 731, 10))
CURVES = {
    "from": FOLLOWED,
    "group_by": ["sex"],
    "select": {"untreated": {"survival": "wait", "bins": EDGES, **ENDS}},
}
LESS = {"difference": {"statistic": "untreated", "by": "sex", "reference": "male", "band": "simultaneous"}}
TIMES = """
    WITH starts AS (SELECT person, MIN(date) AS start, MAX(date) AS seen FROM consultations
                    WHERE diagnosis = 'D007' GROUP BY person),
         firsts AS (SELECT s.person, MIN(p.date) AS event FROM starts AS s JOIN prescriptions AS p
                    ON p.person = s.person AND p.date >= s.start AND p.drug IN ('M016', 'M032') GROUP BY s.person),
         times AS (SELECT sex, birth_year, event - start AS wait,
                          LEAST(seen, DATE '2022-12-31') - start AS followed
                   FROM starts JOIN persons USING (person) LEFT JOIN firsts USING (person)
                   WHERE LEAST(seen, DATE '2022-12-31') >= start)
"""
RATES_OF_FILE = f"""{TIMES}
    SELECT sex, birth_year >= 1950 AS later, birth_year >= 1980 AS latest,
           SUM(CASE WHEN wait <= LEAST(followed, 730) THEN 1 ELSE 0 END) * 365.25
           / SUM(CASE WHEN wait <= LEAST(followed, 730) THEN wait ELSE LEAST(followed, 730) END) AS rate
    FROM times GROUP BY ALL ORDER BY ALL
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the demonstration's observatory."""
    found = tmp_path_factory.mktemp("observatory")
    manifest = write_observatory(found, OBSERVATORY).manifest
    manifest.write_text(manifest.read_text().replace("epsilon = 3.0", "epsilon = 100.0"))
    return found


@pytest.fixture(scope="module")
def observatory(folder: Path) -> Iterator[Place]:
    """Return an application with these data, and a study on them."""
    with application(make_home(folder / "home", folder / "observatory.toml")) as opened:
        opened.open_study("pathways", "observatory", epsilon=25.0)
        yield opened


@pytest.fixture(scope="module")
def files(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return the files for DuckDB."""
    found = duckdb.connect()
    for name in ("persons", "consultations", "prescriptions"):
        found.execute(f"CREATE VIEW {name} AS SELECT * RENAME (patient AS person) FROM '{folder / name}.parquet'")
    return found


def asked(place: Place, query: dict[str, Any], show: dict[str, Any]) -> Any:
    """Return the answer at an epsilon of 5."""
    body = {"query": query, "privacy": PRIVACY, "show": show}
    estimate = place.client("ada").good("POST", f"{STUDY}/estimates", body)
    assert any("standardised rates and differences of curves" in note for note in estimate["notes"])
    assert estimate["show"].items() >= show.items()
    return place.client("ada").good("POST", f"{STUDY}/queries", body)


def test_standardised_rates_hold_the_truth_of_the_file(observatory: Place, files: duckdb.DuckDBPyConnection) -> None:
    """By sex, over three bands of birth; shown in another way the release is the same, free, and as a CSV."""
    found = asked(observatory, RATES, STANDARD)
    truth: dict[str, float] = {}
    for (sex, *_, rate), weight in zip(files.sql(RATES_OF_FILE).fetchall(), 2 * list(WEIGHTS.values()), strict=True):
        truth[sex] = truth.get(sex, 0.0) + rate * weight / 100_000
    assert len(found["rows"]) == len(truth) == 2
    for row in found["rows"]:
        result = row["treated_standardised"]
        # Each holds it in 95 of 100 releases. A sum of six noises passes six margins in no 10^7 releases.
        margin = (result["high"] - result["low"]) / 2
        assert abs(result["value"] - truth[row["sex"]]) <= 6 * margin
        assert margin < 0.0015
    place = f"{STUDY}/releases/{found['id']}"
    plain = observatory.client("ada").good("GET", place)
    assert len(plain["rows"]) == 6
    assert plain["columns"][2]["noise"]["scales"] == pytest.approx({"events": 0.4, "person_days": 292.0})
    again = observatory.client("ada").good(
        "POST", f"{STUDY}/queries", {"query": RATES, "privacy": PRIVACY, "show": STANDARD}
    )
    assert again["replayed"]
    assert again["rows"] == found["rows"]
    shown = urlencode({"show": json.dumps(STANDARD)})
    text = observatory.client("ada").get(f"{place}?{shown}", Accept="text/csv").body.decode()
    lines = list(csv.DictReader(io.StringIO("\n".join(line for line in text.splitlines() if not line.startswith("#")))))
    assert [float(line["treated_standardised_low"]) for line in lines] == [
        row["treated_standardised"]["low"] for row in found["rows"]
    ]
    assert "treated_by_birth_year[[1920, 1950)]" in lines[0]


def test_a_simultaneous_band_holds_the_difference_of_the_file(
    observatory: Place, files: duckdb.DuckDBPyConnection
) -> None:
    """The life tables of the file, by DuckDB, within three times its width; the chart has the difference, and no script.

    The band holds them at once in 95 of 100 releases. Three times as far is eight standard deviations.
    """
    found = asked(observatory, CURVES, LESS)
    curves = {}
    for sex in ("female", "male"):
        rows = files.sql(f"{TIMES} SELECT wait, followed FROM times WHERE sex = '{sex}'").fetchall()
        curve, value = [], 1.0
        for low, high in itertools.pairwise(EDGES):
            ends = [(w, f) for w, f in rows if (w if w is not None and w <= f else f) >= low]
            events = sum(w is not None and w <= f and w < high for w, f in ends)
            lost = sum(not (w is not None and w <= f) and f < high for w, f in ends)
            value *= 1 - events / (len(ends) - lost * (high - low - 1) / (2 * (high - low)))
            curve.append(value)
        curves[sex] = curve
    row = next(one for one in found["rows"] if one["sex"] == "female")
    points = row["untreated_difference"]["differences"]
    for part, one, other in zip(points, curves["female"], curves["male"], strict=True):
        assert 3 * (part["low"] - part["value"]) <= one - other - part["value"] <= 3 * (part["high"] - part["value"])
        assert part["high"] - part["low"] < 0.01
    shown = urlencode({"show": json.dumps(LESS)})
    sheet = observatory.client("ada").get(f"{STUDY}/releases/{found['id']}?{shown}", Accept="image/svg+xml")
    text = sheet.body.decode()
    assert "untreated_difference" in text
    assert "untreated_days_difference" in text
    assert "Difference of survival curves in steps." in text


def test_a_request_that_cannot_be_shown_is_refused_before_it_is_charged(observatory: Place) -> None:
    """With the place, from the query's own keys; SQL may order what is computed from its statistics."""
    ada = observatory.client("ada")
    before = observatory.home.charges("pathways")
    wrong = {"standardise": {**STANDARD["standardise"], "weights": {"[1920, 1950)": 1}}}
    refused = ada.request("POST", f"{STUDY}/queries", {"query": RATES, "privacy": {"epsilon": 0.4}, "show": wrong})
    assert (refused.status, refused.json()["pointer"]) == (422, "/show/standardise/weights")
    assert observatory.home.charges("pathways") == before
    sql = asked(observatory, RATES, STANDARD)["sql"]
    body = {"sql": f"{sql} ORDER BY treated_standardised LIMIT 1", "privacy": PRIVACY, "show": STANDARD}
    shown = ada.good("POST", f"{STUDY}/queries", body)
    assert shown["replayed"]
    assert len(shown["rows"]) == 1
