"""What the API says -> the language of the page. The API, the ledger and the log stay English: only pages translate.

A text that no catalog has is shown as it is, marked as English.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask_babel import get_locale
from markupsafe import Markup, escape

from server.languages.catalog import catalog
from server.languages.patterns import Kind

if TYPE_CHECKING:
    from flask import Flask

    from server.languages.catalog import Catalog
    from server.languages.patterns import Pattern

LONGEST = 5_000  # characters of a text that is looked up at all
DEEPEST = 6  # sentences within sentences
WORK = 600  # texts and patterns that are tried for one text
PARTS_MAX = 20

END_OF_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z])")
DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(Z?))?", re.ASCII)
BETWEEN_WORDS = re.compile(r"(, | or | and )")


def register(app: Flask) -> None:
    """Give templates the filters of this module."""
    app.add_template_filter(shown, "phrase")
    app.add_template_filter(phrase, "phrase_text")


def shown(text: str | None) -> str:
    """Return what the API says in the language of the request, marked as English where that is all there is."""
    if not text:
        return ""
    language = _language()
    said = translated(text, language)
    if said is not None or catalog(language) is None:
        return said or text
    return Markup('<span lang="en">') + escape(text) + Markup("</span>")


def phrase(text: str | None) -> str:
    """Return what the API says in the language of the request, or in English."""
    return "" if not text else translated(text, _language()) or text


def translated(text: str, language: str) -> str | None:
    """Return what the API says in a language, or None if its catalog does not have it."""
    known = catalog(language)
    return None if known is None or len(text) > LONGEST else _Translation(known).of(text, 0)


def _language() -> str:
    locale = get_locale()
    return "en" if locale is None else str(locale.language)


class _Translation:
    """The translation of one text. It gives up after `WORK` steps, whatever the text is."""

    def __init__(self, known: Catalog) -> None:
        self._known = known
        self._left = WORK

    def of(self, text: str, depth: int) -> str | None:
        """Return the translation of a sentence, of several sentences or of a part of one, or None."""
        if not text:
            return ""
        if text in self._known.exact:
            return self._known.exact[text]
        if depth > DEEPEST:
            return None
        self._left -= 1
        for pattern in self._known.candidates(text):
            if self._left <= 0:
                return None
            said = self._filled(pattern, text, depth)
            if said is not None:
                return said
        return self._each(END_OF_SENTENCE.split(text), " ", depth)

    def _filled(self, pattern: Pattern, text: str, depth: int) -> str | None:
        """Return the translation by one pattern, or None if the text is another sentence."""
        holes = pattern.holes(text)
        if holes is None:
            return None
        self._left -= 1
        filled: dict[str, str] = {}
        for name, found in holes.items():
            said = self._hole(pattern.kinds[name], found, depth)
            if said is None:
                return None
            filled[name] = said
        return pattern.filled(filled)

    def _hole(self, kind: Kind, text: str, depth: int) -> str | None:
        match kind:
            case Kind.KEPT:
                return text
            case Kind.NUMBER:
                return text.translate(self._known.marks)
            case Kind.DAY:
                return DAY.sub(self._day, text)
            case Kind.WORDS:
                return self._words(text)
            case Kind.PHRASE:
                return self.of(text, depth + 1)
            case Kind.PHRASES:
                return self._each(text.split("; "), "\N{NARROW NO-BREAK SPACE}; ", depth)

    def _day(self, found: re.Match[str]) -> str:
        """Return a day, or a time to the second."""
        year, month, day, time, utc = found.groups()
        said = self._known.day.replace("%Y", year).replace("%m", month).replace("%d", day)
        return said if time is None else f"{said} {time}{' UTC' if utc else ''}"

    def _each(self, parts: list[str], between: str, depth: int) -> str | None:
        """Return parts that are translated each by itself, or None if one is not known."""
        if len(parts) > PARTS_MAX or (len(parts) == 1 and between == " "):
            return None
        said = [self.of(part, depth + 1) for part in parts]
        return None if None in said else between.join(filter(None, said))

    def _words(self, text: str) -> str:
        """Return a word, or words with commas, "or" and "and" between them; those that are not known stay."""
        if text in self._known.exact:
            return self._known.exact[text]
        return "".join(self._known.words.get(part, part) for part in BETWEEN_WORDS.split(text))
