"""A study: asking, and all that is decided about it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from rowless_client.answers import caveats, html
from rowless_client.answers.answer import Answer, view
from rowless_client.answers.estimate import Estimate
from rowless_client.calls.catalog import Catalog, find_codes
from rowless_client.calls.records import Budget, Record, Records
from rowless_client.errors import Misused, NotFound
from rowless_client.query import templates
from rowless_client.query.asking import body

if TYPE_CHECKING:
    from rowless_client.connection.http import Connection
    from rowless_client.query.question import Question

ANSWER_SECONDS = 900.0  # how long `ask` tries: a scan may take minutes, and a server may start anew in between
HTML = "text/html"


class Study:
    """A study, on behalf of whoever has the token.

    `last_key` is the Idempotency-Key of the last question: after an interrupt, `ask(..., key=study.last_key)` goes on
    with its charge.
    """

    def __init__(self, connection: Connection, info: Mapping[str, Any]) -> None:
        self._connection = connection
        self._info = Record(info)
        self.name = str(info["name"])
        self.last_key: str | None = None

    # What it is

    @property
    def info(self) -> Record:
        """Return its terms, state and members, read anew."""
        self._info = Record(self._json("GET", "/studies/{study}"))
        return self._info

    @cached_property
    def catalog(self) -> Catalog:
        """Return the catalog of its dataset."""
        return Catalog(self._connection.json("GET", "/datasets/{name}", segments={"name": str(self._info["dataset"])}))

    def codes(self, search: str, *, column: str | None = None, limit: int | None = None) -> Records:
        """Return codes of its dataset by their names, the best first: `study.codes("diabetes")`.

        What is searched is the catalog: values, labels, hierarchies and vocabularies, and never data.
        """
        return find_codes(self._connection, str(self._info["dataset"]), search, column, limit)

    @property
    def budget(self) -> Budget:
        """Return its budget now: limits, spent, reserved, left, and what that buys."""
        return Budget(self._json("GET", "/studies/{study}/budget"))

    def table(self, name: str) -> Question:
        """Return a question about a table of the catalog, or about `persons`."""
        return self.catalog.question(name)

    @property
    def templates(self) -> Records:
        """Return the templates of its protocol."""
        found = self._json("GET", "/studies/{study}/templates")
        return Records(found["items"] if isinstance(found, dict) else found)

    def template(self, name: str, /, **values: Any) -> dict[str, Any]:
        """Return the query of a template, with values for its parameters. Raises Misused."""
        known = {one["name"]: one["query"] for one in self.templates}
        if name not in known:
            raise Misused(f"there is no template {name}; there are {', '.join(known) or 'none'}")
        return templates.filled(known[name], values)

    # Asking

    def estimate(self, question: Any = None, **how: Any) -> Estimate:
        """Return what a question would cost and how exact its answer would be. Free.

        Takes the same as `ask`.
        """
        asked = body(question, **how)
        reply = self._json("POST", "/studies/{study}/estimates", asked, repeatable=True)
        made = Estimate(reply, lambda **more: self._ask(_pinned(asked, reply), **more))
        caveats.warn(made.cautions)
        return made

    def rehearse(self, question: Any = None, **how: Any) -> Answer:
        """Return an answer on made-up data, in the shape of a real one. Free. Takes the same as `ask`."""
        asked = body(question, **how)
        reply = self._json("POST", "/studies/{study}/rehearsals", asked, repeatable=True)
        made = Answer(reply, self._connection)
        caveats.warn(made.cautions)
        return made

    def ask(
        self,
        question: Question | Mapping[str, Any] | str | None = None,
        *,
        sql: str | None = None,
        bounds: Mapping[str, int] | None = None,
        epsilon: float | None = None,
        rho: float | None = None,
        delta: float | None = None,
        margin: Mapping[str, Any] | None = None,
        confidence: float | None = None,
        noise: str | None = None,
        post: Any = None,
        show: Any = None,
        require_drowned: float | None = None,
        require_question: str | None = None,
        key: str | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Answer:
        """Ask a question, and spend some of the budget on it.

        The question is one of `table(...)`, a query in JSON, or SQL. It may spend `epsilon`, `rho`, or what makes its
        margins as narrow as `margin`; with `delta` if a key has no declared values. `bounds` are the contribution
        bounds, `post` is any of "consistent", "round", "clamp" and "hide_below:11" (cells below 11), and
        `require_drowned` refuses the question if more than that share of its numbers is expected to drown in the noise.
        `show` says which rows are shown and in which
        order, as in "HAVING n > 99 ORDER BY n DESC LIMIT 10", or as JSON: it is free and no part of the question.

        A lost connection, a restart of the server and a busy server are waited for, `seconds` in all, under one
        Idempotency-Key: the question is charged once. Then GaveUp is raised; its `key`, given as `key`, goes on.
        """
        asked = body(
            question,
            sql=sql,
            bounds=bounds,
            epsilon=epsilon,
            rho=rho,
            delta=delta,
            margin=margin,
            confidence=confidence,
            noise=noise,
            post=post,
            show=show,
            require_drowned=require_drowned,
            require_question=require_question,
        )
        return self._ask(asked, key=key, seconds=seconds)

    def cancel(self, key: str) -> bool:
        """Cancel one's own query in progress, by its key. It stays charged. Return whether there was one."""
        try:
            self._json("DELETE", "/studies/{study}/queries", key=key)
        except NotFound:
            return False
        return True

    def releases(self, limit: int | None = None) -> Records:
        """Return what was asked, when and at what cost, oldest first. No numbers."""
        return Records(
            self._connection.pages("GET", "/studies/{study}/releases", segments={"study": self.name}, limit=limit)
        )

    def release(self, release: str, post: Any = None, show: Any = None) -> Answer:
        """Return an answer that was given before, perhaps post-processed. It is free, and an audit entry.

        `show` says which rows, in which order, as in `ask`.
        """
        found = self._json(
            "GET", "/studies/{study}/releases/{release}", segments={"release": release}, query=view(post, show)
        )
        return Answer(found, self._connection)

    def _ask(self, asked: dict[str, Any], *, key: str | None = None, seconds: float = ANSWER_SECONDS) -> Answer:
        self.last_key = key or uuid.uuid4().hex
        reply = self._json("POST", "/studies/{study}/queries", asked, key=self.last_key, seconds=seconds)
        made = Answer(reply, self._connection, self.last_key)
        caveats.warn(made.cautions)
        return made

    # Deciding, for admins, DPOs and approvers

    def edit(self, **terms: Any) -> Record:
        """Change its terms: title, purpose, legal_basis, protocol, starts, ends, formalities.

        An approved study is a draft again.
        """
        return Record(self._json("PATCH", "/studies/{study}", terms))

    def add_member(self, user: str) -> Record:
        """Make a researcher a member."""
        return Record(self._json("PUT", "/studies/{study}/members/{user}", segments={"user": user}) or {})

    def remove_member(self, user: str) -> Record:
        """End a membership."""
        return Record(self._json("DELETE", "/studies/{study}/members/{user}", segments={"user": user}) or {})

    def changes(self) -> Record:
        """Return what differs from the last approval, field by field."""
        return Record(self._json("GET", "/studies/{study}/changes"))

    def advise(self, opinion: str, reason: str, *, seen: str | None = None) -> Record:
        """Advise as a DPO: favourable, conditional or unfavourable. `seen` is the digest of what you read."""
        return Record(self._json("POST", "/studies/{study}/advise", given(opinion=opinion, reason=reason, seen=seen)))

    def approve(self, reason: str, *, seen: str | None = None, without_advice: str | None = None) -> Record:
        """Approve as an approver. `seen` is the digest of what you read."""
        decision = given(reason=reason, seen=seen, without_advice=without_advice)
        return Record(self._json("POST", "/studies/{study}/approve", decision))

    def suspend(self, reason: str) -> Record:
        """Suspend it, as a DPO."""
        return Record(self._json("POST", "/studies/{study}/suspend", {"reason": reason}))

    def resume(self, reason: str) -> Record:
        """End a suspension, as a DPO."""
        return Record(self._json("POST", "/studies/{study}/resume", {"reason": reason}))

    def close(self, reason: str) -> Record:
        """Close it for good."""
        return Record(self._json("POST", "/studies/{study}/close", {"reason": reason}))

    def change_budget(
        self,
        epsilon: float,
        reason: str,
        *,
        delta: float | None = None,
        laplace_percent: int | None = None,
        justification: str | None = None,
    ) -> Record:
        """Change its limits. After an approval, a raise waits for an approver."""
        further = given(laplace_percent=laplace_percent, justification=justification)
        limits = {**given(epsilon=epsilon, delta=delta, reason=reason), **further}
        return Record(self._json("PUT", "/studies/{study}/budget", limits))

    def advise_on_budget(self, opinion: str, reason: str, *, seen: str | None = None) -> Record:
        """Advise on a raise that waits, as a DPO."""
        advice = given(opinion=opinion, reason=reason, seen=seen)
        return Record(self._json("POST", "/studies/{study}/budget/advise", advice))

    def approve_budget(self, reason: str, *, seen: str | None = None, without_advice: str | None = None) -> Record:
        """Put a raise in force, as an approver."""
        decision = given(reason=reason, seen=seen, without_advice=without_advice)
        return Record(self._json("POST", "/studies/{study}/budget/approve", decision))

    def report(self, version: str | None = None) -> Record:
        """Return the anonymity report, with `version="public"` that to publish. Reading it is an audit entry."""
        return Record(self._json("GET", "/studies/{study}/report", query={"version": version}))

    def conclude(self, text: str, *, seen: str, parties: Mapping[str, str] | None = None) -> Record:
        """Write the controller's conclusion of the report, as an approver. `seen` is the digest of the report.

        `parties` has what follows for relevant parties: researcher, reader, relative, journalist, insider, thief.
        """
        body = given(text=text, seen=seen, parties=None if parties is None else dict(parties))
        return Record(self._json("POST", "/studies/{study}/report/conclusion", body))

    def methods(self) -> Record:
        """Return what was done to the data: method, parameters and quality of each release. An audit entry."""
        return Record(self._json("GET", "/studies/{study}/report/methods"))

    def report_page(self, language: str | None = None, version: str | None = None) -> str:
        """Return the anonymity report as a page to print, in English or with `language="fr"` in French."""
        asked = {"language": language, "version": version}
        return self._connection.call(
            "GET", "/studies/{study}/report", segments={"study": self.name}, accept=HTML, query=asked
        ).text

    def _json(
        self, method: str, path: str, sent: Any = None, *, segments: Mapping[str, str] | None = None, **how: Any
    ) -> Any:
        named = {"study": self.name, **(segments or {})}
        return self._connection.json(method, path, sent, segments=named, **how)

    def _repr_html_(self) -> str:
        names = ("title", "purpose", "dataset", "state", "starts", "ends", "members")
        about = {name: self._info[name] for name in names if self._info.get(name) is not None}
        return html.block(f"<div><b>{escape(self.name)}</b></div>", html.described(about))

    def __repr__(self) -> str:
        return f"<Study {self.name}: {self._info.get('state')}>"


def given(**members: Any) -> dict[str, Any]:
    """Return the members of a body that were given."""
    return {name: value for name, value in members.items() if value is not None}


def _pinned(asked: Mapping[str, Any], estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body that is refused unless it is the very question that was estimated."""
    return {**asked, "require": {**asked.get("require", {}), "question": estimate.get("question")}}
