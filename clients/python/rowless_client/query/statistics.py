"""The statistics of an answer: each function returns one, for `select` of a question.

A question has a method for each of them, too: `q.mean("cost")` is `q.select(mean("cost"))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rowless_client.query.columns import Column, column_name
from rowless_client.query.conditions import condition
from rowless_client.query.plain import pair, scalar, scalars

Bounds = Any  # a pair of numbers: (lowest, highest)
HALF = 0.5


@dataclass(frozen=True)
class Statistic:
    """A statistic as JSON, and the name that it has in an answer if none was given."""

    shape: Mapping[str, Any]
    default: str

    def to_json(self) -> dict[str, Any]:
        """Return the statistic as the JSON of a query has it."""
        return dict(self.shape)


def count_persons(*, where: Any = None) -> Statistic:
    """Return how many persons have at least one event in the cell."""
    return _made({"count": "persons"}, "persons", where=where)


def count_events(*, where: Any = None) -> Statistic:
    """Return how many events there are in the cell."""
    return _made({"count": "events"}, "count", where=where)


def sum(column: str | Column, *, bounds: Bounds = None, where: Any = None) -> Statistic:  # noqa: A001  the word of the JSON
    """Return the sum of a number, each value clamped to the bounds."""
    return _of("sum", column, bounds=bounds, where=where)


def mean(column: str | Column, *, bounds: Bounds = None, where: Any = None) -> Statistic:
    """Return the mean over the events where the column is not null, each value clamped to the bounds."""
    return _of("mean", column, bounds=bounds, where=where)


def proportion(fulfilled: Any, *, of: str | None = None) -> Statistic:
    """Return the share of the events, or `of="persons"`, that fulfil a condition."""
    shape: dict[str, Any] = {"proportion": condition(fulfilled).to_json()}
    return Statistic(shape if of is None else {**shape, "of": of}, "proportion")


def variance(column: str | Column, *, bounds: Bounds = None, where: Any = None) -> Statistic:
    """Return the sample variance (over n - 1)."""
    return _of("variance", column, bounds=bounds, where=where)


def stddev(column: str | Column, *, bounds: Bounds = None, where: Any = None) -> Statistic:
    """Return the sample standard deviation."""
    return _of("stddev", column, bounds=bounds, where=where)


def quantile(column: str | Column, at: Any, *, bounds: Bounds = None, where: Any = None) -> Statistic:
    """Return the value below which this share lies; for a list of shares several, at one price."""
    name = column_name(column)
    several = not isinstance(at, (int, float))
    shape = {"quantile": name, "at": scalars(at) if several else scalar(at)}
    return _made(shape, f"{'median' if at == HALF else 'quantile'}_{name}", bounds=bounds, where=where)


def median(column: str | Column, *, bounds: Bounds = None, where: Any = None) -> Statistic:
    """Return the quantile at 0.5."""
    return quantile(column, HALF, bounds=bounds, where=where)


def iqr(column: str | Column, *, bounds: Bounds = None, where: Any = None) -> Statistic:
    """Return the interquartile range."""
    return _of("iqr", column, bounds=bounds, where=where)


def histogram(column: str | Column, bins: Any = None, *, where: Any = None) -> Statistic:
    """Return how many events fall into each bin, or have each declared value."""
    shape: dict[str, Any] = {"histogram": column_name(column)}
    return _made(shape if bins is None else {**shape, "bins": scalars(bins)}, _named("histogram", column), where=where)


def top(column: str | Column, k: int, *, where: Any = None) -> Statistic:
    """Return the `k` most frequent declared values with their numbers of events."""
    return _made({"top": column_name(column), "k": k}, _named("top", column), where=where)


def covariance(x: str | Column, y: str | Column, *, bounds: Any = None, where: Any = None) -> Statistic:
    """Return the sample covariance of two columns; `bounds` are two pairs."""
    return _of_two("covariance", x, y, bounds, where)


def correlation(x: str | Column, y: str | Column, *, bounds: Any = None, where: Any = None) -> Statistic:
    """Return Pearson's correlation of two columns; `bounds` are two pairs."""
    return _of_two("correlation", x, y, bounds, where)


def survival(
    column: str | Column, bins: Any, *, ends: Any = None, censored: str | Column | None = None, where: Any = None
) -> Statistic:
    """Return the survival curve of days to an event.

    Give `ends`, the last day of the data; `censored` is a column with each person's own last day, as of a death.
    """
    shape: dict[str, Any] = {"survival": column_name(column), "bins": scalars(bins)}
    if ends is not None:
        shape["ends"] = scalar(ends)
    if censored is not None:
        shape["censored"] = column_name(censored)
    return _made(shape, _named("survival", column), where=where)


def rate(
    column: str | Column, days: int, *, ends: Any, censored: str | Column | None = None, where: Any = None
) -> Statistic:
    """Return how many persons have an event for each person-year at risk, over at most `days` days of each person.

    `column` are days to the event, `ends` is the last day of the data, and `censored` a column with each person's own.
    """
    shape: dict[str, Any] = {"rate": column_name(column), "days": days, "ends": scalar(ends)}
    if censored is not None:
        shape["censored"] = column_name(censored)
    return _made(shape, _named("rate", column), where=where)


def slope(y: str | Column, x: str | Column, *, bounds: Any = None, where: Any = None) -> Statistic:
    """Return by how much y is larger where x is larger by one, by least squares; `bounds` are two pairs."""
    return _of_two("slope", y, x, bounds, where)


def _of(word: str, column: str | Column, *, bounds: Bounds, where: Any) -> Statistic:
    return _made({word: column_name(column)}, _named(word, column), bounds=bounds, where=where)


def _of_two(word: str, x: str | Column, y: str | Column, bounds: Any, where: Any) -> Statistic:
    both = [column_name(x), column_name(y)]
    shape: dict[str, Any] = {word: both}
    if bounds is not None:
        shape["bounds"] = [pair(one) for one in bounds]
    return _made(shape, f"{word}_{both[0]}_{both[1]}", where=where)


def _named(word: str, column: str | Column) -> str:
    return f"{word}_{column_name(column)}"


def _made(shape: dict[str, Any], default: str, *, bounds: Bounds = None, where: Any = None) -> Statistic:
    made = dict(shape)
    if bounds is not None:
        made["bounds"] = pair(bounds)
    if where is not None:
        made["where"] = condition(where).to_json()
    return Statistic(made, default)
