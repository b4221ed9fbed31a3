"""A group of commands that are imported when they are called.

Importing the engine and the ledger takes seconds, and most commands need only a part of them.
"""

from __future__ import annotations

import gc
import importlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from server.cli.commands import Group
from server.cli.speaking import keeping_english, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Lazy:
    """A command that is not imported yet: where it is, as in "server.cli.init:init", and its line in the group's help.

    The line is the first sentence of the command's own help.
    """

    path: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = self.path.partition(":")
        with _no_collections(), keeping_english():
            command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command), self.path
        return command


@contextmanager
def _no_collections() -> Iterator[None]:
    """Pause the collector: modules stay, and looking for garbage among them takes a fifth of the time of an import."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class LazyGroup(Group):
    """A group that lists its commands without importing them."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names of the commands in alphabetical order."""
        return sorted(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Return the command of a name, or None."""
        return self.lazy[cmd_name].load() if cmd_name in self.lazy else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with a text, for the shell: it asks at each press of a key."""
        named = [
            CompletionItem(name, help=say(self.lazy[name].summary))
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command's name and line."""
        with formatter.section(say("Commands")):
            formatter.write_dl([(name, say(self.lazy[name].summary)) for name in self.list_commands(ctx)])
