"""What all tests share: which of them run, no deadline for an example of a law, the two databases and Chromium."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from playwright.sync_api import sync_playwright

from tests import folders, ports
from tests.browser import chromium as chromium_program
from tests.databases import Postgresql, Sqlite
from tests.laws import AUDIT
from tests.postgres import MISSING, is_installed, postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.databases import Databases
    from tests.postgres import Postgres

HERE = Path(__file__).parent
# What `make check` runs: folders and files whose tests start no process, open no database and draw few samples. A slow
# test in one of them is marked `slow`.
QUICK = (
    *(
        f"queries/{room}"
        for room in ("language", "spelling", "catalog", "binding", "planning", "statistics", "release")
    ),
    *("budgets/verify", "budgets/test_loss.py"),
    *("server/charts", "server/views", "server/api/requests", "server/cli/test_main.py"),
    *("test_dependencies.py", "test_house.py", "test_postgres.py"),
)
# Folders with a target and an option of their own, because they take minutes: `make test-clients`, `make test-spark`.
APART = ("clients", "spark")
# No deadline: the first example compiles the kernel or imports OpenDP, which takes seconds.
settings.register_profile("rowless", deadline=None, max_examples=50)
settings.register_profile("quick", deadline=None, max_examples=20)
settings.register_profile(AUDIT, deadline=None, max_examples=200)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switches of `make audit`, `make check` and continuous integration."""
    parser.addoption("--audit", action="store_true", help="run the heavier statistics too, and more examples")
    parser.addoption("--quick", action="store_true", help="run the quick folders, without what is marked slow")
    parser.addoption("--require-postgresql", action="store_true", help="fail where PostgreSQL is missing, do not skip")
    parser.addoption("--require-browser", action="store_true", help="fail where Chromium is missing, do not skip")
    parser.addoption(
        "--clients", action="store_true", help="run the tests of the clients too, which start many servers"
    )
    parser.addoption("--spark", action="store_true", help="run the tests on a Spark cluster too: two processes of Java")
    parser.addoption("--require-spark", action="store_true", help="fail where Spark or Java is missing, do not skip")
    parser.addoption("--require-node", action="store_true", help="fail where what npm brings is missing, do not skip")
    parser.addoption("--require-r", action="store_true", help="fail where R or a package is missing, do not skip")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --quick, do not even import the modules of other folders; nor, without their options, those of APART."""
    for name in APART:
        if HERE / name in (collection_path, *collection_path.parents) and not config.getoption(f"--{name}"):
            return True
    if not config.getoption("--quick"):
        return None
    quick = [HERE / part for part in QUICK]
    inside = any(path in (collection_path, *collection_path.parents) for path in quick)
    above = any(collection_path in path.parents for path in quick)
    return None if inside or above else True


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests away from the user's home, port and settings; choose their folder and how many examples they try."""
    audit = AUDIT if config.getoption("--audit") else "rowless"
    settings.load_profile("quick" if config.getoption("--quick") else audit)
    ports.forget_settings()
    folders.choose()
    # What the tests load, stays loaded: a full collection, which walks all of it, takes a third of a second.
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked `audit` without --audit, and what is marked `slow` with --quick."""
    skipped = {
        "audit": None if config.getoption("--audit") else pytest.mark.skip(reason="run by `make audit`"),
        "slow": pytest.mark.skip(reason="run by `make test`") if config.getoption("--quick") else None,
    }
    for item in items:
        for name, skip in skipped.items():
            if skip is not None and item.get_closest_marker(name):
                item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was loaded and collected: it stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_installed(pytestconfig: pytest.Config) -> None:
    """Skip where no PostgreSQL is installed, or fail where there must be one."""
    if is_installed():
        return
    if pytestconfig.getoption("--require-postgresql"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


@pytest.fixture(scope="session")
def postgres_server(postgres_installed: None) -> Iterator[Postgres]:
    """Run one PostgreSQL for all tests that need one. It need not survive a power cut."""
    with postgres("fsync=off", "full_page_writes=off", "max_connections=200") as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Run the test twice: with SQLite, and with PostgreSQL."""
    if request.param == "sqlite":
        yield Sqlite(tmp_path)
    else:
        made = Postgresql(request.getfixturevalue("postgres_server"))
        yield made
        made.drop()


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config) -> Iterator[Browser]:
    """Run Chromium without a window, or skip where it is missing, or fail where there must be one.

    One for the session: Playwright runs only once in a process.
    """
    path = chromium_program.program()
    if path is None:
        if pytestconfig.getoption("--require-browser"):
            pytest.fail(chromium_program.MISSING)
        pytest.skip(chromium_program.MISSING)
    with sync_playwright() as playwright:
        # The sandbox of Chromium needs rights that a container does not have. Only our own pages are opened.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
