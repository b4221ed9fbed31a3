"""A request's id in reply, problem, log and audit entry; and what the access line has, and has not."""

from __future__ import annotations

import json
import logging
import re
import socket
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from budgets.audit import origin
from server.runtime import logs
from server.runtime.sign_ins import SignIns
from server.web import tracing
from tests.serving import ADULT, PATIENTS, PREFIX, ask, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Home, Place, Reply

MADE = re.compile(r"[0-9a-f]{32}")
OFFERED = "5f0c6d2e-9b7a-41c8-a3d4-7e10b2f6c859"
MEMBERS = {"event", "level", "logger", "method", "request_id", "route", "status", "timestamp", "user"}


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """Collect the lines of the log as the server renders them in JSON."""
    kept: list[dict[str, Any]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(json.loads(self.format(record)))

    handler = Kept()
    handler.setFormatter(logs.formatter(logs.JSON))
    logger = logging.getLogger("rowless")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield kept
    logger.removeHandler(handler)
    logger.setLevel(level)


def request_id(reply: Reply) -> str:
    """Return the id in a reply's header."""
    return reply.headers["x-request-id"]


def test_every_reply_has_an_id_of_its_own(shared: Place) -> None:
    """Replies, problems and unknown addresses have an id that was made for them, and a problem names it."""
    ada = shared.client("ada")
    calls = [("GET", "/me"), ("GET", "/nowhere"), ("POST", "/me"), ("GET", "/users"), ("GET", "/me")]
    bearer = {"Authorization": f"Bearer {ada.token}"}
    replies = [ada.send(method, PREFIX + path, None, bearer) for method, path in calls]
    found = [request_id(reply) for reply in replies]
    assert len(set(found)) == len(found)
    assert all(MADE.fullmatch(one) for one in found)
    problems = [reply for reply in replies if reply.status >= 400]
    assert len(problems) == 3
    assert [reply.json()["request_id"] for reply in problems] == [request_id(reply) for reply in problems]


@pytest.mark.parametrize("offered", [OFFERED, uuid.UUID(OFFERED).hex, "A1-b2-C3", "0" * 64])
def test_an_id_that_is_short_and_plain_is_kept(shared: Place, offered: str) -> None:
    """A client's own id comes back."""
    assert request_id(shared.client("ada").get("/me", X_Request_Id=offered)) == offered


@pytest.mark.parametrize(
    "offered", ["", "1234567", "0" * 65, "Jane Doe 1961", "jane-doe-1961", "12345678\t", "1;drop-1", "é" * 8]
)
def test_any_other_text_is_replaced(shared: Place, offered: str) -> None:
    """What could be a name, or is too short or too long, is neither sent back nor kept."""
    assert MADE.fullmatch(request_id(shared.client("ada").get("/me", X_Request_Id=offered)))


def test_entries_have_the_id_of_their_request(place: Place) -> None:
    """Each entry that a request wrote has its id, alerts too; entries of the machine have none; the chain stays whole."""
    place.open_study("small", "rand-hie", epsilon=1.0)
    before = place.home.last_entry()
    reply = place.client("ada").post("/studies/small/queries", ask(PATIENTS, 0.9), X_Request_Id=OFFERED)
    assert reply.status == 201
    bodies = [json.loads(body) for (body,) in place.home.rows("SELECT body FROM audit_entries ORDER BY position")]
    written = bodies[before + 1 :]
    assert {"query.reserve", "query.release", "alert.budget"} <= {body["action"] for body in written}
    assert {body["request_id"] for body in written} == {OFFERED}
    assert "request_id" not in bodies[0]
    shown = place.client("dora").good("GET", "/audit/entries?action=query.release")["items"][-1]
    assert shown["request_id"] == OFFERED
    assert origin.request_id.get() is None, "no id is left for what the thread does next"
    place.home.assert_sound()


def test_an_entry_about_others_has_no_id(place: Place) -> None:
    """A failed sign-in has its own request's id; failures that were held back do not get the id of who writes them later."""
    now = [0.0]
    sign_ins = SignIns(lambda: now[0])
    before = place.home.last_entry()
    for number in range(8):
        origin.request_id.set(f"{number}" * 8)
        sign_ins.failed(place.services.database)
    now[0] += 61
    origin.request_id.set(OFFERED)
    sign_ins.write_what_is_due(place.services.database)
    origin.request_id.set(None)
    rows = place.home.rows("SELECT body FROM audit_entries WHERE position > ? ORDER BY position", before)
    found = [
        (body["action"], body["facts"].get("count"), body.get("request_id"))
        for (text,) in rows
        for body in [json.loads(text)]
    ]
    assert [one for one in found if one[0] == "sign-in.fail"] == [
        *(("sign-in.fail", None, f"{number}" * 8) for number in range(5)),
        ("sign-in.fail", 3, None),
    ]


def test_a_request_has_one_line_without_what_was_sent(place: Place, lines: list[dict[str, Any]]) -> None:
    """The line has the route and the pseudonym: no name, path, token, query or header that was sent."""
    place.open_study("secret-study", "rand-hie")
    lines.clear()
    ada = place.client("ada")
    where = {**ADULT, "value": 4711.25}  # with a point: ids and pseudonyms in the lines may have any digits
    replies = [
        ada.post("/studies/secret-study/queries", ask(PATIENTS, 0.5, where=where), Idempotency_Key="secret-key"),
        ada.get("/studies/secret-study?limit=secret"),
        ada.get("/secret-path"),
        ada.request("SECRET", "/me"),
        place.client(None).get("/studies/secret-study", X_Request_Id="secret-id"),
        place.client(None).get("/me", Authorization="Bearer secret-token"),
    ]
    assert [line["request_id"] for line in lines] == [request_id(reply) for reply in replies]
    assert [line["status"] for line in lines] == [reply.status for reply in replies]
    study, none = f"{PREFIX}/studies/<study>", "none"
    assert [line["route"] for line in lines] == [f"{study}/queries", study, none, none, study, f"{PREFIX}/me"]
    assert [line["method"] for line in lines] == ["POST", "GET", "GET", tracing.OTHER, "GET", "GET"]
    ((commitment,),) = place.home.rows("SELECT DISTINCT actor FROM audit_entries WHERE action = 'query.release'")
    known = commitment if lines[0]["user"] == commitment else None
    assert [line["user"] for line in lines] == [known, known, None, None, None, None]
    assert known is not None
    written = json.dumps(lines)
    assert "4711.25" not in written
    assert "secret" not in written
    assert '"ada"' not in written
    assert place.home.tokens["ada"] not in written


def test_only_what_reads_no_data_has_a_duration(place: Place, lines: list[dict[str, Any]]) -> None:
    """GET has a duration; queries, rehearsals, estimates, profiles and all other POSTs have none."""
    place.open_study("other", "rand-hie")
    place.client("admin").good("POST", "/datasets/rand-hie/profile", {"epsilon": 1})
    for way in ("estimates", "rehearsals", "queries", "queries"):
        assert place.client("ada").post(f"/studies/flu/{way}", ask(PATIENTS)).status < 300
    place.client("ada").good("GET", "/studies/flu/budget")
    timed = {line["method"]: "duration_ms" in line for line in lines}
    assert timed == {"GET": True, "POST": False, "PUT": False}
    assert {frozenset(line) for line in lines} == {frozenset(MEMBERS), frozenset(MEMBERS | {"duration_ms"})}


def test_every_line_of_a_request_has_its_id(place: Place, lines: list[dict[str, Any]]) -> None:
    """A failure in the log can be found by the id that the user has: it is in the line of its cause."""
    place.home.change("DROP TABLE members")
    reply = place.client("ada").get("/me")
    assert reply.status == 500
    cause, access = lines
    assert cause["request_id"] == access["request_id"] == request_id(reply) == reply.json()["request_id"]
    assert "no such table: members" in cause["exception"]
    assert cause["level"] == "error"
    assert place.home.tokens["ada"] not in cause["exception"]


def test_for_people_a_line_has_columns() -> None:
    """On the console a line has the same members, and a traceback shows no variable of its frames."""
    secret = "hidden"
    try:
        raise RuntimeError("it failed " + secret[:3])  # noqa: TRY301
    except RuntimeError as error:
        failure = (type(error), error, error.__traceback__)
    record = logging.LogRecord("rowless", logging.ERROR, __file__, 1, "a failure", None, failure)
    for shape in (logs.CONSOLE, logs.JSON):
        written = logs.formatter(shape).format(record)
        assert "a failure" in written
        assert "it failed hid" in written
        assert secret not in written


def test_server_log_is_json_lines(home: Home) -> None:
    """With ROWLESS_LOG_FORMAT=json each request has its line of JSON, also one that no route ever sees."""
    with serving(home, log_format="json") as server:
        reply = server.client("ada").get("/me")
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(b"secret-word\r\n\r\n")
            received = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    (refused,) = re.findall(rb"\r\nX-Request-Id: ([0-9a-f]{32})", head)
    assert json.loads(body)["request_id"] == refused.decode()
    written = home.path.with_suffix(".log").read_text()
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    found = {line.get("request_id"): line.get("status") for line in lines}
    assert found[request_id(reply)] == 200
    assert found[refused.decode()] == 400
    assert "secret-word" not in written
