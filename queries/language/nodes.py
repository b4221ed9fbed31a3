"""The query tree: what a researcher asks, frozen, in the words they used.

JSON and SQL are two spellings of this tree. It knows nothing of data or of privacy; `queries/binding` binds it to a
catalog. Its shape mirrors the JSON form one to one, so that a place in the tree is a JSON pointer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")  # of a column of the answer

Scalar = str | int | float | bool

PERSON = "person"  # the public name of the person column

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=", "in", "between", "is_null", "under", "begins")
PERIODS = ("year", "quarter", "month", "week", "day")
PARTS = ("year", "quarter", "month", "week", "weekday", "day")
DEPTH_MAX = 32  # of predicates within predicates
PREFIX_MAX = 100  # characters of the beginning of a code
CONFIDENCE = 0.95  # of margins, where a request names none


@dataclass(frozen=True)
class CodeList:
    """The codes of a list that the study's protocol has, by its name (`code_lists.py`)."""

    name: str


@dataclass(frozen=True)
class OtherColumn:
    """Another column of the same row, to compare a column with."""

    name: str


@dataclass(frozen=True)
class Comparison:
    """One column against one value or column of its row, a list of values (in), a pair (between) or nothing (is_null).

    `begins` takes how codes begin: "E11" stands for E11.9 too. `under` takes a code, for all that are under it in the
    column's hierarchy; without one, for all that begin so.

    As in SQL, a comparison holds for no null, and neither does its negation; only is_null does.
    """

    column: str
    op: str
    value: Scalar | tuple[Scalar, ...] | CodeList | OtherColumn | None = None


@dataclass(frozen=True)
class All:
    """Every part holds."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Any:
    """At least one part holds."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold."""

    part: Predicate


@dataclass(frozen=True)
class Related:
    """Other events of the same person: of a table, that fulfil a condition, at most so many days away.

    `date` is the column with their day; the table's only date if not given.
    """

    table: str
    where: Predicate | None = None
    within_days: int | None = None
    date: str | None = None


@dataclass(frozen=True)
class Cohort:
    """The person has at least `at_least` events of a table that fulfil a condition.

    With `after`, only events count that have such another event on their day or up to `within_days` before; with
    `without`, only those that have no such other event on an earlier day (up to `within_days` earlier).
    """

    table: str
    where: Predicate | None = None
    at_least: int = 1
    after: Related | None = None
    without: Related | None = None
    date: str | None = None


Predicate = Comparison | All | Any | Not | Cohort


@dataclass(frozen=True)
class ByValue:
    """One cell for each declared value of a column."""

    column: str
    name: str | None = None  # in the answer; the column's own when not given


@dataclass(frozen=True)
class ByBins:
    """One cell for each bin [edges[i], edges[i+1]); what lies outside falls into none.

    SQL may leave an end open: a bin below the first edge, or from the last on. Its edge is filled in from the catalog
    before anything else looks at the query.
    """

    column: str
    edges: tuple[Scalar, ...]
    name: str | None = None
    open_below: bool = False
    open_above: bool = False


@dataclass(frozen=True)
class ByPeriod:
    """One cell for each year, quarter, month, week (from Monday on) or day within a date column's declared bounds."""

    column: str
    period: str
    name: str | None = None


@dataclass(frozen=True)
class ByWidth:
    """One cell for each bin of a width within the column's declared bounds; a bin begins at the origin (0).

    The width of a date is in days, and its origin is a date, which has no default.
    """

    column: str
    width: int | float
    origin: Scalar | None = None
    name: str | None = None


@dataclass(frozen=True)
class ByPart:
    """One cell for each value that a part of a date has within the declared bounds, over all years: months 1 to 12.

    Weeks are those of ISO 8601, and of weekdays 1 is Monday.
    """

    column: str
    part: str
    name: str | None = None


Key = ByValue | ByBins | ByPeriod | ByWidth | ByPart


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """What all statistics have: of the events only those that fulfil `where` count."""

    where: Predicate | None = None


@dataclass(frozen=True)
class Count(Filtered):
    """How many persons, or how many events."""

    of: str  # "persons" or "events"


