"""Estimates, rehearsals and queries, and the releases that queries made."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from budgets.audit import certificates
from budgets.errors import Invalid, NotFound
from budgets.governance import studies
from budgets.ledger import releases
from queries.language import size
from server.admission.gates import Work
from server.api import examples, replies
from server.api.requests.query import AskSchema, ViewSchema
from server.api.requests.schemas import PageSchema
from server.charts import chart
from server.journey import answer, hidden, rereading
from server.journey.preparing import Request
from server.views import csv
from server.web import admitting, speaking
from server.web.auth import ROLES, actor, for_roles, services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("queries", __name__, description="Queries")

_SVG = "image/svg+xml"
_FORMS = {"application/json": rereading.JSON, "text/csv": rereading.CSV, _SVG: rereading.SVG}
KEY_MAX = 255
_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX},
    "example": "4f1c1c2e-6c5e-4a53-9d0e-5b2b4f1f8a10",
    "description": "A retry with the same key is the same request: it resumes or replays and is never charged twice",
}


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= KEY_MAX and key.isprintable()):
        raise Invalid("Idempotency-Key", f"must have from 1 to {KEY_MAX} printable characters")
    return key


def _request(body: dict[str, Any]) -> Request:
    key = _key()
    required = body["require"]
    return Request(
        body["query"],
        body["privacy"],
        key,
        in_sql=body["in_sql"],
        post=body["post"],
        show=body["show"],
        show_in_sql=body["show_in_sql"],
        notes=body["notes"],
        drowned_max=required.drowned,
        priced=required.question,
        has_left=admitting.has_left(),
        text=request.get_data(),
    )


@blueprint.route("/studies/<study>/estimates", methods=["POST"], parameters=[examples.STUDY])
@for_roles("researcher", work=Work.ESTIMATE)
@blueprint.arguments(AskSchema, examples=examples.ASKS)
@blueprint.response(200, replies.Estimate, example=examples.ESTIMATE)
def estimate(body: dict[str, Any], study: str) -> Any:
    """Return what a query would cost and how exact its answer would be. It is free and reads no data."""
    asked = _request(body)
    with admitting.place(large=size.of(asked.query).large):
        return speaking.answer(answer.estimate(services(), actor(), study, asked))


@blueprint.route("/studies/<study>/rehearsals", methods=["POST"], parameters=[examples.STUDY])
@for_roles("researcher", work=Work.REHEARSAL)
@blueprint.arguments(AskSchema, examples=examples.ASKS)
@blueprint.response(200, replies.Rehearsal, example=examples.REHEARSAL)
def rehearse(body: dict[str, Any], study: str) -> Any:
    """Answer a query on data made up from the catalog, in the shape of a release. It is free and reads no real data."""
    asked = _request(body)
    with admitting.place():
        return speaking.answer(answer.rehearse(services(), actor(), study, asked))


@blueprint.route("/studies/<study>/queries", methods=["POST"], parameters=[examples.STUDY])
@for_roles("researcher", work=Work.QUERY)
@blueprint.doc(parameters=[_KEY])
@blueprint.arguments(AskSchema, examples=examples.ASKS)
@blueprint.response(201, replies.Release, example=examples.RELEASE)
def query(body: dict[str, Any], study: str) -> Any:
    """Answer a query with noise and charge it. The same query again gets the same answer for free."""
    asked = _request(body)
    with admitting.place():
        return speaking.answer(answer.answer(services(), actor(), study, asked))


@blueprint.route("/studies/<study>/queries", methods=["DELETE"])
@for_roles("researcher")
@blueprint.doc(parameters=[{**_KEY, "required": True, "description": "The key that the query was sent with"}])
@blueprint.response(202, replies.Cancelling)
def cancel(study: str) -> Any:
    """Cancel one's own query in progress. It stays charged, and its reply leaves at its beat, as 409 `cancelled`."""
    with services().database.read() as transaction:
        studies.visible(transaction, study, actor())
    key = _key()
    if key is None:
        raise Invalid("Idempotency-Key", "is missing: a query is cancelled by the key that it was sent with")
    if not services().cancels.cancel((study, actor().name, key)):
        raise NotFound("no query of yours with this key is in progress on this server")
    return {"cancelling": True}


@blueprint.route("/studies/<study>/releases")
@for_roles(*ROLES)
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, replies.page_of(replies.ReleaseHead))
def list_releases(page: dict[str, Any], study: str) -> Any:
    """List a study's releases without their numbers, oldest first: what was asked, when, and what it cost."""
    after = tuple(page["cursor"].partition("~")[::2]) if page["cursor"] else None
    with services().database.read() as transaction:
        studies.visible(transaction, study, actor())
        found = releases.of_study(transaction, study, after=after, limit=page["limit"] + 1)
    shown = found[: page["limit"]]
    return {
        "items": [
            {
                "id": one.id,
                "edition": one.question.edition,
                "sql": one.body["sql"],
                "cost": one.body["cost"],
                "charged_at": one.charged_at,
            }
            for one in shown
        ],
        "next": f"{shown[-1].charged_at}~{shown[-1].id}" if len(found) > len(shown) else None,
    }


@blueprint.route("/studies/<study>/releases/<release>")
@for_roles(*ROLES)
@blueprint.arguments(ViewSchema, location="query")
@blueprint.alt_response(200, schema={"type": "string"}, content_type="text/csv", success=True)
@blueprint.alt_response(200, schema={"type": "string"}, content_type=_SVG, success=True)
@blueprint.response(200, replies.Release)
def show_release(view: dict[str, Any], study: str, release: str) -> Any:
    """Return a release as JSON, a table (Accept: text/csv) or charts (image/svg+xml), post-processed on request.

    Calls are logged.
    """
    form = _FORMS[csv.wanted(request, "text/csv", _SVG)]
    stored = rereading.read(services(), actor(), study, release, form, view["post"])
    with services().database.read() as transaction:
        shown = speaking.answer(answer.show_again(transaction, stored, view["post"], view["show"]))
    if form == rereading.CSV:
        return Response(csv.release_csv(shown), content_type="text/csv; charset=utf-8")
    if form == rereading.SVG:
        return Response(chart.sheet(shown, speaking.asked().chart_words()), content_type=chart.CONTENT_TYPE)
    return shown


@blueprint.route("/studies/<study>/releases/<release>/certificate")
@for_roles(*ROLES)
@blueprint.response(200, replies.Certificate)
def show_certificate(study: str, release: str) -> Any:
    """Return a release as a signed document that a paper can cite. `rowless audit verify` verifies it offline.

    Keep the body byte for byte, because a paper cites its hash. The body stays the same as long as the log has the same
    key and the study's protocol hides the same. The audit log records calls.
    """
    stored = rereading.read(services(), actor(), study, release, rereading.CERTIFICATE)
    with services().database.read() as transaction:
        shown = hidden.to_certify(transaction, stored)
    text = certificates.certificate(services().database, services().settings.key_path, stored, shown)
    return Response(text, content_type="application/json")
