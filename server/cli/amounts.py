"""Amounts, reasons and digests of the command line, as those of an HTTP request are read."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from budgets.amounts import offered, rounding
from budgets.errors import Invalid
from server.cli.speaking import phrase, say
from server.views.study import noted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WORDS = {"delta": "delta"}  # the other options are an epsilon


class Amounts:
    """Amounts by the names of their options, rounded down, and notes on what was rounded."""

    def __init__(self, **given: str | None) -> None:
        self.notes: list[str] = []
        self.nano = {name: self._offered(name, text) for name, text in given.items() if text is not None}

    def _offered(self, name: str, text: str) -> int:
        field = name.replace("_", "-")
        word, number = WORDS.get(name, "epsilon"), decimal(text, field)
        note = rounding(word, number, field)
        self.notes += [] if note is None else [note]
        return offered(word, number, field)


def decimal(text: str, field: str) -> Decimal:
    """Return a number of the command line. Raises Invalid."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Invalid(field, "must be a number") from None


def with_notes(said: tuple[Mapping[str, Any], str], notes: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return what a command returns, with notes added to the JSON and to the words."""
    return noted(dict(said[0]), notes), "\n".join(
        [said[1], *(say("Note: %(note)s", note=phrase(note)) for note in notes)]
    )


def division_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --laplace and --justification."""
    laplace = click.option(
        "--laplace",
        type=click.IntRange(0, 100),
        metavar="PERCENT",
        help="The part of epsilon that is for Laplace noise where there is Gaussian noise too.",
    )
    why = click.option("--justification", help="Why the budget is so large; the approver reads it, the report has it.")
    return laplace(why(command))


def seen_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --seen."""
    return click.option(
        "--seen",
        metavar="DIGEST",
        help="The digest that `show` printed of what waits: refuse if it has changed since.",
    )(command)


def given(**members: str | None) -> dict[str, str]:
    """Return the body of advice or an approval over HTTP: the members that were given."""
    return {name: text for name, text in members.items() if text is not None}
