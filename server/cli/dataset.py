"""`rowless dataset`: list, show, propose, advise, approve, parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from budgets.governance import advice, approval, dataset_terms, datasets
from budgets.loss import NANO, epsilon_text
from queries.catalog.parts import PARTS_MAX
from server.cli import formalities
from server.cli.amounts import Amounts, division_options, given, seen_option, with_notes
from server.cli.commands import Group
from server.cli.common import progress, with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote, segment
from server.cli.speaking import count, number, pgettext, phrase, say, whole
from server.cli.study_words import advice_lines, amounts, divided, erased, justified, meaning, profile_text
from server.journey import repartitioning
from server.views import lookup
from server.views.dataset import describe_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from server.cli.remote import Remote

    Said = tuple[Mapping[str, Any], str]

SHOWN = ("name", "title", "edition", "budget", "terms")


@click.group(cls=Group)
def dataset() -> None:
    """Show datasets, and decide on their caps and profiles."""


@dataset.command("list")
@with_json
def list_() -> Any:
    """List the datasets with their editions, and whether each is approved."""
    if (server := remote()) is not None:
        found = [_from(server, one["name"]) for one in server.json("GET", "/datasets")["items"]]
    else:
        with services() as opened, opened.database.read() as transaction:
            found = [describe_dataset(transaction, name) for name in datasets.names(transaction)]
    return {"items": found}, "\n".join(_head(one) for one in found) or say("There are no datasets yet")


@dataset.command()
@click.argument("identifier", metavar="DATASET")
@with_json
def show(identifier: str) -> Any:
    """Show a dataset's cap, what its profile cost, what was approved and what waits."""
    if (server := remote()) is not None:
        said = _from(server, identifier)
        return said, words(said)
    with services() as opened, opened.database.read() as transaction:
        return _said(transaction, identifier)


@dataset.command()
@click.argument("identifier", metavar="DATASET")
@click.argument("words", nargs=-1, required=True)
@click.option("--column", metavar="TABLE.COLUMN", help="Search one column, as in visits.diagnosis.")
@click.option(
    "--limit", type=click.IntRange(1, lookup.FOUND_MAX), default=lookup.FOUND, show_default=True, help="How many."
)
@with_json
def codes(identifier: str, words: tuple[str, ...], column: str | None, limit: int) -> Any:
    """Find codes by their names: in values, labels, hierarchies and vocabularies of the catalog, and never in data."""
    search = " ".join(words)
    if not lookup.SEARCH_MIN <= len(search) <= lookup.SEARCH_MAX:
        fewest, most = lookup.SEARCH_MIN, lookup.SEARCH_MAX
        raise click.UsageError(say("give %(fewest)s to %(most)s characters", fewest=fewest, most=most))
    if (server := remote()) is not None:
        asked = {"search": search, "limit": limit, **({} if column is None else {"column": column})}
        said = server.json("GET", f"/datasets/{segment(identifier)}/codes?{urlencode(asked)}")
    else:
        with services() as opened:
            with opened.database.read() as transaction:
                store = opened.stores.current(transaction, identifier)
            said = lookup.search(store.dataset, f"{identifier}/{store.edition.folder}", search, column, limit)
    return said, _codes(said)


def _codes(said: Mapping[str, Any]) -> str:
    lines = []
    for one in said["items"]:
        where = ", ".join(one["columns"])
        if one["under"]:
            where = count(
                "%(columns)s, %(num)s code under it",
                "%(columns)s, %(num)s codes under it",
                one["under"],
                columns=where,
                num=number(f"{one['under']:,}"),
            )
        named = f"{one['label']} ({where})" if one["label"] else f"({where})"
        lines.append(f"{one['code']}  {named}")
    if said["more"]:
        lines.append(say("There are more: add a word, or give --limit"))
    return "\n".join(lines) or say("No code has these words in its name")


