"""`rowless audit entries` and `audit export`: read the log, and take a copy of it."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from marshmallow import ValidationError

from budgets.audit import log, signing
from budgets.verify import checkpoint
from server.api.requests.schemas import Moment
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import RemoteRefused, remote
from server.cli.speaking import moment as shown_moment
from server.cli.speaking import phrase, say, whole
from server.views.csv import write_entries_csv, write_shown_entries_csv
from server.views.entries import page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from server.cli.remote import Remote


T = TypeVar("T")
PAGE = 1000  # as many as the server sends at once


def moment(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """Return a time in the form in which the log keeps times."""
    try:
        return None if given is None else str(Moment().deserialize(given))
    except ValidationError as error:
        raise click.BadParameter(phrase(str(error.messages[0]))) from None


@click.command(cls=Command)
@click.option("--study", metavar="STUDY", help="Only entries of this study.")
@click.option("--actor", metavar="USER", help="Only what this user did.")
@click.option("--action", metavar="ACTION", help="Only this action, as in query.release.")
@click.option("--from", "since", metavar="TIME", callback=moment, help="Only from this day or time in UTC on.")
@click.option("--to", "until", metavar="TIME", callback=moment, help="Only before this day or time in UTC.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--cursor", type=click.IntRange(0), help="Start at this index.")
@click.option("--oldest-first", is_flag=True, help="Go forwards from the start, or from the cursor.")
@as_option
@with_json
def entries(name: str | None, cursor: int | None, limit: int, oldest_first: bool, **filters: str | None) -> Any:
    """Show entries of the log, the newest first."""
    if (server := remote(name)) is not None:
        order = "oldest" if oldest_first else "newest"
        asked = {"from": filters.pop("since"), "to": filters.pop("until"), **filters}
        found = server.json("GET", "/audit/entries", cursor=cursor, limit=limit, order=order, **asked)
        following = None if found["next"] is None else int(found["next"])
        return {**found, "next": following}, _table(found["items"], following)
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "dpo", name)
        shown, following = page(opened.database, by, filters, cursor=cursor, limit=limit, newest_first=not oldest_first)
    items = [entry.to_json() for entry in shown]
    return {"items": items, "next": following}, _table(items, following)


def _table(items: Sequence[Mapping[str, Any]], following: int | None) -> str:
    if not items:
        return say("no entry fits")
    lines = [_row(say("index"), say("time (UTC)"), say("who"), say("action"), say("what"))]
    for item in items:
        who = item["actor_name"] or say("erased %(commitment)s", commitment=item["actor"][:8])
        lines.append(_row(item["index"], shown_moment(item["time"]), who, item["action"], phrase(item["summary"])))
    if following is not None:
        lines.append(say("more with --cursor %(cursor)s", cursor=following))
    return "\n".join(lines)


def _row(index: object, time: str, who: str, action: str, what: str) -> str:
    return f"{index:>8}  {time:<19}  {who:<12} {action:<22} {what}"


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--csv", "as_csv", is_flag=True, help="A table for people instead.")
@as_option
@with_json
def export(file: Path, name: str | None, *, as_csv: bool) -> Any:
    """Write the log to FILE as JSON lines, and its signed checkpoint to FILE.checkpoint.

    Each line is an entry's body, byte for byte as it was hashed: that is what `verify` checks. With --csv the file is
    a table to read, with the names that are known and each entry's hash, and without the facts.
    """
    covering = file.with_name(f"{file.name}.checkpoint")
    if (server := remote(name)) is not None:
        return _exported(file, covering, _over_http(server, file, covering, as_csv=as_csv))
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "dpo", name)
            log.append(transaction, by, "audit.export", "audit", "the audit log was exported")
        note = signing.sign(opened.database, opened.settings.key_path)
        size = checkpoint.read(note).size
        with opened.database.read() as transaction, file.open("w", encoding="utf-8", newline="\n") as lines:
            if as_csv:
                write_entries_csv(lines, itertools.islice(log.every_entry(transaction), size))
            else:
                lines.writelines(f"{body}\n" for body in log.every_body(transaction, size))
        covering.write_text(note, encoding="utf-8", newline="\n")
    return _exported(file, covering, size)


def _over_http(server: Remote, file: Path, covering: Path, *, as_csv: bool) -> int:
    """Write the entries that a checkpoint covers, page by page. Return how many they are. Raises RemoteRefused."""
    # The checkpoint comes first: the log may only grow after it, so its first entries stay those that it covers.
    note = server.call("GET", "/audit/checkpoint", accept="text/plain")
    size = checkpoint.read(note).size
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        if as_csv:
            write_shown_entries_csv(lines, _paged(size, partial(_shown, server)))
        else:
            lines.writelines(_paged(size, partial(_bodies, server)))
    covering.write_text(note, encoding="utf-8", newline="\n")
    return size


def _paged(size: int, page: Callable[[int, int], list[T]]) -> Iterator[T]:
    """Yield the first entries of a server's log. `page` returns those from an index on, so many at most."""
    written = 0
    while written < size:
        found = page(written, min(PAGE, size - written))
        if not found:
            raise RemoteRefused("the server's log ends before the entries that its checkpoint covers")
        yield from found
        written += len(found)


def _bodies(server: Remote, cursor: int, limit: int) -> list[str]:
    asked = {"order": "oldest", "cursor": cursor, "limit": limit}
    # Not splitlines(): a text in an entry may have other characters that end a line, such as U+2028.
    *bodies, _end = server.call("GET", "/audit/entries", accept="application/jsonl", **asked).split("\n")
    return [f"{body}\n" for body in bodies]


def _shown(server: Remote, cursor: int, limit: int) -> list[Mapping[str, Any]]:
    return list(server.json("GET", "/audit/entries", order="oldest", cursor=cursor, limit=limit)["items"])


def _exported(file: Path, covering: Path, size: int) -> tuple[dict[str, Any], str]:
    said = {"file": str(file), "checkpoint": str(covering), "entries": size}
    words = say(
        "%(entries)s entries were written to %(file)s, and the checkpoint that covers them to %(checkpoint)s",
        entries=whole(size),
        file=file,
        checkpoint=covering,
    )
    return said, words
