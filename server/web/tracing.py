"""A request's id, its line in the server's log, and its place in the metrics.

A request has one id: in the reply's header `X-Request-Id`, in a problem document, in each line of the log that is
written meanwhile, and in the entries of the audit log that it wrote. A client or a proxy may choose it
(`budgets/audit/origin.py`).

The access line must tell no more than the reply did:

- The route is the template, as `/studies/<study>`, and the method is one that routes have. A path or a method as it
  came could have any text in it.
- The user is the commitment that the audit log has, never the name.
- **Only GET has a duration.** No GET reads data: it reads the catalog, the ledger and releases that were made before.
  POST has none, because queries, rehearsals and profiles are POSTs. The time of a scan depends on data, and of an
  answer only its beat is public. The line of an answer is written when the answer leaves, at its beat. What a scan
  takes from other requests by contention for processors is in the threat model: whoever sends a GET can measure that
  too.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from flask import g, request

from budgets.audit import origin
from server.web import auth, problems

if TYPE_CHECKING:
    from flask import Flask, Response

    from server.runtime.services import Services

logger = logging.getLogger("rowless.access")

HEADER = "X-Request-Id"
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
TIMED = frozenset({"GET", "HEAD"})
OTHER, NO_ROUTE = "other", "none"


def register(app: Flask) -> None:
    """Give each request of an application its id and its line."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)


def refused(app: object, status: int, code: str) -> str:
    """Give an id, a line and a place in the metrics to a request that never reached the application; return the id."""
    request_id = origin.accepted(None)
    services: Services | None = getattr(app, "extensions", {}).get("rowless")
    line = {"method": OTHER, "route": NO_ROUTE, "status": status, "user": None, "request_id": request_id}
    logger.info("request", extra=line)
    if services is not None:
        services.metrics.replied(OTHER, NO_ROUTE, status, code)
    return request_id


def route() -> str:
    """Return the template of the request's route, or "none" if no route is meant."""
    return NO_ROUTE if request.url_rule is None else request.url_rule.rule


def method() -> str:
    """Return the request's method if routes have it."""
    return request.method if request.method in METHODS else OTHER


def _begin() -> None:
    g.began = time.monotonic()
    origin.request_id.set(origin.accepted(request.headers.get(HEADER)))


def _end(response: Response) -> Response:
    response.headers[HEADER] = origin.request_id.get()
    access = g.get("access")  # of a request with a valid token
    line: dict[str, Any] = {
        "method": method(),
        "route": route(),
        "status": response.status_code,
        "user": None if access is None else access.actor.commitment,
    }
    if line["method"] in TIMED:
        line["duration_ms"] = round(1000 * (time.monotonic() - g.began))
    logger.info("request", extra=line)
    code = response.code if isinstance(response, problems.Problem) else None
    auth.services().metrics.replied(line["method"], line["route"], line["status"], code)
    return response


def _forget(_error: BaseException | None) -> None:
    origin.request_id.set(None)
