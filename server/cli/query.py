"""`rowless query`: ask as a member of a study, over HTTP or on the machine that has the home."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from marshmallow import ValidationError

from budgets.errors import BudgetsError, Invalid
from budgets.governance import forecast, studies
from queries.errors import InvalidQuery
from server.api.requests.query import NOISES, AskSchema
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import acting, services
from server.cli.remote import remote, segment
from server.cli.speaking import count, for_tables, number, phrase, say
from server.errors import ServerError
from server.journey import answer
from server.journey.preparing import Request
from server.views.table import caveat
from server.views.terminal import as_table
from server.web.bodies import read_json
from server.web.problems import findings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import sqlalchemy as sa

    from budgets.actors import Actor
    from server.cli.remote import Remote
    from server.runtime.services import Services

POST_HELP = "Post-processing, with commas between: consistent,round,clamp,hide_below:11."
SHOW_HELP = "Which rows, in which order, free: HAVING n > 99 ORDER BY n DESC LIMIT 10."
MARGIN = re.compile(r"(?P<name>\w+)=(?P<margin>-?\d+(\.\d+)?)(@(?P<group>\d+)|(?P<events>events))?")


@dataclass(frozen=True)
class Options:
    """The command line's values: each field is the argument or option of its name."""

    study: str
    file: Path | None
    sql: str | None
    epsilon: float | None
    rho: float | None
    delta: float | None
    margins: tuple[str, ...]
    confidence: float | None
    noise: str | None
    cells_per_person: int | None
    events_per_cell: int | None
    name: str | None
    estimate: bool
    rehearse: bool
    post: str | None
    show: str | None
    drowned: float | None

    @property
    def bounds(self) -> dict[str, int]:
        """Return the contribution bounds that are given, as a request has them."""
        return _given(cells_per_person=self.cells_per_person, events_per_cell=self.events_per_cell)

    @property
    def privacy(self) -> dict[str, Any]:
        """Return what the query may spend, as a request has it. Raises click.UsageError."""
        return _given(
            epsilon=self.epsilon,
            rho=self.rho,
            delta=self.delta,
            margin=_targets(self.margins) or None,
            confidence=self.confidence,
            noise=self.noise,
        )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@click.command(cls=Command)
@click.argument("study")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sql", help="The query as a SELECT statement, instead of a file; with --epsilon, --rho or --margin.")
@click.option("--epsilon", type=float, help="What a query in SQL may spend, with Laplace noise.")
@click.option("--rho", type=float, help="What a query in SQL may spend, with Gaussian noise.")
@click.option("--delta", type=float, help="What it may spend beside them, if a key has no declared values.")
@click.option(
    "--margin",
    "margins",
    multiple=True,
    metavar="NAME=MARGIN",
    help="Spend the least that gives a statistic this margin; NAME=MARGIN@GROUP where it depends on a group's size, "
    "NAME=NUMBERevents for a quantile. May be repeated.",
)
@click.option("--confidence", type=float, help="Confidence of the margins that are asked for; 0.95 by default.")
@click.option("--noise", type=click.Choice(NOISES), help="Noise of the margins that are asked for; laplace by default.")
@click.option("--cells-per-person", type=int, help="In how many cells of a query in SQL one person may count.")
@click.option("--events-per-cell", type=int, help="How many events of one person may count in each cell.")
@click.option("--as", "name", metavar="USER", help="The member who asks (if there are several).")
@click.option("--estimate", is_flag=True, help="Only show what it would cost; free.")
@click.option("--rehearse", is_flag=True, help="Answer on data made up from the catalog; free.")
@click.option("--post", metavar="WORDS", help=POST_HELP)
@click.option("--show", metavar="TEXT", help=SHOW_HELP)
@click.option(
    "--require-drowned",
    "drowned",
    type=float,
    metavar="SHARE",
    help="Refuse the query, before any charge, if a larger share of its numbers is expected to drown in the noise.",
)
@with_json
def query(**values: Any) -> Any:
    """Ask a query, in SQL or as FILE.

    FILE holds the body of the HTTP request: {"query": ..., "privacy": ...}.
    """
    options = Options(**values)
    request = read_request(options)
    if (server := remote(options.name)) is not None:
        return _asked(server, options)
    with services() as opened:
        with opened.database.write() as transaction:
            by = asker(transaction, options.study, options.name)
        if options.estimate:
            said = answer.estimate(opened, by, options.study, request)
            return said, _estimate_text(said)
        if options.rehearse:
            said = answer.rehearse(opened, by, options.study, request)
            return said, f"{as_table(said, for_tables())}{notes_text(said)}"
        said = answer.answer(opened, by, options.study, request)
        # The answer is paid for: nothing after this line may keep it from being printed.
        return said, f"{as_table(said, for_tables())}\n\n{_paid_text(opened, options.study, said)}{notes_text(said)}"


