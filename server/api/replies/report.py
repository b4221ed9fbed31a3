"""The anonymity report."""

from __future__ import annotations

from marshmallow import fields

from server.api.replies.losses import Budget, Limit, Loss, Sum
from server.api.replies.shapes import Reply
from server.api.replies.studies import GivenConclusion, ShownFormalities, Study


class Belief(Reply):
    """A bound, rounded up, on how sure a belief of strength `prior` can become."""

    prior = fields.Float(required=True)
    at_most = fields.Float(required=True)


class Finding(Reply):
    """The largest share of true positives that an attack with this share of false positives can have."""

    false_positives = fields.Float(required=True)
    at_most = fields.Float(required=True)


class Criterion(Reply):
    """One of the three criteria of anonymity (WP29 Opinion 05/2014), and what the bounds imply for it."""

    criterion = fields.String(required=True)
    question = fields.String(required=True)
    answer = fields.String(required=True)


class Meaning(Reply):
    """How an (epsilon, delta) limits attacks on one person. `by` names the accountant that it follows from.

    `presence` bounds the belief that a person is in the data; `fact` the belief in a fact about a person who is.
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


class Accountants(Reply):
    """The limits that follow from the sum of epsilon, from that of rho, and from each by its noise; null if none."""

    epsilon = fields.Nested(Limit, required=True, allow_none=True)
    rho = fields.Nested(Limit, required=True, allow_none=True)
    split = fields.Nested(Limit, required=True, allow_none=True)


class Account(Reply):
    """An account of a report: the study's own, or its dataset's, which all studies share.

    `used` is what is spent or reserved; `delta_keys` is the part of delta that thresholds may use.
    """

    kind = fields.String(required=True)
    name = fields.String(required=True)
    budget = fields.Nested(Budget, required=True)
    used = fields.Nested(Sum, required=True)
    delta_keys = fields.Float(required=True)
    accountants = fields.Nested(Accountants, required=True)
    at_spend = fields.Nested(Meaning, required=True)
    at_limit = fields.Nested(Meaning, required=True)


class Act(Reply):
    """A decision from the audit log: what was decided, by whom and when. The name is null once it was erased.

    `approval` is true if an approver agreed to terms and budget or to a larger budget, and false if a suspension ended.
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


class Recipient(Reply):
    """A present or past member, who could read the study's releases, with the times that the log has.

    The name is null once it was erased; the end of that membership is then unknown.
    """

    name = fields.String(required=True, allow_none=True)
    since = fields.String(required=True, allow_none=True)
    until = fields.String(required=True, allow_none=True)
    is_member = fields.Boolean(required=True, metadata={"description": "The user is a member now"})


class ReportedStudy(Reply):
    """A study in short. Reserved losses count as spent. `recipients` are all present and past members.

    Its protocol hides numbers of cells below `hide_below`, if at all; `professionals` has its reason for each column
    about professionals that it may use.
    """

    id = fields.String(required=True)
    title = fields.String(required=True)
    purpose = fields.String(required=True)
    legal_basis = fields.String(required=True)
    state = fields.String(required=True)
    members = fields.List(fields.String(), required=True)
    recipients = fields.List(fields.Nested(Recipient), required=True)
    limit = fields.Nested(Limit, required=True)
    spent = fields.Nested(Loss, required=True)
    hide_below = fields.Integer(required=True, allow_none=True)
    professionals = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    conclusion = fields.Nested(GivenConclusion, required=True, allow_none=True)


class ReportedEdition(Reply):
    """An import."""

    edition = fields.Integer(required=True)
    imported_at = fields.String(required=True)


class ReportedTable(Reply):
    """A table of the catalog."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    columns = fields.List(fields.String(), required=True)
    professionals = fields.List(fields.String(), metadata={"description": "Those of them that tell of professionals"})


class ReportedDataset(Reply):
    """The public part of a dataset. If its store was deleted, tables are empty and `persons_max` is null."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    persons_max = fields.Integer(required=True, allow_none=True)
    formalities = fields.Nested(ShownFormalities, required=True, allow_none=True)
    editions = fields.List(fields.Nested(ReportedEdition), required=True)
    tables = fields.List(fields.Nested(ReportedTable), required=True)


class ReportedProfile(Reply):
    """A contribution profile that was bought."""

    id = fields.String(required=True)
    edition = fields.Integer(required=True)
    charged_at = fields.String(required=True)
    cost = fields.Nested(Loss, required=True)


class ReportedRelease(ReportedProfile):
    """A release without its numbers: what was asked, when, with which loss and which noise."""

    study = fields.String(required=True)
    sql = fields.String(required=True)
    mechanisms = fields.List(fields.String(), required=True)


class Releases(Reply):
    """What was released. `unanswered` counts charges without a release: their query failed or is under way.

    `naming` counts the releases that could name values of a column without declared values, above a threshold.
    """

    count = fields.Integer(required=True)
    unanswered = fields.Integer(required=True)
    first = fields.String(required=True, allow_none=True)
    last = fields.String(required=True, allow_none=True)
    naming = fields.Integer(required=True)
    shown = fields.List(fields.Nested(ReportedRelease), required=True)
    profiles = fields.List(fields.Nested(ReportedProfile), required=True)


class LeftOut(Reply):
    """Something that the promise does not cover."""

    title = fields.String(required=True)
    text = fields.String(required=True)


class Fact(Reply):
    """A question of a regulator. The answer is null if only the controller knows it."""

    question = fields.String(required=True)
    answer = fields.String(required=True, allow_none=True)


