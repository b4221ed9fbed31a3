"""Parts of dates, each over all years: the month of a day is 1 to 12, whatever the year.

Days are numbers since 1970-01-01, as in the store. `of_day` is the plain definition. `of_days` does the same for every
day of a range at once, with numpy's calendar.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from queries.catalog.schema import EPOCH

if TYPE_CHECKING:
    from numpy.typing import NDArray


def of_day(part: str, day: int) -> int:
    """Return a part of a day (see `nodes.PARTS`)."""
    date = EPOCH + dt.timedelta(days=day)
    match part:
        case "year":
            return date.year
        case "quarter":
            return (date.month + 2) // 3
        case "month":
            return date.month
        case "week":
            return date.isocalendar().week
        case "weekday":
            return date.isoweekday()
        case _:
            return date.day


def of_days(part: str, first: int, last: int) -> NDArray[np.int64]:
    """Return a part of each day from the first to the last."""
    days = np.arange(first, last + 1, dtype=np.int64)
    weekday = (days + 3) % 7 + 1  # 1970-01-01 was a Thursday
    if part == "weekday":
        return weekday
    if part == "week":
        # A week belongs to the year of its Thursday (ISO 8601). Week 1 is the first with its Thursday in the year.
        thursday = days - weekday + 4
        new_year = thursday.astype("datetime64[D]").astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
        week: NDArray[np.int64] = (thursday - new_year) // 7 + 1
        return week
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    if part == "day":
        of_month: NDArray[np.int64] = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
        return of_month
    since_1970 = months.astype(np.int64)
    match part:
        case "year":
            return since_1970 // 12 + 1970
        case "quarter":
            return since_1970 % 12 // 3 + 1
        case _:
            return since_1970 % 12 + 1
