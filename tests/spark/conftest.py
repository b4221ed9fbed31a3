"""A real Spark cluster: a master and two executors, each a process of its own, shared by all tests that break nothing."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING

import pytest

from queries.execution.spark.session import Cluster, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark import SparkContext

TWO_EXECUTORS = Cluster("local-cluster[2,1,1024]", executor_memory="1g")


def missing() -> str | None:
    """Return what a cluster lacks here, and how to get it; None if nothing."""
    if importlib.util.find_spec("pyspark") is None:
        return 'pip install "rowless[spark]"'
    if shutil.which("java") is None:
        return "Java 17 or newer: on Debian, apt-get install openjdk-17-jre-headless"
    return None


@pytest.fixture(scope="session", autouse=True)
def installed(pytestconfig: pytest.Config) -> None:
    """Skip all, by name, where there can be no cluster; with --require-spark fail."""
    lacking = missing()
    if lacking and pytestconfig.getoption("--require-spark"):
        pytest.fail(f"a cluster needs {lacking}")
    if lacking:
        pytest.skip(f"a cluster needs {lacking}")


@pytest.fixture(scope="session")
def session(installed: None) -> Iterator[Session]:
    """Start a cluster once, and end it with its processes."""
    one = Session(TWO_EXECUTORS)
    one.context()
    yield one
    one.stop()


@pytest.fixture
def cluster(session: Session) -> SparkContext:
    """Return the context of the running cluster."""
    return session.context()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """PySpark itself leaves sockets for the garbage collector; nothing else may."""
    for item in items:
        if "tests/spark/" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))
            item.add_marker(
                pytest.mark.filterwarnings("ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning")
            )
            item.add_marker(
                pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
            )
