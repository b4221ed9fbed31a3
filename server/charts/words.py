"""All words of the charts, in one place, so that a page can say them in its reader's language.

`Words` holds how a message is said: `say(message, **values)` and `count(one, many, number, **values)`, which are the
gettext and ngettext of Flask-Babel. Every message is a literal below, where pybabel finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from queries.statistics.parts import lists
from server.charts import texts
from server.charts.choosing import LINED, Kind
from server.views import numbers
from server.views.table import Dated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.charts.grid import Axis, Grid
    from server.views.numbers import Marks
    from server.views.table import Cell, Label


class Say(Protocol):
    """Says a message with its values filled in."""

    def __call__(self, message: str, /, **values: str) -> str:
        """Return the message in the reader's language."""
        ...


class Count(Protocol):
    """Says a message for a number of things."""

    def __call__(self, one: str, many: str, number: int, /, **values: str) -> str:
        """Return the message for this number; `%(num)s` in it is the number."""
        ...


def _say(message: str, /, **values: str) -> str:
    return message % values if values else message


def _count(one: str, many: str, number: int, /, **values: str) -> str:
    return (one if number == 1 else many) % {"num": number, **values}


@dataclass(frozen=True)
class Words:
    """How a language says messages, and writes numbers and days."""

    say: Say = _say
    count: Count = _count
    marks: Marks = numbers.ENGLISH
    days: str = "%Y-%m-%d"  # how strftime writes a day
    date: Callable[[str], str] = str  # how the label of a day, a period or a range of days is written


ENGLISH = Words()


def label(words: Words, value: Label) -> str:
    """Return the label of a cell, safe to be drawn. None is the label of persons or events without a value."""
    if value is None:
        return words.say("unknown")
    if isinstance(value, bool):
        return words.say("true") if value else words.say("false")
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, Dated):
        value = words.date(value)
    return texts.name(value) or words.say("(empty)")


def value(words: Words, cell: Cell) -> str:
    """Return a number with its margin, to the digits that the margin supports."""
    if cell.hidden:
        return words.say("hidden: a small cell")
    return numbers.with_interval(cell, whole=False, marks=words.marks) or words.say("no number")


def heading(words: Words, grid: Grid) -> str:
    """Return the title of a chart: the statistic, and what it is grouped by."""
    keys = [*grid.along.keys, *grid.by.keys]
    if grid.listed is not None and grid.listed.heading in keys:
        keys.remove(grid.listed.heading)  # what its list is of is said beside the axis
    of = texts.name(grid.statistic)
    if not keys:
        return of
    *first, last = map(texts.name, keys)
    if not first:
        return words.say("%(statistic)s by %(key)s", statistic=of, key=last)
    return words.say("%(statistic)s by %(keys)s and %(last)s", statistic=of, keys=", ".join(first), last=last)


def margins(words: Words, confidence: float | None) -> str:
    """Return what margins mean, in a few words."""
    if confidence is None:
        return words.say("with margins of error")
    return words.say("with margins of error at %(confidence)s", confidence=percent(words, confidence))


def percent(words: Words, share: float) -> str:
    """Return a share as a percentage."""
    return words.say("%(number)s%%", number=numbers.grouped(Decimal(f"{100 * share:g}"), words.marks))


def rehearsal(words: Words) -> str:
    """Return that the numbers are made up."""
    return words.say("Rehearsal: the data were made up, so the numbers mean nothing.")


def extremes(words: Words, shown: Sequence[tuple[str, Cell]]) -> str:
    """Return how many numbers there are, the least and the greatest of them, and where they stand."""
    if not shown:
        return no_numbers(words)
    if len(shown) == 1:
        return words.say("One number: %(value)s.", value=value(words, shown[0][1]))
    if len(shown) <= FEW:
        return words.say("%(list)s.", list="; ".join(f"{where}: {value(words, cell)}" for where, cell in shown))
    least = min(shown, key=lambda one: one[1].value or 0)
    greatest = max(shown, key=lambda one: one[1].value or 0)
    return words.say(
        "%(count)s numbers, from %(least)s (%(at)s) to %(greatest)s (%(there)s).",
        count=_whole(words, len(shown)),
        least=value(words, least[1]),
        at=least[0],
        greatest=value(words, greatest[1]),
        there=greatest[0],
    )


FEW = 4  # numbers that a description lists


