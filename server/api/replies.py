"""The shapes of what goes out, for the OpenAPI document and for whoever reads it; a test holds every reply to them."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from queries.contribution.truncation import Truncation

_NOTES = {"description": "Only where numbers of the request were rounded down: what was offered and what was taken"}


class Loss(Schema):
    """A loss of privacy."""

    epsilon = fields.Float(required=True, allow_none=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)


class Limit(Schema):
    """A limit of an account."""

    epsilon = fields.Float(required=True)
    delta = fields.Float(required=True)


class Left(Schema):
    """What each of an account's two filters could still admit, and the delta left for thresholds."""

    epsilon = fields.Float(required=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)


class Budget(Schema):
    """An account: its limits (`rho` follows from the other two), what was spent, reserved by queries, and remains."""

    epsilon = fields.Float(required=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)
    spent = fields.Nested(Loss, required=True)
    reserved = fields.Nested(Loss, required=True)
    remaining = fields.Nested(Left, required=True)


class Fit(Schema):
    """How many more queries of one epsilon would be admitted: all in all, and by each of the two filters alone."""

    epsilon = fields.Float(required=True)
    queries = fields.Integer(required=True)
    by_epsilon = fields.Integer(required=True)
    by_rho = fields.Integer(required=True)


class StudyBudget(Budget):
    """A study's account and what the rest of it buys, within what its dataset has left.

    `buys` says it in words, `queries_left` as the number of queries like the `last` one, `forecast` as a curve.
    """

    buys = fields.String(required=True)
    last = fields.Nested(Loss, required=True, allow_none=True)
    queries_left = fields.Integer(required=True, allow_none=True)
    forecast = fields.List(fields.Nested(Fit), required=True)


class Health(Schema):
    """The server is up."""

    status = fields.String(required=True)


class Me(Schema):
    """Who the token belongs to."""

    name = fields.String(required=True)
    role = fields.String(required=True)
    studies = fields.List(fields.String(), required=True)


class User(Schema):
    """A user and a token, shown this once."""

    user = fields.String(required=True)
    role = fields.String(required=True)
    token = fields.String(required=True)
    token_id = fields.String(required=True)


class Token(Schema):
    """A token, shown this once."""

    token = fields.String(required=True)
    token_id = fields.String(required=True)


class Dataset(Schema):
    """The public schema of a dataset. Its budget is for admins and DPOs."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    edition = fields.Integer(required=True)
    persons_max = fields.Integer(required=True)
    persons_expected = fields.Integer(required=True, allow_none=True)
    epsilon_min = fields.Float(required=True, metadata={"description": "The least epsilon that a question costs"})
    tables = fields.Dict(required=True)
    profile = fields.Nested(lambda: Profile(), required=True, allow_none=True)
    budget = fields.Nested(Budget)


class Histogram(Schema):
    """How many persons, with noise, have a number of something: bin i holds the numbers from starts[i] below the next.

    The last bin goes up to `most` (and has whoever passes it); `scale` is that of the noise, `margin` its 95% quantile.
    """

    scale = fields.Float(required=True)
    margin = fields.Integer(required=True)
    starts = fields.List(fields.Integer(), required=True)
    most = fields.Integer(required=True)
    persons = fields.List(fields.Integer(), required=True)


class ColumnProfile(Schema):
    """Of each person the number of different values, and the most events with one value. `by`: of a date's months."""

    by = fields.String()
    values = fields.Nested(Histogram, required=True)
    repeats = fields.Nested(Histogram, required=True)


class TableProfile(Schema):
    """Of each person the number of events, and what there is for columns."""

    events = fields.Nested(Histogram, required=True)
    columns = fields.Dict(keys=fields.String(), values=fields.Nested(ColumnProfile), required=True)


class Profile(Schema):
    """A contribution profile: how much single persons contribute to each table, as noisy histograms.

    `edition` is the one whose persons it describes: later editions go on with it until another is bought.
    """

    cost = fields.Nested(Loss, required=True)
    confidence = fields.Float(required=True)
    tables = fields.Dict(keys=fields.String(), values=fields.Nested(TableProfile), required=True)
    edition = fields.Integer(required=True)
    charged_at = fields.String(required=True)


class BoughtProfile(Schema):
    """A profile as its buyer gets it: `replayed` when it was there already, and the dataset's budget now."""

    dataset = fields.String(required=True)
    edition = fields.Integer(required=True)
    profile = fields.Nested(Profile, required=True)
    budget = fields.Nested(Budget, required=True)
    replayed = fields.Boolean(required=True)
    notes = fields.List(fields.String(), metadata=_NOTES)


