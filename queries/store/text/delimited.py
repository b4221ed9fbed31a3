"""CSV, read strictly: no dialect, type or encoding is guessed, and no line can remove another one.

Neighbours are parsed rows (docs/privacy.md, "The source must not couple persons"). A record that is malformed within
one line is left out and counted, because it can only remove itself. Anything that may have swallowed other lines stops
the import with its place: a quote that is never closed, or a record over several lines that does not fit the header.
Bytes that are invalid in the declared encoding stop it too: otherwise persons who live in Köln would be missing.

The grammar is RFC 4180's, extended for files in use: lines end with CR LF, LF or CR, even mixed in one file; a quote
inside a field that began without one is an ordinary character; blanks may follow a closing quote; empty lines are
skipped. An empty field, quoted or not, is null.

The file is read in blocks of constant size. A compiled loop finds the fields of whole records; the columns that are
wanted are copied into Arrow arrays, with the number of the line on which each record began.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from queries.catalog.formats import ENCODINGS
from queries.errors import ImportFailed
from queries.store.text import byte_order
from queries.store.text.compression import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from queries.store.text.compression import Bytes

BLOCK = 2**23  # bytes of a file that are decoded and parsed at once
BATCH = 200_000  # records that are handed on at once
HEADER_MAX = 2**20  # bytes within which the header ends
RECORD_MAX = 2**26  # bytes of the longest record: what is longer is a missing quote, or no CSV

_QUOTE, _LF, _CR, _BLANK, _TAB = 34, 10, 13, 32, 9
# Places in the array in which the loop keeps its position and returns what it found.
_CONSUMED, _RECORDS, _LINE, _MALFORMED, _FIRST_MALFORMED, _DOUBTFUL, _FIRST_DOUBTFUL, _WRONG, _OPENED = range(9)
_UNCLOSED, _TORN = 1, 2
# Places in the array of one record: the line it has reached, the line of its first quote around a line end (0: none),
# whether each of its lines would be a record by itself, and the delimiters in its last line.
_LAST, _QUOTED, _APART, _DELIMITERS = range(4)


@dataclass(frozen=True)
class Found:
    """What was found in a file besides its records. Lines count from 1, the header included; 0 is none.

    `malformed` records were left out. `doubtful` ones are kept: they are well formed, but span several lines, each of
    which would be a record by itself. Two stray quotes look like that.
    """

    malformed: int = 0
    first_malformed: int = 0
    doubtful: int = 0
    first_doubtful: int = 0


class Delimited:
    """A CSV file whose header was read. `names` are its columns as written, including repeated ones."""

    def __init__(self, path: Path, *, delimiter: str, encoding: str, called: str = "") -> None:
        """Raise ImportFailed if there is no header in the declared encoding. `called` is the name for people."""
        self._called = called or path.name
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
            raise ImportFailed(f"{self._called}: the delimiter must be one ASCII character, and no quote or line end")
        self._path = path
        self._delimiter = delimiter
        self._encoding = encoding
        self.found = Found()
        self._header_bytes = 0
        with opened(path, self._called) as file:
            head = b""
            for block in self._blocks(file):
                head += block
                if len(head) >= HEADER_MAX:
                    break
            self.names, self._header_bytes, self._header_lines = self._header(head)

    def _header(self, block: bytes) -> tuple[list[str], int, int]:
        """Return the columns' names, and the bytes and lines (of the file in UTF-8) that the header takes."""
        if b"\0" in block[:1000]:
            raise ImportFailed(f'{self._called} holds NUL bytes: is this UTF-16? Write encoding = "utf-16"')
        length = 0

        def lines() -> Iterator[str]:
            nonlocal length
            for line in io.StringIO(block.decode("utf-8", "ignore"), newline=""):
                length += len(line.encode("utf-8"))
                yield line if not re.fullmatch(r"sep=.[\r\n]*", line) else ""  # Excel's own line

        reader = csv.reader(lines(), delimiter=self._delimiter, strict=True)
        try:
            names = next((row for row in reader if any(row)), [])
        except csv.Error as error:
            raise ImportFailed(f"{self._called}, line 1: the header is malformed: {error}") from error
        if not names:
            raise ImportFailed(f"{self._called} needs a first line with the names of its columns")
        return names, length, reader.line_num

    def batches(self, wanted: Sequence[int], progress: Callable[[float], None]) -> Iterator[pa.RecordBatch]:
        """Yield the columns at the places `wanted` as texts `0`, `1`..., and as `line` where each record began.

        Raises ImportFailed, with the place, for anything that may have swallowed other lines. `found` is complete when
        the last batch is out.
        """
        slots = np.full(len(self.names), -1, np.int64)
        slots[list(wanted)] = np.arange(len(wanted))
        found = np.zeros(9, np.int64)
        found[_LINE] = 1 + self._header_lines
        with opened(self._path, self._called) as file:
            held, skip = b"", self._header_bytes
            for block in self._blocks(file):
                held += block
                skip, held = max(0, skip - len(held)), held[skip:]
                data, start = np.frombuffer(held, np.uint8), 0
                found[_CONSUMED] = 1
                while found[_CONSUMED] and start < len(held):
                    yield from self._parse(data[start:], not block, slots, len(wanted), found)
                    start += int(found[_CONSUMED])
                held = held[start:]
                if len(held) > RECORD_MAX:
                    raise self._too_long(int(found[_LINE]), held)
                progress(file.share)
        self.found = Found(*map(int, found[_MALFORMED : _FIRST_DOUBTFUL + 1]))

    def _parse(
        self, data: NDArray[np.uint8], final: bool, slots: NDArray[np.int64], wanted: int, found: NDArray[np.int64]
    ) -> Iterator[pa.RecordBatch]:
        """Parse whole records from the start of `data`, as many as arrays of a moderate size hold."""
        capacity = min(len(data) // len(slots) + 1, BATCH)
        starts, lengths = np.empty((2, wanted, capacity), np.int64)
        doubled = np.empty((wanted, capacity), np.bool_)
        lines = np.empty(capacity, np.int64)
        _find_records(data, final, ord(self._delimiter), slots, starts, lengths, doubled, lines, found)
        if found[_WRONG]:
            raise self._wrong(found)
        records = int(found[_RECORDS])
        if records:
            columns = [
                _texts(data, starts[slot, :records], lengths[slot, :records], doubled[slot, :records])
                for slot in range(wanted)
            ]
            names = [*map(str, range(wanted)), "line"]
            yield pa.RecordBatch.from_arrays([*columns, pa.array(lines[:records])], names=names)

    def _wrong(self, found: NDArray[np.int64]) -> ImportFailed:
        place = f"{self._called}, line {found[_OPENED]}: a quote opens here and"
        if found[_WRONG] == _UNCLOSED:
            return ImportFailed(
                f"{place} is never closed, so that it would swallow all lines after it. Close it, or double it if it "
                "belongs to the text"
            )
        return ImportFailed(
            f"{place} the record that it belongs to runs to line {found[_LINE]} and does not fit the header: a quote "
            "is missing, or there is one too many, and the lines between may have been swallowed. Mend the file"
        )

    def _too_long(self, line: int, held: bytes) -> ImportFailed:
        hint = "; is a quote missing?" if b'"' in held else ""
        return ImportFailed(f"{self._called}, line {line}: a record of more than {RECORD_MAX} bytes{hint}")

    # Bytes

    def _blocks(self, file: Bytes) -> Iterator[bytes]:
        """Yield a file's text as UTF-8, checked, in blocks that may end within a character's bytes or a line."""
        encoding = self._encoding
        first = file.read(BLOCK)
        if encoding != "utf-16" and first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ImportFailed(f'{self._called} begins as UTF-16 does: write encoding = "utf-16"')
        if first.startswith(codecs.BOM_UTF8):
            if encoding != "utf-8":
                raise ImportFailed(f"{self._called} begins as UTF-8 does, and the manifest says {encoding}")
            first = first[len(codecs.BOM_UTF8) :]
        self._codec = byte_order.codec(first, self._called) if encoding == "utf-16" and first else ENCODINGS[encoding]
        decoder = codecs.getincrementaldecoder(self._codec)("strict")
        block = first
        while True:
            try:
                if encoding != "utf-8":
                    yield decoder.decode(block, not block).encode("utf-8")
                else:  # UTF-8 already, and pure ASCII needs no check
                    if decoder.getstate()[0] or not block.isascii():
                        decoder.decode(block, not block)
                    yield block
            except UnicodeDecodeError as error:
                raise self._not_of_encoding(file.tell() - len(error.object) + error.start, error) from error
            if not block:
                return
            block = file.read(BLOCK)

    def _not_of_encoding(self, at: int, error: UnicodeDecodeError) -> ImportFailed:
        """Find the line of the first bytes that are invalid in the encoding: `at` bytes from the start."""
        decoder = codecs.getincrementaldecoder(self._codec)("ignore")
        line, last = 1, ""
        with opened(self._path, self._called) as file:
            while at and (block := file.read(min(at, BLOCK))):
                at -= len(block)
                text = last + decoder.decode(block)
                line += text.count("\n") + text.count("\r") - text.count("\r\n") - last.count("\r")
                last = text[-1:]
                line -= last.count("\n")
            line += last.count("\n")
        hint = (
            'is this cp1252 (Windows, Western Europe)? Then write encoding = "cp1252". Others are "latin-1", "utf-16"'
            if self._encoding == "utf-8"
            else byte_order.OWN_ENCODING
        )
        said = "UTF-8" if self._encoding == "utf-8" else self._encoding
        byte = error.object[error.start]
        return ImportFailed(f"{self._called}, line {line}: not {said} (byte 0x{byte:02x}); {hint}")


@numba.njit(nogil=True, cache=True)
def _find_records(
    data: NDArray[np.uint8],
    final: bool,
    delimiter: int,
    slots: NDArray[np.int64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    doubled: NDArray[np.bool_],
    lines: NDArray[np.int64],
    found: NDArray[np.int64],
) -> None:
    """Find the fields of the whole records at the start of `data`, until it ends or the arrays are full.

    `slots` gives, for each field of a record, where to store its start, its length and whether it has doubled quotes;
    -1 means nowhere. An incomplete record at the end is left for another call with more bytes, unless `final`.
    """
    size, fields, capacity = len(data), len(slots), len(lines)
    at, line, records = 0, found[_LINE], 0
    record = np.zeros(4, dtype=np.int64)
    while at < size and records < capacity:
        if data[at] == _LF or data[at] == _CR:  # an empty line
            if data[at] == _CR and at + 1 == size and not final:
                break
            at = _after_line_end(data, at)
            line += 1
            continue
        record[_LAST], record[_QUOTED], record[_APART], record[_DELIMITERS] = line, 0, 1, 0
        here, field, bad = _find_fields(data, final, delimiter, slots, starts, lengths, doubled, records, at, record)
        if here < 0:
            if final:
                found[_WRONG], found[_OPENED] = _UNCLOSED, record[_LAST]
            break
        opened = record[_QUOTED]
        bad = bad or field != fields
        if bad and opened:
            found[_WRONG], found[_OPENED] = _TORN, opened
            line = record[_LAST]
            break
        if bad:
            _count(found, _MALFORMED, _FIRST_MALFORMED, line)
        else:
            apart = record[_APART] and record[_DELIMITERS] == fields - 1 and fields > 1
            if opened and apart and (fields > 3 or record[_LAST] - line > 1):
                _count(found, _DOUBTFUL, _FIRST_DOUBTFUL, opened)
            lines[records] = line
            records += 1
        at, line = here, record[_LAST] + 1
    found[_CONSUMED], found[_RECORDS], found[_LINE] = at, records, line


# Inlined: one call per field would cost a fifth of the time.
@numba.njit(nogil=True, cache=True, inline="always")
def _find_fields(
    data: NDArray[np.uint8],
    final: bool,
    delimiter: int,
    slots: NDArray[np.int64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    doubled: NDArray[np.bool_],
    row: int,
    at: int,
    record: NDArray[np.int64],
) -> tuple[int, int, bool]:
    """Find the fields of the record at `at`; return where the next one begins, its fields and whether it is malformed.

    The fields go to `row` of `starts`, `lengths` and `doubled`. Returns -1 for an incomplete record; `record[_LAST]` is
    then the line of the quote that is not closed.
    """
    size, here, field, bad = len(data), at, 0, False
    counted = 0  # of the delimiters so far: the last ones are added to `record` only when it matters
    while True:
        start, escapes = here, False
        if here < size and data[here] == _QUOTE:
            start = here + 1
            record[_DELIMITERS] += field - counted
            counted = field
            here, escapes = _closing_quote(data, final, delimiter, len(slots), start, record)
            if here < 0:
                return -1, field, bad
            length = here - start
            here += 1
            while here < size and data[here] != delimiter and (data[here] == _BLANK or data[here] == _TAB):
                here += 1
            after = here
            here = _plain_end(data, delimiter, here)
            bad = bad or here > after
        else:
            here = _plain_end(data, delimiter, here)
            length = here - start
        if here == size and not final:
            return -1, field, bad
        if field < len(slots) and slots[field] >= 0:
            slot = slots[field]
            starts[slot, row], lengths[slot, row], doubled[slot, row] = start, length, escapes
        field += 1
        if here < size and data[here] == delimiter:
            here += 1
            continue
        record[_DELIMITERS] += field - 1 - counted
        if here < size:
            if data[here] == _CR and here + 1 == size and not final:
                return -1, field, bad
            here = _after_line_end(data, here)
        return here, field, bad


@numba.njit(nogil=True, cache=True)
def _closing_quote(
    data: NDArray[np.uint8], final: bool, delimiter: int, fields: int, here: int, record: NDArray[np.int64]
) -> tuple[int, bool]:
    """Return the place of the quote that closes a field, and whether quotes are doubled in it; -1 if it is not closed.

    Lines that end within the field are counted in `record`; if it is not closed, `record[_LAST]` is the line it began.
    """
    size, escapes, first = len(data), False, record[_LAST]
    while here < size:
        byte = data[here]
        if byte == _QUOTE:
            if here + 1 == size and not final:
                break
            if here + 1 == size or data[here + 1] != _QUOTE:
                return here, escapes
            escapes = True
            here += 2
            continue
        if byte == delimiter:
            record[_DELIMITERS] += 1
        elif byte in (_LF, _CR):
            here = _after_line_end(data, here) - 1
            record[_LAST] += 1
            if record[_QUOTED] == 0:
                record[_QUOTED] = first
            if record[_DELIMITERS] != fields - 1:
                record[_APART] = 0
            record[_DELIMITERS] = 0
        here += 1
    record[_LAST] = first
    return -1, escapes


@numba.njit(nogil=True, cache=True, inline="always")
def _plain_end(data: NDArray[np.uint8], delimiter: int, here: int) -> int:
    """Return the first place from `here` on with a delimiter or a line end, or the end of `data`."""
    while here < len(data) and data[here] != delimiter and data[here] != _LF and data[here] != _CR:
        here += 1
    return here


@numba.njit(nogil=True, cache=True, inline="always")
def _after_line_end(data: NDArray[np.uint8], here: int) -> int:
    """Return the place after the line end at `here`: CR LF, LF or CR."""
    return here + 2 if data[here] == _CR and here + 1 < len(data) and data[here + 1] == _LF else here + 1


@numba.njit(nogil=True, cache=True)
def _count(found: NDArray[np.int64], what: int, first: int, line: int) -> None:
    """Count one record in `found`, and keep the line of the first one."""
    found[what] += 1
    if found[first] == 0:
        found[first] = line


@numba.njit(nogil=True, cache=True)
def _copy(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    doubled: NDArray[np.bool_],
    copied: NDArray[np.uint8],
    offsets: NDArray[np.int32],
) -> None:
    """Copy texts one after the other; a doubled quote becomes one quote."""
    to = 0
    for i in range(len(starts)):
        offsets[i] = to
        here, end = starts[i], starts[i] + lengths[i]
        while here < end:
            copied[to] = data[here]
            here += 2 if doubled[i] and data[here] == _QUOTE else 1
            to += 1
    offsets[len(starts)] = to


def _texts(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], doubled: NDArray[np.bool_]
) -> Any:
    """Return fields as an Arrow array of texts, null where they are empty."""
    copied = np.empty(int(lengths.sum()), np.uint8)
    offsets = np.empty(len(starts) + 1, np.int32)
    _copy(data, starts, lengths, doubled, copied, offsets)
    valid = np.packbits(lengths > 0, bitorder="little")
    return pa.Array.from_buffers(
        pa.utf8(), len(starts), [pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(copied)]
    )
