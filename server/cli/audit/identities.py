"""`rowless audit identities` and `audit erase`: list the names that are kept, and erase those that are due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from budgets.audit import log
from budgets.governance import erasure
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote
from server.cli.speaking import count, day, say

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command(cls=Command)
@click.option("--due", is_flag=True, help="Only those that `erase` would erase now.")
@as_option
@with_json
def identities(due: bool, name: str | None) -> Any:
    """List the names that are kept, oldest first, and since when each is out of use."""
    kept: dict[str, Any] = {}
    if (server := remote(name)) is not None:
        found = server.pages("/audit/identities", due="true" if due else None)
    else:
        with services() as opened, opened.database.write() as transaction:
            by = acting(transaction, "dpo", name)
            log.append(transaction, by, "identity.read", "identities", "the list of names was read")
            kept = {"days": opened.settings.identity_days}
            found = [one.to_json() for one in erasure.kept(transaction, opened.settings.identity_days, due=due)]
    ready = sum(one["is_due"] for one in found)
    last = count(
        "%(num)s can be erased: out of use for longer than names are kept, and not needed",
        "%(num)s can be erased: out of use for longer than names are kept, and not needed",
        ready,
    )
    return {**kept, "identities": found}, "\n".join([*map(_line, found), last])


@click.command(cls=Command)
@click.argument("commitments", nargs=-1, metavar="[COMMITMENT]...")
@as_option
@with_json
def erase(commitments: tuple[str, ...], name: str | None) -> Any:
    """Erase the names that are due, or those of the given commitments.

    `rowless audit identities --due` lists the names that are due. They cannot be brought back. Every entry of the log
    and every budget stays as it is.
    """
    if (server := remote(name)) is not None:
        body = {"commitments": list(commitments)} if commitments else {}
        said = server.json("POST", "/audit/identities/erase", body)
    else:
        with services() as opened:
            with opened.database.write() as transaction:
                by = acting(transaction, "dpo", name)
            done = erasure.erase(opened.database, opened.settings.identity_days, list(commitments) or None, by)
        said = {"erased": list(done.commitments), "shredded": done.is_shredded}
    words = count("%(num)s name was erased", "%(num)s names were erased", len(said["erased"]))
    if not said["shredded"]:
        words = say(
            "%(words)s; the database's files may hold remains of them: see docs/operations.md, When a name was erased",
            words=words,
        )
    return said, words


def _line(one: Mapping[str, Any]) -> str:
    state = say("due") if one["is_due"] else say("kept")
    if one["needed_by"] and not one["is_due"]:
        state = say("needed by %(studies)s", studies=", ".join(one["needed_by"]))
    first, last = day(one["made_at"]), day(one["used_at"])
    days = say("from %(first)s to %(last)s", first=first, last=last)
    if one["is_current"]:
        days = say("from %(first)s to %(last)s, in use now", first=first, last=last)
    who = {"commitment": one["commitment"], "name": one["name"]}
    return say("%(commitment)s  %(name)s  %(days)s: %(state)s", **who, days=days, state=state)
