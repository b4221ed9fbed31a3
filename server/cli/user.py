"""`rowless user add, list, remove, unlink, proposals, confirm, withdraw` and `rowless token new, list, revoke`.

What makes, removes or gives a token to a DPO or an approver is only proposed: a second person confirms it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from budgets.audit import log
from budgets.governance import approval
from budgets.governance.roles import grants, leaving
from budgets.identity import people, subjects, tokens
from server.cli.commands import Group
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote, segment
from server.cli.speaking import day, say, whole, word
from server.cli.study_words import erased

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from budgets.identity.people import Token
    from budgets.identity.tokens import Listed
    from server.runtime.services import Services


def scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a new token."""
    days = click.option(
        "--days",
        type=click.IntRange(1, tokens.DAYS_MAX),
        help=f"How long the token lives; {tokens.DAYS} by default.",
    )
    only = click.option("--study", metavar="STUDY", help="Limit the token to this study.")
    return days(only(click.option("--read-only", "reads_only", is_flag=True, help="Limit it to reading.")(command)))


def _scope(opened: Services, days: int | None, study: str | None, *, reads_only: bool) -> tokens.Scope:
    return tokens.scope(days, opened.settings.identity_days, study=study, reads_only=reads_only)


def _made(token: Token) -> dict[str, Any]:
    return {"token": token.text, "token_id": token.id, "expires_at": token.expires_at}


def _shown(token: Token) -> str:
    return say("shown only now, valid until %(day)s: %(token)s", day=day(token.expires_at), token=token.text)


def _is_now(name: str, role: str) -> str:
    return say("%(user)s is a %(role)s now", user=name, role=word(role))


def _is_gone(name: str) -> str:
    return say("%(user)s is no user any more; no token of theirs opens anything", user=name)


def _act(act: str, user: str, role: str) -> str:
    """Return what is proposed, in words."""
    acts = {
        grants.ADD: say("add %(user)s (%(role)s)", user=user, role=word(role)),
        grants.REMOVE: say("remove %(user)s (%(role)s)", user=user, role=word(role)),
        grants.TOKEN: say("token %(user)s (%(role)s)", user=user, role=word(role)),
    }
    return acts[act]


def _done(act: str, user: str, role: str) -> str:
    """Return what was done, in words."""
    acts = {
        grants.ADD: _is_now(user, role),
        grants.REMOVE: _is_gone(user),
        grants.TOKEN: say("%(user)s has another token", user=user),
    }
    return acts[act]


@click.group(cls=Group)
def user() -> None:
    """Add, list and remove users, each with a role."""


@user.command("add")
@click.argument("new_name", metavar="NAME")
@click.option("--role", type=click.Choice(people.ROLES), required=True)
@scope_options
@as_option
@with_json
def add(new_name: str, role: str, days: int | None, study: str | None, name: str | None, *, reads_only: bool) -> Any:
    """Add a user and print their first token, shown only now. A DPO or an approver is only proposed."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        if role in people.PRIVILEGED:
            scope = _scope(opened, days, study, reads_only=reads_only)
            return _proposed(transaction, grants.propose(transaction, grants.ADD, new_name, role, by, scope))
        added = people.add_user(transaction, new_name, role, by)
        token = people.new_token(transaction, added.name, by, _scope(opened, days, study, reads_only=reads_only))
    said = {"user": added.name, "role": added.role, **_made(token)}
    return said, say("%(done)s. Token, %(token)s", done=_is_now(added.name, added.role), token=_shown(token))


@user.command("list")
@as_option
@with_json
def list_users(name: str | None) -> Any:
    """List the users with their roles and how many tokens of theirs give access now."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        log.append(transaction, by, "user.read", "users", "the users were listed")
        found = people.every_user(transaction)
    lines = [
        say(
            "%(user)s  %(role)s  tokens %(tokens)s  since %(day)s",
            user=one.user,
            role=word(one.role),
            tokens=whole(one.tokens),
            day=day(one.created_at),
        )
        for one in found
    ]
    return {"items": [one.to_json() for one in found]}, "\n".join(lines)


@user.command("remove")
@click.argument("leaver", metavar="NAME")
@as_option
@with_json
def remove(leaver: str, name: str | None) -> Any:
    """Remove a user, with their tokens and memberships. The name is kept until the DPO erases it.

    That of a DPO or an approver is only proposed.
    """
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        if people.user(transaction, leaver).role in people.PRIVILEGED:
            return _proposed(transaction, grants.propose(transaction, grants.REMOVE, leaver, None, by))
        gone = leaving.remove_user(transaction, leaver, by)
    return {"removed": gone.name, "role": gone.role}, _is_gone(gone.name)


