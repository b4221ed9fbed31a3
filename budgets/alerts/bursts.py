"""Alerts when refusals or failed sign-ins come in bursts.

A refusal is an entry of the log whose action ends with `.refuse`; a wrong or revoked token is an entry `sign-in.fail`.
A burst is 20 refusals of one user, or 5 failed sign-ins by anybody, within ten minutes. It raises one alert, however
long it lasts. It ends when ten minutes have passed without any.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import ANONYMOUS
from budgets.alerts import alerts
from budgets.database import clock
from budgets.database.tables import audit_entries, bursts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from budgets.actors import Actor

MINUTES = 10
REFUSALS_LEAST = 20
SIGN_INS_LEAST = 5
REFUSED = "%.refuse"
SIGN_IN_FAILED = "sign-in.fail"


def after_refusal(transaction: sa.Connection, actor: Actor) -> None:
    """Raise an alert if the refusal that was just written begins a burst of the actor."""
    c = audit_entries.c
    mine = sa.and_(c.actor == actor.commitment, c.action.like(REFUSED))
    # Only as many as begin a burst are read, so that the cost does not grow with it.
    found = _recent(transaction, mine, REFUSALS_LEAST)
    if _begins(transaction, alerts.REFUSALS, actor.commitment, full=len(found) == REFUSALS_LEAST) is not True:
        return
    studies = {row.study for row in found}
    study = studies.pop() if len(studies) == 1 else None
    under = f" under study {study}" if study else ""
    alerts.put(
        transaction,
        alerts.REFUSALS,
        f"user:{actor.commitment}",
        f"a user of the role {actor.role} was refused {REFUSALS_LEAST} times within {MINUTES} minutes{under}",
        study=study,
        facts={"actor": actor.commitment, "role": actor.role, "count": REFUSALS_LEAST, "minutes": MINUTES},
    )


def of_refusals_lasts(transaction: sa.Connection, actor: Actor) -> bool:
    """Return whether a burst of refusals of the actor raised its alert and still goes on."""
    mine = sa.and_(bursts.c.kind == alerts.REFUSALS, bursts.c.actor == actor.commitment)
    return _goes_on(transaction.execute(sa.select(bursts).where(mine)).first())


def after_failed_sign_in(transaction: sa.Connection) -> bool:
    """Raise an alert if the failure that was just written begins a burst. Return whether a burst goes on now.

    An entry may stand for several failures. Its facts then have their `count` and, as `to`, the time of the last.
    """
    rows = _recent(transaction, audit_entries.c.action == SIGN_IN_FAILED, SIGN_INS_LEAST)
    entries = [json.loads(row.body) for row in rows]
    count = sum(one["facts"].get("count", 1) for one in entries if one["facts"].get("to", one["time"]) > _ago())
    begins = _begins(transaction, alerts.SIGN_INS, ANONYMOUS.commitment, full=count >= SIGN_INS_LEAST)
    if begins:
        alerts.put(
            transaction,
            alerts.SIGN_INS,
            "token",
            f"{count} wrong or revoked tokens were sent within {MINUTES} minutes",
            study=None,
            facts={"count": count, "minutes": MINUTES},
        )
    return begins is not False


def _recent(transaction: sa.Connection, wanted: sa.ColumnElement[bool], most: int) -> Sequence[sa.Row[Any, Any]]:
    """Return the newest entries of the last minutes, by position: time never runs backwards in the log."""
    c = audit_entries.c
    first = sa.select(c.position).where(c.at > _ago()).order_by(c.at, c.position).limit(1)
    position: int = transaction.execute(first).scalar_one()
    found = sa.select(c.study, c.body).where(wanted, c.position >= position).order_by(c.position.desc()).limit(most)
    return transaction.execute(found).all()


def _begins(transaction: sa.Connection, kind: str, actor: str, *, full: bool) -> bool | None:
    """Return True if a burst begins now, None if one goes on, False if there is none. Updates the actor's row."""
    mine = sa.and_(bursts.c.kind == kind, bursts.c.actor == actor)
    known = transaction.execute(sa.select(bursts).where(mine)).first()
    goes_on = _goes_on(known)
    state = {"last_at": clock.now(), "told": int(goes_on or full)}
    if known is None:
        transaction.execute(sa.insert(bursts).values(kind=kind, actor=actor, **state))
    else:
        transaction.execute(sa.update(bursts).where(mine).values(**state))
    return None if goes_on else full


def _goes_on(known: sa.Row[Any] | None) -> bool:
    return known is not None and bool(known.told) and known.last_at > _ago()


def _ago() -> str:
    return clock.text(clock.moment() - dt.timedelta(minutes=MINUTES))
