"""Homes for the journeys: made once, and copied for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving import Home, make_home, write_clinic, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Postgres


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with the four users, the demonstration's dataset and the clinic. Nobody changes it."""
    folder = tmp_path_factory.mktemp("template")
    return make_home(folder / "home", write_demo_manifest(folder), write_clinic(folder))


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    """Return a home of the test's own."""
    return template.copy(tmp_path / "home")


@pytest.fixture(scope="session")
def shared_template(tmp_path_factory: pytest.TempPathFactory, postgres_server: Postgres) -> Home:
    """Return the same as `template`, with its ledger in PostgreSQL."""
    folder = tmp_path_factory.mktemp("template")
    manifests = write_demo_manifest(folder), write_clinic(folder)
    return make_home(folder / "home", *manifests, database=postgres_server.create())


@pytest.fixture(params=["sqlite", "postgresql"])
def either_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """Return a home of the test's own, once with its ledger in SQLite and once in PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("template").copy(tmp_path / "home")
        return
    server, made = request.getfixturevalue("postgres_server"), request.getfixturevalue("shared_template")
    database = server.create(made.ledger.rpartition("/")[2])
    yield made.copy(tmp_path / "home", database)
    server.drop(database)
