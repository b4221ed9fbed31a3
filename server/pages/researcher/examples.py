"""Questions to start from, made of what a dataset's catalog has: each shows one thing that can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.pages.frame.language import translated as _

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Tables = Mapping[str, Any]

FEW = 12  # values of a key in an example
DAYS, MOST_DAYS = 90, 365


@dataclass(frozen=True)
class Example:
    """A question in words, and as a query in JSON."""

    words: str
    query: Mapping[str, Any]


def of(tables: Tables) -> list[Example]:
    """Return the questions that make sense for these tables, the simple ones first."""
    events = {name: one for name, one in tables.items() if not one["one_row_per_person"]}
    return [*_of_persons(tables), *_of_events(events), *_of_pathways(events)]


def _of_persons(tables: Tables) -> Iterator[Example]:
    for name, table in tables.items():
        if table["one_row_per_person"] and (key := _category(table)):
            query = {"from": name, "group_by": [key], "select": {"persons": {"count": "persons"}}}
            yield Example(_("How many persons are there by %(column)s?", column=key), query)
            return


def _of_events(events: Tables) -> Iterator[Example]:
    for name, table in events.items():
        key, number, date = _category(table), _first(table, "number", "integer"), _first(table, "date")
        if key and number:
            select = {f"mean_{number}": {"mean": number}, "persons": {"count": "persons"}}
            words = _("What is the mean of %(column)s by %(key)s, in %(table)s?", column=number, key=key, table=name)
            yield Example(words, {"from": name, "group_by": [key], "select": select})
        if date:
            query = {
                "from": name,
                "group_by": [{"column": date, "part": "month"}],
                "select": {"persons": {"count": "persons"}},
            }
            yield Example(_("In which months are there more %(table)s?", table=name), query)
        per_person = {"per_person": name, "values": {"number": {"count": "events", "bounds": [0, 30]}}}
        query = {"from": per_person, "select": {"spread": {"histogram": "number"}}}
        yield Example(_("How many %(table)s does a person have?", table=name), query)


def _of_pathways(events: Tables) -> Iterator[Example]:
    """Yield a cohort and a way from A to B, of the first two tables with a date and a declared category."""
    found = [
        (name, column, table["columns"][column]["values"][0], date)
        for name, table in events.items()
        if (date := _first(table, "date")) and (column := _category(table, of_person=False, most=None))
    ]
    if len(found) < 2:
        return
    (one, cause, sign, start), (other, means, chosen, day) = found[:2]
    ill = {"column": cause, "op": "=", "value": sign}
    treated = {"column": means, "op": "=", "value": chosen}
    names = {"cause": f"{cause} {sign}", "means": f"{means} {chosen}"}
    cohort = {"column": "person", "op": "in", "value": {"persons": one, "where": ill}}
    before = {"of": one, "where": ill, "within_days": DAYS, "date": start}
    after = {"persons": other, "where": treated, "date": day, "after": before}
    share = {"proportion": {"column": "person", "op": "in", "value": after}, "of": "persons"}
    yield Example(
        _("What share of those with %(cause)s has %(means)s within %(days)s days?", days=DAYS, **names),
        {"from": "persons", "where": cohort, "select": {"treated": share}},
    )
    first = {"of": other, "where": treated, "date": day}
    waits = {"wait": {"days_to": {**first, "within_days": MOST_DAYS}, "date": start}}
    yield Example(
        _("How many days go by from %(cause)s to %(means)s?", **names),
        {
            "from": {"per_person": one, "where": ill, "values": waits},
            "select": {"waits": {"quantile": "wait", "at": [0.25, 0.5, 0.75]}},
        },
    )
    last = events[one]["columns"][start]["bounds"][1]
    yield Example(
        _("How often does %(means)s come for each person-year after %(cause)s?", **names),
        {
            "from": {"per_person": one, "where": ill, "values": {"wait": {"days_to": first, "date": start}}},
            "select": {"incidence": {"rate": "wait", "days": MOST_DAYS, "ends": last}},
        },
    )


def _category(table: Mapping[str, Any], *, of_person: bool = True, most: int | None = FEW) -> str | None:
    """Return the first column with declared values, few enough to be read, of the person or of the event."""
    for name, about in table["columns"].items():
        few = about["type"] == "category" and about.get("declared") and (most is None or len(about["values"]) <= most)
        if few and about["of_person"] == of_person:
            return str(name)
    return None


def _first(table: Mapping[str, Any], *types: str) -> str | None:
    """Return the first column of the event that has the first of these types that any has."""
    for wanted in types:
        for name, about in table["columns"].items():
            if about["type"] == wanted and not about["of_person"]:
                return str(name)
    return None
