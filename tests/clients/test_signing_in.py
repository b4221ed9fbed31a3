"""Where the token comes from: an argument, the environment, an earlier sign-in, or the issuer's device flow."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from rowless_client import Misused, NotAllowed, NoToken, Rowless
from rowless_client.connection import addresses, tokens

from tests.server.sign_in import running
from tests.server.sign_in.provider import CLIENT
from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Home, Server

CLAIMS = {"preferred_username": "eve", "roles": [running.RESEARCHER]}


@pytest.fixture
def provider() -> Iterator[running.Provider]:
    """Return a running issuer."""
    started = running.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep tokens in a folder of the test's own."""
    monkeypatch.setenv("ROWLESS_CLIENT_FOLDER", str(tmp_path / "config"))
    return tmp_path / "config"


def test_sign_in_by_the_device_flow(home: Home, provider: running.Provider, folder: Path) -> None:
    """The user is told where to go and waited for; the token is kept for them alone, and used until it ends."""
    settings = running.settings_of(provider.issuer, oidc_client=CLIENT)
    told: list[str] = []
    with serving(home, **settings) as server:
        address = f"http://127.0.0.1:{server.port}"
        provider.tell("set", person=None)
        signing = threading.Timer(1.0, lambda: provider.tell("person", subject="s-eve", claims=CLAIMS))
        signing.start()
        assert Rowless(address, show=told.append).me.name == "eve"
        signing.join()
        assert [provider.issuer in line for line in told] == [True]
        file = folder / tokens.KEPT
        assert file.stat().st_mode & 0o777 == 0o600
        assert Rowless(address, show=told.append).me.name == "eve"
        assert len(told) == 1
        # A kept token that gives no access any more is replaced by a new sign-in.
        tokens.keep_token(address, "a.b.c")
        assert Rowless(address, show=told.append).me.name == "eve"
        assert len(told) == 2


def test_tokens_of_the_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ROWLESS_URL and ROWLESS_TOKEN, or the file that ROWLESS_TOKEN_FILE names, are taken; what ~/.netrc has is not."""
    monkeypatch.setenv("ROWLESS_URL", f"http://127.0.0.1:{server.port}/")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(NoToken):
        Rowless()
    file = tmp_path / "token"
    file.write_text(f"{server.home.tokens['dora']}\n")
    monkeypatch.setenv("ROWLESS_TOKEN_FILE", str(file))
    assert Rowless().me.name == "dora"
    monkeypatch.setenv("ROWLESS_TOKEN", server.home.tokens["ada"])
    assert Rowless().me.name == "ada"
    assert Rowless(token=server.home.tokens["vera"]).me.name == "vera"


def test_no_token_is_shown(server: Server) -> None:
    """Nothing that a notebook shows, and no error, has the token."""
    token = server.home.tokens["ada"]
    client = Rowless(f"http://127.0.0.1:{server.port}", token)
    study = client.study("cost-sharing")
    answer = study.rehearse(sql="SELECT COUNT(DISTINCT person) AS n FROM years", epsilon=1.0)
    for one in (client, client.users, client.proposals, client.audit, client.dataset("rand-hie"), study, answer):
        assert token not in repr(one)
    with pytest.raises(NotAllowed) as refused:
        client.users.list()
    assert token not in f"{refused.value!r} {refused.value.members}"


ADDRESSES = ("http://stats.example.org", "https://ada@stats.example.org", "stats.example.org", "https://", "")


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_to_which_no_token_goes(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is sent over https, or over http to this machine."""
    monkeypatch.delenv("ROWLESS_URL", raising=False)
    with pytest.raises(Misused):
        Rowless(address, "token")


def test_the_address_of_the_api_is_understood() -> None:
    """With or without a slash or the prefix of the API, it is the same server."""
    assert addresses.checked("https://stats.example.org/api/v1/") == addresses.checked("https://stats.example.org")
