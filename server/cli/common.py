"""What every command shares: --json, the exit codes and progress bars. It needs neither the engine nor the ledger."""

from __future__ import annotations

import functools
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from budgets.errors import BudgetsError
from queries.errors import InvalidQuery, OutsideProtocol, QueriesError
from server.cli.speaking import phrase, phrases
from server.errors import QUERY_FAILED, QueryFailed, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queries.store.ingest import Progress

REFUSED = 1
REFUSALS = (QueriesError, BudgetsError, ServerError, OSError)


def with_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --json and the exit codes.

    The command returns `(json, text)` or `(json, text, failed)`. A refusal ends with exit code 1 and its reason on
    standard error; with --json the object on standard output has the reason too.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
    @functools.wraps(command)
    def run(*args: Any, as_json: bool, **kwargs: Any) -> None:
        try:
            said, words, *failed = command(*args, **kwargs)
        except REFUSALS as error:
            if as_json:
                click.echo(json.dumps({"error": reason_of(error)}))
            refuse(error)
        click.echo(json.dumps(said, default=list) if as_json else _encodable(words))
        if any(failed):
            sys.exit(REFUSED)

    return run


def refuse(error: Exception) -> NoReturn:
    """End the command with the reason on standard error and exit code 1."""
    click.echo(f"rowless: {_spoken(error)}", err=True)
    sys.exit(REFUSED)


def _spoken(error: Exception) -> str:
    """Return why a command was refused, in the language of the command line."""
    if isinstance(error, InvalidQuery | OutsideProtocol):
        return f"{error.pointer}: {phrase(error.message)}"
    return phrases(reason_of(error))


def _encodable(words: str) -> str:
    """Return a text that the terminal's encoding can print: an answer was paid for, so printing it must not fail."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return words.encode(encoding, "backslashreplace").decode(encoding)


def reason_of(error: Exception) -> str:
    """Return why a command was refused, in words."""
    match error:
        case QueryFailed():
            return QUERY_FAILED
        case InvalidQuery() | OutsideProtocol():
            return f"{error.pointer}: {error.message}"
        case OSError(filename=str(), strerror=str()):
            return f"{error.filename}: {error.strerror}"
        case _:
            return str(error)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show the progress of steps on a terminal; elsewhere show nothing."""
    if not sys.stderr.isatty():
        yield lambda _what, _done: None
        return
    bars: dict[str, Any] = {}

    def show(what: str, done: float) -> None:
        if what not in bars:
            bars[what] = click.progressbar(length=1000, label=f"{phrase(what):<40}", file=sys.stderr, show_pos=False)
            bars[what].__enter__()
        bar = bars[what]
        bar.update(max(0, round(done * 1000) - bar.pos))
        if done >= 1 and not bar.finished:
            bar.finish()
            bar.render_progress()
            bar.__exit__(None, None, None)

    yield show
