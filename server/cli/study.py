"""`rowless study`: new, list, show, protocol, formalities, budget, member, advise, approve, conclude, its states."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from marshmallow import ValidationError

from budgets.actors import SYSTEM
from budgets.errors import Invalid
from budgets.governance import advice, advising, approval, conclusions, forecast, studies, study_budgets
from budgets.governance.study import MOVES, Terms
from queries.catalog.schema import NOISES
from server.api.requests.schemas import ProtocolSchema, roundings_of
from server.cli import formalities
from server.cli.amounts import Amounts, decimal, division_options, given, seen_option, with_notes
from server.cli.commands import Group
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote
from server.cli.speaking import say
from server.cli.studies_remote import budget_of, changed, decided, listed, of, shown
from server.cli.study_words import budget_words, in_full, summary, with_meaning
from server.journey.preparing import require_askable
from server.views.study import describe_study
from server.web.bodies import read_json
from server.web.problems import findings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from budgets.governance.study import Study


def _said(transaction: sa.Connection, one: Study) -> tuple[dict[str, Any], str]:
    said = _described(transaction, one)
    return said, summary(said, forecast.of_study(transaction, one).words)


def _described(transaction: sa.Connection, one: Study) -> dict[str, Any]:
    said = describe_study(transaction, one)
    said["raise"] = said.pop("raise_to")
    return said


@dataclass(frozen=True)
class NewStudy:
    """The command line's values for a new study: each field is the argument or option of its name."""

    identifier: str
    dataset: str
    epsilon: str
    delta: str | None
    laplace: int | None
    justification: str | None
    title: str
    purpose: str
    legal_basis: str
    starts: str | None
    ends: str | None
    members: tuple[str, ...]
    tables: tuple[str, ...]
    columns: tuple[str, ...]
    statistics: tuple[str, ...]
    max_epsilon: str | None
    formalities: str | None
    noise: str | None
    name: str | None

    def protocol(self, epsilon_nano_max: int | None) -> dict[str, Any]:
        """Return what the study may ask."""
        lists = {"tables": self.tables, "columns": self.columns, "statistics": self.statistics}
        found: dict[str, Any] = {key: list(value) for key, value in lists.items() if value}
        if epsilon_nano_max is not None:
            found["epsilon_nano_max"] = epsilon_nano_max
        if self.noise is not None:
            found["noise"] = self.noise
        return found


@click.group(cls=Group)
def study() -> None:
    """Open studies, and decide on them."""


@study.command()
@click.argument("identifier", metavar="NAME")
@click.option("--dataset", required=True)
@click.option("--epsilon", required=True, help="What the study may spend in all.")
@click.option("--delta", help="By default the dataset's.")
@division_options
@click.option("--title", required=True)
@click.option("--purpose", required=True)
@click.option("--legal-basis", required=True)
@click.option("--starts", help="First day, as in 2026-01-31.")
@click.option("--ends", help="Last day.")
@click.option("--member", "members", multiple=True, help="A researcher; may be given several times.")
@click.option("--table", "tables", multiple=True, help="Allow only these tables.")
@click.option("--column", "columns", multiple=True, help="Allow only these columns.")
@click.option("--statistic", "statistics", multiple=True, help="Allow only these statistics.")
@click.option("--max-epsilon", help="The most one query may spend.")
@click.option("--formalities", type=formalities.FILE, help=formalities.HELP)
@click.option("--noise", type=click.Choice(NOISES), help="The kind of noise that its queries may have.")
@as_option
@with_json
def new(**values: Any) -> Any:
    """Open a study as a draft; an approver has to approve it."""
    made = NewStudy(**values)
    limits = Amounts(epsilon=made.epsilon, delta=made.delta, max_epsilon=made.max_epsilon)
    protocol = made.protocol(limits.nano.get("max_epsilon"))
    formal = None if made.formalities is None else formalities.read(Path(made.formalities))
    terms = Terms(made.title, made.purpose, made.legal_basis, protocol, made.starts, made.ends, formal)
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", made.name)
        amounts = (limits.nano["epsilon"], limits.nano.get("delta"))
        one = studies.open_study(
            transaction,
            made.identifier,
            made.dataset,
            terms,
            *amounts,
            by,
            laplace_percent=made.laplace,
            justification=made.justification,
        )
        require_askable(transaction, opened.stores.current(transaction, made.dataset), protocol)
        for member in made.members:
            one = studies.add_member(transaction, made.identifier, member, by)
        return with_notes(with_meaning(*_said(transaction, one)), limits.notes)


@study.command("list")
@with_json
def list_() -> Any:
    """List every study."""
    if (server := remote()) is not None:
        return listed(server)
    with services() as opened, opened.database.read() as transaction:
        found = studies.studies_of(transaction, SYSTEM)
        said = [_said(transaction, one) for one in found]
    return {"studies": [one for one, _ in said]}, "\n".join(words for _, words in said) or say(
        "There are no studies yet"
    )


