"""The sentences of a language, read from its file (`fr.toml`), and which of them a text may be."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import budgets.verify
from server.languages.patterns import HOLE, Pattern, pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = Path(__file__).parent
CHECK = Path(budgets.verify.__file__).parent  # the independent check has its own sentences: it has to stand alone
OF_CHECK = {"sentences": "verification", "joined": "verification, joined"}  # its sections, and their names here
MARKS, WORDS = "marks", "words"
DAYS = {"en": "%Y-%m-%d", "fr": "%d/%m/%Y"}


@dataclass(frozen=True)
class Catalog:
    """The sentences of a language.

    `exact` has those without holes, `words` the codes and names that stand within sentences; `marks` is a table for
    `str.translate` that writes a number, `day` the form of a date (as `strftime` has it). `by_word` has the patterns
    that a text with this first word may be, the most particular one first, and `others` those for any other text.
    """

    exact: Mapping[str, str]
    words: Mapping[str, str]
    marks: Mapping[int, str]
    day: str
    by_word: Mapping[str, tuple[Pattern, ...]]
    others: tuple[Pattern, ...]

    def candidates(self, text: str) -> tuple[Pattern, ...]:
        """Return the patterns that a text may be."""
        return self.by_word.get(text.partition(" ")[0], self.others)


@functools.cache
def catalog(language: str) -> Catalog | None:
    """Return the catalog of a language, or None where it has none: the API's own, English."""
    if not (FOLDER / f"{language}.toml").exists():
        return None
    sections = entries(language)
    marks = {ord(mark): written for mark, written in sections.pop(MARKS).items()}
    sentences = {said: typeset(answer) for section in sections.values() for said, answer in section.items()}
    patterns = [pattern(said, answer) for said, answer in sentences.items() if HOLE.search(said)]
    others = [one for one in patterns if one.begins is None]
    begun = {one.begins for one in patterns if one.begins is not None}
    return Catalog(
        {said: answer for said, answer in sentences.items() if not HOLE.search(said)},
        {said: typeset(answer) for said, answer in sections[WORDS].items()},
        marks,
        DAYS[language],
        {word: _particular([one for one in patterns if one.begins in (word, None)]) for word in begun},
        _particular(others),
    )


def entries(language: str) -> dict[str, dict[str, str]]:
    """Return the sections of a language: those of its file, and those of the independent check (`OF_CHECK`)."""
    own, of_check = (tomllib.loads((folder / f"{language}.toml").read_text("utf-8")) for folder in (FOLDER, CHECK))
    return {**own, **{said: of_check[name] for name, said in OF_CHECK.items()}, WORDS: own[WORDS] | of_check[WORDS]}


def _particular(patterns: Iterable[Pattern]) -> tuple[Pattern, ...]:
    return tuple(sorted(patterns, key=lambda one: -one.weight))


def typeset(text: str) -> str:
    """Return a translation with the spaces and apostrophes of print, which nobody wants to type."""
    spaced = re.sub(r" ([:;?%»]|!(?!=))", "\N{NARROW NO-BREAK SPACE}\\1", text).replace(
        "« ", "«\N{NARROW NO-BREAK SPACE}"
    )
    return re.sub(r"(?<=[^\W\d_])'(?=[\w{«])", "\N{RIGHT SINGLE QUOTATION MARK}", spaced)
