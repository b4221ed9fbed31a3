"""The issuer's discovery document and public keys: kept, and fetched again when they are old or a key is unknown.

Anybody can send a token that names an unknown key, or begin a sign-in, so whoever does must not decide how often the
issuer is asked. Both are fetched together when they are an hour old, and for an unknown key; at most `REFETCHES` times
within `SPAN_SECONDS`. One thread fetches; the others do not wait for it. If the issuer cannot be reached, what is known
of it holds for a day.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joserfc import jwk
from joserfc.errors import JoseError

from server.errors import IssuerUnavailable
from server.sign_in import fetching

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger("rowless")

FRESH_SECONDS = 3600.0
STALE_SECONDS = 24 * 3600.0
REFETCHES = 5
SPAN_SECONDS = 300.0
KEYS_MAX = 64
RSA_CHARACTERS_MIN = 342  # of the modulus in base64: 2048 bits
DISCOVERY = "/.well-known/openid-configuration"
# A secret key among the public ones would let everybody sign.
KINDS = ("RSA", "EC", "OKP")


@dataclass(frozen=True)
class Known:
    """The discovery document, the keys by their ids, and when both were fetched."""

    document: Mapping[str, Any]
    keys: Mapping[str, jwk.Key]
    at: float


class IssuerKeys:
    """The keys of one issuer, and its discovery document. Threads may share it."""

    def __init__(self, issuer: str, seconds: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._seconds = seconds
        self._fetching = threading.Lock()
        self._known: Known | None = None
        self._fetches: deque[float] = deque(maxlen=REFETCHES)

    def find(self, kid: str | None) -> jwk.Key | None:
        """Return the key of an id, or the only key if no id is given. Raises IssuerUnavailable."""
        known = self._held(lambda held: _has(held, kid))
        if kid is None:
            return next(iter(known.keys.values())) if len(known.keys) == 1 else None
        return known.keys.get(kid)

    def document(self) -> Mapping[str, Any]:
        """Return the issuer's discovery document. Raises IssuerUnavailable."""
        return self._held(lambda _held: True).document

    def warm(self) -> None:
        """Fetch the keys, so that the first token need not wait. If the issuer is down, later tokens try again."""
        self._again(None)

    def _held(self, is_enough: Callable[[Known], bool]) -> Known:
        """Return what is known, fetched again if it is old or not enough. Raises IssuerUnavailable."""
        known = self._known
        if known is None or self._seconds() - known.at > FRESH_SECONDS or not is_enough(known):
            known = self._again(known)
        if known is None or self._seconds() - known.at > STALE_SECONDS:
            raise IssuerUnavailable("the issuer's keys cannot be fetched right now; try again soon")
        return known

    def _again(self, known: Known | None) -> Known | None:
        """Fetch if that may be done now. Return what is known then."""
        if not self._fetching.acquire(blocking=False):
            return self._known
        try:
            if self._known is not known and self._known is not None:  # another thread has just fetched them
                return self._known
            now = self._seconds()
            if len(self._fetches) == REFETCHES and now - self._fetches[0] < SPAN_SECONDS:
                return self._known
            self._fetches.append(now)
            self._known = Known(document := discover(self._issuer), _fetched(document), now)
        except fetching.FetchFailed as failure:
            logger.warning("the keys of the issuer %s cannot be fetched: %s", self._issuer, failure)
        finally:
            self._fetching.release()
        return self._known


def discover(issuer: str) -> dict[str, Any]:
    """Return the issuer's discovery document. Raises FetchFailed."""
    document = fetching.get_json(f"{issuer.rstrip('/')}{DISCOVERY}")
    if document.get("issuer") != issuer:
        raise fetching.FetchFailed("its discovery document is of another issuer")
    return document


def _fetched(document: Mapping[str, Any]) -> dict[str, jwk.Key]:
    offered = fetching.get_json(str(document.get("jwks_uri"))).get("keys")
    if not isinstance(offered, list):
        raise fetching.FetchFailed("its key set has no list of keys")
    found: dict[str, jwk.Key] = {}
    for one in offered[:KEYS_MAX]:
        key = _usable(one)
        if key is not None and key.kid is not None:
            found.setdefault(key.kid, key)
    if not found:
        raise fetching.FetchFailed("its key set has no key that can be used")
    return found


def _usable(offered: Any) -> jwk.Key | None:
    """Return a public key for signatures, or None for anything else."""
    if not isinstance(offered, dict) or offered.get("kty") not in KINDS or offered.get("use", "sig") != "sig":
        return None
    if offered["kty"] == "RSA" and len(str(offered.get("n", ""))) < RSA_CHARACTERS_MIN:
        return None
    try:
        key = jwk.import_key({name: value for name, value in offered.items() if name != "d"})
        key.ensure_kid()
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key


def _has(known: Known, kid: str | None) -> bool:
    return len(known.keys) == 1 if kid is None else kid in known.keys
