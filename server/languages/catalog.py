"""The sentences of a language, read from its file (`fr.toml`), and which of them a text may be."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from server.languages.patterns import HOLE, Pattern, pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = Path(__file__).parent
MARKS, WORDS = "marks", "words"


@dataclass(frozen=True)
class Catalog:
    """The sentences of a language.

    `exact` has those without holes, `words` the codes and names that stand within sentences; `marks` is a table for
    `str.translate` that writes a number. `by_word` has the patterns that a text with this first word may be, the most
    particular one first, and `others` those for any other text.
    """

    exact: Mapping[str, str]
    words: Mapping[str, str]
    marks: Mapping[int, str]
    by_word: Mapping[str, tuple[Pattern, ...]]
    others: tuple[Pattern, ...]

    def candidates(self, text: str) -> tuple[Pattern, ...]:
        """Return the patterns that a text may be."""
        return self.by_word.get(text.partition(" ")[0], self.others)


@functools.cache
def catalog(language: str) -> Catalog | None:
    """Return the catalog of a language, or None where it has none: the API's own, English."""
    file = FOLDER / f"{language}.toml"
    if not file.exists():
        return None
    sections = entries(file)
    marks = {ord(mark): written for mark, written in sections.pop(MARKS).items()}
    sentences = {said: typeset(answer) for section in sections.values() for said, answer in section.items()}
    patterns = [pattern(said, answer) for said, answer in sentences.items() if HOLE.search(said)]
    others = [one for one in patterns if one.begins is None]
    begun = {one.begins for one in patterns if one.begins is not None}
    return Catalog(
        {said: answer for said, answer in sentences.items() if not HOLE.search(said)},
        {said: typeset(answer) for said, answer in sections[WORDS].items()},
        marks,
        {word: _particular([one for one in patterns if one.begins in (word, None)]) for word in begun},
        _particular(others),
    )


def entries(file: Path) -> dict[str, dict[str, str]]:
    """Return the sections of a catalog's file."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _particular(patterns: Iterable[Pattern]) -> tuple[Pattern, ...]:
    return tuple(sorted(patterns, key=lambda one: -one.weight))


def typeset(text: str) -> str:
    """Return a translation with the spaces and apostrophes of print, which nobody wants to type."""
    spaced = re.sub(r" ([:;?%»]|!(?!=))", "\N{NARROW NO-BREAK SPACE}\\1", text).replace(
        "« ", "«\N{NARROW NO-BREAK SPACE}"
    )
    return re.sub(r"(?<=[^\W\d_])'(?=[\w{«])", "\N{RIGHT SINGLE QUOTATION MARK}", spaced)
