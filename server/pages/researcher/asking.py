"""The page where a query is built, priced, rehearsed and asked.

The form and the SQL are two spellings of one query. What was changed last is the source; the estimate of the API
returns both spellings, and the page fills the other side with it. Without script the buttons do the same as a change
does with it: every state is a form that was sent.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import request, session

from server.admission.gates import Work
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import number, read_json
from server.pages.frame.language import translated as _
from server.pages.frame.language import typed
from server.pages.frame.rendering import page, show, to
from server.pages.frame.turns import in_turn
from server.pages.researcher import builder, examples
from server.pages.researcher.asked import ASKED, in_words
from server.pages.researcher.form import columns, persons
from server.pages.researcher.form.lines import EVENTS, FILTERS, KINDS, STATISTICS, VALUES, is_of_line, lines

if TYPE_CHECKING:
    from collections.abc import Mapping

SQL, FORM = "sql", "form"
BROUGHT = ("epsilon", "delta", "by", "margin_of", "margin", ASKED, "cells_per_person", "events_per_cell")
EPSILON = "0.1"
NEEDS_JSON = frozenset({"standardise", "difference"})  # of how an answer is shown: no SQL says it, and no field
SHOWN = ("sql", "labels", *sorted(NEEDS_JSON))  # all of it
CODES_MAX = 10  # codes that a search shows, and lines whose searches are shown
SEARCHES_MAX = 4
SEARCHED = (STATISTICS, FILTERS, EVENTS, VALUES)  # lists of lines with conditions


@dataclass(frozen=True)
class Draft:
    """A question as it stands on the page: its fields, which side is the source, and its place."""

    fields: dict[str, str]
    study: Mapping[str, Any]
    tables: Mapping[str, Any]

    @property
    def side(self) -> str:
        """Return which side is the source."""
        return self.fields.get("side", FORM)

    @property
    def columns(self) -> Mapping[str, Any]:
        """Return the columns of the rows that are asked about, as the catalog has or would have them."""
        return builder.columns_of(self.fields, self.tables)

    @property
    def events(self) -> Mapping[str, Any]:
        """Return the columns of the chosen table."""
        return columns.of_table(self.tables, self.fields.get("table", ""))

    @property
    def is_of_persons(self) -> bool:
        """Return whether a row is a person, with values that the question builds."""
        return persons.is_chosen(self.fields, self.tables)

    @property
    def can_be_of_persons(self) -> bool:
        """Return whether rows may be persons: of every table that has events."""
        about = self.tables.get(self.fields.get("table", ""), {})
        return bool(about) and not about["one_row_per_person"]

    @property
    def last_day(self) -> str:
        """Return the last day that the table's dates may have, or nothing."""
        dates = columns.of_types(self.events, ("date",)).values()
        return max((about["bounds"][1] for about in dates if not about.get("of_person")), default="")

    def body(self) -> dict[str, Any]:
        """Return the body of the API's call."""
        asked: dict[str, Any]
        if self.side == SQL:
            asked = {"sql": self.fields.get("sql", "")}
            bounds = {
                name: number(self.fields[name])
                for name in ("cells_per_person", "events_per_cell")
                if self.fields.get(name, "").strip()
            }
            if bounds:
                asked["bounds"] = bounds
        else:
            asked = {"query": builder.to_query(self.fields, self.tables)}
        return {**asked, "privacy": self.privacy()}

    def privacy(self) -> Any:
        """Return what the query may spend: an epsilon, the margin that one statistic shall have, or as it was asked."""
        if self.fields.get("by") == ASKED:
            return read_json(self.fields.get(ASKED, ""))
        delta = self.fields.get("delta", "").strip()
        given = {"delta": number(delta)} if delta else {}
        if self.fields.get("by") == "margin":
            return {
                "margin": {self.fields.get("margin_of", ""): number(self.fields.get("margin", ""))},
                **given,
            }
        return {"epsilon": number(self.fields.get("epsilon", EPSILON)), **given}


