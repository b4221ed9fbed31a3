"""Answers on their way: the thread that makes one sends it, and the loop sends what a client did not take."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from waitress import wasyncore

from server.listening import channel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PAUSE = 0.5  # seconds within an answer
LARGE = 30_000_000  # bytes, which is more than the system keeps for a client that does not read
SOON = 60.0


class Loop:
    """How often the loop has looked at its connections."""

    turns = 0


@contextmanager
def listening(application: WSGIApplication) -> Iterator[tuple[int, Loop]]:
    """Serve an application on a free port as a worker does."""
    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        port = bound.getsockname()[1]
        servers, threads, watched = channel.listen(application, [bound], 4)
        loop, stopped = Loop(), threading.Event()

        def run() -> None:
            while not stopped.is_set():
                wasyncore.loop(timeout=0.2, use_poll=True, map=watched, count=1)
                loop.turns += 1

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield port, loop
        finally:
            stopped.set()
            thread.join()
            for server in servers:
                server.stop_accepting()
                server.close_idle()
            wasyncore.close_all(watched)
            threads.shutdown(timeout=SOON)


def asked(port: int, *paths: str) -> socket.socket:
    """Return a connection on which requests were sent, one right after the other."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=SOON)
    connection.sendall(b"".join(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths))
    return connection


def read(connection: socket.socket, size: int) -> bytes:
    """Return so many bytes."""
    found = b""
    while len(found) < size and (part := connection.recv(1 << 20)):
        found += part
    return found


def in_two_parts(environ: WSGIEnvironment, start: StartResponse) -> Iterator[bytes]:
    """Answer with a few bytes before and after a pause."""
    start("200 OK", [("Content-Length", "2"), ("X-Path", environ["PATH_INFO"])])
    yield b"a"
    time.sleep(PAUSE)
    yield b"b"


def large(_: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    """Answer with more than a client takes at once."""
    start("200 OK", [("Content-Length", str(LARGE))])
    return [bytes(LARGE)]


def test_loop_rests_while_an_answer_is_made() -> None:
    """It looks when a request comes and when its answer has ended, not as long as a few bytes of it wait."""
    with listening(in_two_parts) as (port, loop), closing(asked(port, "")) as connection:
        assert connection.recv(1000).endswith(b"\r\n\r\nab"), "head and body come together"
        assert loop.turns < 100


def test_answers_to_requests_in_a_row_come_in_their_order() -> None:
    """Also where the second is answered by another thread while the first one's is still on its way."""
    with listening(in_two_parts) as (port, loop), closing(asked(port, *"xyz")) as connection:
        found = b""
        while found.count(b"\r\n\r\nab") < 3:
            found += connection.recv(1000)
        assert [line[-1:] for line in found.splitlines() if line.startswith(b"X-Path")] == [b"x", b"y", b"z"]
        assert loop.turns < 100


def test_loop_sends_what_a_client_takes_later() -> None:
    """The thread goes on to other requests, and nothing is lost."""
    with listening(large) as (port, _):
        connections = [asked(port, "") for _ in range(8)]  # twice as many as there are threads
        time.sleep(0.1)
        for connection in connections:
            with closing(connection):
                head, _, body = read(connection, LARGE).partition(b"\r\n\r\n")
                assert len(body + read(connection, LARGE - len(body))) == LARGE
                assert head.startswith(b"HTTP/1.1 200")
