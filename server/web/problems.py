"""Errors -> RFC 9457 problem documents. One table has the reply to each error.

A problem's `code` is stable: clients should look at it. `detail` is for people, and `pointer` is a JSON pointer into
the request. `request_id` names the request. An error that is not in the table is a defect: it is logged, and the reply
has one constant text.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Response, json, request
from marshmallow.exceptions import SCHEMA
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RoutingException

from budgets import errors as budget_errors
from budgets.audit import origin
from queries import errors as query_errors
from server import errors as server_errors
from server.languages.language import ENGLISH
from server.web import speaking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

logger = logging.getLogger("rowless")

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 5


class Place(str):
    """A member's name in marshmallow's messages. A plain `_schema` there means the whole object; a Place never does."""

    __slots__ = ()


@dataclass(frozen=True)
class ProblemType:
    """The reply to a kind of error: the HTTP status, the stable code, and a title for people."""

    status: int
    code: str
    title: str


PROBLEMS: dict[type[Exception], ProblemType] = {
    server_errors.Malformed: ProblemType(400, "malformed", "The body cannot be read"),
    server_errors.Unauthenticated: ProblemType(401, "unauthenticated", "A valid token is needed"),
    server_errors.IssuerUnavailable: ProblemType(503, "unavailable", "The issuer of the token cannot be reached"),
    server_errors.Busy: ProblemType(503, "busy", "The server has too much to do"),
    server_errors.TooManyRequests: ProblemType(429, "too-many-requests", "Your share of the server is in use"),
    server_errors.TooFast: ProblemType(429, "too-many-requests", "Requests come too fast"),
    server_errors.Abandoned: ProblemType(503, "abandoned", "The client left before this was begun"),
    budget_errors.UnderWay: ProblemType(503, "busy", "The same query is being answered right now"),
    server_errors.NotReady: ProblemType(503, "not-ready", "The server cannot serve now"),
    server_errors.VerifierFailed: ProblemType(503, "unavailable", "The check of the log did not end"),
    server_errors.StoreUnavailable: ProblemType(503, "unavailable", "The dataset cannot be used right now"),
    server_errors.Cancelled: ProblemType(409, "cancelled", "The query was cancelled"),
    server_errors.QueryFailed: ProblemType(500, "query-failed", "The query failed"),
    query_errors.InvalidQuery: ProblemType(422, "invalid-query", "The query is not valid"),
    query_errors.WouldDrown: ProblemType(422, "would-drown", "Too many of the numbers would drown in their noise"),
    query_errors.OutsideProtocol: ProblemType(403, "outside-protocol", "The study's protocol does not allow this"),
    budget_errors.Invalid: ProblemType(422, "invalid-request", "A value is not valid"),
    budget_errors.Forbidden: ProblemType(403, "forbidden", "Your role does not allow this"),
    budget_errors.FourEyes: ProblemType(403, "forbidden", "Another person has to do this"),
    budget_errors.NeedsSecond: ProblemType(409, "needs-second", "A second person has to confirm this"),
    budget_errors.NotApproved: ProblemType(403, "not-approved", "No approval allows this now"),
    budget_errors.NoFormality: ProblemType(409, "no-formality", "A formality is missing or has ended"),
    budget_errors.NotAdvised: ProblemType(409, "not-advised", "The DPO has not advised on this"),
    budget_errors.NotFound: ProblemType(404, "not-found", "This does not exist"),
    budget_errors.AlreadyExists: ProblemType(409, "already-exists", "This name is taken"),
    budget_errors.WrongState: ProblemType(409, "wrong-state", "The present state does not allow this"),
    budget_errors.OverBudget: ProblemType(409, "budget-exceeded", "The budget does not allow this"),
    budget_errors.AttemptsSpent: ProblemType(409, "attempts-spent", "One charge allows no further attempt"),
    budget_errors.Unavailable: ProblemType(503, "unavailable", "The ledger cannot be used right now"),
    budget_errors.KeyConflict: ProblemType(
        409, "idempotency-conflict", "This Idempotency-Key belongs to another request"
    ),
}
# Errors of Flask and Werkzeug, by status. Their own texts are not sent.
HTTP = {
    400: ProblemType(400, "malformed", "The request cannot be read"),
    404: ProblemType(404, "not-found", "This address does not exist"),
    405: ProblemType(405, "method-not-allowed", "This address does not allow this method"),
    406: ProblemType(406, "not-acceptable", "This is not available in the format that Accept names"),
    408: ProblemType(408, "too-slow", "The request did not arrive in time"),
    413: ProblemType(413, "too-large", "The body is too large"),
    414: ProblemType(414, "address-too-long", "The address is too long"),
    415: ProblemType(415, "unsupported-media-type", "The body must be JSON, with Content-Type: application/json"),
    422: ProblemType(422, "invalid-request", "A value is not valid"),
    431: ProblemType(431, "headers-too-large", "The headers are too large"),
    501: ProblemType(501, "not-implemented", "This transfer coding is not known here"),
}
INTERNAL = ProblemType(500, "internal-error", "The server failed; its log has the cause")


def register(app: Flask) -> None:
    """Answer every error of the application with a problem document."""
    app.register_error_handler(Exception, _answer)
    app.register_error_handler(HTTPException, _answer)


def document_of(error: Exception) -> dict[str, Any]:
    """Return the problem document of an error that is in the table."""
    return document(PROBLEMS[type(error)], **dict(_members(error)))


def _answer(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _answer_http(error)
    known = PROBLEMS.get(type(error))
    if known is None:
        logger.error("unexpected error", exc_info=error)
        return problem(INTERNAL)
    reply = problem(known, **dict(_members(error)))
    if isinstance(error, server_errors.TooFast):
        reply.headers["Retry-After"] = str(error.retry_seconds)
    return reply


def _members(error: Exception) -> Iterator[tuple[str, Any]]:
    """Yield the members of a problem beside its status, code and title."""
    match error:
        case server_errors.QueryFailed():
            yield "detail", server_errors.QUERY_FAILED
        case server_errors.Cancelled():
            yield "detail", server_errors.CANCELLED
        case budget_errors.Unavailable():
            logger.error("the ledger's database failed", exc_info=error)
            yield "detail", "Nothing was partly written. Try again soon."
        case query_errors.InvalidQuery() | query_errors.OutsideProtocol():
            yield "detail", error.message
            yield "pointer", error.pointer
        case query_errors.WouldDrown():
            yield "detail", str(error)
            yield "drowned", error.share
        case server_errors.NotReady():
            yield "detail", str(error)
            yield "failed", list(error.failed)
        case budget_errors.Invalid():
            yield "detail", error.message
            yield "pointer", f"/{error.field}"
        case budget_errors.OverBudget():
            yield "detail", str(error)
            yield "account", error.account
            yield "cost", error.cost.to_json()
            yield "remaining", error.left.to_json()
        case _ if str(error):
            yield "detail", str(error)


def _answer_http(error: HTTPException) -> Response:
    # Werkzeug would redirect to an address that it makes of the Host header, which anybody can set.
    known = HTTP[404] if isinstance(error, RoutingException) else HTTP.get(error.code or 500, INTERNAL)
    if known is INTERNAL:
        logger.error("unexpected error", exc_info=error)
    messages = getattr(error, "data", {}).get("messages")
    if isinstance(error, MethodNotAllowed):
        response = problem(known)
        response.allow.update(error.valid_methods or ())
        return response
    if known.status != 422 or not messages:
        return problem(known)
    # Marshmallow's findings are {location: {field: ...}}; the location is not part of the pointer.
    found = [one for part in messages.values() for one in findings(part, "")]
    if request.endpoint in ("queries.query", "queries.rehearse", "queries.estimate"):
        known = PROBLEMS[query_errors.InvalidQuery]
    pointer, detail = found[0]
    return problem(
        known,
        detail=detail,
        pointer=pointer,
        errors=[{"pointer": place, "detail": text} for place, text in found],
    )


def findings(messages: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, text) for each finding in marshmallow's nested messages."""
    if isinstance(messages, dict):
        for key, part in messages.items():
            whole = key == SCHEMA and not isinstance(key, Place)
            place = pointer if whole else f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
            yield from findings(part, place)
    elif isinstance(messages, list):
        for part in messages:
            yield from findings(part, pointer)
    else:
        yield pointer, str(messages)


class Problem(Response):
    """A reply that is a problem document. `code` is its problem's."""

    code: str


def document(kind: ProblemType, **members: Any) -> dict[str, Any]:
    """Return the members of a problem document."""
    return {
        "type": f"urn:rowless:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        **members,
    }


def problem(kind: ProblemType, **members: Any) -> Problem:
    """Return the reply with a problem document."""
    if (request_id := origin.request_id.get()) is not None:
        members["request_id"] = request_id
    said = speaking.problem(document(kind, **members))
    response = Problem(json.dumps(said), status=kind.status, content_type=CONTENT_TYPE)
    response.code = kind.code
    if speaking.asked().code != ENGLISH:
        response.content_language.add(speaking.asked().code)
    if kind.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if kind.status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response
