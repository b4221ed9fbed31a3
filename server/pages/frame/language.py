"""The language of a page, and numbers, moments and days as it writes them.

The language is the one that the user chose, or else the one that their browser prefers. The texts in
French are in `translations/`.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any

from babel.numbers import format_percent, get_decimal_symbol
from flask import has_request_context, request, session
from flask_babel import Babel, format_date, format_datetime, format_decimal, get_locale, gettext, ngettext

from server.charts.words import Words
from server.languages.language import LANGUAGES, TRANSLATIONS, language
from server.views.numbers import Marks, with_ends

if TYPE_CHECKING:
    from flask import Flask

    from server.views.table import Cell

MISSING = "\N{EN DASH}"
TEN_THOUSAND = 10_000
DIGITS = "#,##0.############"
DAY = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
PERIOD = re.compile(r"(\d{4})(-|-Q|-W)(\d\d?)")  # a month, a quarter or a week
FRENCH_PERIODS = {"-": "", "-Q": "T", "-W": "S"}  # trimestre, semaine
PLAIN_DIGITS = "0.##################"  # a delta has as many


def register(app: Flask) -> None:
    """Give an application its languages, and templates the filters of this module."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(TRANSLATIONS)
    Babel(app, locale_selector=choose, default_locale="en", default_timezone="UTC")
    for filter_ in (number, typed, bound, share, value, interval, moment, day):
        app.add_template_filter(filter_)


def choose() -> str:
    """Return the language of the present request."""
    if not has_request_context():
        return "en"
    chosen = session.get("language") if session else None
    return chosen or request.accept_languages.best_match(list(LANGUAGES)) or "en"


def translated(text: str, **values: object) -> str:
    """Return a text of the pages in the language of the request. Modules import it as `_`, by which texts are found."""
    return str(gettext(text, **values))


def chart_words() -> Words:
    """Return how charts say things and write numbers in the language of the request."""
    return Words(_said, _counted, _marks(), days=_short("%d/%m/%Y", "%Y-%m-%d"), date=dated)


def _marks() -> Marks:
    """Return how numbers are written in the language of the request."""
    locale = get_locale()
    return _marks_of("en" if locale is None else locale.language)


@functools.cache
def _marks_of(code: str) -> Marks:
    said = language(code)
    return Marks(said.number(","), said.number("."), said.say("to"))


def _said(message: str, /, **values: str) -> str:
    return str(gettext(message, **values))


def _counted(one: str, many: str, number: int, /, **values: str) -> str:
    return str(ngettext(one, many, number, **values))


def number(value: Any, digits: int | None = None) -> str:
    """Return a number as people write it: with all its digits, or with so many significant ones."""
    if value is None:
        return MISSING
    if digits is not None and isinstance(value, float):
        value = float(f"{value:.{digits}g}")
    return str(format_decimal(value, format=DIGITS))


def typed(value: float) -> str:
    """Return a number as it stands in a field: without separated thousands, which could be read as a decimal mark."""
    return str(format_decimal(value, format=PLAIN_DIGITS))


def has_decimal_comma() -> bool:
    """Return whether people write 0,5 for a half in the language of the request."""
    locale = get_locale()
    return locale is not None and get_decimal_symbol(locale) == ","


def bound(value: Any) -> str:
    """Return an end of a column's declared range, a number or a day.

    One of four digits may be a year, in which nobody separates thousands.
    """
    if isinstance(value, str):
        return day(value)
    return typed(value) if isinstance(value, int) and abs(value) < TEN_THOUSAND else number(value)


def share(at_most: float) -> str:
    """Return a bound on a probability in percent, rounded up to a tenth, so that no risk is understated."""
    rounded = Decimal(str(at_most)).quantize(Decimal("0.001"), rounding=ROUND_CEILING)
    written = str(format_percent(rounded, locale=get_locale(), decimal_quantization=False))
    return written.replace("\N{NO-BREAK SPACE}%", "\N{NARROW NO-BREAK SPACE}%")  # as the texts in French have it


def value(cell: Cell) -> str:
    """Return the value of a cell with the digits that its interval supports."""
    written = with_ends(cell, _marks())
    return number(cell.value) if written is None else written[0]


def interval(cell: Cell) -> str:
    """Return the interval of a cell in brackets: as it is written, it covers the whole one."""
    written = with_ends(cell, _marks())
    return "" if written is None else f"[{written[1]} {MISSING} {written[2]}]"


def moment(text: str | None) -> str:
    """Return a moment, as the API writes it, to the minute in UTC."""
    if text is None:
        return MISSING
    return f"{format_datetime(dt.datetime.fromisoformat(text), _short('dd/MM/yyyy HH:mm', 'd MMM yyyy, HH:mm'))} UTC"


def day(text: str | None) -> str:
    """Return a day or the day of a moment."""
    if text is None:
        return MISSING
    return str(format_date(dt.date.fromisoformat(text[:10]), _short("dd/MM/yyyy", "d MMM yyyy")))


def dated(label: str) -> str:
    """Return the label of a day, a period or a range of days as the language of the page writes it.

    In English it stays as it is, year first, which nobody reads as another day.
    """
    if _short("fr", "") != "fr":
        return str(label)
    if period := PERIOD.fullmatch(label):
        year, part, number = period.groups()
        return f"{FRENCH_PERIODS[part]}{number}{'/' if part == '-' else ' '}{year}"
    return DAY.sub(r"\3/\2/\1", label)


def _short(french: str, other: str) -> str:
    locale = get_locale()
    return french if locale is not None and locale.language == "fr" else other
