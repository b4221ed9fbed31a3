"""Access tokens of the issuer that were kept, in the file of `rowless login`: one sign-in serves both."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

KEPT = Path("rowless") / "tokens.json"


def kept_token(url: str) -> str | None:
    """Return the token that was kept for a server."""
    found = _kept().get(url)
    return found if isinstance(found, str) else None


def keep_token(url: str, token: str) -> Path:
    """Keep a token for a server in a file that only its user can read. Return the file. Raises OSError."""
    file = _file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as new:  # its mode is 600
        json.dump({**_kept(), url: token}, new)
    Path(new.name).replace(file)
    return file


def _kept() -> dict[str, object]:
    with suppress(OSError, ValueError):
        found = json.loads(_file().read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _file() -> Path:
    folder = os.environ.get("ROWLESS_CLIENT_FOLDER", "~/.config")
    return Path(folder).expanduser() / KEPT
