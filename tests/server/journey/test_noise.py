"""The kinds of noise that a dataset and a protocol allow: the planner keeps to them, and says what to ask instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from budgets.verify.conduct import Conduct
from queries.catalog.schema import BOTH, GAUSSIAN, LAPLACE, allowed_noise
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.planning.noise import Noise, kinds_of
from tests.serving import PATIENTS, application, ask, import_file, write_clinic

if TYPE_CHECKING:
    from tests.serving import Client, Place

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
    log = [json.loads(row[0]) for row in place.home.rows("SELECT body FROM audit_entries ORDER BY position")]
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
