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
from server.cli.speaking import day, phrase, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from budgets.formalities import Formalities

FILE = click.Path(exists=True, dir_okay=False)
HELP = "A TOML file with the formalities: the keys of [dataset.formalities] in a manifest."


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
        yield say("  formality: %(formality)s", formality=_formality(given))
        basis, condition = given["legal_basis"], given["condition"]
        yield say("  article 6: %(basis)s; article 9: %(condition)s", basis=basis, condition=condition)
        yield say("  the processing ends on %(day)s", day=day(given["ends"]))
        for name, label in _labels().items():
            told = "\n    ".join(given[name].splitlines())
            yield say("  %(label)s: %(told)s", label=label, told=told)
    if lack is not None:
        yield say("  nothing can be approved now: %(why)s", why=phrase(lack))


def _formality(given: Mapping[str, Any]) -> str:
    kind = _kinds()[given["kind"]]
    if given["kind"] == NONE_NEEDED:
        return say("%(kind)s: %(why)s", kind=kind, why=given["why_none"])
    until = say("it does not expire")
    if given["expires"] is not None:
        until = say("it expires on %(day)s", day=day(given["expires"]))
    facts = {"kind": kind, "number": given["number"], "issued": day(given["issued"]), "until": until}
    return say("%(kind)s, %(number)s, of %(issued)s; %(until)s", **facts)


def _kinds() -> dict[str, str]:
    return {
        "reference-methodology": say("reference methodology"),
        "warehouse-declaration": say("declaration of a health data warehouse"),
        "authorisation": say("authorisation"),
        "ehds-permit": say("data permit under the EHDS"),
        NONE_NEEDED: say("none needed"),
    }


def _labels() -> dict[str, str]:
    return {
        "controller": say("controller"),
        "processor": say("processor"),
        "recipients": say("recipients"),
        "informed": say("persons were informed"),
        "objections": say("objections"),
        "honoured": say("objections are honoured"),
        "incentives": say("incentives of contributors"),
    }
