"""Losses of privacy, and the accounts that limit them."""

from __future__ import annotations

from marshmallow import fields

from server.api.replies.shapes import Reply


class Loss(Reply):
    """A loss of privacy."""

    epsilon = fields.Float(required=True, allow_none=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)


class Charge(Loss):
    """A loss that was charged to a dataset: by a study, or (`study` is null) by a contribution profile."""

    at = fields.String(required=True)
    study = fields.String(required=True, allow_none=True)


class Limit(Reply):
    """A limit of an account."""

    epsilon = fields.Float(required=True)
    delta = fields.Float(required=True)


class Left(Reply):
    """What each of an account's two filters could still admit, and the delta that is left for thresholds."""

    epsilon = fields.Float(required=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)


class Budget(Reply):
    """An account: its limits (`rho` follows from the other two), and what is spent, reserved by queries, and left."""

    epsilon = fields.Float(required=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)
    spent = fields.Nested(Loss, required=True)
    reserved = fields.Nested(Loss, required=True)
    remaining = fields.Nested(Left, required=True)


class Fit(Reply):
    """How many more queries of one epsilon would be admitted: by both filters together, and by each of them alone."""

    epsilon = fields.Float(required=True)
    queries = fields.Integer(required=True)
    by_epsilon = fields.Integer(required=True)
    by_rho = fields.Integer(required=True)


class StudyBudget(Budget):
    """A study's account, and what the rest of it buys within what its dataset has left.

    `buys` describes the rest in words, `queries_left` counts queries like the `last` one, and `forecast` is a curve.
    """

    buys = fields.String(required=True)
    last = fields.Nested(Loss, required=True, allow_none=True)
    queries_left = fields.Integer(required=True, allow_none=True)
    forecast = fields.List(fields.Nested(Fit), required=True)
