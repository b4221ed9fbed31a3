"""Files of bytes that may be compressed (`.gz`, `.zst`), read to their end or refused.

A compressed file that was cut off is refused, never read in part: whoever stands in the rest would be missing. So is a
damaged one, as far as it has a checksum: gzip always writes one, and zstd unless its caller leaves it out.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from queries.errors import ImportFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

_CODECS = {".gz": "gzip", ".zst": "zstd"}


class Bytes:
    """A file that is read from its start: the plain bytes, wherever they come from."""

    def __init__(self, file: BinaryIO, size: int, codec: str | None, called: str) -> None:
        self._file = file
        self._size = max(1, size)
        self._plain = file if codec is None or not size else pa.CompressedInputStream(file, codec)
        self._called = called
        self._read = 0

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end. Raises ImportFailed if they cannot be decompressed."""
        try:
            found: bytes = self._plain.read(size)
        except OSError as error:
            raise ImportFailed(f"{self._called} cannot be read to its end: {error}") from error
        self._read += len(found)
        return found

    def tell(self) -> int:
        """Return how many plain bytes were read."""
        return self._read

    @property
    def share(self) -> float:
        """Return how much of the file was read, from 0 to 1."""
        return min(1.0, self._file.tell() / self._size)


@contextmanager
def opened(path: Path, called: str = "") -> Iterator[Bytes]:
    """Open a file for reading. `called` is its name for people."""
    with path.open("rb") as file:
        yield Bytes(file, path.stat().st_size, _CODECS.get(path.suffix.lower()), called or path.name)
