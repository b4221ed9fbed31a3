"""An OpenID Connect provider for the tests, made of Authlib's own classes, as a server process of its own.

Run as `python -m tests.server.sign_in.provider PORT`. It issues JWT access tokens (RFC 9068) by client credentials, by
the device flow (RFC 8628) and by the authorization code flow with PKCE (RFC 7636), publishes its keys, and can be told at /test/... what to do next: rotate its keys, answer
slowly, redirect. `/test/sign` signs any claims under any header, as a provider with a fault would.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant, DeviceCredentialDict
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

AUDIENCE = "https://rowless.example"
CLIENT = "rowless-cli"
PAGES, PAGES_SECRET = "rowless-pages", "a secret of the pages"


@dataclass
class Person:
    """Somebody with an account at the provider."""

    subject: str
    claims: dict[str, Any]

    def get_user_id(self) -> str:
        """Return the subject."""
        return self.subject


@dataclass
class State:
    """What the provider does now."""

    keys: list[RSAKey] = field(default_factory=lambda: [new_key()])
    fetches: int = 0
    discoveries: int = 0
    posts: int = 0  # codes and other grants that were sent for tokens
    delay: float = 0.0
    hidden: bool = False  # it answers no discovery
    elsewhere: str | None = None
    person: Person | None = None
    devices: dict[str, DeviceCredentialDict] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    backs: list[str] = field(default_factory=list)  # the redirects that the client of the pages may use


@dataclass
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code that a browser takes back to the pages."""

    code: str
    person: Person
    back: str
    scope: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        """Return where the browser was sent back to."""
        return self.back

    def get_scope(self) -> str:
        """Return what was asked for."""
        return self.scope


@dataclass
class Client(ClientMixin):  # type: ignore[misc]
    """The command line's client, which is public, and that of the pages, which has a secret."""

    name: str
    backs: list[str]

    def get_client_id(self) -> str:
        """Return its id."""
        return self.name

    def get_default_redirect_uri(self) -> str:
        """Return none: the device flow has no redirect."""
        return ""

    def get_allowed_scope(self, scope: str) -> str:
        """Return the scope that was asked for."""
        return scope

    def check_client_secret(self, secret: str) -> bool:
        """Return whether it is the secret of the pages."""
        return self.name == PAGES and secret == PAGES_SECRET

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """Return whether the client is as public as it is."""
        return method == ("client_secret_post" if self.name == PAGES else "none")

    def check_grant_type(self, grant_type: str) -> bool:
        """Return whether it may use a flow."""
        return grant_type == ("authorization_code" if self.name == PAGES else DeviceCodeGrant.GRANT_TYPE)

    def check_response_type(self, response_type: str) -> bool:
        """Return whether it has a browser."""
        return self.name == PAGES and response_type == "code"

    def check_redirect_uri(self, uri: str) -> bool:
        """Return whether the browser may be sent back there."""
        return uri in self.backs


def new_key() -> RSAKey:
    """Return a new key with an id."""
    return RSAKey.generate_key(2048, auto_kid=True)


