"""CSV is read strictly: what was written is read back, and no line takes another one with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queries.errors import ImportFailed
from queries.store.text import delimited
from queries.store.text.delimited import Delimited, Found

if TYPE_CHECKING:
    from pathlib import Path

Rows = list[tuple[str | None, ...]]


def read(path: Path, content: bytes, *, delimiter: str = ",", encoding: str = "utf-8") -> tuple[Rows, list[int], Found]:
    """Write a file and read all its columns; return the rows, the line of each, and what else was found."""
    path.write_bytes(content)
    file = Delimited(path, delimiter=delimiter, encoding=encoding)
    rows: Rows = []
    lines: list[int] = []
    for batch in file.batches(range(len(file.names)), lambda _done: None):
        *columns, line = (column.to_pylist() for column in batch.columns)
        rows += zip(*columns, strict=True)
        lines += line
    return rows, lines, file.found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in blocks of a few bytes, so that each of them ends within a record, a character or a line's end."""
    monkeypatch.setattr(delimited, "BLOCK", 7)
    monkeypatch.setattr(delimited, "BATCH", 3)


# What is written is read


@st.composite
def written(draw: st.DrawFn) -> tuple[Rows, str, list[int]]:
    """Draw a table of texts, and a way to write it as CSV that means the same; return also each record's line."""
    width = draw(st.integers(1, 4))
    # Delimiters, quotes and line ends often, and some of what all of the encodings have.
    texts = st.text(alphabet="ab,;\"\n\r \t'é0", max_size=6)
    rows = draw(st.lists(st.tuples(*[texts] * width).filter(any), max_size=12))
    out, line, lines = "", 2, []
    ends = st.sampled_from(["\n", "\r\n", "\r"])
    header = ",".join(f"c{place}" for place in range(width))
    out += header + draw(ends)
    for row in rows:
        for _ in range(draw(st.integers(0, 1))):  # an empty line says nothing
            # CR and then LF would be the end of one line
            out += "\r\n" if out.endswith("\r") else draw(ends)
            line += 1
        lines.append(line)
        fields = []
        for text in row:
            needed = any(mark in text for mark in ",\n\r") or text.startswith('"')
            if needed or draw(st.booleans()):
                fields.append('"' + text.replace('"', '""') + '"' + (" " if draw(st.booleans()) else ""))
            else:
                fields.append(text)
        if fields == [""]:
            fields = ['""']
        record = ",".join(fields)
        if record[0] == "\n" and out.endswith("\r"):
            record = " " + record
        out += record + draw(ends)
        inside = record.replace("\r\n", "\n").replace("\r", "\n")
        line += 1 + inside.count("\n")
    if out.endswith(("\r\n", "\n")) and draw(st.booleans()):
        out = out.removesuffix("\n").removesuffix("\r")
    return [tuple(text or None for text in row) for row in rows], out, lines


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written(), st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-be"]))
def test_any_table_of_texts_reads_back(
    tmp_path: Path, small_blocks: None, table: tuple[Rows, str, list[int]], encoding: str
) -> None:
    """Whatever the quoting, the line ends (mixed too), the encoding and where the blocks end: the same texts."""
    rows, text, lines = table
    said = encoding.removesuffix("-sig").removesuffix("-be")
    content = text.encode(encoding)
    if encoding == "utf-16-be":
        content = b"\xfe\xff" + content
    found, places, besides = read(tmp_path / "t.csv", content, encoding=said)
    assert found == rows
    assert places == lines
    assert (besides.malformed, besides.first_malformed) == (0, 0)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(alphabet='a,"\n\r', max_size=8), min_size=1, max_size=6), st.integers(0, 5))
def test_no_line_takes_another_one_with_it(tmp_path: Path, small_blocks: None, poison: list[str], after: int) -> None:
    """Whatever is written between them, lines before and after are all read, or the file is refused."""
    before, behind = [f"b{n},x,y" for n in range(3)], [f"e{n},x,y" for n in range(after)]
    text = "\n".join(["id,u,v", *before, *poison, *behind]) + "\n"
    refused = ""
    try:
        found, _, besides = read(tmp_path / "t.csv", text.encode())
    except ImportFailed as error:
        refused = str(error)
    if refused or besides.doubtful:  # what is doubtful is told, and stops an import too
        assert '"' in text
        assert not refused or "a quote opens here" in refused
        return
    kept = {row[0] for row in found}
    assert {f"b{n}" for n in range(3)} <= kept
    assert {f"e{n}" for n in range(after)} <= kept


