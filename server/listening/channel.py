"""Connections: deadlines for requests that arrive slowly, and the server's own refusals as problem documents.

A connection is idle while no request of it is being answered and no answer of it is being sent. An idle connection has
HEADERS_SECONDS from its start, or from its last answer, until the headers of its next request have arrived, and
BODY_SECONDS more for the body. It makes no difference how many bytes come meanwhile. A client that reads its answer
slowly may take as long as it likes, as long as it goes on: an answer waits in a file, and no thread waits for it.

After a refusal the server ends its side of the connection and goes on reading for a while, and drops what it reads. If
it closed at once, the system would reset the connection because of what was not read, and the refusal might be lost.

The thread that makes an answer also sends it: at its end, or whenever SEND_BYTES wait. The loop keeps away meanwhile.
waitress's own loop would try to send the same bytes, find them locked, and try again at once, hundreds of times for
each answer. Each try takes Python's lock from the thread that sends.

When there are more connections than CONNECTIONS_MAX, the one that has been idle for longest is closed. Therefore
connections that send nothing cannot keep others out.
"""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, Task, WSGITask
from waitress.utilities import BadRequest, Error, RequestHeaderFieldsTooLarge

from server.listening.threads import Threads
from server.web import problems, tracing
from server.web.bodies import BODY_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIApplication

HEADERS_SECONDS = 10.0
BODY_SECONDS = 30.0
STALLED_SECONDS = 30.0  # without a byte of an answer being taken
CONNECTIONS_MAX = 2000
HEADERS_MAX = 32 * 1024
TARGET_MAX = 8 * 1024  # bytes of path and query string
SEND_BYTES = 64 * 1024  # of an answer that wait until they are sent, or until it is whole
ANSWER_BYTES_MAX = 2**40  # that wait for their client: no answer is as long, so that no thread waits for one


class _TargetTooLong(BadRequest):
    """The path and the query string are too long."""

    code = 414
    reason = "URI Too Long"


class _TooSlow(BadRequest):
    """The request did not arrive in time."""

    code = 408
    reason = "Request Timeout"


class _Parser(HTTPRequestParser):
    """Reads a request; what is too long about it is told apart."""

    error: Error | None

    def received(self, data: bytes) -> int:
        """Read more of the request; return how many bytes belong to it."""
        taken: int = super().received(data)
        if isinstance(self.error, RequestHeaderFieldsTooLarge) and b"\r\n" not in self.header_plus:
            self.error = _TargetTooLong("")
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        """Read the request line and the headers. Raises ParsingError."""
        super().parse_header(header_plus)
        if len(self.request_uri) > TARGET_MAX:
            self.error = _TargetTooLong("")
            self.completed = True


class _Sent(Task):
    """Makes an answer, and sends all of it that the client takes, most often in one go."""

    channel: Channel

    def finish(self) -> None:
        """End the answer."""
        super().finish()
        self.channel.send_what_waits()


class _Answer(_Sent, WSGITask):
    """The application's answer."""


class _Refusal(_Sent, ErrorTask):
    """Answers a request that never reaches the application."""

    def execute(self) -> None:
        """Send the problem document of the error."""
        error: Error = self.request.error
        kind = problems.HTTP.get(error.code, problems.INTERNAL)
        self.status = f"{kind.status} {error.reason}"
        request_id = tracing.refused(self.channel.server.application, kind.status, kind.code)
        body = json.dumps(problems.document(kind, request_id=request_id)).encode()
        self.response_headers.extend([("Content-Type", problems.CONTENT_TYPE), (tracing.HEADER, request_id)])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.refused = True
        self.write(body)


