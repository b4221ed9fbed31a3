"""The server's wheel and source archive: what is in them, and what a registry shows of them."""

from __future__ import annotations

import re
from email import message_from_string
from typing import TYPE_CHECKING

import pytest

from tests.archives import about, build, check_out, installed, pythons, sourced, tracked, unpack
from tests.serving import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("server", "budgets", "queries")
# What lies about in a checkout in which somebody works: of these files, some are secret.
LITTER = (
    "rowless-home/demo-tokens.json",
    "home-of-production/audit.key",
    "home-of-production/datasets/clinic/part-0.parquet",
    "patients.csv",
    ".env",
    ".venv/bin/activate",
    ".mypy_cache/cache.json",
    "server/__pycache__/app.cpython-311.pyc",
    "tests/clients/typescript/node_modules/left.js",
    "clients/python/rowless_client/__pycache__/client.cpython-311.pyc",
    "benchmarks/data/events.parquet",
    "dist/rowless-0.0.1.tar.gz",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout in which somebody has worked."""
    folder = check_out(tmp_path_factory.mktemp("checkout"))
    for name in LITTER:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("secret")
    return folder


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the source archive of that checkout."""
    return build(checkout, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of the wheel of that checkout."""
    return installed(build(checkout, "wheel", tmp_path_factory.mktemp("wheel")))


def test_wheel_has_the_packages_alone(wheel: dict[str, bytes]) -> None:
    """Modules, templates, static files, translations, the demonstration's data: all of the packages, and nothing else."""
    names = {name for name in wheel if ".dist-info/" not in name}
    assert names == {name for name in tracked() if name.split("/")[0] in PACKAGES}
    for needed in ("server/languages/translations/fr/LC_MESSAGES/messages.mo", "server/languages/fr.toml"):
        assert needed in names
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_source_archive_has_what_is_listed_alone(sdist: Path) -> None:
    """What git has, without the recipes of continuous integration; no home, no data and no cache that lies beside it."""
    names = set(sourced(sdist)) - {"PKG-INFO"}
    assert names.isdisjoint(LITTER)
    assert names == {name for name in tracked() if not name.startswith(".ci/")}


def test_wheel_of_the_source_archive_is_the_same(sdist: Path, wheel: dict[str, bytes], tmp_path: Path) -> None:
    """A wheel that is built of the source archive has the same files, byte for byte."""
    again = installed(build(unpack(sdist, tmp_path / "source"), "wheel", tmp_path / "wheel"))
    assert again == wheel


def test_a_registry_shows_links_that_lead_somewhere(wheel: dict[str, bytes]) -> None:
    """Links and pictures of the README lead to the repository: a registry has no docs/ beside it."""
    text = about(wheel)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith("https://")] == []
    assert pictures
    for link in links:
        branch = "raw" if link in pictures else "blob"
        assert (ROOT / link.removeprefix(f"https://github.com/rowless/rowless/{branch}/main/")).is_file(), link


def test_metadata_name_licences_and_pythons(wheel: dict[str, bytes]) -> None:
    """Licences of all that is inside are named and enclosed; the oldest Python of the classifiers is the least required."""
    told = message_from_string(about(wheel))
    assert told["License-Expression"] == "Apache-2.0 AND MIT AND 0BSD"
    enclosed = b"".join(content for name, content in wheel.items() if ".dist-info/licenses/" in name)
    for licence in (b"Apache License", b"MIT License", b"Zero-Clause BSD"):
        assert licence in enclosed
    assert told["Requires-Python"] == ">=" + pythons(told.get_all("Classifier", []))[0]
    assert told["Description-Content-Type"] == "text/markdown"
    assert b"rowless = server.cli.__main__:run" in b"".join(
        content for name, content in wheel.items() if name.endswith("entry_points.txt")
    )
