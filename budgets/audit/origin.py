"""Which request an act comes from: its id is in the reply, in the server's log and in the entries that it wrote.

The id goes with the context of the thread and not with each call, because an entry may be written deep within an act
(an alert after a charge). A thread that works for a request therefore runs in a copy of its context
(`contextvars.copy_context`).

An entry can never be erased. Therefore an id has only hexadecimal digits and hyphens: nobody can write a name in it.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = re.compile(r"[0-9a-fA-F-]{8,64}")

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


@contextmanager
def of_no_request() -> Iterator[None]:
    """Leave the current request's id out of entries that it only happens to write, because they are about others."""
    token = request_id.set(None)
    try:
        yield
    finally:
        request_id.reset(token)


def accepted(offered: str | None) -> str:
    """Return the id that a client or a proxy offered if it is short and plain, else a new one."""
    return offered if offered is not None and ID.fullmatch(offered) else os.urandom(16).hex()
