"""The client as it is installed: its wheel and its source distribution, which know nothing of the server."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from typing import TYPE_CHECKING

import pytest

from tests.serving import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = ROOT / "clients" / "python"
MODULES = {str(file.relative_to(CLIENT)) for file in (CLIENT / "rowless_client").rglob("*.py")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("built")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=CLIENT, check=True)
    return folder


def test_the_wheel_has_the_package_alone(built: Path) -> None:
    """All modules and the marker of types are in the wheel, and nothing else than its metadata."""
    (file,) = built.glob("*.whl")
    assert file.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(file) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        about = message_from_string(wheel.read(metadata).decode())
    assert names == {*MODULES, "rowless_client/py.typed"}
    assert (about["Name"], about["Requires-Python"], about["License-Expression"]) == (
        "rowless-client",
        ">=3.10",
        "Apache-2.0",
    )
    assert "Typing :: Typed" in about.get_all("Classifier", [])
    assert set(about.get_all("Provides-Extra", [])) == {"pandas", "polars", "arrow", "plot", "notebook", "all"}


def test_the_source_distribution_has_what_the_wheel_is_built_of(built: Path) -> None:
    """The source distribution has the package, its notebooks, its README and its licence."""
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    notebooks = {f"notebooks/{one.name}" for one in (CLIENT / "notebooks").iterdir()}
    assert names >= {*MODULES, *notebooks, "rowless_client/py.typed", "README.md", "LICENSE", "pyproject.toml"}
    assert not any(name.startswith(("tests", "server")) for name in names)


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
