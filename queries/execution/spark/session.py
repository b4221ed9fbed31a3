"""The one Spark session of a process: started once, kept warm, and as closed as the promise needs.

Exact cells travel over Spark's connections, and rows of persons lie in what it spills. Spark's own pages, event logs
and metrics tell how long a task ran and how much it read. Therefore what is in `LOCKED` holds for every session:
connections are authenticated and encrypted, spills are encrypted, and nothing is shown or logged. A setting of the user
that would change one of these is refused, and so is a session in which one of them is not in force after all.

The shared secret never stands on a command line, where every user of the machine could read it: all settings reach
Spark by a file that only this user can read, and which is deleted once Spark has read it. Executors get the secret in
their environment, as Spark does it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from queries.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark import SparkContext

LOCKED: Mapping[str, str] = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.authEngineVersion": "2",
    "spark.network.crypto.cipher": "AES/GCM/NoPadding",
    "spark.network.crypto.saslFallback": "false",
    "spark.io.encryption.enabled": "true",
    "spark.io.encryption.keySizeBits": "256",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.ui.prometheus.enabled": "false",
    "spark.eventLog.enabled": "false",
    "spark.driver.log.persistToDfs.enabled": "false",
    "spark.driver.log.localDir": "",
    "spark.extraListeners": "",
    "spark.plugins": "",
    "spark.metrics.staticSources.enabled": "false",
    "spark.metrics.executorMetricsSource.enabled": "false",
    "spark.python.daemon.module": "queries.execution.spark.daemon",
    "spark.python.worker.reuse": "true",
    "spark.log.level": "ERROR",  # at INFO a log says when each task ended
    "spark.executor.syncLogLevel.enabled": "true",
    "spark.task.maxFailures": "4",  # a lost executor; what fails for a reason of its own is an answer, not a failure
    "spark.speculation": "false",  # a second copy of a task would only be refused
}
# No setting of the user may begin with these, except as LOCKED has it.
_OURS = (
    "spark.authenticate",
    "spark.network.crypto",
    "spark.io.encryption",
    "spark.ui",
    "spark.eventLog",
    "spark.metrics",
    "spark.history",
    "spark.driver.log",
    "spark.sql.queryExecutionListeners",
    "spark.sql.streaming.streamingQueryListeners",
)
SCRATCH = "rowless-spark-"
HELD = "held"
END_SECONDS = 15.0  # for Java to end by itself
_NAME = re.compile(r"spark[.][A-Za-z0-9_.-]+")
_LOCAL = re.compile(r"local(\[.*\])?|local-cluster\[[^\]]*\]")


class SparkRefused(EngineUnavailable):
    """A session with these settings would not keep exact numbers to itself, or cannot start. For the admin."""


@dataclass(frozen=True)
class Cluster:
    """What a user says of their cluster. `secret` is None where the master is on this machine: then it is drawn.

    `python` is the executors' Python, `archives` and `py_files` what is shipped to them, `extra` further settings of
    Spark.
    """

    master: str
    secret: str | None = field(default=None, repr=False)
    driver_memory: str = "1g"
    executor_memory: str = "2g"
    executor_cores: int | None = None
    python: str | None = None
    archives: str | None = None
    py_files: str | None = None
    extra: tuple[tuple[str, str], ...] = ()


def settings_of(cluster: Cluster) -> dict[str, str]:
    """Return all settings of a session, without the secret. Raises SparkRefused."""
    if cluster.secret is None and not _LOCAL.fullmatch(cluster.master):
        raise SparkRefused(
            f"the master {cluster.master} is another machine: its executors need a secret that they share with this "
            "server; write one into a file that only they can read, and set ROWLESS_SPARK_SECRET_FILE"
        )
    given = {
        "spark.app.name": "rowless",
        "spark.master": cluster.master,
        "spark.submit.deployMode": "client",
        "spark.driver.memory": cluster.driver_memory,
        "spark.executor.memory": cluster.executor_memory,
        "spark.executor.cores": None if cluster.executor_cores is None else str(cluster.executor_cores),
        "spark.archives": cluster.archives,
        "spark.submit.pyFiles": cluster.py_files,
        "spark.executorEnv.NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR"),
        "spark.driver.maxResultSize": "0",  # cells are limited by the plan
        # If the user sets spark.cores.max, the first job waits for so many cores, 30 seconds at most.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        **({"spark.driver.host": "127.0.0.1"} if _LOCAL.fullmatch(cluster.master) else {}),
    }
    found = {name: value for name, value in given.items() if value is not None}
    for name, value in cluster.extra:
        found[name] = _allowed(name, value)
    return {**found, **LOCKED}


def _allowed(name: str, value: str) -> str:
    if not _NAME.fullmatch(name) or not value.isprintable():
        raise SparkRefused(f"{name!r} is no setting of Spark")
    if LOCKED.get(name, value) != value or (name not in LOCKED and name.startswith(_OURS)):
        raise SparkRefused(
            f"{name} = {value} is refused: Rowless decides about authentication, encryption, logs and pages of Spark, "
            "because exact numbers and rows of persons are on its connections and disks"
        )
    return value


class Session:
    """A Spark session that starts when it is first needed. Threads share it."""

    def __init__(self, cluster: Cluster) -> None:
        """Raise SparkRefused if the settings alone are refused already. Nothing is started."""
        self._cluster = cluster
        self._settings = settings_of(cluster)
        self._lock = threading.Lock()
        self._context: SparkContext | None = None
        self._gateway: Any = None  # to Spark's Java process
        self._scratch: Path | None = None
        self._held: TextIO | None = None  # a lock that the system frees when this process ends in any way

    def context(self) -> SparkContext:
        """Return the session's context; start it first if it does not run. Raises SparkRefused."""
        with self._lock:
            if self._context is not None and not _runs(self._context):
                self._stop()
            if self._context is None:
                self._context = self._start()
            return self._context

    def stop(self) -> None:
        """End the session, if there is one."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._context is not None:
            with suppress(Exception):  # Java may be gone already
                self._context.stop()
            self._context = None
        if self._gateway is not None:
            _end(self._gateway)
            self._gateway = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        if self._held is not None:
            self._held.close()
            self._held = None

    def _start(self) -> SparkContext:
        try:
            from pyspark import SparkContext
            from pyspark.java_gateway import launch_gateway
        except ImportError as error:
            raise SparkRefused('Spark is not installed: pip install "rowless[spark]"') from error
        if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
            raise SparkRefused("Spark needs Java 17 or newer: on Debian, apt-get install openjdk-17-jre-headless")
        delete_left(Path(tempfile.gettempdir()))
        self._scratch = Path(tempfile.mkdtemp(prefix=SCRATCH))
        self._held = (self._scratch / HELD).open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        written = self._scratch / "settings"
        with os.fdopen(os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.writelines(_properties(self._settings, self._cluster.secret or secrets.token_hex(32), self._scratch))
        try:
            with _environment(self._cluster, written, self._scratch):
                self._gateway = launch_gateway()
                context = SparkContext(gateway=self._gateway)
        except Exception as error:
            self._stop()
            raise SparkRefused(f"the Spark session at {self._cluster.master} did not start: {error}") from error
        finally:
            written.unlink(missing_ok=True)
        try:
            require_locked(context)
        except SparkRefused:
            self._context = context
            self._stop()
            raise
        return context


def delete_left(folder: Path) -> None:
    """Delete the scratch folders of killed sessions: on a cluster of this machine, copies of parts may lie there."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        with suppress(OSError), (scratch / HELD).open("r+") as held:
            if scratch.stat().st_uid == os.getuid():
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(scratch, ignore_errors=True)


