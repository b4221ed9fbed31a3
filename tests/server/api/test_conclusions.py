"""The conclusion of a report over HTTP: who writes it, on what, and where it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.server.reporting.test_report import HOSTILE, Elements, page_of
from tests.server.web.test_auth import limited
from tests.serving import PATIENTS, ask

if TYPE_CHECKING:
    from tests.serving import Place, Reply

PATH = "/studies/flu/report/conclusion"
WORDS = "Not personal for its readers."


def read(place: Place, study: str = "flu") -> str:
    """Return the digest of a report."""
    return str(place.client("vera").good("GET", f"/studies/{study}/report")["digest"])


def conclude(place: Place, text: str = WORDS, **others: Any) -> Reply:
    """Send a conclusion on the report as it is."""
    return place.client("vera").post(PATH, {"text": text, "seen": read(place), **others})


def test_conclusion_stands_in_the_report_and_beside_the_study(place: Place) -> None:
    """It is shown with who wrote it and on what, in the reports of the study and of its dataset, until it is replaced."""
    vera, dora = place.client("vera"), place.client("dora")
    assert dora.good("GET", "/studies/flu/report")["study"]["conclusion"] is None
    assert "empty until an approver signs one" in page_of(place).body.decode()
    place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    seen = read(place)
    given = vera.good("POST", PATH, {"text": WORDS, "seen": seen})["conclusion"]
    assert given["spent"]["epsilon"] == 0.5
    assert {name: given[name] for name in ("text", "by", "digest", "state", "releases", "changed")} == {
        "text": WORDS,
        "by": "vera",
        "digest": seen,
        "state": "approved",
        "releases": 1,
        "changed": [],
    }
    assert vera.good("GET", "/studies/flu")["conclusion"] == given
    report = dora.good("GET", "/studies/flu/report")
    assert report["study"]["conclusion"] == report["studies"][0]["conclusion"] == given
    assert dora.good("GET", "/datasets/rand-hie/report")["studies"][0]["conclusion"] == given
    assert dora.good("GET", "/datasets/rand-hie/report")["digest"] is None
    text = Elements(page_of(place)).text
    assert WORDS in text
    assert "The study has changed since" not in text
    vera.good("POST", PATH, {"text": "Another.", "seen": seen})
    told = [act["reason"] for act in dora.good("GET", "/studies/flu/report")["history"] if "conclude" in act["action"]]
    assert told == [WORDS, "Another."]


def test_report_says_what_changed_since_the_conclusion(place: Place) -> None:
    """A later answer, raise and suspension are named, and the conclusion on the old report is refused."""
    seen = read(place)
    assert conclude(place).status == 200
    place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    place.client("admin").good(
        "PUT", "/studies/flu/budget", {"epsilon": 2000.0, "justification": "a test", "reason": "more"}
    )
    place.client("dora").good("POST", "/studies/flu/suspend", {"reason": "a question"})
    changed = place.client("dora").good("GET", "/studies/flu/report")["study"]["conclusion"]["changed"]
    assert changed == ["state", "raise", "used", "releases"]
    assert "The study has changed since: its state, the larger budget that waits" in Elements(page_of(place)).text
    refused = place.client("vera").post(PATH, {"text": WORDS, "seen": seen})
    assert (refused.status, refused.code) == (409, "wrong-state")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"text": WORDS}, "/seen"),
        ({"text": WORDS, "seen": "0"}, "/seen"),
        ({"text": "", "seen": "0" * 64}, "/text"),
        ({"text": "x" * 4_001, "seen": "0" * 64}, "/text"),
        ({"seen": "0" * 64}, "/text"),
    ],
)
def test_conclusion_needs_words_and_what_was_read(place: Place, body: dict[str, Any], pointer: str) -> None:
    """Without the digest of a report there is nothing that it is about."""
    refused = place.client("vera").post(PATH, body)
    assert (refused.status, refused.code, refused.json()["pointer"]) == (422, "invalid-request", pointer)


def test_conclusion_is_for_an_approver_of_that_study(place: Place) -> None:
    """Another role, and a token for another study or for reading alone, are refused; one for this study is not."""
    place.open_study("other")
    body = {"text": WORDS, "seen": read(place)}
    for name in ("ada", "admin", "dora"):
        assert place.client(name).post(PATH, body).status == 403
    for limits in ({"study": "other"}, {"reads_only": True}):
        assert limited(place, "vera", **limits).post(PATH, body).code == "forbidden"
    assert place.client("dora").good("GET", "/studies/flu")["conclusion"] is None
    assert limited(place, "vera", study="flu").post(PATH, body).status == 200


def test_hostile_conclusion_is_text(place: Place) -> None:
    """It is shown as it was written, and becomes no element and no template; the member who left a name sees a role."""
    hostile = f"{HOSTILE}\u202eevil"
    assert conclude(place, hostile).status == 200
    for path in ("/studies/flu/report", "/datasets/rand-hie/report"):
        found = Elements(page_of(place, path))
        assert not {"script", "img", "iframe", "object"} & {tag for tag, _ in found.elements}
        assert hostile in found.text
    place.home.change("DELETE FROM identities WHERE name = 'vera'")
    given = place.client("dora").good("GET", "/studies/flu")["conclusion"]
    assert (given["text"], given["by"]) == (hostile, None)
    assert "An approver whose name was erased" in Elements(page_of(place)).text