@study.command()
@click.argument("identifier", metavar="STUDY")
@with_json
def show(identifier: str) -> Any:
    """Show a study: its purpose, what it may ask, its budget, and who opened, edited and approved it."""
    if (server := remote()) is not None:
        return shown(server, identifier)
    with services() as opened, opened.database.read() as transaction:
        one = studies.study(transaction, identifier)
        said = _described(transaction, one)
        return said, in_full(said, forecast.of_study(transaction, one).words)


@study.command()
@click.argument("identifier", metavar="STUDY")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_option
@with_json
def protocol(identifier: str, file: Path | None, name: str | None) -> Any:
    """Show a study's protocol, or replace it by FILE.

    FILE holds the JSON of `protocol` as in an HTTP request, with its templates. A study that was approved becomes a
    draft again, until an approver approves the change.
    """
    server = remote(name)
    if file is None:
        if server is not None:
            said = of(server, identifier)["protocol"]
        else:
            with services() as opened, opened.database.read() as transaction:
                said = describe_study(transaction, studies.study(transaction, identifier))["protocol"]
        return said, json.dumps(said, indent=2, ensure_ascii=False)
    try:
        given = read_json(file.read_bytes())
        read = ProtocolSchema().load(given)
    except ValidationError as error:
        pointer, detail = next(findings(error.messages, ""))
        raise Invalid(pointer or "/", detail) from None
    if server is not None:
        return changed(server, "PATCH", identifier, "", {"protocol": given})
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        terms = replace(studies.study(transaction, identifier).terms, protocol=read)
        edited = studies.edit(transaction, identifier, terms, by)
        require_askable(transaction, opened.stores.current(transaction, edited.dataset), read)
        return with_notes(_said(transaction, edited), roundings_of({"protocol": given}))


@study.command("formalities")
@click.argument("identifier", metavar="STUDY")
@click.argument("file", required=False, type=formalities.FILE)
@as_option
@with_json
def formalities_(identifier: str, file: str | None, name: str | None) -> Any:
    """Show a study's formalities, or replace them by those of FILE.

    FILE is TOML with the keys of [dataset.formalities] in a manifest. Nothing is approved without the formalities of
    the study and of its dataset. A study that was approved becomes a draft again, until an approver approves it.
    """
    server = remote(name)
    if file is None:
        if server is not None:
            said = of(server, identifier)
        else:
            with services() as opened, opened.database.read() as transaction:
                said = describe_study(transaction, studies.study(transaction, identifier))
        words = "\n".join(line.strip() for line in formalities.lines(said["formalities"], said["lack"]))
        return said["formalities"], words or say("There are none on record")
    read = formalities.read(Path(file))
    if server is not None:
        return changed(server, "PATCH", identifier, "", {"formalities": read.facts()})
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        terms = replace(studies.study(transaction, identifier).terms, formalities=read)
        return _said(transaction, studies.edit(transaction, identifier, terms, by))


@study.command()
@click.argument("identifier", metavar="STUDY")
@click.option("--epsilon", help="The new limit.")
@click.option("--delta", help="The new limit.")
@division_options
@click.option("--approve", is_flag=True, help="As an approver: put a raise that waits in force.")
@click.option("--without-advice", help="As an approver: why the DPO's advice is not awaited; kept in the audit log.")
@click.option("--reason", help="Why; kept in the audit log and needed for every change.")
@seen_option
@as_option
@with_json
def budget(
    identifier: str,
    epsilon: str | None,
    delta: str | None,
    laplace: int | None,
    justification: str | None,
    approve: bool,
    without_advice: str | None,
    reason: str | None,
    seen: str | None,
    name: str | None,
) -> Any:
    """Show what a study's budget buys, or set it. After approval a raise waits for an approver."""
    server = remote(name)
    if not approve and {epsilon, delta, laplace, justification, reason} == {None}:
        if server is not None:
            ahead = budget_of(server, identifier)
        else:
            with services() as opened, opened.database.read() as transaction:
                ahead = forecast.of_study(transaction, studies.study(transaction, identifier)).to_json()
        return ahead, budget_words(ahead)
    if approve == (epsilon is not None):
        raise click.UsageError(say("give --epsilon to set a budget, or --approve to approve a raise"))
    if reason is None:
        raise click.UsageError(say("give a --reason"))
    if not approve and (without_advice is not None or seen is not None):
        raise click.UsageError(say("--without-advice and --seen belong to --approve"))
    if approve and server is not None:
        body = given(reason=reason, without_advice=without_advice, seen=seen)
        return decided(server, identifier, "budget/approve", body)
    if server is not None:
        wanted = {what: float(decimal(text, what)) for what, text in (("epsilon", epsilon), ("delta", delta)) if text}
        further = {} if laplace is None else {"laplace_percent": laplace}
        said = given(reason=reason, justification=justification)
        return changed(server, "PUT", identifier, "/budget", {**wanted, **said, **further})
    with services() as opened, approval.deciding(opened.database) as transaction:
        if epsilon is None:
            by = acting(transaction, "approver", name)
            one = study_budgets.approve_budget(
                transaction, identifier, reason, by, without_advice=without_advice, read=seen
            )
            return _said(transaction, one)
        limits = Amounts(epsilon=epsilon, delta=delta)
        by = acting(transaction, "admin", name)
        one = study_budgets.set_budget(
            transaction,
            identifier,
            limits.nano["epsilon"],
            limits.nano.get("delta"),
            reason,
            by,
            laplace_percent=laplace,
            justification=justification,
        )
        return with_notes(with_meaning(*_said(transaction, one)), limits.notes)


