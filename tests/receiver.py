"""A webhook's receiver: a real HTTP server that keeps what it was sent, and answers as the test wants, or not at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = f"whsec_{base64.b64encode(bytes(range(32))).decode()}"


@dataclass(frozen=True)
class Sent:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self) -> Any:
        """Return the body's value, its signature checked as the specification of Standard Webhooks says."""
        assert self.headers["webhook-signature"] == f"v1,{self.expected(base64.b64decode(SECRET[6:]))}"
        assert abs(time.time() - int(self.headers["webhook-timestamp"])) < 300
        return json.loads(self.body)

    def expected(self, key: bytes) -> str:
        """Return the signature that the specification wants. It is not the product's code: the product uses a library."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


@dataclass
class Receiver:
    """What was sent, and how to answer: a status, after `open` is set."""

    port: int
    status: int = 204
    location: str | None = None
    drips: bool = False
    open: threading.Event = field(default_factory=threading.Event)
    sent: list[Sent] = field(default_factory=list)
    arrived: list[Sent] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}/in?token=secret"

    def settings(self) -> dict[str, str]:
        """Return the settings that send alerts here."""
        return {"webhook_url": self.url, "webhook_secret": SECRET}

    def wait_for(self, count: int, seconds: float = 120, *, answered: bool = True) -> list[Sent]:
        """Return what was answered (or just arrived) once there is enough of it."""
        found = self.sent if answered else self.arrived
        end = time.monotonic() + seconds
        while len(found) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} alerts came"
            time.sleep(0.02)
        return list(found)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent = Sent(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            receiver.arrived.append(sent)
            receiver.open.wait(300)
            if receiver.drips:
                self._drip()
                return
            try:
                self.send_response(receiver.status)
                if receiver.location is not None:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:  # whoever sent it is gone
                return
            receiver.sent.append(sent)

        do_GET = do_POST  # noqa: N815

        def _drip(self) -> None:
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                while receiver.drips:
                    self.wfile.write(b"x")
                    time.sleep(0.1)
            except OSError:
                pass

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver = Receiver(server.server_address[1])
    receiver.open.set()
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.drips = False
        receiver.open.set()
        server.shutdown()
        server.server_close()
        thread.join()
