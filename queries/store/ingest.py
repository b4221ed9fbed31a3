"""Import: source files -> the person-ordered, integer-coded store of a new edition.

One sort at import makes every query one pass (`kernel.py`):

- Persons get the numbers 0..N-1 in a secret random order; the sources' identifiers are not kept.
- Events stand in person order and, within a person, in random order, so that "the first k" is a fair sample.
- A person's attributes are repeated on each of their events, so that a query needs no join.
- Every value is a small code (`encoding.py`), with 0 for null.

DuckDB sorts out of core within a memory limit. Everything is made in a separate folder, which the caller puts in
service when it is complete; an interrupted import leaves only a folder to delete. The staging files that tie
identifiers to numbers are deleted before the store is handed over.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from queries.catalog import parts
from queries.catalog.codes import code_type
from queries.catalog.parts import Parts
from queries.catalog.schema import PERSON, PERSONS, Column, Table
from queries.catalog.vocabularies import kept
from queries.contribution.person_order import is_ordered
from queries.errors import ImportFailed
from queries.execution.duckdb import dictionary
from queries.execution.event_numbers import numbered as numbers_of
from queries.store import layout, vocabularies
from queries.store.derivation import Derivation, derivation, group_codes, of_events, of_events_joined
from queries.store.encoding import Coding, coding, name, text
from queries.store.files import files_of
from queries.store.persons import describe, number, undescribed
from queries.store.reports import ColumnReport, IdentityReport, ImportReport, TableReport, with_files
from queries.store.sources import ROW, run, stage
from queries.store.staging import described_by, distinct, number_texts, opened, read, sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from queries.catalog.formats import Reading
    from queries.catalog.manifest import Manifest
    from queries.store.persons import Described, Link, Numbered, Rows, Run
    from queries.store.sources import Staged

    # (what is being done, how much of it is done from 0 to 1)
    Progress = Callable[[str, float], None]

MANIFEST = "manifest.toml"
STAGING = "staging"  # a folder within the edition's; the import deletes it


def build(manifest: Manifest, folder: Path, *, memory_limit: str, threads: int, progress: Progress) -> ImportReport:
    """Make the store of a manifest's sources in `folder`, which must be empty.

    Raises ManifestError (a source has no such column), ImportFailed (it cannot be read, or holds more persons than
    declared). The folder is then of no use.
    """
    staging, listed = folder / STAGING, parts.new_name()
    staging.mkdir()
    vocabularies.keep(manifest, folder)
    manifest = replace(manifest, dataset=manifest.described(kept(folder)))
    try:
        with opened(staging, memory_limit=memory_limit, threads=threads) as connection:
            running = Import(connection, manifest, progress)
            staged = running.stage()
            report = running.run(folder / parts.WHOLE, (listed, 0), staged)
    finally:
        shutil.rmtree(staging)
    parts.keep(folder, Parts(listed, (parts.described(0, folder / parts.WHOLE),)))
    (folder / MANIFEST).write_text(manifest.text, encoding="utf-8")
    files = {table: one.files for table, one in staged.items()}
    return with_files(report, {PERSONS: files[described_by(manifest)], **files})


def require_few_persons(manifest: Manifest, persons: int) -> None:
    """Raise ImportFailed if there are more persons than declared."""
    most = manifest.dataset.persons_max
    if persons > most:
        raise ImportFailed(f"the sources hold {persons} persons, more than persons_max = {most}")


@dataclass(frozen=True)
class Given:
    """What an import of one part gets from the import of the whole: the dictionaries, and a check of its persons.

    `dictionaries` are relations of the staging database, with code and value, by the names under which they are kept.
    The reports of parts count persons of one part, so that the caller checks their sum.
    """

    dictionaries: Mapping[str, str]
    check: Callable[[Run], None]


class Import:
    """One run, step by step. In its report, the first rows are places (`files.py`)."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        manifest: Manifest,
        progress: Progress,
        given: Given | None = None,
    ) -> None:
        self._connection = connection
        self._manifest = manifest
        self._progress = progress
        self._given = given

    def stage(self) -> dict[str, Staged]:
        """Stage the sources of all tables."""
        return {
            table: stage(self._connection, one.relation, one.source, files_of(one.source), one.columns(), self._step)
            for table, one in sources_of(self._manifest).items()
        }

    def run(self, store: Path, mark: tuple[str, int], staged: Mapping[str, Staged]) -> ImportReport:
        """Make the store of staged sources."""
        manifest, described = self._manifest, described_by(self._manifest)
        wanted = sources_of(manifest)
        sources = {table: read(self._run, manifest, one, staged[table]) for table, one in wanted.items()}
        self._run(f"ATTACH {text(str(store))} AS store")
        with self._step("numbering persons"):
            numbered = self._number_persons([one.rows(sources[table]) for table, one in wanted.items()])
        self._links = dict(zip(wanted, numbered.links, strict=True))
        reports: dict[str, TableReport] = {}
        with self._step("coding persons"):
            reports[PERSONS], found = self._code_persons(numbered.persons, described, sources)
        for table in manifest.events:
            with self._step(f"coding and sorting {table}"):
                reports[table] = self._code_events(table, sources[table], described)
            with self._step(f"checking the order of {table}"):
                self._check_order(table)
        self._run(f"CREATE TABLE store.{name(parts.MARK)} AS SELECT {text(mark[0])} AS list, {mark[1]} AS number")
        self._run("CHECKPOINT store")
        self._run("DETACH store")
        repeated = found.repeated if manifest.persons else 0
        identity = IdentityReport(repeated, found.contradicting, numbered.case_variants, found.columns)
        return ImportReport(numbered.persons, reports, identity)

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        return run(self._connection, sql)

    # Persons

    def _number_persons(self, sources: Sequence[Rows]) -> Numbered:
        """Give each person of the sources their secret number."""
        numbered = number(self._run, self._manifest.identity, sources)
        if self._given is None:
            require_few_persons(self._manifest, numbered.persons)
        else:
            self._given.check(self._run)
        return numbered

    def _code_persons(
        self, persons: int, described: str, sources: Mapping[str, Staged]
    ) -> tuple[TableReport, Described]:
        """Make the table of persons: one row each, in number order, also for persons without attributes.

        Their attributes come from the source `described`.
        """
        manifest, staged = self._manifest, sources[described]
        table = manifest.dataset.tables[PERSONS]
        read_columns = {public: table.columns[public] for public in manifest.person_columns}
        codings = self._codings(read_columns, manifest.person_columns, manifest.person_readings, staged, PERSONS)
        found = describe(self._run, self._links[described], {public: one.code for public, one in codings.items()})
        attributes = "".join(
            f", coalesce(a.{name(public)}, 0)::{code_type(column)} AS {name(public)}"
            for public, column in read_columns.items()
        )
        self._group_codes(PERSONS)
        values, columns = self._derived(PERSONS)
        found_among, joined = self._of_events(sources)
        self._run(
            f"CREATE TABLE persons AS SELECT {PERSON}{columns} FROM (SELECT *{values} FROM (SELECT "
            f"{PERSON}{attributes}{found_among} FROM numbers LEFT JOIN attributes a USING ({PERSON}){joined})) "
            f"ORDER BY {PERSON}"
        )
        stored = _stored(table)
        numbers, listed, joins = layout.event_numbers({name: self._links[name] for name in manifest.events})
        shown = "".join(f", p.{name(column.name)}" for column in stored)
        select = f"SELECT p.{PERSON}{shown}{listed} FROM persons p{joins} ORDER BY p.{PERSON}"
        layout.create(self._run, f"store.{PERSONS}", layout.types(stored) | numbers, select)
        report = self._report(PERSONS, staged, self._links[described], codings, "persons")
        return replace(report, kept=persons), found

    # Events

    def _code_events(self, table: str, staged: Staged, described: str) -> TableReport:
        """Make a table of events in person order: the one big sort."""
        source = self._manifest.events[table]
        declared = self._manifest.dataset.tables[table]
        codings = self._codings(
            {public: declared.columns[public] for public in source.columns},
            source.columns,
            source.readings,
            staged,
            table,
        )
        attributes = [f"p.{name(column.name)}" for column in declared.columns.values() if column.of_person]
        coded = "".join(f", {one.code} AS {name(public)}" for public, one in codings.items())
        values = [f"s.{name(public)}" for public in codings]
        listed = ", ".join([f"p.{PERSON}", *attributes, *values])
        self._group_codes(table)
        derived, columns = self._derived(table)
        link = self._links[table]
        joined = f"s JOIN {link.table} l ON {link.on('s', 'l')} JOIN persons p ON p.{PERSON} = l.{PERSON}"
        # Two random numbers for each row: the order of tied rows could depend on other persons (docs/privacy.md).
        drawn = ', random() AS "#first", random() AS "#second"'
        layout.create(
            self._run,
            f"store.{name(table)}",
            layout.types(_stored(declared)),
            f"SELECT {PERSON}{columns} FROM (SELECT *{derived} FROM ("
            f'SELECT {listed}, s."#first", s."#second" FROM (SELECT {link.keys}{coded}{drawn} '
            f'FROM {staged.relation}) {joined})) ORDER BY {PERSON}, "#first", "#second"',
        )
        stored_rows = f"store.{name(table)}"
        if any(column.hidden for column in declared.columns.values()):  # what columns are computed from is not stored
            stored_rows = f"(SELECT {listed} FROM (SELECT {link.keys}{coded} FROM {staged.relation}) {joined})"
        report = self._report(table, staged, link, codings, stored_rows)
        self._require_whole(table, report.kept)
        if described != PERSONS and not attributes:
            return report  # no source describes persons
        return replace(report, undescribed=undescribed(self._run, link, self._links[described]))

    def _require_whole(self, table: str, rows: int) -> None:
        """Raise ImportFailed unless a table has each row once, and persons' numbers of events are of as many rows."""
        ((stored,),) = self._run(f"SELECT count(*) FROM store.{name(table)}")
        if stored != rows:  # a row belongs to one person, or to none
            raise ImportFailed(f"table {table} came out with {stored} rows in place of {rows}")
        ((numbered,),) = self._run(f"SELECT coalesce(sum({name(numbers_of(table))}), 0) FROM store.{PERSONS}")
        if numbered != stored:
            raise ImportFailed(f"the numbers of events in table {table} add up to {numbered} in place of {stored}")

    def _derived(self, table: str) -> tuple[str, str]:
        """Return SQL for the values of a table's derived columns, and for all codes, both over rows of read codes."""
        declared = self._manifest.dataset.tables[table].columns
        values, codes = "", ""
        for public, column in declared.items():
            one = self._derivation(table, public)
            if column.hidden and table != PERSONS:
                continue  # attributes of the person are needed until all tables are coded
            if one is None:
                codes += f", {name(public)}"
            else:
                values += f", {one.value} AS {one.named}"
                codes += f", {one.code} AS {name(public)}"
        return values, codes

    def _of_events(self, sources: Mapping[str, Staged]) -> tuple[str, str]:
        """Return SQL for the attributes that are found among a person's own events, and the joins that find them."""
        found, joined = "", ""
        for public, one in self._manifest.derived[PERSONS].items():
            if one.how.is_of_events:
                table, column = one.of
                source, staged = self._manifest.events[table], sources[table]
                declared = self._manifest.dataset.tables[table].columns[column]
                of = source.columns[column]
                code = coding(declared, name(of), staged.types[of], source.readings[column]).code
                found += f", {of_events(public)}"
                joined += of_events_joined(public, one, code, staged.relation, self._links[table])
        return found, joined

    def _derivation(self, table: str, public: str) -> Derivation | None:
        """Return how a column is computed; None if it is read, or was computed when persons were coded."""
        one = self._manifest.derived[table].get(public)
        if one is None:
            return None
        persons = table == PERSONS
        readings = self._manifest.person_readings if persons else self._manifest.events[table].readings
        return derivation(table, one, self._manifest.dataset.tables[table].columns, public, readings[public])

    def _group_codes(self, table: str) -> None:
        """Find the groups of codes for the columns of a table that are levels, once its columns have codes."""
        columns = self._manifest.dataset.tables[table].columns
        for public, one in self._manifest.derived[table].items():
            if one.level is not None:
                of = columns[one.of[0]]
                texts = None if of.declared else _kept(table, of)
                group_codes(self._connection, table, public, one, columns, texts)

    def _codings(
        self,
        columns: Mapping[str, Column],
        sources: Mapping[str, str],
        readings: Mapping[str, Reading],
        staged: Staged,
        table: str,
    ) -> dict[str, Coding]:
        codings: dict[str, Coding] = {}
        for public, column in columns.items():
            source = sources[public]
            one = coding(column, name(source), staged.types[source], readings[public])
            codings[public] = one if column.declared else self._dictionary(column, one, staged, table)
        return codings

    def _dictionary(self, column: Column, one: Coding, staged: Staged, table: str) -> Coding:
        """Give the texts of an undeclared category numbers in random order, and keep both beside the table.

        A part gets those of the whole, so that a code means the same in all parts.
        """
        listed, kept, value = dictionary(table, column), _kept(table, column), one.value_name
        if self._given is None:
            called = f"{table}.{column.name}"
            number_texts(self._run, kept, distinct(staged.relation, value), called)
        else:
            self._run(f"CREATE TABLE {kept} AS SELECT code, value FROM {self._given.dictionaries[listed]}")
        # Under names that shadow no column of the source.
        renamed = f'(SELECT code AS "#code", value AS "#value" FROM {kept} WHERE value IS NOT NULL)'
        code = f'coalesce((SELECT "#code" FROM {renamed} WHERE "#value" = {value}), 0)::UINTEGER'
        return replace(one, code=code)

    def _check_order(self, table: str) -> None:
        last = 0
        reader = self._connection.sql(f"SELECT {PERSON} FROM store.{name(table)}").to_arrow_reader(1_000_000)
        for batch in reader:
            numbers = batch.column(0).to_numpy()
            if not is_ordered(numbers, last):
                raise ImportFailed(f"table {table} came out of its sort in disorder")
            last = int(numbers[-1]) if len(numbers) else last

    # Reports

    def _report(
        self, table: str, staged: Staged, link: Link, codings: Mapping[str, Coding], stored: str
    ) -> TableReport:
        """Count the losses on the way into the store, in one pass over the source, and one over computed columns.

        `stored` has the rows that are stored, with all that columns are computed from.
        """
        counts = ["count(*)"]
        for one in codings.values():
            found = (one.null, one.coerced, one.unknown, one.clamped, one.missing, one.outside)
            counts += [f"coalesce(count_if({what}), 0)" for what in found]
            counts.append(f"min({ROW}) FILTER ({one.coerced} OR {one.unknown} OR {one.clamped})")
        ((rows, *rest),) = self._run(f"SELECT {', '.join(counts)} FROM {staged.relation}")
        columns = {public: ColumnReport(*rest[7 * place : 7 * place + 7]) for place, public in enumerate(codings)}
        columns |= self._report_of_derived(table, stored)
        lines = staged.found
        return TableReport(
            rows,
            rows - link.without_person,
            link.without_person,
            lines.malformed,
            columns,
            first_malformed=lines.first_malformed,
            doubtful=lines.doubtful,
            first_doubtful=lines.first_doubtful,
        )

    def _report_of_derived(self, table: str, stored: str) -> dict[str, ColumnReport]:
        """Count the nulls and the values beyond bounds of computed columns, over the rows that are stored."""
        reports = {}
        for public in self._manifest.derived[table]:
            one = self._derivation(table, public)
            assert one is not None
            value = (
                f"nullif({name(public)}, 0)" if self._manifest.derived[table][public].how.is_of_events else one.value
            )
            ((null, beyond),) = self._run(
                f"SELECT coalesce(count_if({one.named} IS NULL), 0), coalesce(count_if({one.beyond}), 0) "
                f"FROM (SELECT {value} AS {one.named} FROM {stored})"
            )
            reports[public] = replace(ColumnReport(null, 0, 0, 0), **{one.counted: beyond})
        return reports

    @contextmanager
    def _step(self, what: str) -> Iterator[Callable[[float], None]]:
        """Report the progress of the enclosed work from a thread: its own figure, or DuckDB's."""
        done = threading.Event()
        said = [0.0]

        def watch() -> None:
            while not done.wait(0.2):
                self._progress(what, max(said[-1], self._connection.query_progress() / 100))

        self._progress(what, 0.0)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield said.append
        finally:
            done.set()
            watcher.join()
        self._progress(what, 1.0)


def _stored(table: Table) -> list[Column]:
    """Return the columns of a table that the store has."""
    return [column for column in table.columns.values() if not column.hidden]


def _kept(table: str, column: Column) -> str:
    """Return the quoted name of the texts of an undeclared category: in the store, unless the column is hidden."""
    return f"{'' if column.hidden else 'store.'}{name(dictionary(table, column))}"
