"""Clients that are slow, silent, malformed or many: the server refuses them in its own words, and others are served."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from server.listening import channel
from tests.ports import free_port
from tests.serving import PATIENTS, PREFIX, PROBLEM, ask, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving import Home, Server

HOST = b"Host: localhost\r\nConnection: close\r\n"
SILENT = 300
DEADLINE = 60  # seconds within which whatever is tested here happens at once


@pytest.fixture(scope="module")
def server(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a running server with the study of Ada, in a home that the tests of this module share."""
    home = template.copy(tmp_path_factory.mktemp("slow") / "home")
    with serving(home, slot_ms="250") as running:
        running.open_study("flu", "rand-hie")
        running.open_study("cold", "clinic")
        running.client("admin").good("PUT", "/studies/cold/members/ben")
        yield running


def connected(server: Server) -> socket.socket:
    """Return a new connection."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)


def received(connection: socket.socket) -> bytes:
    """Return what comes until the server ends the connection: head and body may come apart."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def sent(server: Server, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body that come back for some bytes, after which the connection ends."""
    with closing(connected(server)) as connection:
        connection.sendall(data)
        reply = received(connection)
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GARBAGE\r\n\r\n", 400, "malformed"),
        (b"GET /api/v1/health HTTP/1.1\r\nNo colon here\r\n\r\n", 400, "malformed"),
        (b"POST /api/v1/me HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400, "malformed"),
        (b"POST /api/v1/me HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody", 400, "malformed"),
        (b"POST /api/v1/me HTTP/1.1\r\nContent-Length: 262145\r\n\r\n", 413, "too-large"),
        (b"POST /api/v1/me HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"a" * 4096 + b"\r\n"
         + (b"1000\r\n" + b"a" * 4096 + b"\r\n") * 64, 413, "too-large"),
        (b"GET /" + b"a" * channel.TARGET_MAX + b" HTTP/1.1\r\n\r\n", 414, "address-too-long"),
        (b"GET /" + b"a" * channel.HEADERS_MAX, 414, "address-too-long"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * channel.HEADERS_MAX, 431, "headers-too-large"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "not-implemented"),
        (b"GET //other.example//api/v1/me/ HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n", 404, "not-found"),
        (b"GET /api/v1/me/ HTTP/1.1\r\n" + HOST + b"\r\n", 404, "not-found"),
        (b"TRACE /api/v1/me HTTP/1.1\r\n" + HOST + b"\r\n", 405, "method-not-allowed"),
    ],
)  # fmt: skip
def test_refusals_of_the_server_itself_are_problem_documents(
    server: Server, data: bytes, status: int, code: str
) -> None:
    """What never reaches a route is refused with a problem document, and no header repeats what was sent."""
    got, headers, body = sent(server, data)
    assert (got, headers["content-type"], json.loads(body)["code"]) == (status, PROBLEM, code)
    assert json.loads(body)["status"] == status
    assert "server" not in headers
    assert "location" not in headers
    assert int(headers["content-length"]) == len(body)


def test_wrong_method_is_told_which_are_allowed(server: Server) -> None:
    """405 has Allow, with the methods of the route."""
    reply = server.client(None).request("DELETE", "/studies")
    assert (reply.status, reply.code) == (405, "method-not-allowed")
    assert {"GET", "POST"} <= set(reply.headers["allow"].replace(",", " ").split())


def test_request_that_never_ends_is_refused(server: Server) -> None:
    """A request whose first line or headers never end is refused after their time, although bytes keep coming."""
    begun = b"GET /api/v1/hea", b"POST /api/v1/studies HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
    with ThreadPoolExecutor(len(begun)) as clients:  # at once, because each waits for its time
        for reply in clients.map(lambda data: trickled(server, data), begun):
            assert b" 408 " in reply.partition(b"\r\n")[0]
            assert b"too-slow" in reply


