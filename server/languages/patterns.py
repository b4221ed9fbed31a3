"""A sentence with named holes, and what stands in them in a text. A hostile text costs no more than its length.

A hole that is not of a number ends where the next letters of the sentence first appear, and what was found is not tried
again (atomic groups). Therefore no text makes the search go back and forth. A hole at the beginning has no colon in it,
because what stands before a colon (the name of a statistic, a place in SQL) is a hole of its own.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import StrEnum

HOLE = re.compile(r"\{([a-z_][a-z_0-9]*)(?::(number|day|words|phrase|phrases))?\}")
NUMBER = r"[-+]?\d[\d,]{0,40}(?:\.\d{1,40})?(?:e[-+]?\d{1,4})?%?"


class Kind(StrEnum):
    """What stands in a hole."""

    KEPT = ""
    NUMBER = "number"
    DAY = "day"
    WORDS = "words"
    PHRASE = "phrase"
    PHRASES = "phrases"


@dataclass(frozen=True)
class Pattern:
    """A sentence of the API and its translation.

    `written` is its regular expression. `begins` is the word that each of its texts begins with, or None where that is
    in a hole. `needs` is the longest literal: a text without it cannot match. `weight` is the number of letters outside
    of holes. `answer` has the pieces of the translation, literals and names of holes by turns.
    """

    written: str
    kinds: dict[str, Kind]
    begins: str | None
    needs: str
    weight: int
    answer: tuple[str, ...]

    @functools.cached_property
    def regex(self) -> re.Pattern[str]:
        """Return the expression, which is compiled when a text first needs it."""
        return re.compile(self.written, re.DOTALL)

    def holes(self, text: str) -> dict[str, str] | None:
        """Return what stands in the holes, or None if the text is another sentence."""
        found = self.regex.fullmatch(text) if self.needs in text else None
        return None if found is None else found.groupdict()

    def filled(self, holes: dict[str, str]) -> str:
        """Return the translation with these texts in its holes."""
        return "".join(holes[piece] if place % 2 else piece for place, piece in enumerate(self.answer))


def pattern(sentence: str, answer: str) -> Pattern:
    """Return the pattern of an entry of a catalog. Raises ValueError if the two do not have the same holes."""
    pieces = HOLE.split(sentence)
    literals, names, kinds = pieces[::3], pieces[1::3], [Kind(kind or "") for kind in pieces[2::3]]
    answered = _pieces(answer)
    if sorted(names) != sorted(answered[1::2]) or len(set(names)) != len(names):
        raise ValueError(f"not the same holes: {sentence!r} and {answer!r}")
    if any(not literal for literal in literals[1:-1]):
        raise ValueError(f"two holes without anything between them: {sentence!r}")
    first, blank, _ = literals[0].partition(" ")
    return Pattern(
        _regex(literals, names, kinds),
        dict(zip(names, kinds, strict=True)),
        first if blank and first else None,
        max(literals, key=len),
        sum(map(len, literals)),
        answered,
    )


def _pieces(answer: str) -> tuple[str, ...]:
    """Return the literals and the names of the holes of a translation, by turns."""
    pieces = HOLE.split(answer)
    return tuple(piece for place, piece in enumerate(pieces) if place % 3 != 2)


def _regex(literals: list[str], names: list[str], kinds: list[Kind]) -> str:
    """Return the expression of a sentence. A group has a hole of any text and all that follows up to the next one."""
    groups = [re.escape(literals[0])]
    for name, kind, literal in zip(names, kinds, literals[1:], strict=True):
        following = re.escape(literal)
        if kind is Kind.NUMBER:
            groups[-1] += f"(?P<{name}>{NUMBER}){following}"
            continue
        letter = "(?!: )." if groups == [""] else "[^.:;]" if kind is Kind.WORDS else "."
        times = "*?" if kind in (Kind.PHRASE, Kind.PHRASES) else "+?"
        groups.append(f"(?P<{name}>(?:{letter}){times}){following}")
    # The last group goes on to the end of the text, so it may not stop where its letters first appear.
    first, *middle, last = groups if len(groups) > 1 else ["", *groups]
    return first + "".join(f"(?>{group})" for group in middle) + last
