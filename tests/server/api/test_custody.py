"""What the custodian of a dataset sees: shares of the cap, reports of imports; and what an epsilon means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from queries.store import reports
from tests.serving import FORMALITIES, PATIENTS, ask, import_file, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Place


def test_shares_of_a_cap_add_up_to_what_is_refused(place: Place) -> None:
    """A study is promised its limit, a closed one what it spent, the profile its price; the sum decides on new studies."""
    admin, ada = place.client("admin"), place.client("ada")
    admin.good("POST", "/datasets/clinic/profile", {"epsilon": 0.5})
    place.open_study("open", "clinic", epsilon=3000.0)
    place.open_study("ended", "clinic", epsilon=2000.0)
    ada.good("POST", "/studies/ended/queries", ask(PATIENTS, 0.25, table="visits"))
    admin.good("POST", "/studies/ended/close", {"reason": "done"})
    shown = admin.good("GET", "/datasets/clinic/shares")
    assert {one["study"]: one["promised"] for one in shown["studies"]} == {"open": 3000.0, "ended": 0.25}
    assert (shown["profiles"], shown["promised"], shown["free"]) == (0.5, 3000.75, 6999.25)
    assert shown["budget"]["spent"]["epsilon"] == 0.75
    place.home.change("UPDATE datasets SET overcommit = 0")
    body = {"dataset": "clinic", "title": "T", "purpose": "P", "legal_basis": "L", "formalities": FORMALITIES}
    body["justification"] = "a test"
    assert admin.post("/studies", {**body, "name": "more", "epsilon": 6999.26}).code == "wrong-state"
    assert admin.post("/studies", {**body, "name": "more", "epsilon": shown["free"]}).status == 201


def test_report_of_an_import_is_kept_for_the_admin_until_its_store_is_deleted(place: Place, tmp_path: Path) -> None:
    """It has the exact counts of losses by column; each reading is an entry; an edition without its report has null."""
    admin = place.client("admin")
    assert import_file(place.services, write_clinic(tmp_path, ["1,female,2020-01-01,cheap,200,true,C"])) == 2
    before = place.home.last_entry()
    second, first = admin.good("GET", "/datasets/clinic/editions")["items"]
    assert place.home.actions(before) == ["dataset.import.read"]
    columns = second["report"]["tables"]["visits"]["columns"]
    assert (columns["cost"]["coerced"], columns["age"]["clamped"], columns["day"]["coerced"]) == (1, 1, 0)
    assert second["report"]["persons"] == 1
    (manifest,) = tmp_path.glob("*.toml")
    assert second["report"]["manifest"] == str(manifest)
    assert first["report"]["tables"]["visits"]["rows"] == 300
    place.home.store("clinic").with_name(reports.FILE).write_text("{")
    assert [one["report"] is None for one in admin.good("GET", "/datasets/clinic/editions")["items"]] == [True, False]
    assert admin.get("/datasets/nowhere/editions").status == 404


def test_meaning_of_an_epsilon_is_that_of_the_report(shared: Place) -> None:
    """At epsilon 1 a belief of 10% that somebody is in the data can become 23.2%, and in a fact about them 45.1%."""
    shown = shared.client("admin").good("GET", "/guarantee?epsilon=1")
    assert {one["prior"]: one["at_most"] for one in shown["presence"]}[0.1] == pytest.approx(0.23197)
    assert {one["prior"]: one["at_most"] for one in shown["fact"]}[0.1] == pytest.approx(0.450854, abs=2e-6)
    for wrong in ("epsilon=0", "epsilon=nan", "epsilon=one", "epsilon=-1", "epsilon=1&delta=1", ""):
        reply = shared.client("admin").get(f"/guarantee?{wrong}")
        assert (reply.status, reply.code) == (422, "invalid-request"), wrong


def test_state_of_the_server_is_for_the_admin(place: Place) -> None:
    """Each check by its name, and which one failed."""
    admin = place.client("admin")
    shown = admin.good("GET", "/server")
    assert [one["name"] for one in shown["checks"]] == ["ledger", "signing key", "stores"]
    assert all(one["passed"] for one in shown["checks"])
