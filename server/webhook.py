"""An alert as a webhook: its body, its signature, and one attempt to send it.

The format is that of Standard Webhooks 1.0 (https://www.standardwebhooks.com), and its reference library signs: the
headers are `webhook-id`, `webhook-timestamp` and `webhook-signature`. The id comes from the hash of the log's entry, so
an alert that is sent twice has the same id.

The body leaves the organisation. It has the log's facts about the alert but no person, not even a commitment.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import http.client
import importlib.metadata
import re
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from standardwebhooks.webhooks import Webhook

from budgets.verify import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.alerts.outbox import Delivery

OFF = "off"
PREFIX = "whsec_"
KEY_BYTES = (24, 64)  # the limits of Standard Webhooks
STEP_SECONDS = 10  # for each of: connect, send, read the reply
WHOLE_SECONDS = 30  # for all steps together, also against a slow receiver; below `outbox.FIRST_SECONDS`
PERSONAL = ("actor", "role")

UNTRUSTED = "its TLS or certificate is not valid"
LATE = "it did not answer in time"
UNREACHABLE = "it cannot be reached"


@dataclass(frozen=True)
class Address:
    """Where alerts are sent. The URL may contain a token of the receiver, so it is never shown."""

    secure: bool
    host: str
    port: int | None
    target: str


def parse_url(text: str) -> Address | None:
    """Return the address of a URL, or None for "off". Raises ValueError, whose text does not repeat the URL."""
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
    """Return the key of a `whsec_` secret, or None for "off". Raises ValueError, whose text does not repeat it."""
    if text == OFF:
        return None
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    low, high = KEY_BYTES
    if text != f"{PREFIX}{base64.b64encode(key).decode()}" or not low <= len(key) <= high:
        raise ValueError(f"must be {PREFIX} followed by the base64 of {low} to {high} random bytes")
    return key


def body(delivery: Delivery) -> bytes:
    """Return the body that is sent for an alert: canonical JSON."""
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
    return canonical_json.dumps(shown).encode()


def headers(key: bytes, delivery: Delivery, sent: bytes, timestamp: int) -> dict[str, str]:
    """Return the headers of a body that is sent at this time, in seconds since 1970."""
    identifier = f"msg_{delivery.leaf_hash[:32]}"
    return {
        "Content-Type": "application/json",
        "User-Agent": f"rowless/{importlib.metadata.version('rowless')}",
        "Connection": "close",
        "webhook-id": identifier,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": Webhook(key).sign(identifier, dt.datetime.fromtimestamp(timestamp, dt.UTC), sent.decode()),
    }


def post(address: Address, sent_headers: Mapping[str, str], sent: bytes) -> str | None:
    """Send a body once; return None if the receiver took it (2xx), else the reason. Redirects are not followed."""
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
        return UNTRUSTED
    except TimeoutError:
        return LATE
    except (OSError, http.client.HTTPException):
        return UNREACHABLE
    finally:
        end.cancel()
        connection.close()
    if late.is_set():  # a reply that was cut off can look like a whole one
        return LATE
    return None if 200 <= status < 300 else f"it answered with {status}"


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """Close a connection that takes too long, in whichever step it is."""
    late.set()
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
