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
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@click.command()
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
    lines = [_line(alert) for alert in shown] or ["There are no such alerts."]
    if earlier:
        lines.insert(0, f"({earlier} earlier alerts are left out: --limit)")
    return {"items": shown, "earlier": earlier}, "\n".join(lines)


def _line(alert: Mapping[str, Any]) -> str:
    about = alert["about"]
    return f"{alert['time']}  {alert['kind']:<8}  {alert['summary']}{f': {about}' if about else ''}"


def _moment(text: str) -> str:
    try:
        return str(Moment().deserialize(text))
    except ValidationError as error:
        raise Invalid("--from", str(error.messages[0])) from None
