"""Spark's Java process ends with its session and with the process that started it. Each test has a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ports import free_port
from tests.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

TWICE = """
from queries.execution.spark.session import Cluster, Session
one = Session(Cluster("local[1]"))
for _ in range(2):
    context, java, scratch = one.context(), one._gateway.proc, one._scratch
    print(java.pid, context.getConf().get("spark.authenticate.secret"), flush=True)
    assert java.poll() is None
    one.stop()
    assert java.poll() is not None
    assert not scratch.exists()
"""
KILLED = """
import time
from queries.execution.spark.session import Cluster, Session
one = Session(Cluster("local[1]"))
one.context()
print(one._gateway.proc.pid, flush=True)
time.sleep(600)
"""
NOBODY = """
from server.runtime.scans import engines
from server.runtime.settings import load_settings
engines.START_SECONDS = 3.0
engines.Engines(load_settings()).start()
"""


def started(code: str, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Run some Python in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_session_ends_its_java_process_and_starts_another() -> None:
    """Closing leaves no process and no folder, and the next start does not go on with the Java process that ended."""
    with started(TWICE) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    first, second = (line.split() for line in out.splitlines())
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_java_ends_when_its_server_is_killed() -> None:
    """SIGKILL leaves nobody to tell it."""
    with started(KILLED) as process:
        assert process.stdout is not None
        java = Path("/proc", process.stdout.readline().strip())
        assert b"org.apache.spark" in (java / "cmdline").read_bytes()
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while _runs(java) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _runs(java)


def _runs(process: Path) -> bool:
    try:
        return bool((process / "cmdline").read_bytes())  # what ended and was not waited for has none
    except OSError:
        return False


def test_a_cluster_that_does_no_work_stops_the_start(tmp_path: Path) -> None:
    """Nobody is at the master's address. Spark waits for an executor for ever; the start does not."""
    secret = tmp_path / "secret"
    secret.write_text("a" * 64)
    secret.chmod(0o600)
    variables = {
        "ROWLESS_ENGINE": "spark",
        "ROWLESS_SPARK_MASTER": f"spark://127.0.0.1:{free_port()}",
        "ROWLESS_SPARK_SECRET_FILE": str(secret),
        "ROWLESS_SPARK_SETTINGS": "spark.driver.host=127.0.0.1",
    }
    with started(NOBODY, variables) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "SettingsError: the Spark cluster at spark://127.0.0.1" in err
    assert "did no work" in err
