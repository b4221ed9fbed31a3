"""Tokens of an OpenID Connect issuer, against a provider that runs as a process of its own."""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import RSAKey

from server.errors import IssuerUnavailable, SettingsError, Unauthenticated
from server.sign_in import fetching, keys
from server.sign_in.issuer import Issuer
from server.sign_in.keys import IssuerKeys
from tests.ports import free_port
from tests.server.sign_in.provider import AUDIENCE, CLIENT
from tests.server.sign_in.running import RESEARCHER, Provider, settings_of, start
from tests.serving import PATIENTS, Client, Home, Place, application, ask, through_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Run a provider for the module."""
    running = start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _usual(provider: Provider) -> None:
    provider.tell("set", delay=0.0, elsewhere=None)


@pytest.fixture(scope="module")
def refusing(template: Home, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application for the tests in which nobody is let in."""
    home = template.copy(tmp_path_factory.mktemp("refusing") / "home")
    with application(home, **settings_of(provider.issuer)) as opened:
        yield opened


@pytest.fixture
def place(home: Home, provider: Provider) -> Iterator[Place]:
    """Return an application that takes the provider's tokens, with the approved study flu."""
    with application(home, **settings_of(provider.issuer)) as opened:
        opened.open_study()
        yield opened


def sent(place: Place, token: str) -> Client:
    """Return a client with a token."""
    return Client(through_app(place.app), token)


def status(place: Place, token: str) -> int:
    """Return the status of a request with a token."""
    return sent(place, token).get("/me").status


def test_the_issuer_makes_researchers(place: Place, provider: Provider) -> None:
    """Somebody new with the researcher's role becomes one, once, under their name, and may then be made a member."""
    before = place.home.last_entry()
    eve = sent(place, provider.token())
    me = eve.good("GET", "/me")
    assert (me["name"], me["role"], me["studies"]) == ("eve", "researcher", [])
    assert place.home.actions(before) == ["user.add", "user.link"]
    assert sent(place, provider.token(preferred_username="renamed")).good("GET", "/me")["name"] == "eve"
    place.client("admin").good("PUT", "/studies/flu/members/eve")
    assert eve.post("/studies/flu/queries", ask(PATIENTS)).status == 201
    listed = {one["user"]: one["by_issuer"] for one in place.client("admin").good("GET", "/users")["items"]}
    assert listed == {"admin": False, "dora": False, "vera": False, "ada": False, "ben": False, "eve": True}
    place.home.assert_sound()


@pytest.mark.parametrize("roles", [["admin"], ["dpo", "approver"], [], None, "x", {"a": 1}, 7])
def test_no_claim_makes_anything_else(refusing: Place, provider: Provider, roles: Any) -> None:
    """Roles other than the researcher's give nothing: nobody is added, and the token is refused."""
    before = refusing.home.rows("SELECT count(*) FROM users")
    assert status(refusing, provider.token("s-mallory", roles=roles)) == 401
    assert refusing.home.rows("SELECT count(*) FROM users") == before


@pytest.mark.parametrize("name", ["ada", "ADA", "dora", "Ａda", "system", "root", "a b", "", None, "x" * 64, 7])
def test_a_name_at_the_issuer_is_nobodys_here(refusing: Place, provider: Provider, name: Any) -> None:
    """Who takes a user's name at the issuer, in any case, or one that cannot be a user's, is not that user."""
    before = refusing.home.rows("SELECT count(*) FROM users")
    assert status(refusing, provider.token("s-mallory", preferred_username=name)) == 401
    assert refusing.home.rows("SELECT count(*) FROM users") == before


