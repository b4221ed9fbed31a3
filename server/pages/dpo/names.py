"""The names that the server keeps, and their erasure when they are due."""

from __future__ import annotations

from typing import Any

from flask import flash, request

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to

PAGE, AT_ONCE = 50, 1000


@page("/names", "dpo", methods=("GET", "POST"))
def names() -> Any:
    """List the names that are kept, those that are due first, and erase these after a confirmation."""
    refusal = None
    if request.method == "POST":
        try:
            flash(_erased(request.form.getlist("commitment"), sure=request.form.get("sure") == "yes"), "done")
            return to("names")
        except Refused as error:
            refusal = error
    return again(
        "dpo/names.html",
        refusal,
        due=calling.get("audit", "identities", due="true", limit=AT_ONCE)["items"],
        found=calling.get("audit", "identities", limit=PAGE, cursor=request.args.get("cursor")),
    )


def _erased(commitments: list[str], *, sure: bool) -> str:
    """Erase the names that were shown, and return the words for it. Raises Refused."""
    if not sure:
        raise Refused(
            {"status": 422, "code": "invalid-request", "title": _("Tick that you are sure"), "pointer": "/sure"}
        )
    done = calling.post("audit", "identities", "erase", body={"commitments": commitments})
    words = _("Names erased, for good: %(count)s.", count=len(done["erased"]))
    if done["shredded"]:
        return words
    return " ".join([words, _("The files of the database may hold traces of them until they are written anew.")])