@dataset.command()
@click.argument("identifier", metavar="DATASET")
@click.option("--epsilon", help="Another cap.")
@click.option("--delta", help="Another cap.")
@click.option("--profile", help="What further profiles may take of the cap.")
@division_options
@click.option("--formalities", "file", type=formalities.FILE, help=formalities.HELP)
@click.option("--reason", required=True, help="Why; kept in the audit log.")
@as_option
@with_json
def propose(
    identifier: str,
    epsilon: str | None,
    delta: str | None,
    profile: str | None,
    laplace: int | None,
    justification: str | None,
    file: str | None,
    reason: str,
    name: str | None,
) -> Any:
    """As an admin: propose another cap, a further profile, or other formalities. It waits for an approver."""
    if {epsilon, delta, profile, laplace, file} == {None}:
        raise click.UsageError(say("give --epsilon, --delta, --laplace, --profile or --formalities"))
    named = None if file is None else formalities.read(Path(file))
    limits = Amounts(epsilon=epsilon, delta=delta, profile=profile)
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        wanted = limits.nano.get("epsilon"), limits.nano.get("delta"), limits.nano.get("profile") or 0
        further: dict[str, Any] = {"laplace_percent": laplace, "justification": justification, "named": named}
        dataset_terms.propose(transaction, identifier, *wanted, reason, by, **further)
        return with_notes(_said(transaction, identifier), limits.notes)


@dataset.command()
@click.argument("identifier", metavar="DATASET")
@click.option("--opinion", type=click.Choice(list(advice.OPINIONS)), required=True)
@click.option("--reason", required=True, help="Why, with any conditions; kept in the audit log.")
@seen_option
@as_option
@with_json
def advise(identifier: str, opinion: str, reason: str, seen: str | None, name: str | None) -> Any:
    """As a DPO: advise on the cap and the profile that wait, before an approver decides."""
    if (server := remote(name)) is not None:
        return _decided(server, identifier, "advise", given(opinion=opinion, reason=reason, seen=seen))
    with services() as opened, approval.deciding(opened.database) as transaction:
        by = acting(transaction, "dpo", name)
        dataset_terms.advise(transaction, identifier, opinion, reason, by, read=seen)
        return _said(transaction, identifier)


@dataset.command()
@click.argument("identifier", metavar="DATASET")
@click.option("--reason", required=True, help="Why; kept in the audit log.")
@click.option("--without-advice", help="Why the DPO's advice is not awaited; kept in the audit log.")
@seen_option
@as_option
@with_json
def approve(identifier: str, reason: str, without_advice: str | None, seen: str | None, name: str | None) -> Any:
    """As an approver: approve the cap and the profile that wait. Nothing is charged to a dataset before that."""
    if (server := remote(name)) is not None:
        body = given(reason=reason, without_advice=without_advice, seen=seen)
        return _decided(server, identifier, "approve", body)
    with services() as opened, approval.deciding(opened.database) as transaction:
        by = acting(transaction, "approver", name)
        dataset_terms.approve(transaction, identifier, reason, by, without_advice=without_advice, read=seen)
        return _said(transaction, identifier)


@dataset.command()
@click.argument("identifier", metavar="DATASET")
@click.option(
    "--into", type=click.IntRange(1, PARTS_MAX), metavar="N", help=f"Divide it into N parts, 1 to {PARTS_MAX}."
)
@click.option(
    "--elsewhere",
    is_flag=True,
    help="Other machines scan them: allow more than fit into memory here. ROWLESS_ENGINE=spark does, too.",
)
@as_option
@with_json
def parts(identifier: str, into: int | None, elsewhere: bool, name: str | None) -> Any:
    """As an admin: list the parts of the edition in service, or divide it into another number of parts.

    Parts are files that hold every person once. Answers do not depend on how many there are: one is right for one
    machine. --into needs as much room again as the edition takes, and imports nothing. Servers go on answering. If it
    is stopped at any point, the edition is as it was or as it was to be. The numbers of persons are exact: keep them to
    yourself.
    """
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
        if into is None:
            found = repartitioning.parts_of(opened, identifier, by)
        else:
            with progress() as shown:
                found = repartitioning.remake(opened, identifier, into, by, shown, elsewhere=elsewhere)
    said = {
        "dataset": identifier,
        "edition": found.edition.number,
        "parts": [
            {
                "number": one.part.number,
                "file": one.part.file,
                "bytes": one.bytes,
                "sha256": one.part.sha256,
                "persons": one.persons,
                "fault": one.fault,
            }
            for one in found.parts
        ],
    }
    return said, _parts_words(said)


