"""What the contract says of routes: which role each is for. A route that is not here has to be added on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.serving import FORMALITIES, PATIENTS, PREFIX, UNADVISED, ask

if TYPE_CHECKING:
    from tests.serving import Place

EVERYONE = frozenset({"researcher", "admin", "dpo", "approver"})
ADMIN, DPO, RESEARCHER = frozenset({"admin"}), frozenset({"dpo"}), frozenset({"researcher"})
APPROVER = frozenset({"approver"})
EITHER = ADMIN | DPO
ALL_BUT_RESEARCHERS = EITHER | APPROVER

# (method, path) -> roles; None is anyone without a token
CONTRACT: dict[tuple[str, str], frozenset[str] | None] = {
    ("GET", "/health"): None,
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/me"): EVERYONE,
    ("GET", "/datasets"): EVERYONE,
    ("GET", "/datasets/{name}"): EVERYONE,
    ("GET", "/datasets/{name}/codes"): EVERYONE,
    ("POST", "/datasets/{name}/profile"): ADMIN,
    ("POST", "/datasets/{name}/propose"): ADMIN,
    ("POST", "/datasets/{name}/advise"): DPO,
    ("POST", "/datasets/{name}/approve"): APPROVER,
    ("GET", "/datasets/{name}/charges"): ALL_BUT_RESEARCHERS,
    ("GET", "/datasets/{name}/report"): ALL_BUT_RESEARCHERS,
    ("GET", "/datasets/{name}/report/methods"): ALL_BUT_RESEARCHERS,
    ("GET", "/datasets/{name}/notice"): ALL_BUT_RESEARCHERS,
    ("GET", "/datasets/{name}/shares"): ALL_BUT_RESEARCHERS,
    ("GET", "/datasets/{name}/editions"): ADMIN,
    ("GET", "/guarantee"): EVERYONE,
    ("GET", "/server"): ADMIN,
    ("GET", "/studies"): EVERYONE,
    ("POST", "/studies"): ADMIN,
    ("GET", "/studies/{study}"): EVERYONE,
    ("GET", "/studies/{study}/changes"): ALL_BUT_RESEARCHERS,
    ("GET", "/studies/{study}/templates"): EVERYONE,
    ("PATCH", "/studies/{study}"): ADMIN,
    ("PUT", "/studies/{study}/members/{user}"): ADMIN,
    ("DELETE", "/studies/{study}/members/{user}"): ADMIN,
    ("POST", "/studies/{study}/advise"): DPO,
    ("POST", "/studies/{study}/approve"): APPROVER,
    ("POST", "/studies/{study}/suspend"): DPO,
    ("POST", "/studies/{study}/resume"): DPO,
    ("POST", "/studies/{study}/close"): EITHER,
    ("GET", "/studies/{study}/budget"): EVERYONE,
    ("PUT", "/studies/{study}/budget"): ADMIN,
    ("POST", "/studies/{study}/budget/advise"): DPO,
    ("POST", "/studies/{study}/budget/approve"): APPROVER,
    ("GET", "/studies/{study}/report"): ALL_BUT_RESEARCHERS,
    ("GET", "/studies/{study}/report/methods"): ALL_BUT_RESEARCHERS,
    ("POST", "/studies/{study}/report/conclusion"): APPROVER,
    ("POST", "/studies/{study}/estimates"): RESEARCHER,
    ("POST", "/studies/{study}/rehearsals"): RESEARCHER,
    ("POST", "/studies/{study}/queries"): RESEARCHER,
    ("DELETE", "/studies/{study}/queries"): RESEARCHER,
    ("GET", "/studies/{study}/releases"): EVERYONE,
    ("GET", "/studies/{study}/releases/{release}"): EVERYONE,
    ("GET", "/studies/{study}/releases/{release}/certificate"): EVERYONE,
    ("GET", "/alerts"): DPO,
    ("GET", "/audit/entries"): DPO,
    ("GET", "/audit/checkpoint"): DPO,
    ("POST", "/audit/verification"): DPO,
    ("GET", "/audit/proofs/inclusion"): DPO,
    ("GET", "/audit/proofs/consistency"): DPO,
    ("GET", "/audit/identities"): DPO,
    ("POST", "/audit/identities/erase"): DPO,
    ("GET", "/sign-in"): None,
    ("PUT", "/me/account"): EVERYONE,
    ("DELETE", "/users/{name}/account"): ADMIN,
    ("GET", "/users"): ADMIN,
    ("POST", "/users"): ADMIN,
    ("DELETE", "/users/{name}"): ADMIN,
    ("POST", "/users/{name}/tokens"): ADMIN,
    ("GET", "/proposals"): ALL_BUT_RESEARCHERS,
    ("POST", "/proposals"): ADMIN,
    ("POST", "/proposals/{proposal}/confirm"): DPO | APPROVER,
    ("DELETE", "/proposals/{proposal}"): ALL_BUT_RESEARCHERS,
    ("GET", "/tokens"): ADMIN,
    ("DELETE", "/tokens/{token_id}"): ADMIN,
}

# Of the routes below a study: what those that a route is for get in each of its states, draft, approved, suspended,
# closed. A route that is not here has to be added on purpose. Each study of the tests
# has a member, a release and a raise that waits.
STATES = ("draft", "approved", "suspended", "closed")
BY_STATE: dict[tuple[str, str], tuple[int, int, int, int]] = {
    ("GET", "/studies/{study}"): (200, 200, 200, 200),
    ("GET", "/studies/{study}/changes"): (200, 200, 200, 200),
    ("GET", "/studies/{study}/templates"): (200, 200, 200, 200),
    ("PATCH", "/studies/{study}"): (200, 200, 200, 409),
    ("PUT", "/studies/{study}/members/{user}"): (200, 200, 200, 200),
    ("DELETE", "/studies/{study}/members/{user}"): (200, 200, 200, 200),
    ("POST", "/studies/{study}/advise"): (200, 409, 409, 409),
    ("POST", "/studies/{study}/approve"): (200, 409, 409, 409),
    ("POST", "/studies/{study}/suspend"): (409, 200, 409, 409),
    ("POST", "/studies/{study}/resume"): (409, 409, 200, 409),
    ("POST", "/studies/{study}/close"): (200, 200, 200, 409),
    ("GET", "/studies/{study}/budget"): (200, 200, 200, 200),
    ("PUT", "/studies/{study}/budget"): (200, 200, 200, 409),
    ("POST", "/studies/{study}/budget/advise"): (200, 200, 200, 409),
    ("POST", "/studies/{study}/budget/approve"): (200, 200, 200, 409),
    ("GET", "/studies/{study}/report"): (200, 200, 200, 200),
    ("GET", "/studies/{study}/report/methods"): (200, 200, 200, 200),
    ("POST", "/studies/{study}/report/conclusion"): (409, 409, 409, 409),  # with the digest of no report
    ("POST", "/studies/{study}/estimates"): (403, 200, 403, 403),
    ("POST", "/studies/{study}/rehearsals"): (403, 200, 403, 403),
    ("POST", "/studies/{study}/queries"): (403, 201, 403, 403),
    ("DELETE", "/studies/{study}/queries"): (422, 422, 422, 422),  # without a key
    ("GET", "/studies/{study}/releases"): (200, 200, 200, 200),
    ("GET", "/studies/{study}/releases/{release}"): (200, 200, 200, 200),
    ("GET", "/studies/{study}/releases/{release}/certificate"): (200, 200, 200, 200),
}
# The code of each refusal above.
CODES = {409: "wrong-state", 403: "not-approved"}

METHODS = ("get", "post", "put", "patch", "delete")
REASON = {"reason": "because"}
PROPOSAL = {"act": "add", "user": "olga", "role": "dpo"}
ADVICE = {"opinion": "favourable", **REASON}
NEW_STUDY = {
    "name": "new",
    "dataset": "rand-hie",
    "epsilon": 1.0,
    "title": "Title",
    "purpose": "Purpose",
    "legal_basis": "Basis",
    "formalities": FORMALITIES,
}
# A good body for each route that takes one.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/datasets/{name}/profile"): {"epsilon": 0.1},
    ("POST", "/datasets/{name}/propose"): {"profile": 0.5, **REASON},
    ("POST", "/datasets/{name}/advise"): ADVICE,
    ("POST", "/datasets/{name}/approve"): {**REASON, **UNADVISED},
    ("POST", "/studies"): NEW_STUDY,
    ("PATCH", "/studies/{study}"): {"title": "Another"},
    ("POST", "/studies/{study}/approve"): {**REASON, **UNADVISED},
    ("POST", "/studies/{study}/advise"): ADVICE,
    ("POST", "/studies/{study}/budget/advise"): ADVICE,
    ("POST", "/studies/{study}/suspend"): REASON,
    ("POST", "/studies/{study}/resume"): REASON,
    ("POST", "/studies/{study}/close"): REASON,
    ("PUT", "/studies/{study}/budget"): {"epsilon": 2.0, **REASON},
    ("POST", "/studies/{study}/budget/approve"): {**REASON, **UNADVISED},
    ("POST", "/studies/{study}/report/conclusion"): {"text": "Not personal for its readers.", "seen": "0" * 64},
    ("POST", "/studies/{study}/estimates"): ask(PATIENTS),
    ("POST", "/studies/{study}/rehearsals"): ask(PATIENTS),
    ("POST", "/studies/{study}/queries"): ask(PATIENTS),
    ("PUT", "/me/account"): {"token": "a.b.c"},
    ("POST", "/audit/verification"): {"key": "k", "older": ["x"]},
    ("POST", "/audit/identities/erase"): {"commitments": ["0" * 64]},
    ("POST", "/users"): {"name": "eve", "role": "researcher"},
    ("POST", "/proposals"): PROPOSAL,
}


def document(place: Place) -> dict[str, Any]:
    """Return the OpenAPI document that an application serves."""
    found: dict[str, Any] = place.client(None).good("GET", "/openapi.json")
    return found


def operations(served: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the operations of a document by method and path without its prefix."""
    return {
        (method.upper(), path.removeprefix(PREFIX)): operation
        for path, item in served["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def filled(path: str, **values: str) -> str:
    """Return a path with its parameters given."""
    named = {
        "study": "flu",
        "user": "ada",
        "name": "rand-hie",
        "release": "0" * 32,
        "token_id": "0" * 16,
        "proposal": "0" * 16,
        **values,
    }
    return path.format(**named)
