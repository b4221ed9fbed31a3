"""init, import, serve, demo, demo-data, recover, doctor: setting a home up and keeping it going."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from queries.catalog.manifest import read_manifest
from server import serving
from server.cli.common import acting, as_option, progress, services, settings, with_json
from server.demo import demonstration
from server.demo.observatory import Shape, write_observatory
from server.journey.importing import import_dataset
from server.runtime import health, stores
from server.runtime.services import create_home
from server.runtime.settings import SETTINGS

if TYPE_CHECKING:
    from queries.store.ingest import IdentityReport, ImportReport, TableReport

_SETTINGS_HELP = "\b\nSettings, from the environment:\n" + "\n".join(
    f"  {setting.name:<22} {setting.help} [{setting.default}]" for setting in SETTINGS.values()
)


@click.command()
@with_json
def init() -> Any:
    """Make a home: its folder, ledger, signing key and first admin.

    Run it again after an upgrade of Rowless: it brings the ledger's schema up and leaves the rest as it is.
    """
    present = settings()
    made = create_home(present)
    said = {"home": str(present.home), "admin_token": made.admin_token, "audit_key": made.audit_key}
    lines = [f"The home is {present.home}", f"Verifier key of the audit log (for the DPO): {made.audit_key}"]
    if made.admin_token:
        lines.append(f"Token of the user admin, shown only now: {made.admin_token}")
    return said, "\n".join(lines)


@click.command("import")
@click.argument("manifest", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Read everything and report the losses; change nothing.")
@click.option("--accept-losses", is_flag=True, help="Go on where more is lost than the manifest's loss_max.")
@as_option
@with_json
def import_(manifest: Path, check: bool, accept_losses: bool, name: str | None) -> Any:
    """Import a dataset's sources as its next edition.

    Nothing changes unless it finishes. It stops where more than 5% (the manifest's loss_max) of a column's values or of
    a table's lines would be lost. The report (how many values were unreadable, unknown or out of bounds) is for you
    alone: it holds exact counts. With the first edition a contribution profile is bought, which is public, unless the
    manifest says `profile = false`.
    """
    declared = read_manifest(manifest)
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
        if check:
            with progress() as shown:
                report, found = stores.check_manifest(opened.settings, declared, shown)
            words = _report(f"Checked {declared.dataset.name}, nothing was changed", report)
            stops = bool(found) and not accept_losses
            if found:
                stopping = "".join(f"\n  {one}" for one in found)
                words += f"\n{len(found)} losses beyond loss_max, for which an import would stop:{stopping}"
            return {"dataset": declared.dataset.name, **_counts(report), "losses": found}, words, stops
        with progress() as shown:
            imported = import_dataset(opened, declared, by, shown, accept_losses=accept_losses)
    edition, report = imported.edition, imported.report
    said = {
        "dataset": edition.dataset,
        "edition": edition.number,
        **_counts(report),
        "profile": imported.profile.to_json(),
    }
    words = _report(f"Imported {edition.dataset}, edition {edition.number}", report)
    return said, f"{words}\nThe contribution profile: {imported.profile.words}"


def _counts(report: ImportReport) -> dict[str, Any]:
    tables = {table: dataclasses.asdict(one) for table, one in report.tables.items()}
    return {"persons": report.persons, "tables": tables, "identity": dataclasses.asdict(report.identity)}


def _report(done: str, report: ImportReport) -> str:
    lines = [f"{done}: {report.persons} persons. For the admin only, exact counts:"]
    for table, one in report.tables.items():
        lines.append(f"  {table}: {one.kept} kept of {one.rows} rows{_left_out(one)}")
        for column, lost in one.columns.items():
            counts = {what: count for what, count in dataclasses.asdict(lost).items() if what != "first"}
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
        found.append(f"{one.malformed} malformed lines besides, the first is line {one.first_malformed}")
    if one.doubtful:
        found.append(f"{one.doubtful} doubtful records, the first on line {one.first_doubtful}")
    return f" ({', '.join(found)})" if found else ""


@click.command(epilog=_SETTINGS_HELP)
def serve() -> None:
    """Serve the API until stopped. Charges that a crash left open are closed as spent first."""
    try:
        serving.serve(settings())
    except serving.REFUSALS as error:
        click.echo(f"rowless: {error}", err=True)
        sys.exit(1)


@click.command()
@click.option("--manifest", type=click.Path(path_type=Path), default=Path("demo/rand-hie.toml"), show_default=True)
def demo(manifest: Path) -> None:
    """Set up a home with demonstration data, serve it, ask one query and show the answer."""
    try:
        demonstration.run(settings(), manifest, click.echo)
    except serving.REFUSALS as error:
        click.echo(f"rowless: {error}", err=True)
        sys.exit(1)


@click.command("demo-data")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--persons", type=click.IntRange(1), required=True, help="How many persons.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same data.")
@with_json
def demo_data(folder: Path, persons: int, seed: int) -> Any:
    """Write a made-up general-practice observatory: persons, consultations, prescriptions and their manifest."""
    with progress() as shown:
        written = write_observatory(folder, Shape(persons, seed), lambda done: shown("writing", done / persons))
    said = {**dataclasses.asdict(written), "manifest": str(written.manifest)}
    words = f"{written.persons} persons, {written.consultations} consultations, {written.prescriptions} prescriptions"
    return said, f"{words}\nImport them with: rowless import {written.manifest}"


@click.command()
@with_json
def recover() -> Any:
    """Close the charges that a crash left open, as spent. `serve` does it at its start."""
    with services() as opened:
        closed = serving.recover(opened.database)
    return {"closed": closed}, f"{closed} open charges were closed as spent"


@click.command()
@with_json
def doctor() -> Any:
    """Check the home: its schema, key, stores, sums and the chain of the audit log."""
    checks = health.examine(settings())
    said = {"healthy": all(check.ok for check in checks), "checks": [dataclasses.asdict(check) for check in checks]}
    words = "\n".join(f"{'ok   ' if check.ok else 'WRONG'} {check.name}: {check.finding}" for check in checks)
    if not said["healthy"]:
        raise health.Unhealthy(words)
    return said, words
