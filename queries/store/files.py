"""The files of a source in a fixed order: one, several, all of a folder, or all that fit a pattern.

A row's place is a number that orders the rows of a source: the number of its file, and then its number within the file
(for CSV the line on which it began, for others counted from 0). What is found in a file is reported with its name.

Nothing is left out silently, because whoever is missing is a person: a folder that holds other files, two kinds of
files, or a link to another folder is refused. Programs write hidden files and names that begin with `_` (`_SUCCESS`,
`_temporary`) for themselves; these are no data and are skipped.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from queries.catalog.source import ENDINGS, MARKS, Files, kind_of
from queries.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from queries.catalog.source import Source

ROWS_MAX = 2**40  # of one file
# Formats of tables that are a folder. Some of their files hold rows that were deleted since.
_TABLES = {"_delta_log": "Delta", ".hoodie": "Hudi", "metadata": "Iceberg"}
_NULL = "__HIVE_DEFAULT_PARTITION__"  # what the name of a folder says for null


@dataclass(frozen=True)
class File:
    """A file of a source. `called` is its name for people, with the folder's; empty if it is the whole source."""

    path: Path
    called: str = ""

    @property
    def kind(self) -> Files:
        """Return what the file is. Only files that can be a source are made."""
        found = kind_of(self.path)
        assert found is not None
        return found

    @property
    def partition(self) -> Mapping[str, str | None]:
        """Return the columns that the names of its folders tell, as in `year=2024/`: the same for each of its rows."""
        named = (one.partition("=") for one in self.path.parent.parts if "=" in one)
        return {
            unquote(column).strip(): None if value == _NULL else unquote(value) for column, _, value in named if column
        }


def files_of(source: Source) -> tuple[File, ...]:
    """Return the files of a source in their order, of which there is at least one. Raises ManifestError."""
    place = f"{source.place}.source"
    if source.table is not None and source.paths[0].is_dir():
        raise ManifestError(place, f"{source.paths[0]} is a folder, and a DuckDB source is one file")
    found = [file for path in source.paths for file in _files(path, place)]
    if len(found) > 1:
        found = [File(file.path, file.called or f"{file.path.parent.name}/{file.path.name}") for file in found]
    for path, times in Counter(file.path for file in found).items():
        if times > 1:
            raise ManifestError(place, f"names {path} {times} times; its rows would count as often")
    by_kind = {file.kind: file.called or file.path.name for file in reversed(found)}
    if len(by_kind) > 1:
        raise ManifestError(place, f"{' and '.join(by_kind.values())} are of two kinds; take one kind a source")
    return tuple(found)


def _files(path: Path, place: str) -> list[File]:
    """Return the files of a path: itself, those of a folder, or those that fit a pattern."""
    if path.is_file() and kind_of(path) is not None:
        return [File(path)]
    if path.is_dir():
        found = sorted(_listed(path, place))
        if not found:
            raise ManifestError(place, f"the folder {path} holds no .csv or .parquet file")
        return [File(path / name, f"{path.name}/{name}") for name in found]
    if set(MARKS) & set(str(path)):
        return _fitting(path, place)
    if path.exists():
        endings = f"{ENDINGS}, .duckdb or .db"
        raise ManifestError(place, f"{path} is there, and its name does not end as a source's does: {endings}")
    raise ManifestError(place, f"there is no file {path}" if path.suffix else f"there is no folder {path}")


def _fitting(pattern: Path, place: str) -> list[File]:
    """Return the files that fit a pattern, in the order of their paths: those of a folder that fits, too."""
    fixed = Path(*_until_marked(pattern))
    files: list[File] = []
    for path in sorted(fixed.glob(str(pattern.relative_to(fixed)))):
        inside = path.relative_to(fixed)
        if any(_is_hidden(part) for part in inside.parts):
            continue
        if path.is_dir():
            files += [] if "**" in pattern.parts else _files(path, place)
        elif kind_of(path) in (None, Files.DUCKDB):
            raise ManifestError(place, f"{path} fits {pattern.name} and is not {ENDINGS}")
        else:
            files.append(File(path, f"{fixed.name}/{inside.as_posix()}"))
    if not files:
        raise ManifestError(place, f"no file fits {pattern}")
    return files


def _until_marked(pattern: Path) -> Iterator[str]:
    for part in pattern.parts:
        if set(MARKS) & set(part):
            return
        yield part


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
            if kind_of(Path(name)) in (None, Files.DUCKDB):
                raise ManifestError(
                    place,
                    f"{relative} in {folder} is not {ENDINGS}; take it out, or let its name begin with _ to skip it",
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
    return row_of(row, file.called or None, has_lines=file.kind.has_lines)


def row_of(row: int, file: str | None, *, has_lines: bool) -> str:
    """Return the name of a row for an admin. Rows without lines are numbered from 0, and named from 1."""
    named = f"line {row}" if has_lines else f"row {row + 1}"
    return named if file is None else f"{file} {named}"
