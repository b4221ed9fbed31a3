"""`rowless import`: import a dataset's sources, and report what was lost."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from budgets.amounts import delta_atto, epsilon_nano
from queries.catalog.manifest import read_manifest
from queries.store import reports
from queries.store.drafts import size as sizes
from queries.store.files import row_of
from server.cli.commands import Command
from server.cli.common import progress, with_json
from server.cli.home import acting, as_option, services
from server.cli.speaking import count, number, phrase, say, whole
from server.journey.importing import import_dataset
from server.reporting import guarantee
from server.runtime import stores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.catalog.manifest import Manifest
    from queries.store.drafts.size import Size
    from queries.store.reports import IdentityReport, ImportReport, TableReport


@click.command("import", cls=Command)
@click.argument("manifest", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Read everything and report the losses; change nothing.")
@click.option("--estimate", is_flag=True, help="Only say how much disk and time it is going to need.")
@click.option("--accept-losses", is_flag=True, help="Import even if more is lost than the manifest's loss_max.")
@as_option
@with_json
def import_(manifest: Path, check: bool, estimate: bool, accept_losses: bool, name: str | None) -> Any:
    """Import a dataset's sources as its next edition.

    Nothing changes unless it finishes. It stops if more than 5% (the manifest's loss_max) of a column's values or of a
    table's lines would be lost. The report counts the values that were unreadable, unknown or out of bounds. The counts
    are exact: keep the report to yourself. With the first edition a contribution profile is bought, which is public,
    unless the manifest has `profile = false`.
    """
    declared = read_manifest(manifest)
    with services() as opened:
        needed, free = sizes.size(declared), shutil.disk_usage(opened.settings.home).free
        if estimate:
            return {**dataclasses.asdict(needed), "free_bytes": free}, _needed(needed, free)
        if needed.is_large:
            click.echo(_needed(needed, free), err=True)
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
        if check:
            stores.formalities_of(declared)
            with progress() as shown:
                report, found = stores.check_manifest(opened.settings, opened.database, declared, shown)
            done = say("Checked %(dataset)s, nothing was changed", dataset=declared.dataset.name)
            words = _report(done, report) + _meaning(declared)
            stops = bool(found) and not accept_losses
            if found:
                words += f"\n{_stopping(found)}"
            return {"dataset": declared.dataset.name, **reports.to_json(report), "losses": found}, words, stops
        with progress() as shown:
            imported = import_dataset(opened, declared, by, shown, accept_losses=accept_losses)
    edition, report = imported.edition, imported.report
    said = {
        "dataset": edition.dataset,
        "edition": edition.number,
        **reports.to_json(report),
        "profile": imported.profile.to_json(),
        "lack": imported.lack,
    }
    done = say("Imported %(dataset)s, edition %(edition)s", dataset=edition.dataset, edition=edition.number)
    words = _report(done, report) + _meaning(declared)
    bought = say("The contribution profile: %(words)s", words=phrase(imported.profile.words))
    words = f"{words}\n{bought}"
    if imported.lack is not None:
        words += "\n" + say("Nothing can be approved: %(why)s", why=phrase(imported.lack))
    return said, words


def _stopping(losses: Sequence[str]) -> str:
    """Return the losses at which an import would stop."""
    head = count(
        "%(num)s loss beyond loss_max, at which an import would stop:",
        "%(num)s losses beyond loss_max, at which an import would stop:",
        len(losses),
    )
    return "\n".join([head, *(f"  {phrase(one)}" for one in losses)])


def _needed(needed: Size, free: int) -> str:
    """Return in words what an import needs."""
    minutes = max(1, round(needed.seconds / 60))
    rows = number(f"{needed.rows:,}")
    read = say("About %(rows)s rows", rows=rows)
    if not needed.is_known:
        read = say("About %(rows)s rows besides those of views", rows=rows)
    words = say(
        "%(read)s: up to %(disk)s GB of disk while it runs, and about %(minutes)s on two cores. %(free)s GB are free",
        read=read,
        disk=number(f"{max(0.1, needed.disk_bytes / 1e9):,.1f}"),
        minutes=count("%(num)s minute", "%(num)s minutes", minutes),
        free=number(f"{free / 1e9:,.1f}"),
    )
    return words if needed.disk_bytes < free else say("%(words)s: it may not fit", words=words)


def _meaning(declared: Manifest) -> str:
    """Return what the cap of a manifest means for one person, on a line of its own."""
    cap = declared.dataset
    meaning = phrase(guarantee.meaning(epsilon_nano(cap.epsilon), delta_atto(cap.delta)))
    return "\n" + say("The cap. %(meaning)s", meaning=meaning)


def _report(done: str, report: ImportReport) -> str:
    persons = whole(report.persons)
    lines = [say("%(done)s: %(persons)s persons. For the admin only, exact counts:", done=done, persons=persons)]
    for table, one in report.tables.items():
        kept, rows = whole(one.kept), whole(one.rows)
        lines.append(
            say("  %(table)s: %(kept)s kept of %(rows)s rows", table=table, kept=kept, rows=rows) + _left_out(one)
        )
        for column, lost in one.columns.items():
            counts = {what: count for what, count in dataclasses.asdict(lost).items() if not what.startswith("first")}
            found = [_lost(what, lost) for what, lost in counts.items() if lost]
            if found:
                lines.append(say("    %(column)s: %(losses)s", column=column, losses=", ".join(found)))
        if one.undescribed:
            missing = whole(one.undescribed)
            lines.append(
                say("    %(missing)s of its persons are not in the source of persons: no attributes", missing=missing)
            )
    return "\n".join([*lines, *_identities(report.identity)])


def _identities(found: IdentityReport) -> list[str]:
    lines = []
    if found.repeated:
        lines.append(
            count(
                "  %(num)s person has several rows in the source of persons; the first row counts",
                "  %(num)s persons have several rows in the source of persons; the first row counts",
                found.repeated,
            )
        )
    if found.contradicting:
        by_column = found.contradicting_by_column.items()
        columns = ", ".join(
            say("%(column)s: %(losses)s", column=column, losses=whole(persons)) for column, persons in by_column
        )
        lines.append(
            count(
                "  %(num)s person has rows that contradict each other (%(columns)s); the first row counts. "
                "If they are several persons, name more columns in person.id",
                "  %(num)s persons have rows that contradict each other (%(columns)s); the first row counts. "
                "If they are several persons, name more columns in person.id",
                found.contradicting,
                columns=columns,
            )
        )
    if found.case_variants:
        lines.append(
            count(
                "  Warning: %(num)s id differs from another one in upper and lower case only. They are different "
                "persons here",
                "  Warning: %(num)s ids differ from another one in upper and lower case only. They are different "
                "persons here",
                found.case_variants,
            )
        )
    return lines


def _lost(what: str, values: int) -> str:
    """Return how many values were lost in one way."""
    ways = {
        "null": say("%(values)s null", values=whole(values)),
        "coerced": say("%(values)s coerced", values=whole(values)),
        "unknown": say("%(values)s unknown", values=whole(values)),
        "clamped": say("%(values)s clamped", values=whole(values)),
        "missing": say("%(values)s missing", values=whole(values)),
        "outside": say("%(values)s outside", values=whole(values)),
    }
    return ways[what]


def _left_out(one: TableReport) -> str:
    found = []
    if one.without_person:
        found.append(say("%(rows)s without a person", rows=whole(one.without_person)))
    if one.malformed:
        first = phrase(row_of(one.first_malformed, one.first_malformed_file, has_lines=True))
        found.append(
            count(
                "%(num)s malformed line besides: %(first)s",
                "%(num)s malformed lines besides, the first is %(first)s",
                one.malformed,
                first=first,
            )
        )
    if one.doubtful:
        first = phrase(row_of(one.first_doubtful, one.first_doubtful_file, has_lines=True))
        found.append(
            count(
                "%(num)s doubtful record, on %(first)s",
                "%(num)s doubtful records, the first on %(first)s",
                one.doubtful,
                first=first,
            )
        )
    return f" ({', '.join(found)})" if found else ""
