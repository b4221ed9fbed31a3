"""The command line: `rowless`. Every command says what it did in words, or with --json as one object."""

from __future__ import annotations

import click

from server.cli import alerting, asking, auditing, people, profiling, releasing, reporting, retaining, running, studies


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rowless", prog_name="rowless")
def main() -> None:
    """Answer statistics queries about data that must not be seen."""


for _command in (
    running.init,
    running.import_,
    running.serve,
    running.demo,
    running.demo_data,
    running.recover,
    running.doctor,
    people.user,
    people.token,
    profiling.profile,
    studies.study,
    asking.query,
    releasing.release,
    auditing.audit,
    auditing.certificate,
    reporting.report,
):
    main.add_command(_command)
auditing.audit.add_command(alerting.alerts)
auditing.audit.add_command(retaining.identities)
auditing.audit.add_command(retaining.erase)
