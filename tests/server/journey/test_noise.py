"""The kinds of noise that a dataset and a protocol allow: the planner keeps to them, and says what to ask instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from budgets.errors import NotApproved
from budgets.identity import people
from budgets.verify.conduct import Conduct
from queries.catalog.schema import BOTH, GAUSSIAN, LAPLACE, allowed_noise
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.planning.noise import Noise, kinds_of
from server.api.requests.query import AskSchema
from server.journey import answer, paid, preparing
from tests.serving import PATIENTS, UNADVISED, application, ask, import_file, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Client, Home, Place

RHO, EPSILON = {"rho": 0.01}, {"epsilon": 0.1}
LAPLACE_MARGIN, GAUSSIAN_MARGIN = {"margin": {"patients": 50}}, {"margin": {"patients": 50}, "noise": "gaussian"}


def test_terms_allow_what_both_allow() -> None:
    """What a dataset and a protocol allow together, in either order."""
    for one, other, found in (
        (BOTH, BOTH, BOTH),
        (BOTH, LAPLACE, LAPLACE),
        (GAUSSIAN, BOTH, GAUSSIAN),
        (LAPLACE, LAPLACE, LAPLACE),
        (LAPLACE, GAUSSIAN, None),
    ):
        assert allowed_noise(one, other) == allowed_noise(other, one) == found


def test_rho_buys_the_kind_that_is_allowed() -> None:
    """Rho buys either kind of noise, and only what is allowed; epsilon buys Laplace noise alone."""
    rho, epsilon = nodes.Privacy(rho_nano=10**7), nodes.Privacy(10**8)
    assert kinds_of(rho, BOTH) == (Noise.LAPLACE_OF_RHO, Noise.GAUSSIAN)
    assert kinds_of(rho, LAPLACE) == (Noise.LAPLACE_OF_RHO,)
    assert kinds_of(rho, GAUSSIAN) == (Noise.GAUSSIAN,)
    assert kinds_of(epsilon, LAPLACE) == kinds_of(epsilon, BOTH) == (Noise.LAPLACE,)
    with pytest.raises(InvalidQuery, match="offer rho"):
        kinds_of(epsilon, GAUSSIAN)


@pytest.mark.parametrize(
    ("noise", "privacy", "found"),
    [
        (LAPLACE, EPSILON, "discrete_laplace"),
        (LAPLACE, RHO, "discrete_laplace"),
        (LAPLACE, LAPLACE_MARGIN, "discrete_laplace"),
        (LAPLACE, GAUSSIAN_MARGIN, "/privacy/noise"),
        (GAUSSIAN, RHO, "discrete_gaussian"),
        (GAUSSIAN, GAUSSIAN_MARGIN, "discrete_gaussian"),
        (GAUSSIAN, EPSILON, "/privacy/epsilon"),
        (GAUSSIAN, LAPLACE_MARGIN, "/privacy/noise"),
        (BOTH, GAUSSIAN_MARGIN, "discrete_gaussian"),
    ],
)
def test_a_protocol_allows_one_kind_of_noise(place: Place, noise: str, privacy: dict[str, Any], found: str) -> None:
    """Under a protocol with one kind of noise answers have that kind, and what needs the other is refused free."""
    place.open_study("one", "rand-hie", protocol={"noise": noise})
    body = {**ask({**PATIENTS}), "privacy": privacy}
    ada, before = place.client("ada"), place.home.charges()
    reply = ada.post("/studies/one/queries", body)
    if found.startswith("/"):
        assert (reply.status, reply.json()["pointer"]) == (422, found)
        assert place.home.charges() == before
        return
    assert reply.status == 201
    assert {one["mechanism"] for one in reply.json()["columns"]} == {found}
    place.home.assert_sound()


def test_an_approver_sees_the_noise_of_a_protocol(place: Place) -> None:
    """The term is shown with the others, and an edit that leaves it out is a change."""
    place.open_study("one", "rand-hie", protocol={"noise": LAPLACE}, approve=False)
    vera, admin = place.client("vera"), place.client("admin")
    assert vera.good("GET", "/studies/one")["protocol"] == {"noise": LAPLACE}
    assert admin.request("PATCH", "/studies/one", {"protocol": {"noise": "pink"}}).status == 422


def test_the_check_finds_noise_that_the_protocol_does_not_allow(place: Place) -> None:
    """In the log a charge of Gaussian noise under a protocol of Laplace noise is outside it."""
    place.open_study("one", "rand-hie", protocol={"noise": LAPLACE})
    place.client("ada").good("POST", "/studies/one/queries", {**ask({**PATIENTS}), "privacy": EPSILON})
    log = entries(place.home)
    for epsilon, found in ((100_000_000, False), (None, True)):
        conduct, said = Conduct(), list[str]()
        for entry in log:
            if entry["action"] == "query.reserve" and entry["study"] == "one":
                entry["facts"]["loss"]["epsilon_nano"] = epsilon
            said += conduct.read(entry)
        assert any("noise other than laplace noise" in one for one in said) == found


def test_a_dataset_allows_one_kind_of_noise(tmp_path: Any, template: Any) -> None:
    """What the manifest says holds for every study, is public, and no protocol can ask for the other kind."""
    home = template.copy(tmp_path / "home")
    with application(home) as place:
        import_file(
            place.services, write_clinic(tmp_path, **{"epsilon = 10000.0": 'epsilon = 10000.0\nnoise = "laplace"'})
        )
        admin: Client = place.client("admin")
        assert admin.good("GET", "/datasets/clinic")["noise"] == "laplace"
        body = {"name": "two", "dataset": "clinic", "title": "T", "purpose": "P", "legal_basis": "L", "epsilon": 1.0}
        assert (
            admin.post("/studies", {**body, "protocol": {"noise": "gaussian"}}).json()["pointer"] == "/protocol/noise"
        )
        place.open_study("two", "clinic")
        asked = {**ask({"n": {"count": "persons"}}, table="visits"), "privacy": RHO}
        answer = place.client("ada").good("POST", "/studies/two/queries", asked)
        assert answer["columns"][0]["mechanism"] == "discrete_laplace"


def manifest(folder: Path, noise: str) -> Path:
    """Write the clinic with a kind of noise."""
    return write_clinic(folder, **{"epsilon = 10000.0": f'epsilon = 10000.0\nnoise = "{noise}"'})


def entries(home: Home) -> list[dict[str, Any]]:
    """Return the entries of the log."""
    return [json.loads(row[0]) for row in home.rows("SELECT body FROM audit_entries ORDER BY position")]


def approved(place: Place) -> None:
    """Let Vera approve what waits of the clinic."""
    place.client("vera").good("POST", "/datasets/clinic/approve", {"reason": "it may", **UNADVISED})


def mechanism(place: Place, number: int) -> str:
    """Ask the clinic a question of its own for rho, and return the mechanism of the answer, or the code of the refusal."""
    privacy = {"rho": 0.5 + number / 1000}
    asked = {**ask({"n": {"count": "persons"}}, table="visits", group_by=["sex", "urgent"]), "privacy": privacy}
    said = place.client("ada").post("/studies/two/queries", asked)
    return str(said.json()["columns"][-1]["mechanism"]) if said.status == 201 else said.code


def test_another_noise_waits_for_an_approver(tmp_path: Path, template: Home) -> None:
    """Noise is a term: an import proposes it, what was approved stays in force, and a narrower manifest counts at once."""
    home = template.copy(tmp_path / "home")
    with application(home) as place:
        vera = place.client("vera")
        import_file(place.services, manifest(tmp_path, "laplace"))
        approved(place)
        terms = vera.good("GET", "/datasets/clinic")["terms"]
        assert (terms["noise"], terms["waiting"]) == ("laplace", None)
        place.open_study("two", "clinic")
        assert mechanism(place, 1) == "discrete_laplace"
        # Wider: it waits, with the cap as it is.
        import_file(place.services, manifest(tmp_path, "both"))
        shown = vera.good("GET", "/datasets/clinic")
        assert (shown["noise"], shown["terms"]["noise"]) == ("laplace", "laplace")
        waiting = shown["terms"]["waiting"]
        assert (waiting["noise"], waiting["epsilon"], waiting["profile"]) == ("both", 10000.0, 0)
        assert mechanism(place, 2) == "discrete_laplace"
        approved(place)
        assert vera.good("GET", "/datasets/clinic")["noise"] == "both"
        assert mechanism(place, 3) == "discrete_gaussian"
        assert mechanism(place, 2) == "discrete_gaussian"  # the same text is planned anew
        # Narrower: at once, and it waits too, so that the terms say it.
        import_file(place.services, manifest(tmp_path, "laplace"))
        shown = vera.good("GET", "/datasets/clinic")
        assert (shown["noise"], shown["terms"]["noise"]) == ("laplace", "both")
        assert shown["terms"]["waiting"]["noise"] == "laplace"
        assert mechanism(place, 4) == "discrete_laplace"
        # As it was: nothing is left to decide, but what waits says so itself.
        import_file(place.services, manifest(tmp_path, "both"))
        assert vera.good("GET", "/datasets/clinic")["terms"]["waiting"]["noise"] == "both"
        assert mechanism(place, 5) == "discrete_gaussian"
        # The other kind: what was approved stays until it is approved.
        import_file(place.services, manifest(tmp_path, "laplace"))
        approved(place)
        import_file(place.services, manifest(tmp_path, "gaussian"))
        assert mechanism(place, 6) == "discrete_laplace"
        approved(place)
        assert mechanism(place, 7) == "discrete_gaussian"
    home.assert_sound()
    log = entries(home)
    imports = [entry for entry in log if entry["action"] == "dataset.import"]
    assert {entry["facts"]["noise"] for entry in imports} == {"laplace", "both", "gaussian"}
    # The check of the log knows what was approved when each question was charged.
    for entry in log:
        if entry["action"] == "query.reserve":
            loss = entry["facts"]["loss"]
            loss["epsilon_nano"] = 10**9 if loss["epsilon_nano"] is None else None
    conduct = Conduct()
    said = [problem for entry in log for problem in conduct.read(entry) if "was approved for" in problem]
    assert [problem.split("approved for ")[1].split()[0] for problem in said] == [LAPLACE, LAPLACE, LAPLACE, GAUSSIAN]


def test_noise_that_an_approval_has_just_taken_away_is_refused(tmp_path: Path, template: Home) -> None:
    """A question that was planned with Gaussian noise is not charged once Laplace noise alone is approved."""
    home = template.copy(tmp_path / "home")
    with application(home) as place:
        import_file(place.services, manifest(tmp_path, "both"))
        place.open_study("two", "clinic")
        counted = ask({"n": {"count": "persons"}}, table="visits", group_by=["sex", "urgent"])
        loaded = AskSchema().load({**counted, "privacy": {"rho": 0.5}})
        with place.services.database.read() as transaction:
            ada = people.user(transaction, "ada")
        asked = preparing.Request(loaded["query"], loaded["privacy"])
        wanted = answer.QueryPurchase.of(place.services, ada, preparing.prepare(place.services, ada, "two", asked))
        assert wanted.loss.epsilon_nano is None
        import_file(place.services, manifest(tmp_path, "laplace"))
        approved(place)
        with pytest.raises(NotApproved, match="the terms of the dataset clinic have just been changed"):
            paid.replay_or_reserve(wanted)
    assert "query.reserve" not in home.actions()
