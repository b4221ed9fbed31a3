"""The API's own page: Swagger UI over the OpenAPI document, with examples that can be sent from it."""

from __future__ import annotations

from typing import Any

from server.pages.frame.calling import PREFIX
from server.pages.frame.rendering import page, show


@page(f"{PREFIX}/docs")
def api_docs() -> Any:
    """Show the API. A token is typed into the page and sent by it alone: no session is used."""
    return show("api_docs.html", document=f"{PREFIX}/openapi.json")
