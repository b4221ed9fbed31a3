"""Formalities on the command line: the file that they are written in, and how they are shown."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import click

from budgets import formalities
from budgets.errors import Invalid
from budgets.formalities import NONE_NEEDED
from queries.catalog.sections import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from budgets.formalities import Formalities

FILE = click.Path(exists=True, dir_okay=False)
HELP = "A TOML file with the formalities: the keys of [dataset.formalities] in a manifest."
KINDS = {
    "reference-methodology": "reference methodology",
    "warehouse-declaration": "declaration of a health data warehouse",
    "authorisation": "authorisation",
    "ehds-permit": "data permit under the EHDS",
    NONE_NEEDED: "none needed",
}
LABELS = {
    "controller": "controller",
    "processor": "processor",
    "recipients": "recipients",
    "informed": "persons were informed",
    "objections": "objections",
    "honoured": "objections are honoured",
    "incentives": "incentives of contributors",
}


def read(file: Path) -> Formalities:
    """Return the formalities of a file. Raises Invalid, and ManifestError for what is neither a text nor a day."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid("formalities", f"the file {file} cannot be read: {error}") from None
    section = Section({"formalities": document}, "")
    found = section.words_by_key("formalities") or {}
    section.require_sound()
    return formalities.read(found)


def lines(given: Mapping[str, Any] | None, lack: str | None = None) -> Iterator[str]:
    """Yield the lines that show formalities, and what they lack for an approval."""
    if given is not None:
        yield f"  formality: {_formality(given)}"
        yield f"  article 6: {given['legal_basis']}; article 9: {given['condition']}"
        yield f"  the processing ends on {given['ends']}"
        for name, label in LABELS.items():
            told = "\n    ".join(given[name].splitlines())
            yield f"  {label}: {told}"
    if lack is not None:
        yield f"  nothing can be approved now: {lack}"


def _formality(given: Mapping[str, Any]) -> str:
    if given["kind"] == NONE_NEEDED:
        return f"{KINDS[NONE_NEEDED]}: {given['why_none']}"
    until = "it does not expire" if given["expires"] is None else f"it expires on {given['expires']}"
    return f"{KINDS[given['kind']]}, {given['number']}, of {given['issued']}; {until}"
