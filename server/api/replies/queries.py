"""Estimates, releases and rehearsals."""

from __future__ import annotations

from marshmallow import fields, validate

from queries.contribution.truncation import Truncation
from server.api.replies.losses import Budget, Loss
from server.api.replies.shapes import Part, PartList, Reply


class AnswerBounds(Reply):
    """The contribution bounds that were applied."""

    cells_per_person = fields.Integer(required=True)
    events_per_cell = fields.Integer(required=True)


class AnswerColumn(Reply):
    """A column of an answer.

    If the margin depends on the number of events, `margins_at` gives it for some numbers. A quantile has
    `margin_events`: it is exact up to that many events. A key without declared values has the `threshold` that its
    values passed.

    No margin covers what the contribution bounds cut off before the noise. `truncation` describes what is known about
    it. `none`: by the catalog, nothing is cut off. `profile`: by the dataset's profile, the bounds are expected to cut
    off the share `expected_loss` of what persons contribute. `asked`: the request chose the bounds (`expected_loss` is
    there if the dataset has a profile). `unknown`: nothing is known, and each number in the rows has
    `"truncation": "unknown"` too.

    `noise` has the scale of the noise on each number in `raw`, where more can be computed from these. `standardised`
    and `difference` say what a column was computed from.
    """

    name = fields.String(required=True)
    kind = fields.String(required=True)
    mechanism = fields.String()
    scale = fields.Float()
    threshold = fields.Integer()
    margin = fields.Float(allow_none=True)
    margins_at = fields.Dict(keys=fields.String(), values=fields.Float())
    margin_events = fields.Float()
    confidence = fields.Float()
    truncation = fields.String(validate=validate.OneOf([one.value for one in Truncation]))
    expected_loss = fields.Float()
    noise = fields.Dict()
    standardised = fields.Dict()
    difference = fields.Dict()


class Estimate(Reply):
    """What a query would cost and how exact its answer would be. `query` and `sql` are the two spellings of the query.

    `question` names the question with its price, for `require` of a query. `release` is the id of its answer, if it was
    asked before: asked again it is free. `affordable` is true then, and where the budget would pay it; `queries_left`
    is how many of it the budget would pay.

    `cells` is null if a key has no declared values, because it is not known how many values will be named. `advice`
    names what dominates the error and what would help. `slot_ms`: the answer leaves this long after its scan began
    (rarely at a multiple of it), whatever is in the data. `drowned_of` has the share of each statistic's numbers that
    are expected to be smaller than their margin, `drowned` the largest of these shares; they are null if a key has no
    declared values. `show` is how the answer was asked to be shown.
    """

    query = fields.Dict(required=True)
    sql = fields.String(required=True)
    show = fields.Dict()
    question = fields.String(required=True)
    cost = fields.Nested(Loss, required=True)
    release = fields.String(required=True, allow_none=True)
    affordable = fields.Boolean(required=True)
    queries_left = fields.Integer(required=True)
    slot_ms = fields.Integer(required=True)
    cells = fields.Integer(required=True, allow_none=True)
    drowned = fields.Float(required=True, allow_none=True)
    drowned_of = fields.Dict(keys=fields.String(), values=fields.Float(allow_none=True), required=True)
    columns = fields.List(fields.Nested(AnswerColumn), required=True)
    bounds = fields.Nested(AnswerBounds, required=True)
    notes = fields.List(fields.String(), required=True)
    advice = fields.List(fields.String(), required=True)
    budget = fields.Nested(Budget, required=True)


class ReleaseHead(Reply):
    """A release in a list."""

    id = fields.String(required=True)
    edition = fields.Integer(required=True)
    sql = fields.String(required=True)
    cost = fields.Nested(Loss, required=True)
    charged_at = fields.String(required=True)


class _Answer(Reply):
    """An answer. Each row has its keys by name, and {"value", "low", "high"} for each statistic.

    Instead of one such object, a histogram has a list of `bins`, the most frequent values have `top`, several quantiles
    have `quantiles`, and a survival curve has `survival`. If the post-processing in `post` changed a number, the
    released number stands beside it: `raw_value`, `raw_low`, `raw_high`. `privacy` is what the request offered: with it
    and the `bounds` the query is the same question again. Releases of earlier versions do not have it. `show` is how
    the answer was asked to be shown, with how many rows that left out; `sql` then says it too. `value_labels` has,
    by the name of the answer's column, the labels of those of its values that have one.
    """

    study = fields.String(required=True)
    dataset = fields.String(required=True)
    edition = fields.Integer(required=True)
    query = fields.Dict(required=True)
    sql = fields.String(required=True)
    privacy = fields.Dict()
    cost = fields.Nested(Loss, required=True)
    budget = fields.Nested(Budget, required=True)
    columns = fields.List(fields.Nested(AnswerColumn), required=True)
    rows = PartList(Part("Row"), required=True)
    value_labels = fields.Dict(keys=fields.String(), values=fields.Dict(keys=fields.String(), values=fields.String()))
    bounds = fields.Nested(AnswerBounds, required=True)
    notes = fields.List(fields.String(), required=True)
    post = fields.List(fields.String(), required=True)
    show = fields.Dict()
    replayed = fields.Boolean(required=True)


class Cancelling(Reply):
    """A query is being cancelled."""

    cancelling = fields.Boolean(required=True)


class Release(_Answer):
    """A stored answer."""

    id = fields.String(required=True)
    charged_at = fields.String(required=True)


class Rehearsal(_Answer):
    """An answer on data made up from the catalog, in the shape of a release. It is not a release and has no `id`."""

    rehearsal = fields.Boolean(required=True)
    id = fields.String(required=True, allow_none=True)
    charged_at = fields.String(required=True, allow_none=True)
