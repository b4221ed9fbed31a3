"""The command line: `rowless`. Every command says what it did in words, or with --json as one object."""

from __future__ import annotations

import click

from server.cli import alerts, audit, home, identities, profile, query, release, report, study, user


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rowless", prog_name="rowless")
def main() -> None:
    """Answer statistics queries about data that must not be seen."""


for _command in (
    home.init,
    home.import_,
    home.serve,
    home.demo,
    home.demo_data,
    home.recover,
    home.doctor,
    user.user,
    user.token,
    profile.profile,
    study.study,
    query.query,
    release.release,
    audit.audit,
    audit.certificate,
    report.report,
):
    main.add_command(_command)
audit.audit.add_command(alerts.alerts)
audit.audit.add_command(identities.identities)
audit.audit.add_command(identities.erase)