def test_line_ends_of_every_kind_in_one_file(tmp_path: Path, small_blocks: None) -> None:
    """CR LF, LF and CR each end a line where they stand, the last line needs none, and empty lines say nothing."""
    rows, lines, _ = read(tmp_path / "t.csv", b"a,b\r\n1,2\n3,4\r5,6\r\n\r\n\n7,8\r\r9,0")
    assert rows == [("1", "2"), ("3", "4"), ("5", "6"), ("7", "8"), ("9", "0")]
    assert lines == [2, 3, 4, 7, 9]


def test_quoted_line_ends_belong_to_the_text(tmp_path: Path, small_blocks: None) -> None:
    """A quoted field may run over lines, and is one field of one record."""
    rows, lines, besides = read(tmp_path / "t.csv", b'a,b\n1,"two\r\nlines, and ""more"""\n2,x\n')
    assert rows == [("1", 'two\r\nlines, and "more"'), ("2", "x")]
    assert lines == [2, 4]
    assert besides == Found()


def test_a_quote_within_a_text_is_a_character(tmp_path: Path) -> None:
    """A field that does not begin with a quote has none: five feet six inches need no care."""
    rows, _, besides = read(tmp_path / "t.csv", b'a,b\n1,5\'6" tall\n2,x"\n')
    assert rows == [("1", "5'6\" tall"), ("2", 'x"')]
    assert besides == Found()


@pytest.mark.parametrize("content", [b"a,b\n", b"a,b", b"a,b\r\n\r\n", b"\xef\xbb\xbfa,b\n", b"\n\nsep=,\na,b\n"])
def test_a_header_alone_is_a_file_without_rows(tmp_path: Path, content: bytes) -> None:
    """No rows are no error; a byte order mark, empty lines and Excel's note before the header are none of its names."""
    path = tmp_path / "t.csv"
    assert read(path, content)[:2] == ([], [])
    assert Delimited(path, delimiter=",", encoding="utf-8").names == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\r\n"])
def test_a_file_without_a_header_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty file is no source."""
    with pytest.raises(ImportFailed, match=r"t\.csv needs a first line with the names of its columns"):
        read(tmp_path / "t.csv", content)


def test_long_fields_and_nul_bytes_are_texts(tmp_path: Path) -> None:
    """A field may be longer than a block and hold a NUL."""
    long = "x" * (2 * delimited.BLOCK)
    rows, _, besides = read(tmp_path / "t.csv", f"a,b\n1,{long}\n2,\0y\n".encode())
    assert rows == [("1", long), ("2", "\0y")]
    assert besides == Found()


def test_a_record_beyond_all_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quote that is not closed for megabytes is refused with its line, without a file in memory."""
    monkeypatch.setattr(delimited, "RECORD_MAX", 1000)
    monkeypatch.setattr(delimited, "BLOCK", 400)
    with pytest.raises(ImportFailed, match=r"t\.csv, line 3: a record of more than 1000 bytes; is a quote missing\?"):
        read(tmp_path / "t.csv", b'a,b\n1,2\n2,"x\n' + b"3,4\n" * 1000)


# What is not


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"2", 2),
        (b"2,x,y", 2),
        (b'2,"x"y', 2),
        (b'"2" z,x', 2),
        (b",", 3),
    ],
)
def test_a_malformed_line_costs_itself_alone(tmp_path: Path, small_blocks: None, line: bytes, kept: int) -> None:
    """Too few fields, too many, text after a closing quote: left out, and counted with the line of the first."""
    rows, _, besides = read(tmp_path / "t.csv", b"a,b\n1,x\n" + line + b"\n3,x\n")
    assert len(rows) == kept
    assert {("1", "x"), ("3", "x")} <= set(rows)
    assert (besides.malformed, besides.first_malformed) == ((1, 3) if kept == 2 else (0, 0))