def test_users_tie_themselves_to_their_account(place: Place, provider: Provider) -> None:
    """With a token of each, a DPO signs in by the issuer from then on; unlinked, no longer."""
    token = provider.token("s-dora", roles=[])
    assert status(place, token) == 401
    before = place.home.last_entry()
    dora = place.client("dora")
    dora.good("PUT", "/me/account", {"token": token})
    me = sent(place, token).good("GET", "/me")
    assert (me["name"], me["role"]) == ("dora", "dpo")
    assert place.home.actions(before) == ["user.link"]
    reply = place.client("ada").request("PUT", "/me/account", {"token": token})
    assert (reply.status, reply.code) == (409, "already-exists")
    own = sent(place, token).request("PUT", "/me/account", {"token": token})
    assert (own.status, own.code) == (403, "forbidden")
    assert place.client("ada").request("PUT", "/me/account", {"token": "a.b.c"}).status == 422
    place.client("admin").good("DELETE", "/users/dora/account")
    assert status(place, token) == 401
    assert place.client("admin").request("DELETE", "/users/dora/account").status == 404
    for (row,) in place.home.rows("SELECT subject FROM users WHERE subject IS NOT NULL"):
        assert "dora" not in row


def test_a_limited_token_ties_nobody(place: Place, provider: Provider) -> None:
    """Who holds a token that only reads, or that is for one study, cannot make lasting access of it."""
    for limits in ({"reads_only": True}, {"study": "flu"}):
        made = place.new_token("dora", **limits)
        reply = sent(place, made).request("PUT", "/me/account", {"token": provider.token("s-mallory")})
        assert (reply.status, reply.code) == (403, "forbidden")


def test_researchers_need_the_claim(place: Place, provider: Provider) -> None:
    """A researcher who lost the role at the issuer gets no access by it; the other roles do not need it."""
    assert status(place, provider.token()) == 200
    assert status(place, provider.token(roles=["other"])) == 401
    assert status(place, provider.token()) == 200


A_YEAR = 365 * 86_400  # seconds: the time here is that of the tests' collection, and a run may take hours
WRONG: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://elsewhere.example"},
    "no audience": {"aud": None},
    "several audiences, none ours": {"aud": ["a", "b"]},
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "expired": {"exp": int(time.time()) - 60},
    "no end": {"exp": None},
    "an end that is no time": {"exp": "never"},
    "not yet": {"nbf": int(time.time()) + A_YEAR},
    "from the future": {"iat": int(time.time()) + A_YEAR},
    "nobody": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is no text": {"sub": 7},
    "an ID token": {"header": {"typ": "JWT"}, "nonce": "n"},
    "an ID token of Keycloak": {"header": {"typ": "JWT"}, "typ": "ID"},
    "another type": {"header": {"typ": "logout+jwt"}},
    "an unknown key": {"header": {"kid": "unknown"}},
    "a key that is no text": {"header": {"kid": "k" * 500}},
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_token_with_one_fault_gets_nowhere(place: Place, provider: Provider, fault: str) -> None:
    """A good token is good; with one thing wrong it is 401, adds nobody and counts as a failed sign-in."""
    before = place.home.last_entry()
    assert status(place, provider.token("s-mallory", **WRONG[fault])) == 401
    assert place.home.actions(before) == ["sign-in.fail"]
    assert status(place, provider.token("s-mallory")) == 200


def test_the_audience_may_be_one_of_several(place: Place, provider: Provider) -> None:
    """A token for several audiences is good if this server is one; typ JWT is good for an access token."""
    assert status(place, provider.token(aud=["a", AUDIENCE])) == 200
    assert status(place, provider.token(header={"typ": "JWT"})) == 200
    assert status(place, provider.token(header={"typ": None})) == 200


