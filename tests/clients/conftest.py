"""A server for the tests of the clients, with the two studies of the demonstration; tests that break it have their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.demo.demonstration import ASK
from server.demo.observatory import Shape, write_observatory
from server.demo.setup import EPSILON
from tests.clients import r
from tests.clients.proxy import Proxy
from tests.serving import Home, make_home, serving, write_clinic, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Server


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with the five users and three datasets: the demonstration's (one of them small) and the clinic."""
    folder = tmp_path_factory.mktemp("template")
    made = write_observatory(folder, Shape(persons=3_000, practices=100, diagnoses=100, drugs=100)).manifest
    made.write_text(made.read_text().replace("epsilon = 3.0", "epsilon = 10000.0\novercommit = true"))
    return make_home(folder / "home", write_demo_manifest(folder), write_clinic(folder), made)


@pytest.fixture
def home(template: Home, tmp_path: Path) -> Home:
    """Return a home of the test's own."""
    return template.copy(tmp_path / "home")


@pytest.fixture(scope="session")
def server(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a running server that tests share: its studies are cost-sharing, pathways and clinic."""
    with serving(template.copy(tmp_path_factory.mktemp("shared") / "home")) as running:
        running.open_study("cost-sharing", "rand-hie")
        running.open_study("pathways", "observatory")
        running.open_study("clinic", "clinic", delta=1e-6)
        yield running


@pytest.fixture
def demonstrated(template: Home, tmp_path: Path) -> Iterator[Server]:
    """Return a server as `rowless demo` leaves it: studies with a budget of 1, of which its own question took a part.

    What the manual tells to try there has to fit that budget.
    """
    with serving(template.copy(tmp_path / "demonstrated")) as running:
        for study, dataset in (("cost-sharing", "rand-hie"), ("pathways", "observatory")):
            running.open_study(study, dataset, epsilon=float(EPSILON), justification=None)
        running.client("ada").good("POST", "/studies/cost-sharing/queries", ASK)
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """Return a proxy before the shared server, which does what tests tell it."""
    with Proxy(server.port) as running:
        yield running


@pytest.fixture(scope="session")
def r_installed(pytestconfig: pytest.Config) -> None:
    """Skip where R or a package is missing, or fail where they must be there."""
    if r.is_installed():
        return
    if pytestconfig.getoption("--require-r"):
        pytest.fail(r.MISSING)
    pytest.skip(r.MISSING)


@pytest.fixture(scope="session")
def built(r_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package as `R CMD build` makes it, with its vignette."""
    folder = tmp_path_factory.mktemp("package")
    r.run("R", "CMD", "build", r.PACKAGE, folder=folder)
    (archive,) = folder.glob("rowless_*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def library(built: Path) -> Path:
    """Return a library of R that has the package."""
    folder = built.with_name("library")
    folder.mkdir()
    r.run("R", "CMD", "INSTALL", f"--library={folder}", built, folder=built.parent)
    return folder
