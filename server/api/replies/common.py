"""What many replies share: problem documents, notes on rounding, and pages of lists."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from server.api.replies.losses import Left, Loss
from server.api.replies.shapes import Reply

ROUNDED = {"description": "Only if numbers of the request were rounded down: what was sent and what is used"}


class Problem(Reply):
    """RFC 9457: what went wrong. `code` is stable; `pointer` is a JSON pointer into the request."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True)
    detail = fields.String()
    pointer = fields.String()
    errors = fields.List(fields.Dict())
    account = fields.String()
    drowned = fields.Float()
    cost = fields.Nested(Loss)
    remaining = fields.Nested(Left)
    request_id = fields.String(metadata={"description": "Also in the header X-Request-Id"})


def page_of(schema: type[Schema]) -> type[Schema]:
    """Return the shape of a page of a list; `next` is the cursor of the page after it."""
    members: dict[str, Any] = {
        "items": fields.List(fields.Nested(schema), required=True),
        "next": fields.String(required=True, allow_none=True),
    }
    page = type(f"{schema.__name__}Page", (Reply,), members)
    page.__doc__ = f"A page of {schema.__name__}."
    return page
