"""The client as it is installed: its wheel and its source distribution, which know nothing of the server."""

from __future__ import annotations

import re
import subprocess
import sys
from email import message_from_string
from typing import TYPE_CHECKING

import pytest

from tests.archives import about, build, installed, pythons, sourced, tracked, unpack
from tests.serving import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = ROOT / "clients" / "python"
MODULES = {str(file.relative_to(CLIENT)) for file in (CLIENT / "rowless_client").rglob("*.py")}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the source archive."""
    return build(CLIENT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of the wheel."""
    file = build(CLIENT, "wheel", tmp_path_factory.mktemp("wheel"))
    assert file.name.endswith("-py3-none-any.whl")
    return installed(file)


def test_the_wheel_has_the_package_alone(wheel: dict[str, bytes]) -> None:
    """All modules, the marker of types and the licence are in the wheel, and nothing else than its metadata."""
    assert {name for name in wheel if ".dist-info/" not in name} == {*MODULES, "rowless_client/py.typed"}
    assert (CLIENT / "LICENSE").read_bytes() in wheel.values()
    told = message_from_string(about(wheel))
    assert (told["Name"], told["License-Expression"]) == ("rowless-client", "Apache-2.0")
    assert set(told.get_all("Provides-Extra", [])) == {"pandas", "polars", "arrow", "plot", "save", "notebook", "all"}
    classifiers = told.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    assert told["Requires-Python"] == ">=" + pythons(classifiers)[0]


def test_a_registry_shows_links_that_lead_somewhere(wheel: dict[str, bytes]) -> None:
    """No link of the README is relative: a registry shows it alone."""
    links = re.findall(r"\]\(([^)\s]+)\)", about(wheel))
    assert links
    assert [link for link in links if not link.startswith("https://")] == []


def test_the_source_archive_has_what_the_wheel_is_built_of(
    sdist: Path, wheel: dict[str, bytes], tmp_path: Path
) -> None:
    """It has the package, notebooks, README and licence, nothing of the server or the tests; its wheel is the same."""
    names = {name for name in tracked() if name.startswith("clients/python/")}
    assert set(sourced(sdist)) - {"PKG-INFO", ".gitignore"} == {name.removeprefix("clients/python/") for name in names}
    assert installed(build(unpack(sdist, tmp_path / "source"), "wheel", tmp_path / "wheel")) == wheel


IMPORTED = """
import sys
import rowless_client
optional = {"pandas", "polars", "pyarrow", "altair", "IPython", "numpy"}
assert optional.isdisjoint(sys.modules), optional & set(sys.modules)
assert {"server", "budgets", "queries"}.isdisjoint(sys.modules)
sys.modules["pandas"] = None
answer = rowless_client.Answer({"columns": [], "rows": []}, None)
try:
    answer.to_pandas()
except rowless_client.MissingPackage as error:
    print(error)
"""


def test_optional_packages_are_loaded_when_they_are_needed() -> None:
    """The client loads with requests alone, and says how to install what is missing."""
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        cwd=CLIENT,
        env={"PATH": "", "PYTHONPATH": str(CLIENT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "pandas is not installed: pip install 'rowless-client[pandas]'\n"


def test_client_and_project_have_one_licence_and_version() -> None:
    """A release has one number, and the client's folder can be taken alone with its licence."""
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    versions = {
        re.search(r'^version = "(.+)"$', (folder / "pyproject.toml").read_text(), re.MULTILINE).group(1)
        for folder in (ROOT, CLIENT)
    }
    assert len(versions) == 1