class DatasetName(Schema):
    """A dataset in a list."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    edition = fields.Integer(required=True)


class ShownProtocol(Schema):
    """What a study may ask: what is not named is refused; a list that is not given allows everything."""

    tables = fields.List(fields.String())
    columns = fields.List(fields.String())
    statistics = fields.List(fields.String())
    max_epsilon = fields.Float()
    min_margin = fields.Float()
    templates = fields.List(fields.Dict(keys=fields.String()))
    strict = fields.Boolean()


class StandingProfile(Schema):
    """The contribution profile that a dataset goes by: of which edition it is, and what it cost the dataset."""

    edition = fields.Integer(required=True)
    cost = fields.Nested(Loss, required=True)


class Study(Schema):
    """A study. `raise` is a larger budget that waits for the DPO, as `raise_by` proposed it.

    `profile` is the dataset's contribution profile, null without one: it is public, and part of what an approver
    accepts with the dataset.
    Who opened, edited and approved it is told by name, as long as the names are kept.
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
    created_at = fields.String(required=True)
    opened_by = fields.String(required=True, allow_none=True)
    edited_by = fields.List(fields.String(), required=True)
    approved_by = fields.String(required=True, allow_none=True)
    raise_by = fields.String(required=True, allow_none=True)
    members = fields.List(fields.String(), required=True)
    budget = fields.Nested(Budget, required=True)
    notes = fields.List(fields.String(), metadata=_NOTES)
    raise_to = fields.Nested(Limit, data_key="raise", required=True, allow_none=True)


class AnswerBounds(Schema):
    """The contribution bounds that were applied."""

    cells_per_person = fields.Integer(required=True)
    events_per_cell = fields.Integer(required=True)


