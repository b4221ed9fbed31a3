"""Refusals of questions, as entries of the log: what a study may not ask, who may not ask it, a study that may not ask.

The entry has the code of the refusal and nothing of what was asked: whoever is refused could write anything there. A
study that does not exist is not named, for the same reason. Bursts of refusals raise an alert
(`budgets/alerts/bursts.py`).
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

# As in `problems.py`, which knows of the web; a test holds the two together.
CODES: dict[type[Exception], str] = {
    NotFound: "not-found",
    Forbidden: "forbidden",
    NotApproved: "not-approved",
    OutsideProtocol: "outside-protocol",
}


@contextmanager
def recorded(database: Database, actor: Actor, study: str, asked: str) -> Iterator[None]:
    """Write an entry when what is done within is refused, in a transaction of its own. `asked` is "query" or the like.

    Only for what opens no transaction around it.
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
        raise


def _known(transaction: sa.Connection, study: str) -> str | None:
    try:
        return studies.study(transaction, study).id
    except NotFound:
        return None
