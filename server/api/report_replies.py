"""The shape of a report, for the OpenAPI document and for whoever reads it; a test holds every report to it."""

from __future__ import annotations

from marshmallow import Schema, fields

from server.api.replies import Budget, Limit, Loss, Study


class Belief(Schema):
    """How sure a belief of strength `prior` can become: a bound, rounded up."""

    prior = fields.Float(required=True)
    at_most = fields.Float(required=True)


class Finding(Schema):
    """The largest share of right finds with such a share of wrong ones."""

    false_positives = fields.Float(required=True)
    at_most = fields.Float(required=True)


class Criterion(Schema):
    """One of the three criteria of anonymity (WP29 Opinion 05/2014), and what the bounds say to it."""

    criterion = fields.String(required=True)
    question = fields.String(required=True)
    answer = fields.String(required=True)


class Meaning(Schema):
    """What an (epsilon, delta) bounds of an attack on one person. `by` says what it follows from.

    `presence`: the belief that a person is in the data; `fact`: that something is true of a person who is.
    """

    epsilon = fields.Float(required=True)
    delta = fields.Float(required=True)
    by = fields.String(required=True)
    advantage = fields.Float(required=True)
    true_positives = fields.List(fields.Nested(Finding), required=True)
    presence = fields.List(fields.Nested(Belief), required=True)
    fact = fields.List(fields.Nested(Belief), required=True)
    criteria = fields.List(fields.Nested(Criterion), required=True)
    words = fields.String(required=True)
    condition = fields.String(required=True)


class Accountants(Schema):
    """What follows from the sum of epsilon and from that of rho; null where nothing does."""

    epsilon = fields.Nested(Limit, required=True, allow_none=True)
    rho = fields.Nested(Limit, required=True, allow_none=True)


class Account(Schema):
    """An account of a report: the study's own, or that of its dataset, which all studies share.

    `used` is what is spent or reserved; `delta_keys` the part of delta that thresholds may take.
    """

    kind = fields.String(required=True)
    name = fields.String(required=True)
    budget = fields.Nested(Budget, required=True)
    used = fields.Nested(Loss, required=True)
    delta_keys = fields.Float(required=True)
    accountants = fields.Nested(Accountants, required=True)
    at_spend = fields.Nested(Meaning, required=True)
    at_limit = fields.Nested(Meaning, required=True)


class Act(Schema):
    """What was decided, by whom and when, from the audit log. A name is null once it was erased.

    `approval` marks that a DPO agreed to terms and budget, or to a larger budget; going on after a suspension is none.
    """

    index = fields.Integer(required=True)
    time = fields.String(required=True)
    action = fields.String(required=True)
    approval = fields.Boolean(required=True)
    study = fields.String(required=True, allow_none=True)
    name = fields.String(required=True, allow_none=True)
    role = fields.String(required=True)
    summary = fields.String(required=True)
    reason = fields.String(required=True, allow_none=True)
    member = fields.String(required=True, allow_none=True)
    limit = fields.Nested(Limit, required=True, allow_none=True)


class Recipient(Schema):
    """Somebody who was a member, and so could read the study's releases, with the times as far as the log tells them.

    A name is null once it was erased; then nobody can tell whether the membership ended.
    """

    name = fields.String(required=True, allow_none=True)
    since = fields.String(required=True, allow_none=True)
    until = fields.String(required=True, allow_none=True)
    is_member = fields.Boolean(required=True, metadata={"description": "They are a member now"})


class ReportedStudy(Schema):
    """A study in short. What is reserved counts as spent. `recipients` are all who ever were members."""

    id = fields.String(required=True)
    title = fields.String(required=True)
    purpose = fields.String(required=True)
    legal_basis = fields.String(required=True)
    state = fields.String(required=True)
    members = fields.List(fields.String(), required=True)
    recipients = fields.List(fields.Nested(Recipient), required=True)
    limit = fields.Nested(Limit, required=True)
    spent = fields.Nested(Loss, required=True)


class ReportedEdition(Schema):
    """An import."""

    edition = fields.Integer(required=True)
    imported_at = fields.String(required=True)


class ReportedTable(Schema):
    """A table of the catalog."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    columns = fields.List(fields.String(), required=True)


class ReportedDataset(Schema):
    """The dataset, as far as it is public. Without its store there are no tables and no `persons_max`."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    persons_max = fields.Integer(required=True, allow_none=True)
    editions = fields.List(fields.Nested(ReportedEdition), required=True)
    tables = fields.List(fields.Nested(ReportedTable), required=True)


class ReportedProfile(Schema):
    """A contribution profile that was bought."""

    id = fields.String(required=True)
    edition = fields.Integer(required=True)
    charged_at = fields.String(required=True)
    cost = fields.Nested(Loss, required=True)


class ReportedRelease(ReportedProfile):
    """A release: what was asked, when, at which loss and with which noise. Not its numbers."""

    study = fields.String(required=True)
    sql = fields.String(required=True)
    mechanisms = fields.List(fields.String(), required=True)


class Releases(Schema):
    """What was released. `unanswered` charges have no release: their query failed or is under way.

    `naming` of the releases could name values of a column that has no declared ones, past a threshold.
    """

    count = fields.Integer(required=True)
    unanswered = fields.Integer(required=True)
    first = fields.String(required=True, allow_none=True)
    last = fields.String(required=True, allow_none=True)
    naming = fields.Integer(required=True)
    shown = fields.List(fields.Nested(ReportedRelease), required=True)
    profiles = fields.List(fields.Nested(ReportedProfile), required=True)


class LeftOut(Schema):
    """Something that the promise leaves out."""

    title = fields.String(required=True)
    text = fields.String(required=True)


class Fact(Schema):
    """What a regulator asks; the answer is null where only the controller has it."""

    question = fields.String(required=True)
    answer = fields.String(required=True, allow_none=True)


class Article(Schema):
    """The facts for an article of the GDPR."""

    article = fields.String(required=True)
    title = fields.String(required=True)
    facts = fields.List(fields.Nested(Fact), required=True)


class CoveringLog(Schema):
    """The state of the audit log that covers the report, with the checkpoint that signs it."""

    entries = fields.Integer(required=True)
    last_leaf_hash = fields.String(required=True)
    checkpoint = fields.String(required=True)


class Report(Schema):
    """What was released of a study or a dataset, and what it could reveal. The first account is its own."""

    kind = fields.String(required=True)
    name = fields.String(required=True)
    title = fields.String(required=True)
    made_at = fields.String(required=True)
    study = fields.Nested(Study, required=True, allow_none=True)
    studies = fields.List(fields.Nested(ReportedStudy), required=True)
    dataset = fields.Nested(ReportedDataset, required=True)
    history = fields.List(fields.Nested(Act), required=True)
    accounts = fields.List(fields.Nested(Account), required=True)
    releases = fields.Nested(Releases, required=True)
    left_out = fields.List(fields.Nested(LeftOut), required=True)
    regulation = fields.List(fields.Nested(Article), required=True)
    log = fields.Nested(CoveringLog, required=True)
