"""Access tokens: how long each lives, what it is limited to, when it was last used, and whose it is.

A token is shown once, when it is made (`people.new_token`). The database keeps only the SHA-256 of its secret part. A
fast hash is enough, because the secret has 256 random bits.

Every token ends by itself, after a year at most, and never later than the names of users are kept. If they are kept for
fewer days than when it was made, a server that starts ends it earlier (`shorten`). Thus, when a name is
due for erasure, no token from its time is alive that could lead to it. The last use is kept as a day: that is enough
to find tokens that nobody needs, and a request writes it only if it is the first one of its day.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import Actor
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import identities, studies, tokens, users
from budgets.errors import Invalid, NotFound

if TYPE_CHECKING:
    from budgets.database.connection import Database

TOKEN = re.compile(r"rowless_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
SECRET = 43  # the length of the secret part
DAYS = 90
DAYS_MAX = 365

# Built once, because each request executes it.
_FIND = (
    sa.select(tokens, users.c.name, users.c.role, users.c.commitment, identities.c.made_at, log.LAST_AT)
    .join_from(tokens, users)
    .outerjoin(identities, identities.c.commitment == users.c.commitment)
    .where(tokens.c.id == sa.bindparam("token"), tokens.c.revoked_at.is_(None))
)


@dataclass(frozen=True)
class Scope:
    """What a token may do: for how many days, and perhaps only in one study, and only reading."""

    days: int = DAYS
    study: str | None = None
    reads_only: bool = False


@dataclass(frozen=True)
class Access:
    """A user who signed in, and what the token that they sent is limited to."""

    actor: Actor
    expires_at: str
    study: str | None = None
    reads_only: bool = False
    token: str | None = None  # its id; None if it was not made here
    used_on: str | None = None
    commitment_made_at: str | None = None  # if it was read with the token


@dataclass(frozen=True)
class Listed:
    """A token as an admin sees it."""

    id: str
    user: str
    role: str
    created_at: str
    expires_at: str
    used_on: str | None
    study: str | None
    reads_only: bool
    is_expired: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def scope(days: int | None, kept_days: int, *, study: str | None = None, reads_only: bool = False) -> Scope:
    """Return the scope of a new token if names are kept for `kept_days`. Raises Invalid."""
    most = min(DAYS_MAX, kept_days)
    chosen = min(DAYS, most) if days is None else days
    if not 1 <= chosen <= most:
        raise Invalid(
            "days", f"must be from 1 to {most}: a token lives for a year and as long as names are kept, at most"
        )
    return Scope(chosen, study, reads_only)


def end_of(wanted: Scope) -> str:
    """Return when a token ends that is made now."""
    return clock.text(clock.moment() + dt.timedelta(days=wanted.days))


def shorten(database: Database, kept_days: int) -> int:
    """End earlier what would outlive the names, because they are kept for fewer days now. Return how many tokens."""
    with database.read() as transaction:
        ends = _ends_of_outliving(transaction, kept_days)
    if ends:
        with database.write() as transaction:
            for identifier, end in ends.items():
                transaction.execute(sa.update(tokens).where(tokens.c.id == identifier).values(expires_at=end))
    return len(ends)


def _ends_of_outliving(transaction: sa.Connection, kept_days: int) -> dict[str, str]:
    wanted = sa.select(tokens).where(tokens.c.revoked_at.is_(None), tokens.c.expires_at > clock.now())
    ends = {}
    for row in transaction.execute(wanted):
        end = clock.text(dt.datetime.fromisoformat(row.created_at) + dt.timedelta(days=kept_days))
        if row.expires_at > end:
            ends[row.id] = end
    return ends


def require_study(transaction: sa.Connection, wanted: Scope) -> None:
    """Raise NotFound if a token is to be limited to a study that does not exist."""
    if wanted.study is not None and not transaction.execute(sa.select(studies.c.id).filter_by(id=wanted.study)).first():
        raise NotFound(f"there is no study {wanted.study}")


def authenticate(transaction: sa.Connection, text: str) -> Access | None:
    """Return whose token this is and what it may do, or None if it is wrong, revoked or expired."""
    row = _row(transaction, text)
    return None if row is None or row.expires_at <= log.after(row.last_at) else _access(row)


def is_expired(transaction: sa.Connection, text: str) -> bool:
    """Return whether a token that gives no access would do so if it had not expired."""
    row = _row(transaction, text)
    return row is not None and row.expires_at <= log.after(row.last_at)


def is_first_use_today(access: Access) -> bool:
    """Return whether `note_use` has something to write."""
    return access.token is not None and (access.used_on or "") < clock.today()


def note_use(transaction: sa.Connection, access: Access) -> None:
    """Keep that a token was used today."""
    transaction.execute(sa.update(tokens).where(tokens.c.id == access.token).values(used_on=clock.today()))


def listed(
    transaction: sa.Connection, *, user: str | None = None, after: str | None = None, limit: int | None = None
) -> list[Listed]:
    """Return the tokens that were not revoked, of all users or of one, by their ids."""
    wanted = sa.select(tokens, users.c.role).join_from(tokens, users).where(tokens.c.revoked_at.is_(None))
    if user is not None:
        wanted = wanted.where(tokens.c.user == user)
    if after is not None:
        wanted = wanted.where(tokens.c.id > after)
    now = log.now(transaction)
    return [
        Listed(
            row.id,
            row.user,
            row.role,
            row.created_at,
            row.expires_at,
            row.used_on,
            row.study,
            bool(row.reads_only),
            row.expires_at <= now,
        )
        for row in transaction.execute(wanted.order_by(tokens.c.id).limit(limit))
    ]


def hashed(secret: str) -> str:
    """Return what the database keeps of a token's secret part."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _row(transaction: sa.Connection, text: str) -> sa.Row[Any] | None:
    """Return the row of a token that was not revoked, with its user's, if the secret is right."""
    parts = TOKEN.fullmatch(text)
    if parts is None:
        return None
    row = transaction.execute(_FIND, {"token": parts[1]}).first()
    return None if row is None or not hmac.compare_digest(row.hash, hashed(parts[2])) else row


def _access(row: sa.Row[Any]) -> Access:
    actor = Actor(row.name, row.role, row.commitment)
    return Access(actor, row.expires_at, row.study, bool(row.reads_only), row.id, row.used_on, row.made_at)
