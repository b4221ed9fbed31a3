"""`rowless audit identities` and `audit erase`: list the names that are kept, and erase those that are due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from budgets.audit import log
from budgets.governance import erasure
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command()
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
    words = [*map(_line, found), f"{ready} can be erased: out of use for longer than names are kept, and not needed"]
    return {**kept, "identities": found}, "\n".join(words)


@click.command()
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
    words = f"{len(said['erased'])} names were erased"
    if not said["shredded"]:
        words += "; the database's files may hold remains of them: see docs/operations.md, When a name was erased"
    return said, words


def _line(one: Mapping[str, Any]) -> str:
    state = "due" if one["is_due"] else f"needed by {', '.join(one['needed_by'])}" if one["needed_by"] else "kept"
    current = ", in use now" if one["is_current"] else ""
    return f"{one['commitment']}  {one['name']}  from {one['made_at'][:10]} to {one['used_at'][:10]}{current}: {state}"
