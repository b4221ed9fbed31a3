"""What all tests share: heavier statistics wait for `--audit`, no example of a law has a deadline, two databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests import ports
from tests.databases import Postgresql, Sqlite
from tests.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.databases import Databases
    from tests.postgres import Postgres

# The first example compiles the kernel or imports OpenDP: its time says nothing.
settings.register_profile("rowless", deadline=None)
settings.load_profile("rowless")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that `make audit` gives."""
    parser.addoption("--audit", action="store_true", help="run the heavier statistics too")


def pytest_configure() -> None:
    """Keep the tests away from the home, the port and the settings of whoever runs them."""
    ports.forget_settings()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked `audit` unless it was asked for."""
    if config.getoption("--audit"):
        return
    for item in items:
        if item.get_closest_marker("audit"):
            item.add_marker(pytest.mark.skip(reason="run by `make audit`"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
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
