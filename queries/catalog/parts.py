"""An edition's parts: files that together hold every person once, each with all tables of its persons.

One machine usually has one part. A cluster has many, and each can be scanned where it lies: cohorts, values per person
and joins never leave a part, because everything of a person is in one part. The cells of parts add up exactly.

Which files belong together is written twice: in the list (`parts.json`, in the edition's folder), with the hash of each
file, and in each file (the table MARK): the list's name and the part's number. Therefore a part that is missing, comes
twice, belongs to another list or was changed is refused and never counted.

The number of parts follows from `persons_max` or is the admin's choice, and never from data, so that how many files
there are reveals nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FILE = "parts.json"
WHOLE = "store.duckdb"  # the file of an edition that an import on one machine made
MARK = "#part"  # a table of each part: the name of its list, and its number. No public name has a #
PARTS_MAX = 4_096
_BLOCK = 2**22


class BadParts(Exception):
    """A list of parts cannot be read, or a part is not what the list names. For the admin."""


@dataclass(frozen=True)
class Part:
    """One file. `sha256` is None for an edition that was imported before files had hashes."""

    number: int
    file: str
    sha256: str | None = None
    bytes: int = 0


@dataclass(frozen=True)
class Parts:
    """All parts of an edition, numbered from 0. `name` is drawn anew for each list, so that no part fits two lists."""

    name: str
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        """Return how many parts there are."""
        return len(self.parts)

    @property
    def is_marked(self) -> bool:
        """Return whether the files carry the list's name. Those of an older edition do not."""
        return bool(self.name)


def new_name() -> str:
    """Return a name that no other list has."""
    return secrets.token_hex(8)


def file_of(name: str, number: int) -> str:
    """Return the name of a part's file, which no other list has."""
    return f"part-{number:04}-{name}.duckdb"


def described(number: int, path: Path) -> Part:
    """Return the part whose file was written. Raises OSError."""
    with path.open("rb") as file:
        return Part(number, path.name, sha256(file.read), path.stat().st_size)


def sha256(read: Callable[[int], bytes]) -> str:
    """Return the hash of what a function reads, in blocks of constant size."""
    found = hashlib.sha256()
    while block := read(_BLOCK):
        found.update(block)
    return found.hexdigest()


def keep(folder: Path, parts: Parts) -> None:
    """Write the list into the edition's folder: from then on these are its parts. Atomic."""
    partial = folder / f".{FILE}"
    content = {"name": parts.name, "parts": [asdict(part) for part in parts.parts]}
    with partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / FILE)
    # The old list's files may be deleted next, and a power cut must not bring the old list back.
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def kept(folder: Path) -> Parts:
    """Return the parts of an edition; one without a list is older than lists and has one part. Raises BadParts."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Parts("", (Part(0, WHOLE),))
    except (OSError, UnicodeError) as error:
        raise BadParts(f"{FILE} cannot be read") from error
    try:
        content: dict[str, Any] = json.loads(text)
        found = Parts(str(content["name"]), tuple(Part(**part) for part in content["parts"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadParts(f"{FILE} is damaged") from error
    require_all([part.number for part in found.parts], len(found.parts))
    return found


def seen(folder: Path) -> tuple[int, int, int] | None:
    """Return what tells the list in a folder from any other that was there, without reading it; None without a list."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def require_all(numbers: Sequence[int], parts: int) -> None:
    """Raise BadParts unless each part is there, and once. Otherwise persons would be missing or counted twice."""
    if sorted(numbers) != list(range(parts)) or not 1 <= parts <= PARTS_MAX:
        raise BadParts(f"these are not parts 0 to {parts - 1}, each once: {sorted(numbers)}")


def missing(folder: Path, parts: Parts) -> list[str]:
    """Return the files of parts that are not there."""
    return [part.file for part in parts.parts if not (folder / part.file).is_file()]
