"""`rowless certificate`: write the certificate of a release."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from budgets.audit import certificates
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.journey import rereading


@click.command()
@click.argument("study")
@click.argument("release")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_option
@with_json
def certificate(study: str, release: str, file: Path, name: str | None) -> Any:
    """Write the certificate of a study's release to FILE.

    It is a signed document to cite, which anyone can verify.
    """
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
        stored = rereading.read(opened, by, study, release, rereading.CERTIFICATE)
        text = certificates.certificate(opened.database, opened.settings.key_path, stored)
    file.write_text(text, encoding="utf-8", newline="\n")
    digest = hashlib.sha256(text.encode()).hexdigest()
    said = {"file": str(file), "release": release, "sha256": digest}
    return said, f"the certificate of release {release} was written to {file}; its SHA-256 is\n{digest}"
