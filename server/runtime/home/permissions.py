"""Who may read a home: its owner alone. The store, the ledger and their logs are personal data.

Every command sets the umask first, so that new files are private whatever the shell says. `rowless init` corrects the
modes of files that were there before. `rowless serve` refuses a home that others can read or change, and `rowless
doctor` names what is wrong.
"""

from __future__ import annotations

import os
import pwd
import stat
from typing import TYPE_CHECKING

from budgets.database.connection import file_of
from server.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.runtime.settings import Settings

OTHERS = 0o077
SHOWN_MAX = 5


def keep_new_files_private() -> None:
    """Let nobody but its user read what this process writes from now on."""
    os.umask(OTHERS)


def require_own(home: Path) -> None:
    """Raise SettingsError unless a home is this user's own folder, because files of two users would stop a server."""
    for problem in _of_folder(home):
        raise SettingsError(problem)


def require_private(settings: Settings) -> None:
    """Raise SettingsError if others can read or change anything in a home. It is no matter if there is none."""
    found = list(problems(settings)) if settings.home.is_dir() else []
    if found:
        raise SettingsError(f"{'; '.join(shown(found))}. `rowless init` makes the home private")


def shown(found: list[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    more = [f"and {len(found) - SHOWN_MAX} more"] if len(found) > SHOWN_MAX else []
    return [*found[:SHOWN_MAX], *more]


def problems(settings: Settings) -> Iterator[str]:
    """Yield what others than the owner can read or change, and what belongs to others."""
    yield from _of_folder(settings.home)
    inside = list(_everything_in(settings.home))
    for path in (settings.home, *inside, *_ledger_outside(settings)):
        try:
            found = path.stat()
        except FileNotFoundError:  # a temporary file, or a link that leads nowhere
            continue
        if found.st_mode & OTHERS:
            yield f"{path} has mode {stat.S_IMODE(found.st_mode):o}, so that others can use it (chmod go= {path})"
        if found.st_uid != os.geteuid() and path != settings.home:
            yield f"{path} belongs to {_name(found.st_uid)} (chown it to {_name(os.geteuid())})"


def make_private(home: Path) -> None:
    """Take the rights of others from a home and everything in it that is its owner's. Raises SettingsError."""
    require_own(home)
    if home.stat().st_mode & stat.S_ISVTX:
        raise SettingsError(f"{home} is a folder that several users share; name a folder of its own for the home")
    for path in (home, *_everything_in(home)):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        if found.st_mode & OTHERS and not stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)


def _of_folder(home: Path) -> Iterator[str]:
    if home.is_symlink():
        yield f"{home} is a symbolic link; name the folder itself, because whoever can change the link chooses the home"
    elif (owner := home.stat().st_uid) != os.geteuid():
        name = _name(owner)
        yield f"{home} belongs to {name}, and this runs as {_name(os.geteuid())}; run it as {name}"


def _everything_in(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield folder.joinpath(place, name)


def _ledger_outside(settings: Settings) -> Iterator[Path]:
    file = file_of(settings.database_url)
    if file is not None and not file.is_relative_to(settings.home):
        yield from (file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm"))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