def _parts_words(said: Mapping[str, Any]) -> str:
    found = said["parts"]
    lines = [
        say(
            "Dataset %(dataset)s, edition %(edition)s: %(parts)s. For the admin only, exact counts:",
            dataset=said["dataset"],
            edition=said["edition"],
            parts=count("%(num)s part", "%(num)s parts", len(found)),
        )
    ]
    for one in found:
        size = say("%(persons)s persons, %(bytes)s bytes", persons=whole(one["persons"]), bytes=whole(one["bytes"]))
        what = phrase(one["fault"]) if one["fault"] else size
        hashed = "" if one["sha256"] else say(", no hash")
        lines.append(say("  %(number)s %(file)s: %(what)s", number=one["number"], file=one["file"], what=what + hashed))
    return "\n".join(lines)


def words(said: Mapping[str, Any]) -> str:
    """Return a dataset in words."""
    terms, budget = said["terms"], said["budget"]
    lines = [
        _head(said),
        say(
            "  cap: %(cap)s, left: %(left)s",
            cap=amounts(budget) + divided(budget),
            left=amounts(budget["remaining"]),
        ),
        *justified(budget),
        f"  {profile_text(said['profile'])}",
    ]
    if terms["approved"]:
        lines.append(say("  queries may have %(noise)s", noise=_noise(terms["noise"])))
        who = terms["approved_by"] or say("the rules of before, or by somebody whose name was erased")
        lines += formalities.lines(terms["formalities"])
        if terms["formalities"] is None:
            lines.append(say("  no formalities are on record: it was approved before they were asked for"))
        left = _epsilon(terms["profile_left"])
        lines.append(say("  approved by %(who)s; further profiles may cost epsilon %(left)s", who=who, left=left))
    if terms["waiting"] is not None:
        waits = terms["waiting"]
        lines.append(
            say(
                "  waits for an approver: the cap %(cap)s; profiles of epsilon %(profile)s; %(noise)s; "
                "proposed by %(who)s",
                cap=amounts(waits) + divided(waits),
                profile=_epsilon(waits["profile"]),
                noise=_noise(waits["noise"]),
                who=", ".join(terms["proposed_by"]) or erased(),
            )
        )
        lines += [*justified(waits), f"  {meaning(waits)}"]
        if waits["formalities"] != terms["formalities"]:
            lines.append(say("  waits too, the formalities:"))
            lines += (f"  {line}" for line in formalities.lines(waits["formalities"]))
        lines += advice_lines(say("advice"), terms["advice"])
        lines.append(say("  to decide on exactly this: --seen %(digest)s", digest=waits["digest"]))
    if terms["lack"] is not None:
        lines.append(say("  nothing can be approved now: %(why)s", why=phrase(terms["lack"])))
    return "\n".join(lines)


def _head(said: Mapping[str, Any]) -> str:
    return say(
        "Dataset %(name)s (%(state)s), edition %(edition)s: %(title)s",
        name=said["name"],
        state=_state(said["terms"]),
        edition=said["edition"],
        title=said["title"],
    )


def _noise(kind: str | None) -> str:
    kinds = {
        "laplace": say("Laplace noise alone"),
        "gaussian": say("Gaussian noise alone"),
        "both": say("either kind of noise"),
        None: say("the noise that the manifest says"),
    }
    return kinds[kind]


def _state(terms: Mapping[str, Any]) -> str:
    if not terms["approved"]:
        return say("not approved: nothing is charged to it")
    return say("approved, and terms wait for an approver") if terms["waiting"] else pgettext("dataset", "approved")


def _epsilon(amount: float) -> str:
    return number(epsilon_text(round(amount * NANO)))


def _said(transaction: sa.Connection, identifier: str) -> tuple[dict[str, Any], str]:
    said = describe_dataset(transaction, identifier)
    return said, words(said)


def _from(server: Remote, identifier: str) -> dict[str, Any]:
    """Return a dataset as the home shows it, from the catalog of a server."""
    found = server.json("GET", f"/datasets/{segment(identifier)}")
    made = found["profile"]
    profile = None if made is None else {"edition": made["edition"], "cost": made["cost"]}
    return {**{name: found[name] for name in SHOWN}, "profile": profile}


def _decided(server: Remote, identifier: str, act: str, given: Mapping[str, Any]) -> Said:
    said = server.json("POST", f"/datasets/{segment(identifier)}/{act}", dict(given))
    return said, words(said)
