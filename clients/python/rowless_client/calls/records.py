"""Replies that are no answers, as dictionaries that notebooks show: what a later server adds is in them, too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rowless_client.answers import frames, html, text

if TYPE_CHECKING:
    import pandas as pd

WIDE = 8  # columns of a list in a notebook
LOSSES = ("epsilon", "rho", "delta")


class Record(dict[str, Any]):
    """A reply: a dictionary whose members are attributes, too (`study.info.purpose`)."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self:
            raise AttributeError(f"the reply has no {name}; it has {', '.join(self)}")
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def _repr_html_(self) -> str:
        return html.block(html.described(self))


class Records(list[Record]):
    """A list of replies."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__(Record(item) if isinstance(item, dict) else item for item in items)

    def to_pandas(self) -> pd.DataFrame:
        """Return the list as a pandas frame."""
        frame: pd.DataFrame = frames.needed("pandas", "pandas").DataFrame([dict(one) for one in self])
        return frame

    def _repr_html_(self) -> str:
        if not self:
            return html.block(html.line("There are none.", "small"))
        header = list(dict.fromkeys(name for one in self for name in one))[:WIDE]
        rows = [[one.get(name) for name in header] for one in self[: html.ROWS_MAX]]
        more = html.line(f"... and {len(self) - len(rows):,} more", "small") if len(self) > len(rows) else ""
        return html.block(html.table(header, rows), more)


class Budget(Record):
    """The budget of a study or a dataset: limits, and what is spent, reserved and left."""

    def _repr_html_(self) -> str:
        limit, left = self.get("epsilon") or 0, (self.get("remaining") or {}).get("epsilon") or 0
        used = 0.0 if not limit else max(0.0, min(1.0, 1 - left / limit))
        bar = (
            '<svg width="220" height="14" role="img"><title>share of epsilon that is spent</title>'
            '<rect width="220" height="14" fill="currentColor" fill-opacity=".12"/>'
            f'<rect width="{220 * used:.1f}" height="14" fill="#2a6f97"/></svg>'
        )
        buys = html.line(f"It buys {self['buys']}.") if self.get("buys") else ""
        return html.block(bar, html.table(("", *LOSSES), self._rows(), frozenset({1, 2, 3})), buys)

    def __str__(self) -> str:
        rows = [[html.shown(value) for value in row] for row in self._rows()]
        buys = f"\nIt buys {self['buys']}." if self.get("buys") else ""
        return text.table(("", *LOSSES), rows, 1) + buys

    def _rows(self) -> list[tuple[Any, ...]]:
        members = (("limit", None), ("spent", "spent"), ("reserved", "reserved"), ("left", "remaining"))
        return [(label, *(_of(self, member, name) for name in LOSSES)) for label, member in members]


def _of(budget: Budget, member: str | None, name: str) -> Any:
    loss = budget if member is None else budget.get(member) or {}
    value = loss.get(name)
    return "in rho only" if value is None and member == "spent" and name == "epsilon" else value
