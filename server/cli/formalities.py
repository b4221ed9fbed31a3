"""Formalities on the command line: the file that they are written in, and how they are shown."""

from __future__ import annotations

import datetime as dt
import tomllib
from typing import TYPE_CHECKING, Any

import click

from budgets import formalities
from budgets.errors import Invalid
from budgets.formalities import NONE_NEEDED
from queries.catalog.sections import TODO, Section
from queries.errors import ManifestError

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


def faults(manifest: Path) -> list[ManifestError]:
    """Return what is wrong with the formalities of a manifest, also if the rest of it cannot be read.

    What is still TODO, and what is neither a text nor a day, is found with the other keys of the manifest.
    """
    given = _of_manifest(manifest)
    if given is None:
        return []
    written = {name: value.isoformat() if type(value) is dt.date else value for name, value in given.items()}
    unread = {name for name, value in written.items() if value == TODO or not isinstance(value, str) or not value}
    found = [one for one in formalities.faults(written) if one.field.rpartition("/")[2] not in unread]
    return [ManifestError(f"dataset.{one.field.replace('/', '.')}", one.message) for one in found]


def is_in(manifest: Path) -> bool:
    """Return whether a manifest has formalities."""
    return _of_manifest(manifest) is not None


def _of_manifest(manifest: Path) -> dict[str, Any] | None:
    try:
        head = tomllib.loads(manifest.read_text(encoding="utf-8")).get("dataset")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    given = head.get("formalities") if isinstance(head, dict) else None
    return given if isinstance(given, dict) else None


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
