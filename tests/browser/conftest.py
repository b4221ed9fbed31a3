"""One server for the tests in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving import Home, make_home, serving, write_clinic, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with users of each role, the demonstration's dataset and the clinic."""
    folder = tmp_path_factory.mktemp("browser")
    return make_home(folder / "home", write_demo_manifest(folder), write_clinic(folder))


@pytest.fixture(scope="module")
def server(home: Home) -> Iterator[Server]:
    """Run a server with slots and an approved study."""
    with serving(home, slot_ms="250") as running:
        running.open_study("flu", "rand-hie", title="Flu and age", purpose="Learn who gets ill")
        yield running
