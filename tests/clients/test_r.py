"""The R package: its tests against a real server, R CMD check, what the docs show, and questions that are paid once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.proxy import HALF_REPLY, LOSE_REPLY, LOSE_REQUEST, Proxy, Refuse, on_questions
from tests.clients.r import PACKAGE, reached, run
from tests.serving import ROOT, make_home, serving, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler

    from tests.clients.proxy import Fault
    from tests.serving import Home, Server

STUDY = "cost-sharing"
SQL = "SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex"
BUSY = Refuse(503, "busy", retry_after="0")
TOO_MANY = Refuse(429, "too-many-requests", retry_after="0")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with the demonstration's dataset, which nobody serves."""
    folder = tmp_path_factory.mktemp("r")
    return make_home(folder / "home", write_demo_manifest(folder))


@pytest.fixture(scope="module")
def asked(untouched: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with the study of the examples."""
    with serving(untouched.copy(tmp_path_factory.mktemp("asked") / "home")) as running:
        running.open_study(STUDY, "rand-hie")
        yield running


def test_package_passes_its_tests_on_a_real_server(asked: Server, library: Path, tmp_path: Path) -> None:
    """Testthat runs every test, skips none, and none fails."""
    code = """
        results <- as.data.frame(testthat::test_dir(commandArgs(TRUE)[1], package = "rowless", load_package = "installed",
          reporter = "check", stop_on_failure = FALSE))
        cat("\\n", jsonlite::toJSON(list(tests = nrow(results), failed = sum(results$failed), errors = sum(results$error),
          skipped = sum(results$skipped), warnings = sum(results$warning)), auto_unbox = TRUE))
    """
    tests = PACKAGE / "tests" / "testthat"
    printed = run("Rscript", "-e", code, tests, folder=tmp_path, R_LIBS=str(library), **reached(asked))
    found = json.loads(printed.splitlines()[-1])
    assert found.pop("tests") > 25
    assert found == {"failed": 0, "errors": 0, "skipped": 0, "warnings": 0}, printed[-6000:]


def test_build_and_check_are_clean_and_spend_nothing(asked: Server, tmp_path: Path) -> None:
    """`R CMD build` and `R CMD check --no-manual` find no error, warning or note, and ask no server that R knows.

    Whoever installs a new version has address and token of a study in ~/.Renviron. The vignette's examples once ran then,
    and spent that study's budget.
    """
    # Neither CRAN nor a clock on the network is asked.
    alone = {"R_REPOSITORIES": "NULL", "_R_CHECK_SYSTEM_CLOCK_": "false"}
    with Proxy(asked.port) as proxy:
        known = {**alone, **reached(asked, proxy.url), "ROWLESS_MAY_SPEND": ""}
        run("R", "CMD", "build", PACKAGE, folder=tmp_path, **known)
        (package,) = tmp_path.glob("rowless_*.tar.gz")
        printed = run("R", "CMD", "check", "--no-manual", package, folder=tmp_path, **known)
        assert re.search(r"^Status: OK$", printed, re.MULTILINE), printed
        assert proxy.requests == []


def test_vignette_runs(demonstrated: Server, library: Path, tmp_path: Path) -> None:
    """Every example of the vignette runs on a real server, and fits the budget of the demonstration."""
    shutil.copy(PACKAGE / "vignettes" / "first-answer.Rmd", tmp_path)
    code = 'rmarkdown::render("first-answer.Rmd", quiet = TRUE)'
    run("Rscript", "-e", code, folder=tmp_path, R_LIBS=str(library), **reached(demonstrated))
    made = (tmp_path / "first-answer.html").read_text()
    assert "patients_low" in made
    assert made.count("<img") >= 1


MAPS = {"tables", "margins_at", "drowned_of"}  # their members are names of the data and not of the API


def of_a_later_version(sent: Any, name: str = "") -> Any:
    """Return a reply in which every object has a member more."""
    if isinstance(sent, dict):
        more = {} if name in MAPS else {"added_later": {"more": [1, None]}}
        return {**{member: of_a_later_version(one, member) for member, one in sent.items()}, **more}
    return [of_a_later_version(one) for one in sent] if isinstance(sent, list) else sent


@pytest.mark.parametrize("change", [None, of_a_later_version], ids=["this server", "a later server"])
def test_page_runs_from_connecting_to_a_plot(demonstrated: Server, library: Path, tmp_path: Path, change: Any) -> None:
    """The first program of docs/clients/r.md has at most ten lines and writes a picture; the others run after it.

    They run as well with a server whose every reply has more members.
    """
    page = (ROOT / "docs" / "clients" / "r.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```r\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(programs[0].splitlines()) <= 10
    (tmp_path / "page.R").write_text("\n".join(programs))
    with Proxy(demonstrated.port, change=change) as proxy:
        printed = run("Rscript", "page.R", folder=tmp_path, R_LIBS=str(library), **reached(demonstrated, proxy.url))
    assert "coinsurance patients patients_low patients_high" in printed
    assert (tmp_path / "answer.png").read_bytes().startswith(b"\x89PNG")


# Paid once

ASK = """
    library(rowless)
    answer <- ask(study(rowless_connect(), "cost-sharing"), "%s", epsilon = %s)
    told <- details(answer)
    cat("\\n", jsonlite::toJSON(list(id = told$id, patients = answer$patients), auto_unbox = TRUE, digits = NA))
"""
FAULTS: dict[str, list[Fault]] = {
    "a reply that is lost": [LOSE_REPLY],
    "a request that is lost": [LOSE_REQUEST],
    "a reply that breaks off": [HALF_REPLY],
    "a busy server": [BUSY, BUSY],
    "a share in use": [TOO_MANY],
    "a proxy whose server is away": [Refuse(502, "unknown"), Refuse(504, "unknown")],
    "all of them": [TOO_MANY, LOSE_REPLY, BUSY, HALF_REPLY],
}


@pytest.mark.parametrize(("number", "name"), list(enumerate(FAULTS)), ids=FAULTS)
def test_one_answer_is_charged_once(asked: Server, library: Path, tmp_path: Path, number: int, name: str) -> None:
    """Whatever goes wrong, R gets the answer that the server stores, after one charge, under one key."""
    before = asked.home.reserved(STUDY)
    with Proxy(asked.port, on_questions(*FAULTS[name])) as proxy:
        code = ASK % (SQL, 0.01 + number / 1000)
        printed = run("Rscript", "-e", code, folder=tmp_path, R_LIBS=str(library), **reached(asked, proxy.url))
    assert len(proxy.questions) == len(FAULTS[name]) + 1
    assert len({request.key for request in proxy.questions} - {None}) == 1
    assert asked.home.reserved(STUDY) == before + 1
    assert_is_stored(asked, printed)


def assert_is_stored(server: Server, printed: str) -> None:
    """Check that what R printed is what the server stores."""
    answer = json.loads(printed.splitlines()[-1])
    stored = server.client("ada").good("GET", f"/studies/{STUDY}/releases/{answer['id']}")
    assert answer["patients"] == [row["patients"]["value"] for row in stored["rows"]]


def test_a_server_that_dies_after_the_charge(untouched: Home, library: Path, tmp_path: Path) -> None:
    """The server is killed when the question is charged, and another is started: R gets one answer, charged once."""
    home = untouched.copy(tmp_path / "home")
    with serving(home) as first, Proxy(first.port) as proxy:
        first.open_study(STUDY, "rand-hie")
        proxy.fault = lambda request: LOSE_REPLY if request.is_question and proxy.upstream == first.port else None
        variables = {**os.environ, "R_LIBS": str(library), **reached(first, proxy.url)}
        command = ["Rscript", "-e", ASK % (SQL, 0.5)]
        with subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True) as asking:
            while home.reserved() == 0:
                assert asking.poll() is None
                time.sleep(0.001)
            first.kill()
            with serving(home) as second:
                proxy.upstream = second.port
                printed, _ = asking.communicate(timeout=200)
                assert asking.returncode == 0
                assert_is_stored(second, printed)
    assert len({request.key for request in proxy.questions} - {None}) == 1
    assert len(proxy.questions) > 1
    assert home.reserved() == 1


@dataclass(frozen=True)
class LeadElsewhere(Refuse):
    """A fault: the reply leads to another server."""

    to: str = ""

    def send(self, to: BaseHTTPRequestHandler) -> None:
        """Send the redirect."""
        to.send_response(self.status)
        to.send_header("Location", f"{self.to}{to.path}")
        to.send_header("Content-Length", "0")
        to.end_headers()


def test_token_is_not_sent_to_where_a_redirect_leads(asked: Server, library: Path, tmp_path: Path) -> None:
    """A redirect is an error that names the address, and nothing is sent there."""
    code = """
        found <- tryCatch(rowless::rowless_connect(), rowless_error = identity)
        cat(class(found)[1], conditionMessage(found))
    """
    with Proxy(asked.port) as elsewhere, Proxy(asked.port) as proxy:
        proxy.fault = lambda _request: LeadElsewhere(307, "moved", to=elsewhere.url)
        printed = run("Rscript", "-e", code, folder=tmp_path, R_LIBS=str(library), **reached(asked, proxy.url))
        assert printed.startswith("rowless_misuse")
        assert elsewhere.url in printed
        assert len(proxy.requests) == 1
        assert elsewhere.requests == []