def encoded(content: bytes) -> str:
    """Return bytes as a JWT has them."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def part(value: Any) -> str:
    """Return a JSON value as a part of a JWT."""
    return encoded(json.dumps(value).encode())


def test_a_signature_that_is_none_or_by_the_public_key_is_refused(place: Place, provider: Provider) -> None:
    """No algorithm `none`, no HS256 with the public key as secret, no key that the token brings along."""
    now = int(time.time())
    claims = {"iss": provider.issuer, "aud": AUDIENCE, "sub": "s-mallory", "exp": now + 600, "roles": [RESEARCHER]}
    claims |= {"preferred_username": "mallory"}
    public = provider.state()["public"]
    kid = jws.extract_compact(provider.token().encode()).headers()["kid"]
    unsigned = f"{part({'alg': 'none', 'kid': kid})}.{part(claims)}."
    body = f"{part({'alg': 'HS256', 'kid': kid})}.{part(claims)}"  # by hand: joserfc signs nothing with a public key
    by_public = f"{body}.{encoded(hmac.digest(public.encode(), body.encode(), 'sha256'))}"
    own = RSAKey.generate_key(2048)
    brought = jwt.encode({"alg": "RS256", "kid": kid, "jwk": own.as_dict(private=False)}, claims, own)
    changed = provider.token().rsplit(".", 1)[0] + "." + provider.token("s-other").rsplit(".", 1)[1]
    for token in (unsigned, f"{unsigned}c2ln", by_public, brought, changed, "a.b.c", "..", "e30.e30."):
        assert status(place, token) == 401, token
    assert place.home.rows("SELECT name FROM users WHERE name = 'mallory'") == []


def test_rotated_keys_are_found(place: Place, provider: Provider) -> None:
    """A token by the issuer's new key is good at once, and one by the old key is refused from then on."""
    old = provider.token()
    assert status(place, old) == 200
    provider.tell("rotate")
    assert status(place, provider.token()) == 200
    assert status(place, old) == 401


def test_unknown_keys_do_not_flood_the_issuer(place: Place, provider: Provider) -> None:
    """However many tokens name unknown keys, the issuer is asked a few times; good tokens go on being good."""
    assert status(place, provider.token()) == 200
    before = provider.state()["fetches"]
    good = provider.token()
    for number in range(40):
        assert status(place, provider.token(header={"kid": f"unknown-{number}"})) == 401
    assert provider.state()["fetches"] - before <= keys.REFETCHES
    assert status(place, good) == 200


def test_a_slow_issuer_holds_one_request_at_most(provider: Provider) -> None:
    """While one thread waits for the issuer, another with an unknown key is answered at once, and known keys work."""
    found = IssuerKeys(provider.issuer)
    found.warm()
    assert found._known is not None
    (kid,) = found._known.keys
    assert found._fetching.acquire(blocking=False)  # as a thread does while it waits
    try:
        assert found.find("unknown") is None
        assert found.find(kid) is not None
    finally:
        found._fetching.release()


def test_issuer_down_before_any_key_is_503(home: Home) -> None:
    """Before any key is known a token cannot be judged: 503, no failed sign-in. The server's own tokens work."""
    with application(home, **settings_of(f"http://127.0.0.1:{free_port()}")) as place:
        before = place.home.last_entry()
        header = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ"
        reply = sent(place, f"{header}.e30.c2ln").get("/me")
        assert (reply.status, reply.code) == (503, "unavailable")
        assert "retry-after" in reply.headers
        assert place.home.actions(before) == []
        assert place.client("ada").get("/me").status == 200


def test_known_keys_hold_for_a_day_while_the_issuer_is_down() -> None:
    """When the issuer goes down, its tokens stay good for a day and not longer."""
    running, now = start(), [0.0]
    issuer = Issuer(running.issuer, AUDIENCE)
    object.__setattr__(issuer, "keys", IssuerKeys(running.issuer, lambda: now[0]))
    token = running.token()
    assert issuer.read(token).subject == "s-eve"
    running.stop()
    for hours, good in ((2, True), (23, True), (25, False)):
        now[0] = hours * 3600.0
        if good:
            assert issuer.read(token).subject == "s-eve"
        else:
            with pytest.raises(IssuerUnavailable):
                issuer.read(token)


def test_old_keys_are_fetched_again(provider: Provider) -> None:
    """A key that the issuer withdrew is refused an hour later at the latest, though no new key was seen."""
    now = [0.0]
    issuer = Issuer(provider.issuer, AUDIENCE)
    object.__setattr__(issuer, "keys", IssuerKeys(provider.issuer, lambda: now[0]))
    old = provider.token()
    issuer.read(old)
    provider.tell("rotate")
    issuer.read(old)
    now[0] = keys.FRESH_SECONDS + 1
    with pytest.raises(Unauthenticated):
        issuer.read(old)


