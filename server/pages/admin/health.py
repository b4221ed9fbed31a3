"""How the server is."""

from __future__ import annotations

from typing import Any

from server.pages.frame import calling
from server.pages.frame.rendering import page, show


@page("/admin/server", "admin")
def server_health() -> Any:
    """Show the server's version, what it needs, and whether each dataset can be used."""
    return show("admin/server.html", server=calling.get("server"), datasets=calling.every("datasets"))