@study.command()
@click.argument("identifier", metavar="STUDY")
@click.argument("user")
@click.option("--remove", is_flag=True, help="End the membership.")
@as_option
@with_json
def member(identifier: str, user: str, remove: bool, name: str | None) -> Any:
    """Make a researcher a member of a study."""
    with services() as opened, opened.database.write() as transaction:
        act = studies.remove_member if remove else studies.add_member
        return _said(transaction, act(transaction, identifier, user, acting(transaction, "admin", name)))


@study.command()
@click.argument("identifier", metavar="STUDY")
@click.option("--opinion", type=click.Choice(list(advice.OPINIONS)), required=True)
@click.option("--raise", "on_raise", is_flag=True, help="Advise on the larger budget that waits, not on the terms.")
@click.option("--reason", required=True, help="Why, with any conditions; kept in the audit log.")
@seen_option
@as_option
@with_json
def advise(identifier: str, opinion: str, on_raise: bool, reason: str, seen: str | None, name: str | None) -> Any:
    """As a DPO: advise on a draft, or on a larger budget, before an approver decides."""
    if (server := remote(name)) is not None:
        where = "budget/advise" if on_raise else "advise"
        return decided(server, identifier, where, given(opinion=opinion, reason=reason, seen=seen))
    give = advising.advise_on_raise if on_raise else advising.advise
    with services() as opened, approval.deciding(opened.database) as transaction:
        by = acting(transaction, "dpo", name)
        return _said(transaction, give(transaction, identifier, opinion, reason, by, read=seen))


@study.command()
@click.argument("identifier", metavar="STUDY")
@click.option("--reason", required=True, help="Why; kept in the audit log.")
@click.option("--without-advice", help="Why the DPO's advice is not awaited; kept in the audit log.")
@seen_option
@as_option
@with_json
def approve(identifier: str, reason: str, without_advice: str | None, seen: str | None, name: str | None) -> Any:
    """As an approver: approve a draft; its members may ask then."""
    if (server := remote(name)) is not None:
        body = given(reason=reason, without_advice=without_advice, seen=seen)
        return decided(server, identifier, "approve", body)
    with services() as opened, approval.deciding(opened.database) as transaction:
        by = acting(transaction, "approver", name)
        one = studies.move(transaction, identifier, "approve", reason, by, without_advice=without_advice, read=seen)
        return _said(transaction, one)


@study.command()
@click.argument("identifier", metavar="STUDY")
@click.option("--text", help="The conclusion, at most 4,000 characters; kept in the audit log.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file that holds it.")
@click.option(
    "--party",
    "given_parties",
    type=(click.Choice(conclusions.PARTIES), str),
    multiple=True,
    help="What follows for a relevant party, as in --party thief TEXT; may be given several times.",
)
@click.option("--seen", metavar="DIGEST", required=True, help="The digest that `report study` printed with the report.")
@as_option
@with_json
def conclude(
    identifier: str,
    text: str | None,
    file: Path | None,
    given_parties: tuple[tuple[str, str], ...],
    seen: str,
    name: str | None,
) -> Any:
    """As an approver: write the controller's conclusion of a study's report.

    It stands in the report in place of an earlier one. If the study has changed since the report was read, it is
    refused: read the report anew.
    """
    if (text is None) == (file is None):
        raise click.UsageError(say("give the conclusion as --text or in a --file"))
    parties = dict(given_parties)
    written = text if file is None else file.read_text(encoding="utf-8").strip()
    if (server := remote(name)) is not None:
        body = {**given(text=written, seen=seen), "parties": parties}
        return decided(server, identifier, "report/conclusion", body)
    with services() as opened, approval.deciding(opened.database) as transaction:
        by = acting(transaction, "approver", name)
        one = conclusions.conclude(transaction, identifier, written or "", by, read=seen, parties=parties)
        return _said(transaction, one)


def _move(action: str) -> click.Command:
    """Make the command of one change of state."""
    _, leads_to, roles = MOVES[action]

    @study.command(action, help=f"{action.capitalize()} a study: it is then {leads_to}.")
    @click.argument("identifier", metavar="STUDY")
    @click.option("--reason", required=True, help="Why; kept in the audit log.")
    @as_option
    @with_json
    def run(identifier: str, reason: str, name: str | None) -> Any:
        if (server := remote(name)) is not None:
            return decided(server, identifier, action, {"reason": reason})
        with services() as opened, approval.deciding(opened.database) as transaction:
            by = acting(transaction, roles[0], name, also=roles)
            return _said(transaction, studies.move(transaction, identifier, action, reason, by))

    return run


for _action in MOVES:
    if _action != "approve":
        _move(_action)
