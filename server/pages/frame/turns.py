"""How often a page does at once what is more work than its calls of the API (`server/admission/gate.py`)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import session

from server.web import admitting, auth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.admission.gates import Work


@contextmanager
def in_turn(work: Work) -> Iterator[None]:
    """Hold a place for a kind of work of the session's user. Raises TooManyRequests, Busy, Abandoned."""
    with auth.services().gates.of(work).entered(("user", session["name"])) as entry, entry.place(admitting.has_left()):
        yield
