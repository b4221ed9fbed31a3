"""How a decision is taken: a button of a form becomes a call of the API, with the fields that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request

from server.pages.frame import calling
from server.pages.frame.calling import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    # button -> the API's path below what is decided on, and the fields that it takes
    Acts = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]

PARTIES, PARTY = "parties", "party-"  # a conclusion's part for each party is typed into a field of its own
REASON = ("reason",)
# `seen` is the digest of what the page showed: nobody decides on what changed meanwhile.
ADVICE, APPROVAL = ("opinion", "reason", "seen"), ("reason", "without_advice", "seen")


def typed() -> dict[str, str]:
    """Return what was typed into the form, with lines that end as the API keeps them."""
    return {name: value.replace("\r\n", "\n") for name, value in request.form.items()}


def take(acts: Acts, *of: str) -> Refused | None:
    """Do what the pressed button says to what is decided on (`studies`, `flu`). Return the refusal, if it is one."""
    sent = typed()
    if sent.get("do") not in acts:
        return calling.nowhere()
    path, fields = acts[sent["do"]]
    body: dict[str, Any] = {name: sent.get(name, "") for name in fields if name != PARTIES}
    if PARTIES in fields:
        typed_in = {name.removeprefix(PARTY): text for name, text in sent.items() if name.startswith(PARTY)}
        body[PARTIES] = {party: text for party, text in typed_in.items() if text.strip()}
    if not body.get("without_advice"):
        body.pop("without_advice", None)
    try:
        calling.post(*of, *path, body=body)
    except Refused as refusal:
        return refusal
    return None
