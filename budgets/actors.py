"""Actors: a person, whom the log knows by a commitment, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """A user with their commitment, or the system itself."""

    name: str
    role: str
    commitment: str


SYSTEM = Actor("system", "system", "system")
ANONYMOUS = Actor("anonymous", "none", "anonymous")
