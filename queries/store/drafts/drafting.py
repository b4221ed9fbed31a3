"""A manifest to begin with, from the names and types of files.

No value of a row is looked at. What has to be declared and must not be learnt from the data (bounds, values, the cap)
stands as `TODO`, which no import accepts.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from queries.catalog.formats import LOSS_MAX
from queries.catalog.schema import PERSON, PERSONS, PLACE, Kind
from queries.catalog.sections import TODO
from queries.catalog.source import Files, Source, kind_of
from queries.errors import ImportFailed, ManifestError
from queries.store.encoding import DATES, FLOATS, INTEGERS
from queries.store.files import files_of
from queries.store.sources import OTHER_DELIMITERS, fields_in, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queries.store.sources import Field

# What programs call the column of the person, the likeliest first. Names alone decide, never values.
PERSONS_NAMES = (
    "person_id", "patient_id", "subject_id", "personid", "patientid", "subjectid", "patient", "person", "subject",
    "pid", "id",
)  # fmt: skip
ENCODED = ("utf-8", "utf-16", "cp1252")  # in which a header is tried; any bytes are text in the last
NOTED = {"encoding": "  # the file is not UTF-8: look whether the names below are right"}
_SPELLINGS = re.compile(r"[^a-z0-9_]+")


@dataclass(frozen=True)
class Found:
    """A table that a file holds: how the manifest names its source, and its fields. Those of texts have no types."""

    name: str
    keys: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...]
    is_text: bool = False


def tables_in(paths: Sequence[Path]) -> list[Found]:
    """Return the tables that files hold: one each, or those of a DuckDB file. Raises ManifestError, ImportFailed."""
    found: list[Found] = []
    try:
        with duckdb.connect(":memory:", config={"threads": 1}) as connection:
            for number, path in enumerate(paths):
                for table in _in_path(connection, path, f"source_{number}"):
                    taken = {one.name for one in found} | {PERSON, PERSONS}
                    name = table.name if table.name not in taken else f"{table.name}_{number}"
                    found.append(replace(table, name=name))
    except duckdb.Error as error:
        raise ImportFailed(str(error)) from error
    return found


def _in_path(connection: duckdb.DuckDBPyConnection, path: Path, called: str) -> Iterator[Found]:
    said = f"{path}/" if path.is_dir() else str(path)
    if kind_of(path) is not Files.DUCKDB:
        source = Source(called, (path,), (), {})
        is_text = files_of(source)[0].kind.has_lines
        fields, how = _of_text(connection, called, source) if is_text else (_fields(connection, called, source), {})
        yield Found(_named(path.name.split(".")[0]), (("source", said), *how.items()), tuple(fields), is_text)
        return
    if not path.is_file():
        raise ManifestError(str(path), "there is no such file")
    for number, (schema, table, _) in enumerate(tables_of(connection, path, called)):
        keys = [("source", said), ("table", table), *([("schema", schema)] if schema != "main" else [])]
        source = Source(called, (path,), (), {}, table, schema)
        fields = fields_in(connection, f"{called}_{number}", source, files_of(source)[0])
        yield Found(_named(table), tuple(keys), tuple(fields))


def _fields(connection: duckdb.DuckDBPyConnection, called: str, source: Source) -> list[Field]:
    """Return the fields of a source's first file."""
    return fields_in(connection, called, source, files_of(source)[0])


def _of_text(connection: duckdb.DuckDBPyConnection, called: str, source: Source) -> tuple[list[Field], dict[str, str]]:
    """Return the fields of a source's first file by its header, and how it is read, unless that is usual."""
    for encoding, mark in itertools.product(ENCODED, (None, *OTHER_DELIMITERS)):
        with suppress(ImportFailed):  # a quoted header may be malformed with the wrong delimiter
            fields = _fields(connection, called, replace(source, delimiter=mark, encoding=encoding))
            if len(fields) > 1:
                how = {"delimiter": mark, "encoding": None if encoding == ENCODED[0] else encoding}
                return fields, {key: value for key, value in how.items() if value is not None}
    return _fields(connection, called, source), {}


def _named(text: str) -> str:
    """Return a public name: lower case, letters without accents, digits and _."""
    plain = "".join(part for part in unicodedata.normalize("NFD", text) if not unicodedata.combining(part))
    name = _SPELLINGS.sub("_", plain.strip().lower()).strip("_") or "column"
    name = name if not name[0].isdigit() else f"c_{name}"
    return f"{name[:60]}_" if name in (PERSON, PLACE) else name[:63]


def kind_of_type(of: str) -> Kind | None:
    """Return the kind of column that a type of DuckDB becomes; None for lists, maps, structs and bytes."""
    if of in INTEGERS or of in ("UBIGINT", "HUGEINT", "UHUGEINT"):
        return Kind.INTEGER
    if of in FLOATS or of.startswith("DECIMAL"):
        return Kind.NUMBER
    if of in DATES or of.startswith("TIMESTAMP"):
        return Kind.DATE
    if of == "BOOLEAN":
        return Kind.BOOLEAN
    return Kind.CATEGORY if of in ("VARCHAR", "UUID") or of.startswith("ENUM") else None


