"""Answers and rehearsals: what a question returned, with its margins."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowless_client.answers import caveats, charts, frames, html, text
from rowless_client.answers.flat import flatten
from rowless_client.errors import Misused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import altair as alt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from rowless_client.answers.caveats import Found
    from rowless_client.answers.flat import Flat
    from rowless_client.connection.http import Connection

RELEASE = "/studies/{study}/releases/{release}"


@dataclass(frozen=True)
class Certificate:
    """A signed document about an answer, byte for byte as the server sent it: a paper cites its hash."""

    content: bytes

    def save(self, path: str | Path) -> Path:
        """Write it to a file, which `rowless audit verify` checks offline. Return the file."""
        file = Path(path)
        file.write_bytes(self.content)
        return file

    @property
    def text(self) -> str:
        """Return it as text."""
        return self.content.decode("utf-8")


@dataclass(frozen=True)
class Answer:
    """An answer: rows with a value and both ends of its interval for each statistic.

    `json` is the whole reply. `key` is the Idempotency-Key that it was asked with, if it was.
    """

    json: dict[str, Any]
    connection: Connection = field(repr=False)
    key: str | None = None

    # What the reply has

    @property
    def id(self) -> str | None:
        """Return the id of the release, None for a rehearsal."""
        return self.json.get("id")

    @property
    def study(self) -> str:
        """Return the name of the study."""
        return str(self.json.get("study"))

    @property
    def sql(self) -> str:
        """Return the question in SQL."""
        return str(self.json.get("sql"))

    @property
    def query(self) -> dict[str, Any]:
        """Return the question in JSON."""
        return dict(self.json.get("query") or {})

    @property
    def cost(self) -> dict[str, Any]:
        """Return what it cost when it was made: epsilon, rho and delta."""
        return dict(self.json.get("cost") or {})

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as the server sent them."""
        return list(self.json.get("rows") or [])

    @property
    def notes(self) -> list[str]:
        """Return what a reader should know, in the server's words."""
        return list(self.json.get("notes") or [])

    @property
    def replayed(self) -> bool:
        """Return whether the answer existed before, and was free."""
        return bool(self.json.get("replayed"))

    @property
    def is_rehearsal(self) -> bool:
        """Return whether the data were made up."""
        return bool(self.json.get("rehearsal"))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    # As a table

    @cached_property
    def flat(self) -> Flat:
        """Return keys and numbers as one flat table."""
        return flatten(self.json)

    @property
    def cautions(self) -> list[Found]:
        """Return what a reader must know: numbers that are mostly noise, and what was cut off."""
        return caveats.of_answer(self.flat, is_made_up=self.is_rehearsal)

    def to_pandas(self, statistic: str | None = None) -> pd.DataFrame:
        """Return a pandas frame with the columns NAME, NAME_low and NAME_high.

        A list has them for each of its parts: NAME[BIN] and so on, as in the CSV. With `statistic` only that one is
        returned, with a line for each number: keys, the part, `value`, `low` and `high`.
        """
        return frames.to_pandas(frames.columns_of(self.flat, statistic), self.about)

    def to_polars(self, statistic: str | None = None) -> pl.DataFrame:
        """Return the same as a Polars frame."""
        return frames.to_polars(frames.columns_of(self.flat, statistic))

    def to_arrow(self, statistic: str | None = None) -> pa.Table:
        """Return the same as an Arrow table."""
        return frames.to_arrow(frames.columns_of(self.flat, statistic), self.about)

    @property
    def about(self) -> dict[str, Any]:
        """Return where the numbers are from, for frames."""
        names = ("id", "study", "dataset", "edition", "sql", "cost", "bounds", "charged_at", "rehearsal", "notes")
        return {name: self.json[name] for name in names if self.json.get(name) is not None}

    # As pictures

    def plot(self, statistic: str | None = None) -> alt.TopLevelMixin:
        """Return an Altair chart of one statistic or of all, with the margin of every number."""
        said = ["REHEARSAL: the data were made up"] if self.is_rehearsal else []
        return charts.plot(self.flat.worded, self.query, said, statistic)

    # In notebooks and on terminals

    @property
    def _standing(self) -> str:
        cost = html.loss(self.cost)
        if self.is_rehearsal:
            return "Rehearsal: the data were made up, so the numbers mean nothing. Nothing was charged."
        if self.replayed:
            return f"The same answer as before, free. It cost {cost}."
        return f"Charged: {cost}."

    def _repr_html_(self) -> str:
        head = html.line(self._standing, "care" if self.is_rehearsal else "small")
        code = f'<div class="small"><code>{escape(self.sql)}</code></div>'
        cautions = html.care(self.cautions)
        return html.block(code, head, html.answer(self.flat.worded), cautions, html.folded("Notes", self.notes))

    def __str__(self) -> str:
        return "\n".join([text.answer(self.flat.worded), "", self._standing, *(one.text for one in self.cautions)])

    def __repr__(self) -> str:
        what = "Rehearsal" if self.is_rehearsal else "Answer"
        return f"<{what} of {self.study}: {len(self)} rows of {', '.join(self.flat.statistics)}>"

    # More from the server

    def certificate(self) -> Certificate:
        """Return its certificate: a signed document to cite, which anyone can verify offline. It is an audit entry."""
        reply = self.connection.call("GET", f"{RELEASE}/certificate", segments=self._place())
        return Certificate(reply.content)

    def csv(self, post: Any = None, show: Any = None) -> str:
        """Return it as the server's CSV, with comments about the question. It is an audit entry."""
        return self.connection.call(
            "GET", RELEASE, segments=self._place(), accept="text/csv", query=view(post, show)
        ).text

    def svg(self, post: Any = None, show: Any = None) -> str:
        """Return it as the server's charts, an SVG file. It is an audit entry."""
        return self.connection.call(
            "GET", RELEASE, segments=self._place(), accept="image/svg+xml", query=view(post, show)
        ).text

    def processed(self, *post: str, show: Any = None) -> Answer:
        """Return it post-processed: "consistent", "round", "clamp", or "hide_below:11" for cells below 11, or several.

        It is free, and an audit entry.
        `show` says which rows, in which order, as in "HAVING n > 99 ORDER BY n DESC LIMIT 10", or as JSON.
        """
        found = self.connection.json("GET", RELEASE, segments=self._place(), query=view(post, show))
        return Answer(found, self.connection, self.key)

    def _place(self) -> dict[str, str]:
        if self.id is None:
            raise Misused("a rehearsal is not stored on the server: it has no certificate, no CSV and no SVG there")
        return {"study": self.study, "release": self.id}


def view(post: Any, show: Any) -> dict[str, str | None]:
    """Return the parameters that say how a release is shown."""
    return {"post": _words(post), "show": show if show is None or isinstance(show, str) else json.dumps(show)}


def _words(post: Any) -> str | None:
    if post is None:
        return None
    return post if isinstance(post, str) else ",".join(post) or None