def no_numbers(words: Words) -> str:
    """Return that there is nothing to draw."""
    return words.say("There are no numbers.")


def trend(words: Words, name: str, first: tuple[str, Cell], last: tuple[str, Cell]) -> str:
    """Return where a line begins and ends."""
    return words.say(
        "%(name)s begins at %(first)s (%(at)s) and ends at %(last)s (%(there)s).",
        name=name or words.say("The line"),
        first=value(words, first[1]),
        at=first[0],
        last=value(words, last[1]),
        there=last[0],
    )


def at(words: Words, axis: Axis, place: int) -> str:
    """Return the label at a place of an axis."""
    return JOINT.join(label(words, part) for part in axis.labels[place])


def where(words: Words, grid: Grid, along: int, by: int) -> str:
    """Return which cell a number is of."""
    parts = [at(words, axis, place) for axis, place in ((grid.along, along), (grid.by, by)) if axis.keys]
    return JOINT.join(parts) or texts.name(grid.statistic)


JOINT = " · "  # between the labels of several keys


def axis_name(words: Words, axis: Axis) -> str:
    """Return what stands beside an axis."""
    if axis.is_days:
        return words.say("days since the start")
    if axis.keys[-1:] == (lists.QUANTILES.heading,):
        return JOINT.join([*map(texts.name, axis.keys[:-1]), words.say("share of the values below")])
    return JOINT.join(map(texts.name, axis.keys))


def kind(words: Words, kind: Kind) -> str:
    """Return what kind of chart it is."""
    match kind:
        case Kind.SINGLE:
            return words.say("One number on an axis.")
        case Kind.BARS:
            return words.say("Bar chart.")
        case Kind.HISTOGRAM:
            return words.say("Histogram.")
        case Kind.DOTS:
            return words.say("Dots with intervals.")
        case Kind.LINES:
            return words.say("Line chart.")
        case Kind.STEPS:
            return words.say("Survival curve in steps.")
        case Kind.DIFFERENCES:
            return words.say("Difference of survival curves in steps.")
        case Kind.HEAT:
            return words.say("Heat map.")
        case Kind.NOTHING | Kind.LARGE:
            return words.say("No chart.")
        case _:
            assert_never(kind)


def reading(words: Words, confidence: float | None, kind: Kind) -> str:
    """Return how the margins are drawn, and what they mean."""
    if kind is Kind.HEAT:
        return words.say("The stronger the colour, the larger the number. The table has the margin of each number.")
    if confidence is None:
        return _drawn(words, kind)
    said = {"confidence": percent(words, confidence)}
    if kind in LINED:
        return words.say(
            "The band around a line is the margin of error: "
            "with a confidence of %(confidence)s the number without noise lies within it.",
            **said,
        )
    if kind is Kind.SINGLE:
        return words.say(
            "The line through the dot is the margin of error: "
            "with a confidence of %(confidence)s the number without noise lies within it.",
            **said,
        )
    return words.say(
        "The thin line across each mark is the margin of error: "
        "with a confidence of %(confidence)s the number without noise lies within it.",
        **said,
    )


def _drawn(words: Words, kind: Kind) -> str:
    if kind in LINED:
        return words.say("The band around a line is the margin of error.")
    if kind is Kind.SINGLE:
        return words.say("The line through the dot is the margin of error.")
    return words.say("The thin line across each mark is the margin of error.")


def caveat(words: Words, said: str) -> str:
    """Return what contribution bounds cut off, as a sentence."""
    return words.say("Not in the margins: %(said)s.", said=said)


def drowned(words: Words, count: int, total: int, kind: Kind) -> str:
    """Return how many numbers are lost in their noise, and how the chart shows them."""
    if total == 1:
        return words.say("The margin is more than half of the number: do not rely on it.")
    counts = {"count": _whole(words, count), "total": _whole(words, total)}
    if kind in (Kind.BARS, Kind.HISTOGRAM):
        return words.say(
            "In %(count)s of %(total)s numbers the margin is more than half of the number (hatched): "
            "do not rely on these.",
            **counts,
        )
    if kind is Kind.HEAT:
        return words.say(
            "In %(count)s of %(total)s numbers the margin is more than half of the number (struck through): "
            "do not rely on these.",
            **counts,
        )
    return words.say(
        "In %(count)s of %(total)s numbers the margin is more than half of the number: do not rely on these.", **counts
    )


def below_zero(words: Words) -> str:
    """Return what a colour stands for that is not on the scale."""
    return words.say("below zero")


