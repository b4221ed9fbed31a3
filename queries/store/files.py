"""The files of a source: one, or all of a folder, in a fixed order.

A row's place is a number that orders the rows of a source: the number of its file, and then its number within the file
(for CSV the line on which it began, for others counted from 0). What is found in a file is reported with its name.

Nothing is left out silently, because whoever is missing is a person: a folder that holds other files, two kinds of
files, or a link to another folder is refused. Programs write hidden files and names that begin with `_` (`_SUCCESS`,
`_temporary`) for themselves; these are no data and are skipped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from queries.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queries.catalog.manifest import Source

KINDS = (".csv", ".parquet")  # of the files of a folder
ROWS_MAX = 2**40  # of one file
# Formats of tables that are a folder. Some of their files hold rows that were deleted since.
_TABLES = {"_delta_log": "Delta", ".hoodie": "Hudi", "metadata": "Iceberg"}


@dataclass(frozen=True)
class File:
    """A file of a source. `called` is its name for people, with the folder's; empty if it is the whole source."""

    path: Path
    called: str = ""

    @property
    def has_lines(self) -> bool:
        """Return True for a text file, in which a row is found by its line."""
        return self.path.suffix.lower() == ".csv"


def files_of(source: Source) -> tuple[File, ...]:
    """Return the files of a source in their order, of which there is at least one. Raises ManifestError."""
    path, place = source.path, f"{source.place}.source"
    if path.is_file() and path.suffix:
        return (File(path),)
    if not path.is_dir():
        raise ManifestError(place, f"there is no file {path}" if path.suffix else f"there is no folder {path}")
    if source.table is not None:
        raise ManifestError(place, f"{path} is a folder, and a DuckDB source is one file")
    found = sorted(_listed(path, place))
    if not found:
        raise ManifestError(place, f"the folder {path} holds no .csv or .parquet file")
    by_kind = {Path(name).suffix.lower(): name for name in reversed(found)}
    if len(by_kind) > 1:
        raise ManifestError(
            place, f"{' and '.join(by_kind.values())} in {path} are of two kinds; take one kind a folder"
        )
    return tuple(File(path / name, f"{path.name}/{name}") for name in found)


def _listed(folder: Path, place: str) -> Iterator[str]:
    """Yield the paths of a folder's files, relative to it."""

    def unreadable(error: OSError) -> None:
        raise ManifestError(place, f"the folder {folder} cannot be read: {error.strerror}") from error

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        here = Path(parent)
        if here == folder:
            _refuse_tables(folder, folders, place)
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in folders:
            if (here / name).is_symlink():
                raise ManifestError(place, f"{here / name} is a link to a folder, which is not followed")
        for name in names:
            if _is_hidden(name):
                continue
            relative = (here / name).relative_to(folder).as_posix()
            if Path(name).suffix.lower() not in KINDS:
                raise ManifestError(
                    place,
                    f"{relative} in {folder} is neither a .csv nor a .parquet file; take it out, or let its name begin "
                    "with _ to skip it",
                )
            yield relative


def _refuse_tables(folder: Path, folders: Sequence[str], place: str) -> None:
    for name, kind in _TABLES.items():
        if name in folders:
            raise ManifestError(
                place,
                f"{folder} is a {kind} table, whose files may hold rows that were deleted since; "
                "write what it holds now to a folder of Parquet files",
            )


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


# Places


def placed(file: int, row: str) -> str:
    """Return SQL for the place of a row of a file, which has a number among the source's files."""
    return f"{file * ROWS_MAX} + {row}" if file else row


def file_of(files: Sequence[File], at: int) -> str | None:
    """Return the name of the file of a place, or None if the source is one file."""
    return files[at // ROWS_MAX].called or None


def words(files: Sequence[File], at: int) -> str:
    """Return the name of a place for an admin, as in `line 17`, `row 18` or `visits/2024-03.csv line 17`."""
    file, row = files[at // ROWS_MAX], at % ROWS_MAX
    return row_of(row, file.called or None, has_lines=file.has_lines)


def row_of(row: int, file: str | None, *, has_lines: bool) -> str:
    """Return the name of a row for an admin. Rows without lines are numbered from 0, and named from 1."""
    named = f"line {row}" if has_lines else f"row {row + 1}"
    return named if file is None else f"{file} {named}"
