"""`rowless release`: list the answers of a study and show them again, free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from marshmallow import ValidationError

from budgets.errors import Invalid
from budgets.governance import studies
from budgets.identity import people
from budgets.ledger import releases
from server.api.requests.query import POST, parse_post
from server.api.requests.showing import read_text
from server.charts import chart
from server.cli.commands import Group
from server.cli.common import with_json
from server.cli.home import services
from server.cli.query import POST_HELP, SHOW_HELP, asker, cost_text, notes_text
from server.cli.remote import remote, segment
from server.cli.speaking import for_tables, moment, say
from server.journey import answer, rereading
from server.views import csv
from server.views.terminal import as_table, label_text
from server.web.problems import findings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from budgets.ledger.charges import Release
    from queries.language.showing import Show

_MEDIA = {rereading.CSV: "text/csv", rereading.SVG: "image/svg+xml"}


@click.group(cls=Group)
def release() -> None:
    """Read what was released."""


def _as_option(command: Any) -> Any:
    return click.option("--as", "name", metavar="USER", help="Who reads (if the study has several members).")(command)


@release.command("list")
@click.argument("study")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many.")
@click.option("--cursor", metavar="CURSOR", help="Where to continue: `next` of the previous page.")
@_as_option
@with_json
def list_(study: str, limit: int, cursor: str | None, name: str | None) -> Any:
    """List a study's releases, oldest first."""
    if (server := remote(name)) is not None:
        page = server.json("GET", f"/studies/{segment(study)}/releases", limit=limit, cursor=cursor)
        return page, _list_words(study, page["items"], page["next"])
    time, _, last = (cursor or "").partition("~")
    after = None if cursor is None else (time, last)
    with services() as opened:
        with opened.database.write() as transaction:
            by = asker(transaction, study, name, also=people.ROLES)
        with opened.database.read() as transaction:
            studies.visible(transaction, study, by)
            found = releases.of_study(transaction, study, after=after, limit=limit + 1)
    items = [_head(one) for one in found[:limit]]
    following = f"{items[-1]['charged_at']}~{items[-1]['id']}" if len(found) > limit else None
    return {"items": items, "next": following}, _list_words(study, items, following)


def _list_words(study: str, items: Sequence[Mapping[str, Any]], following: str | None) -> str:
    lines = [
        f"{one['id']}  {moment(one['charged_at'])}  {cost_text(one['cost'])}  {label_text(one['sql'])}" for one in items
    ]
    lines += [] if following is None else [say("more with --cursor %(cursor)s", cursor=following)]
    return "\n".join(lines) or say("Nothing was released of study %(study)s yet", study=study)


def _head(one: Release) -> dict[str, Any]:
    return {
        "id": one.id,
        "edition": one.question.edition,
        "sql": one.body["sql"],
        "cost": one.body["cost"],
        "charged_at": one.charged_at,
    }


@release.command()
@click.argument("study")
@click.argument("identifier", metavar="RELEASE")
@click.option("--post", metavar="WORDS", help=POST_HELP)
@click.option("--show", "wanted", metavar="TEXT", help=SHOW_HELP)
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, with its notes in lines that begin with #.")
@click.option("--svg", "as_svg", is_flag=True, help="As charts: one SVG file.")
@_as_option
@with_json
def show(
    study: str, identifier: str, post: str | None, wanted: str | None, name: str | None, *, as_csv: bool, as_svg: bool
) -> Any:
    """Show a release again, free, with the same numbers as when it was made.

    The audit log keeps that it was read.
    """
    if as_csv and as_svg:
        raise click.UsageError(say("--csv and --svg are two forms: choose one"))
    form = rereading.CSV if as_csv else rereading.SVG if as_svg else rereading.JSON
    try:
        words = parse_post([] if post is None else post.split(","))
    except ValidationError:
        raise Invalid("--post", f"must be any of {POST}, with commas between") from None
    rows = _read_show(wanted)
    if (server := remote(name)) is not None:
        address = f"/studies/{segment(study)}/releases/{segment(identifier)}"
        if form != rereading.JSON:  # as the server writes it, so that a reading is one entry of its form
            text = server.call("GET", address, accept=_MEDIA[form], post=post, show=wanted)
            return {form: text}, text.removesuffix("\n")
        return _shown(server.json("GET", address, post=post, show=wanted))
    with services() as opened:
        with opened.database.write() as transaction:
            by = asker(transaction, study, name, also=people.ROLES)
        stored = rereading.read(opened, by, study, identifier, form, words)
        with opened.database.read() as transaction:
            said = answer.show_again(transaction, stored, words, rows)
    if as_csv:
        return said, csv.release_csv(said).removesuffix("\n")
    if as_svg:
        return said, chart.sheet(said)
    return _shown(said)


def _read_show(text: str | None) -> Show:
    """Return which rows are wanted. Raises Invalid."""
    try:
        return read_text(text or "")
    except ValidationError as error:
        pointer, detail = next(findings(error.messages, ""))
        raise Invalid(f"--show{pointer}", detail) from None


def _shown(said: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    cost = say("it cost %(cost)s when it was made", cost=cost_text(said["cost"]))
    return said, f"{as_table(said, for_tables())}\n\n{cost}{notes_text(said)}"
