"""Request bodies and query strings about studies, people, lists and the audit log. Queries are read in `query.py`."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from budgets import formalities
from budgets.alerts import alerts
from budgets.database import clock
from budgets.errors import Invalid
from budgets.formalities import Formalities
from budgets.governance import advice, conclusions
from budgets.governance.roles import grants
from budgets.identity import people, tokens
from queries.catalog.schema import NOISES
from queries.release import hiding
from queries.statistics import registry
from server.api.requests.code_lists import parse_code_lists
from server.api.requests.query import above_zero, offered, privacy_epsilon, roundings
from server.api.requests.shapes import Built
from server.api.requests.templates import parse_templates
from server.languages.language import ENGLISH, LANGUAGES
from server.reporting import publishing
from server.sign_in.issuer import TOKEN_CHARACTERS_MAX

# The end of each pattern is written so that Python and JavaScript, which reads the OpenAPI document, see the same.
COMMITMENT = validate.Regexp(r"^[0-9a-f]{64}(?!\n)$", error="must be a commitment from the list")
DIGEST = validate.Regexp(r"^[0-9a-f]{64}(?!\n)$", error="must be the digest of what you read")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{3})?Z)?")

NOTE_MAX, NOTES_MAX = 4_000, 20  # characters of a key or a checkpoint, and how many checkpoints


def roundings_of(body: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each number that was rounded down in a valid body about a study or a profile."""
    words = {"epsilon": "epsilon", "delta": "delta", "profile": "epsilon"}
    places = {name: (word, body[name]) for name, word in words.items() if body.get(name) is not None}
    protocol = body.get("protocol", {})
    limited = {"protocol": protocol}
    limited |= {f"protocol/templates/{place}": one for place, one in enumerate(protocol.get("templates", ()))}
    for place, one in limited.items():
        if "max_epsilon" in one:
            places[f"{place}/max_epsilon"] = ("epsilon", one["max_epsilon"])
    return roundings(places)


