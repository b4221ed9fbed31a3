"""The log: its entries by filters, one entry with its facts and its proof, and copies to take away."""

from __future__ import annotations

import tempfile
import zipfile
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qs

from flask import Response, request, send_file
from werkzeug.http import parse_options_header

from budgets.database import clock
from server.admission.gates import Work
from server.errors import Abandoned
from server.pages.dpo import facts
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again
from server.pages.frame.rendering import page, show
from server.pages.frame.turns import in_turn
from server.web import admitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PAGE, WHOLE_PAGE = 50, 1000
FILTERS = ("study", "actor", "action", "from", "to")
# ending -> what the API is asked to send
KINDS = {"csv": "text/csv", "jsonl": "application/jsonl"}
# What a DPO looks for most; any other action can be typed.
ACTIONS = (
    *("study.open", "study.edit", "study.advise", "study.approve", "study.suspend", "study.resume", "study.close"),
    "study.conclude",
    *("study.budget.ask", "study.budget.approve", "study.member.add", "study.member.remove"),
    *("dataset.import", "dataset.propose", "dataset.approve", "query.reserve", "query.release", "query.refuse"),
    *("release.read", "report.read", "audit.read", "audit.export", "audit.verify"),
    *("user.add", "user.remove", "token.new", "token.revoke", "proposal.make", "identity.erase"),
)


@page("/log", "dpo")
def log() -> Any:
    """List the entries that fit, the newest first."""
    asked, refusal = _asked(), None
    found: Any = {"items": [], "next": None}
    try:
        found = calling.get("audit", "entries", **asked, order="newest", limit=PAGE, cursor=request.args.get("cursor"))
    except Refused as error:
        refusal = error
    return again("dpo/log.html", refusal, found=found, asked=asked, actions=ACTIONS)


@page("/log/<int:index>", "dpo")
def entry(index: int) -> Any:
    """Show an entry: its facts as a table, and the proof that it is in the log."""
    found = calling.get("audit", "entries", cursor=index, limit=1)["items"]
    if not found:
        raise calling.nowhere()
    proof = calling.get("audit", "proofs", "inclusion", index=index)
    return show("dpo/entry.html", entry=found[0], facts=facts.rows(found[0]["facts"]), proof=proof)


@page("/log/download.<kind>", "dpo")
def download_log(kind: str) -> Any:
    """Send the entries that fit as a file, the oldest first."""
    if kind not in KINDS:
        raise calling.nowhere()

    def write(file: IO[bytes]) -> None:
        file.writelines(_pages(kind, _asked()))

    return _written(write, KINDS[kind], f"rowless-log-{clock.now()[:10]}.{kind}")


@page("/log/export.zip", "dpo")
def export() -> Any:
    """Send the whole log with the checkpoint that covers it: what `rowless audit verify` takes."""
    # The checkpoint comes first: the log may only grow after it, so its first entries stay those that it covers.
    signed = calling.get("audit", "checkpoint")

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as folder:
            with folder.open("log.jsonl", "w", force_zip64=True) as lines:
                for body in _pages("jsonl", {}, signed["size"]):
                    lines.write(body)
            folder.writestr("log.jsonl.checkpoint", signed["note"])

    return _written(write, "application/zip", f"rowless-log-{signed['size']}.zip")


@page("/log/checkpoint.txt", "dpo")
def download_checkpoint() -> Any:
    """Send a checkpoint of the log as it is now."""
    sent = calling.call("GET", "audit", "checkpoint", headers={"Accept": "text/plain"})
    return _file(BytesIO(sent.body), "text/plain; charset=utf-8", f"rowless-{clock.now()[:10]}.checkpoint")


def _asked() -> dict[str, str]:
    return {name: request.args[name].strip() for name in FILTERS if request.args.get(name, "").strip()}


def _pages(kind: str, asked: Mapping[str, str], size: int | None = None) -> Iterator[bytes]:
    """Yield the entries that fit, page by page, or the first `size` of the log. Raises Refused, Abandoned."""
    has_left = admitting.has_left()
    cursor: int | None = 0
    first = True
    while cursor is not None and cursor != size:
        limit = WHOLE_PAGE if size is None else min(WHOLE_PAGE, size - cursor)
        if has_left():
            raise Abandoned("the client has left")
        query = {**asked, "order": "oldest", "limit": limit, "cursor": cursor}
        sent = calling.call("GET", "audit", "entries", query=query, headers={"Accept": KINDS[kind]}, is_part=True)
        # Each page of CSV begins with the names of the columns.
        yield sent.body if first or kind != "csv" else sent.body.partition(b"\n")[2]
        cursor, first = _next(sent.headers.get("Link")), False


def _next(link: str | None) -> int | None:
    """Return the cursor in the header that leads to the next page."""
    if link is None:
        return None
    address, _ = parse_options_header(link)
    return int(parse_qs(address.strip("<>?"))["cursor"][0])


def _written(write: Callable[[IO[bytes]], None], kind: str, name: str) -> Response:
    """Return what a function writes, as a file on disk that has no name there: a log can be larger than the memory."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # it is closed after it was sent
    try:
        with in_turn(Work.EXPORT):
            write(file)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    response = _file(file, kind, name)
    response.content_length = size
    return response


def _file(file: IO[bytes], kind: str, name: str) -> Response:
    response = send_file(file, mimetype=kind, as_attachment=True, download_name=name)
    response.headers["Cache-Control"] = "no-store"  # as other replies; Flask would let browsers keep the file
    return response
