"""`rowless audit alerts`: what the DPO should know of, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from marshmallow import ValidationError

from budgets.alerts import deadlines
from budgets.alerts.alerts import KINDS, listed
from budgets.audit import log
from budgets.errors import Invalid
from budgets.identity import people
from server.api.requests.schemas import Moment
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote
from server.cli.speaking import ENGLISH, code, count, phrase, say, word
from server.cli.speaking import moment as shown_moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@click.command(cls=Command)
@click.option("--kind", type=click.Choice(KINDS), help="Only alerts of this kind.")
@click.option("--study", metavar="STUDY", help="Only alerts of this study.")
@click.option("--from", "since", metavar="TIME", help="Only from then on, in UTC: 2026-11-23 or 2026-11-23T18:04:05Z.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="At most so many, the newest."
)
@as_option
@with_json
def alerts(kind: str | None, study: str | None, since: str | None, limit: int, name: str | None) -> Any:
    """List alerts, oldest first: budgets used up, bursts of refusals, failed sign-ins, what ends soon."""
    moment = None if since is None else _moment(since)
    if (server := remote(name)) is not None:
        items = server.pages("/alerts", kind=kind, study=study, **{"from": moment})
        return _said(items, limit)
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "dpo", name)
        deadlines.check(transaction)  # no server may be running that would have looked
        log.append(transaction, by, "audit.read", "alerts", "the alerts were read")
        kinds = KINDS if kind is None else (kind,)
        found = listed(transaction, kinds=kinds, study=study, since=moment, limit=None)
        known = people.names(transaction, {one["facts"].get("actor", "") for one in found})
    return _said([{**alert, "about": known.get(alert["facts"].get("actor", ""))} for alert in found], limit)


def _said(found: Sequence[Mapping[str, Any]], limit: int) -> tuple[dict[str, Any], str]:
    shown, earlier = found[-limit:], max(0, len(found) - limit)
    lines = [_line(alert) for alert in shown] or [say("There are no such alerts.")]
    if earlier:
        left_out = count(
            "(%(num)s earlier alert is left out: --limit)", "(%(num)s earlier alerts are left out: --limit)", earlier
        )
        lines.insert(0, left_out)
    return {"items": shown, "earlier": earlier}, "\n".join(lines)


def _line(alert: Mapping[str, Any]) -> str:
    time = alert["time"] if code() == ENGLISH else shown_moment(alert["time"])
    summary = phrase(alert["summary"])
    if alert["about"]:
        summary = say("%(summary)s: %(about)s", summary=summary, about=alert["about"])
    return f"{time}  {word(alert['kind']):<8}  {summary}"


def _moment(text: str) -> str:
    try:
        return str(Moment().deserialize(text))
    except ValidationError as error:
        raise Invalid("--from", str(error.messages[0])) from None
