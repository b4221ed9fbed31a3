"""Datasets and their contribution profiles."""

from __future__ import annotations

from marshmallow import fields, validate

from server.api.replies.common import ROUNDED
from server.api.replies.losses import Budget, Loss
from server.api.replies.shapes import Reply
from server.api.replies.studies import GivenAdvice, ShownFormalities, StandingProfile


class Histogram(Reply):
    """Persons, with noise, by how many of something they have. Bin i holds numbers from starts[i] below starts[i+1].

    The last bin ends at `most` and includes persons with more. `scale` is that of the noise, `margin` its 95% quantile.
    """

    scale = fields.Float(required=True)
    margin = fields.Integer(required=True)
    starts = fields.List(fields.Integer(), required=True)
    most = fields.Integer(required=True)
    persons = fields.List(fields.Integer(), required=True)


class ColumnProfile(Reply):
    """Persons by their number of different values, and by their most events with one value.

    `by` is there for a date: its values are then counted by months.
    """

    by = fields.String()
    values = fields.Nested(Histogram, required=True)
    repeats = fields.Nested(Histogram, required=True)


class TableProfile(Reply):
    """Persons by their number of events, and the profiles of columns."""

    events = fields.Nested(Histogram, required=True)
    columns = fields.Dict(keys=fields.String(), values=fields.Nested(ColumnProfile), required=True)


class Profile(Reply):
    """A contribution profile: noisy histograms of how much each person contributes to each table.

    `edition` is the edition whose persons it describes. Later editions use it too, until another profile is bought.
    """

    cost = fields.Nested(Loss, required=True)
    confidence = fields.Float(required=True)
    tables = fields.Dict(keys=fields.String(), values=fields.Nested(TableProfile), required=True)
    edition = fields.Integer(required=True)
    charged_at = fields.String(required=True)


class BoughtProfile(Reply):
    """A profile as its buyer gets it: `replayed` if it existed already, and the dataset's budget now."""

    dataset = fields.String(required=True)
    edition = fields.Integer(required=True)
    profile = fields.Nested(Profile, required=True)
    budget = fields.Nested(Budget, required=True)
    replayed = fields.Boolean(required=True)
    notes = fields.List(fields.String(), metadata=ROUNDED)


NOISE = {
    "description": "What queries may have: `laplace`, `gaussian` or `both`. Null: what the manifest says, because the "
    "dataset was approved before this was one of the terms"
}


class ProposedTerms(Reply):
    """A cap that waits for an approver, what further profiles may take of it, formalities, and the noise of queries.

    Whoever decides on it sends its `digest` back as `seen`.
    """

    epsilon = fields.Float(required=True)
    delta = fields.Float(required=True)
    laplace_percent = fields.Integer(required=True)
    justification = fields.String(required=True, allow_none=True)
    profile = fields.Float(required=True)
    formalities = fields.Nested(ShownFormalities, required=True, allow_none=True)
    noise = fields.String(required=True, allow_none=True, metadata=NOISE)
    digest = fields.String(required=True)


class DatasetTerms(Reply):
    """What an approver approved of a dataset, and what waits.

    Nothing is charged to a dataset that is not `approved`. `profile_left` is the epsilon that further profiles may
    take. `proposed_by` names all who imported or proposed what waits, `advice` is the DPO's on it. `approved_by` is
    null if the dataset was imported before datasets had to be approved, and if the name was erased. `formalities` are
    those in force, or null if it was approved before they were asked for; `lack` is why those written last allow no
    approval now, or null.
    """

    approved = fields.Boolean(required=True)
    approved_at = fields.String(required=True, allow_none=True)
    approved_by = fields.String(required=True, allow_none=True)
    profile_left = fields.Float(required=True)
    waiting = fields.Nested(ProposedTerms, required=True, allow_none=True)
    proposed_by = fields.List(fields.String(), required=True)
    advice = fields.Nested(GivenAdvice, required=True, allow_none=True)
    formalities = fields.Nested(ShownFormalities, required=True, allow_none=True)
    noise = fields.String(required=True, allow_none=True, metadata=NOISE)
    lack = fields.String(required=True, allow_none=True)
    reason = fields.String(
        allow_none=True, metadata={"description": "Of `/datasets/NAME` alone: why what waits was proposed"}
    )


class DecidedDataset(Reply):
    """A dataset with its budget, what its contribution profile cost, and its terms."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    edition = fields.Integer(required=True)
    profile = fields.Nested(StandingProfile, required=True, allow_none=True)
    budget = fields.Nested(Budget, required=True)
    terms = fields.Nested(DatasetTerms, required=True)
    notes = fields.List(fields.String(), metadata=ROUNDED)


class Dataset(Reply):
    """The public schema of a dataset. Its budget and its terms are for all but researchers."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    edition = fields.Integer(required=True)
    persons_max = fields.Integer(required=True)
    persons_expected = fields.Integer(required=True, allow_none=True)
    epsilon_min = fields.Float(required=True, metadata={"description": "The smallest epsilon that a query can cost"})
    noise = fields.String(
        required=True, metadata={"description": "What queries may have now: `laplace`, `gaussian` or `both`"}
    )
    tables = fields.Dict(required=True)
    profile = fields.Nested(Profile, required=True, allow_none=True)
    budget = fields.Nested(Budget)
    terms = fields.Nested(DatasetTerms)


class FoundCode(Reply):
    """A code that a search found, with the columns that have it, as in `visits.diagnosis`."""

    code = fields.String(required=True)
    label = fields.String(required=True, allow_none=True)
    under = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "How many codes are under it, where a table of the hierarchy says so"},
    )
    columns = fields.List(fields.String(), required=True)


class FoundCodes(Reply):
    """The codes that a search found, the best first. If there are `more`, other words find them."""

    items = fields.List(fields.Nested(FoundCode), required=True)
    more = fields.Boolean(required=True)


class DatasetName(Reply):
    """A dataset in a list. It is `waiting` until an approver has approved it.

    It is `unavailable` while its store is missing or damaged, until it is imported again. `terms` are for all but
    researchers.
    """

    name = fields.String(required=True)
    title = fields.String(required=True)
    edition = fields.Integer(required=True)
    state = fields.String(required=True, validate=validate.OneOf(("ready", "waiting", "unavailable")))
    terms = fields.Nested(DatasetTerms)
