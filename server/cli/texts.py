"""The texts of the command line that no call of `say` has: the help of commands, and what click says.

`make translations` asks for them (`server/languages/babel.cfg`), through every command that there is.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from babel.messages.extract import extract_python

from server.cli.commands import first_sentence, metavar_words, paragraphs, type_names
from server.cli.main import main
from server.runtime.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

CLICK = Path(inspect.getfile(click)).parent
REQUIRED = "required"  # click looks it up by a variable
# What click says to programmers, to Windows, and of things that no command here has.
UNSAID = (
    *("Windows error", "Name '{name}'", "Boolean option", "Could not determine", "No options defined", "Unknown c"),
    *(
        "%(prog)s",
        "Arguments take exactly",
        "DeprecationWarning",
        "deprecated",
        "Choice({",
        "{editor}",
        "Unknown standard",
        "d",
    ),
    *(
        "Value must be an iterable",
        "Invalid start character",
        "Couldn't detect Bash",
        "Shell completion is not",
        "Unknown standard",
    ),
)

Extracted = tuple[Any, ...]  # a line, the function that looks it up, its texts, comments


def extract(module: IO[bytes], keywords: Any, tags: Any, options: Any) -> Iterator[Extracted]:
    """Yield the texts of `main.py`, of the help of every command, of the settings and of click, for Babel."""
    yield from extract_python(module, keywords, tags, options)
    for text in dict.fromkeys(helped()):
        yield 1, None, text, []
    for file in sorted(CLICK.glob("*.py")):
        with file.open("rb") as source:
            found: Any
            for found in extract_python(source, keywords, (), {}):
                function, texts = found[1:3]
                first = texts[0] if isinstance(texts, tuple) else texts
                if first is not None and not first.startswith(UNSAID):
                    yield 1, function, texts, []


def helped() -> Iterator[str]:
    """Yield each text of the help of every command: its paragraphs, its first sentence, its options and settings."""
    for _path, command in commands():
        context = click.Context(command)
        assert command.help is not None, command.name
        yield from paragraphs(command.help)
        yield first_sentence(command.help)
        for parameter in command.params:
            if parameter.help is not None:
                yield from paragraphs(parameter.help)
            if not getattr(parameter, "is_flag", False):
                yield from metavar_words(parameter.make_metavar(context))
                yield from type_names(parameter.type)
    yield REQUIRED
    for setting in SETTINGS.values():
        yield setting.help


def commands(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command and group with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from commands(found, (*path, name))
