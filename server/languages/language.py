"""The language of a document that is made outside of a request for a page: its texts, numbers, days and moments.

The pages have theirs from Flask-Babel, which needs a request. A report is made for the command line too. Both have the
same texts: those in `translations/`, and `fr.toml` for what the API says.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel.support import NullTranslations, Translations

from server.charts.words import Words
from server.languages.catalog import DAYS, catalog
from server.languages.phrase import translated
from server.views.numbers import Marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LANGUAGES = {"en": "English", "fr": "Français"}
ENGLISH = "en"
TRANSLATIONS = Path(__file__).parent / "translations"
SEMICOLONS = {"en": "; ", "fr": "\N{NARROW NO-BREAK SPACE}; "}


@dataclass(frozen=True)
class Language:
    """How a document says things. `marks` is a table for `str.translate` that writes a number."""

    code: str
    texts: NullTranslations
    marks: Mapping[int, str]

    def say(self, message: str, /, **values: object) -> str:
        """Return a text with its values filled in. Its English is its key."""
        said = str(self.texts.ugettext(message))
        return said % values if values else said

    def count(self, one: str, many: str, number: int, /, **values: object) -> str:
        """Return a text for a number of things; `%(num)s` in it is the number."""
        return str(self.texts.ungettext(one, many, number)) % {"num": self.number(f"{number:,}"), **values}

    def phrase(self, text: str) -> str:
        """Return what the API, the ledger or the log says."""
        return translated(text, self.code) or text

    def word(self, code: str) -> str:
        """Return the word for a code of the API, as a role or a state of a study."""
        known = catalog(self.code)
        return code if known is None else known.words.get(code, code)

    def joined(self, parts: Iterable[str]) -> str:
        """Return several things in one line."""
        return SEMICOLONS[self.code].join(parts)

    def amounts(self, parts: Iterable[str]) -> str:
        """Return several numbers in one line: with a decimal comma, another comma between them would mislead."""
        return (", " if not self.marks else SEMICOLONS[self.code]).join(parts)

    def number(self, text: str) -> str:
        """Return a number or a percentage that is written in English."""
        return text.translate(self.marks)

    def day(self, text: str) -> str:
        """Return a day, or the day of a moment."""
        year, month, day = text[:10].split("-")
        return DAYS[self.code].replace("%Y", year).replace("%m", month).replace("%d", day)

    def moment(self, text: str) -> str:
        """Return a moment to the minute; a day stays one."""
        return f"{self.day(text)} {text[11:16]}" if len(text) > 10 else self.day(text)

    def chart_words(self) -> Words:
        """Return how charts say things."""
        marks = Marks(self.number(","), self.number("."), self.say("to"))
        return Words(self.say, self.count, marks, DAYS[self.code])


@functools.cache
def language(code: str) -> Language:
    """Return one of `LANGUAGES`."""
    known = catalog(code)
    texts: Any = NullTranslations() if known is None else Translations.load(str(TRANSLATIONS), [code])
    return Language(code, texts, {} if known is None else known.marks)
