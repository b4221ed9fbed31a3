from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.routes import BODIES, CONTRACT, document, filled, operations
from tests.serving import PATIENTS, USERS, Client, ask, through_app

if TYPE_CHECKING:
    from tests.serving import Place


def test_every_route_has_its_roles_in_openapi(shared: Place) -> None:
    """Each route of the document is one of the contract's and has its roles; health alone needs no token."""
    for route, operation in operations(document(shared)).items():
        assert route in CONTRACT, f"{route} is new: say here who it is for"
        roles = CONTRACT[route]
        if roles is None:
            assert "x-roles" not in operation
            assert operation["security"] == []
        else:
            assert set(operation["x-roles"]) == roles, route
            assert operation["security"] == [{"token": []}], route


@pytest.mark.parametrize("role", sorted(set(USERS.values())))
def test_a_route_is_for_its_roles_alone(place: Place, role: str) -> None:
    """A user of a role outside a route's gets 403 forbidden there, and of a role within it neither 401 nor 403."""
    user = next(name for name, held in USERS.items() if held == role)
    client = Client(through_app(place.app), place.new_token(user))
    for (method, path), operation in operations(document(place)).items():
        reply = client.request(method, filled(path), {"not": "a body"} if method in ("POST", "PUT", "PATCH") else None)
        if role in operation.get("x-roles", [role]):
            assert reply.status not in (401, 403), (method, path, reply)
            assert reply.status < 500, (method, path, reply)
        else:
            assert (reply.status, reply.code) == (403, "forbidden"), (method, path)


def test_request_without_token_is_401(place: Place) -> None:
    """Without a token every route but health is 401 with a challenge, whatever the body, and leaves no audit entry."""
    before = place.home.last_entry()
    for (method, path), operation in operations(document(place)).items():
        for body in (None, BODIES.get((method, path)), {"x": 1}):
            reply = place.client(None).request(method, filled(path), body)
            if "x-roles" not in operation:
                assert reply.status == 200
                continue
            assert (reply.status, reply.code) == (401, "unauthenticated"), (method, path)
            assert reply.headers["www-authenticate"] == "Bearer"
    assert place.home.last_entry() == before


def test_a_wrong_token_gets_nowhere(place: Place) -> None:
    """A token that never was, or was revoked, is 401 on every route but health, and changes nothing."""
    admin = place.client("admin")
    made = admin.good("POST", "/users/admin/tokens")
    revoked = Client(through_app(place.app), made["token"])
    assert revoked.get("/me").status == 200
    admin.good("DELETE", f"/tokens/{made['token_id']}")
    before = (
        place.home.rows("SELECT count(*) FROM users"),
        place.home.charges(),
        place.home.rows("SELECT * FROM studies"),
    )
    for client in (revoked, Client(through_app(place.app), "rowless_0123456789abcdef_" + "A" * 43)):
        for (method, path), operation in operations(document(place)).items():
            if "x-roles" in operation:
                reply = client.request(method, filled(path), BODIES.get((method, path)))
                assert (reply.status, reply.code) == (401, "unauthenticated"), (method, path)
    assert before == (
        place.home.rows("SELECT count(*) FROM users"),
        place.home.charges(),
        place.home.rows("SELECT * FROM studies"),
    )


@pytest.mark.parametrize("name", ["ada", "admin", "dora"])
def test_a_token_is_checked_to_its_last_character(place: Place, name: str) -> None:
    """A token with one character changed, cut off, or added is not that token."""
    token = place.home.tokens[name]
    last = "A" if token[-5] != "A" else "B"
    for wrong in (token[:-1], token + "A", token[:-5] + last + token[-4:], token.upper(), token[8:], f"{token} x"):
        assert Client(through_app(place.app), wrong).get("/me").status == 401, wrong
    assert Client(through_app(place.app), token).get("/me").status == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YWRhOmFkYQ==", "Token {token}", "{token}", "Bearer Bearer {token}"]
)
def test_only_a_bearer_token_is_one(place: Place, header: str) -> None:
    """Another scheme, or none, is 401."""
    sent = {"Authorization": header.format(token=place.home.tokens["ada"])}
    assert place.client(None).request("GET", "/me", headers=sent).status == 401


def test_the_scheme_may_be_in_any_case(place: Place) -> None:
    """RFC 9110: the word Bearer is read in any case."""
    sent = {"Authorization": f"bearer {place.home.tokens['ada']}"}
    assert place.client(None).request("GET", "/me", headers=sent).status == 200


