"""Estimates: what a question would cost and how exact its answer would be, before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from rowless_client.answers import caveats, html, text
from rowless_client.answers.numbers import brief, counted, percent

if TYPE_CHECKING:
    from rowless_client.answers.answer import Answer
    from rowless_client.answers.caveats import Found

HEADER = ("statistic", "margin", "at", "noise")


@dataclass(frozen=True)
class Estimate:
    """What a question would cost. `json` is the whole reply."""

    json: dict[str, Any]
    asks: Callable[..., Answer] = field(repr=False)

    @property
    def cost(self) -> dict[str, Any]:
        """Return what it would cost: epsilon, rho and delta."""
        return dict(self.json.get("cost") or {})

    @property
    def affordable(self) -> bool:
        """Return whether it can be asked now: the budget would pay it, or it was asked before and is free."""
        return bool(self.json.get("affordable"))

    @property
    def release(self) -> str | None:
        """Return the id of its answer if it was asked before, at this price: asked again it is free."""
        return self.json.get("release")

    @property
    def queries_left(self) -> int:
        """Return how many such questions the budget would pay."""
        return int(self.json.get("queries_left") or 0)

    @property
    def advice(self) -> list[str]:
        """Return what dominates the error, and what would help."""
        return list(self.json.get("advice") or [])

    @property
    def notes(self) -> list[str]:
        """Return what a reader should know."""
        return list(self.json.get("notes") or [])

    @property
    def sql(self) -> str:
        """Return the question in SQL."""
        return str(self.json.get("sql"))

    @property
    def query(self) -> dict[str, Any]:
        """Return the question in JSON."""
        return dict(self.json.get("query") or {})

    @property
    def margins(self) -> dict[str, float | None]:
        """Return the margin of each statistic by its name, None where it depends on the number of events."""
        return {str(one.get("name")): one.get("margin") for one in self._statistics()}

    @property
    def drowned(self) -> float | None:
        """Return the largest share of a statistic's numbers that are expected to be smaller than their margin."""
        return self.json.get("drowned")

    @property
    def question(self) -> str:
        """Return the name of this very question with its price, for `require_question`."""
        return str(self.json.get("question"))

    @property
    def cautions(self) -> list[Found]:
        """Return what must be known before it is paid."""
        return caveats.of_estimate(self.json)

    def ask(self, **how: Any) -> Answer:
        """Ask this very question, at this price: it is refused, and nothing is charged, if it has changed since."""
        return self.asks(**how)

    def _statistics(self) -> list[Mapping[str, Any]]:
        return [one for one in self.json.get("columns") or [] if one.get("kind") == "statistic"]

    def _repr_html_(self) -> str:
        drowned = (
            ""
            if not self.drowned
            else html.line(f"Expected to be smaller than their margin: {percent(self.drowned)} of the numbers", "small")
        )
        return html.block(
            f'<div class="small"><code>{escape(self.sql)}</code></div>',
            html.line(f"{self._price()} Nothing was spent."),
            html.table(HEADER, self._rows()),
            drowned,
            html.care(self.cautions),
            html.folded("Advice", self.advice),
            html.folded("Notes", self.notes),
        )

    def __str__(self) -> str:
        said = [f"{self._price()} Nothing was spent.", "", text.table(HEADER, self._rows(), len(HEADER))]
        more = dict.fromkeys((*(one.text for one in self.cautions), *self.advice, *self.notes))
        return "\n".join([*said, *(["", *(f"- {line}" for line in more)] if more else [])])

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (str(one.get("name")), _margin(one), _confidence(one), str(one.get("mechanism")))
            for one in self._statistics()
        ]

    def _price(self) -> str:
        cost = html.loss(self.cost)
        if self.release is not None:
            return f"It was asked before, for {cost}: the same answer is free."
        if not self.affordable:
            return f"Would cost {cost}; the budget cannot pay it."
        return f"Would cost {cost}; the budget would pay {counted(self.queries_left, 'such question')}."

    def __repr__(self) -> str:
        return f"<Estimate: {self.cost}, margins {self.margins}>"


def _margin(column: Mapping[str, Any]) -> str:
    if isinstance(column.get("margin"), (int, float)):
        return f"± {brief(column['margin'])}"
    if isinstance(column.get("margin_events"), (int, float)):
        return f"± {brief(column['margin_events'])} events up or down"
    at = column.get("margins_at")
    if isinstance(at, dict):
        return "; ".join(
            f"± {brief(margin)} of {int(events):,} events" for events, margin in at.items() if events.isdigit()
        )
    return "-"


def _confidence(column: Mapping[str, Any]) -> str:
    confidence = column.get("confidence")
    return f"{100 * confidence:g}%" if isinstance(confidence, (int, float)) else "-"
