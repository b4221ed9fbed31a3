"""The home that a command works on, and the user it acts for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from budgets.errors import Invalid, NotFound
from budgets.identity import commitments, people
from server.errors import NoHome
from server.runtime.services import open_services
from server.runtime.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import sqlalchemy as sa

    from budgets.actors import Actor
    from server.runtime.services import Services
    from server.runtime.settings import Settings


@contextmanager
def services() -> Iterator[Services]:
    """Open the home of the environment's settings for one command. Raises what `open_services` raises."""
    present = settings()
    if present.url is not None and not present.home.is_dir():
        raise NoHome(
            f"this command works on a home, and there is none in {present.home}: run it where the server is. Much "
            f"of this is also on the pages of {present.url}"
        )
    opened = open_services(present)
    try:
        yield opened
    finally:
        opened.close()


def settings() -> Settings:
    """Return the environment's settings."""
    return load_settings()


def acting(
    transaction: sa.Connection, role: str | tuple[str, ...], name: str | None, *, also: Collection[str] = ()
) -> Actor:
    """Return the user that a command acts for: the one named by --as, or the only one of the roles that may do it.

    `also` are roles that may do it as well, if --as names one of their users. It needs a transaction that writes,
    because the user may be due for a new commitment. Everybody who can read the home can act as any of its users; the
    audit log keeps which user it was. Raises NotFound, Invalid, and Forbidden for a user of another role, whose entry
    the independent check would report for ever.
    """
    days = settings().identity_days
    roles = (role,) if isinstance(role, str) else role
    if name is not None:
        named = people.user(transaction, name)
        people.require_role(named, *dict.fromkeys((*roles, *also)))
        return commitments.in_force(transaction, named, days)
    known = [one for each in roles for one in people.users_of_role(transaction, each)]
    if len(known) == 1:
        return commitments.in_force(transaction, known[0], days)
    if not known:
        raise NotFound(f"this needs a {roles[0]}, and there is none: rowless user add NAME --role {roles[0]}")
    raise Invalid("--as", f"say on whose behalf: {', '.join(actor.name for actor in known)}")


def as_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --as."""
    return click.option("--as", "name", metavar="USER", help="On whose behalf (if several could).")(command)
