"""A Spark session is closed: what would show or store exact numbers, their sizes or their times is refused."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from queries.execution.spark import session as sessions
from queries.execution.spark.session import LOCKED, Cluster, Session, SparkRefused, settings_of
from tests.spark.conftest import TWO_EXECUTORS

if TYPE_CHECKING:
    from pyspark import SparkContext


def processes() -> dict[int, str]:
    """Return the command lines of all processes, as every user of the machine can read them."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
    return found


def test_what_is_locked_is_in_force(cluster: SparkContext) -> None:
    """Spark itself says that it authenticates, encrypts, shows nothing and logs nothing."""
    conf = cluster.getConf()
    assert {name: conf.get(name, "") for name in LOCKED} == dict(LOCKED)
    assert cluster.uiWebUrl is None
    assert cluster._encryption_enabled  # what Python itself writes for Spark is encrypted, too


def test_the_executors_have_the_same_settings(cluster: SparkContext) -> None:
    """Each executor runs the daemon that compiled the kernel, and reuses its workers."""

    def look(_: int) -> tuple[int, str | None]:
        return os.getppid(), os.environ.get("SPARK_REUSE_WORKER")

    found = {one for _ in range(3) for one in cluster.parallelize(range(4), 4).map(look).collect()}
    assert {reused for _, reused in found} == {"1"}
    lines = processes()
    assert all("queries.execution.spark.daemon" in lines[parent] for parent, _ in found)
    assert len({parent for parent, _ in found}) == 2


def test_the_secret_is_in_no_command_line_and_no_file(session: Session, cluster: SparkContext) -> None:
    """Other users of the machine cannot read it, and the file by which Spark got it is gone."""
    secret = cluster.getConf().get("spark.authenticate.secret")
    assert secret is not None
    assert len(secret) >= 64
    assert not any(secret in line for line in processes().values())
    assert session._scratch is not None
    assert not (session._scratch / "settings").exists()
    assert (session._scratch.stat().st_mode & 0o077) == 0
    for file in session._scratch.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file


def test_nothing_listens_beyond_this_machine(cluster: SparkContext) -> None:
    """Each port of a cluster on this machine is one of the loopback interface."""
    ours = descendants(os.getpid())
    assert sum("org.apache.spark" in line for pid, line in processes().items() if pid in ours) >= 3
    sockets = {str(handle.readlink()) for pid in ours for handle in _handles(pid) if handle.is_symlink()}
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for fields in (line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:])
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets
    ]
    assert listening
    loopback = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
    assert [address for address in listening if address.rpartition(":")[0] not in loopback] == []


def descendants(of: int) -> set[int]:
    """Return the processes that a process started, and those that they started."""
    parents = {}
    for pid in processes():
        with suppress(OSError):
            status = Path("/proc", str(pid), "status").read_text()
            parents[pid] = int(status.split("PPid:")[1].split()[0])
    found = {of}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {of}


def _handles(pid: int) -> list[Path]:
    try:
        return [one for one in Path("/proc", str(pid), "fd").iterdir() if one.is_symlink()]
    except OSError:
        return []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.ui.enabled", "true"),
        ("spark.ui.port", "4040"),
        ("spark.eventLog.enabled", "true"),
        ("spark.eventLog.dir", "/tmp"),
        ("spark.authenticate", "false"),
        ("spark.authenticate.secret", "x"),
        ("spark.network.crypto.enabled", "false"),
        ("spark.io.encryption.enabled", "false"),
        ("spark.metrics.conf", "/tmp/metrics"),
        ("spark.extraListeners", "org.example.Listener"),
        ("spark.plugins", "org.example.Plugin"),
        ("spark.log.level", "INFO"),
        ("spark.python.daemon.module", "pyspark.daemon"),
        ("spark.speculation", "true"),
        ("hive.metastore", "x"),
        ("spark.a\nspark.b", "x"),
        ("spark.a", "x\nspark.ui.enabled=true"),
    ],
)
def test_settings_that_open_a_session_are_refused(name: str, value: str) -> None:
    """Nothing starts, and the refusal names the setting."""
    with pytest.raises(SparkRefused, match="refused|no setting of Spark"):
        Session(replace(TWO_EXECUTORS, extra=((name, value),)))


def test_other_settings_reach_spark() -> None:
    """What is nobody's secret is the user's own affair, and a locked value may be repeated."""
    extra = (("spark.locality.wait", "1s"), ("spark.ui.enabled", "false"))
    found = settings_of(replace(TWO_EXECUTORS, extra=extra))
    assert found["spark.locality.wait"] == "1s"
    assert {name: found[name] for name in LOCKED} == dict(LOCKED)


@pytest.mark.parametrize("master", ["spark://host:7077", "yarn", "k8s://https://host:6443"])
def test_a_cluster_elsewhere_needs_a_secret(master: str) -> None:
    """Its executors could not be told a secret that was drawn here."""
    with pytest.raises(SparkRefused, match="ROWLESS_SPARK_SECRET_FILE"):
        Session(Cluster(master))
    assert "secret" not in repr(Cluster(master, secret="secret"))


def test_a_session_in_which_a_lock_is_not_in_force_is_refused(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: Spark starts with its pages although ours are off. The check after the start has power."""
    monkeypatch.setattr(sessions, "LOCKED", {**LOCKED, "spark.ui.enabled": "true"})
    with pytest.raises(SparkRefused, match=r"did not take spark\.ui\.enabled"):
        sessions.require_locked(session.context())
