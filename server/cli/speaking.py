"""The language of the command line: what `--lang` names, or the environment's (LC_ALL, LC_MESSAGES, LANG).

What a command prints for people is in that language: reasons of refusals, answers with their notes, summaries of the
log, numbers and days. With --json everything is as the API has it. Texts without a translation stay English.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from server.languages.language import Language
    from server.views.terminal import Spoken

VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # in the order in which the C library looks at them
ENGLISH, CODES = "en", ("en", "fr")


def code() -> str:
    """Return the code of the language of the present command."""
    context = click.get_current_context(silent=True)
    chosen = None if context is None else context.find_root().params.get("lang")
    if chosen is not None:
        return str(chosen)
    set_to = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    return set_to[:2] if set_to[:2] in CODES else ENGLISH


def spoken() -> Language:
    """Return that language."""
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