def test_no_redirect_is_followed(provider: Provider) -> None:
    """An issuer whose key address leads elsewhere has no keys, although good ones are there."""
    other = start()
    provider.tell("set", elsewhere=f"{other.issuer}/jwks")
    found = IssuerKeys(provider.issuer)
    with pytest.raises(IssuerUnavailable):
        found.find("any")
    assert other.state()["fetches"] == 0
    other.stop()


def test_a_discovery_of_another_issuer_is_refused(provider: Provider) -> None:
    """The discovery document must name the very issuer that was configured."""
    with pytest.raises(fetching.FetchFailed):
        keys.discover(f"{provider.issuer}/")


def test_issuer_answer_too_large_or_slow_given_up(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is too large or too slow is given up."""
    monkeypatch.setattr(fetching, "BYTES_MAX", 100)
    with pytest.raises(fetching.FetchFailed):
        fetching.get_json(f"{provider.issuer}/jwks")
    monkeypatch.undo()
    monkeypatch.setattr(fetching, "STEP_SECONDS", 0.2)
    provider.tell("set", delay=2.0)
    with pytest.raises(fetching.FetchFailed):
        fetching.get_json(f"{provider.issuer}/jwks")


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "a"},
        {"kty": "RSA", "n": "w" * 171, "e": "AQAB", "kid": "short"},
        {**RSAKey.generate_key(2048, auto_kid=True).as_dict(private=False), "use": "enc"},
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "EC", "crv": "P-256"},
        {},
        None,
        "text",
    ],
)
def test_keys_that_are_no_good_are_left_out(key: Any) -> None:
    """A secret key, a short one, one for encryption and what is no key are not used; a good one is."""
    assert keys._usable(RSAKey.generate_key(2048, auto_kid=True).as_dict(private=False)) is not None
    assert keys._usable(key) is None


@pytest.mark.parametrize(
    "address",
    [
        "http://login.example.org",
        "ftp://h/",
        "https://",
        "https://u:p@h/",
        "https://h/#x",
        "https://h/ x",
        "javascript:1",
    ],
)
def test_an_issuer_has_a_safe_address(home: Home, address: str) -> None:
    """An issuer that others on the way could stand in for is refused at the start."""
    with pytest.raises(SettingsError, match="ROWLESS_OIDC_ISSUER"):
        home.settings(**settings_of(address))


@pytest.mark.parametrize("missing", ["oidc_issuer", "oidc_audience"])
def test_issuer_and_audience_go_together(home: Home, missing: str) -> None:
    """Without an audience every token of the issuer, made for anybody, would be good."""
    given = settings_of("https://login.example.org")
    del given[missing]
    with pytest.raises(SettingsError, match="ROWLESS_OIDC_AUDIENCE"):
        home.settings(**given)


def test_without_an_issuer_its_tokens_are_nothing(home: Home, provider: Provider) -> None:
    """A server that is not told of an issuer takes none of its tokens, and says so at /sign-in."""
    with application(home) as place:
        assert status(place, provider.token()) == 401
        assert place.client(None).good("GET", "/sign-in") == {"issuer": None, "client": None, "scope": None}
    with application(replace(home), **settings_of(provider.issuer, oidc_client=CLIENT)) as place:
        told = place.client(None).good("GET", "/sign-in")
        assert told == {"issuer": provider.issuer, "client": CLIENT, "scope": "openid profile"}


def test_a_nested_role_claim_is_found(provider: Provider, tmp_path: Path) -> None:
    """Keycloak lists roles within an object: a path with dots leads there."""
    issuer = Issuer(provider.issuer, AUDIENCE, role_claim="realm_access.roles", researcher=RESEARCHER)
    assert issuer.read(provider.token(realm_access={"roles": ["x", RESEARCHER]})).is_researcher
    assert not issuer.read(provider.token()).is_researcher
    assert not issuer.read(provider.token(realm_access=[RESEARCHER])).is_researcher
