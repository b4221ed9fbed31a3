"""Formalities over HTTP, on the command line and on the pages: nothing is approved without them, or after they ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.server.pages.browsing import browser
from tests.serving import (
    FORMALITIES,
    UNADVISED,
    application,
    import_file,
    make_home,
    write_clinic,
    write_formalities,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.serving import Home, Place

APPROVAL = {"reason": "it may", **UNADVISED}
ENDED = {**FORMALITIES, "ends": "2025-12-31"}
FORMALITY = {"kind": "authorisation", "number": "DR-2025-1", "issued": "2025-01-01"}
EXPIRED = {**{name: text for name, text in FORMALITIES.items() if name != "why_none"}, **FORMALITY}
EXPIRED["expires"] = "2025-12-31"
TO_COME = {**EXPIRED, "issued": "2098-01-01", "expires": "2099-12-31"}
LACKING = pytest.mark.parametrize("named", [None, ENDED, EXPIRED, TO_COME], ids=["none", "ended", "expired", "to come"])


@pytest.fixture
def place(template: Home, tmp_path: Path) -> Iterator[Place]:
    """Return an application over a home of its own."""
    with application(template.copy(tmp_path / "home")) as opened:
        yield opened


def run(home: Home, *arguments: str) -> Result:
    """Run a command over a home."""
    return CliRunner().invoke(main, list(arguments), env=home.environment())


@LACKING
def test_no_study_is_approved_without_formalities_in_any_way(place: Place, named: dict[str, Any] | None) -> None:
    """HTTP, command and page refuse the same draft, and say why; nothing of it is approved."""
    place.open_study("s", approve=False, formalities=named)
    vera = place.client("vera")
    refused = vera.post("/studies/s/approve", APPROVAL)
    assert (refused.status, refused.code) == (409, "no-formality")
    why = vera.good("GET", "/studies/s")["lack"]
    assert refused.json()["detail"] == why
    ended = run(place.home, "study", "approve", "s", "--reason", "r", "--without-advice", "a test")
    assert (ended.exit_code, why in ended.output) == (1, True)
    assert f"nothing can be approved now: {why}" in run(place.home, "study", "show", "s").stdout
    page = browser(place, "vera").get("/studies/s/decide")
    assert f"Nothing can be approved now: {why}" in page.words()
    form = {**page.form('value="approve"'), "do": "approve", "reason": "r", "without_advice": "w"}
    page = browser(place, "vera").post("/studies/s/decide", form)
    assert page.status == 409
    assert why in page.words()
    assert vera.good("GET", "/studies/s")["state"] == "draft"


@LACKING
def test_no_dataset_is_approved_without_formalities_in_any_way(tmp_path: Path, named: dict[str, Any] | None) -> None:
    """HTTP, command and page refuse what waits of a dataset; proposed formalities let it be approved."""
    home = make_home(tmp_path / "home")
    manifest = write_clinic(tmp_path)
    text = manifest.read_text()
    section = text[text.index("[dataset.formalities]") : text.index("[person]")]
    lines = [] if named is None else [f"{name} = {json.dumps(value)}" for name, value in named.items()]
    manifest.write_text(text.replace(section, "\n".join(["[dataset.formalities]" if lines else "", *lines, "", ""])))
    told = run(home, "import", str(manifest)).stdout
    with application(home) as place:
        vera = place.client("vera")
        refused = vera.post("/datasets/clinic/approve", APPROVAL)
        assert (refused.status, refused.code) == (409, "no-formality")
        why = vera.good("GET", "/datasets/clinic")["terms"]["lack"]
        assert f"Nothing can be approved: {why}" in told
        ended = run(home, "dataset", "approve", "clinic", "--reason", "r", "--without-advice", "a test")
        assert (ended.exit_code, why in ended.output) == (1, True)
        page = browser(place, "vera").get("/datasets/clinic/decide")
        assert f"Nothing can be approved now: {why}" in page.words()
        form = {**page.form('value="approve"'), "do": "approve", "reason": "r", "without_advice": "w"}
        assert browser(place, "vera").post("/datasets/clinic/decide", form).status == 409
        file = write_formalities(tmp_path)
        proposed = run(
            home, "dataset", "propose", "clinic", "--formalities", str(file), "--reason", "r", "--as", "admin"
        )
        assert proposed.exit_code == 0, proposed.output
        done = vera.good("POST", "/datasets/clinic/approve", APPROVAL)["terms"]
        assert {name: text for name, text in done["formalities"].items() if text is not None} == FORMALITIES
    home.assert_sound()


def test_an_admin_writes_formalities_on_pages(place: Place) -> None:
    """The forms of a study and of a dataset begin with what is there, show what is refused at its field, and are saved."""
    place.open_study("s", approve=False, formalities=None)
    admin = browser(place, "admin")
    assert "/admin/studies/s/formalities" in admin.get("/admin/studies/s").text
    page = admin.get("/admin/studies/s/formalities")
    fields = page.form("<button>Save")  # it begins with those of the dataset
    assert fields["controller"] == "Whoever runs the demonstration"
    page = admin.post(page.path, {**fields, "why_none": ""})
    assert page.status == 422
    assert "is missing: say why no formality is needed" in page.words()
    page = admin.post(page.path, {**fields, "controller": "Another\r\nhospital"})
    assert "Saved." in page.words()
    assert place.client("vera").good("GET", "/studies/s")["formalities"]["controller"] == "Another\nhospital"
    page = admin.get("/admin/datasets/clinic/formalities")
    fields = {**page.form("<button>Propose"), "ends": "2098-12-31", "reason": "renewed"}
    assert "Proposed." in admin.post(page.path, fields).words()
    waits = place.client("vera").good("GET", "/datasets/clinic")["terms"]
    assert (waits["waiting"]["formalities"]["ends"], waits["formalities"]["ends"]) == ("2098-12-31", "2099-12-31")
    words = browser(place, "vera").get("/datasets/clinic/decide").words()
    assert "The formalities that wait" in words
    assert "2098" in words


def test_formalities_of_a_study_on_the_command_line(place: Place, tmp_path: Path) -> None:
    """A command shows them, and replaces them by those of a file; a wrong file is refused with the place."""
    place.open_study("s")
    shown = run(place.home, "study", "formalities", "s").stdout
    assert "formality: none needed: made-up data of a test" in shown
    file = str(write_formalities(tmp_path, controller="Another hospital"))
    changed = json.loads(run(place.home, "study", "formalities", "s", file, "--json").stdout)
    assert (changed["state"], changed["formalities"]["controller"]) == ("draft", "Another hospital")
    file = str(write_formalities(tmp_path, ends="soon"))
    assert "formalities/ends: must be a day" in run(place.home, "study", "formalities", "s", file).output


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"ends": "soon"}, "/formalities/ends"),
        ({"kind": "none", "number": "1"}, "/formalities/number"),
        ({"kind": "authorisation"}, "/formalities/why_none"),
        ({"controller": ""}, "/formalities/controller"),
        ({"owner": "me"}, "/formalities/owner"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "propose"])
def test_wrong_formalities_are_refused_with_their_place(
    shared: Place, method: str, change: dict[str, Any], pointer: str
) -> None:
    """Opening, editing and proposing refuse the same, at the same place."""
    admin, named = shared.client("admin"), {**FORMALITIES, **change}
    body = {"name": "wrong", "dataset": "clinic", "epsilon": 1, "title": "T", "purpose": "P", "legal_basis": "L"}
    path, sent = {
        "POST": ("/studies", {**body, "formalities": named}),
        "PATCH": ("/studies/flu", {"formalities": named}),
        "propose": ("/datasets/clinic/propose", {"formalities": named, "reason": "r"}),
    }[method]
    refused = admin.request("PATCH" if method == "PATCH" else "POST", path, sent)
    assert (refused.status, refused.code, refused.json()["pointer"]) == (422, "invalid-request", pointer)


def test_what_changed_of_formalities_is_shown_part_by_part(place: Place) -> None:
    """An approver sees what of the formalities is another since the last approval."""
    place.open_study("s")
    named = {**FORMALITIES, "recipients": "the public"}
    place.client("admin").good("PATCH", "/studies/s", {"formalities": named})
    changes = place.client("vera").good("GET", "/studies/s/changes")["changes"]
    before = FORMALITIES["recipients"]
    assert changes == [{"field": "formalities/recipients", "before": before, "after": "the public"}]
    assert f"Recipients {before} the public" in browser(place, "vera").get("/studies/s/decide").words()


def test_a_running_server_tells_what_ends(place: Place) -> None:
    """The first request after the minute finds a study that ended soon, and the DPO sees the alert in words."""
    place.open_study("s", formalities={**FORMALITIES, "ends": "2099-12-31"})
    place.home.change("UPDATE studies SET ends = '2000-01-01' WHERE id = 's'")
    place.services.clock_watch._looked_at = float("-inf")
    (alert,) = place.client("dora").good("GET", "/alerts?kind=deadlines")["items"]
    assert alert["summary"] == "the last day of the study s was 2000-01-01"
    assert "what ends" in browser(place, "dora").get("/alerts").words()


def test_later_manifest_with_other_formalities_proposes_them(place: Place, tmp_path: Path) -> None:
    """The edition is in service at once, and its formalities wait for an approver."""
    manifest = write_clinic(tmp_path, **{'"A hospital of the tests"': '"Another hospital"'})
    import_file(place.services, manifest)
    terms = place.client("vera").good("GET", "/datasets/clinic")["terms"]
    assert terms["waiting"]["formalities"]["controller"] == "Another hospital"
    assert terms["formalities"]["controller"] == FORMALITIES["controller"]
    place.home.assert_sound()