def _asked(server: Remote, options: Options) -> Any:
    """Ask over HTTP. Raises RemoteRefused."""
    kind = "estimates" if options.estimate else "rehearsals" if options.rehearse else "queries"
    said = server.json("POST", f"/studies/{segment(options.study)}/{kind}", _body(options))
    if options.estimate:
        return said, _estimate_text(said)
    if options.rehearse:
        return said, f"{as_table(said, for_tables())}{notes_text(said)}"
    buys = None
    with suppress(ServerError):  # the answer is paid for, and is printed whatever happens
        buys = server.json("GET", f"/studies/{segment(options.study)}/budget")["buys"]
    return said, f"{as_table(said, for_tables())}\n\n{_paid_words(options.study, said, buys)}{notes_text(said)}"


def read_request(options: Options) -> Request:
    """Return the request that the options make. Raises InvalidQuery, click.UsageError."""
    if options.estimate and options.rehearse:
        raise click.UsageError(say("give --estimate or --rehearse"))
    try:
        body = AskSchema().load(_body(options))
    except ValidationError as error:
        pointer, detail = next(findings(error.messages, ""))
        raise InvalidQuery(pointer, detail) from None
    shown, required = {name: body[name] for name in ("in_sql", "post", "show", "show_in_sql", "notes")}, body["require"]
    return Request(body["query"], body["privacy"], drowned_max=required.drowned, priced=required.question, **shown)


def _body(options: Options) -> Any:
    """Return the body of the HTTP request that asks the same. Raises click.UsageError."""
    if (options.file is None) == (options.sql is None):
        raise click.UsageError(say("give a FILE or --sql"))
    if options.file is None:
        body: Any = {"sql": options.sql, "privacy": options.privacy}
        if options.bounds:
            body["bounds"] = options.bounds
    elif options.bounds or options.privacy:
        raise click.UsageError(
            say("with a FILE, give the contribution bounds and what the query may spend in the FILE")
        )
    else:
        body = read_json(options.file.read_bytes())
    if isinstance(body, dict):
        body |= _given(
            post=None if options.post is None else options.post.split(","),
            show=None if options.show is None else shown_body(options.show),
            require=None if options.drowned is None else {"drowned": options.drowned},
        )
    return body


def shown_body(text: str) -> Any:
    """Return what a request has as `show` for a text: JSON as it is, or SQL."""
    return read_json(text.encode()) if text.lstrip().startswith("{") else {"sql": text}


def asker(transaction: sa.Connection, study: str, name: str | None, *, also: Collection[str] = ()) -> Actor:
    """Return the user who asks: the one named by --as, or the study's only member.

    `also` are roles that may do it as well. Raises Invalid, NotFound, Forbidden.
    """
    members = studies.study(transaction, study).members
    if name is None and len(members) != 1:
        raise Invalid("--as", f"say who asks: {', '.join(members) or 'the study has no members yet'}")
    return acting(transaction, "researcher", name or members[0], also=also)


def _paid_text(opened: Services, study: str, said: Mapping[str, Any]) -> str:
    """Return what an answer cost, what is left and how to read it again."""
    buys = None
    with suppress(BudgetsError), opened.database.read() as transaction:
        buys = forecast.of_study(transaction, studies.study(transaction, study)).words
    return _paid_words(study, said, buys)


