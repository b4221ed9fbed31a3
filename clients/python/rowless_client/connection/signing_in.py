"""The device flow (RFC 8628): the user signs in at the issuer in a browser, and this program gets an access token.

Addresses of the issuer are https, or http on this machine, and no redirect is followed: a code or a token would go with
it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from rowless_client.connection import addresses
from rowless_client.errors import Misused, NoToken, SignInFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowless_client.connection.http import Connection

DISCOVERY = "/.well-known/openid-configuration"
GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL_SECONDS = 5.0
SLOWER_SECONDS = 5.0
VALID_SECONDS = 600.0
TIMEOUT_SECONDS = 10.0


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


def sign_in(connection: Connection, show: Callable[[str], None] | None = None) -> str:
    """Return an access token of the server's issuer after its user has signed in. Raises NoToken, SignInFailed.

    `show` is given one line that tells the user where to go; by default it is printed.
    """
    told = connection.json("GET", "/sign-in")
    if told.get("issuer") is None or told.get("client") is None:
        raise NoToken("there is no token: give one, or set ROWLESS_TOKEN. This server has no sign-in for programs")
    waiting = begin(told["issuer"], told["client"], told.get("scope") or "openid")
    (show or _print)(f"Open {waiting.address} and confirm the code {waiting.user_code}")
    return finish(waiting)


def begin(issuer: str, client: str, scope: str) -> Waiting:
    """Begin a sign-in. Raises SignInFailed."""
    document = _fetched("GET", f"{issuer.rstrip('/')}{DISCOVERY}")
    if document.get("issuer") != issuer:
        raise SignInFailed("the issuer's discovery document is of another issuer")
    if "device_authorization_endpoint" not in document or "token_endpoint" not in document:
        raise SignInFailed("the issuer has no device flow: use a token of the server (ROWLESS_TOKEN)")
    found = _fetched("POST", document["device_authorization_endpoint"], {"client_id": client, "scope": scope})
    if not {"device_code", "user_code", "verification_uri"} <= found.keys():
        raise SignInFailed(f"the issuer refused: {found.get('error', 'its answer is not understood')}")
    return Waiting(
        token_endpoint=document["token_endpoint"],
        client=client,
        device_code=found["device_code"],
        user_code=found["user_code"],
        address=found.get("verification_uri_complete", found["verification_uri"]),
        interval=float(found.get("interval", INTERVAL_SECONDS)),
        until=time.monotonic() + float(found.get("expires_in", VALID_SECONDS)),
    )


def finish(waiting: Waiting) -> str:
    """Return the access token when the user has signed in. Raises SignInFailed."""
    interval = waiting.interval
    form = {"grant_type": GRANT, "device_code": waiting.device_code, "client_id": waiting.client}
    while time.monotonic() < waiting.until:
        time.sleep(interval)
        found = _fetched("POST", waiting.token_endpoint, form)
        if "access_token" in found:
            return str(found["access_token"])
        error = found.get("error")
        if error == "slow_down":
            interval += SLOWER_SECONDS
        elif error != "authorization_pending":
            raise SignInFailed(f"the issuer refused: {error}")
    raise SignInFailed("nobody signed in in time")


def _fetched(method: str, address: object, form: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a JSON object of the issuer, whatever its status: what went wrong is in it, too."""
    try:
        addresses.checked(str(address))
        with requests.Session() as session:
            reply = session.request(
                method,
                str(address),
                data=form,
                auth=_nobody,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                headers={"Accept": "application/json"},
            )
        found = reply.json()
    except (requests.RequestException, Misused, ValueError) as error:
        raise SignInFailed(f"the issuer cannot be asked: {error}") from error
    if not isinstance(found, dict):
        raise SignInFailed("the issuer did not answer with a JSON object")
    return found


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Sign nothing: without this function requests would send what ~/.netrc has."""
    return request


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
