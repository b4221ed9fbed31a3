"""Query strings of look-ups: which codes to find by their names."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from server.views import lookup


class CodesSchema(Schema):
    """Which codes to find."""

    search = fields.String(
        required=True,
        validate=validate.Length(
            lookup.SEARCH_MIN,
            lookup.SEARCH_MAX,
            error=f"must have {lookup.SEARCH_MIN} to {lookup.SEARCH_MAX} characters",
        ),
        metadata={"description": "Words, all of which the code or its label has: parts of words too"},
    )
    column = fields.String(
        load_default=None, metadata={"description": "A column of a table, as in `visits.diagnosis`; else all columns"}
    )
    limit = fields.Integer(load_default=lookup.FOUND, validate=validate.Range(1, lookup.FOUND_MAX))
