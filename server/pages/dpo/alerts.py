"""The alerts: what the DPO should look at, without reading the log."""

from __future__ import annotations

from typing import Any

from flask import request

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again
from server.pages.frame.rendering import page

PAGE = 50
FILTERS = ("kind", "study", "from", "to")
KINDS = ("budget", "refusals", "sign-ins", "privileges", "clock", "deadlines")


@page("/alerts", "dpo")
def alerts() -> Any:
    """List the alerts, the newest first."""
    asked = {name: request.args[name].strip() for name in FILTERS if request.args.get(name, "").strip()}
    found: Any = {"items": [], "next": None}
    refusal = None
    try:
        found = calling.get("alerts", **asked, order="newest", limit=PAGE, cursor=request.args.get("cursor"))
    except Refused as error:
        refusal = error
    return again("dpo/alerts.html", refusal, found=found, asked=asked, alerts=found["items"], kinds=KINDS)
