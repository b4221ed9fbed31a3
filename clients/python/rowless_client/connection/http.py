"""Calls to one server: the token, retries that never do anything twice, and errors.

A call is sent again only if doing it twice is the same as doing it once: it reads, it is free, or it has an
Idempotency-Key, by which the server knows that it is the same request. A server that refuses with 429 or 503 has done
nothing, so every call is sent again then, after the time that its Retry-After names.

Each attempt has a connection of its own: a kept one may have been closed by a server that started anew.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from rowless_client.connection.addresses import PREFIX
from rowless_client.connection.waiting import pause
from rowless_client.errors import GaveUp, NoToken, NotRowless, Refused, RowlessError, Unreachable, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_SECONDS = 10.0
LEAST_SECONDS = 1.0  # that an attempt gets, however little of its time is left
WAIT_SECONDS = 60.0  # for calls that are not questions
PAGE = 1000
JSON = "application/json"
REFUSED = frozenset({429, 503})  # nothing was done
BETWEEN = frozenset({408, 502, 504})  # of a proxy, or the request did not arrive: it may have been done


@dataclass(frozen=True)
class Reply:
    """What a server answered to a call that was a success."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.content.decode("utf-8")


@dataclass(frozen=True)
class Call:
    """One call: what to send, whether it may be sent twice, and how long to try."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, Any] = field(default_factory=dict)
    accept: str = JSON
    key: str | None = None
    repeatable: bool = False
    seconds: float = WAIT_SECONDS


@dataclass
class Connection:
    """A server and the token to call it with."""

    url: str
    token: str | None = field(repr=False)
    reached: bool = False  # whether it has ever answered: otherwise its address is probably wrong

    def call(
        self, method: str, path: str, body: Any = None, *, segments: Mapping[str, str] | None = None, **how: Any
    ) -> Reply:
        """Send a call until it is answered. `path` has the names of `segments` in braces. Raises RowlessError.

        `how` are the further members of `Call`.
        """
        filled = path.format(**{name: quote(text, safe="") for name, text in (segments or {}).items()})
        made = Call(method, filled, body, **how)
        return self._patiently(replace(made, repeatable=made.repeatable or method == "GET" or made.key is not None))

    def json(
        self, method: str, path: str, body: Any = None, *, segments: Mapping[str, str] | None = None, **how: Any
    ) -> Any:
        """Return the JSON of a reply, None for an empty one. Raises RowlessError."""
        return self.read(self.call(method, path, body, segments=segments, **how))

    def pages(
        self,
        method: str,
        path: str,
        *,
        segments: Mapping[str, str] | None = None,
        limit: int | None = None,
        **query: Any,
    ) -> list[Any]:
        """Return the items of a list, all of them or the first `limit`. Raises RowlessError."""
        items: list[Any] = []
        cursor = None
        while True:
            size = PAGE if limit is None else min(PAGE, limit - len(items))
            asked = {**query, "limit": size, "cursor": cursor}
            page = self.json(method, path, segments=segments, query=asked)
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise NotRowless(f"{self.url} did not answer with a list: is it a server of Rowless?")
            items += page["items"]
            cursor = page.get("next")
            if cursor is None or (limit is not None and len(items) >= limit):
                return items

    def read(self, reply: Reply) -> Any:
        """Return the JSON of a reply. Raises NotRowless."""
        if not reply.content:
            return None
        try:
            return _parsed(reply.content)
        except ValueError:
            raise NotRowless(f"{self.url} did not answer with JSON: is it a server of Rowless?") from None

    def _patiently(self, call: Call) -> Reply:
        until = time.monotonic() + call.seconds
        turn = 0
        while True:
            try:
                return self._once(call, until - time.monotonic())
            except RowlessError as error:
                error.key = call.key
                wait = self._wait(call, error, turn)
                if wait is None:
                    raise
                if time.monotonic() + wait > until:
                    raise _given_up(call, error) from error
                time.sleep(wait)
            turn += 1

    def _wait(self, call: Call, error: RowlessError, turn: int) -> float | None:
        """Return the seconds after which to try again, or None where another attempt is wrong or hopeless."""
        if isinstance(error, Refused):
            if error.status in REFUSED or (error.status in BETWEEN and call.repeatable):
                return pause(turn, error.members.get(_RETRY_AFTER))
            return None
        if not isinstance(error, Unreachable) or isinstance(error, _Certificate):
            return None
        if not (call.repeatable and self.reached):
            return None
        return pause(turn)

    def _once(self, call: Call, seconds: float) -> Reply:
        try:
            with requests.Session() as session:
                reply = session.request(
                    call.method,
                    f"{self.url}{PREFIX}{call.path}",
                    json=call.body,
                    params={name: _spelled(value) for name, value in call.query.items() if value is not None},
                    headers=_headers(call),
                    auth=self._sign,  # given as a function, or requests would send what ~/.netrc has instead
                    timeout=(CONNECT_SECONDS, max(seconds, LEAST_SECONDS)),
                    allow_redirects=False,
                )
        except requests.exceptions.SSLError as error:
            raise _Certificate(f"{self.url} has no certificate that this machine trusts: {error}") from error
        except requests.exceptions.InvalidHeader as error:
            raise NoToken("the token or the key has characters that no header can have") from error
        except requests.RequestException as error:
            raise Unreachable(f"{self.url} cannot be reached: {error or type(error).__name__}") from error
        self.reached = True
        return self._checked(reply, call)

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token is not None:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request

    def _checked(self, reply: requests.Response, call: Call) -> Reply:
        if 200 <= reply.status_code < 300:
            return Reply(reply.status_code, reply.headers, reply.content)
        if 300 <= reply.status_code < 400:
            to = reply.headers.get("Location", "another address")
            raise NotRowless(
                f"{self.url} redirects to {to}, where the token is not sent. If it is yours, give that address"
            )
        problem = _problem(reply)
        if reply.status_code == 404 and "status" not in problem:
            raise NotRowless(f"{self.url} knows no {PREFIX}{call.path}: is it the address of a server of Rowless?")
        raise refusal(reply.status_code, problem, call.body)


_RETRY_AFTER = "Retry-After"


class _Certificate(Unreachable):
    """The server's certificate is not trusted: another attempt would end in the same way."""


def _given_up(call: Call, error: RowlessError) -> RowlessError:
    return error if call.key is None else GaveUp(call.seconds, call.key, error)


def _problem(reply: requests.Response) -> dict[str, Any]:
    """Return the problem document of a refusal, with its Retry-After. What a proxy says is no such document."""
    problem: Any = None
    if reply.headers.get("Content-Type", "").partition(";")[0].strip().endswith("json"):
        try:
            problem = _parsed(reply.content)
        except ValueError:
            problem = None
    found = dict(problem) if isinstance(problem, dict) else {"code": "unknown"}
    if _RETRY_AFTER in reply.headers:
        found[_RETRY_AFTER] = reply.headers[_RETRY_AFTER]
    return found


def _headers(call: Call) -> dict[str, str]:
    headers = {"Accept": f"{call.accept}, application/problem+json", "User-Agent": agent()}
    if call.key is not None:
        headers["Idempotency-Key"] = call.key
    return headers


def agent() -> str:
    """Return how the client names itself."""
    try:
        return f"rowless-client/{metadata.version('rowless-client')}"
    except metadata.PackageNotFoundError:  # it runs from its source
        return "rowless-client"


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(content: bytes) -> Any:
    return json.loads(content)
