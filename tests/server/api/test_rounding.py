from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.serving import FORMALITIES, PATIENTS, UNADVISED, Home, Place, ask

if TYPE_CHECKING:
    from pathlib import Path

SUM = 0.1 + 0.2  # 0.30000000000000004
NOTE = "0.30000000000000004 was offered and 0.3 was taken, because it is rounded down to a multiple of 0.000000001"


def run(home: Home, *arguments: str) -> Any:
    """Run a command that must succeed with --json, and once more in words, and return both."""
    ended = CliRunner().invoke(main, [*arguments, "--json"], env=home.environment())
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_a_sum_of_floats_is_an_offer(place: Place) -> None:
    """Estimates, rehearsals and queries take what fits, say so, and never charge more than was offered."""
    ada = place.client("ada")
    for way in ("estimates", "rehearsals", "queries"):
        said = ada.good("POST", f"/studies/flu/{way}", ask(PATIENTS, SUM))
        assert said["cost"]["epsilon"] == 0.3
        assert f"privacy/epsilon: {NOTE}" in said["notes"]
    assert place.home.charges() == [("reserve", 300_000_000), ("settle", 300_000_000)]


def test_two_spellings_that_round_to_the_same_are_one_question(place: Place) -> None:
    """The second is a free replay; each reply tells of its own request, and the stored release of none."""
    ada = place.client("ada")
    first = ada.good("POST", "/studies/flu/queries", ask(PATIENTS, SUM))
    for epsilon, noted in ((0.3, False), (SUM, True), (0.3000000001, True)):
        again = ada.good("POST", "/studies/flu/queries", ask(PATIENTS, epsilon))
        assert (again["id"], again["replayed"]) == (first["id"], True)
        assert any("was offered" in note for note in again["notes"]) == noted
    stored = ada.good("GET", f"/studies/flu/releases/{first['id']}")
    assert not any("was offered" in note for note in stored["notes"])
    other = ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.7 - 0.4))
    assert (other["replayed"], other["cost"]["epsilon"]) == (False, 0.299999999)


def test_rho_and_delta_are_offers_too(place: Place) -> None:
    """Rho is in billionths, delta in 10^-18; below one unit each is refused with its place and nothing is charged."""
    ada = place.client("ada")
    said = ada.good("POST", "/studies/flu/estimates", {**ask(PATIENTS), "privacy": {"rho": SUM / 10}})
    assert said["cost"]["rho"] <= 0.03
    assert said["notes"][0].startswith("privacy/rho: 0.030000000000000006 was offered and 0.03 was taken")
    place.open_study("codes", "clinic", delta=1e-6 / 3)
    query = {"from": "visits", "group_by": ["code"], "select": PATIENTS}
    body = {"query": query, "privacy": {"epsilon": 1.0, "delta": 1e-8 / 3}}
    said = ada.good("POST", "/studies/codes/estimates", body)
    assert said["notes"][0].startswith("privacy/delta: 3.3333333333333334e-09 was offered and 0.000000003333333333 was")
    assert said["cost"]["delta"] <= 1e-8 / 3
    for privacy, pointer in (
        ({"epsilon": 9.99e-10}, "/privacy/epsilon"),
        ({"rho": 1e-10}, "/privacy/rho"),
        ({"epsilon": 1, "delta": 1e-19}, "/privacy/delta"),
    ):
        refused = ada.post("/studies/codes/queries", {"query": query, "privacy": privacy})
        assert (refused.status, refused.code, refused.json()["pointer"]) == (422, "invalid-query", pointer)
        assert "must be at least 0.000000" in refused.json()["detail"]
    assert place.home.charges() == []