class _Noted(Schema):
    """A schema that adds `notes` on numbers that were rounded down."""

    @post_load(pass_original=True)
    def note(self, data: dict[str, Any], original: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Add the notes."""
        return {**data, "notes": roundings_of(original)}


def _text(longest: int) -> validate.Length:
    return validate.Length(1, longest, error=f"must have 1 to {longest:,} characters")


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValidationError("must be true or false")
    return value


def _least_shown(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not hiding.LEAST <= value <= hiding.MOST:
        raise ValidationError(f"must be a whole number from {hiding.LEAST} to {hiding.MOST:,}")
    return value


class ProtocolSchema(Schema):
    """What a study may ask. A list refuses everything that it does not name; a missing list allows everything.

    `noise` is the kind of noise that its queries may have. `min_margin` is the smallest margin at 95% that a count may
    have. `hide_below` hides numbers of cells below it in all answers. `professionals` gives the reason for each column
    about professionals that may be used. A `strict` protocol allows only its templates.
    """

    tables = fields.List(fields.String())
    columns = fields.List(fields.String())
    statistics = fields.List(fields.String(validate=validate.OneOf(registry.WORDS)))
    epsilon_nano_max = Built(privacy_epsilon, "Epsilon", data_key="max_epsilon")
    margin_min = Built(above_zero, "LeastMargin", data_key="min_margin")
    hide_below = Built(_least_shown, "HideBelow")
    professionals = fields.Dict(keys=fields.String(validate=_text(63)), values=fields.String(validate=_text(1_000)))
    templates = Built(parse_templates, "Templates")
    code_lists = Built(parse_code_lists, "CodeLists")
    noise = fields.String(validate=validate.OneOf(NOISES))
    strict = Built(_truth, "Truth")

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a strict protocol without templates: it would allow nothing and is probably a mistake."""
        if data.get("strict") and not data.get("templates"):
            raise ValidationError({"strict": ["needs templates, because a strict protocol allows nothing else"]})


def _chosen(name: str) -> validate.OneOf:
    return validate.OneOf(list(formalities.CHOICES[name]))


class FormalitiesSchema(Schema):
    """What the law asks to settle before. `number` and `issued` belong to a formality, `why_none` to there being none.

    `expires` is left out if the formality does not expire. `honoured` says which edition honours which objections.
    """

    kind = fields.String(required=True, validate=_chosen("kind"))
    number = fields.String(allow_none=True, load_default=None)
    issued = fields.String(allow_none=True, load_default=None, metadata={"format": "date"})
    expires = fields.String(allow_none=True, load_default=None, metadata={"format": "date"})
    why_none = fields.String(allow_none=True, load_default=None)
    legal_basis = fields.String(required=True, validate=_chosen("legal_basis"))
    condition = fields.String(required=True, validate=_chosen("condition"))
    controller = fields.String(required=True, validate=_text(formalities.TEXT_MAX))
    processor = fields.String(required=True, validate=_text(formalities.TEXT_MAX))
    recipients = fields.String(required=True, validate=_text(formalities.TEXT_MAX))
    ends = fields.String(required=True, metadata={"format": "date"})
    informed = fields.String(required=True, validate=_text(formalities.TEXT_MAX))
    objections = fields.String(required=True, validate=_text(formalities.TEXT_MAX))
    honoured = fields.String(required=True, validate=_text(formalities.TEXT_MAX))
    incentives = fields.String(required=True, validate=_text(formalities.TEXT_MAX))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Formalities:
        """Return them as a value."""
        try:
            return formalities.read(data)
        except Invalid as error:
            raise ValidationError({error.field.rpartition("/")[2]: [error.message]}) from None


class TermsSchema(_Noted):
    """The terms of a study: its purpose, its legal basis, its dates and what it may ask."""

    title = fields.String(required=True, validate=_text(10_000))
    purpose = fields.String(required=True, validate=_text(10_000))
    legal_basis = fields.String(required=True, validate=_text(10_000))
    protocol = fields.Nested(ProtocolSchema, load_default=dict)
    starts = fields.String(allow_none=True, load_default=None, metadata={"format": "date"})
    ends = fields.String(allow_none=True, load_default=None, metadata={"format": "date"})
    formalities = fields.Nested(FormalitiesSchema, allow_none=True, load_default=None)


class _DividedSchema(Schema):
    """How a budget divides its epsilon, and why it is so large."""

    laplace_percent = fields.Integer(
        strict=True,
        load_default=None,
        validate=validate.Range(0, 100, error="must be from 0 to 100"),
        metadata={"description": "The part of epsilon that is for Laplace noise where there is Gaussian noise too"},
    )
    justification = fields.String(load_default=None, validate=_text(10_000))


class NewStudySchema(TermsSchema, _DividedSchema):
    """A study to open. Without `delta` and `laplace_percent` it has those of the dataset."""

    name = fields.String(required=True)
    dataset = fields.String(required=True)
    epsilon_nano = Built(privacy_epsilon, "Epsilon", data_key="epsilon", required=True)
    delta_atto = Built(partial(offered, "delta"), "Delta", data_key="delta", load_default=None)


class BudgetChangeSchema(_Noted, _DividedSchema):
    """A study's new limits and the reason for them."""

    epsilon_nano = Built(privacy_epsilon, "Epsilon", data_key="epsilon", required=True)
    delta_atto = Built(partial(offered, "delta"), "Delta", data_key="delta", load_default=None)
    reason = fields.String(required=True, validate=_text(10_000))


class NewProfileSchema(_Noted):
    """What a contribution profile may cost."""

    epsilon_nano = Built(privacy_epsilon, "Epsilon", data_key="epsilon", required=True)


class GuaranteeSchema(Schema):
    """An epsilon, and perhaps a delta, whose meaning is asked for."""

    epsilon_nano = Built(lambda text: privacy_epsilon(_number(text)), "Epsilon", data_key="epsilon", required=True)
    delta_atto = Built(lambda text: offered("delta", _number(text)), "Delta", data_key="delta", load_default=0)


def _number(text: str) -> float:
    """Return a number of a query string."""
    try:
        return float(text)
    except ValueError:
        raise ValidationError("must be a number") from None


class NewDatasetTermsSchema(_Noted, _DividedSchema):
    """A cap that is proposed for a dataset, what further profiles may take of it, and formalities.

    What is not given stays.
    """

    epsilon_nano = Built(privacy_epsilon, "Epsilon", data_key="epsilon", load_default=None)
    delta_atto = Built(partial(offered, "delta"), "Delta", data_key="delta", load_default=None)
    profile_nano = Built(privacy_epsilon, "Epsilon", data_key="profile", load_default=0)
    formalities = fields.Nested(FormalitiesSchema, allow_none=True, load_default=None)
    reason = fields.String(required=True, validate=_text(10_000))


class ReasonSchema(Schema):
    """The reason for a decision. The audit log keeps it."""

    reason = fields.String(required=True, validate=_text(10_000))


class LinkedAccountSchema(Schema):
    """An access token of the issuer: whose account it is."""

    token = fields.String(required=True, validate=_text(TOKEN_CHARACTERS_MAX))


class _DecisionSchema(ReasonSchema):
    seen = fields.String(
        load_default=None,
        validate=DIGEST,
        metadata={"description": "The digest of what was read; if that has changed since, nothing is decided"},
    )


class ApprovalSchema(_DecisionSchema):
    """The reason for an approval and, if the DPO has not advised, the reason to go without the advice."""

    without_advice = fields.String(load_default=None, validate=_text(10_000))


class AdviceSchema(_DecisionSchema):
    """What a DPO advises, and why. Conditions stand in the reason."""

    opinion = fields.String(required=True, validate=validate.OneOf(list(advice.OPINIONS)))


class LanguageSchema(Schema):
    """In which language a page is written as HTML. JSON is in English."""

    language = fields.String(load_default=ENGLISH, validate=validate.OneOf(list(LANGUAGES)))


class ReportSchema(LanguageSchema):
    """In which language a report is written as HTML, and whether in the version to publish, which names nobody."""

    version = fields.String(load_default=publishing.FULL, validate=validate.OneOf(publishing.VERSIONS))


class PartiesSchema(Schema):
    """What an approver concludes for each relevant party. Those that are left out have none."""

    researcher = fields.String(validate=_text(conclusions.PARTY_MAX))
    reader = fields.String(validate=_text(conclusions.PARTY_MAX))
    relative = fields.String(validate=_text(conclusions.PARTY_MAX))
    journalist = fields.String(validate=_text(conclusions.PARTY_MAX))
    insider = fields.String(validate=_text(conclusions.PARTY_MAX))
    thief = fields.String(validate=_text(conclusions.PARTY_MAX))


class ConclusionSchema(Schema):
    """What an approver concludes from a report, as a whole and for each relevant party, and the report's digest."""

    text = fields.String(required=True, validate=_text(conclusions.TEXT_MAX))
    parties = fields.Nested(PartiesSchema, load_default=dict)
    seen = fields.String(
        required=True,
        validate=DIGEST,
        metadata={"description": "The digest of the report that was read; if it has changed since, nothing is written"},
    )


class NewTokenSchema(Schema):
    """How long a new token lives, and what it is limited to."""

    days = fields.Integer(
        strict=True,
        load_default=None,
        validate=validate.Range(1, tokens.DAYS_MAX),
        metadata={"description": f"{tokens.DAYS} by default"},
    )
    study = fields.String(load_default=None, allow_none=True, validate=_text(63))
    reads_only = Built(_truth, "Truth", load_default=False)


class NewUserSchema(NewTokenSchema):
    """A user to add, with a first token."""

    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(people.ROLES))


