"""The reports for DPOs, approvers and admins, as JSON or as a page to print. The audit log records each reading."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from budgets.governance import approval, conclusions
from server.api import replies
from server.api.requests.schemas import ConclusionSchema, LanguageSchema, ReportSchema
from server.reporting import methods, notice, page, report
from server.views import csv
from server.views.study import describe_study
from server.web.auth import actor, for_roles, services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("reports", __name__, description="Reports")

HTML = "text/html"


def _route(kind: str, path: str) -> None:
    """Make the route of one kind of report."""

    @blueprint.route(path, endpoint=kind)
    @for_roles(*report.READERS)
    @blueprint.doc(operationId=f"report_on_{kind}", summary=f"Return the anonymity report of a {kind}, as JSON or HTML")
    @blueprint.alt_response(200, schema={"type": "string"}, content_type=HTML, success=True)
    @blueprint.arguments(ReportSchema, location="query")
    @blueprint.response(200, replies.Report)
    def view(asked: dict[str, str], **parameters: str) -> Any:
        (name,) = parameters.values()
        form = "html" if csv.wanted(request, HTML) == HTML else "json"
        document = report.assemble(services(), actor(), kind, name, form, version=asked["version"])
        if form == "html":
            return Response(
                page.html(document, asked["language"]), content_type=page.CONTENT_TYPE, headers=page.HEADERS
            )
        return document


def _methods(kind: str, path: str) -> None:
    """Make the route of the methods of a study or a dataset."""

    @blueprint.route(path, endpoint=f"{kind}_methods")
    @for_roles(*report.READERS)
    @blueprint.doc(
        operationId=f"methods_of_{kind}", summary=f"Return what was done to the data of a {kind}: method, parameters"
    )
    @blueprint.response(200, replies.Methods)
    def view(**parameters: str) -> Any:
        (name,) = parameters.values()
        return methods.assemble(services(), actor(), kind, name)


@blueprint.route("/datasets/<name>/notice")
@for_roles(*report.READERS)
@blueprint.alt_response(200, schema={"type": "string"}, content_type=HTML, success=True)
@blueprint.arguments(LanguageSchema, location="query")
@blueprint.response(200, replies.Notice)
def notice_for_persons(asked: dict[str, str], name: str) -> Any:
    """Return the page for the persons in a dataset, to publish: what is done with their data, as JSON or HTML."""
    document = notice.assemble(services(), actor(), name)
    if csv.wanted(request, HTML) != HTML:
        return document
    return Response(page.notice(document, asked["language"]), content_type=page.CONTENT_TYPE, headers=page.HEADERS)


@blueprint.route("/studies/<study>/report/conclusion", methods=["POST"])
@for_roles("approver")
@blueprint.arguments(ConclusionSchema)
@blueprint.response(200, replies.Study)
def conclude(body: dict[str, Any], study: str) -> Any:
    """Write the controller's conclusion of a study's report as it was read. It takes the place of an earlier one."""
    with approval.deciding(services().database) as transaction:
        concluded = conclusions.conclude(
            transaction, study, body["text"], actor(), read=body["seen"], parties=body["parties"]
        )
        return describe_study(transaction, concluded)


_route(report.STUDY, "/studies/<study>/report")
_route(report.DATASET, "/datasets/<name>/report")
_methods(report.STUDY, "/studies/<study>/report/methods")
_methods(report.DATASET, "/datasets/<name>/report/methods")
