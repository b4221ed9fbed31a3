"""Homes for the journeys: made once, and copied for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving import Home, make_home, write_clinic, write_demo_manifest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with the four users, the demonstration's dataset and the clinic. Nobody changes it."""
    folder = tmp_path_factory.mktemp("template")
    return make_home(folder / "home", write_demo_manifest(folder), write_clinic(folder))


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    """Return a home of the test's own."""
    return template.copy(tmp_path / "home")