def person_of(tables: Sequence[Found]) -> str | None:
    """Return the name of the column that every table has and that sounds like a person's, or None."""
    each = [{one.path.strip().lower(): one.path.strip() for one in table.fields} for table in tables]
    for name in PERSONS_NAMES:
        if each and all(name in names for names in each):
            return each[0][name]
    return None


def draft(paths: Sequence[Path]) -> str:
    """Return a manifest for files, to be completed. Raises ManifestError, ImportFailed."""
    tables = tables_in(paths)
    if not tables:
        raise ManifestError(", ".join(map(str, paths)), "there is no table in it")
    person = person_of(tables)
    lines = [*head(_named(paths[0].name.split(".")[0])), *formalities(), *_person(person)]
    for table in tables:
        lines += [
            "",
            f"[tables.{table.name}]",
            *(f"{key} = {quoted(value)}{NOTED.get(key, '')}" for key, value in table.keys),
        ]
        for field, public in _named_fields(table, person):
            lines += _column(table, public, field)
    return "\n".join(lines) + "\n"


def head(name: str) -> list[str]:
    """Return the section of the dataset, with its caps still to be decided."""
    return [
        "# A draft, made from names and types alone. Complete each TODO from what is known about the source, not",
        "# from a look at the data: everything in this file is public. Then: rowless manifest check FILE",
        "[dataset]",
        f"name = {quoted(name.replace('_', '-'))}",
        f"title = {quoted(TODO)}",
        f"epsilon = {quoted(TODO)}      # the cap, over all studies and editions, for good; 3 is a good beginning",
        '# justification = "..."  # why the cap is as large as it is, if it is above 2.944',
        f"persons_max = {quoted(TODO)}  # an upper bound that may be public",
        f"loss_max = {LOSS_MAX}",
    ]


# The keys of `budgets/formalities.py`, with what to write there. What the law asks for is nothing that files tell.
_FORMAL = (
    ("kind", "reference-methodology, warehouse-declaration, authorisation, ehds-permit, or none"),
    ("number", "of the formality; leave it and `issued` out if the kind is none"),
    ("issued", "a day, as in 2026-01-05"),
    ("legal_basis", "GDPR article 6: 6(1)(a) to 6(1)(f)"),
    ("condition", "GDPR article 9: 9(2)(a) to 9(2)(j), or none if there are no special categories of data"),
    ("controller", "who is responsible"),
    ("processor", "who works on their behalf, as the host of this server"),
    ("recipients", "who receives what, as the members of the studies receive statistics with noise"),
    ("ends", "the last day of the processing, as in 2036-01-04"),
    ("informed", "when and how persons were informed"),
    ("objections", "how they object"),
    ("honoured", "which edition honours which objections"),
    ("incentives", "what those who contribute data get for it"),
)
_FORMAL_OPTIONAL = {
    "issued": '# expires = "..."   # its last day; without this line it does not expire',
    "kind": '# why_none = "..."  # if the kind is none: why no formality is needed',
}


def formalities() -> list[str]:
    """Return the section of the formalities, of which all is still to be written."""
    lines = ["", "[dataset.formalities]  # nothing of the dataset is approved without them: see governance.md"]
    for name, meaning in _FORMAL:
        lines.append(f"{name} = {quoted(TODO)}  # {meaning}")
        if name in _FORMAL_OPTIONAL:
            lines.append(_FORMAL_OPTIONAL[name])
    return lines


def _person(person: str | None) -> list[str]:
    found = person or TODO
    return ["", "[person]", f"id = {quoted(found)}  # the column that says whose row it is; or several: [...]"]


def _named_fields(table: Found, person: str | None) -> Iterator[tuple[Field, str]]:
    taken: set[str] = set()
    for field in table.fields:
        if not field.path.strip() or (person is not None and field.path.strip().lower() == person.lower()):
            continue
        public = _named(field.path)
        while public in taken:
            public += "_"
        taken.add(public)
        yield field, public


def _column(table: Found, public: str, field: Field) -> list[str]:
    kind = kind_of_type(field.type)
    if kind is None:
        return (
            [] if field.type.startswith("STRUCT") else [f"# {field.path.strip()} is a {field.type}, which is not read"]
        )
    lines = ["", f"[tables.{table.name}.columns.{public}]"]
    if field.path.strip() != public:
        lines.append(f"from = {quoted(field.path.strip())}")
    untyped = "  # or integer, number, date, boolean: a text file does not say" if table.is_text else ""
    lines.append(f"type = {quoted(kind.value)}{untyped}")
    match kind:
        case Kind.CATEGORY:
            lines.append(f"values = {quoted(TODO)}  # a list, or a table of labels; without this line undeclared")
        case Kind.INTEGER:
            lines.append(f"bounds = {quoted(TODO)}  # [lowest, highest]")
        case Kind.NUMBER:
            lines += [f"bounds = {quoted(TODO)}  # [lowest, highest]", f"step = {quoted(TODO)}    # as in 0.01"]
        case Kind.DATE:
            lines.append(f"bounds = {quoted(TODO)}  # [first day, last day], as in [2015-01-01, 2025-12-31]")
        case Kind.BOOLEAN:
            pass
    return lines


def quoted(text: str) -> str:
    """Return a text of TOML."""
    return json.dumps(text, ensure_ascii=False)
