"""Texts that PostgreSQL refuses, on both ledgers and every route, and the headers of every reply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from server.web.guard import HEADERS
from tests.databases import Postgresql
from tests.server.routes import BODIES, CONTRACT, filled
from tests.serving import PATIENTS, USERS, Place, application, ask, make_home, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Client, Reply

# As they stand in an address: U+0000 alone and within, half of a surrogate pair, a byte that is no UTF-8, and what is
# valid but lies outside of the basic plane.
NUL = ("%00", "f%00lu")
ODD = ("%ED%A0%80", "%FF", "%F0%9F%98%80", "%C0%80", "%E2%80%AE")
ROUTES = sorted(CONTRACT, key=lambda route: (route[1], route[0]))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application over a home with the clinic and the study flu, once with each ledger."""
    folder = tmp_path_factory.mktemp("guard")
    made = None if request.param == "sqlite" else Postgresql(request.getfixturevalue("postgres_server"))
    home = make_home(folder / "home", write_clinic(folder), database=made and made.empty())
    with application(home) as place:
        place.open_study("flu", "clinic")
        yield place
    if made:
        made.drop()


def user_for(place: Place, route: tuple[str, str]) -> Client:
    """Return the client of a user whom a route is for."""
    roles = CONTRACT[route]
    return place.client(None if roles is None else next(name for name, role in USERS.items() if role in roles))


def send(place: Place, route: tuple[str, str], path: str) -> Reply:
    """Send a request to a route, with the body that it takes."""
    return user_for(place, route).request(route[0], path, BODIES.get(route))


@pytest.mark.parametrize("route", [route for route in ROUTES if "{" in route[1]], ids=" ".join)
@pytest.mark.parametrize("text", [*NUL, *ODD])
def test_a_path_with_a_text_that_no_name_is_leads_nowhere(either: Place, route: tuple[str, str], text: str) -> None:
    """Each parameter in turn; nothing is 500, and nothing is changed by it."""
    for name in re.findall(r"{(\w+)}", route[1]):
        reply = send(either, route, filled(route[1], **{name: text}))
        assert reply.status in ({404} if text in NUL else {404, 422}), (name, reply)
        assert reply.code in {"not-found", "invalid-request"}


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
@pytest.mark.parametrize("place_of", ["value", "name"])
def test_a_query_string_with_such_a_text_is_not_valid(either: Place, route: tuple[str, str], place_of: str) -> None:
    """Whichever parameter has it, known or not."""
    names = ("cursor", "study", "actor", "action", "from", "to", "limit", "kind", "post", "index", "size", "due")
    for name in names if place_of == "value" else ("%00", "cur%00sor"):
        for text in NUL if place_of == "value" else ("x",):
            path = filled(route[1], name="clinic")
            reply = send(either, route, f"{path}?{name}={text}")
            assert (reply.status, reply.code) in {(422, "invalid-request"), (422, "invalid-query")}, (path, name, reply)


@pytest.mark.parametrize("text", ODD)
def test_other_odd_texts_in_query_strings_do_no_harm(either: Place, text: str) -> None:
    """They are looked up and not found, or are not valid."""
    for path, user in (
        ("/studies?cursor=", "ada"),
        ("/studies/flu/releases?cursor=", "ada"),
        ("/studies/flu/releases?cursor=2026~", "ada"),
        ("/audit/entries?study=", "dora"),
        ("/audit/entries?actor=", "dora"),
        ("/audit/entries?action=", "dora"),
        ("/audit/identities?cursor=", "dora"),
        ("/alerts?study=", "dora"),
    ):
        assert either.client(user).get(path + text).status in {200, 422}, path


@pytest.mark.parametrize("header", ["Authorization", "Idempotency-Key", "Accept"])
def test_a_header_with_such_a_text_is_refused(either: Place, header: str) -> None:
    """Also one that would be looked up before anybody has signed in."""
    headers = {header: f"Bearer rowless_{'0' * 16}\0_x"}
    reply = either.client("ada").request("POST", "/studies/flu/queries", ask(PATIENTS, table="visits"), headers=headers)
    assert (reply.status, reply.code) == (400, "malformed")


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_no_reply_may_be_kept_or_taken_for_something_else(either: Place, route: tuple[str, str]) -> None:
    """Good replies, refusals and errors of each route, with and without a token."""
    path = filled(route[1], name="clinic")
    found = [send(either, route, path), either.client(None).request(route[0], path), send(either, route, f"{path}/%00")]
    for reply in found:
        for name, value in HEADERS.items():
            assert reply.headers[name.lower()] == value, (name, reply)


def test_the_report_page_has_a_policy_that_allows_its_style_alone(either: Place) -> None:
    """And nothing else: no script, no frame, no form."""
    reply = either.client("dora").get("/studies/flu/report", Accept="text/html")
    policy = reply.headers["content-security-policy"]
    assert reply.content_type == "text/html"
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (reply.headers["cache-control"], reply.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert either.client(None).get("/nowhere").headers["x-content-type-options"] == "nosniff"
