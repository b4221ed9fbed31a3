"""The OpenAPI 3.1 document: what flask-smorest cannot see for itself, so that programs can be generated from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apispec import BasePlugin

from server.api import examples, replies
from server.api.answer_rows import ref
from server.api.components import COMPONENTS
from server.api.replies.shapes import Part
from server.api.requests.shapes import Built
from server.web import problems

if TYPE_CHECKING:
    from flask_smorest import Api
    from marshmallow import fields
    from werkzeug.routing import Rule

INFO = {
    "description": "Statistics of data that must not be seen.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
# The server that sent the document: paths begin at its root.
SERVERS = [{"url": "/", "description": "The server that this document comes from"}]
# What every call may answer beside what it documents itself: names of `http.HTTPStatus`.
_PUBLIC = {"431": "REQUEST_HEADER_FIELDS_TOO_LARGE", "503": "SERVICE_UNAVAILABLE"}
_WITH_TOKEN = {"401": "UNAUTHORIZED", "403": "FORBIDDEN", "429": "TOO_MANY_REQUESTS", "503": "SERVICE_UNAVAILABLE"}
_NAMED = {"404": "NOT_FOUND"}


class Operations(BasePlugin):
    """Names each operation by the function of its route, and adds its example and what it may answer."""

    def operation_helper(
        self,
        path: str | None = None,
        operations: dict[str, Any] | None = None,
        *,
        rule: Rule | None = None,
        **_: Any,
    ) -> None:
        """Complete the operations of a path."""
        assert path is not None
        assert operations is not None
        assert rule is not None
        for operation in operations.values():
            operation.setdefault("operationId", rule.endpoint.rpartition(".")[2])
            if operation["operationId"] in examples.BODIES:
                (content,) = operation["requestBody"]["content"].values()
                content.setdefault("example", examples.BODIES[operation["operationId"]])
            guarded = bool(operation.setdefault("security", []))
            for status, name in {
                **(_WITH_TOKEN if guarded else _PUBLIC),
                **(_NAMED if "{" in path else {}),
            }.items():
                operation["responses"].setdefault(status, name)


def describe(api: Api) -> None:
    """Add to an API's document the components, the token scheme and what every route may answer."""
    for name, schema in COMPONENTS.items():
        api.spec.components.schema(name, schema)
    api.spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    api.spec.components.schema("Problem", schema=replies.Problem)
    api.ma_plugin.converter.add_attribute_function(_referred)


def problem_response(description: str) -> dict[str, Any]:
    """Return the description of a response that is a problem document."""
    return {"description": description, "content": {problems.CONTENT_TYPE: {"schema": ref("Problem")}}}


def _referred(_converter: object, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Return the reference of a field whose shape is a component."""
    if not isinstance(field, (Built, Part)):
        return {}
    # A default that is no text, number or truth is a value of ours, which no client could send.
    if not isinstance(ret.get("default"), (str, int, float)):
        ret.pop("default", None)
    return {"anyOf": [ref(field.component), {"type": "null"}]} if field.allow_none else ref(field.component)
