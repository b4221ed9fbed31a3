"""Losses of privacy, and the accounts that limit them."""

from __future__ import annotations

from marshmallow import fields

from server.api.replies.shapes import Reply


class Loss(Reply):
    """A loss of privacy."""

    epsilon = fields.Float(required=True, allow_none=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)


class ByNoise(Reply):
    """An epsilon of Laplace noise and a rho of Gaussian noise."""

    laplace_epsilon = fields.Float(required=True)
    gaussian_rho = fields.Float(required=True)


class Sum(Loss):
    """What charges add up to: in all, and by kind of noise. `epsilon` is null if there is Gaussian noise."""

    laplace_epsilon = fields.Float(required=True)
    gaussian_rho = fields.Float(required=True)


class Gauge(Reply):
    """How far an account is used: the sum of epsilon while that holds, then that of its filter with the most room.

    `of` is `epsilon`, `rho`, `laplace_epsilon` or `gaussian_rho`.
    """

    of = fields.String(required=True)
    used = fields.Float(required=True)
    limit = fields.Float(required=True)


class Charge(Loss):
    """A loss that was charged to a dataset: by a study, or (`study` is null) by a contribution profile."""

    at = fields.String(required=True)
    study = fields.String(required=True, allow_none=True)


class Limit(Reply):
    """A limit of an account."""

    epsilon = fields.Float(required=True)
    delta = fields.Float(required=True)


class DecidedBudget(Limit):
    """A limit, how it divides epsilon, and why it is so large."""

    laplace_percent = fields.Integer(required=True)
    justification = fields.String(required=True, allow_none=True)


class Left(Reply):
    """What is left: the epsilon of further Laplace noise, the rho of Gaussian noise, and the delta of thresholds."""

    epsilon = fields.Float(required=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)


class Budget(Reply):
    """An account: its limits, and what is spent, reserved by queries, and left.

    `rho` and `split` follow from epsilon, delta and `laplace_percent`. `gauge` is how far it is used.
    """

    epsilon = fields.Float(required=True)
    rho = fields.Float(required=True)
    delta = fields.Float(required=True)
    laplace_percent = fields.Integer(required=True)
    split = fields.Nested(ByNoise, required=True)
    spent = fields.Nested(Sum, required=True)
    reserved = fields.Nested(Sum, required=True)
    remaining = fields.Nested(Left, required=True)
    gauge = fields.Nested(Gauge, required=True)
    justification = fields.String(required=True, allow_none=True)


class Fit(Reply):
    """How many more queries of one epsilon would be admitted: by the best filter, and by each of them alone."""

    epsilon = fields.Float(required=True)
    queries = fields.Integer(required=True)
    by_epsilon = fields.Integer(required=True)
    by_rho = fields.Integer(required=True)
    by_split = fields.Integer(required=True)


class StudyBudget(Budget):
    """A study's account, and what the rest of it buys within what its dataset has left.

    `buys` describes the rest in words, `queries_left` counts queries like the `last` one, and `forecast` is a curve.
    """

    buys = fields.String(required=True)
    last = fields.Nested(Loss, required=True, allow_none=True)
    queries_left = fields.Integer(required=True, allow_none=True)
    forecast = fields.List(fields.Nested(Fit), required=True)