@pytest.mark.parametrize(
    ("lines", "opened"),
    [
        (['1,"x', "2,y", "3,z"], 2),
        (["1,x", '2,"', "3,z"], 3),
        (["1,x", '"2,y', "3,z"], 3),
        (["1,x", '2,"multi', 'line",z', "3,z"], 3),
        (['1,"x', '2,"y"', "3,z"], 2),
        (['1,"x', "2,y", '3,z"z', "4,x"], 2),
    ],
)
def test_a_quote_that_may_have_swallowed_lines_is_refused(
    tmp_path: Path, small_blocks: None, lines: list[str], opened: int
) -> None:
    """Never closed, or closed where its record does not fit the header: refused with the line on which it opens."""
    for end in ("\n", "\r\n", "\r"):
        text = end.join(["a,b", *lines]) + end
        with pytest.raises(ImportFailed, match=rf"^t\.csv, line {opened}: a quote opens here and"):
            read(tmp_path / "t.csv", text.encode())


def test_two_stray_quotes_are_told(tmp_path: Path, small_blocks: None) -> None:
    """A record that is well formed, but whose lines each look like one, is counted with its line."""
    swallowed = "".join(f"{n},fine,A\n" for n in range(10))
    rows, _, besides = read(tmp_path / "t.csv", f'id,note,sex\n1,ok,B\n2,"oops,A\n{swallowed}3,oops",B\n'.encode())
    assert [row[0] for row in rows] == ["1", "2"]
    assert besides == Found(doubtful=1, first_doubtful=3)
    letter = '1,"Dear colleague, thank you.\n\nYours, X",A\n'
    assert read(tmp_path / "t.csv", f"id,note,sex\n{letter}".encode())[2] == Found()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("line", [2, 3, 50, 5000])
def test_bytes_of_another_encoding_are_refused_with_their_line(tmp_path: Path, line: int, end: bytes) -> None:
    """A file that is not what was said is refused, never thinned out."""
    lines = [b"1,K\xc3\xb6ln"] * 6000
    lines[line - 2] = b"1,K\xf6ln"
    with pytest.raises(ImportFailed, match=rf'^t\.csv, line {line}: not UTF-8 .* write encoding = "cp1252"'):
        read(tmp_path / "t.csv", end.join([b"a,b", *lines]))


def test_an_encoding_that_the_file_contradicts_is_refused(tmp_path: Path) -> None:
    """Marks at the start of a file, and bytes that cp1252 does not have, show what it is not."""
    path = tmp_path / "t.csv"
    with pytest.raises(ImportFailed, match=r'begins as UTF-16 does: write encoding = "utf-16"'):
        read(path, "a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(ImportFailed, match="begins as UTF-8 does, and the manifest says cp1252"):
        read(path, "\ufeffa,b\n".encode(), encoding="cp1252")
    with pytest.raises(ImportFailed, match=r"line 3: not cp1252 \(byte 0x81\)"):
        read(path, b"a,b\n1,2\n1,\x81\n", encoding="cp1252")
    with pytest.raises(ImportFailed, match="is this UTF-16"):
        read(path, "a,b\n1,2\n".encode("utf-16-le"))
    for encoding in ("utf-16-le", "utf-16-be"):  # without a byte order mark, as that hint leads to
        assert read(path, "a,b\n1,é\n".encode(encoding), encoding="utf-16") == read(path, "a,b\n1,é\n".encode())
    with pytest.raises(ImportFailed, match=r"line 3: not utf-16"):
        read(path, "a,b\n1,2\n".encode("utf-16-le") + b"x", encoding="utf-16")
    with pytest.raises(ImportFailed, match="does not begin as UTF-16 does"):
        read(path, b"a,b\n1,2\n", encoding="utf-16")
    with pytest.raises(ImportFailed, match=r"line \d: not utf-16"):
        read(path, "a,b\n1,2\n".encode("utf-16") + b"x", encoding="utf-16")


def test_delimiter_is_any_ascii_but_quotes_and_line_ends(tmp_path: Path) -> None:
    """A tab, a semicolon, a blank: any ASCII character but quotes and line ends."""
    assert read(tmp_path / "t.csv", b"a\tb\n1,5\t2\n", delimiter="\t")[0] == [("1,5", "2")]
    assert read(tmp_path / "t.csv", b'a b\n1 "x y"\n', delimiter=" ")[0] == [("1", "x y")]
    for wrong in ('"', "\n", "\r", "§", ";;"):
        with pytest.raises(ImportFailed, match="the delimiter must be one ASCII character"):
            read(tmp_path / "t.csv", b"a;b\n", delimiter=wrong)