class Channel(HTTPChannel):
    """One connection."""

    request: _Parser | None
    parser_class = _Parser
    task_class = _Answer
    error_task_class = _Refusal
    close_when_flushed: bool
    refused = False
    lingers = False  # it sends no more, and what it reads is dropped
    answering: object = None  # the turn of the thread that makes an answer and sends it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.idle_since = time.monotonic()
        super().__init__(*args, **kwargs)

    @property
    def idle(self) -> bool:
        """Return whether nothing of this connection is being answered or sent."""
        return not self.requests and not self.total_outbufs_len

    def service(self) -> None:
        """Answer one request; a thread calls this."""
        turn = self.answering = object()
        try:
            super().service()
        finally:
            self.idle_since = time.monotonic()
            if self.answering is turn:  # else another thread answers the next request already
                self.answering = None
                if self.writable():  # the loop may have looked before
                    self.server.pull_trigger()

    def send_what_waits(self) -> None:
        """Send as much of the answer as the client takes; the loop sends what is left after the answer's end."""
        with self.outbuf_lock:
            self._flush_exception(self._flush_some, do_close=False)

    def writable(self) -> bool:
        """Return whether the loop has something to send or to close."""
        return self.will_close or (self.answering is None and bool(super().writable()))

    def handle_write(self) -> None:
        """Send what waits; after a refusal end the sending side first."""
        if not (self.refused and self.close_when_flushed):
            super().handle_write()
            return
        if self.total_outbufs_len:
            self._flush_exception(self._flush_some)
        if self.will_close:  # sending has failed
            self.handle_close()
        elif not self.total_outbufs_len:
            self.close_when_flushed = False
            self.lingers = True
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def handle_read(self) -> None:
        """Read what came; after a refusal drop it. At its end the connection is closed."""
        if not self.lingers:
            super().handle_read()
            return
        with suppress(OSError):
            self.recv(self.adj.recv_bytes)

    def close_if_late(self, now: float) -> None:
        """Close the connection if its request is late, with a problem document if a part of one has arrived."""
        if not self.idle:
            if self.total_outbufs_len and not self.requests and time.time() - self.last_activity > STALLED_SECONDS:
                self.will_close = True
            return
        with self.requests_lock:
            partial = self.request
            allowed = HEADERS_SECONDS + (BODY_SECONDS if partial is not None and partial.headers_finished else 0)
            if now - self.idle_since <= allowed or self.requests or self.will_close or self.close_when_flushed:
                return
            if partial is None:
                self.will_close = True
                return
            partial.error = _TooSlow("")
            partial.completed = True
            self.requests.append(partial)
            self.request = None
            self.server.add_task(self)


class Server(TcpWSGIServer):
    """Accepts the connections of one address."""

    channel_class = Channel

    def handle_accept(self) -> None:
        """Accept a connection; if there are too many, close the one that has been idle for longest."""
        if len(self.active_channels) >= CONNECTIONS_MAX:
            longest = min(self._idle(), key=lambda channel: channel.idle_since, default=None)
            if longest is not None:
                longest.handle_close()
        super().handle_accept()

    def maintenance(self, now: float) -> None:  # noqa: ARG002  (its clock can be set)
        """Close what is late. waitress calls this once a second."""
        for channel in list(self.active_channels.values()):
            channel.close_if_late(time.monotonic())

    def stop_accepting(self) -> None:
        """Take no further connection."""
        self.accepting = False
        self.del_channel()
        self.socket.close()

    def close_idle(self) -> int:
        """Close the connections that are idle and return how many are left."""
        for channel in list(self._idle()):
            channel.will_close = True
        return len(self.active_channels)

    def _idle(self) -> Iterator[Channel]:
        return (channel for channel in self.active_channels.values() if channel.idle)


def listen(
    application: WSGIApplication, sockets: list[socket.socket], threads: int
) -> tuple[list[Server], Threads, dict[int, Any]]:
    """Return servers on bound sockets, the threads that they share, and the map by which a loop watches them."""
    watched: dict[int, Any] = {}
    dispatcher = Threads()
    dispatcher.set_thread_count(threads)
    adjustments = Adjustments(
        threads=threads,
        ident="",  # no Server header
        connection_limit=2 * CONNECTIONS_MAX,  # never reached
        cleanup_interval=1,
        max_request_header_size=HEADERS_MAX,
        max_request_body_size=BODY_BYTES_MAX + 1,
        outbuf_high_watermark=ANSWER_BYTES_MAX,
        channel_request_lookahead=1,  # what it reads ahead tells that a client has left
        log_socket_errors=False,
        clear_untrusted_proxy_headers=True,
        asyncore_use_poll=True,
    )
    # As an argument it warns that it may go some day; then each part of an answer leaves by itself again.
    adjustments.send_bytes = SEND_BYTES
    servers = []
    for one in sockets:
        about = (one.family, one.type, one.proto, one.getsockname())
        served = Server(
            application, watched, True, one, dispatcher=dispatcher, adj=adjustments, bind_socket=False, sockinfo=about
        )
        servers.append(served)
    return servers, dispatcher, watched