class AnswerColumn(Schema):
    """A column of an answer.

    Where the margin depends on the number of events, `margins_at` gives it for some. A quantile has `margin_events`:
    it is exact up to that many events. A key without declared values has the `threshold` that its values passed.

    What bounds cut off before the noise is in no margin. `truncation` says what is known of it: `none` is cut off, by
    the catalog; `profile`: the dataset's profile expects the share `expected_loss` of what persons contribute to be cut
    off; `asked`: the request chose the bounds (with `expected_loss` if there is a profile); `unknown`: nobody knows. In
    the last case each result of the rows has `"truncation": "unknown"` too.
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


class Estimate(Schema):
    """What a query would cost and how exact it would be. `queries_left`: as many such queries the budget would pay.

    `cells` is null where a key has no declared values: how many of them will be named is not known.
    `advice` says what dominates the error and what would help. `slot_ms`: the answer leaves so long after its scan
    began (nearly always; else at a multiple of it), whatever is in the data.
    `drowned_of` is the share of each statistic's numbers that are expected to be smaller than their margin, `drowned`
    the largest of them; null where a key has no declared values.
    """

    cost = fields.Nested(Loss, required=True)
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


class ReleaseHead(Schema):
    """A release in a list."""

    id = fields.String(required=True)
    edition = fields.Integer(required=True)
    sql = fields.String(required=True)
    cost = fields.Nested(Loss, required=True)
    charged_at = fields.String(required=True)


class _Answer(Schema):
    """An answer. Each row has its keys by name and {"value", "low", "high"} for each statistic.

    A histogram has a list of `bins` instead, the most frequent values `top`, several quantiles `quantiles`, and a
    survival curve `survival`. What was changed by the post-processing in `post` has the released number beside it:
    `raw_value`, `raw_low`, `raw_high`.
    """

    study = fields.String(required=True)
    dataset = fields.String(required=True)
    edition = fields.Integer(required=True)
    query = fields.Dict(required=True)
    sql = fields.String(required=True)
    cost = fields.Nested(Loss, required=True)
    budget = fields.Nested(Budget, required=True)
    columns = fields.List(fields.Nested(AnswerColumn), required=True)
    rows = fields.List(fields.Dict(), required=True)
    bounds = fields.Nested(AnswerBounds, required=True)
    notes = fields.List(fields.String(), required=True)
    post = fields.List(fields.String(), required=True)
    replayed = fields.Boolean(required=True)


class Release(_Answer):
    """A stored answer."""

    id = fields.String(required=True)
    charged_at = fields.String(required=True)


class Rehearsal(_Answer):
    """An answer over data made up from the catalog, in the shape of a release: but it is none, and has no `id`."""

    rehearsal = fields.Boolean(required=True)
    id = fields.String(required=True, allow_none=True)
    charged_at = fields.String(required=True, allow_none=True)


class Entry(Schema):
    """An entry of the audit log."""

    index = fields.Integer(required=True)
    time = fields.String(required=True)
    actor = fields.String(required=True)
    actor_name = fields.String(required=True, allow_none=True)
    role = fields.String(required=True)
    action = fields.String(required=True)
    subject = fields.String(required=True)
    study = fields.String(required=True, allow_none=True)
    summary = fields.String(required=True)
    facts = fields.Dict(required=True)
    previous = fields.String(required=True)
    leaf_hash = fields.String(required=True)


class Alert(Schema):
    """An alert: an entry of the audit log, of the action `alert.KIND`. `about` names the user that was refused."""

    index = fields.Integer(required=True)
    time = fields.String(required=True)
    kind = fields.String(required=True)
    study = fields.String(required=True, allow_none=True)
    summary = fields.String(required=True)
    about = fields.String(required=True, allow_none=True)
    facts = fields.Dict(required=True)
    leaf_hash = fields.String(required=True)


class Checkpoint(Schema):
    """What the log holds, and the C2SP signed note that says so."""

    origin = fields.String(required=True)
    size = fields.Integer(required=True)
    root = fields.String(required=True, metadata={"description": "In hex"})
    note = fields.String(required=True)
    key = fields.String(required=True, metadata={"description": "The verifier key in force"})


_HASHES = {"description": "In hex, from the leaf upwards"}


class Inclusion(Schema):
    """An inclusion proof of RFC 6962 section 2.1.1."""

    index = fields.Integer(required=True)
    size = fields.Integer(required=True)
    root = fields.String(required=True)
    leaf_hash = fields.String(required=True)
    hashes = fields.List(fields.String(), required=True, metadata=_HASHES)


class Consistency(Schema):
    """A consistency proof of RFC 6962 section 2.1.2."""

    before = fields.Integer(data_key="from", required=True)
    size = fields.Integer(data_key="to", required=True)
    root_before = fields.String(data_key="root_from", required=True)
    root = fields.String(data_key="root_to", required=True)
    hashes = fields.List(fields.String(), required=True, metadata=_HASHES)


class CertifiedRelease(Schema):
    """A release as it was stored: `answer` is what is hashed into the audit log."""

    id = fields.String(required=True)
    study = fields.String(required=True)
    dataset = fields.String(required=True)
    edition = fields.Integer(required=True)
    charged_at = fields.String(metadata={"description": "When it was charged; in version 1 `released_at`"})
    released_at = fields.String(metadata={"description": "The same in version 1, of releases of earlier versions"})
    answer = fields.Dict(required=True)


class Handover(Schema):
    """How a signing key handed the log over to the next one: an entry under a checkpoint of the key before."""

    entry = fields.Dict(required=True)
    proof = fields.List(fields.String(), required=True, metadata=_HASHES)
    checkpoint = fields.String(required=True)
    consistency = fields.List(fields.String(), required=True, metadata=_HASHES)


class CertificateBody(Schema):
    """What a certificate says: the release, the audit log's entry of it, and the proof that the entry is in the log."""

    type = fields.String(required=True)
    version = fields.Integer(required=True)
    log = fields.String(required=True)
    key = fields.String(required=True, metadata={"description": "The verifier key that signed"})
    binds = fields.String(required=True, metadata={"description": "What the log binds of the release, in words"})
    release = fields.Nested(CertifiedRelease, required=True)
    entry = fields.Dict(required=True, metadata={"description": "The entry as it was hashed"})
    proof = fields.List(fields.String(), required=True, metadata=_HASHES)
    checkpoint = fields.String(required=True, metadata={"description": "The signed note that has the tree's root"})
    handovers = fields.List(fields.Nested(Handover), required=True)


class Certificate(Schema):
    """A release certificate: one line of canonical JSON. `note` is a C2SP signed note over the SHA-256 of the rest."""

    certificate = fields.Nested(CertificateBody, required=True)
    note = fields.String(required=True)


class Problem(Schema):
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


def page_of(schema: type[Schema]) -> type[Schema]:
    """Return the shape of a page of a list; `next` is the cursor of the page after it."""
    members: dict[str, Any] = {
        "items": fields.List(fields.Nested(schema), required=True),
        "next": fields.String(required=True, allow_none=True),
    }
    page = type(f"{schema.__name__}Page", (Schema,), members)
    page.__doc__ = f"A page of {schema.__name__}."
    return page
