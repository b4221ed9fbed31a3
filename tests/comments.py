"""Reads CSV with comments as pandas and R do with comment='#': without code of the product."""

from __future__ import annotations

import csv
import io


def without_comments(text: str) -> str:
    """Return a text without what a `#` outside quotes begins, up to the line's end; lines that are a comment are gone."""
    kept: list[str] = []
    quoted = False
    skipping = False
    for character in text:
        if skipping:
            skipping = character != "\n"
            if skipping or not kept or kept[-1] == "\n":
                continue
        if character == '"':
            quoted = not quoted
        if character == "#" and not quoted:
            skipping = True
            continue
        kept.append(character)
    return "".join(kept)


def read(text: str) -> tuple[list[str], list[dict[str, str]], list[str]]:
    """Return the header, the lines by its names, and the comments above it."""
    lines = text.split("\n")
    comments = lines[: next(n for n, line in enumerate(lines) if not line.startswith("#"))]
    header, *rows = csv.reader(io.StringIO(without_comments(text)), strict=True)
    assert len(set(header)) == len(header), header
    return header, [dict(zip(header, row, strict=True)) for row in rows], comments
