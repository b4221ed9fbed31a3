"""Forbidden calls, as entries of the log: what the user's role does not include, or what their token is limited from.

An entry names the route, the role and the study if there is such a study, and has nothing that the caller wrote. Bursts
raise an alert. While a burst lasts, further calls to a route are counted like other repeated acts
(`server/runtime/tallies.py`), because otherwise anybody with a token could fill the log.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import request

from budgets.alerts import bursts
from budgets.audit import log
from budgets.errors import Forbidden, NotFound
from budgets.governance import studies
from server.runtime.tallies import Act

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from budgets.actors import Actor
    from server.runtime.services import Services

ACTION = "call.refuse"
CODE = "forbidden"


@contextmanager
def recorded(services: Services, actor: Actor) -> Iterator[None]:
    """Record the current request if the code within raises Forbidden and the log does not have it yet."""
    try:
        yield
    except Forbidden as refusal:
        if not refusal.is_recorded:
            _record(services, actor)
        raise


def _record(services: Services, actor: Actor) -> None:
    asked = f"{request.method} {request.url_rule}"
    with services.database.read() as transaction:
        study = _known(transaction, (request.view_args or {}).get("study"))
        in_burst = bursts.of_refusals_lasts(transaction, actor)
    act = Act(actor, ACTION, "route", study, f"calls were refused: {asked}")
    if in_burst and not services.tallies.is_first(act):
        return
    with services.database.write() as transaction:
        facts = {"code": CODE, "asked": asked}
        log.append(transaction, actor, ACTION, "route", f"a call was refused: {asked}", study=study, facts=facts)
        bursts.after_refusal(transaction, actor)


def _known(transaction: sa.Connection, study: str | None) -> str | None:
    try:
        return None if study is None else studies.study(transaction, study).id
    except NotFound:
        return None
