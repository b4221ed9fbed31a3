from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from budgets import errors as budget_errors
from queries import errors as query_errors
from server import errors as server_errors
from server.admission import gate as admission
from server.runtime import health
from server.web.problems import HTTP, INTERNAL, PROBLEMS
from tests.serving import PATIENTS, PROBLEM, REQUEST_ID, ask, every_place_taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Place

ROOTS = (query_errors.QueriesError, budget_errors.BudgetsError, server_errors.ServerError)
# Raised outside HTTP: by imports, by the start, by commands; or always caught before an answer is made.
NEVER_SENT = {
    "ManifestError",  # import
    "ImportFailed",  # import
    "ManifestErrors",  # import: all of a manifest's at once
    "TooMuchLost",  # import
    "OddIds",  # import
    "SparkRefused",  # the start, and an import
    "EngineFailed",  # caught after the charge: answered as QueryFailed
    "NoHome",  # the start
    "SettingsError",  # the start
    "SchemaOutdated",  # the start
    "Unhealthy",  # doctor
    "NoData",  # demo
    "NotServing",  # demo
    "NotAnswered",  # demo
    "RemoteRefused",  # commands that call a server
    "Refused",  # shown as a page: the problem document of a call that a page made
}


def leaves(root: type[Exception]) -> Iterator[type[Exception]]:
    """Yield the classes below a root that nothing is derived from."""
    for one in root.__subclasses__():
        yield from leaves(one)
        if not one.__subclasses__():
            yield one


def test_every_error_has_its_answer() -> None:
    """Each leaf of the three trees that can reach HTTP is in the table, and nothing else is."""
    found = {one for root in ROOTS for one in leaves(root)}
    assert health.Unhealthy in found
    missing = {one.__name__ for one in found - set(PROBLEMS)}
    assert missing <= NEVER_SENT
    assert set(PROBLEMS) <= found


def test_no_error_is_answered_by_its_parent() -> None:
    """Only leaves are in the table, so that no new error is answered by accident."""
    assert not any(one.__subclasses__() for one in PROBLEMS)


# The codes that clients rely on.
CODES = {
    *(
        (400, "malformed"),
        (401, "unauthenticated"),
        (403, "forbidden"),
        (403, "not-approved"),
        (403, "outside-protocol"),
    ),
    *((404, "not-found"), (409, "budget-exceeded"), (409, "idempotency-conflict"), (409, "wrong-state")),
    *((413, "too-large"), (422, "invalid-query"), (500, "query-failed"), (503, "busy")),
}


def test_the_codes_are_those_of_the_contract() -> None:
    """Status and code of each answer are the contract's, and a code has one status."""
    answers = [*PROBLEMS.values(), *HTTP.values()]
    pairs = {(answer.status, answer.code) for answer in answers}
    assert pairs >= CODES
    assert len({code for _, code in pairs}) == len(pairs)
    assert all(status == answer.status for status, answer in HTTP.items())


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/studies/flu/", 404, "not-found"),
        ("GET", "/studies/..%2F..%2Fetc%2Fpasswd", 404, "not-found"),
        ("GET", "/studies/%00", 404, "not-found"),
        ("GET", "/studies/%FF%FE", 404, "not-found"),
        ("POST", "/me", 405, "method-not-allowed"),
        ("DELETE", "/studies/flu", 405, "method-not-allowed"),
        ("BREW", "/me", 405, "method-not-allowed"),
        ("GET", "/studies?limit=0", 422, "invalid-request"),
        ("GET", "/studies?limit=1001", 422, "invalid-request"),
        ("GET", "/studies?limit=ten", 422, "invalid-request"),
        ("GET", f"/studies?limit={'9' * 5000}", 422, "invalid-request"),
        ("GET", "/studies?page=2", 422, "invalid-request"),
    ],
)
def test_http_errors_are_problems(shared: Place, method: str, path: str, status: int, code: str) -> None:
    """What Flask and Werkzeug refuse is answered as a problem document too, in our words."""
    reply = shared.client("ada").request(method, path)
    assert (reply.status, reply.content_type, reply.code) == (status, PROBLEM, code)
    told = reply.json()
    assert {"type", "title", "status", "code"} <= told.keys()
    assert "werkzeug" not in reply.body.decode().lower()
    assert "The requested URL" not in reply.body.decode()


def test_a_failure_of_the_server_says_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """With the ledger gone under a running application every route gives one constant text; the log has the cause."""
    ada = place.client("ada")
    assert ada.post("/studies/flu/queries", ask(PATIENTS)).status == 201
    place.home.change("DROP TABLE members")
    with caplog.at_level(logging.ERROR, "rowless"):
        replies = [
            ada.post("/studies/flu/queries", ask(PATIENTS)),
            ada.post("/studies/flu/estimates", ask(PATIENTS)),
            ada.get("/studies/flu"),
            ada.get("/me"),
            place.client("dora").get("/studies"),
        ]
    for reply in replies:
        assert (reply.status, reply.content_type) == (500, PROBLEM)
        assert reply.json() == {
            "type": "urn:rowless:problem:internal-error",
            "title": INTERNAL.title,
            "status": 500,
            "code": "internal-error",
            "request_id": REQUEST_ID,
        }
    assert "no such table: members" in caplog.text


def test_a_damaged_ledger_says_nothing(place: Place) -> None:
    """With the ledger's file overwritten every answer is one constant text, and no word of SQLite's."""
    logging.disable(logging.CRITICAL)
    try:
        place.services.database.close()
        for file in place.home.path.glob("ledger.sqlite*"):
            file.write_bytes(b"\x00garbage" * 5_000)
        replies = [place.client("ada").get("/me"), place.client("ada").post("/studies/flu/queries", ask(PATIENTS))]
    finally:
        logging.disable(logging.NOTSET)
    for reply in replies:
        assert (reply.status, reply.code) == (503, "unavailable")
        assert b"database" not in reply.body
    assert place.client(None).get("/health").status == 200


def test_an_over_budget_problem_says_what_is_left(place: Place) -> None:
    """budget-exceeded carries the account, the cost and what remains, as numbers."""
    place.open_study("small", epsilon=0.25)
    told = place.client("ada").post("/studies/small/queries", ask(PATIENTS, 0.5)).json()
    assert (told["account"], told["cost"]["epsilon"], told["remaining"]["epsilon"]) == ("study", 0.5, 0.25)
    assert told["remaining"]["rho"] == 0.001573888


def test_busy_says_when_to_come_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every place for scans taken a query is refused with 503, Retry-After, and no charge."""
    monkeypatch.setattr(admission, "BEATS", 0)
    with every_place_taken(place.services.gates.query):
        reply = place.client("ada").post("/studies/flu/queries", ask(PATIENTS))
        assert (reply.status, reply.code) == (503, "busy")
        assert int(reply.headers["retry-after"]) > 0
        assert place.home.charges() == []
        assert place.client("ada").post("/studies/flu/estimates", ask(PATIENTS)).status == 200
    assert place.client("ada").post("/studies/flu/queries", ask(PATIENTS)).status == 201
