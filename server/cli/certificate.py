"""`rowless certificate`: write the certificate of a release."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from budgets.audit import certificates
from budgets.identity import people
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote, segment
from server.cli.speaking import say
from server.journey import hidden, rereading


@click.command(cls=Command)
@click.argument("study")
@click.argument("release")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_option
@with_json
def certificate(study: str, release: str, file: Path, name: str | None) -> Any:
    """Write the certificate of a study's release to FILE.

    It is a signed document to cite, which anyone can verify.
    """
    if (server := remote(name)) is not None:
        text = server.call("GET", f"/studies/{segment(study)}/releases/{segment(release)}/certificate")
    else:
        text = _of_home(study, release, name)
    file.write_text(text, encoding="utf-8", newline="\n")
    digest = hashlib.sha256(text.encode()).hexdigest()
    said = {"file": str(file), "release": release, "sha256": digest}
    words = say(
        "the certificate of release %(release)s was written to %(file)s; its SHA-256 is", release=release, file=file
    )
    return said, f"{words}\n{digest}"


def _of_home(study: str, release: str, name: str | None) -> str:
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name, also=people.ROLES)
        stored = rereading.read(opened, by, study, release, rereading.CERTIFICATE)
        with opened.database.read() as transaction:
            shown = hidden.to_certify(transaction, stored)
        return certificates.certificate(opened.database, opened.settings.key_path, stored, shown)
