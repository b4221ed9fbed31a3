from __future__ import annotations

import compileall
import http.server
import re
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from typing import TYPE_CHECKING, ClassVar

import duckdb
import pytest

from server.demo.observatory import write_observatory
from server.demo.setup import MANIFEST, OBSERVATORY
from tests.archives import build, check_out
from tests.journeys.demonstrating import TOKEN, WAIT_SECONDS, demo
from tests.ports import free_port
from tests.serving import PATIENTS, Client, ask, environment, through_http

if TYPE_CHECKING:
    from pathlib import Path

MARGINS = 7


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of what git has, as a fresh clone would, and install it into a folder."""
    wheel = build(check_out(tmp_path_factory.mktemp("checkout")), "wheel", tmp_path_factory.mktemp("wheel"))
    site = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(site)
    compileall.compile_dir(site, quiet=2)  # as pip does when it installs
    return site


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty folder, in which somebody runs what is installed."""
    return tmp_path_factory.mktemp("folder")


PRINTED = re.compile(
    r"^  (\d+) +([\d,]+) ± ([\d,]+) +(\d\.\d+) (?:± (\d\.\d+)|\[(\d\.\d+) to (\d\.\d+)\])$", re.MULTILINE
)


def assert_near_the_truth(text: str) -> None:
    """Check that each printed number lies within seven margins of what DuckDB makes of the source.

    A margin holds 95%, so that Laplace noise passes seven of them with a probability of 0.05^7: once in 10^9 numbers.
    """
    source = MANIFEST.with_name("rand_hie.parquet")
    truth = duckdb.execute(
        "SELECT coins, count(DISTINCT zper), avg((mdvis > 0)::INT) FROM read_parquet(?) GROUP BY coins", [str(source)]
    ).fetchall()
    printed = {int(row[0]): row[1:] for row in PRINTED.findall(text)}
    assert set(printed) == {coinsurance for coinsurance, _, _ in truth}
    for coinsurance, patients, share in truth:
        counted, off, seen, seen_off, low, high = (
            float(number.replace(",", "")) if number else 0.0 for number in printed[coinsurance]
        )
        assert abs(counted - patients) <= MARGINS * off, coinsurance
        assert abs(seen - share) <= MARGINS * (seen_off or max(high - seen, seen - low)), coinsurance


def assert_all_are_counted(researcher: Client, folder: Path) -> None:
    """Check that a count of the made-up events, without any bounds named, is near what the generator wrote.

    It once was 119,469 ± 300 where 202,770 is true, 41% less. The bound comes from a noisy profile: one of 3,000 cuts off
    5 to 7%, and of 12,000 none cut off more. How much most of them do, is asked in tests/privacy/test_demonstration.py.
    """
    written = write_observatory(folder, OBSERVATORY)
    for table, truth in (("consultations", written.consultations), ("prescriptions", written.prescriptions)):
        body = {"sql": f"SELECT COUNT(*) AS events FROM {table}", "privacy": {"epsilon": 0.5}}
        said = researcher.good("POST", "/studies/pathways/queries", body)
        (column,), (row,) = said["columns"], said["rows"]
        assert column["truncation"] == "profile"
        assert column["expected_loss"] < 0.05
        assert abs(row["events"]["value"] - truth) < 0.25 * truth, said


