"""The device flow (RFC 8628): a program without a browser gets an access token while its user signs in elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.errors import Unauthenticated
from server.sign_in import fetching, keys

if TYPE_CHECKING:
    from collections.abc import Callable

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_SECONDS = 5
SLOWER_SECONDS = 5


@dataclass(frozen=True)
class Waiting:
    """A sign-in that waits for its user: where they go, and which code they confirm there."""

    token_endpoint: str
    client: str
    device_code: str
    user_code: str
    address: str
    interval: float
    until: float


def begin(issuer: str, client: str, scope: str) -> Waiting:
    """Begin a sign-in. Raises FetchFailed, Unauthenticated."""
    document = keys.discover(issuer)
    if "device_authorization_endpoint" not in document or "token_endpoint" not in document:
        raise Unauthenticated("the issuer has no device flow: use a token of the server (ROWLESS_TOKEN)")
    found = _answer(document["device_authorization_endpoint"], {"client_id": client, "scope": scope})
    if not {"device_code", "user_code", "verification_uri"} <= found.keys():
        raise Unauthenticated(f"the issuer refused: {found.get('error', 'its answer is not understood')}")
    return Waiting(
        token_endpoint=document["token_endpoint"],
        client=client,
        device_code=found["device_code"],
        user_code=found["user_code"],
        address=found.get("verification_uri_complete", found["verification_uri"]),
        interval=float(found.get("interval", INTERVAL_SECONDS)),
        until=time.monotonic() + float(found.get("expires_in", 600)),
    )


def finish(waiting: Waiting, sleep: Callable[[float], None] = time.sleep) -> str:
    """Return the access token when the user has signed in. Raises FetchFailed, Unauthenticated."""
    interval = waiting.interval
    form = {"grant_type": GRANT, "device_code": waiting.device_code, "client_id": waiting.client}
    while time.monotonic() < waiting.until:
        sleep(interval)
        found = _answer(waiting.token_endpoint, form)
        if "access_token" in found:
            return str(found["access_token"])
        match found.get("error"):
            case "authorization_pending":
                continue
            case "slow_down":
                interval += SLOWER_SECONDS
            case error:
                raise Unauthenticated(f"the issuer refused: {error}")
    raise Unauthenticated("nobody signed in in time")


def _answer(address: object, form: dict[str, str]) -> dict[str, Any]:
    return fetching.post_form(str(address), form)[1]