class ProposedActSchema(NewTokenSchema):
    """An act that needs a second person. `role` is needed to add a user; the rest is about a token that is made."""

    act = fields.String(required=True, validate=validate.OneOf(grants.ACTS))
    user = fields.String(required=True, validate=_text(63))
    role = fields.String(load_default=None, validate=validate.OneOf(people.PRIVILEGED))


class _Limited(Schema):
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))


class PageSchema(_Limited):
    """A page of a list: where it starts, and how much it holds."""

    cursor = fields.String(load_default=None, metadata={"description": "`next` of the previous page"})


class StudiesSchema(PageSchema):
    """Which studies to list."""

    waiting = fields.Boolean(
        load_default=False, metadata={"description": "Only what waits for an approver: drafts, and larger budgets"}
    )


class TokensSchema(PageSchema):
    """Which tokens to list."""

    user = fields.String(load_default=None, validate=_text(63))


class Moment(fields.String):
    """A time in UTC, in the form in which the log stores times and compares them as texts."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:  # noqa: ARG002
        if not isinstance(value, str) or not MOMENT.fullmatch(value):
            raise ValidationError("must be a time in UTC, for example 2026-11-23 or 2026-11-23T18:04:05Z")
        try:
            return clock.text(dt.datetime.fromisoformat(value))
        except ValueError as error:
            raise ValidationError(f"is not a time: {error}") from None


_SIZE = validate.Range(0, 2**62)


class InclusionSchema(Schema):
    """Which entry to prove, in a log of which size (by default the present one)."""

    index = fields.Integer(required=True, validate=_SIZE)
    size = fields.Integer(load_default=None, validate=_SIZE)


class ConsistencySchema(Schema):
    """Between which two sizes of the log to prove consistency (the later is by default the present one)."""

    before = fields.Integer(data_key="from", required=True, validate=_SIZE)
    size = fields.Integer(data_key="to", load_default=None, validate=_SIZE)


class VerificationSchema(Schema):
    """What a DPO kept: the verifier key (by default the log's own first one) and earlier checkpoints."""

    key = fields.String(load_default=None, allow_none=True, validate=_text(NOTE_MAX))
    older = fields.List(
        fields.String(validate=_text(NOTE_MAX)), load_default=list, validate=validate.Length(max=NOTES_MAX)
    )


class EntriesSchema(_Limited):
    """Which entries of the audit log to return."""

    cursor = fields.Integer(
        load_default=None, validate=validate.Range(0, 2**62), metadata={"description": "`next` of the previous page"}
    )
    order = fields.String(load_default="oldest", validate=validate.OneOf(["oldest", "newest"]))
    study = fields.String(load_default=None)
    actor = fields.String(load_default=None)
    action = fields.String(load_default=None)
    since = Moment(data_key="from", load_default=None, metadata={"description": "UTC, inclusive"})
    until = Moment(data_key="to", load_default=None, metadata={"description": "UTC, exclusive"})


class ChargesSchema(_Limited):
    """Which charges to return."""

    cursor = fields.String(load_default=None, metadata={"description": "`next` of the previous page"})
    order = fields.String(load_default="oldest", validate=validate.OneOf(["oldest", "newest"]))


class AlertsSchema(_Limited):
    """Which alerts to return."""

    cursor = fields.Integer(
        load_default=None, validate=validate.Range(0, 2**62), metadata={"description": "`next` of the previous page"}
    )
    order = fields.String(load_default="oldest", validate=validate.OneOf(["oldest", "newest"]))
    kind = fields.String(load_default=None, validate=validate.OneOf(alerts.KINDS))
    study = fields.String(load_default=None, validate=_text(63))
    since = Moment(data_key="from", load_default=None, metadata={"description": "UTC, inclusive"})
    until = Moment(data_key="to", load_default=None, metadata={"description": "UTC, exclusive"})


class IdentitiesSchema(PageSchema):
    """Which names to list."""

    due = fields.Boolean(load_default=False, metadata={"description": "Only the names that can be erased now"})


class ErasureSchema(Schema):
    """Which names to erase; by default all that are due."""

    commitments = fields.List(
        fields.String(validate=COMMITMENT), load_default=None, validate=validate.Length(1, 1000), allow_none=True
    )
