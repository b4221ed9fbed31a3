"""Which kind of chart shows a statistic best, from its columns and labels alone."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from queries.statistics.parts import lists
from server.charts.grid import Order

if TYPE_CHECKING:
    from server.charts.grid import Grid

SERIES_MAX = 4  # bars beside each other, and lines in one chart, that can be told apart without colours
BARS_MAX = 60  # bars beside each other; more are a line if they have an order
ROWS_MAX = 40  # bars below each other; more are left out


class Kind(Enum):
    """The kinds of charts."""

    NOTHING = "nothing"
    LARGE = "large"  # too many numbers for any
    SINGLE = "single"
    BARS = "bars"
    HISTOGRAM = "histogram"
    DOTS = "dots"
    LINES = "lines"
    STEPS = "steps"
    DIFFERENCES = "differences"  # steps of the difference of two survival curves
    HEAT = "heat"


LINED = (Kind.LINES, Kind.STEPS, Kind.DIFFERENCES)  # lines with bands


def chosen(grid: Grid) -> tuple[Kind, Grid]:
    """Return the kind of chart for these numbers, and the numbers turned as that chart needs them."""
    if not grid.size:
        return Kind.NOTHING, grid
    if grid.listed in (lists.SURVIVAL, lists.DIFFERENCES):
        along = grid if grid.along.is_days else grid.turned()
        kind = Kind.STEPS if grid.listed is lists.SURVIVAL else Kind.DIFFERENCES
        return (kind, along) if len(along.by) <= SERIES_MAX else (Kind.HEAT, grid)
    if grid.size == 1:
        return Kind.SINGLE, grid
    if grid.listed is lists.QUANTILES or grid.margin_of == "events":
        return Kind.DOTS, grid
    return _of_keys(_toward_order(grid))


def _of_keys(grid: Grid) -> tuple[Kind, Grid]:
    """Return the kind for numbers in which the ordered key, if there is one, comes first."""
    few, order = len(grid.by) <= SERIES_MAX, grid.along.order
    if order is Order.TIME:
        return (Kind.LINES, grid) if few else (Kind.HEAT, grid.turned())
    if few and grid.size <= BARS_MAX:
        is_ordered = order in (Order.NUMBERS, Order.BINS)
        return (Kind.HISTOGRAM if is_ordered and not grid.by.keys else Kind.BARS), grid
    if order is not Order.NONE:
        return (Kind.LINES, grid) if few else (Kind.HEAT, grid.turned())
    if not grid.by.keys:
        return Kind.BARS, grid
    return Kind.HEAT, grid


def _toward_order(grid: Grid) -> Grid:
    """Return the numbers turned so that they stand along their ordered key, or else along the longer one."""
    if not grid.by.keys:
        return grid
    if not grid.along.keys:
        return grid.turned()
    ranks = {Order.TIME: 3, Order.BINS: 2, Order.NUMBERS: 1, Order.NONE: 0}
    along, by = (ranks[axis.order] for axis in (grid.along, grid.by))
    if along != by:
        return grid if along > by else grid.turned()
    return grid.turned() if len(grid.by) > SERIES_MAX >= len(grid.along) else grid