def too_many(words: Words, count: int) -> str:
    """Return that an answer has too many numbers for a chart."""
    return words.say("%(count)s numbers are too many for a chart; the table has them.", count=_whole(words, count))


def source(words: Words, release: Mapping[str, Any]) -> str:
    """Return where the numbers of a file come from."""
    parts = [
        f"{what} {texts.name(str(release[member]))}"
        for what, member in (
            (words.say("study"), "study"),
            (words.say("dataset"), "dataset"),
            (words.say("edition"), "edition"),
            (words.say("release"), "id"),
        )
        if release.get(member) is not None
    ]
    return ", ".join(["Rowless", *parts])


def left_out(words: Words, shown: int, total: int, *, largest: bool, rows: bool) -> str:
    """Return how many numbers a chart shows, and which: the first or the largest, or those of the largest `rows`."""
    counts = {"shown": _whole(words, shown), "total": _whole(words, total)}
    if not largest:
        return words.say("The chart shows the first %(shown)s of %(total)s numbers; the table has all.", **counts)
    if rows:
        return words.say(
            "The chart shows %(shown)s of %(total)s numbers, those of the largest groups; the table has all.", **counts
        )
    return words.say("The chart shows the %(shown)s largest of %(total)s numbers; the table has all.", **counts)


def _whole(words: Words, count: int) -> str:
    return numbers.grouped(Decimal(count), words.marks)


def clipped(words: Words, count: int) -> str:
    """Return how many intervals do not fit on the axis."""
    return words.count(
        "One margin reaches beyond the edge of the chart, where it ends in an arrow.",
        "%(num)s margins reach beyond the edge of the chart, where they end in arrows.",
        count,
    )


def missing(words: Words, count: int) -> str:
    """Return how many cells have no number with a margin."""
    return words.count(
        "One cell has no number with a margin, and is empty.",
        "%(num)s cells have no number with a margin, and are empty.",
        count,
    )


def hidden(words: Words, count: int) -> str:
    """Return how many numbers of small cells are hidden."""
    return words.count(
        "One number is hidden, because its cell is small.",
        "%(num)s numbers are hidden, because their cells are small.",
        count,
    )


def axis_from(words: Words, begin: str) -> str:
    """Return that an axis does not begin at zero."""
    return words.say("The axis begins at %(begin)s, not at zero.", begin=begin)


def nothing(words: Words) -> str:
    """Return why a chart is empty."""
    return words.say("The answer has no rows: no value reached the threshold that a value needs to be named.")


def used_title(words: Words) -> str:
    """Return the title of the gauges."""
    return words.say("Used of the limits")


def unit(words: Words, name: str) -> str:
    """Return what a sum of charges is of."""
    match name:
        case "laplace_epsilon":
            return words.say("epsilon of Laplace noise")
        case "gaussian_rho":
            return words.say("rho of Gaussian noise")
        case _:
            return name


def used_of(words: Words, unit: str, used: str, limit: str) -> str:
    """Return what an account used, beside its gauge."""
    return words.say("%(unit)s %(used)s of %(limit)s", unit=unit, used=used, limit=limit)


def used_sentence(words: Words, account: str, unit: str, used: str, limit: str) -> str:
    """Return what an account used, as a sentence."""
    return words.say(
        "%(account)s used %(unit)s %(used)s of its limit of %(limit)s.",
        account=account,
        unit=unit,
        used=used,
        limit=limit,
    )


def spending_title(words: Words, unit: str, account: str) -> str:
    """Return the title of the use over time. `account` is a study or a dataset with its name."""
    return words.say("Used over time by the %(account)s, as %(unit)s", unit=unit, account=account)


def charges(words: Words, count: int) -> str:
    """Return how many charges a line is made of."""
    return words.count("A line that rises with one charge.", "A line that rises with %(num)s charges.", count)


def limit(words: Words, amount: str) -> str:
    """Return what stands at the line of the limit."""
    return words.say("limit %(amount)s", amount=amount)


def beliefs_title(words: Words) -> str:
    """Return the title of the curves of beliefs."""
    return words.say("How sure somebody can become that a person is in the data")


def belief_before(words: Words) -> str:
    """Return what stands below the curves of beliefs."""
    return words.say("belief before the answers")


def nothing_learnt(words: Words) -> str:
    """Return what the diagonal stands for."""
    return words.say("nothing is learnt")
