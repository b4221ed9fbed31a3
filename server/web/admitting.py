"""Admission of the current request (`server/admission/gate.py`): counted in after sign-in, before its body is read.

A route that only reads or writes the ledger works at once, or waits for its place, before anything else. A route that
plans or scans takes its place with `place`, after its body was read, because the body tells how large the work is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import current_app, g, request

from server.admission.gate import stays
from server.admission.gates import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from budgets.actors import Actor
    from server.admission.gate import Entry
    from server.runtime.services import Services


def has_left() -> Callable[[], bool]:
    """Return a function that tells whether the client has closed its connection, where the server can know."""
    found: Callable[[], bool] = request.environ.get("waitress.client_disconnected", stays)
    return found


@contextmanager
def entered(work: Work, actor: Actor) -> Iterator[None]:
    """Count the current request in as one of a kind of work. Raises TooManyRequests, Busy, Abandoned."""
    services: Services = current_app.extensions["rowless"]
    owners = [("user", actor.name)]
    if work is not Work.REST and request.view_args and "study" in request.view_args:
        owners.append(("study", request.view_args["study"]))
    with services.gates.of(work).entered(*owners) as entry:
        g.entry = entry
        if work is not Work.REST:
            yield
            return
        with entry.place(has_left()):
            yield


@contextmanager
def place(*, large: bool = False) -> Iterator[None]:
    """Wait for the current request's place and hold it. Raises Busy, Abandoned."""
    entry: Entry = g.entry
    with entry.place(has_left(), large=large):
        yield
