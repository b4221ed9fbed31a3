"""Studies and their protocols."""

from __future__ import annotations

from marshmallow import fields

from server.api.replies.common import ROUNDED
from server.api.replies.losses import Budget, DecidedBudget, Limit, Loss
from server.api.replies.shapes import Reply


class ShownProtocol(Reply):
    """What a study may ask. A list refuses everything that it does not name; a missing list allows everything."""

    tables = fields.List(fields.String())
    columns = fields.List(fields.String())
    statistics = fields.List(fields.String())
    max_epsilon = fields.Float()
    min_margin = fields.Float()
    hide_below = fields.Integer()
    professionals = fields.Dict(keys=fields.String(), values=fields.String())
    noise = fields.String()
    templates = fields.List(fields.Dict(keys=fields.String()))
    code_lists = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))
    strict = fields.Boolean()


class ShownTemplate(Reply):
    """A query of a protocol. `sql` is null if it has parameters or bounds, for which SQL has no words."""

    name = fields.String(required=True)
    query = fields.Dict(keys=fields.String(), required=True)
    sql = fields.String(required=True, allow_none=True)
    max_epsilon = fields.Float()


class StandingProfile(Reply):
    """The contribution profile that a dataset uses: the edition that it describes, and what it cost the dataset."""

    edition = fields.Integer(required=True)
    cost = fields.Nested(Loss, required=True)


class ShownFormalities(Reply):
    """What the law asks to settle before, of a study or a dataset.

    `kind` is `reference-methodology`, `warehouse-declaration`, `authorisation`, `ehds-permit` or `none`. `expires` is
    null if the formality does not expire. `number` and `issued` are null, and `why_none` is not, if none is needed.
    """

    kind = fields.String(required=True)
    number = fields.String(required=True, allow_none=True)
    issued = fields.String(required=True, allow_none=True)
    expires = fields.String(required=True, allow_none=True)
    why_none = fields.String(required=True, allow_none=True)
    legal_basis = fields.String(required=True)
    condition = fields.String(required=True)
    controller = fields.String(required=True)
    processor = fields.String(required=True)
    recipients = fields.String(required=True)
    ends = fields.String(required=True)
    informed = fields.String(required=True)
    objections = fields.String(required=True)
    honoured = fields.String(required=True)
    incentives = fields.String(required=True)


class GivenAdvice(Reply):
    """What a DPO said of what waits for an approval: favourable, conditional or unfavourable, and the reason."""

    opinion = fields.String(required=True)
    reason = fields.String(required=True)
    by = fields.String(required=True, allow_none=True)
    at = fields.String(required=True)


class ConcludedParties(Reply):
    """What was concluded for each relevant party, as far as the approver wrote it."""

    researcher = fields.String()
    reader = fields.String()
    relative = fields.String()
    journalist = fields.String()
    insider = fields.String()
    thief = fields.String()


class GivenConclusion(Reply):
    """What an approver concluded from a study's report, for the controller, and on what.

    `state`, `releases`, `limit` and `spent` (also what was reserved) are those that the approver read. `changed` names
    what of it is another now, of `state`, `terms`, `budget`, `raise`, `cap`, `used`, `releases` and `members`; it is
    empty as long as the conclusion is about the study as it is. `by` is null once the name was erased.
    """

    text = fields.String(required=True)
    parties = fields.Nested(ConcludedParties, required=True)
    by = fields.String(required=True, allow_none=True)
    at = fields.String(required=True)
    digest = fields.String(required=True)
    state = fields.String(required=True)
    releases = fields.Integer(required=True)
    limit = fields.Nested(Limit, required=True)
    spent = fields.Nested(Loss, required=True)
    changed = fields.List(fields.String(), required=True)


class Study(Reply):
    """A study. `raise` is a larger budget that `raise_by` proposed and that waits for an approver.

    `profile` is the dataset's contribution profile, or null if there is none. It is public, and an approver accepts it
    together with the dataset. The users who opened, edited and approved the study are named as long as their names are
    kept. `advice` is the DPO's on the present terms and budget, `raise_advice` that on the raise; an edit removes it.
    `conclusion` is the approver's of the report, or null until one is written.
    `formalities` is null if none are on record; `lack` is why nothing of the study can be approved as its formalities
    and those of its dataset are now, or null.
    `digest` is of the terms and the budget, `raise_digest` of the raise: send the one that you read as `seen`.
    """

    id = fields.String(required=True)
    name = fields.String(required=True)
    title = fields.String(required=True)
    purpose = fields.String(required=True)
    legal_basis = fields.String(required=True)
    dataset = fields.String(required=True)
    profile = fields.Nested(StandingProfile, required=True, allow_none=True)
    state = fields.String(required=True)
    protocol = fields.Nested(ShownProtocol, required=True)
    starts = fields.String(required=True, allow_none=True)
    ends = fields.String(required=True, allow_none=True)
    formalities = fields.Nested(ShownFormalities, required=True, allow_none=True)
    lack = fields.String(required=True, allow_none=True)
    created_at = fields.String(required=True)
    opened_by = fields.String(required=True, allow_none=True)
    edited_by = fields.List(fields.String(), required=True)
    approved_by = fields.String(required=True, allow_none=True)
    raise_by = fields.String(required=True, allow_none=True)
    advice = fields.Nested(GivenAdvice, required=True, allow_none=True)
    raise_advice = fields.Nested(GivenAdvice, required=True, allow_none=True)
    conclusion = fields.Nested(GivenConclusion, required=True, allow_none=True)
    members = fields.List(fields.String(), required=True)
    budget = fields.Nested(Budget, required=True)
    notes = fields.List(fields.String(), metadata=ROUNDED)
    raise_to = fields.Nested(DecidedBudget, data_key="raise", required=True, allow_none=True)
    digest = fields.String(required=True)
    raise_digest = fields.String(required=True, allow_none=True)


class Approved(Reply):
    """The last approval of a study: its entry in the log, and who approved, or null once the name was erased."""

    index = fields.Integer(required=True)
    time = fields.String(required=True)
    by = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True)


class Change(Reply):
    """What was approved of a field, and what it is now. Null: the field was, or is, not given.

    `field` is a term (`title`), a part of the protocol or of the formalities (`protocol/tables`, `formalities/kind`), a
    limit (`budget/epsilon`), or the cap of the dataset (`cap/epsilon`).
    """

    field = fields.String(required=True)
    before = fields.Raw(required=True, allow_none=True)
    after = fields.Raw(required=True, allow_none=True)


class Changes(Reply):
    """What differs from the last approval. `approved` is null, and there are no changes, if there was none yet.

    `raise_reason` is why a larger budget was proposed, if one waits.
    """

    approved = fields.Nested(Approved, required=True, allow_none=True)
    changes = fields.List(fields.Nested(Change), required=True)
    raise_reason = fields.String(required=True, allow_none=True)
