"""The checkpoint of the log, and its verification: here by the server, which proves less than one elsewhere."""

from __future__ import annotations

from typing import Any

from flask import request

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again
from server.pages.frame.rendering import page


@page("/log/verify", "dpo", methods=("GET", "POST"))
def verify() -> Any:
    """Show the checkpoint of the log, and check the log by what the DPO kept."""
    report, refusal = None, None
    key = request.form.get("key", "").strip()
    if request.method == "POST":
        older = [file.read().decode(errors="replace") for file in request.files.getlist("older") if file.filename]
        try:
            report = calling.post("audit", "verification", body={"key": key or None, "older": older})
        except Refused as error:
            refusal = error
    return again("dpo/verify.html", refusal, checkpoint=calling.get("audit", "checkpoint"), report=report, key=key)
