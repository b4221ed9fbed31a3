"""Homes for the tests of the server: one is made for all, and each test that changes it works on a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving import Home, Place, application, make_home, write_clinic, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with the five users, the demonstration's dataset and the clinic. Nobody changes it."""
    folder = tmp_path_factory.mktemp("template")
    return make_home(folder / "home", write_demo_manifest(folder), write_clinic(folder))


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    """Return a home of the test's own."""
    return template.copy(tmp_path / "home")


@pytest.fixture
def place(home: Home) -> Iterator[Place]:
    """Return an application over a home of the test's own, with the approved study flu."""
    with application(home) as opened:
        opened.open_study()
        yield opened


@pytest.fixture(scope="module")
def shared(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application over a home of the module's own, with the approved study flu."""
    with application(template.copy(tmp_path_factory.mktemp("shared") / "home")) as opened:
        opened.open_study()
        yield opened
