"""An executor's copies of parts: fetched once, known by their hash, and deleted with the session.

A copy is whole or not there: it is written under another name, its hash is taken while it is written, and it gets its
name only if the hash is the one that the edition's list has. The folder is Spark's own scratch folder of this
application, which Spark deletes with it. When a part of another list of the same dataset is fetched, or when an edition
is closed, the copies of older lists are deleted.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from queries.catalog import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRATCH = "SPARK_LOCAL_DIRS"  # Spark tells each Python worker where its scratch folders are
_FOLDER = "rowless-parts"


@dataclass(frozen=True)
class Located:
    """A part of an edition, and where its file is: a path on a shared folder, or a URL of `pyarrow.fs`."""

    dataset: str
    listed: str  # the name of the list
    number: int
    where: str
    sha256: str


def folder_of(dataset: str, listed: str) -> Path:
    """Return the folder of this executor's copies of an edition's parts."""
    scratch = os.environ.get(_SCRATCH) or tempfile.gettempdir()
    return Path(scratch.split(",")[0]) / _FOLDER / dataset / listed


def fetched(part: Located) -> Path:
    """Return this executor's copy of a part; fetch it first if there is none. Raises BadParts, OSError.

    Two tasks may fetch one part at once: each writes its own file, and the second takes the first one's place.
    """
    folder = folder_of(part.dataset, part.listed)
    copy = folder / f"{part.number}-{part.sha256}.duckdb"
    if copy.is_file():
        return copy
    _erase_others(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, partial = tempfile.mkstemp(dir=folder, prefix=".")
    try:
        with os.fdopen(handle, "wb") as target, opened(part.where) as source:

            def read(size: int) -> bytes:
                block = source.read(size)
                target.write(block)
                return block

            found = parts.sha256(read)
        if found != part.sha256:
            raise parts.BadParts(f"{part.where} is not what the list of its edition says")
        Path(partial).replace(copy)
    finally:
        Path(partial).unlink(missing_ok=True)
    return copy


def under(place: str, name: str) -> str:
    """Return where a file is under a folder or a URL. What a URL asks for after `?` stays at its end."""
    if "://" not in place:
        return f"{place.rstrip('/')}/{name}"
    address, question, options = place.partition("?")
    return f"{address.rstrip('/')}/{name}{question}{options}"


def opened(where: str) -> BinaryIO:
    """Open a part's file where it lies. Raises OSError."""
    if "://" not in where:
        return Path(where).open("rb")
    from pyarrow import fs

    system, path = fs.FileSystem.from_uri(where)
    return system.open_input_stream(path)  # type: ignore[no-any-return]


def erase(dataset: str, listed: Sequence[str]) -> None:
    """Delete this executor's copies of some lists of a dataset."""
    for one in listed:
        shutil.rmtree(folder_of(dataset, one), ignore_errors=True)


def _erase_others(folder: Path) -> None:
    """Delete the copies of a dataset's other lists. Whoever reads one of them now goes on: the file is open."""
    with suppress(OSError):
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
