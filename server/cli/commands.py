"""Commands and groups whose help is in the language of the command line.

The help of a command and of its options is written in English, where the command is. It is looked up when it is shown,
a paragraph at a time; `texts.py` lists what there is to translate.
"""

from __future__ import annotations

import copy
import inspect
import re
from typing import TYPE_CHECKING, Any

import click

from server.cli.speaking import ENGLISH, code, say

if TYPE_CHECKING:
    from collections.abc import Iterator

VERBATIM = "\b"  # click's mark of a paragraph whose lines stay as they are
METAVAR = re.compile(r"[A-Z][A-Z_]+(?: RANGE)?")
HELP = "Show this message and exit."  # click's own


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text: one line each, but lines that stay as they are keep their ends."""
    for part in inspect.cleandoc(text).split("\n\n"):
        yield part if part.startswith(VERBATIM) else " ".join(part.split())


def in_language(text: str) -> str:
    """Return a help text in the language of the command line."""
    return inspect.cleandoc(text) if code() == ENGLISH else "\n\n".join(map(say, paragraphs(text)))


class Command(click.Command):
    """A command with its help, and with what click says of its parameters, in the language of the command line."""

    _params_by_language: dict[str, list[click.Parameter]]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters; in another language, copies of them with their help and the names of their values."""
        found = super().get_params(ctx)
        if code() == ENGLISH:
            return found
        known = self.__dict__.setdefault("_params_by_language", {})  # click compares parameters by identity
        if code() not in known:
            known[code()] = [_translated(one, ctx) for one in found]
        return list(known[code()])

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return --help. Click keeps it, with the words of the first language that it was shown in."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = say(HELP)
        return option

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return what stands after the command's name in its usage."""
        pieces = super().collect_usage_pieces(ctx)
        if isinstance(self, click.Group):
            pieces[-1] = say("COMMAND [ARGS]...")
        return pieces

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's
        """Write the help text."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(in_language(self.help or ""))

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help, for the list of a group's commands."""
        if code() == ENGLISH:
            return super().get_short_help_str(limit)
        first = first_sentence(self.help or "")
        return say(first)


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, as the list of a group's commands shows it."""
    return next(paragraphs(text)).partition(". ")[0].rstrip(".") + "."


def metavar_words(metavar: str) -> list[str]:
    """Return the words of a value's name that can be translated, as in [FILE]..."""
    return METAVAR.findall(metavar)


def type_names(kind: click.ParamType[Any]) -> list[str]:
    """Return the name of a type of values, if it has a name of its own."""
    name = inspect.getattr_static(kind, "name", None)
    return [name] if isinstance(name, str) else []


def _translated(given: click.Parameter, ctx: click.Context) -> click.Parameter:
    made = copy.copy(given)
    if given.help is not None:
        made.help = in_language(given.help)
    if not getattr(given, "is_flag", False):
        made.metavar = METAVAR.sub(lambda found: say(found[0]), given.make_metavar(ctx))
    for name in type_names(given.type):  # click's errors name the type
        made.type = copy.copy(given.type)
        made.type.name = say(name)
    return made
