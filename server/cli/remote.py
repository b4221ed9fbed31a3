"""A server that commands call over HTTP, with a token: with ROWLESS_URL they never touch a home.

The token is that of ROWLESS_TOKEN, or the one that `rowless login` got from the issuer and kept for this server. It is
sent over https, or over http to this machine alone, and to no address that a redirect names.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import httpx

from server.cli.home import settings
from server.cli.speaking import say
from server.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "/api/v1"
ANSWER_SECONDS = 3600.0  # a scan may take long, and its answer is charged whether or not somebody waits for it
CONNECT_SECONDS = 10.0
LOCATED = ("invalid-query", "outside-protocol")
KEPT = Path("rowless") / "tokens.json"


class RemoteRefused(ServerError):
    """The server refused a call, or cannot be reached. The text is for people."""


@dataclass(frozen=True)
class Remote:
    """A server and the token to call it with."""

    url: str
    token: str | None

    def call(self, method: str, path: str, body: Any = None, *, accept: str = "application/json", **query: Any) -> str:
        """Return the body of a reply. Raises RemoteRefused."""
        headers = {"Accept": f"{accept}, application/problem+json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        asked = {name: value for name, value in query.items() if value is not None}
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        try:
            with httpx.Client(follow_redirects=False, timeout=timeout, headers=headers) as client:
                reply = client.request(method, f"{self.url}{PREFIX}{path}", json=body, params=asked)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RemoteRefused(f"{self.url} cannot be reached: {error or type(error).__name__}") from error
        if not reply.is_success:
            raise RemoteRefused(_reason(reply))
        return reply.text

    def json(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Return the JSON of a reply. Raises RemoteRefused."""
        text = self.call(method, path, body, **query)
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise RemoteRefused(f"{self.url} did not answer with JSON: is it a server of Rowless?") from None

    def pages(self, path: str, **query: Any) -> list[Any]:
        """Return every item of a list. Raises RemoteRefused."""
        items: list[Any] = []
        cursor = None
        while True:
            page = self.json("GET", path, limit=1000, cursor=cursor, **query)
            items += page["items"]
            if (cursor := page["next"]) is None:
                return items


def remote(name: str | None = None) -> Remote | None:
    """Return the server that ROWLESS_URL names, or None if commands work on the home.

    `name` is the value of --as, which only the home has: over HTTP the token says who acts. Raises click.UsageError,
    RemoteRefused.
    """
    present = settings()
    if present.url is None:
        return None
    if name is not None:
        raise click.UsageError(say("--as is for the home: with ROWLESS_URL the token says who acts"))
    token = present.token or kept_token(present.url)
    if token is None:
        raise RemoteRefused("there is no token: set ROWLESS_TOKEN, or run `rowless login`")
    return Remote(present.url, token)


def segment(text: str) -> str:
    """Return a text as one part of a path, whatever it contains."""
    return quote(text, safe="")


def kept_token(url: str) -> str | None:
    """Return the token that `rowless login` kept for a server."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(_kept()[url])
    return None


def keep_token(url: str, token: str) -> Path:
    """Keep a token for a server in a file that only its user can read. Return the file. Raises OSError."""
    found: dict[str, str] = {}
    with suppress(OSError, ValueError):
        found = _kept()
    file = _file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as new:  # its mode is 600
        json.dump({**found, url: token}, new)
    Path(new.name).replace(file)
    return file


def _kept() -> dict[str, str]:
    found = json.loads(_file().read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    return settings().client_folder / KEPT


def _reason(reply: httpx.Response) -> str:
    """Return why a server refused, in the words in which a command over the home says it."""
    try:
        problem: Mapping[str, Any] = reply.json()
        detail = problem.get("detail") or problem["title"]
        pointer = problem.get("pointer", "")
        if not pointer:
            return str(detail)
        return f"{pointer if problem['code'] in LOCATED else pointer.removeprefix('/')}: {detail}"
    except (ValueError, KeyError, AttributeError):
        return f"the server answered with the status {reply.status_code}"