def test_demonstration_runs_from_wheel_and_resumes_free(installed: Path, folder: Path, tmp_path: Path) -> None:
    """Installed from its wheel, in an empty folder: an answer with margins, four tokens that work, a server until SIGTERM; again: free.

    It is killed halfway first, with half of its tokens written, and goes on from there. While it runs a second one in
    the same home is refused, whatever its port.
    """
    port = free_port()
    with demo(installed, folder, port) as cut:
        cut.read_until("20,190 person-years")
        cut.process.kill()
    assert "Imported rand-hie: 5,912 persons, 20,190 person-years" in cut.text
    (folder / "rowless-home" / "demo-tokens.json").write_text('{"admin": "rowless_')
    with demo(installed, folder, port) as first:
        first.read_until("/audit/entries")
        assert "Imported rand-hie" not in first.text
        assert "Imported observatory" in first.text
        with demo(installed, folder, free_port()) as twin:
            twin.read_until(None)
            assert twin.process.wait(WAIT_SECONDS) == 1
        assert "rowless-home is running already (http://127.0.0.1:" in twin.text
        assert "Traceback" not in twin.text
        line = r"^  \d+ +[\d,]+ ± \d+ +\d\.\d+ (± \d\.\d+|\[\d\.\d+ to \d\.\d+\])$"
        assert len(re.findall(line, first.text, re.MULTILINE)) == 5, first.text
        assert "It cost epsilon 0.3. Of the study's 1, 0.7 is left." in first.text
        assert first.text.count("the profile was bought for epsilon 0.1") == 2
        assert_near_the_truth(first.text)
        tokens = dict(TOKEN.findall(first.text))
        assert set(tokens) == {"researcher", "admin", "approver", "DPO"}
        clients = {role: Client(through_http(port), token) for role, token in tokens.items()}
        assert {client.good("GET", "/me")["role"] for client in clients.values()} == {
            "researcher",
            "admin",
            "dpo",
            "approver",
        }
        said = clients["researcher"].post("/studies/cost-sharing/queries", ask(PATIENTS, 0.5))
        assert said.status == 201
        assert (
            clients["researcher"].post("/studies/cost-sharing/queries", ask(PATIENTS, 0.25)).code == "budget-exceeded"
        )
        assert_all_are_counted(clients["researcher"], tmp_path)
        assert clients["DPO"].good("GET", "/audit/entries?action=query.release")["items"]
        assert (folder / "rowless-home" / "demo-tokens.json").stat().st_mode & 0o077 == 0
        first.process.terminate()
        first.read_until(None)
        assert "Stopped" in first.text
        assert first.process.wait(WAIT_SECONDS) == 0
    table = [line for line in first.text.splitlines() if "±" in line]
    with pytest.raises(OSError, match="refused"):
        clients["researcher"].get("/health")
    with demo(installed, folder, port) as second:
        second.read_until("/audit/entries")
        assert "Imported" not in second.text
        assert "the same answer, free. Of the study's 1, 0.2 is left." in second.text
        assert [line for line in second.text.splitlines() if "±" in line] == table
        assert dict(TOKEN.findall(second.text)) == tokens


def test_demonstration_tells_taken_port(installed: Path, folder: Path) -> None:
    """When the port is taken the demonstration says so and ends with exit code 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port: int = taken.getsockname()[1]
        with demo(installed, folder, port, ROWLESS_HOME=str(folder / "other-home")) as running:
            running.read_until(None)
            assert running.process.wait(WAIT_SECONDS) == 1
        assert f"port {port} of 127.0.0.1 cannot be used" in running.text
        assert "Traceback" not in running.text


class Stranger(http.server.BaseHTTPRequestHandler):
    """Some other server, which answers everything and keeps the credentials it is sent."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer as if all were well."""
        self.seen.extend(filter(None, [self.headers["Authorization"]]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_a_stranger_on_the_port_gets_no_token(installed: Path, folder: Path) -> None:
    """When another server answers on the port the demonstration gives up; it sends nobody's token there."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        home = str(folder / "third-home")
        with demo(installed, folder, stranger.server_address[1], ROWLESS_HOME=home) as running:
            running.read_until(None)
            ended = running.process.wait(WAIT_SECONDS)
        stranger.shutdown()
    assert Stranger.seen == []
    assert ended == 1


def test_demonstration_names_missing_data(installed: Path, tmp_path: Path) -> None:
    """Where the manifest or a source is missing, the demonstration names it before it makes anything."""
    manifest = tmp_path / MANIFEST.name
    for missing in (manifest, MANIFEST.with_name("rand_hie.parquet")):
        ended = subprocess.run(
            [sys.executable, "-m", "server.cli", "demo", "--manifest", str(manifest)],
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(installed), ROWLESS_HOME=str(tmp_path / "home")),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert ended.returncode == 1
        assert f"needs {tmp_path / missing.name}, which is missing" in ended.stderr
        assert "--manifest" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not (tmp_path / "home").exists()
        shutil.copy(MANIFEST, manifest)
