"""The language of the command line: what `--lang` names, or the environment's (LC_ALL, LC_MESSAGES, LANG).

Every word that a command prints for people goes through one of two functions. `say` (and `count`, for a number of
things) is for the command line's own texts: the English text is the key of its French in `translations/`. `phrase` is
for what the API, the ledger and the log say, which `fr.toml` translates. Refusals are phrases too, and `common.py`
translates them; the help of commands and options is a text that `commands.py` looks up. With --json everything is as
the API has it. docs/contributing/pages.md says how to add a text.
"""

from __future__ import annotations

import functools
import gettext
import os
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from server.languages.language import Language
    from server.views.terminal import Spoken

VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # in the order in which the C library looks at them
ENGLISH, CODES = "en", ("en", "fr")
TRANSLATIONS = Path(__file__).parents[1] / "languages" / "translations"
DOMAIN = "messages"  # also that of click, which looks its own texts up with gettext
ASKED = "--lang"

_CHOSEN: ContextVar[str | None] = ContextVar("language", default=None)


def code() -> str:
    """Return the code of the language of the present command."""
    chosen = _CHOSEN.get()
    if chosen is not None:
        return chosen
    set_to = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    return set_to[:2] if set_to[:2] in CODES else ENGLISH


@contextmanager
def speaking(arguments: Sequence[str]) -> Iterator[None]:
    """Speak the language that the arguments of a command ask for, click's own texts included."""
    chosen = _CHOSEN.set(_asked(arguments))
    gettext.bindtextdomain(DOMAIN, str(TRANSLATIONS))
    try:
        with _gettext_in(code()):
            yield
    finally:
        _CHOSEN.reset(chosen)


def keeping_english() -> AbstractContextManager[None]:
    """Have click name things in English, as while commands are imported: it keeps the names of some types for good."""
    return _gettext_in(ENGLISH)


@contextmanager
def _gettext_in(code: str) -> Iterator[None]:
    before = os.environ.get("LANGUAGE")
    os.environ["LANGUAGE"] = code  # gettext's own way to name a language
    try:
        yield
    finally:
        if before is None:
            del os.environ["LANGUAGE"]
        else:
            os.environ["LANGUAGE"] = before


def _asked(arguments: Sequence[str]) -> str | None:
    """Return the language of --lang, which stands before the name of a command."""
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == ASKED:
            given = value or "".join(arguments[place + 1 : place + 2])
            return given if given in CODES else None
        if not argument.startswith("-"):
            break
    return None


@functools.cache
def _texts(code: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, TRANSLATIONS, [code], fallback=True)


def say(message: str, /, **values: object) -> str:
    """Return a text of the command line with its values filled in. Its English is its key."""
    said = _texts(code()).gettext(message)
    return said % values if values else said


def pgettext(context: str, message: str, /) -> str:
    """Return a text that is written in another way of a study, of a dataset, and so on."""
    return _texts(code()).pgettext(context, message)


def count(one: str, many: str, number: int, /, **values: object) -> str:
    """Return a text for a number of things; `%(num)s` in it is the number."""
    return _texts(code()).ngettext(one, many, number) % {"num": whole(number), **values}


def spoken() -> Language:
    """Return the language of the present command, as reports and pages have it."""
    from server.languages.language import language

    return language(code())


def for_tables() -> Spoken:
    """Return that language as tables need it."""
    from server.views.terminal import Spoken

    if code() == ENGLISH:
        return Spoken()
    said = spoken()
    return Spoken(said.chart_words().marks, said.say, said.phrase)


def phrase(text: str) -> str:
    """Return what the API, the ledger or the log says."""
    return text if code() == ENGLISH else spoken().phrase(text)


def phrases(text: str) -> str:
    """Return several lines of what the API says, each translated by itself, with its blanks before it."""
    if code() == ENGLISH:
        return text
    lines = ((line, line.lstrip(" ")) for line in text.split("\n"))
    return "\n".join(line[: len(line) - len(bare)] + phrase(bare) if bare else line for line, bare in lines)


def word(code_: str) -> str:
    """Return the word for a code of the API: a role, the state of a study, a kind of alert."""
    return code_ if code() == ENGLISH else spoken().word(code_)


def number(text: str) -> str:
    """Return a number or a percentage that is written in English."""
    return text if code() == ENGLISH else spoken().number(text)


def whole(value: int) -> str:
    """Return a whole number: its digits in English, in groups of three in French."""
    return str(value) if code() == ENGLISH else spoken().number(f"{value:,}")


def day(text: str) -> str:
    """Return a day, or the day of a moment."""
    return text[:10] if code() == ENGLISH else spoken().day(text)


def moment(text: str) -> str:
    """Return a moment to the second, as the log has it in English."""
    return text[:19] if code() == ENGLISH else f"{spoken().day(text)} {text[11:19]}"
