"""The TLS proxy: the real nginx with deploy/nginx/nginx.conf in front of a real server, on this machine's own address."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import ssl
import subprocess
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.certificates import certify
from tests.ports import free_port
from tests.serving import PATIENTS, PROBLEM, Client, Reply, ask, make_home, serving, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx" / "nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
MADE = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Proxy:
    """A running nginx, and the certificate that it shows."""

    port: int
    certificate: Path
    folder: Path

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """Send a request over TLS."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        with closing(http.client.HTTPSConnection("127.0.0.1", self.port, timeout=120, context=context)) as connection:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Reply(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )


def changed(text: str, folder: Path, changes: Mapping[str, str]) -> str:
    """Return the configuration with each of some lines replaced, and with what it writes in a folder."""
    for old, new in {
        "/tmp/": f"{folder}/",
        "/dev/stderr": f"{folder}/error",
        "/dev/stdout": f"{folder}/access",
    }.items():
        text = text.replace(old, new)
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return f"user root;\n{text}"


@contextmanager
def proxying(folder: Path, upstream: int) -> Iterator[Proxy]:
    """Run nginx in front of a port until the block ends."""
    if NGINX is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light), so the proxy was not tried")
    folder.mkdir()
    key, certificate = certify(folder)
    port = free_port()
    changes = {
        "server rowless:8000;": f"server 127.0.0.1:{upstream};",
        "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/run/secrets/tls_certificate;": f"{certificate};",
        "/run/secrets/tls_key;": f"{key};",
    }
    file = folder / "nginx.conf"
    file.write_text(changed(CONFIGURATION.read_text(), folder, changes))
    proxy = Proxy(port, certificate, folder)
    with running(proxy):
        yield proxy


@contextmanager
def running(proxy: Proxy) -> Iterator[None]:
    """Run nginx on a proxy's configuration until the block ends."""
    assert NGINX is not None
    error = proxy.folder / "error"
    process = subprocess.Popen([NGINX, "-e", str(error), "-c", str(proxy.folder / "nginx.conf"), "-g", "daemon off;"])
    try:
        end = time.monotonic() + 60
        while not answers(proxy):
            assert process.poll() is None, error.read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(60)


def answers(proxy: Proxy) -> bool:
    """Return whether nginx takes connections."""
    try:
        proxy.send("GET", "/", None, {})
    except OSError:
        return False
    return True


def test_requests_reach_the_server_through_the_proxy(tmp_path: Path) -> None:
    """Queries are answered over TLS; the id is nginx's; what either refuses is a problem document; no path is in its log."""
    home = make_home(tmp_path / "home", write_clinic(tmp_path))
    with serving(home, log_format="json") as server, proxying(tmp_path / "nginx", server.port) as proxy:
        server.open_study("secret-study", "clinic")
        ada = Client(proxy.send, home.tokens["ada"])
        asked = ada.post("/studies/secret-study/queries", ask(PATIENTS, 0.5, "visits"), X_Request_Id="0" * 32)
        assert asked.status == 201
        assert asked.headers["strict-transport-security"] == "max-age=31536000"
        assert MADE.fullmatch(asked.headers["x-request-id"])
        assert asked.headers["x-request-id"] != "0" * 32
        refused = ada.request("POST", "/studies/secret-study/queries", raw=b" " * 300_000)
        assert (refused.status, refused.code) == (413, "too-large")
        larger = ada.request("POST", "/studies/secret-study/queries", raw=b" " * 2_000_000)
        assert (larger.status, larger.code) == (413, "too-large")
        assert ada.get("/nowhere").code == "not-found"
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)) as plain:
            plain.request("GET", "/api/v1/me")
            reply = plain.getresponse()
            assert (reply.status, reply.getheader("Content-Type")) == (400, PROBLEM)
    access = [json.loads(line) for line in (proxy.folder / "access").read_text().splitlines()]
    assert asked.headers["x-request-id"] in {line["request_id"] for line in access}
    assert "secret-study" not in (proxy.folder / "access").read_text()
    log = home.path.with_suffix(".log").read_text().splitlines()
    found = [json.loads(line) for line in log if asked.headers["x-request-id"] in line]
    assert [line["status"] for line in found if line["event"] == "request"] == [201]
    home.assert_sound()


def test_proxy_limits_rate_of_one_client(tmp_path: Path) -> None:
    """A client beyond the rate and its burst gets 429 with a problem document at once, before anything reaches the server."""
    with proxying(tmp_path / "nginx", free_port()) as proxy:
        configuration = proxy.folder / "nginx.conf"
        text = configuration.read_text()
        slower = text.replace("rate=100r/s", "rate=1r/m").replace("burst=200", "burst=1")
        assert slower != text
        configuration.write_text(slower)
    with running(proxy):
        replies = [Client(proxy.send).get("/me") for _ in range(4)]
    assert [reply.status for reply in replies][-1] == 429
    assert replies[-1].code == "too-many-requests"
    assert int(replies[-1].headers["retry-after"]) > 0


def test_without_a_server_the_proxy_says_so(tmp_path: Path) -> None:
    """If Rowless cannot be reached, the reply is 503 with a problem document and the id under which nginx logged it."""
    with proxying(tmp_path / "nginx", free_port()) as proxy:
        reply = Client(proxy.send).get("/me")
    assert (reply.status, reply.code) == (503, "unavailable")
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert int(reply.headers["retry-after"]) > 0
