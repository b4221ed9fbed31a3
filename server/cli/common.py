"""What every command shares: --json, the exit codes, who acts, and progress bars."""

from __future__ import annotations

import functools
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from budgets.errors import BudgetsError, Invalid, NotFound
from budgets.identity import commitments, people
from queries.errors import InvalidQuery, OutsideProtocol, QueriesError
from server.errors import QueryFailed, ServerError
from server.runtime.services import open_services
from server.runtime.settings import SettingsError, load_settings
from server.web.problems import QUERY_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from budgets.actors import Actor
    from queries.store.ingest import Progress
    from server.runtime.services import Services
    from server.runtime.settings import Settings

REFUSED = 1


@contextmanager
def services() -> Iterator[Services]:
    """Open the home of the environment's settings for one command."""
    opened = open_services(settings())
    try:
        yield opened
    finally:
        opened.close()


def settings() -> Settings:
    """Return the environment's settings."""
    return load_settings()


def with_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --json and the exit codes.

    The command returns (what is said as JSON, what is said in words), and True after them when what it found out is a
    failure. A refusal ends with exit code 1 and its reason
    on standard error; with --json the object on standard output has it too.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
    @functools.wraps(command)
    def run(*args: Any, as_json: bool, **kwargs: Any) -> None:
        try:
            said, words, *failed = command(*args, **kwargs)
        except (QueriesError, BudgetsError, ServerError, SettingsError, OSError) as error:
            reason = reason_of(error)
            if as_json:
                click.echo(json.dumps({"error": reason}))
            click.echo(f"rowless: {reason}", err=True)
            sys.exit(REFUSED)
        click.echo(json.dumps(said) if as_json else _encodable(words))
        if any(failed):
            sys.exit(REFUSED)

    return run


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


def acting(transaction: sa.Connection, role: str, name: str | None) -> Actor:
    """Return who a command acts as: the user named by --as, or the only one of the role it needs.

    In a transaction that writes, for it may be time that they go by a new commitment.
    Whoever can read the home can act as anyone in it; the audit log says on whose behalf.
    """
    days = settings().identity_days
    if name is not None:
        return commitments.in_force(transaction, people.user(transaction, name), days)
    known = people.users_of_role(transaction, role)
    if len(known) == 1:
        return commitments.in_force(transaction, known[0], days)
    if not known:
        raise NotFound(f"this needs a {role}, and there is none: rowless user add NAME --role {role}")
    raise Invalid("--as", f"say on whose behalf: {', '.join(actor.name for actor in known)}")


def as_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --as."""
    return click.option("--as", "name", metavar="USER", help="On whose behalf (if several could).")(command)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show the progress of steps on a terminal; elsewhere show nothing."""
    if not sys.stderr.isatty():
        yield lambda _what, _done: None
        return
    bars: dict[str, Any] = {}

    def show(what: str, done: float) -> None:
        if what not in bars:
            bars[what] = click.progressbar(length=1000, label=f"{what:<40}", file=sys.stderr, show_pos=False)
            bars[what].__enter__()
        bar = bars[what]
        bar.update(max(0, round(done * 1000) - bar.pos))
        if done >= 1 and not bar.finished:
            bar.finish()
            bar.render_progress()
            bar.__exit__(None, None, None)

    yield show
