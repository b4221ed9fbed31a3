"""Addresses to which a token may be sent: https, or http on this machine alone."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from rowless_client.errors import Misused

PREFIX = "/api/v1"


def checked(text: str) -> str:
    """Return an address without a slash at its end. Raises Misused."""
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
        raise Misused(f"{text!r} is no address: write https://HOST")
    parts = urlsplit(text)
    if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment or parts.query:
        raise Misused(f"{text!r} is no address of a server: write https://HOST, without a user, ? or #")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts.hostname)):
        raise Misused(f"{text!r} must begin with https:// (http:// is for this machine alone): a token is sent there")
    return text.rstrip("/").removesuffix(PREFIX)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
