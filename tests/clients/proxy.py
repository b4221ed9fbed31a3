"""An HTTP proxy with faults: it loses replies, refuses requests, and adds to replies what no server has yet."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.serving import PROBLEM

if TYPE_CHECKING:
    from collections.abc import Mapping

HOP = ("connection", "transfer-encoding", "content-length", "keep-alive")


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str | None:
        """Return its Idempotency-Key."""
        return self.headers.get("idempotency-key")

    @property
    def is_question(self) -> bool:
        """Return whether it asks a query that is charged."""
        return (self.method, self.path.rpartition("/")[2]) == ("POST", "queries")


@dataclass(frozen=True)
class Refuse:
    """A fault: the server is not asked, and this is the reply."""

    status: int
    code: str
    retry_after: str | None = None
    location: str | None = None

    def send(self, to: BaseHTTPRequestHandler) -> None:
        """Send the problem document."""
        content = json.dumps({"status": self.status, "code": self.code, "title": "Refused"}).encode()
        to.send_response(self.status)
        to.send_header("Content-Type", PROBLEM)
        to.send_header("Content-Length", str(len(content)))
        for name, value in (("Retry-After", self.retry_after), ("Location", self.location)):
            if value is not None:
                to.send_header(name, value)
        to.end_headers()
        to.wfile.write(content)


LOSE_REPLY = "the server answers, and its reply is lost"
LOSE_REQUEST = "the request is lost"
HALF_REPLY = "the connection breaks in the middle of the reply"
Fault = Refuse | str


def none(_request: Request) -> Fault | None:
    """Let every request through."""
    return None


def on_questions(*faults: Fault) -> Callable[[Request], Fault | None]:
    """Return the rule that the first questions get these faults, one after the other."""
    left = list(faults)
    return lambda request: left.pop(0) if left and request.is_question else None


@dataclass
class Proxy:
    """A proxy before the server on a port. `fault` says what to do with a request."""

    upstream: int
    fault: Callable[[Request], Fault | None] = none
    change: Callable[[Any], Any] | None = None
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_any(self) -> None:
                proxy.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._listening.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown()
        self._thread.join()
        self._listening.server_close()

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self._listening.server_address[1]}"

    @property
    def questions(self) -> list[Request]:
        """Return the questions that came, each as often as it was sent."""
        return [request for request in self.requests if request.is_question]

    def handle(self, came: BaseHTTPRequestHandler) -> None:
        """Pass a request on, or do what its fault is."""
        body = came.rfile.read(int(came.headers.get("Content-Length", 0)))
        lower = {name.lower(): value for name, value in came.headers.items()}
        request = Request(came.command, came.path.removeprefix("/api/v1").partition("?")[0], lower, body)
        self.requests.append(request)
        fault = self.fault(request)
        if isinstance(fault, Refuse):
            fault.send(came)
            return
        reply = None if fault == LOSE_REQUEST else self._passed_on(came, body)
        if reply is None or fault == LOSE_REPLY:
            came.close_connection = True
            with suppress(OSError):
                came.connection.shutdown(socket.SHUT_RDWR)
            return
        status, headers, content = reply
        came.send_response(status)
        for name, value in headers:
            if name.lower() not in HOP:
                came.send_header(name, value)
        came.send_header("Content-Length", str(len(content)))
        came.end_headers()
        came.wfile.write(content[: len(content) // 2] if fault == HALF_REPLY else content)

    def _passed_on(self, came: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=120)
        try:
            headers = {name: value for name, value in came.headers.items() if name.lower() not in HOP}
            connection.request(came.command, came.path, body or None, headers)
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if self.change is not None and reply.getheader("Content-Type", "").startswith("application/json"):
            content = json.dumps(self.change(json.loads(content))).encode()
        return reply.status, reply.getheaders(), content
