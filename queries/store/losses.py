"""What an import would lose, compared with what the manifest allows (`loss_max`).

Everything here is exact and for the admin only. Losses are values that were coerced, unknown or clamped, malformed
lines, and rows without an id. Values that the manifest declares as missing are no losses.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from queries.catalog.schema import PERSON, PERSONS, Kind
from queries.catalog.source import kind_of
from queries.store.files import row_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from queries.catalog.formats import Reading
    from queries.catalog.manifest import Manifest
    from queries.catalog.schema import Column
    from queries.catalog.source import Source
    from queries.store.reports import ColumnReport, ImportReport, TableReport

# Fewer rows without an id never stop an import, unless no row has one, because single gaps are common.
UNNAMED_MIN = 20

_ADVICE = {
    Kind.CATEGORY: "see values, missing",
    Kind.INTEGER: "see decimal, thousands, missing",
    Kind.NUMBER: "see decimal, thousands, missing",
    Kind.DATE: 'see format (as in "%d.%m.%Y"; years of two digits need one with %y), missing',
    Kind.BOOLEAN: "see true, false, missing",
}
_ADVICE_OUTSIDE = 'see bounds, missing, outside = "null"'


def excessive(manifest: Manifest, report: ImportReport) -> list[str]:
    """Return a sentence, with its place, for each column or source that loses more than `loss_max`."""
    found: list[str] = []
    for table, source in _sources(manifest):
        found += _lines(source, report.tables[table])
    for table in manifest.dataset.tables:
        one = report.tables[table]
        for public, place, reading, source in _columns(manifest, table):
            # A column that is computed has a value for each stored row.
            rows = one.kept if public in manifest.derived[table] else one.rows
            column = manifest.dataset.tables[table].columns[public]
            found += _values(place, source, column, one.columns[public], rows, reading)
    return found


def _sources(manifest: Manifest) -> Iterator[tuple[str, Source]]:
    yield from manifest.events.items()
    if manifest.persons:
        yield PERSONS, manifest.persons


def _columns(manifest: Manifest, table: str) -> Iterator[tuple[str, str, Reading, Source]]:
    if table == PERSONS:
        source = manifest.persons or next(iter(manifest.events.values()))
        readings: Mapping[str, Reading] = manifest.person_readings
        place = PERSON
    else:
        source = manifest.events[table]
        readings, place = source.readings, source.place
    for public, reading in readings.items():
        yield public, f"{place}.columns.{public}", reading, source


def _lines(source: Source, one: TableReport) -> Iterator[str]:
    lines = one.rows + one.malformed
    unnamed = one.without_person if one.without_person >= UNNAMED_MIN or one.without_person == one.rows else 0
    if _too_many(one.malformed + unnamed, lines, source.loss_max):
        parts = []
        if one.malformed:
            first = row_of(one.first_malformed, one.first_malformed_file, has_lines=True)
            parts.append(f"{one.malformed} are malformed (the first is {first})")
        if unnamed:
            parts.append(f"{unnamed} have no id")
        yield f"{source.place}: of {lines} lines of {source.called} {' and '.join(parts)}"
    if one.doubtful:
        first = row_of(one.first_doubtful, one.first_doubtful_file, has_lines=True)
        yield (
            f"{source.place}: {one.doubtful} records of {source.called} run over several lines each of which would be "
            f"a record by itself; the first begins with a quote on {first}. Is that quote meant?"
        )


def _values(
    place: str, source: Source, column: Column, one: ColumnReport, rows: int, reading: Reading
) -> Iterator[str]:
    values = rows - one.null - one.missing
    lost = one.coerced + one.unknown + one.clamped
    if not _too_many(lost, values, reading.loss_max):
        return
    counts = {"coerced": one.coerced, "unknown": one.unknown, "clamped": one.clamped}
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    first = "" if one.first is None else f", the first in {_first(source, one.first, one.first_file)}"
    advice = _ADVICE[column.kind] if one.coerced + one.unknown >= one.clamped else _ADVICE_OUTSIDE
    yield f"{place}: of {values} values {said}{first}; {advice}"


def _first(source: Source, row: int, file: str | None) -> str:
    kind = kind_of(Path(file) if file else source.paths[0])
    return row_of(row, file, has_lines=kind is not None and kind.has_lines)


def _too_many(lost: int, of: int, most: Decimal) -> bool:
    return lost > 0 and lost > most * of
