"""The query tree as a JSON document, as a release shows what was asked."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, assert_never

from queries.language import nodes
from queries.language.showing import Difference, Standardise
from queries.statistics import registry

if TYPE_CHECKING:
    from queries.language.showing import Show


def to_json(query: nodes.Query) -> dict[str, object]:
    """Return the JSON form of a query, as a release shows what was asked."""
    shown: dict[str, object] = {"from": _source_json(query.source)}
    if query.where is not None:
        shown["where"] = _predicate_json(query.where)
    if query.group_by:
        shown["group_by"] = [_key_json(key) for key in query.group_by]
    shown["select"] = {name: _statistic_json(statistic) for name, statistic in query.select}
    bounds = {
        "cells_per_person": query.bounds.cells_per_person,
        "events_per_cell": query.bounds.events_per_cell,
    }
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if given:
        shown["bounds"] = given
    return shown


def show_to_json(show: Show) -> dict[str, object]:
    """Return the JSON form of how an answer is shown, as a request says it."""
    order = [{"column": one.column, "descending": True} if one.descending else one.column for one in show.order_by]
    labels = {name: list(own) for name, own in show.labels}
    given = _given(having=_where_json(show.having), order_by=order or None, limit=show.limit, labels=labels or None)
    match show.derive:
        case Standardise(statistic, by, weights):
            return {**given, "standardise": {"statistic": statistic, "by": by, "weights": dict(weights)}}
        case Difference(statistic, by, reference, band):
            asked = {"statistic": statistic, "by": by, "reference": reference, "band": band}
            return {**given, "difference": asked}
        case None:
            return given
        case _:
            assert_never(show.derive)


def privacy_to_json(privacy: nodes.Privacy) -> dict[str, object]:
    """Return the JSON form of what a query may spend. Read again it is the same, so it asks the same question."""
    delta = None if privacy.delta_atto is None else float(Decimal(privacy.delta_atto).scaleb(-18))
    if privacy.margins is not None:
        asked = privacy.margins
        targets = {name: _target_json(target) for name, target in asked.targets}
        confidence = None if asked.confidence == nodes.CONFIDENCE else asked.confidence
        return _given(margin=targets, confidence=confidence, noise="gaussian" if asked.gaussian else None, delta=delta)
    nano = privacy.rho_nano if privacy.epsilon_nano is None else privacy.epsilon_nano
    assert nano is not None
    return {privacy.word: float(Decimal(nano).scaleb(-9)), **_given(delta=delta)}


def _target_json(target: nodes.Target) -> object:
    if target.of_rank:
        return {"events": target.margin}
    return target.margin if target.at is None else {"margin": target.margin, "at": target.at}


def _source_json(source: str | nodes.PerPerson) -> object:
    if isinstance(source, str):
        return source
    values = {name: _value_json(value) for name, value in source.values}
    return _given(per_person=source.table, where=_where_json(source.where), values=values)


def _value_json(value: nodes.Value) -> dict[str, object]:
    about: object = value.column
    if value.word == "count":
        about = "events"
    elif value.word == "exists":
        assert value.where is not None
        return {value.word: _predicate_json(value.where)}
    elif value.to is not None:
        about = _related_json(value.to)
    bounds = None if value.bounds is None else list(value.bounds)
    return {value.word: about, **_given(date=value.date, bounds=bounds, where=_where_json(value.where))}


def _related_json(related: nodes.Related | None) -> dict[str, object] | None:
    if related is None:
        return None
    where = _where_json(related.where)
    return _given(of=related.table, where=where, within_days=related.within_days, date=related.date)


def _where_json(where: nodes.Predicate | None) -> dict[str, object] | None:
    return None if where is None else _predicate_json(where)


def _given(**members: object) -> dict[str, object]:
    """Return the members of an object that are given."""
    return {name: value for name, value in members.items() if value is not None}


def _predicate_json(predicate: nodes.Predicate) -> dict[str, object]:
    match predicate:
        case nodes.Cohort():
            cohort = _given(
                persons=predicate.table,
                where=_where_json(predicate.where),
                at_least=predicate.at_least if predicate.at_least > 1 else None,
                after=_related_json(predicate.after),
                without=_related_json(predicate.without),
                date=predicate.date,
            )
            return {"column": nodes.PERSON, "op": "in", "value": cohort}
        case nodes.All(parts):
            return {"all": [_predicate_json(part) for part in parts]}
        case nodes.Any(parts):
            return {"any": [_predicate_json(part) for part in parts]}
        case nodes.Not(part):
            return {"not": _predicate_json(part)}
        case nodes.Comparison(column, "is_null", _):
            return {"column": column, "op": "is_null"}
        case nodes.Comparison(column, op, nodes.OtherColumn(name)):
            return {"column": column, "op": op, "value": {"column": name}}
        case nodes.Comparison(column, op, nodes.CodeList(name)):
            return {"column": column, "op": op, "value": {"list": name}}
        case nodes.Comparison(column, op, value):
            return {"column": column, "op": op, "value": list(value) if isinstance(value, tuple) else value}
        case _:
            assert_never(predicate)


def _key_json(key: nodes.Key) -> str | dict[str, object]:
    shown: dict[str, object] = {"column": key.column}
    match key:
        case nodes.ByBins(edges=edges):
            shown["bins"] = list(edges)
        case nodes.ByPeriod(period=period):
            shown["period"] = period
        case nodes.ByWidth(width=width, origin=origin):
            shown["width"] = width
            if origin is not None:
                shown["from"] = origin
        case nodes.ByPart(part=part):
            shown["part"] = part
        case nodes.ByValue(name=None):
            return key.column
        case nodes.ByValue():
            pass
        case _:
            assert_never(key)
    if key.name is not None:
        shown["as"] = key.name
    return shown


def _statistic_json(statistic: nodes.Statistic) -> dict[str, object]:
    shown = {name: _plain(value) for name, value in registry.of(statistic).given(statistic).items()}
    if not isinstance(statistic, nodes.Proportion):
        shown["where"] = _where_json(statistic.where)
    return _given(**shown)


def _plain(value: object) -> object:
    """Return the value of a member as JSON."""
    if isinstance(value, nodes.Predicate):
        return _predicate_json(value)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
