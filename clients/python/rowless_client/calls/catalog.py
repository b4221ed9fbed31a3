"""The catalog of a dataset: its tables and columns, and the questions that begin from them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from rowless_client.answers import html, text
from rowless_client.calls.records import Record, Records
from rowless_client.errors import Misused
from rowless_client.query.question import Question

if TYPE_CHECKING:
    from rowless_client.connection.http import Connection

VALUES_MAX = 12
HEADER = ("column", "type", "one per", "values", "what it is")


class Catalog(Record):
    """What is public about a dataset. `catalog.question("years")` begins a question about a table."""

    @property
    def tables(self) -> dict[str, Any]:
        """Return the tables by name."""
        return dict(self.get("tables") or {})

    def columns(self, table: str) -> dict[str, Any]:
        """Return the columns of a table by name. Raises Misused."""
        if table not in self.tables:
            raise Misused(f"there is no table {table}; there are {', '.join(self.tables)}")
        return dict(self.tables[table].get("columns") or {})

    def question(self, table: str) -> Question:
        """Return a question about a table, which knows its columns. Raises Misused."""
        return Question(table, tuple(self.columns(table)))

    def _repr_html_(self) -> str:
        parts = [f"<div><b>{escape(self._title)}</b></div>", html.line(self._facts, "small")]
        for name, about in self.tables.items():
            title = f" <span class='small'>{escape(str(about.get('title') or ''))}</span>"
            parts.append(f"<div><b><code>{escape(name)}</code></b>{title}</div>")
            parts.append(html.table(HEADER, _rows(about)))
        return html.block(*parts)

    def __str__(self) -> str:
        parts = [f"{self._title}\n{self._facts}"]
        for name, about in self.tables.items():
            head = f"{name}: {about['title']}" if about.get("title") else name
            parts.append(f"{head}\n{text.table(HEADER, _rows(about), len(HEADER))}")
        return "\n\n".join(parts)

    @property
    def _title(self) -> str:
        return str(self.get("title") or self.get("name"))

    @property
    def _facts(self) -> str:
        profile = "with a contribution profile" if self.get("profile") else "without a contribution profile"
        return f"edition {self.get('edition')}, at most {self.get('persons_max'):,} persons, {profile}"

    def __repr__(self) -> str:
        return f"<Catalog of {self.get('name')}: {', '.join(self.tables)}>"


def find_codes(connection: Connection, dataset: str, search: str, column: str | None, limit: int | None) -> Records:
    """Return the codes of a dataset that a search finds. `column` is one of a table, as in "visits.diagnosis"."""
    query = {"search": search, "column": column, "limit": limit}
    found = connection.json("GET", "/datasets/{name}/codes", segments={"name": dataset}, query=query)
    return Records(found["items"])


def _rows(table: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the columns of a table, each as a line."""
    return [
        (
            column,
            f"{shape.get('type')}{' or null' if shape.get('nullable') else ''}",
            "person" if shape.get("of_person") else "event",
            _values(shape),
            str(shape.get("title") or ""),
        )
        for column, shape in (table.get("columns") or {}).items()
    ]


def _values(column: Mapping[str, Any]) -> str:
    values = column.get("values")
    if isinstance(values, list):
        listed = ", ".join(map(str, values[:VALUES_MAX]))
        return f"{listed} ... ({len(values)} in all)" if len(values) > VALUES_MAX else listed
    bounds = column.get("bounds")
    if isinstance(bounds, list) and len(bounds) == 2:
        step = f", step {column['step']:g}" if isinstance(column.get("step"), (int, float)) else ""
        return f"{bounds[0]} to {bounds[1]}{step}"
    return "not declared: grouping by it costs delta" if column.get("declared") is False else ""
