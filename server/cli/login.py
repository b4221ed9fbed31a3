"""`rowless login`: sign in by the issuer of a server, and keep the access token for further commands."""

from __future__ import annotations

from typing import Any

import click

from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import settings
from server.cli.remote import Remote, RemoteRefused, keep_token
from server.cli.speaking import moment, say, word
from server.sign_in import device
from server.sign_in.fetching import FetchFailed


@click.command(cls=Command)
@click.option("--link", is_flag=True, help="Also tie your user here (the one of ROWLESS_TOKEN) to the account.")
@with_json
def login(*, link: bool) -> Any:
    """Sign in with your own account, at the issuer of the server that ROWLESS_URL names.

    The access token is kept in a file of yours until it ends. ROWLESS_TOKEN, if it is set, goes before it.
    """
    present = settings()
    if present.url is None:
        raise click.UsageError(say("set ROWLESS_URL to the address of the server"))
    if link and present.token is None:
        raise click.UsageError(say("--link needs your token of the server in ROWLESS_TOKEN"))
    told = Remote(present.url, None).json("GET", "/sign-in")
    if told["issuer"] is None or told["client"] is None:
        raise RemoteRefused("this server has no sign-in for commands: use a token of it (ROWLESS_TOKEN)")
    try:
        waiting = device.begin(told["issuer"], told["client"], told["scope"])
        told_ = {"address": waiting.address, "code": waiting.user_code}
        click.echo(say("Open %(address)s and confirm the code %(code)s", **told_), err=True)
        token = device.finish(waiting)
    except FetchFailed as failure:
        raise RemoteRefused(f"the issuer cannot be asked: {failure}") from failure
    if link:
        Remote(present.url, present.token).call("PUT", "/me/account", {"token": token})
    me = Remote(present.url, token).json("GET", "/me")
    file = keep_token(present.url, token)
    said = {"user": me["name"], "role": me["role"], "expires_at": me["expires_at"], "file": str(file)}
    words = say(
        "signed in as %(name)s (%(role)s) until %(end)s; the token is in %(file)s",
        name=me["name"],
        role=word(me["role"]),
        end=moment(me["expires_at"])[:16],
        file=file,
    )
    return said, words