def _paid_words(study: str, said: Mapping[str, Any], buys: str | None) -> str:
    remaining = said["budget"]["remaining"]
    left = say("epsilon %(epsilon)s or rho %(rho)s", epsilon=_exact(remaining["epsilon"]), rho=_exact(remaining["rho"]))
    left += "" if buys is None else f", {phrase(buys)}"
    paid = say("read again, free") if said["replayed"] else say("cost %(cost)s", cost=cost_text(said["cost"]))
    again = say("to read it again, free: %(command)s", command=f"rowless release show {study} {said['id']}")
    summed = say("%(paid)s; left: %(left)s", paid=paid, left=left)
    return f"{summed}\n{again}"


def _estimate_text(said: Mapping[str, Any]) -> str:
    left = said["queries_left"]
    times = count(
        "%(num)s such query would fit the budget",
        "%(num)s such queries would fit the budget",
        left,
        num=number(f"{left:,}"),
    )
    if said.get("release"):  # a server of an earlier version does not say
        times = say("it was asked before: the same answer is free")
    columns = said["columns"]
    percent = number(f"{100 * max(column.get('confidence', 0) for column in columns):g}%")
    cost = cost_text(said["cost"])
    lines = [
        say("This would cost %(cost)s (%(times)s); margins at %(percent)s:", cost=cost, times=times, percent=percent),
        *(
            say("  %(column)s: %(margin)s", column=column["name"], margin=margin_text(column))
            for column in columns
            if column["kind"] != "key" or "threshold" in column
        ),
        say("Advice:"),
        *(f"  - {phrase(advice)}" for advice in said["advice"]),
    ]
    # A note that the advice repeats is left out.
    notes = [note for note in said["notes"] if note not in said["advice"]]
    return f"{chr(10).join(lines)}{notes_text({'notes': notes})}"


def notes_text(said: Mapping[str, Any]) -> str:
    """Return the notes of an answer, each on a line of its own."""
    return "".join("\n" + say("Note: %(note)s", note=phrase(note)) for note in said["notes"])


def _targets(margins: tuple[str, ...]) -> dict[str, Any]:
    """Return the margins that are asked for, as a request has them. Raises click.UsageError."""
    found: dict[str, Any] = {}
    for text in margins:
        matched = MARGIN.fullmatch(text)
        if matched is None or matched["name"] in found:
            raise click.UsageError(say("--margin %(text)s: give NAME=MARGIN, once for each statistic", text=text))
        margin, group = float(matched["margin"]), matched["group"]
        if matched["events"] is not None:
            found[matched["name"]] = {"events": margin}
        else:
            found[matched["name"]] = margin if group is None else {"margin": margin, "at": int(group)}
    return found


def cost_text(cost: dict[str, Any]) -> str:
    """Return a cost in words: epsilon where there is a finite one, else rho."""
    size = f"rho {_exact(cost['rho'])}" if cost["epsilon"] is None else f"epsilon {_exact(cost['epsilon'])}"
    if not cost["delta"]:
        return size
    return say("%(size)s and delta %(delta)s", size=size, delta=number(f"{cost['delta']:.3g}"))


def _exact(amount: float) -> str:
    """Return a number of billionths with all its digits."""
    return number(f"{Decimal(repr(amount)).normalize():f}")


def margin_text(column: dict[str, Any]) -> str:
    """Return a column's margin in words, or the threshold of a key's values."""
    if "threshold" in column:
        least = number(str(column["threshold"]))
        return say("the values whose number of persons, with noise, is at least %(least)s", least=least)
    said = caveat(column.get("truncation"), column.get("expected_loss"))
    if said is None:
        return _margin(column)
    return say("%(margin)s; %(caveat)s", margin=_margin(column), caveat=phrase(said))


def _margin(column: dict[str, Any]) -> str:
    if column["margin"] is not None:
        return number(f"± {column['margin']:g}")
    if "margin_events" in column:
        events = number(f"{column['margin_events']:.3g}")
        return say("to within about %(events)s events further down or up", events=events)
    return say(", ").join(
        say("± %(margin)s over %(events)s events", margin=_digits(margin), events=number(f"{int(n):,}"))
        for n, margin in column["margins_at"].items()
    )


def _digits(amount: float) -> str:
    return number(f"{amount:,.0f}" if amount >= 1000 else f"{amount:.3g}")
