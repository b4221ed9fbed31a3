"""The statistics that the form offers, of events and of tables with a row for each person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.pages.frame.forms import number
from server.pages.researcher.form import conditions
from server.pages.researcher.form.columns import ALL, DAYS_TO, NUMBERS, ORDERED
from server.pages.researcher.form.lines import as_text, texts, values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.pages.researcher.form.columns import Columns
    from server.pages.researcher.form.lines import Fields, Line

BINS, DAYS, SHARE, MOST = "0; 30; 90; 180; 365", "365", "0.5", "3"  # what is asked for where nothing was typed


@dataclass(frozen=True)
class What:
    """A statistic that the form offers: which types of columns it takes, and which further fields it has.

    One of `events` is offered where a row is an event, one of persons where it is a person; None is both.
    """

    name: str
    types: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    of_persons: bool | None = None

    @property
    def has_column(self) -> bool:
        """Return whether it is of a column."""
        return bool(self.types)


WHATS = {
    one.name: one
    for one in (
        What("persons"),
        What("events", of_persons=False),
        What("share", ALL, ("op", "value")),
        What("share_of_persons", ALL, ("op", "value"), of_persons=False),
        What("rate", (DAYS_TO,), ("days", "ends", "censored"), of_persons=True),
        What("survival", (DAYS_TO,), ("times", "ends", "censored"), of_persons=True),
        What("mean", NUMBERS, ("low", "high")),
        What("sum", NUMBERS, ("low", "high")),
        What("quantile", ORDERED, ("at",)),
        What("iqr", NUMBERS, ("low", "high")),
        What("stddev", NUMBERS, ("low", "high")),
        What("variance", NUMBERS, ("low", "high")),
        What("histogram", (*NUMBERS, "category"), ("bins",)),
        What("top", ("category",), ("k",)),
        What("correlation", NUMBERS, ("other",)),
        What("slope", NUMBERS, ("other",)),
    )
}
OTHERS = {"correlation": NUMBERS, "slope": (*NUMBERS, "date")}  # types of the other column; a slope by days has a date
OF_A_COLUMN = ("mean", "sum", "iqr", "stddev", "variance")


def offered(chosen: str, *, of_persons: bool) -> list[str]:
    """Return the statistics to choose from, and the one that is chosen even if it does not fit."""
    return [name for name, one in WHATS.items() if one.of_persons in (None, of_persons) or name == chosen]


def name_of(line: Line) -> str:
    """Return the name that a statistic has in the answer where none was typed."""
    what = line.get("what")
    return f"{what}_{line.get('column')}" if WHATS[what].has_column else what


def to_json(line: Line, columns: Columns) -> dict[str, Any]:
    """Return the statistic of a line."""
    what, column = line.get("what"), line.get("column")
    match what:
        case "persons" | "events":
            return {"count": what}
        case "share" | "share_of_persons":
            of = {"of": "persons"} if what == "share_of_persons" else {}
            return {"proportion": conditions.to_json(line, columns), **of}
        case "quantile":
            at = values(line.get("at") or SHARE)
            return {"quantile": column, "at": at[0] if len(at) == 1 else at}
        case "histogram":
            bins = {"bins": values(line.get("bins"))} if line.get("bins") else {}
            return {"histogram": column, **bins}
        case "top":
            return {"top": column, "k": number(line.get("k") or MOST)}
        case "correlation" | "slope":
            return {what: [column, line.get("other")]}
        case "rate":
            followed = {"ends": line.get("ends"), **_given(line, "censored")}
            return {"rate": column, "days": number(line.get("days") or DAYS), **followed}
        case "survival":
            return {"survival": column, "bins": values(line.get("bins") or BINS), **_given(line, "ends", "censored")}
        case _:
            low, high = line.get("low"), line.get("high")
            bounds = {"bounds": [number(low), number(high)]} if low or high else {}
            return {what: column, **bounds}


def _given(line: Line, *names: str) -> dict[str, str]:
    return {name: line.get(name) for name in names if line.get(name)}


def to_fields(statistic: Mapping[str, Any]) -> Fields | None:
    """Return the fields of a line, None for a statistic that the form cannot show."""
    rest = dict(statistic)
    match rest:
        case {"count": "persons" | "events" as what, **others} if not others:
            return {"what": what}
        case {"proportion": condition, **others} if others in ({}, {"of": "persons"}):
            compared = conditions.to_fields(condition)
            return None if compared is None else {"what": "share_of_persons" if others else "share", **compared}
        case {"quantile": str(column), "at": at, **others} if not others:
            return {"what": "quantile", "column": column, "at": texts(at if isinstance(at, list) else [at])}
        case {"histogram": str(column), "bins": list(bins), **others} if not others:
            return {"what": "histogram", "column": column, "bins": texts(bins)}
        case {"histogram": str(column), **others} if not others:
            return {"what": "histogram", "column": column}
        case {"top": str(column), "k": k, **others} if not others:
            return {"what": "top", "column": column, "k": as_text(k)}
        case {"rate": str(column), "days": days, "ends": str(ends), **others} if _are_last_days(others):
            return {"what": "rate", "column": column, "days": as_text(days), "ends": ends, **others}
        case {"survival": str(column), "bins": list(bins), **others} if _are_last_days(others):
            return {"what": "survival", "column": column, "bins": texts(bins), **others}
    return _of_columns(rest)


def _of_columns(rest: Mapping[str, Any]) -> Fields | None:
    for what in OTHERS:
        match rest:
            case {**others} if list(others) == [what] and _are_texts(others[what]):
                column, other = others[what]
                return {"what": what, "column": column, "other": other}
    for what in OF_A_COLUMN:
        match rest:
            case {"bounds": [low, high], **others} if list(others) == [what] and isinstance(others[what], str):
                return {"what": what, "column": others[what], "low": as_text(low), "high": as_text(high)}
            case {**others} if list(others) == [what] and isinstance(others[what], str):
                return {"what": what, "column": others[what]}
    return None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


def _are_last_days(others: Mapping[str, Any]) -> bool:
    return others.keys() <= {"ends", "censored"} and all(isinstance(one, str) for one in others.values())
