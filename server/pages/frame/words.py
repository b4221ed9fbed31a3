"""The words of the pages for what the API names by codes: roles, states, types, operators, statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.pages.frame.language import dated
from server.pages.frame.language import translated as _
from server.views.table import Dated

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask


def register(app: Flask) -> None:
    """Give templates the functions of this module."""
    for function in FUNCTIONS:
        app.add_template_global(function)


def navigation(role: str, *, is_limited: bool = False) -> list[tuple[str, str]]:
    """Return the pages that the head of each page leads to: endpoints and their words.

    A token that is limited to a study has the pages of that study alone.
    """
    found = [("pages.start", _("Start")), ("pages.studies", _("Studies"))]
    if is_limited:
        return [*found, ("pages.reports", _("Reports"))] if role in ("dpo", "approver") else found
    if role == "admin":
        found += [
            ("pages.admin_datasets", _("Datasets")),
            ("pages.users", _("Users")),
            ("pages.tokens", _("Tokens")),
            ("pages.admin_proposals", _("Proposals")),
            ("pages.reports", _("Reports")),
            ("pages.server_health", _("Server")),
        ]
    if role == "dpo":
        found += [("pages.alerts", _("Alerts")), ("pages.log", _("Log"))]
    if role in ("dpo", "approver"):
        found += [("pages.spending", _("Spending")), ("pages.reports", _("Reports"))]
    if role == "dpo":
        found.append(("pages.names", _("Names")))
    return found if role else []


def role_name(role: str) -> str:
    """Return a role in words."""
    return {
        "researcher": _("researcher"),
        "admin": _("admin"),
        "approver": _("approver"),
        "dpo": _("data protection officer"),
        "system": _("the server itself"),
    }.get(role, role)


def state_name(state: str) -> str:
    """Return the state of a study in words."""
    return {
        "draft": _("draft"),
        "approved": _("approved"),
        "suspended": _("suspended"),
        "closed": _("closed"),
    }.get(state, state)


def type_name(kind: str) -> str:
    """Return the type of a column in words."""
    return {
        "category": _("category"),
        "integer": _("whole number"),
        "number": _("number"),
        "date": _("date"),
        "boolean": _("yes or no"),
    }.get(kind, kind)


def operator_name(op: str) -> str:
    """Return an operator of a condition in words."""
    return {
        "=": "=",
        "!=": "≠",
        "<": "<",
        "<=": "≤",
        ">": ">",
        ">=": "≥",
        "in": _("one of"),
        "between": _("between"),
        "is_null": _("missing"),
        "under": _("under"),
        "begins": _("begins with"),
    }.get(op, op)


def statistic_name(what: str) -> str:
    """Return a statistic of the form in words."""
    return {
        "persons": _("how many persons"),
        "events": _("how many events"),
        "share": _("share of the events"),
        "share_of_persons": _("share of the persons"),
        "rate": _("incidence rate, per person-year"),
        "survival": _("survival curve"),
        "mean": _("mean"),
        "sum": _("sum"),
        "quantile": _("median or another quantile"),
        "iqr": _("interquartile range"),
        "stddev": _("standard deviation"),
        "variance": _("variance"),
        "histogram": _("histogram"),
        "top": _("most frequent values"),
        "correlation": _("correlation"),
        "slope": _("slope"),
    }.get(what, what)


def built_name(what: str) -> str:
    """Return a value that a person may have in words."""
    return {
        "count": _("number of events"),
        "sum": _("sum"),
        "mean": _("mean"),
        "min": _("smallest or earliest"),
        "max": _("largest or latest"),
        "first": _("of the first event"),
        "last": _("of the last event"),
        "exists": _("whether there is an event"),
        "days_to": _("days from the first event"),
    }.get(what, what)


def period_name(period: str) -> str:
    """Return a period of dates in words."""
    return {
        "year": _("year"),
        "quarter": _("quarter"),
        "month": _("month"),
        "week": _("week"),
        "day": _("day"),
    }.get(period, period)


def part_name(part: str) -> str:
    """Return a part of dates, over all years, in words."""
    return {
        "month": _("month, over all years"),
        "quarter": _("quarter, over all years"),
        "week": _("week, over all years"),
        "weekday": _("day of the week"),
        "day": _("day of the month"),
        "year": _("year, as a number"),
    }.get(part, part)


def value_name(value: object) -> str:
    """Return the label of a group in words."""
    if value is True or value == "true":
        return _("yes")
    if value is False or value == "false":
        return _("no")
    return dated(value) if isinstance(value, Dated) else str(value)


FUNCTIONS: tuple[Callable[..., object], ...] = (
    navigation,
    role_name,
    state_name,
    type_name,
    operator_name,
    statistic_name,
    built_name,
    period_name,
    part_name,
    value_name,
)
