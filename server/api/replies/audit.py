"""The audit log: entries, alerts, checkpoints, proofs, and certificates of releases."""

from __future__ import annotations

from marshmallow import fields, validate

from server.api.replies.shapes import Reply

_HASHES = {"description": "In hex, from the leaf upwards"}


class Entry(Reply):
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
    request_id = fields.String(metadata={"description": "Of the request that wrote it, if there was one"})
    leaf_hash = fields.String(required=True)


class Alert(Reply):
    """An alert: an entry of the audit log with the action `alert.KIND`. `about` names the user that was refused."""

    index = fields.Integer(required=True)
    time = fields.String(required=True)
    kind = fields.String(required=True)
    study = fields.String(required=True, allow_none=True)
    summary = fields.String(required=True)
    about = fields.String(required=True, allow_none=True)
    facts = fields.Dict(required=True)
    leaf_hash = fields.String(required=True)


class Checkpoint(Reply):
    """The state of the log, and the C2SP signed note that vouches for it."""

    origin = fields.String(required=True)
    size = fields.Integer(required=True)
    root = fields.String(required=True, metadata={"description": "In hex"})
    note = fields.String(required=True)
    key = fields.String(required=True, metadata={"description": "The verifier key in force"})


class Verified(Reply):
    """What the independent check found in the log of the server's own `checkpoint`.

    `own_key`: no key was given, so that the log was believed about its first key.
    """

    verdict = fields.String(required=True, validate=validate.OneOf(("ok", "failed")))
    entries = fields.Integer(required=True)
    root = fields.String(required=True, metadata={"description": "In hex"})
    problems = fields.List(fields.String(), required=True, metadata={"description": "The first hundred"})
    problems_in_all = fields.Integer(required=True)
    checked = fields.List(fields.String(), required=True)
    accounts = fields.List(fields.Dict(), required=True, metadata={"description": "Sums and limits, by the log alone"})
    key = fields.String(required=True, metadata={"description": "The verifier key in force at the end"})
    checkpoint = fields.String(required=True)
    own_key = fields.Boolean(required=True)


class Inclusion(Reply):
    """An inclusion proof of RFC 6962 section 2.1.1."""

    index = fields.Integer(required=True)
    size = fields.Integer(required=True)
    root = fields.String(required=True)
    leaf_hash = fields.String(required=True)
    hashes = fields.List(fields.String(), required=True, metadata=_HASHES)


class Consistency(Reply):
    """A consistency proof of RFC 6962 section 2.1.2."""

    before = fields.Integer(data_key="from", required=True)
    size = fields.Integer(data_key="to", required=True)
    root_before = fields.String(data_key="root_from", required=True)
    root = fields.String(data_key="root_to", required=True)
    hashes = fields.List(fields.String(), required=True, metadata=_HASHES)


class CertifiedRelease(Reply):
    """A release as it was stored. The audit log holds the hash of `answer`."""

    id = fields.String(required=True)
    study = fields.String(required=True)
    dataset = fields.String(required=True)
    edition = fields.Integer(required=True)
    charged_at = fields.String(metadata={"description": "When it was charged; version 1 has `released_at` instead"})
    released_at = fields.String(metadata={"description": "Only in version 1, which earlier versions of Rowless made"})
    answer = fields.Dict(required=True)


class Handover(Reply):
    """How a signing key passed the log to the next key: an entry under a checkpoint of the earlier key."""

    entry = fields.Dict(required=True)
    proof = fields.List(fields.String(), required=True, metadata=_HASHES)
    checkpoint = fields.String(required=True)
    consistency = fields.List(fields.String(), required=True, metadata=_HASHES)


class CertificateBody(Reply):
    """The content of a certificate: a release, its entry in the audit log, and the proof that the log has the entry."""

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


class Certificate(Reply):
    """A release certificate: one line of canonical JSON. `note` is a C2SP signed note over the SHA-256 of the rest."""

    certificate = fields.Nested(CertificateBody, required=True)
    note = fields.String(required=True)