def trickled(server: Server, data: bytes) -> bytes:
    """Return the reply to some bytes after which a letter comes now and then."""
    with closing(connected(server)) as connection:
        connection.sendall(data)
        ended = threading.Event()

        def trickle() -> None:
            while not ended.wait(0.5):
                try:
                    connection.sendall(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            return received(connection)
        finally:
            ended.set()
            thread.join()


def test_silent_connections_keep_nobody_waiting(server: Server) -> None:
    """With 300 connections that send nothing, half a header or half a body, health and a query are answered."""
    with ExitStack() as open_:
        for number in range(SILENT):
            connection = open_.enter_context(closing(connected(server)))
            body = b"POST /api/v1/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
            connection.sendall((b"", b"POST /api/v1/studies HTTP/1.1\r\nHost: ", body)[number % 3])
        ada = server.client("ada")
        assert ada.get("/health/live").status == 200
        assert ada.post("/studies/flu/queries", ask(PATIENTS, 0.5)).status == 201


def test_client_that_does_not_read_holds_no_thread(server: Server) -> None:
    """With many clients that ask and never read the answer, others are served: answers wait in files."""
    request = f"GET {PREFIX}/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with ExitStack() as open_:
        for _ in range(50):
            connection = open_.enter_context(closing(socket.socket()))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(request * 3)
        assert server.client("ada").get("/me").status == 200


def test_crowd_of_one_user_leaves_room_for_others(server: Server) -> None:
    """Of 100 queries at once of one user, ten are answered and the others refused at once, and another is answered.

    Only those that are answered are charged.
    """
    ada, ben = server.client("ada"), server.client("ben")
    before = server.home.reserved()
    begun = threading.Barrier(101, timeout=DEADLINE)

    def crowd(number: int) -> int:
        begun.wait()
        return ada.post("/studies/flu/queries", ask({f"n{number}": {"count": "persons"}})).status

    with ThreadPoolExecutor(100) as clients:
        asked = [clients.submit(crowd, number) for number in range(100)]
        begun.wait()
        assert ben.post("/studies/cold/queries", ask({"n": {"count": "persons"}}, 1.0, "visits")).status == 201
        answered = [one.result() for one in asked]
    assert set(answered) == {201, 429}
    assert answered.count(201) >= 10
    assert server.home.reserved() - before == answered.count(201) + 1
    assert ada.post("/studies/flu/queries", ask(PATIENTS, 0.75)).status == 201


def test_clients_that_left_are_not_charged(server: Server) -> None:
    """Of ten clients that ask and close their connections, at most the two that work are charged; the queue empties."""
    token = server.home.tokens["ada"]
    before = server.home.reserved()
    for number in range(10):
        body = json.dumps(ask({f"left{number}": {"count": "persons"}})).encode()
        head = (
            f"POST {PREFIX}/studies/flu/queries HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with closing(connected(server)) as connection:
            connection.sendall(head.encode() + body)
    deadline = time.monotonic() + DEADLINE
    while (reply := server.client("ada").post("/studies/flu/queries", ask(PATIENTS, 0.25))).status != 201:
        assert (reply.status, reply.code) == (429, "too-many-requests")
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.home.reserved() - before - 1 < 10
    server.home.assert_sound()


def test_refusal_is_not_charged_and_says_when_to_come_again(
    template: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With a share of one and one that waits, the third is refused with 429 and Retry-After while the first works."""
    home = template.copy(tmp_path_factory.mktemp("share") / "home")
    limits = {"queries": "1", "share": "1", "waiting": "1"}
    with serving(home, program=("tests.journeys.doomed", "slow"), **limits) as one_place:
        one_place.open_study("flu", "rand-hie")
        ada = one_place.client("ada")
        (home.path / "doom").touch()  # scans go on as long as it is there
        with ThreadPoolExecutor(8) as clients:
            asked = [
                clients.submit(ada.post, "/studies/flu/queries", ask({f"n{number}": {"count": "persons"}}))
                for number in range(8)
            ]
            try:
                until(lambda: sum(one.done() for one in asked) == 6)
                refused = [one.result() for one in asked if one.done()]
            finally:
                (home.path / "doom").unlink()
            replies = [one.result() for one in asked]
        assert {(reply.status, reply.code) for reply in refused} == {(429, "too-many-requests")}
        assert all(int(reply.headers["retry-after"]) > 0 for reply in refused)
        assert [reply.status for reply in replies].count(201) == 2 == home.reserved()


def test_server_that_stops_finishes_what_works(template: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    """After SIGTERM the query that works is answered, the one that waits is refused, and nothing is left open."""
    home, metrics = template.copy(tmp_path_factory.mktemp("stop") / "home"), free_port()
    limits = {"queries": "1", "share": "1", "waiting": "4", "metrics_port": str(metrics)}
    with serving(home, program=("tests.journeys.doomed", "slow"), **limits) as stopping:
        stopping.open_study("flu", "rand-hie")
        ada = stopping.client("ada")
        (home.path / "doom").touch()  # scans go on as long as it is there
        with ThreadPoolExecutor(2) as clients:
            working = clients.submit(ada.post, "/studies/flu/queries", ask(PATIENTS))
            until(lambda: home.reserved() == 1)
            waiting = clients.submit(ada.post, "/studies/flu/queries", ask(PATIENTS, 0.5))
            until(lambda: 'requests_waiting{work="query"} 1.0' in scraped(metrics))
            stopping.process.terminate()
            assert (waiting.result().status, waiting.result().code) == (503, "busy")
            assert not working.done()
            (home.path / "doom").unlink()
            assert working.result().status == 201
        assert stopping.process.wait(DEADLINE) == 0
        assert home.reserved() == 1
        home.assert_sound()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def scraped(port: int) -> str:
    """Return the metrics of a server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as reply:
        text: str = reply.read().decode()
    return text
