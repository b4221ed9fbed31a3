"""Names of users: which are allowed, which are reserved, and when two of them are the same.

Two names are the same if they differ only in case or in the Unicode form of their letters. Otherwise Ada and ada could
be two persons whom readers of the log take for one.
"""

from __future__ import annotations

import re
import unicodedata

from budgets.errors import Invalid

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
# In lists, entries and addresses these words stand for something else than a user.
RESERVED = frozenset(
    {"system", "anonymous", "rowless", "server", "root", "none", "null", "nobody", "unknown", "erased"}
    | {"everyone", "anyone", "all", "me", "self", "token"}
)


def folded(name: str) -> str:
    """Return what two names have in common if they count as the same: NFKC, without case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def require_allowed(name: str) -> None:
    """Raise Invalid unless a new user may have this name."""
    if not NAME.fullmatch(name):
        raise Invalid("name", "use letters, digits and . _ @ -, at most 63")
    if folded(name) in RESERVED:
        raise Invalid("name", f"{name} is reserved, because it could be taken for something else than a user")
