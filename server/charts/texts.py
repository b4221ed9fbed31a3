"""Texts in a chart: what a name may contain, how wide it is, and where it is cut.

Names and categories come from people and data. None of their characters may end an element, turn the direction of what
stands beside them, or be invisible. A text that is not plain is isolated (Unicode's FSI and PDI), so that a name that
is written from right to left stays one unit within a sentence.

Nobody knows which font a reader has. Widths are those of DejaVu Sans, which is wider than the other usual ones, so a
text takes at most the room that was kept for it.
"""

from __future__ import annotations

import unicodedata

LENGTH_MAX = 80  # characters of a name; longer ones end with an ellipsis
MARKS_MAX = 2  # accents on one character; more would reach into the lines above and below
SIZE = 12.0  # of text, in the chart's units
ELLIPSIS = "…"
_ISOLATE, _END = "\u2068", "\u2069"
_STRANGE = "\ufffd"
_JOINERS = "\u200c\u200d"  # Persian, Indian languages and emoji need them
_WIDTHS = {
    character: width
    for width, characters in {
        0.3: "'IJijl",
        0.4: " (),-./:;[\\]ft|\u202f\u00a0",
        0.5: '!"*_`r⁻⁰¹²³⁴⁵⁶⁷⁸⁹',
        0.6: "?FLcksvxyz",
        0.7: "$0123456789ABCEKPRSTVXYZabdeghnopqu{}",
        0.8: "&DGHNOQU",
        0.9: "#+<=>M^w~±",
        1.0: "%@Wm",
    }.items()
    for character in characters
}
_OTHER, _LATIN, _WIDE = 1.25, 0.8, 1.1  # of the text's size


def name(text: str, length: int = LENGTH_MAX) -> str:
    """Return a name as it can stand in a chart: printable, at most so long, and isolated unless it is plain."""
    found = _clean(text[: 4 * length])
    if len(found) > length or len(text) > 4 * length:
        found = found[: length - 1].rstrip() + ELLIPSIS
    return isolated(found)


def _clean(text: str) -> str:
    """Return a text without characters that are invisible, turn directions or are none; each leaves a mark."""
    found: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if character.isspace():
            found.append(" ")
        elif unicodedata.category(character)[0] == "C" and character not in _JOINERS:
            found.append(_STRANGE)
        elif marks <= MARKS_MAX:
            found.append(character)
    return " ".join("".join(found).split())


def isolated(text: str) -> str:
    """Return a text as one unit of a sentence, whatever direction it is written in."""
    return text if text.isascii() else f"{_ISOLATE}{text}{_END}"


def width(text: str, size: float = SIZE) -> float:
    """Return how wide a text is at most in common fonts, in the chart's units."""
    return size * sum(map(_width, text))


def _width(character: str) -> float:
    known = _WIDTHS.get(character)
    if known is not None:
        return known
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return _WIDE
    return _LATIN if ord(character) < 0x250 else _OTHER


def fitted(text: str, room: float, size: float = SIZE) -> str:
    """Return a text that is at most so wide, with an ellipsis where it was cut; one character is always left."""
    if width(text, size) <= room:
        return text
    kept = text
    while len(kept) > 1 and width(kept + ELLIPSIS, size) > room:
        kept = kept[:-1]
    open_ones = kept.count(_ISOLATE) - kept.count(_END)
    return kept.rstrip() + ELLIPSIS + _END * open_ones


def wrapped(text: str, room: float, size: float = SIZE) -> list[str]:
    """Return the lines of a sentence, each at most so wide. A word that is wider than a line is cut."""
    lines: list[str] = []
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and width(joined, size) <= room:
            lines[-1] = joined
        else:
            lines.append(fitted(word, room, size))
    return lines
