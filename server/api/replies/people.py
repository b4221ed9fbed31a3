"""Users, their tokens, and the names that the server keeps."""

from __future__ import annotations

from marshmallow import fields

from server.api.replies.shapes import Reply


class Health(Reply):
    """The server is up."""

    status = fields.String(required=True)


class Me(Reply):
    """The user that the token belongs to."""

    name = fields.String(required=True)
    role = fields.String(required=True)
    studies = fields.List(fields.String(), required=True)
    expires_at = fields.String(required=True, metadata={"description": "When the token ends"})
    study = fields.String(required=True, allow_none=True, metadata={"description": "The token is limited to it"})
    reads_only = fields.Boolean(required=True, metadata={"description": "The token gives access to GET alone"})


class SignIn(Reply):
    """By which issuer people sign in; null if the server takes only its own tokens."""

    issuer = fields.String(required=True, allow_none=True)
    client = fields.String(required=True, allow_none=True, metadata={"description": "The command line's"})
    scope = fields.String(required=True, allow_none=True)


class ListedUser(Reply):
    """A user, as an admin sees them."""

    user = fields.String(required=True)
    role = fields.String(required=True)
    created_at = fields.String(required=True)
    by_issuer = fields.Boolean(required=True, metadata={"description": "They can sign in by the issuer"})
    tokens = fields.Integer(required=True, metadata={"description": "How many of their tokens give access now"})


class ListedToken(Reply):
    """A token that was not revoked, as an admin sees it. Its secret is stored nowhere."""

    id = fields.String(required=True)
    user = fields.String(required=True)
    role = fields.String(required=True)
    created_at = fields.String(required=True)
    expires_at = fields.String(required=True)
    used_on = fields.String(required=True, allow_none=True, metadata={"description": "The day of its last use, in UTC"})
    study = fields.String(required=True, allow_none=True, metadata={"description": "It is limited to this study"})
    reads_only = fields.Boolean(required=True, metadata={"description": "It gives access to GET alone"})
    is_expired = fields.Boolean(required=True)


class User(Reply):
    """A user with a token. The token is shown only this once."""

    user = fields.String(required=True)
    role = fields.String(required=True)
    token = fields.String(required=True)
    token_id = fields.String(required=True)
    expires_at = fields.String(required=True)


class Token(Reply):
    """A token. It is shown only this once."""

    token = fields.String(required=True)
    token_id = fields.String(required=True)
    expires_at = fields.String(required=True)


class Proposal(Reply):
    """An act that waits for a second person: to add or remove a user, or to make a (limited) token."""

    id = fields.String(required=True)
    act = fields.String(required=True)
    user = fields.String(required=True)
    role = fields.String(required=True)
    proposed_by = fields.String(required=True, allow_none=True)
    proposed_at = fields.String(required=True)
    days = fields.Integer(required=True)
    study = fields.String(required=True, allow_none=True)
    reads_only = fields.Boolean(required=True)


class NewProposal(Proposal):
    """A proposal that was just made. The first part of the token is shown only this once."""

    token_part = fields.String(required=True, allow_none=True)


class ConfirmedProposal(Proposal):
    """A proposal that was done. The second part of the token, if there is one, is shown only this once."""

    token_part = fields.String(required=True, allow_none=True)
    token_id = fields.String(required=True, allow_none=True)
    expires_at = fields.String(required=True, allow_none=True)


class Identity(Reply):
    """A name that is kept, and the commitment that stands for it in the log."""

    commitment = fields.String(required=True)
    name = fields.String(required=True)
    made_at = fields.String(required=True, metadata={"description": "When the commitment was made"})
    used_at = fields.String(required=True, metadata={"description": "When the log last used the commitment"})
    is_current = fields.Boolean(required=True, metadata={"description": "The user's new entries use it"})
    needed_by = fields.List(
        fields.String(), required=True, metadata={"description": "It is kept for these, e.g. study:flu, at any age"}
    )
    is_due = fields.Boolean(required=True, metadata={"description": "The name can be erased now"})


class Erased(Reply):
    """What was erased."""

    erased = fields.List(fields.String(), required=True, metadata={"description": "The commitments"})
    shredded = fields.Boolean(
        required=True, metadata={"description": "The database's files no longer hold anything that was erased"}
    )
