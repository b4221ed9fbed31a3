"""The admin's pages: the modules that register them, and the words that their templates use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.pages.admin import (
    datasets,
    formalities,
    health,
    meaning,
    proposals,
    protocol,
    studies,
    tokens,
    users,
    words,
)

if TYPE_CHECKING:
    from flask import Flask

MODULES = (datasets, formalities, health, meaning, proposals, protocol, studies, tokens, users)


def register(app: Flask) -> None:
    """Give templates the words of the admin's pages."""
    words.register(app)