@user.command()
@click.argument("tied", metavar="NAME")
@as_option
@with_json
def unlink(tied: str, name: str | None) -> Any:
    """End that a user can sign in by the issuer."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        subjects.unlink(transaction, tied, by)
    return {"unlinked": tied}, say("%(user)s can no longer sign in by the issuer", user=tied)


@user.command("proposals")
@with_json
def list_proposals() -> Any:
    """List what waits for a second person: what would make, remove or give a token to a DPO or an approver."""
    if (server := remote()) is not None:
        found = server.json("GET", "/proposals")["items"]
    else:
        with services() as opened, opened.database.read() as transaction:
            found = grants.waiting(transaction)
    lines = [
        say(
            "%(id)s  %(act)s  proposed by %(who)s on %(day)s",
            id=one["id"],
            act=_act(one["act"], one["user"], one["role"]),
            who=one["proposed_by"] or erased(),
            day=day(one["proposed_at"]),
        )
        for one in found
    ]
    return {"items": found}, "\n".join(lines) or say("Nothing waits for a second person")


@user.command("confirm")
@click.argument("proposal", metavar="PROPOSAL")
@as_option
@with_json
def confirm(proposal: str, name: str | None) -> Any:
    """As a DPO or an approver: confirm what an admin proposed. It is done at once."""
    if (server := remote(name)) is not None:
        said = server.json("POST", f"/proposals/{segment(proposal)}/confirm")
    else:
        with services() as opened, approval.deciding(opened.database) as transaction:
            by = acting(transaction, grants.CONFIRMERS, name)
            done = grants.confirm(transaction, proposal, by, opened.settings.identity_days)
            said = {**grants.shown(transaction, done.proposal), **done.token_json()}
    lines = [_done(said["act"], said["user"], said["role"])]
    if said["token_id"] is not None:
        lines.append(
            say(
                "Part 2 of the token %(id)s, shown only now, valid until %(day)s: %(part)s",
                id=said["token_id"],
                day=day(said["expires_at"]),
                part=said["token_part"],
            )
        )
        lines.append(
            say("Give it to %(user)s alone, who writes it right after part 1, which the admin has.", user=said["user"])
        )
    return said, "\n".join(lines)


@user.command("withdraw")
@click.argument("proposal", metavar="PROPOSAL")
@as_option
@with_json
def withdraw(proposal: str, name: str | None) -> Any:
    """Withdraw a proposal, or refuse it: an admin, a DPO or an approver can."""
    if (server := remote(name)) is not None:
        server.json("DELETE", f"/proposals/{segment(proposal)}")
    else:
        with services() as opened, opened.database.write() as transaction:
            grants.withdraw(transaction, proposal, acting(transaction, grants.SEE, name))
    return {"withdrawn": proposal}, say("Proposal %(id)s is withdrawn", id=proposal)


def _proposed(transaction: sa.Connection, made: tuple[grants.Proposal, str | None]) -> tuple[dict[str, Any], str]:
    """Return what a command says that proposed something."""
    proposal, first = made
    lines = [
        say(
            "Proposed: %(what)s. A DPO or an approver confirms it: %(command)s",
            what=_act(proposal.act, proposal.user, proposal.role),
            command=f"rowless user confirm {proposal.id}",
        )
    ]
    if first is not None:
        lines.append(say("Part 1 of the token, shown only now: %(part)s", part=first))
        lines.append(say("Give it to %(user)s alone; part 2 is shown to who confirms.", user=proposal.user))
    return {**grants.shown(transaction, proposal), "token_part": first}, "\n".join(lines)


@click.group(cls=Group)
def token() -> None:
    """Make, list and revoke access tokens."""


@token.command()
@click.argument("owner", metavar="NAME")
@scope_options
@as_option
@with_json
def new(owner: str, days: int | None, study: str | None, name: str | None, *, reads_only: bool) -> Any:
    """Make another token for a user, shown only now. One for a DPO or an approver is only proposed."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        if people.user(transaction, owner).role in people.PRIVILEGED:
            scope = _scope(opened, days, study, reads_only=reads_only)
            return _proposed(transaction, grants.propose(transaction, grants.TOKEN, owner, None, by, scope))
        made = people.new_token(transaction, owner, by, _scope(opened, days, study, reads_only=reads_only))
    return {"user": owner, **_made(made)}, say("Token %(id)s, %(token)s", id=made.id, token=_shown(made))


@token.command("list")
@click.argument("owner", metavar="[NAME]", required=False)
@as_option
@with_json
def list_tokens(owner: str | None, name: str | None) -> Any:
    """List the tokens of all users or of one, with the day of their last use. Revoked ones are left out."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        log.append(transaction, by, "token.read", "tokens", "the tokens were listed")
        found = tokens.listed(transaction, user=owner)
    lines = list(map(_token_line, found)) or [say("there are no such tokens")]
    return {"items": [one.to_json() for one in found]}, "\n".join(lines)


def _token_line(one: Listed) -> str:
    facts = {"id": one.id, "user": one.user, "role": word(one.role), "day": day(one.expires_at)}
    line = say("%(id)s  %(user)s (%(role)s)  until %(day)s", **facts)
    if one.is_expired:
        line = say("%(id)s  %(user)s (%(role)s)  expired %(day)s", **facts)
    used = say("never used") if one.used_on is None else say("last used %(day)s", day=day(one.used_on))
    limits = [] if one.study is None else [say("only study %(study)s", study=one.study)]
    limits += [say("only reading")] if one.reads_only else []
    return "  ".join([line, used, *limits])


@token.command()
@click.argument("token_id")
@as_option
@with_json
def revoke(token_id: str, name: str | None) -> Any:
    """Revoke a token by its id (the part between the underscores)."""
    with services() as opened, opened.database.write() as transaction:
        grants.revoke_token(transaction, token_id, acting(transaction, "admin", name))
    return {"revoked": token_id}, say("Token %(id)s is revoked", id=token_id)
