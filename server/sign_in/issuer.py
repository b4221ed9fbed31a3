"""Access tokens of the issuer (RFC 9068): whether one is valid, and what it says of whom.

Checked are the signature by one of the issuer's keys, an algorithm of the list, issuer, audience, end and begin. A
claim says who somebody is. Of roles it can give researcher alone: an admin, an approver or a DPO is made here, because
otherwise whoever runs the issuer could approve studies.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError

from budgets.database import clock
from server.errors import Unauthenticated
from server.sign_in.keys import IssuerKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

# Asymmetric ones alone: with HS256 the public key would be the secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
LEEWAY_SECONDS = 30
TOKEN_CHARACTERS_MAX = 16_384
KID_MAX = 200
TYPES = ("at+jwt", "application/at+jwt")
# Many issuers write JWT. An ID token is one too, but it is for the client that asked for it and gives no access here.
UNTYPED = (None, "jwt")
OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")
WRONG = "the token is wrong or was revoked"


@dataclass(frozen=True)
class Claimed:
    """What a valid token says: who it is, by an identifier that never changes, and until when."""

    subject: str
    name: str | None
    is_researcher: bool
    expires_at: str


@dataclass(frozen=True)
class Issuer:
    """The configured issuer, and what its tokens must claim."""

    issuer: str
    audience: str
    client: str | None = None  # the command line's, for the device flow
    scope: str = "openid profile"
    name_claim: str = "preferred_username"
    role_claim: str = "roles"
    researcher: str | None = None  # the value of the role claim that makes researchers
    keys: IssuerKeys = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", IssuerKeys(self.issuer))

    def read(self, text: str) -> Claimed:
        """Return what an access token claims. Raises Unauthenticated, IssuerUnavailable."""
        header = _header(text)
        key = self.keys.find(header.get("kid"))
        if key is None:
            raise Unauthenticated(WRONG)
        wanted = {"iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": self.audience}}
        rules: Any = {**wanted, "sub": {"essential": True}, "exp": {"essential": True}}
        try:
            token = jwt.decode(text, key, algorithms=ALGORITHMS)
            jwt.JWTClaimsRegistry(leeway=LEEWAY_SECONDS, **rules).validate(token.claims)
        except ExpiredTokenError:
            raise Unauthenticated("the token has expired") from None
        except (JoseError, ValueError, TypeError):
            raise Unauthenticated(WRONG) from None
        if str(token.header.get("typ", "jwt")).lower() in UNTYPED and _is_id_token(token.claims):
            raise Unauthenticated("this is an ID token: send the access token")
        return self._claimed(token.claims)

    def _claimed(self, claims: Mapping[str, Any]) -> Claimed:
        name = _at(claims, self.name_claim)
        roles = _at(claims, self.role_claim)
        held = [roles] if isinstance(roles, str) else roles if isinstance(roles, list) else []
        return Claimed(
            subject=str(claims["sub"]),
            name=name if isinstance(name, str) else None,
            is_researcher=self.researcher is not None and self.researcher in held,
            expires_at=clock.of_timestamp(claims["exp"]),
        )


def is_one(text: str) -> bool:
    """Return whether a text has the outer form of an issuer's token, and not that of one of the server's own."""
    return text.count(".") == 2 and len(text) <= TOKEN_CHARACTERS_MAX


def _header(text: str) -> dict[str, Any]:
    """Return the header of a token, before anything is fetched for it. Raises Unauthenticated."""
    part = text.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise Unauthenticated(WRONG) from None
    if not isinstance(header, dict) or header.get("alg") not in ALGORITHMS:
        raise Unauthenticated(WRONG)
    kid, kind = header.get("kid"), header.get("typ")
    if not (kid is None or (isinstance(kid, str) and len(kid) <= KID_MAX)):
        raise Unauthenticated(WRONG)
    if not (kind is None or (isinstance(kind, str) and kind.lower() in (*TYPES, *UNTYPED))):
        raise Unauthenticated(WRONG)
    return header


def _is_id_token(claims: Mapping[str, Any]) -> bool:
    return any(name in claims for name in OF_ID_TOKENS) or claims.get("typ") == "ID"


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim by its name, or by a path of names with dots between."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