def _end(gateway: Any) -> None:
    """End Spark's Java process, and let PySpark start another one: it would go on with this one, ended or not."""
    from pyspark import SparkContext

    if SparkContext._gateway is gateway:
        SparkContext._gateway = SparkContext._jvm = None
    java: subprocess.Popen[bytes] = gateway.proc
    with suppress(Exception):  # Java may be gone already
        gateway.shutdown()
    if java.stdin is not None:
        with suppress(OSError):
            java.stdin.close()  # Java ends when it reads the end of this, which is also how it ends when we are killed
    try:
        java.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        java.kill()
        java.wait()


def require_locked(context: SparkContext) -> None:
    """Raise SparkRefused unless all that is locked is in force: a file of Spark's own could have said otherwise."""
    conf = context.getConf()
    wrong = sorted(name for name, value in LOCKED.items() if conf.get(name, "") != value)
    if wrong:
        raise SparkRefused(f"Spark did not take {', '.join(wrong)}; such a session is refused")


def _runs(context: SparkContext) -> bool:
    try:
        return not context._jsc.sc().isStopped()
    except Exception:  # noqa: BLE001 - the Java process is gone, in whatever way it says so
        return False


def _properties(settings: Mapping[str, str], secret: str, scratch: Path) -> Iterator[str]:
    """Yield the lines of Spark's file of settings, in which a backslash escapes."""
    for name, value in {
        "spark.local.dir": str(scratch),
        **settings,
        "spark.authenticate.secret": secret,
    }.items():
        if value:
            yield f"{name}={value.replace(chr(92), chr(92) * 2)}\n"


class _environment:  # noqa: N801 - a context manager
    """The environment in which Spark starts. Only the names below change, and only until it has started."""

    def __init__(self, cluster: Cluster, settings: Path, scratch: Path) -> None:
        local = _LOCAL.fullmatch(cluster.master) is not None
        self._names = {
            "PYSPARK_SUBMIT_ARGS": f"--properties-file {shlex.quote(str(settings))} pyspark-shell",
            "PYSPARK_PYTHON": cluster.python or (sys.executable if local else "python3"),
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            **({"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_WORKER_DIR": str(scratch / "work")} if local else {}),
        }
        if cluster.master.startswith("local-cluster") and "SPARK_HOME" not in os.environ:
            import pyspark

            self._names["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._names}
        os.environ.update(self._names)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
