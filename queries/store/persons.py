"""Import, second step: which person each row of the sources belongs to.

The different ids of each source are collected once, as its column holds them. Ids to refuse and missing ids are found
there. Every other id gets its canonical form (`identity.py`), each form gets a secret number, and each source gets a
small table from its ids to these numbers. The rows are joined to that table by plain values, so that the cost of a form
is paid once per person and not once per row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from queries.catalog.schema import PERSON
from queries.errors import ImportFailed, ManifestError
from queries.store import identity
from queries.store.encoding import name
from queries.store.files import words
from queries.store.sources import ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from queries.catalog.formats import Identity
    from queries.store.files import File
    from queries.store.identity import Part

    Run = Callable[[str], list[tuple[Any, ...]]]

# Names of our own; no public name contains a #.
_ID, _ROWS, _SPELLED = '"#id"', '"#rows"', '"#spelled"'


@dataclass(frozen=True)
class Rows:
    """A source as a relation of the staging database, and the columns that hold its ids.

    `place` is the place of the columns in the manifest, `called` the source's name for people, `files` its files.
    """

    relation: str
    types: Mapping[str, str]
    columns: tuple[str, ...]
    place: str
    called: str
    files: Sequence[File]


@dataclass(frozen=True)
class Link:
    """Ties the rows of a source to numbers of persons. `without_person` counts the rows that have no id."""

    relation: str
    table: str
    parts: tuple[Part, ...]
    without_person: int

    @property
    def keys(self) -> str:
        """Return SQL over a row of the source for the values that `on` compares."""
        return ", ".join(f"{part.raw} AS {part.key}" for part in self.parts)

    @property
    def numbers(self) -> str:
        """Return SELECT of each person's number of rows. Several ids may be one person's."""
        return f"SELECT {PERSON}, sum({_ROWS}) AS events FROM {self.table} GROUP BY {PERSON}"

    def on(self, row: str, link: str) -> str:
        """Return the condition that joins a row with `keys` to its person. At most one row of the table fulfils it."""
        return " AND ".join(f"{row}.{part.key} = {link}.{part.key}" for part in self.parts)


@dataclass(frozen=True)
class Numbered:
    """All persons, numbered from 0 in a random order, and the link of each source.

    `case_variants` counts the ids that differ from another one in upper and lower case only.
    """

    persons: int
    links: tuple[Link, ...]
    case_variants: int


def number(run: Run, declared: Identity, sources: Sequence[Rows]) -> Numbered:
    """Give each person of the sources their secret number: their place in a random order, in the table `numbers`.

    Raises ManifestError (a column that cannot be an id), ImportFailed (an id that is not exact, or no number though the
    manifest says so; two spellings of one number).
    """
    for source in sources:
        require_ids(source)
    types = [source.types[column] for source in sources for column in source.columns]
    whole = len(declared.columns) == 1 and identity.are_integers(types, declared)
    nothing = None if whole else words_for_nothing(run, declared)
    links = []
    for i, source in enumerate(sources):
        link = identified(run, declared, f"keys_{i}", source, nothing)
        if not whole:
            refuse_odd(run, declared, link, source, i)
        links.append(link)
    everyone = " UNION ALL ".join(f"SELECT {_ID} FROM {link.table} WHERE {_ID} IS NOT NULL" for link in links)
    run(
        f"CREATE TABLE numbers AS SELECT {_ID}, (row_number() OVER ())::INTEGER - 1 AS {PERSON} "
        f"FROM (SELECT {_ID} FROM (SELECT DISTINCT {_ID} FROM ({everyone})) ORDER BY random())"
    )
    ((persons,),) = run("SELECT count(*) FROM numbers")
    variants = 0
    if not whole:
        ((variants,),) = run(
            f"SELECT coalesce(sum(alike), 0) FROM (SELECT count(*) AS alike FROM numbers "
            f"WHERE lower({_ID}) <> upper({_ID}) GROUP BY lower({_ID}) HAVING count(*) > 1)"
        )
    return Numbered(int(persons), tuple(_numbered(run, link) for link in links), int(variants))


def require_ids(source: Rows) -> None:
    """Raise ManifestError if a column cannot be an id."""
    for column in source.columns:
        if not identity.can_be_id(source.types[column]):
            raise ManifestError(source.place, f"{column} is a {source.types[column]}, which is no id of a person")


def words_for_nothing(run: Run, declared: Identity) -> list[str]:
    """Return the words that are no id, as ids are read."""
    return [str(word) for (word,) in run(identity.words_for_nothing(declared))]


def identified(run: Run, declared: Identity, table: str, source: Rows, nothing: Sequence[str] | None) -> Link:
    """Make the table of a source's different ids, each with its canonical form, or none.

    `nothing` are the words that are no id. None means that every id of every source is an integer, which is its own
    form.
    """
    parts = tuple(identity.part(i, column, source.types[column], declared) for i, column in enumerate(source.columns))
    link = Link(source.relation, table, parts, 0)
    listed = ", ".join(str(i + 1) for i in range(len(parts)))
    grouped = f"SELECT {link.keys}, count(*) AS {_ROWS} FROM {source.relation} GROUP BY {listed}"
    if nothing is None:
        run(f"CREATE TABLE {table} AS SELECT *, {parts[0].key} AS {_ID} FROM ({grouped})")
    else:
        run(f"CREATE TABLE {table} AS {identity.identified(grouped, parts, nothing)}")
    ((without,),) = run(f"SELECT coalesce(sum({_ROWS}), 0) FROM {table} WHERE {_ID} IS NULL")
    return Link(source.relation, table, parts, int(without))


def _numbered(run: Run, link: Link) -> Link:
    """Replace forms by numbers."""
    table = f"{link.table}_numbered"
    run(
        f"CREATE TABLE {table} AS SELECT {', '.join(part.key for part in link.parts)}, {_ROWS}, n.{PERSON} "
        f"FROM {link.table} JOIN numbers n USING ({_ID})"
    )
    run(f"DROP TABLE {link.table}")
    return Link(link.relation, table, link.parts, link.without_person)


# Refusals. Their words name a source, a column and a row, and never an id.


@dataclass(frozen=True)
class Oddity:
    """Ids for which an import stops. They order by source, then by check: the least one is reported.

    `ids` counts them, `places` are the first rows. `example` chooses between two spellings; it is not shown.
    """

    source: int
    check: int
    kind: str
    column: str
    ids: int
    places: tuple[int, ...]
    example: str = ""

    def said(self, called: str, files: Sequence[File]) -> str:
        """Return it in words for the admin. `called` is the source."""
        named = [words(files, at) for at in self.places]
        start = f"{called}: {self.ids} ids of"
        match self.kind:
            case "inexact":
                return (
                    f"{start} the column {self.column} are floating-point numbers so large that neighbouring "
                    f"whole numbers are the same float (the first in {named[0]}); several persons "
                    f"may share one. Store {self.column} as whole numbers or as text"
                )
            case "unread":
                return (
                    f"{start} the column {self.column} are no numbers (the first in {named[0]}), and [person] says "
                    'id_type = "number". Leave it out, or add the words that stand for nothing to missing'
                )
            case _:
                return (
                    f"{start} {self.column} are written in two ways that read as the same "
                    f"one, as 007 and 7 do (for example in {named[0]} and {named[1]}). They may be two persons. Say in "
                    '[person] id_type = "text" if they are, or id_type = "number" if they are one'
                )


class OddIds(ImportFailed):
    """An import stops for its ids."""

    def __init__(self, found: Oddity, source: Rows) -> None:
        super().__init__(found.said(source.called, source.files))
        self.found = found


def refuse_odd(run: Run, declared: Identity, link: Link, source: Rows, number: int) -> None:
    """Raise OddIds if ids of a source are not exact, no numbers though they must be, or spelled in two ways."""
    for i, column in enumerate(source.columns):
        for check, kind in enumerate(("inexact", "unread")):
            odd = f'"#{kind}{i}"'
            ((ids,),) = run(f"SELECT count(*) FROM {link.table} WHERE {odd}")
            if ids:
                first = _first(run, link, odd)
                raise OddIds(Oddity(number, 2 * i + check, kind, column, int(ids), (first,)), source)
    if declared.id_type is None and any(part.of_text for part in link.parts):
        _refuse_two_spellings(run, link, source, number)


def _refuse_two_spellings(run: Run, link: Link, source: Rows, number: int) -> None:
    """Stop where one source spells one id in two ways: they may be two persons.

    Across sources two spellings are one person: this is what the canonical form is for. Within one source no program
    changed the spelling between two rows, so either somebody typed them by hand, or leading zeros are significant.
    """
    twice = (
        f"SELECT {_ID}, min({_SPELLED}) AS one, max({_SPELLED}) AS other FROM {link.table} WHERE {_ID} IS NOT NULL "
        f"GROUP BY {_ID} HAVING min({_SPELLED}) <> max({_SPELLED})"
    )
    ((found,),) = run(f"SELECT count(*) FROM {link.table} WHERE {_ID} IS NOT NULL AND {_SPELLED} <> {_ID}")
    if not found:
        return  # every id is spelled as its form is
    ((ids,),) = run(f"SELECT count(*) FROM ({twice})")
    if ids:
        run(f"CREATE TABLE spellings AS {twice} ORDER BY 1 LIMIT 1")
        ((example,),) = run(f"SELECT {_ID} FROM spellings")
        spelled = (f"{_SPELLED} = (SELECT {which} FROM spellings)" for which in ("one", "other"))
        places = tuple(sorted(_first(run, link, each) for each in spelled))
        column, check = ", ".join(source.columns), 2 * len(source.columns)
        raise OddIds(Oddity(number, check, "spelled twice", column, int(ids), places, str(example)), source)


def _first(run: Run, link: Link, condition: str) -> int:
    """Return the place of the first row of a source whose id fulfils a condition over the table of ids."""
    ((first,),) = run(
        f"SELECT min(s.{ROW}) FROM (SELECT {link.keys}, {ROW} FROM {link.relation}) s "
        f"JOIN (SELECT * FROM {link.table} WHERE {condition}) c ON {link.on('s', 'c')}"
    )
    return int(first)


# Persons' attributes


@dataclass(frozen=True)
class Described:
    """Counts of persons by how the rows of a source describe them: see `describe`."""

    repeated: int
    contradicting: int
    columns: Mapping[str, int]


def describe(run: Run, link: Link, codes: Mapping[str, str]) -> Described:
    """Make the table `attributes` of the persons in a source, with a code for each public column.

    `codes` are SQL over a row, 0 for null. Where a person has several rows, the first in the source's order decides
    every attribute. Two rows contradict each other if both know an attribute and do not agree.
    """
    columns = list(codes)
    coded = "".join(f", {code} AS {name(column)}" for column, code in codes.items())
    first = ", ".join(f"{name(column)} := s.{name(column)}" for column in columns)
    known = [f"nullif(s.{name(column)}, 0)" for column in columns]
    differs = "".join(f', min({one}) <> max({one}) AS "#differs{i}"' for i, one in enumerate(known))
    if columns:
        run(
            f'CREATE TABLE firsts AS SELECT l.{PERSON}, arg_min(struct_pack({first}), s.{ROW}) AS "#first"{differs} '
            f"FROM (SELECT {link.keys}, {ROW}{coded} FROM {link.relation}) s JOIN {link.table} l "
            f"ON {link.on('s', 'l')} GROUP BY l.{PERSON}"
        )
    else:
        run(f"CREATE TABLE firsts AS SELECT DISTINCT {PERSON} FROM {link.table}")
    unpacked = "".join(f', "#first".{name(column)} AS {name(column)}' for column in columns)
    run(f"CREATE VIEW attributes AS SELECT {PERSON}{unpacked} FROM firsts")
    each = [f'"#differs{i}"' for i in range(len(columns))]
    counts = "".join(f", coalesce(count_if({one}), 0)" for one in each)
    ((contradicting, *by_column),) = run(
        f"SELECT coalesce(count_if({' OR '.join(each) or 'false'}), 0){counts} FROM firsts"
    )
    ((repeated,),) = run(
        f"SELECT count(*) FROM (SELECT {PERSON} FROM {link.table} GROUP BY {PERSON} HAVING sum({_ROWS}) > 1)"
    )
    return Described(repeated, contradicting, {c: n for c, n in zip(columns, by_column, strict=True) if n})


def undescribed(run: Run, link: Link, described: Link) -> int:
    """Return how many persons of a source another one does not have."""
    ((persons,),) = run(
        f"SELECT count(DISTINCT {PERSON}) FROM {link.table} "
        f"WHERE {PERSON} NOT IN (SELECT {PERSON} FROM {described.table})"
    )
    return int(persons)
