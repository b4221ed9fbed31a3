"""An alert as a webhook: what is sent, how it is signed, and one attempt to send it.

The format is that of Standard Webhooks 1.0 (https://www.standardwebhooks.com): the headers `webhook-id`,
`webhook-timestamp` and `webhook-signature`, the last of which is `v1,` and the base64 of the HMAC-SHA256 over
`id.timestamp.body`; the key is the base64 behind `whsec_`. The id is made of the hash of the log's entry, so that an
alert that is told twice has the same one.

The body leaves the house: it has what the log says of the alert, but no person, not even by commitment.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import http.client
import importlib.metadata
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from budgets.audit import log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.alerts.outbox import Delivery

OFF = "off"
PREFIX = "whsec_"
KEY_BYTES = (24, 64)  # as Standard Webhooks has it
STEP_SECONDS = 10  # to connect, to send, to get an answer
WHOLE_SECONDS = 30  # for all of it, however slowly it drips; below `outbox.FIRST_SECONDS`
PERSONAL = ("actor", "role")


@dataclass(frozen=True)
class Address:
    """Where alerts are sent. The text may hold a token of the receiver's: it is not shown."""

    secure: bool
    host: str
    port: int | None
    target: str


def parse_url(text: str) -> Address | None:
    """Return where a URL leads, or None for "off". Raises ValueError, which does not repeat it."""
    if text == OFF:
        return None
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be a URL without spaces or characters beyond ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("must be a URL") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with https:// or http://")
    if not parts.hostname:
        raise ValueError("must name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password")
    if parts.fragment or port == 0:
        raise ValueError("must have no fragment (#...) and no port 0")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme == "https", parts.hostname, port, target)


def parse_secret(text: str) -> bytes | None:
    """Return the key of a `whsec_` secret, or None for "off". Raises ValueError, which does not repeat it."""
    if text == OFF:
        return None
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    low, high = KEY_BYTES
    if text != f"{PREFIX}{base64.b64encode(key).decode()}" or not low <= len(key) <= high:
        raise ValueError(f"must be {PREFIX} and the base64 of {low} to {high} random bytes")
    return key


def body(delivery: Delivery) -> bytes:
    """Return what is sent of an alert: canonical JSON."""
    entry = delivery.entry
    facts = {name: value for name, value in entry["facts"].items() if name not in PERSONAL}
    shown = {
        "type": entry["action"],
        "timestamp": entry["time"],
        "data": {
            "index": entry["index"],
            "leaf_hash": delivery.leaf_hash,
            "study": entry["study"],
            "summary": entry["summary"],
            "facts": facts,
        },
    }
    return log.canonical(shown).encode()


def headers(key: bytes, delivery: Delivery, sent: bytes, timestamp: int) -> dict[str, str]:
    """Return the headers of a body that is sent at a time, in seconds since 1970."""
    identifier = f"msg_{delivery.leaf_hash[:32]}"
    return {
        "Content-Type": "application/json",
        "User-Agent": f"rowless/{importlib.metadata.version('rowless')}",
        "Connection": "close",
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, identifier, timestamp, sent),
    }


def sign(key: bytes, identifier: str, timestamp: int, sent: bytes) -> str:
    """Return the signature of a body."""
    signed = f"{identifier}.{timestamp}.".encode() + sent
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def post(address: Address, sent_headers: Mapping[str, str], sent: bytes) -> str | None:
    """Send a body once; return None when it was taken (2xx), or why not. Redirects are not followed."""
    connection: http.client.HTTPConnection
    if address.secure:
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(address.host, address.port, timeout=STEP_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=STEP_SECONDS)
    late = threading.Event()
    end = threading.Timer(WHOLE_SECONDS, _cut, [connection, late])
    end.daemon = True
    end.start()
    try:
        connection.request("POST", address.target, sent, dict(sent_headers))
        status = connection.getresponse().status
    except ssl.SSLError:
        return "its certificate or TLS is not good"
    except TimeoutError:
        return "it did not answer in time"
    except (OSError, http.client.HTTPException):
        return "it cannot be reached"
    finally:
        end.cancel()
        connection.close()
    if late.is_set():  # half an answer reads like a whole one
        return "it did not answer in time"
    return None if 200 <= status < 300 else f"it answered with {status}"


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """End a connection that takes too long, whatever it is doing."""
    late.set()
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