class Article(Reply):
    """The facts for an article of the GDPR."""

    article = fields.String(required=True)
    title = fields.String(required=True)
    facts = fields.List(fields.Nested(Fact), required=True)


class LegalSource(Reply):
    """What a statement on law rests on: its title, also in short, its date, and its address if it is cited by one.

    `read` says what was read of it when the criteria were last checked; `original` is true if that was read where its
    author published it.
    """

    title = fields.String(required=True)
    short = fields.String(required=True)
    date = fields.String(required=True)
    where = fields.String(required=True)
    read = fields.String(required=True)
    original = fields.Boolean(required=True)


class Point(Reply):
    """A criterion, a reader, a relevant party, a statement on law or a part of the guarantee, in words.

    `source` names one of the sources, `place` where in it; `bounds` which bound of the report answers it: `presence`,
    `fact` or `advantage`.
    """

    id = fields.String(required=True)
    text = fields.String(required=True)
    title = fields.String()
    who = fields.String()
    source = fields.String()
    place = fields.String()
    bounds = fields.String()


class Criteria(Reply):
    """What the law and its authorities ask, and how it stands. `checked` is when the sources were last read.

    `next` is when they should be read anew.
    """

    checked = fields.String(required=True)
    next = fields.String(required=True)
    criteria = fields.List(fields.Nested(Point), required=True)
    readers = fields.List(fields.Nested(Point), required=True)
    parties = fields.List(fields.Nested(Point), required=True)
    law = fields.List(fields.Nested(Point), required=True)
    guarantee = fields.List(fields.Nested(Point), required=True)
    sources = fields.Dict(keys=fields.String(), values=fields.Nested(LegalSource), required=True)


class CoveringLog(Reply):
    """The state of the audit log that covers the report, with the checkpoint that signs this state."""

    entries = fields.Integer(required=True)
    last_leaf_hash = fields.String(required=True)
    checkpoint = fields.String(required=True)


class Report(Reply):
    """What was released for a study or a dataset, and what it could reveal. The first account is the subject's own.

    `digest` is of what a conclusion on a study's report is about: who concludes sends it as `seen`. A dataset's report
    has none; it has the conclusions of its studies. In the `version` to publish nobody is named, and `log` is null.
    """

    version = fields.String(required=True)
    criteria = fields.Nested(Criteria, required=True)

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
    digest = fields.String(required=True, allow_none=True)
    log = fields.Nested(CoveringLog, required=True, allow_none=True)


class Purpose(Reply):
    """What a study is for. `hide_below` and `professionals` are those of its protocol, as in a report."""

    study = fields.String(required=True)
    title = fields.String(required=True)
    purpose = fields.String(required=True)
    legal_basis = fields.String(required=True)
    state = fields.String(required=True)
    hide_below = fields.Integer(required=True, allow_none=True)
    professionals = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    formalities = fields.Nested(ShownFormalities, required=True, allow_none=True)


class TreatedDataset(Reply):
    """The public part of a dataset: what the import mapped values to. If its store was deleted, tables are empty."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    formalities = fields.Nested(ShownFormalities, required=True, allow_none=True)
    editions = fields.List(fields.Nested(ReportedEdition), required=True)
    tables = fields.Dict(required=True)


class Treatment(ReportedProfile):
    """A release without its numbers: the question, how much of a person counted, and each column with its noise."""

    study = fields.String(required=True)
    question = fields.String(required=True)
    bounds = fields.Dict(required=True)
    columns = fields.List(fields.Dict(), required=True)
    post = fields.List(fields.String(), required=True)
    notes = fields.List(fields.String(), required=True)


class Methods(Reply):
    """What was done to the data: the steps, the guarantee, and each release with its parameters and its quality."""

    format = fields.String(required=True)
    made_at = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    purposes = fields.List(fields.Nested(Purpose), required=True)
    dataset = fields.Nested(TreatedDataset, required=True)
    steps = fields.List(fields.String(), required=True)
    guarantee = fields.List(fields.Nested(Point), required=True)
    accounts = fields.List(fields.Nested(Account), required=True)
    releases = fields.List(fields.Nested(Treatment), required=True)
    profiles = fields.List(fields.Nested(ReportedProfile), required=True)


class NoticedStudy(Reply):
    """A study, as the persons in the data are told of it. `about` has the columns that were asked about, by title.

    Its protocol hides numbers below `hide_below`, if at all. `professionals` has, by title, its reason for each column
    about professionals that it may use.
    """

    id = fields.String(required=True)
    title = fields.String(required=True)
    purpose = fields.String(required=True)
    legal_basis = fields.String(required=True)
    approved_on = fields.String(required=True)
    ends = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    controller = fields.String(required=True, allow_none=True)
    recipients = fields.String(required=True, allow_none=True)
    releases = fields.Integer(required=True)
    about = fields.List(fields.String(), required=True)
    hide_below = fields.Integer(required=True, allow_none=True)
    professionals = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class Notice(Reply):
    """What the page for the persons in a dataset is made of. It names no user of the server.

    `professionals` are the columns that tell of professionals, by title.
    """

    name = fields.String(required=True)
    title = fields.String(required=True)
    made_at = fields.String(required=True)
    edition = fields.Integer(required=True)
    imported_at = fields.String(required=True)
    formalities = fields.Nested(ShownFormalities, required=True, allow_none=True)
    at_limit = fields.Nested(Meaning, required=True)
    at_spend = fields.Nested(Meaning, required=True)
    professionals = fields.List(fields.String(), required=True)
    studies = fields.List(fields.Nested(NoticedStudy), required=True)
