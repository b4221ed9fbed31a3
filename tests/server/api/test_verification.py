"""The independent check run by the server, and the list of charges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from budgets.actors import SYSTEM
from budgets.audit import signing
from budgets.verify import checkpoint
from tests.serving import PATIENTS, ask

if TYPE_CHECKING:
    from tests.serving import Place


def verified(place: Place, **kept: Any) -> dict[str, Any]:
    """Have the server check its log."""
    found: dict[str, Any] = place.client("dora").good("POST", "/audit/verification", kept)
    return found


def test_sound_log_passes_and_the_check_covers_its_own_entry(shared: Place) -> None:
    """Verdict, size and sums are those of the log; a checkpoint that was kept, and a rotated key, are followed."""
    dora = shared.client("dora")
    shared.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    kept = dora.good("GET", "/audit/checkpoint")
    signing.rotate(shared.services.database, shared.services.settings.key_path, SYSTEM)
    found = verified(shared, older=[kept["note"]])
    assert (found["verdict"], found["problems"], found["own_key"]) == ("ok", [], True)
    assert found["entries"] == checkpoint.read(found["checkpoint"]).size == shared.home.last_entry() + 1
    assert shared.home.actions()[-1] == "audit.verify"
    (flu,) = [one for one in found["accounts"] if one["owner"] == "flu"]
    assert flu["used"]["epsilon"] == dora.good("GET", "/studies/flu/budget")["spent"]["epsilon"]
    assert verified(shared, key=kept["key"])["own_key"] is False


def test_what_does_not_fit_is_a_problem_in_the_report(shared: Place) -> None:
    """Another key, a text that is no checkpoint, and options in the place of a key are told, and break nothing."""
    for kept, problem in (
        ({"key": "rowless-00000000+00000000+AAAA"}, "the key"),
        ({"key": "--log=/etc/passwd"}, "the key"),
        ({"older": ["no checkpoint"]}, "the older checkpoint"),
    ):
        found = verified(shared, **kept)
        assert found["verdict"] == "failed"
        assert found["problems"][0].startswith(problem)
    reply = shared.client("dora").post("/audit/verification", {"older": ["x" * 5000]})
    assert (reply.status, reply.json()["pointer"]) == (422, "/older/0")


def test_check_that_dies_is_told_and_gives_its_place_back(shared: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever kills the process, the reply is 503, and the next check runs."""
    with monkeypatch.context() as patched:
        patched.setattr("server.runtime.verifying.sys.executable", "/bin/false")
        reply = shared.client("dora").post("/audit/verification", {})
    assert (reply.status, reply.code) == (503, "unavailable")
    assert verified(shared)["verdict"] == "ok"


def test_changed_entry_fails(place: Place) -> None:
    """An entry that was changed in the database is named."""
    place.home.change(
        "UPDATE audit_entries SET body = replace(body, 'it may', 'it must') WHERE action = 'study.approve'"
    )
    found = verified(place)
    assert found["verdict"] == "failed"
    assert any("does not follow the entry before it" in problem for problem in found["problems"])


def test_charges_of_a_dataset_add_up_to_what_it_used(shared: Place) -> None:
    """Studies and profiles, oldest first, page by page; what was given back is left out."""
    admin, ada = shared.client("admin"), shared.client("ada")
    admin.good("POST", "/datasets/clinic/propose", {"profile": 0.5, "reason": "to know the bounds"})
    shared.client("vera").good("POST", "/datasets/clinic/approve", {"reason": "yes", "without_advice": "away"})
    admin.good("POST", "/datasets/clinic/profile", {"epsilon": 0.5})
    shared.open_study("spends", "clinic")
    body = {"sql": "SELECT COUNT(DISTINCT person) AS n FROM visits", "privacy": {"epsilon": 0.25}}
    ada.good("POST", "/studies/spends/queries", body)
    shared.home.change(
        "INSERT INTO charges SELECT 'aa', kind, NULL, study, dataset, edition, 'f', 1, 1, 0, at FROM charges "
        "WHERE study = 'spends' AND kind = 'reserve'"
    )
    shared.home.change(
        "INSERT INTO charges SELECT 'bb', 'void', 'aa', study, dataset, edition, 'f', 1, 1, 0, at FROM charges "
        "WHERE id = 'aa'"
    )
    first = admin.good("GET", "/datasets/clinic/charges?limit=1")
    rest = admin.good("GET", f"/datasets/clinic/charges?cursor={first['next']}")
    found = [(one["study"], one["epsilon"]) for one in (*first["items"], *rest["items"])]
    assert (found, rest["next"]) == ([(None, 0.5), ("spends", 0.25)], None)
    last = admin.good("GET", "/datasets/clinic/charges?limit=1&order=newest")
    older = admin.good("GET", f"/datasets/clinic/charges?order=newest&cursor={last['next']}")
    assert [*last["items"], *older["items"]] == [*rest["items"], *first["items"]]
    assert admin.get("/datasets/clinic/charges?cursor=x").status == 422
    assert admin.get("/datasets/nowhere/charges").status == 404
    shared.home.change("DELETE FROM charges WHERE id IN ('aa', 'bb')")
