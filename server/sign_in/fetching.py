"""Fetching a JSON document of the issuer, within a bounded size and time and never by a redirect.

What is fetched decides whose signatures count. Therefore an address is https, or http on this machine alone, and a
redirect is an error: it could lead to a host that the admin did not name.
"""

from __future__ import annotations

import json
import time
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

WHOLE_SECONDS = 5.0
STEP_SECONDS = 3.0
BYTES_MAX = 256 * 1024
# An answer that is packed could be much larger than what is read of it.
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class FetchFailed(Exception):
    """The issuer did not answer, or not with a JSON object. Only the admin's log has the reason."""


def require_address(text: object) -> str:
    """Return an address that may be fetched: https, or http on this machine. Raises ValueError."""
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be a URL")
    parts = urlsplit(text)
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("must be a URL of a host, without a user and without a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname)):
        raise ValueError("must begin with https:// (http:// is for this machine alone)")
    return text


def get_json(address: str) -> dict[str, Any]:
    """Return the JSON object at an address. Raises FetchFailed."""
    return _object(_read("GET", address, None))


def post_form(address: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON object that answers a form. Raises FetchFailed."""
    status, content = _read("POST", address, form)
    return status, _object((200, content))  # what went wrong is in the object, too


def _read(method: str, address: str, form: dict[str, str] | None) -> tuple[int, bytes]:
    until = time.monotonic() + WHOLE_SECONDS
    content = bytearray()
    try:
        require_address(address)
        with (
            httpx.Client(follow_redirects=False, timeout=STEP_SECONDS, headers=HEADERS) as client,
            client.stream(method, address, data=form) as reply,
        ):
            for part in reply.iter_raw():
                content += part
                if len(content) > BYTES_MAX or time.monotonic() > until:
                    raise FetchFailed(f"{address}: more than {BYTES_MAX} bytes or {WHOLE_SECONDS:g} seconds")
            return reply.status_code, bytes(content)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise FetchFailed(f"{address}: {error or type(error).__name__}") from error


def _object(read: tuple[int, bytes]) -> dict[str, Any]:
    status, content = read
    if status != 200:
        raise FetchFailed(f"the answer has the status {status}")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FetchFailed("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise FetchFailed("the answer is not a JSON object")
    return found


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