def test_budgets_and_limits_are_rounded_down(place: Place) -> None:
    """A study's budget and its protocol's largest epsilons never allow more than was written; each reply says so."""
    admin, ada = place.client("admin"), place.client("ada")
    template = {"name": "t", "query": {"from": "years", "select": PATIENTS}, "max_epsilon": SUM}
    body = {
        "name": "small", "dataset": "rand-hie", "epsilon": SUM, "delta": 1e-7 / 3, "title": "T", "purpose": "P",
        "legal_basis": "L", "formalities": FORMALITIES, "protocol": {"max_epsilon": SUM, "templates": [template]},
    }  # fmt: skip
    made = admin.good("POST", "/studies", body)
    assert made["budget"]["epsilon"] == made["protocol"]["max_epsilon"] == 0.3
    assert made["protocol"]["templates"][0]["max_epsilon"] == 0.3
    assert [note.partition(":")[0] for note in made["notes"]] == [
        "epsilon", "delta", "protocol/max_epsilon", "protocol/templates/0/max_epsilon",
    ]  # fmt: skip
    assert made["notes"][0] == f"epsilon: {NOTE}"
    assert "notes" not in admin.good("GET", "/studies/small")
    changed = admin.good("PUT", "/studies/small/budget", {"epsilon": 2 * SUM, "justification": "a test", "reason": "r"})
    assert (changed["budget"]["epsilon"], len(changed["notes"])) == (0.6, 1)
    assert "notes" not in admin.good(
        "PUT", "/studies/small/budget", {"epsilon": 0.3, "justification": "a test", "reason": "r"}
    )
    edited = admin.good("PATCH", "/studies/small", {"protocol": {"max_epsilon": SUM}})
    assert edited["notes"] == [f"protocol/max_epsilon: {NOTE}"]
    place.client("admin").good("PUT", "/studies/small/members/ada")
    place.client("vera").good("POST", "/studies/small/approve", {"reason": "it may", **UNADVISED})
    refused = ada.post("/studies/small/estimates", ask(PATIENTS, 0.300000001))
    assert (refused.status, refused.code) == (403, "outside-protocol")
    assert ada.good("POST", "/studies/small/queries", ask(PATIENTS, SUM))["budget"]["remaining"]["epsilon"] == 0
    for wrong, pointer in (({"epsilon": 1e-10}, "/epsilon"), ({"epsilon": 1, "delta": 1e-19}, "/delta")):
        reply = admin.request("PUT", "/studies/small/budget", {**wrong, "reason": "r"})
        assert (reply.status, reply.json()["pointer"]) == (422, pointer)
        assert "must be at least" in reply.json()["detail"]


def test_a_profile_is_bought_with_what_fits(place: Place) -> None:
    """The note stands in the reply."""
    said = place.client("admin").good("POST", "/datasets/clinic/profile", {"epsilon": 1.1 + 2.2})
    assert said["profile"]["cost"]["epsilon"] <= 3.3
    assert said["notes"][0].startswith("epsilon: 3.3000000000000003 was offered and 3.3 was taken")


def test_command_line_options_are_rounded_with_notes(place: Place, tmp_path: Path) -> None:
    """Options are rounded as the numbers of requests are, and notes say so."""
    home = place.home
    text = "SELECT COUNT(DISTINCT person) AS n FROM years"
    said = run(home, "query", "flu", "--sql", text, "--epsilon", repr(SUM))
    assert (said["cost"]["epsilon"], said["notes"][0]) == (0.3, f"privacy/epsilon: {NOTE}")
    words = CliRunner().invoke(main, ["query", "flu", "--sql", text, "--epsilon", repr(SUM)], env=home.environment())
    assert f"Note: privacy/epsilon: {NOTE}" in words.stdout
    options = ("--title", "T", "--purpose", "P", "--legal-basis", "L", "--max-epsilon", repr(SUM))
    made = run(home, "study", "new", "small", "--dataset", "rand-hie", "--epsilon", repr(SUM), *options)
    assert made["budget"]["epsilon"] == made["protocol"]["max_epsilon"] == 0.3
    assert made["notes"] == [f"epsilon: {NOTE}", f"max-epsilon: {NOTE}"]
    again = CliRunner().invoke(
        main, ["study", "budget", "small", "--epsilon", repr(SUM), "--reason", "r"], env=home.environment()
    )
    assert again.stdout.endswith(f"\nNote: epsilon: {NOTE}\n")
    file = tmp_path / "protocol.json"
    file.write_text(json.dumps({"max_epsilon": SUM}))
    assert run(home, "study", "protocol", "small", str(file))["notes"] == [f"protocol/max_epsilon: {NOTE}"]
    profile = run(home, "profile", "clinic", "--epsilon", "3.30000000000000000000000001")
    assert "3.3 was taken" in profile["notes"][0]


@pytest.mark.parametrize("given", ["1e-10", "1e-999999999", "0.0000000009"])
def test_less_than_a_unit_is_refused_on_the_command_line(home: Home, given: str) -> None:
    """At once, however small it is."""
    ended = CliRunner().invoke(main, ["profile", "clinic", "--epsilon", given], env=home.environment())
    assert (ended.exit_code, ended.stderr) == (1, "rowless: epsilon: must be at least 0.000000001\n")
