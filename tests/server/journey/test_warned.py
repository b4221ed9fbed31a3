"""What is said before the charge: answers that drown in their noise, and curves that do not say when the data end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.serving import PATIENTS, ROOT, application, ask, make_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Home, Place

CASE = ROOT / "tests" / "cases" / "survival-rossi"
FINE = {"group_by": ["plan", "age", "site"], "bounds": {"cells_per_person": 5}}  # 7,668 cells


def run(home: Home, *arguments: str) -> Any:
    """Run a command over a home."""
    return CliRunner().invoke(main, list(arguments), env=home.environment())


def test_a_question_that_drowns_is_refused_before_the_charge(shared: Place) -> None:
    """The estimate says the share; required to be less, the query is refused free, with a code of its own; else it is not."""
    shared.open_study("drowning")
    ada, path = shared.client("ada"), "/studies/drowning"
    body = ask(PATIENTS, 0.5, **FINE)
    estimate = ada.good("POST", f"{path}/estimates", body)
    share = estimate["drowned"]
    assert 0.1 < share <= 1
    assert estimate["drowned_of"] == {"patients": share}
    assert any(
        f"About {share:.0%} of the numbers of patients are expected to drown" in one for one in estimate["advice"]
    )
    required = {**body, "require": {"drowned": round(share - 0.01, 4)}}
    refused = ada.post(f"{path}/queries", required)
    assert (refused.status, refused.code) == (422, "would-drown")
    assert refused.json()["drowned"] == share
    assert ada.good("GET", f"{path}/budget")["spent"]["epsilon"] == 0
    assert ada.good("POST", f"{path}/estimates", required) == estimate, "an estimate says it and refuses nothing"
    assert ada.good("POST", f"{path}/rehearsals", required)["rehearsal"]
    said = ada.good("POST", f"{path}/queries", {**body, "require": {"drowned": share}})
    assert not said["replayed"]
    assert ada.good("POST", f"{path}/queries", body)["id"] == said["id"], "it is no part of the question"
    margin = estimate["columns"][-1]["margin"]
    drowned = sum(abs(row["patients"]["value"]) < margin for row in said["rows"]) / len(said["rows"])
    assert share <= drowned + 0.05, "at best: the catalog allows more persons than there are"


def test_few_cells_do_not_drown(shared: Place) -> None:
    """A count by sex is answered whatever is required, and nothing is said of drowning."""
    shared.open_study("floating")
    body = {**ask(PATIENTS, 0.5, group_by=["sex"]), "require": {"drowned": 0.001}}
    estimate = shared.client("ada").good("POST", "/studies/floating/estimates", body)
    assert estimate["drowned"] < 0.001
    assert not any("drown" in one for one in estimate["advice"])
    assert shared.client("ada").good("POST", "/studies/floating/queries", body)["rows"]


@pytest.mark.parametrize("require", [0.2, [], {}, {"drowned": 1.1}, {"drowned": -0.1}, {"drowned": "x"}, {"other": 1}])
def test_odd_require_refused_with_its_place(shared: Place, require: Any) -> None:
    """Another shape or share is refused with its place."""
    reply = shared.client("ada").post("/studies/flu/queries", {**ask(PATIENTS), "require": require})
    assert (reply.status, reply.code) == (422, "invalid-query")
    assert reply.json()["pointer"].startswith("/require")


def test_query_command_takes_require(place: Place) -> None:
    """Of SQL and of a file; the reason stands on standard error, and nothing is charged."""
    text = "SELECT plan, age, site, COUNT(DISTINCT person) AS patients FROM years GROUP BY plan, age, site"
    file = place.home.path.parent / "asked.json"
    file.write_text(json.dumps(ask(PATIENTS, 0.5, **FINE)))
    for asked in (("--sql", text, "--epsilon", "0.5", "--cells-per-person", "5"), (str(file),)):
        refused = run(place.home, "query", "flu", *asked, "--require-drowned", "0.05")
        assert (refused.exit_code, refused.stdout) == (1, ""), asked
        assert "at most 5.0% may be" in refused.stderr
    assert place.home.charges() == []
    estimate = run(place.home, "query", "flu", "--estimate", "--sql", text, "--epsilon", "0.5")
    assert "are expected to drown in the noise, at best" in estimate.stdout


# Survival without an end


@pytest.fixture(scope="module")
def rossi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application over the 432 persons who were released, and followed for a year, with a study."""
    home = make_home(tmp_path_factory.mktemp("rossi") / "home", CASE / "manifest.toml")
    with application(home) as opened:
        opened.open_study("s", "c07", epsilon=5000.0)
        yield opened


def curve(**parts: Any) -> dict[str, Any]:
    """Return the body of a query for the curve of the case, with or without the day on which the data end."""
    body: dict[str, Any] = json.loads((CASE / "s.json").read_text())
    del body["query"]["select"]["s"]["ends"]
    del body["query"]["group_by"]
    body["query"]["select"]["s"] |= parts
    return body


def test_a_curve_without_an_end_says_so_before_the_charge(rossi: Place) -> None:
    """Estimate, rehearsal and answer name the day that is used and how to give another; with `ends` none of them does."""
    ada = rossi.client("ada")
    estimate = ada.good("POST", "/studies/s/estimates", curve())
    assert "followed up to 2001-12-31, the last day that date may have in arrest" in estimate["advice"][0]
    assert '"ends": "2020-12-31"' in estimate["advice"][0]
    assert "SURVIVAL(wait, [0, 71, 141, ...], DATE '2020-12-31')" in estimate["advice"][0]
    for kind in ("rehearsals", "queries", "estimates"):
        open_ended = ada.good("POST", f"/studies/s/{kind}", curve())
        assert any("followed up to 2001-12-31" in note for note in open_ended["notes"]), kind
        ended = ada.good("POST", f"/studies/s/{kind}", curve(ends="2000-12-30"))
        assert not any("followed up to" in note for note in [*ended["notes"], *ended.get("advice", [])]), kind
