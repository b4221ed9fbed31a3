"""Errors -> RFC 9457 problem documents. The one table that says which error is answered how.

A problem's `code` is stable and what clients should look at; `detail` is for people; `pointer` is a JSON pointer into
the request. An error that is not in the table is a defect: it is answered with one constant text and logged.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Response, json, request
from marshmallow.exceptions import SCHEMA
from werkzeug.exceptions import HTTPException

from budgets import errors as budget_errors
from queries import errors as query_errors
from server import errors as server_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

log = logging.getLogger("rowless")

CONTENT_TYPE = "application/problem+json"
RETRY_SECONDS = 5


class Place(str):
    """A name that stands in the document, in marshmallow's messages: `_schema` there means the whole object."""

    __slots__ = ()


@dataclass(frozen=True)
class Answer:
    """How an error is answered."""

    status: int
    code: str
    title: str


PROBLEMS: dict[type[Exception], Answer] = {
    server_errors.Malformed: Answer(400, "malformed", "The body cannot be read"),
    server_errors.Unauthenticated: Answer(401, "unauthenticated", "A valid token is needed"),
    server_errors.Busy: Answer(503, "busy", "Too many queries are running"),
    budget_errors.UnderWay: Answer(503, "busy", "The same question is being answered just now"),
    server_errors.StoreUnavailable: Answer(503, "unavailable", "The dataset cannot be used at the moment"),
    server_errors.QueryFailed: Answer(500, "query-failed", "The query failed"),
    query_errors.InvalidQuery: Answer(422, "invalid-query", "The query cannot be answered as it is"),
    query_errors.WouldDrown: Answer(422, "would-drown", "Too many of the numbers would drown in their noise"),
    query_errors.OutsideProtocol: Answer(403, "outside-protocol", "The study's protocol does not include this"),
    budget_errors.Invalid: Answer(422, "invalid-request", "A value is not valid"),
    budget_errors.Forbidden: Answer(403, "forbidden", "This is not for your role"),
    budget_errors.FourEyes: Answer(403, "forbidden", "This takes somebody else"),
    budget_errors.NotApproved: Answer(403, "not-approved", "The study may not ask now"),
    budget_errors.NotFound: Answer(404, "not-found", "There is no such thing"),
    budget_errors.AlreadyExists: Answer(409, "already-exists", "There is one of that name"),
    budget_errors.WrongState: Answer(409, "wrong-state", "The present state does not allow this"),
    budget_errors.OverBudget: Answer(409, "budget-exceeded", "The budget does not allow this"),
    budget_errors.AttemptsSpent: Answer(409, "attempts-spent", "This was tried as often as one charge allows"),
    budget_errors.Unavailable: Answer(503, "unavailable", "The ledger cannot be used at the moment"),
    budget_errors.KeyConflict: Answer(409, "idempotency-conflict", "The Idempotency-Key was used for another request"),
}
# What Flask and Werkzeug raise, by status. Their own texts are not sent on.
HTTP = {
    400: Answer(400, "malformed", "The request cannot be read"),
    404: Answer(404, "not-found", "There is no such address"),
    405: Answer(405, "method-not-allowed", "This address does not know that method"),
    406: Answer(406, "not-acceptable", "There is no such form of this"),
    413: Answer(413, "too-large", "The body is too large"),
    415: Answer(415, "unsupported-media-type", "Send JSON, as Content-Type: application/json"),
    422: Answer(422, "invalid-request", "A value is not valid"),
}
INTERNAL = Answer(500, "internal-error", "The server failed; its log says why")
# One text for whatever goes wrong once data were touched (the cause may depend on them).
QUERY_FAILED = (
    "The query failed after it was charged. Send the same request again: it resumes at no further cost, twice at most."
)


def register(app: Flask) -> None:
    """Answer every error of the application with a problem document."""
    app.register_error_handler(Exception, _answer)
    app.register_error_handler(HTTPException, _answer)


def _answer(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _answer_http(error)
    known = PROBLEMS.get(type(error))
    if known is None:
        log.error("unexpected error", exc_info=error)
        return problem(INTERNAL)
    return problem(known, **dict(_members(error)))


def _members(error: Exception) -> Iterator[tuple[str, Any]]:
    """Yield what a problem says beside its status, code and title."""
    match error:
        case server_errors.QueryFailed():
            yield "detail", QUERY_FAILED
        case budget_errors.Unavailable():
            log.error("the ledger's database failed", exc_info=error)
            yield "detail", "Nothing was half-written. Try again soon."
        case query_errors.InvalidQuery() | query_errors.OutsideProtocol():
            yield "detail", error.message
            yield "pointer", error.pointer
        case query_errors.WouldDrown():
            yield "detail", str(error)
            yield "drowned", error.share
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
    known = HTTP.get(error.code or 500, INTERNAL)
    if known is INTERNAL:
        log.error("unexpected error", exc_info=error)
    messages = getattr(error, "data", {}).get("messages")
    if known.status != 422 or not messages:
        return problem(known)
    # Marshmallow's findings: {location: {field: ...}}; the location itself is no part of the pointer.
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


def problem(answer: Answer, **members: Any) -> Response:
    """Return a problem document."""
    document = {
        "type": f"urn:rowless:problem:{answer.code}",
        "title": answer.title,
        "status": answer.status,
        "code": answer.code,
        **members,
    }
    response = Response(json.dumps(document), status=answer.status, content_type=CONTENT_TYPE)
    if answer.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if answer.status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response