def test_a_failed_sign_in_leaves_one_entry(place: Place) -> None:
    """Each wrong token leaves one audit entry that holds nothing of the token."""
    wrong = f"rowless_0123456789abcdef_{'Zq' * 21}Z"
    before = place.home.last_entry()
    for token in (wrong, "letmein-letmein", place.home.tokens["ada"][:-3]):
        assert Client(through_app(place.app), token).get("/me").status == 401
    entries = place.home.rows("SELECT body, action, actor FROM audit_entries WHERE position > ?", before)
    assert [(action, actor) for _, action, actor in entries] == [("sign-in.fail", "anonymous")] * 3
    for body, _, _ in entries:
        assert "letmein" not in body
        assert "Zq" not in body
        assert place.home.tokens["ada"][25:40] not in body


def test_tokens_are_kept_as_hashes_alone(place: Place) -> None:
    """No file of the home holds the secret part of any token."""
    secrets = [token.split("_", 2)[2].encode() for token in place.home.tokens.values()]
    for file in place.home.path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(secret in content for secret in secrets), file


def test_a_stranger_cannot_tell_whether_a_study_is_there(place: Place) -> None:
    """A researcher outside a study gets the same 404 for everything of it as for a study that is not there."""
    release = place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))["id"]
    before = place.home.charges()
    ben = place.client("ben")
    seen = 0
    for (method, path), operation in operations(document(place)).items():
        if "{study}" not in path or "researcher" not in operation["x-roles"]:
            continue
        body = BODIES.get((method, path))
        real = ben.request(method, filled(path, release=release), body)
        unreal = ben.request(method, filled(path, release=release, study="xyz"), body)
        assert (real.status, real.code) == (404, "not-found"), (method, path)
        assert real.body.replace(b"flu", b"xyz") == unreal.body
        seen += 1
    assert seen >= 6
    assert ben.good("GET", "/studies") == {"items": [], "next": None}
    assert ben.good("GET", "/me")["studies"] == []
    assert place.home.charges() == before


def test_who_is_removed_from_a_study_no_longer_knows_of_it(place: Place) -> None:
    """The end of a membership is the end of access, to releases that were seen before too."""
    ada = place.client("ada")
    release = ada.good("POST", "/studies/flu/queries", ask(PATIENTS))["id"]
    assert ada.get(f"/studies/flu/releases/{release}").status == 200
    place.client("admin").good("DELETE", "/studies/flu/members/ada")
    for path in ("/studies/flu", "/studies/flu/releases", f"/studies/flu/releases/{release}", "/studies/flu/budget"):
        assert ada.get(path).status == 404, path
    assert ada.post("/studies/flu/queries", ask(PATIENTS)).status == 404


def test_a_release_is_found_in_its_own_study_alone(place: Place) -> None:
    """A release's id under another study of the same member is 404."""
    place.open_study("other")
    ada = place.client("ada")
    release = ada.good("POST", "/studies/flu/queries", ask(PATIENTS))["id"]
    assert ada.get(f"/studies/other/releases/{release}").status == 404


def test_budgets_of_datasets_are_not_for_researchers(place: Place) -> None:
    """A researcher sees a dataset's public schema without its cap and spend; admins and DPOs see both."""
    assert "budget" not in place.client("ada").good("GET", "/datasets/rand-hie")
    for name in ("admin", "dora"):
        assert place.client(name).good("GET", "/datasets/rand-hie")["budget"]["epsilon"] == 10_000


def limited(place: Place, user: str, **limits: object) -> Client:
    """Return a client with a new, limited token of a user."""
    return Client(through_app(place.app), place.new_token(user, **limits))


def test_a_token_that_only_reads_changes_nothing(place: Place) -> None:
    """With a token for reading, every route but GET is 403 for each role, and none of them changes anything."""
    for user in ("ada", "admin", "dora"):
        client = limited(place, user, reads_only=True)
        before = place.home.charges(), place.home.rows("SELECT * FROM studies")
        for (method, path), operation in operations(document(place)).items():
            if method != "GET":
                reply = client.request(method, filled(path), BODIES.get((method, path)))
                assert (reply.status, reply.code) == (403, "forbidden"), (user, method, path)
            elif USERS[user] in operation.get("x-roles", []):
                assert client.request(method, filled(path)).status not in (401, 403), (user, path)
        assert before == (place.home.charges(), place.home.rows("SELECT * FROM studies"))


