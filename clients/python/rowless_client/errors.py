"""Everything that the client raises: one tree below `RowlessError`.

What a server refuses is a `Refused`, or one of its subclasses for what programs treat differently. A code that this
version does not know is a `Refused`, or the subclass of its status: later servers may have more codes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PART_MAX = 80


class RowlessError(Exception):
    """Any error of the client.

    `key` is the Idempotency-Key of the question that was being asked, or None. Whoever asks again with this key goes on
    with the same charge: `study.ask(..., key=error.key)`.
    """

    key: str | None = None


class Misused(RowlessError, ValueError):
    """The client was called in a way that cannot be sent. The text says what to write instead."""


class MissingPackage(RowlessError, ImportError):
    """An optional package is not installed. The text names the command that installs it."""


class NoToken(RowlessError):
    """There is no token to call the server with, or it cannot be sent."""


class SignInFailed(RowlessError):
    """Signing in at the issuer did not work."""


class Unreachable(RowlessError):
    """The server did not answer. Whether it did what was asked is not known, unless it was never reached."""


class NotRowless(RowlessError):
    """What answered is no server of Rowless: a redirect, a page, or something that is not JSON."""


class GaveUp(RowlessError):
    """The time to wait for an answer is over. `key` goes on with the same charge; `__cause__` is what happened last."""

    def __init__(self, seconds: float, key: str, last: Exception) -> None:
        self.seconds, self.key = seconds, key
        super().__init__(
            f"no answer within {seconds:g} s ({last}). Whether the question was charged is not known. Ask it again "
            f"with key={key!r}: it is the same request then, and is charged once at most"
        )


class Refused(RowlessError):
    """The server refused a call: its problem document.

    `status` and the stable `code` are for programs, `detail` is for people. `pointer` is the place in the request (a
    JSON pointer, or None), and `part` is what stood there. `errors` has everything that was found, as (pointer,
    detail). `request_id` names the request in the server's log. `members` is the whole document.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], body: object = None) -> None:
        self.status = status
        self.members = dict(problem)
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail") or problem.get("title") or f"the server answered with {status}")
        self.pointer = problem["pointer"] if isinstance(problem.get("pointer"), str) else None
        self.request_id = str(problem.get("request_id", "")) or None
        self.part = found_at(body, self.pointer)
        self.errors = list(_listed(problem.get("errors"))) or ([(self.pointer, self.detail)] if self.pointer else [])
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [f"{self.code}{_at(self.pointer, self.part)}: {self.detail}"]
        lines += [f"  and{_at(pointer, None)}: {detail}" for pointer, detail in self.errors if pointer != self.pointer]
        if self.status >= 500 and self.request_id:
            lines.append(f"  (give the admin the id of the request: {self.request_id})")
        return "\n".join(lines)


class Unauthenticated(Refused):
    """The token is missing, wrong, revoked or expired."""


class NotAllowed(Refused):
    """The role, the study's state or its protocol does not include this, or it takes a second person."""


class NotFound(Refused):
    """There is none, or none that you may know of."""


class Conflict(Refused):
    """The present state does not allow this."""


class BudgetExceeded(Conflict):
    """The budget does not allow this. `account`, `cost` and `remaining` say what is missing."""

    @property
    def account(self) -> Any:
        """Return which account refused: that of the study, or of the dataset."""
        return self.members.get("account")

    @property
    def cost(self) -> Any:
        """Return what the query would have cost."""
        return self.members.get("cost")

    @property
    def remaining(self) -> Any:
        """Return what the account has left."""
        return self.members.get("remaining")


class Cancelled(Conflict):
    """The query was cancelled after it was charged. The same request with the same key resumes, at no further cost."""


class InvalidRequest(Refused):
    """A value is wrong: see `pointer`, `part` and `detail`."""


class InvalidQuery(InvalidRequest):
    """The query is not valid. The detail says what to write instead."""


class WouldDrown(Refused):
    """More numbers would drown in the noise than the request allows: `drowned` is their share."""

    @property
    def drowned(self) -> float:
        """Return the share of the numbers that is expected to drown."""
        return float(self.members.get("drowned", 1.0))


class TooBusy(Refused):
    """The server, or your share of it, is in use (429, 503). The client waited as long as it may."""


class ServerFailed(Refused):
    """The server failed. The admin finds the cause by `request_id`."""


class QueryFailed(ServerFailed):
    """The scan failed after the charge. The same request with the same key resumes free, twice at most."""


_BY_CODE: dict[str, type[Refused]] = {
    "budget-exceeded": BudgetExceeded,
    "cancelled": Cancelled,
    "invalid-query": InvalidQuery,
    "would-drown": WouldDrown,
    "query-failed": QueryFailed,
}
_BY_STATUS: dict[int, type[Refused]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
    429: TooBusy,
    503: TooBusy,
}


def refusal(status: int, problem: Mapping[str, Any], body: object = None) -> Refused:
    """Return the error of a problem document. `body` is what was sent."""
    kind = _BY_CODE.get(str(problem.get("code"))) or _BY_STATUS.get(status)
    if kind is None:
        kind = ServerFailed if status >= 500 else Refused
    return kind(status, problem, body)


def found_at(body: object, pointer: str | None) -> Any:
    """Return what stands in a document at a JSON pointer (RFC 6901), or None."""
    found = body
    for step in (pointer or "").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, (list, tuple)) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return None if found is body else found


def _listed(errors: Any) -> list[tuple[str, str]]:
    if not isinstance(errors, list):
        return []
    return [(str(one.get("pointer", "")), str(one.get("detail", ""))) for one in errors if isinstance(one, dict)]


def _at(pointer: str | None, part: Any) -> str:
    if not pointer:
        return ""
    if part is None or isinstance(part, (dict, list)):
        return f" at {pointer}"
    shown = json.dumps(part, ensure_ascii=False, default=str)
    return f" at {pointer} ({shown})" if len(shown) <= PART_MAX else f" at {pointer}"
