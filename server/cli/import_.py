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
from server.cli.common import progress, with_json
from server.cli.home import acting, as_option, services
from server.journey.importing import import_dataset
from server.reporting import guarantee
from server.runtime import stores

if TYPE_CHECKING:
    from queries.catalog.manifest import Manifest
    from queries.store.drafts.size import Size
    from queries.store.reports import IdentityReport, ImportReport, TableReport


@click.command("import")
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
            words = _report(f"Checked {declared.dataset.name}, nothing was changed", report) + _meaning(declared)
            stops = bool(found) and not accept_losses
            if found:
                stopping = "".join(f"\n  {one}" for one in found)
                words += f"\n{len(found)} losses beyond loss_max, at which an import would stop:{stopping}"
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
    words = _report(f"Imported {edition.dataset}, edition {edition.number}", report) + _meaning(declared)
    words = f"{words}\nThe contribution profile: {imported.profile.words}"
    return said, words if imported.lack is None else f"{words}\nNothing can be approved: {imported.lack}"


def _needed(needed: Size, free: int) -> str:
    """Return in words what an import needs."""
    minutes = max(1, round(needed.seconds / 60))
    words = (
        f"About {needed.rows:,} rows{'' if needed.is_known else ' besides those of views'}: up to "
        f"{needed.disk_bytes / 1e9:,.1f} GB of disk while it runs, and about {minutes:,} minutes on two cores. "
        f"{free / 1e9:,.1f} GB are free"
    )
    return words if needed.disk_bytes < free else f"{words}: it may not fit"


def _meaning(declared: Manifest) -> str:
    """Return what the cap of a manifest means for one person, on a line of its own."""
    cap = declared.dataset
    return f"\nThe cap. {guarantee.meaning(epsilon_nano(cap.epsilon), delta_atto(cap.delta))}"


def _report(done: str, report: ImportReport) -> str:
    lines = [f"{done}: {report.persons} persons. For the admin only, exact counts:"]
    for table, one in report.tables.items():
        lines.append(f"  {table}: {one.kept} kept of {one.rows} rows{_left_out(one)}")
        for column, lost in one.columns.items():
            counts = {what: count for what, count in dataclasses.asdict(lost).items() if not what.startswith("first")}
            found = [f"{count} {what}" for what, count in counts.items() if count]
            if found:
                lines.append(f"    {column}: {', '.join(found)}")
        if one.undescribed:
            lines.append(f"    {one.undescribed} of its persons are not in the source of persons: no attributes")
    return "\n".join([*lines, *_identities(report.identity)])


def _identities(found: IdentityReport) -> list[str]:
    lines = []
    if found.repeated:
        lines.append(f"  {found.repeated} persons have several rows in the source of persons; the first row counts")
    if found.contradicting:
        columns = ", ".join(f"{column}: {persons}" for column, persons in found.contradicting_by_column.items())
        lines.append(
            f"  {found.contradicting} persons have rows that contradict each other ({columns}); the first row counts. "
            "If they are several persons, name more columns in person.id"
        )
    if found.case_variants:
        lines.append(
            f"  Warning: {found.case_variants} ids differ from another one in upper and lower case only. They are "
            "different persons here"
        )
    return lines


def _left_out(one: TableReport) -> str:
    found = []
    if one.without_person:
        found.append(f"{one.without_person} without a person")
    if one.malformed:
        first = row_of(one.first_malformed, one.first_malformed_file, has_lines=True)
        found.append(f"{one.malformed} malformed lines besides, the first is {first}")
    if one.doubtful:
        first = row_of(one.first_doubtful, one.first_doubtful_file, has_lines=True)
        found.append(f"{one.doubtful} doubtful records, the first on {first}")
    return f" ({', '.join(found)})" if found else ""
