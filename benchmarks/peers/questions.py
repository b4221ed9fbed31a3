"""The questions, once for all: as SQL for the exact answer, as JSON for Rowless, as fields for the other tools.

The bounds are those of every tool that has such bounds. This module runs in foreign environments too, so it imports
nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

EPSILON = 1.0
BY_SQL = {
    "events": "COUNT(*)",
    "persons": "COUNT(DISTINCT person)",
    "sum": "SUM(cost)",
    "mean": "AVG(cost)",
    "median": "MEDIAN(cost)",
}


@dataclass(frozen=True)
class Question:
    """One statistic by some keys, of all events or of the urgent ones since a year."""

    name: str
    measure: str  # events, persons, sum, mean or median; the last three are of cost, in cents
    keys: tuple[str, ...] = ()
    urgent_since: int | None = None
    cells_per_person: int = 1
    events_per_cell: int = 1
    value_max: int = 20_000  # values are clamped to 0 and this

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(self.keys))  # JSON has lists

    @property
    def condition(self) -> str | None:
        """Return the filter as SQL."""
        return None if self.urgent_since is None else f"urgent AND year >= {self.urgent_since}"

    @property
    def sql(self) -> str:
        """Return the question without any privacy: keys, and last the number."""
        where = f" WHERE {self.condition}" if self.condition else ""
        grouped = f" GROUP BY {', '.join(self.keys)}" if self.keys else ""
        return f"SELECT {', '.join([*self.keys, BY_SQL[self.measure]])} FROM events{where}{grouped}"

    @property
    def of_rowless(self) -> dict[str, Any]:
        """Return the question in Rowless's language."""
        statistic: dict[str, Any] = {"count": self.measure}
        if self.measure == "median":
            statistic = {"quantile": "cost", "at": 0.5, "bounds": [0, self.value_max]}
        elif self.measure in ("sum", "mean"):
            statistic = {self.measure: "cost", "bounds": [0, self.value_max]}
        asked: dict[str, Any] = {
            "from": "events",
            "select": {"number": statistic},
            "bounds": {"cells_per_person": self.cells_per_person, "events_per_cell": self.events_per_cell},
        }
        if self.keys:
            asked["group_by"] = list(self.keys)
        if self.urgent_since is not None:
            since = {"column": "year", "op": ">=", "value": self.urgent_since}
            asked["where"] = {"all": [{"column": "urgent", "op": "=", "value": True}, since]}
        return asked


# The first bounds are about those that Rowless proposes for 10 million events, from a profile of epsilon 0.1.
QUESTIONS = (
    Question("count of events", "events", events_per_cell=700),
    Question("sum of cost by year and sex", "sum", ("year", "sex"), cells_per_person=7, events_per_cell=60),
    Question("count by 2,500 practices", "events", ("practice",), cells_per_person=7, events_per_cell=45),
    Question("persons by year, sex and age band", "persons", ("year", "sex", "age_band"), cells_per_person=7),
    Question("persons by 300 codes", "persons", ("diagnosis",), cells_per_person=60),
    Question("mean cost, filtered", "mean", urgent_since=2020, events_per_cell=10),
    Question("median cost by age band", "median", ("age_band",), events_per_cell=60),
)
