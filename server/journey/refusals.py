"""Refused queries, as entries of the log: not allowed to this study, not to this user, or not now.

The entry has the code of the refusal and nothing of the request, because a user could write anything there. For the
same reason a study that does not exist is not named. Bursts of refusals raise an alert (`budgets/alerts/bursts.py`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from budgets.alerts import bursts
from budgets.audit import log
from budgets.errors import Forbidden, NotApproved, NotFound
from budgets.governance import studies
from queries.errors import OutsideProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.database.connection import Database

# The codes of `server/web/problems.py`, which the journey may not import; a test compares the two.
CODES: dict[type[Exception], str] = {
    NotFound: "not-found",
    Forbidden: "forbidden",
    NotApproved: "not-approved",
    OutsideProtocol: "outside-protocol",
}


@contextmanager
def recorded(database: Database, actor: Actor, study: str, asked: str) -> Iterator[None]:
    """Write an entry, in a transaction of its own, if the code within raises a refusal. `asked` is "query" or the like.

    The caller must not have a transaction open.
    """
    try:
        yield
    except tuple(CODES) as refusal:
        code = CODES[type(refusal)]
        with database.write() as transaction:
            known = _known(transaction, study)
            subject = "study" if known is None else f"study:{known}"
            facts = {"code": code, "asked": asked}
            log.append(
                transaction, actor, "query.refuse", subject, f"a {asked} was refused: {code}", study=known, facts=facts
            )
            bursts.after_refusal(transaction, actor)
        if isinstance(refusal, Forbidden):
            refusal.is_recorded = True
        raise


def _known(transaction: sa.Connection, study: str) -> str | None:
    try:
        return studies.study(transaction, study).id
    except NotFound:
        return None