def provider(issuer: str) -> Flask:
    """Return the provider's application."""
    app, state = Flask("provider"), State()
    server = AuthorizationServer(app, query_client=lambda name: Client(name, state.backs), save_token=lambda *_: None)

    class Generator(JWTBearerTokenGenerator):  # type: ignore[misc]
        def get_jwks(self) -> KeySet:
            return KeySet([state.keys[-1]])

        def get_audiences(self, *_: Any) -> str:
            return AUDIENCE

        def get_extra_claims(self, _client: Any, _grant: Any, user: Person, _scope: Any) -> dict[str, Any]:
            return user.claims

    class Device(DeviceAuthorizationEndpoint):  # type: ignore[misc]
        INTERVAL = 1

        def get_verification_uri(self) -> str:
            return f"{issuer}/device"

        def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
            expires_at = int(time.time()) + data["expires_in"]
            kept = {**data, "client_id": client_id, "scope": scope, "expires_at": expires_at}
            state.devices[data["device_code"]] = DeviceCredentialDict(kept)

    class Grant(DeviceCodeGrant):  # type: ignore[misc]
        def query_device_credential(self, device_code: str) -> DeviceCredentialDict | None:
            return state.devices.get(device_code)

        def query_user_grant(self, _user_code: str) -> tuple[Person, bool] | None:
            return None if state.person is None else (state.person, True)

        def should_slow_down(self, _credential: Any) -> bool:
            return False

    class ByCode(grants.AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]  # noqa: RUF012, as Authlib declares it

        def save_authorization_code(self, code: str, asked: Any) -> None:
            challenge = asked.payload.data["code_challenge"]
            method = asked.payload.data["code_challenge_method"]
            back, scope = asked.payload.redirect_uri, asked.payload.scope
            state.codes[code] = Code(code, asked.user, back, scope, challenge, method)

        def query_authorization_code(self, code: str, _client: Client) -> Code | None:
            return state.codes.get(code)

        def delete_authorization_code(self, code: Code) -> None:
            del state.codes[code.code]

        def authenticate_user(self, code: Code) -> Person:
            return code.person

    server.register_grant(ByCode, [CodeChallenge(required=True)])
    server.register_token_generator("default", Generator(issuer))
    server.register_endpoint(Device)
    server.register_grant(Grant)
    server.register_grant(grants.ClientCredentialsGrant)

    @app.get("/.well-known/openid-configuration")
    def discovery() -> Any:
        state.discoveries += 1
        if state.hidden:
            return "", 503
        return jsonify(
            issuer=issuer,
            jwks_uri=f"{issuer}/jwks",
            token_endpoint=f"{issuer}/token",
            authorization_endpoint=f"{issuer}/authorize",
            device_authorization_endpoint=f"{issuer}/device_authorization",
        )

    @app.get("/jwks")
    def jwks() -> Any:
        state.fetches += 1
        time.sleep(state.delay)
        if state.elsewhere is not None:
            return redirect(state.elsewhere)
        return jsonify(KeySet(state.keys).as_dict(private=False))

    @app.post("/device_authorization")
    def device() -> Any:
        return server.create_endpoint_response("device_authorization")

    @app.get("/authorize")
    def authorize() -> Any:
        # Whoever was told at /test/person has signed in and consents.
        return server.create_authorization_response(grant_user=state.person)

    @app.post("/token")
    def token() -> Any:
        state.posts += 1
        time.sleep(state.delay)
        return server.create_token_response()

    _controls(app, state)
    return app


def _controls(app: Flask, state: State) -> None:
    @app.post("/test/person")
    def person() -> Any:
        body = request.get_json()
        state.person = Person(body["subject"], body["claims"])
        return jsonify({})

    @app.post("/test/rotate")
    def rotate() -> Any:
        state.keys = [new_key()]
        return jsonify({})

    @app.post("/test/set")
    def configure() -> Any:
        for name, value in request.get_json().items():
            setattr(state, name, value)
        return jsonify({})

    @app.get("/test/state")
    def show() -> Any:
        counts = {"fetches": state.fetches, "discoveries": state.discoveries, "posts": state.posts}
        return jsonify(**counts, public=state.keys[-1].as_pem(private=False).decode())

    @app.post("/test/sign")
    def sign() -> Any:
        body, key = request.get_json(), state.keys[-1]
        header = {"alg": "RS256", "kid": key.kid, "typ": "at+jwt", **body.get("header", {})}
        header = {name: value for name, value in header.items() if value is not None}
        algorithm = header["alg"]
        return jsonify(token=jwt.encode(header, body["claims"], key, algorithms=[algorithm], default_type=None))


if __name__ == "__main__":
    port = int(sys.argv[1])
    running = make_server("127.0.0.1", port, provider(f"http://127.0.0.1:{port}"), threaded=True)
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    sys.stdout.flush()
    running.serve_forever()