def test_a_token_of_a_study_knows_of_no_other(place: Place) -> None:
    """A token that is limited to a study is 403 for every other study and for what is beyond studies, for each role."""
    place.open_study("other")
    open_routes = {path for (_, path), roles in CONTRACT.items() if roles is None}
    beyond = open_routes | {"/me", "/studies", "/datasets", "/datasets/{name}", "/datasets/{name}/codes", "/guarantee"}
    for user in ("ada", "admin", "dora"):
        client = limited(place, user, study="flu")
        before = place.home.charges(), place.home.rows("SELECT id, state FROM studies")
        for (method, path), operation in operations(document(place)).items():
            if "{study}" in path:
                for study in ("other", "nowhere"):
                    reply = client.request(method, filled(path, study=study), BODIES.get((method, path)))
                    assert (reply.status, reply.code) == (403, "forbidden"), (user, method, path)
            elif method != "GET" or path not in beyond:
                reply = client.request(method, filled(path), BODIES.get((method, path)))
                assert (reply.status, reply.code) == (403, "forbidden"), (user, method, path)
            elif USERS[user] in operation.get("x-roles", []):
                assert client.request(method, filled(path)).status not in (401, 403), (user, path)
        assert before == (place.home.charges(), place.home.rows("SELECT id, state FROM studies"))
        assert [one["id"] for one in client.good("GET", "/studies")["items"]] == ["flu"]
        me = client.good("GET", "/me")
        assert (me["studies"], me["study"]) == (["flu"], "flu")
    ada = limited(place, "ada", study="flu")
    assert ada.post("/studies/flu/queries", ask(PATIENTS)).status == 201


def test_an_expired_token_gets_nowhere(place: Place) -> None:
    """A token that ended is 401 with the reason, and its use is a failed sign-in."""
    client = limited(place, "ada", days=1)
    assert client.get("/me").status == 200
    place.home.change("UPDATE tokens SET expires_at = '2020-01-01T00:00:00.000Z' WHERE used_on IS NOT NULL")
    before = place.home.last_entry()
    reply = client.get("/me")
    assert (reply.status, reply.code) == (401, "unauthenticated")
    assert "expired" in reply.json()["detail"]
    assert place.home.actions(before) == ["sign-in.fail"]


def test_only_the_first_use_of_a_day_is_written(place: Place) -> None:
    """The last use is kept as a day; later requests of the same day write nothing."""
    client = limited(place, "ada")
    assert client.token is not None

    def used_on() -> str | None:
        ((day,),) = place.home.rows("SELECT used_on FROM tokens WHERE id = ?", client.token.split("_")[1])
        return day

    assert used_on() is None
    client.good("GET", "/me")
    first = used_on()
    assert first is not None
    assert len(first) == len("2026-11-29")
    place.home.change("UPDATE tokens SET used_on = '2999-01-01' WHERE used_on IS NOT NULL")
    client.good("GET", "/me")
    assert used_on() == "2999-01-01"
    place.home.change("UPDATE tokens SET used_on = '2020-01-01' WHERE used_on IS NOT NULL")
    client.good("GET", "/me")
    assert (used_on() or "") >= first, "the day may have ended meanwhile"


def test_an_admin_sees_the_users_and_their_tokens(place: Place) -> None:
    """Users and tokens are listed in pages, without secrets, and each reading is an entry, the next page of a list counted."""
    admin = place.client("admin")
    limited(place, "ada", days=7, study="flu", reads_only=True)
    before = place.home.last_entry()
    first = admin.good("GET", "/users?limit=3")
    rest = admin.good("GET", f"/users?cursor={first['next']}")
    assert {one["user"]: one["role"] for one in first["items"] + rest["items"]} == USERS
    found = admin.good("GET", "/tokens?user=ada")["items"]
    assert [(one["study"], one["reads_only"]) for one in found if one["study"]] == [("flu", True)]
    assert place.home.actions(before) == ["user.read", "token.read"]
    text = admin.get("/tokens").body.decode()
    assert not any(token.split("_", 2)[2] in text for token in place.home.tokens.values())


@pytest.mark.parametrize(
    "body", [{"days": 0}, {"days": 366}, {"days": "7"}, {"days": 1.5}, {"reads_only": 1}, {"x": 1}]
)
def test_a_wrong_limit_is_refused(place: Place, body: dict[str, object]) -> None:
    """A token with limits that cannot be is 422 and not made."""
    before = place.home.rows("SELECT id FROM tokens")
    reply = place.client("admin").post("/users/ada/tokens", body)
    assert (reply.status, reply.code) == (422, "invalid-request")
    assert place.home.rows("SELECT id FROM tokens") == before
