"""What generators of clients need of the OpenAPI document: names, examples, a server, and no shape that they drop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from server.api import examples
from tests.server.api.test_openapi import JSON, resolved, validator
from tests.server.routes import document, operations
from tests.serving import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Place

# Programs that were generated call the operations by these names, so none may change.
NAMES = """
    add_member add_user advise advise_on_budget advise_on_terms approve approve_budget approve_terms buy_profile cancel
    close conclude confirm edit_study erase_identities estimate find_codes health link_account list_alerts list_charges list_datasets
    list_editions list_entries list_identities list_proposals list_releases list_studies list_templates list_tokens
    list_users live me methods_of_dataset methods_of_study new_token notice_for_persons open_study propose propose_terms prove_consistency prove_inclusion query ready rehearse
    remove_member remove_user report_on_dataset report_on_study resume revoke_token set_budget show_budget
    show_certificate show_changes show_checkpoint show_dataset show_guarantee show_release show_server show_shares
    show_study sign_in suspend unlink_account verify withdraw
"""


@pytest.fixture(scope="module")
def served(shared: Place) -> dict[str, Any]:
    """Return the document."""
    return document(shared)


def walk(part: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of the document with its place."""
    if isinstance(part, dict):
        yield place, part
        for name, one in part.items():
            yield from walk(one, f"{place}/{name}")
    elif isinstance(part, list):
        for number, one in enumerate(part):
            yield from walk(one, f"{place}/{number}")


def test_operations_keep_their_names(served: dict[str, Any]) -> None:
    """Each operation has a name of its own, and those that were ever served are still there."""
    names = [operation["operationId"] for operation in operations(served).values()]
    assert sorted(names) == sorted(NAMES.split())
    assert len(names) == len(set(names))


def test_alternatives_that_are_objects_are_components(served: dict[str, Any]) -> None:
    """No oneOf or anyOf has an object without a name, because generators drop every call that leads to one."""
    unnamed = [
        f"{place}/{word}"
        for place, part in walk(served)
        for word in ("oneOf", "anyOf", "allOf")
        for one in part.get(word, ())
        if one.get("type") == "object" or "properties" in one
    ]
    assert unnamed == []


def test_lists_of_words_have_a_type(served: dict[str, Any]) -> None:
    """Each list of words and each constant has its type, without which generators know only `any`."""
    schemas = served["components"]["schemas"]
    assert [place for place, part in walk(schemas) if isinstance(part.get("enum"), list) and "type" not in part] == []
    assert [place for place, part in walk(schemas) if isinstance(part.get("const"), str) and "type" not in part] == []


def test_patterns_are_those_of_javascript(served: dict[str, Any]) -> None:
    """No pattern has what only Python understands: JSON Schema has the patterns of JavaScript."""
    patterns = [part["pattern"] for _, part in walk(served) if isinstance(part.get("pattern"), str)]
    assert patterns
    assert [pattern for pattern in patterns if re.search(r"\\[AZ]|\(\?P|\(\?[a-z]", pattern)] == []


@pytest.mark.parametrize("name", ["seen", "commitments"])
def test_digest_with_a_line_end_is_refused(shared: Place, name: str) -> None:
    """A digest is the whole text: a line end after it is refused, although `$` of Python would allow it."""
    digest = "0" * 64 + "\n"
    reason = {"reason": "because", "opinion": "favourable", "seen": digest}
    path, body = {
        "seen": ("/studies/flu/advise", reason),
        "commitments": ("/audit/identities/erase", {"commitments": [digest]}),
    }[name]
    reply = shared.client("dora").post(path, body)
    assert (reply.status, reply.code) == (422, "invalid-request")
    assert reply.json()["pointer"].startswith(f"/{name}")


def test_every_body_has_an_example_that_is_allowed(served: dict[str, Any]) -> None:
    """Each body has an example, and each example of a body or a reply is valid under its schema."""
    bodies, checked = set(), 0
    for operation in operations(served).values():
        contents = [response.get("content", {}).get(JSON, {}) for response in operation["responses"].values()]
        if "requestBody" in operation:
            contents.append(operation["requestBody"]["content"][JSON])
            bodies.add(operation["operationId"])
            assert {"example", "examples"} & set(contents[-1]), operation["operationId"]
        for content in contents:
            shown = [one["value"] for one in content.get("examples", {}).values()]
            for example in [*shown, *([content["example"]] if "example" in content else [])]:
                validator(served, content["schema"]).validate(example)
                checked += 1
    assert bodies > set(examples.BODIES)
    assert checked == len(examples.BODIES) + 3 * len(examples.ASKS) + 3


def test_document_names_its_server_and_licence(served: dict[str, Any]) -> None:
    """The paths begin at the root of the server that sent the document."""
    assert [server["url"] for server in served["servers"]] == ["/"]
    assert all(path.startswith(PREFIX) for path in served["paths"])
    assert served["info"]["license"]["identifier"] == "Apache-2.0"


def test_each_operation_states_whether_it_takes_a_token(served: dict[str, Any]) -> None:
    """An operation that needs a token documents 401, 403 and 429; one that needs none has an empty list."""
    public = set()
    for (_, path), operation in operations(served).items():
        if operation["security"]:
            assert {"401", "403", "429"} <= set(operation["responses"]), path
        else:
            public.add(path)
    assert public == {"/health", "/health/live", "/health/ready", "/sign-in"}


def test_replies_may_get_members_and_requests_may_not(served: dict[str, Any]) -> None:
    """Shapes that are sent allow more members, so that programs ignore what a later version adds."""
    reached: dict[str, set[str]] = {"responses": set(), "requestBody": set()}

    def follow(part: Any, found: set[str]) -> None:
        for _, one in walk(part):
            name = one.get("$ref", "")
            if isinstance(name, str) and name and name not in found:
                found.add(name)
                follow(resolved(served, one), found)

    for operation in operations(served).values():
        for word, found in reached.items():
            follow(operation.get(word, {}), found)
    for word, more in (("responses", True), ("requestBody", False)):
        for name in reached[word]:
            schema = resolved(served, {"$ref": name})
            if "properties" in schema:
                assert schema["additionalProperties"] is more, name