@dataclass(frozen=True)
class Sum(Filtered):
    """The sum of a column, each value clamped to the bounds; nulls add nothing."""

    column: str
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Mean(Filtered):
    """The mean of a column over the events where it is not null, each value clamped to the bounds."""

    column: str
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Variance(Filtered):
    """The sample variance (over n - 1) of a column, each value clamped to the bounds; nulls do not count."""

    column: str
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Stddev(Filtered):
    """The square root of the variance."""

    column: str
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Covariance(Filtered):
    """The sample covariance of two columns over the events where neither is null, each clamped to its bounds."""

    columns: tuple[str, str]
    bounds: tuple[tuple[float, float], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Correlation(Filtered):
    """Pearson's correlation of two columns over the events where neither is null, each clamped to its bounds."""

    columns: tuple[str, str]
    bounds: tuple[tuple[float, float], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Slope(Filtered):
    """The slope of the first of two columns over the second, where neither is null, each clamped to its bounds."""

    columns: tuple[str, str]
    bounds: tuple[tuple[float, float], tuple[float, float]] | None = None


@dataclass(frozen=True)
class Quantile(Filtered):
    """The values below which these shares of a column's values lie, each clamped; `listed` if `at` is a list."""

    column: str
    at: tuple[float, ...]
    bounds: tuple[float, float] | None = None
    listed: bool = False


@dataclass(frozen=True)
class Iqr(Filtered):
    """The interquartile range of a column: how far its quartiles lie apart, each value clamped to the bounds."""

    column: str
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Histogram(Filtered):
    """How many events fall into each bin [edges[i], edges[i+1]) of a column, or have each of its declared values."""

    column: str
    edges: tuple[Scalar, ...] | None = None


@dataclass(frozen=True)
class Top(Filtered):
    """The `k` most frequent declared values of a column, with their numbers of events."""

    column: str
    k: int


@dataclass(frozen=True)
class Survival(Filtered):
    """The share of persons to whom an event has not happened yet, by the end of each interval of days.

    `column` is a value built with days_to. Who has had no event is followed up to the day `ends`, the last one that
    the events' date may have when not given; and no longer than to their own day in the column `censored`, if they
    have one there.
    """

    column: str
    edges: tuple[Scalar, ...]
    ends: str | None = None
    censored: str | None = None


@dataclass(frozen=True)
class Rate(Filtered):
    """How many persons have an event for each person-year at risk, at most `days` of each; followed as for a curve."""

    column: str
    days: int
    ends: str
    censored: str | None = None


@dataclass(frozen=True)
class Proportion:
    """The share of the events that fulfil a condition, or of the persons who have such an event in the cell."""

    holds: Predicate
    of: str = "events"  # or "persons"


OfValues = Sum | Mean | Variance | Stddev | Quantile | Iqr | Histogram | Top | Covariance | Correlation | Slope
Function = Count | OfValues | Survival | Rate
Statistic = Function | Proportion
BUILT = ("count", "sum", "mean", "min", "max", "first", "last", "exists", "days_to")


@dataclass(frozen=True)
class Value:
    """One value for each person, built from their events: see `BUILT` for the words.

    `column` is the column it is made of (none for count, exists and days_to). Only events for which `where` holds take
    part; for `exists` it is the condition that one event must fulfil. `first` and `last` go by the column `date`.
    `days_to` is the number of days from the person's first event to the first one `to` on that day or later. Each value
    is clamped to the bounds.
    """

    word: str
    column: str | None = None
    where: Predicate | None = None
    bounds: tuple[float, float] | None = None
    date: str | None = None
    to: Related | None = None


@dataclass(frozen=True)
class PerPerson:
    """A table made for the query: a row for each person who has events (that fulfil `where`), with built values.

    Its columns are the values and the person's own attributes.
    """

    table: str
    values: tuple[tuple[str, Value], ...]
    where: Predicate | None = None


@dataclass(frozen=True)
class Bounds:
    """How much of one person may count: distinct cells, and events in each of them. None: the planner's choice."""

    cells_per_person: int | None = None
    events_per_cell: int | None = None


@dataclass(frozen=True)
class Query:
    """A question about one table. `select` ties each statistic to the name of its column in the answer."""

    source: str | PerPerson
    select: tuple[tuple[str, Statistic], ...]
    where: Predicate | None = None
    group_by: tuple[Key, ...] = ()
    bounds: Bounds = Bounds()


@dataclass(frozen=True)
class Target:
    """A margin that a statistic is to have at most: of its value, perhaps over a group of `at` events or persons.

    With `of_rank` it is that of a quantile: so many events further up or down.
    """

    margin: float
    at: int | None = None
    of_rank: bool = False


@dataclass(frozen=True)
class Margins:
    """The margins that statistics are to have at most, by name; what it costs follows. Laplace noise, or Gaussian."""

    targets: tuple[tuple[str, Target], ...]
    confidence: float = CONFIDENCE
    gaussian: bool = False


@dataclass(frozen=True)
class Privacy:
    """What a query may spend, in billionths: epsilon (pure DP) or rho (zero-concentrated DP), or as its margins need.

    One of the three. Beside it delta in 10^-18, if a key has no declared values.
    """

    epsilon_nano: int | None = None
    rho_nano: int | None = None
    delta_atto: int | None = None
    margins: Margins | None = None

    def __post_init__(self) -> None:
        given = [part for part in (self.epsilon_nano, self.rho_nano, self.margins) if part is not None]
        assert len(given) == 1, "one of them"

    @property
    def word(self) -> str:
        """Return the word in a request for what was given."""
        if self.margins is not None:
            return "margin"
        return "rho" if self.epsilon_nano is None else "epsilon"

    @property
    def currency(self) -> str:
        """Return in what the noise is bought: epsilon or rho."""
        if self.margins is not None:
            return "rho" if self.margins.gaussian else "epsilon"
        return self.word

    @property
    def confidence(self) -> float:
        """Return with what probability the noise is to stay within a margin."""
        return CONFIDENCE if self.margins is None else self.margins.confidence


def word_of(statistic: Statistic) -> str:
    """Return the word for a statistic in queries and protocols."""
    return type(statistic).__name__.lower()