@dataclass(frozen=True)
class Priced:
    """A draft with what the API says of it: its estimate, or why it was refused."""

    draft: Draft
    estimate: Mapping[str, Any] | None = None
    refusal: Refused | None = None
    place: tuple[str, int] | None = None
    is_beyond_form: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


def _usable(tables: Mapping[str, Any], protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables without the columns about professionals that the study's protocol gives no reason to use."""
    reasons = protocol.get("professionals", {})
    return {
        name: {
            **table,
            "columns": {
                column: about
                for column, about in table["columns"].items()
                if not about.get("professional") or column in reasons
            },
        }
        for name, table in tables.items()
    }


@page("/studies/<study>/ask", "researcher", methods=("GET", "POST"))
def ask(study: str) -> Any:
    """Build a question, see what it costs, rehearse it, and pay for it."""
    if session.get("reads_only"):
        title = _("This token may only read: it asks nothing.")
        raise Refused({"status": HTTPStatus.FORBIDDEN, "code": "forbidden", "title": title})
    shown = calling.get("studies", study)
    tables = _usable(calling.get("datasets", shown["dataset"])["tables"], shown["protocol"])
    # A link on another site may open the page, but may not ask a price in somebody's name: that is an entry of the log.
    is_ours = request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
    wanted = request.args if is_ours else {}
    fields = dict(request.form) if request.method == "POST" else _first(study, tables, wanted)
    fields = builder.started(_edited(fields), tables)
    draft = Draft(fields, shown, tables)
    match fields.get("do"):
        case "pay":
            return _paid(draft)
        case "review":
            return _shown(_priced(draft), "researcher/review.html")
        case "rehearse":
            return _rehearsed(draft)
        case _:
            return _shown(_priced(draft))


def _first(study: str, tables: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a new question: how many persons there are, of the largest table."""
    if "query" in wanted:
        return _of_query(study, wanted["query"])
    if "sql" in wanted:
        brought = {name: wanted[name] for name in BROUGHT if name in wanted}
        return {"epsilon": _epsilon(), **brought, "side": SQL, "sql": wanted["sql"], "do": "from-sql"}
    table = next((name for name, one in tables.items() if not one["one_row_per_person"]), next(iter(tables), ""))
    return {"table": table, "s-0-what": "persons", "side": FORM, "epsilon": _epsilon()}


def _epsilon() -> str:
    """Return the epsilon that a form begins with, as the language of the page writes it."""
    return typed(float(EPSILON))


def _of_query(study: str, text: str) -> dict[str, str]:
    """Return the fields of a question that is given as a query in JSON. Raises Refused."""
    query = read_json(text)
    if query is None:
        raise calling.nowhere()
    asked = {"query": query, "privacy": {"epsilon": float(EPSILON)}}
    sql = calling.post("studies", study, "estimates", body=asked, is_free=True)["sql"]
    return {"side": SQL, "sql": sql, "epsilon": _epsilon()}


def _edited(fields: dict[str, str]) -> dict[str, str]:
    """Return the fields after the button that was pressed: a line added or removed, or a side chosen."""
    do = fields.get("do", "")
    match do.split("-", 3):  # a code may have a hyphen
        case ["add", kind] if kind in KINDS:
            fields = builder.added(fields, kind)
        case ["drop", kind, number]:
            fields = {name: value for name, value in fields.items() if not name.startswith(f"{kind}-{number}-")}
        case ["take", kind, number, code] if kind in SEARCHED:
            fields = {**fields, **builder.taken(fields, f"{kind}-{number}-", code)}
        case ["from", "sql"]:
            fields["side"] = SQL
        case ["from", "form"]:
            fields["side"] = FORM
    return fields


def _priced(draft: Draft) -> Priced:
    """Ask the API what the draft costs, and fill the other side with its spelling."""
    try:
        estimate = calling.post("studies", draft.study["id"], "estimates", body=draft.body(), is_free=True)
    except Refused as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return Priced(draft, refusal=error, place=builder.line_of(draft.fields, error.pointer))
    fields = {name: value for name, value in draft.fields.items() if name != "sql"}
    if draft.side == SQL:
        read = builder.to_fields(estimate["query"], draft.tables)
        if read is None or "show" in estimate:  # the form has no words for how an answer is shown
            return Priced(draft, estimate, is_beyond_form=True)
        kept = {name: value for name, value in fields.items() if not is_of_line(name) and name != persons.ROWS}
        fields = kept | read | {"side": FORM}
    return Priced(Draft({**fields, "sql": estimate["sql"]}, draft.study, draft.tables), estimate)


def _shown(priced: Priced, template: str = "researcher/ask.html") -> Any:
    if priced.refusal is not None:
        template = "researcher/ask.html"
    draft = priced.draft
    return show(
        template,
        draft=draft,
        fields=draft.fields,
        priced=priced,
        estimate=priced.estimate,
        refusal=priced.refusal,
        lists={kind: lines(draft.fields, kind) for kind in KINDS},
        names=builder.named(draft.fields),
        codes=_codes(draft) if template == "researcher/ask.html" else {},
        examples=examples.of(draft.tables) if template == "researcher/ask.html" else [],
        key=secrets.token_urlsafe(16),
        builder=builder,
        asked_words=in_words,
        **priced.extra,
    )


def _codes(draft: Draft) -> dict[str, Any]:
    """Return what the catalog has for the words in the lines' fields of search, by the beginnings of their names.

    A search that is refused, as a word of one letter is, has None.
    """
    found: dict[str, Any] = {}
    every = [(kind, line) for kind in SEARCHED for line in lines(draft.fields, kind)]
    for kind, line in every:
        prefix, words = f"{kind}-{line.number}-", line.get("search")
        about, stored_as = builder.compared(draft.fields, draft.tables, kind, line)
        if draft.side != FORM or not words or not columns.is_searched(about, line.get("op")):
            continue
        asked = {"search": words, "column": stored_as, "limit": CODES_MAX}
        try:
            found[prefix] = calling.get("datasets", draft.study["dataset"], "codes", **asked)
        except Refused as error:
            if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
            found[prefix] = None
        if len(found) == SEARCHES_MAX:
            break
    return found


def _rehearsed(draft: Draft) -> Any:
    priced = _priced(draft)
    if priced.refusal is not None:
        return _shown(priced)
    try:
        rehearsal = calling.post("studies", draft.study["id"], "rehearsals", body=priced.draft.body())
    except Refused as error:
        return _shown(Priced(priced.draft, priced.estimate, error))
    with in_turn(Work.RENDERING):
        return _shown(
            Priced(priced.draft, priced.estimate, is_beyond_form=priced.is_beyond_form, extra={"rehearsal": rehearsal})
        )


def _paid(draft: Draft) -> Any:
    """Ask the question for its price. The key in the form makes a second click the same request."""
    key, question = draft.fields.get("key", ""), draft.fields.get("question", "")
    body = {**draft.body(), "require": {"question": question}}
    try:
        release = calling.call(
            "POST", "studies", draft.study["id"], "queries", body=body, headers={"Idempotency-Key": key}
        ).json
    except Refused as error:
        priced = _priced(draft)
        return _shown(Priced(priced.draft, priced.estimate, error, is_beyond_form=priced.is_beyond_form))
    return to("release", study=draft.study["id"], release=release["id"], **_shown_as(release))


def _shown_as(release: Mapping[str, Any]) -> dict[str, str]:
    """Return how an answer was asked to be shown, as its page takes it in its address."""
    show = release.get("show", {})
    if not NEEDS_JSON.isdisjoint(show):
        return {"show": json.dumps({name: show[name] for name in SHOWN if show.get(name)}, ensure_ascii=False)}
    found = {"show": show["sql"]} if show.get("sql") else {}
    return found if "labels" not in show else {**found, "labels": json.dumps(show["labels"], ensure_ascii=False)}
