"""What the custodian of a dataset sees, and the state of the server."""

from __future__ import annotations

from marshmallow import fields

from server.api.replies.losses import Budget
from server.api.replies.shapes import Reply


class Share(Reply):
    """What a study was promised of its dataset's epsilon: its limit, or what it spent if it is closed."""

    study = fields.String(required=True)
    title = fields.String(required=True)
    state = fields.String(required=True)
    promised = fields.Float(required=True)
    budget = fields.Nested(Budget, required=True)


class Shares(Reply):
    """How a dataset's cap is shared. `promised` is the sum of what profiles took and studies were promised.

    It is within the cap, unless the manifest says `overcommit`. `free` is what further studies may be promised.
    """

    dataset = fields.String(required=True)
    budget = fields.Nested(Budget, required=True)
    overcommit = fields.Boolean(required=True)
    profiles = fields.Float(required=True)
    promised = fields.Float(required=True)
    free = fields.Float(required=True)
    studies = fields.List(fields.Nested(Share), required=True)


class ImportedColumn(Reply):
    """How a column's values were read. Coerced, unknown and clamped ones are losses; `first` is the row of one.

    `first_file` is its file, if the source is a folder.
    """

    null = fields.Integer(required=True)
    coerced = fields.Integer(required=True)
    undeclared = fields.Integer(required=True, attribute="unknown", data_key="unknown")
    clamped = fields.Integer(required=True)
    missing = fields.Integer(required=True)
    outside = fields.Integer(required=True)
    first = fields.Integer(required=True, allow_none=True)
    first_file = fields.String(allow_none=True)


class ImportedTable(Reply):
    """Rows that were read and kept, and those that were left out or are doubtful."""

    rows = fields.Integer(required=True)
    kept = fields.Integer(required=True)
    without_person = fields.Integer(required=True)
    malformed = fields.Integer(required=True)
    undescribed = fields.Integer(required=True)
    first_malformed = fields.Integer(required=True)
    doubtful = fields.Integer(required=True)
    first_doubtful = fields.Integer(required=True)
    first_malformed_file = fields.String(allow_none=True)
    first_doubtful_file = fields.String(allow_none=True)
    columns = fields.Dict(keys=fields.String(), values=fields.Nested(ImportedColumn), required=True)


class Identities(Reply):
    """Oddities of the persons' identities, in numbers of persons."""

    repeated = fields.Integer(required=True)
    contradicting = fields.Integer(required=True)
    case_variants = fields.Integer(required=True)
    contradicting_by_column = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class ImportReport(Reply):
    """What an import reported. The counts are exact, and for the admin alone.

    `manifest` is where the manifest was on the server. Imports of earlier versions did not keep it.
    """

    manifest = fields.String(allow_none=True)
    persons = fields.Integer(required=True)
    tables = fields.Dict(keys=fields.String(), values=fields.Nested(ImportedTable), required=True)
    identity = fields.Nested(Identities, required=True)


class Edition(Reply):
    """An import. `report` is null if the edition's store was deleted or an earlier version imported it."""

    edition = fields.Integer(required=True)
    imported_at = fields.String(required=True)
    report = fields.Nested(ImportReport, required=True, allow_none=True)


class Check(Reply):
    """Something that the server needs, and whether it can be used."""

    name = fields.String(required=True)
    passed = fields.Boolean(required=True)


class Server(Reply):
    """The server's version, the database of its ledger, and what `/health/ready` looks at."""

    version = fields.String(required=True)
    ledger = fields.String(required=True)
    checks = fields.List(fields.Nested(Check), required=True)
