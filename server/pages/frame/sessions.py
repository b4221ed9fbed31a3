"""Sessions: who signed in with this browser, in one encrypted cookie.

The cookie holds the token that the user signed in with, or the digest of the issuer's subject. It is encrypted and
signed with a key of the home (Fernet: AES-128 in CBC mode, HMAC-SHA256), so that a copied cookie is worth no more than
the session. A session ends an hour after its last page and 12 hours after its sign-in, or when its token ends or is
revoked: each page asks the API as that user, who is looked up each time.

HttpOnly and SameSite=Lax keep the cookie from scripts and from forms of other sites (`same_site.py`). It is Secure, and
has the prefix `__Host-`, where the server is reached by https (ROWLESS_PUBLIC_URL).
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken
from flask.sessions import SecureCookieSession, SessionInterface

from budgets.database import clock
from server.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask, Request, Response

    from server.runtime.settings import Settings

FILE = "session.key"
FILES = "/static/"
NAME = "rowless"
IDLE_SECONDS = 60 * 60
RENEWED_SECONDS = 60  # a page within a minute of the last one sends no new cookie
LONGEST_SECONDS = 12 * 60 * 60
BEGAN, SEEN = "began", "seen"


class Session(SecureCookieSession):
    """The values of one session. `began` and `seen` are seconds since 1970."""

    def begin(self, **values: Any) -> None:
        """Begin anew, so that nothing of whoever sat here before stays."""
        kept = {name: self[name] for name in ("language",) if name in self}
        self.clear()
        self.update(kept)
        self.update(values)
        self[BEGAN] = _now()

    @property
    def is_signed_in(self) -> bool:
        """Return whether somebody has signed in."""
        return "token" in self or "subject" in self


class Sessions(SessionInterface):
    """Reads sessions from cookies and writes them. Calls of the API have none."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._keys: dict[Path, Fernet] = {}

    def open_session(self, app: Flask, request: Request) -> Session | None:
        """Return the session of a request to a page, an empty one if its cookie is missing, wrong or too old."""
        # A file of the package has no session either: its reply may be kept by a cache that others share.
        if request.path.startswith((self._api, FILES)):
            return None
        try:
            text = self._fernet(app).decrypt_at_time(
                request.cookies.get(cookie_name(_settings(app)), ""), ttl=IDLE_SECONDS, current_time=_now()
            )
        except InvalidToken:
            return Session()
        found = Session(json.loads(text))
        if found.get(BEGAN, 0) + LONGEST_SECONDS > _now():
            return found
        return Session({name: found[name] for name in ("language",) if name in found})

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        """Send a session's cookie if it changed, or if its hour has to begin anew."""
        if not isinstance(session, Session):
            return
        name, secure, now = cookie_name(_settings(app)), is_secure(_settings(app)), _now()
        if not session:
            if session.modified:
                response.delete_cookie(name, secure=secure, httponly=True, samesite="Lax")
            return
        if not session.modified and session.get(SEEN, 0) + RENEWED_SECONDS > now:
            return
        session.setdefault(BEGAN, now)
        session[SEEN] = now
        text = self._fernet(app).encrypt_at_time(json.dumps(dict(session)).encode(), now).decode()
        response.set_cookie(name, text, secure=secure, httponly=True, samesite="Lax")

    def _fernet(self, app: Flask) -> Fernet:
        home = _settings(app).home
        if home not in self._keys:
            self._keys[home] = key_of(home)
        return self._keys[home]


def is_secure(settings: Settings) -> bool:
    """Return whether browsers reach the server by https."""
    return settings.public_url is not None and settings.public_url.startswith("https:")


def cookie_name(settings: Settings) -> str:
    """Return the name of the cookie. Browsers take one with the prefix from this very host alone, over https."""
    return f"__Host-{NAME}" if is_secure(settings) else NAME


def key_of(home: Path) -> Fernet:
    """Return the key of a home's sessions; the first server of the home makes it. Raises SettingsError."""
    file = home / FILE
    try:
        if not file.exists():
            with tempfile.NamedTemporaryFile(dir=home, prefix=f".{FILE}.") as made:  # with mode 600
                made.write(Fernet.generate_key())
                made.flush()
                with suppress(FileExistsError):  # another server was faster
                    os.link(made.name, file)
        return Fernet(file.read_bytes().strip())
    except OSError as error:
        raise SettingsError(f"{file} cannot be used: {error.strerror}") from error
    except ValueError:
        raise SettingsError(f"{file} is no key of sessions; remove it, and everybody signs in again") from None


def _settings(app: Flask) -> Settings:
    found: Settings = app.extensions["rowless"].settings
    return found


def _now() -> int:
    return int(clock.moment().timestamp())
