"""The programs that the page of an answer shows: each returns this very answer, and nothing more is charged."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from server.pages.researcher import snippets
from tests.clients.r import run
from tests.serving import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Server

CLIENT = str(ROOT / "clients" / "python")
STUDY = "cost-sharing"
ASKED: dict[str, Any] = {
    "SQL": {
        "sql": "SELECT sex, AVG(cost) AS cost FROM years GROUP BY sex",
        "bounds": {"events_per_cell": 5},
        "privacy": {"epsilon": 0.31},
    },
    "a query": {
        "query": {
            "from": "years",
            "where": {"column": "age", "op": ">=", "value": 18},
            "group_by": ["sex", "health"],
            "select": {"seen": {"mean": "visits", "bounds": [0, 30]}},
        },
        "privacy": {"rho": 0.011},
    },
    "margins": {
        "sql": 'SELECT sex, COUNT(DISTINCT person) AS "if" FROM years GROUP BY sex',
        "privacy": {"margin": {"if": 41.5}, "confidence": 0.9, "noise": "gaussian"},
    },
}


def programs_of(server: Server, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a question's answer and the programs of its page."""
    release = server.client("ada").good("POST", f"/studies/{STUDY}/queries", ASKED[name])
    return release, snippets.of(release, f"http://127.0.0.1:{server.port}/")


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("language", ["curl", "Python", "R"])
def test_a_program_of_the_page_returns_the_answer(
    server: Server, tmp_path: Path, request: pytest.FixtureRequest, name: str, language: str
) -> None:
    """Copied as it is, it needs nothing but the token, and the answer is the stored one, after no other charge."""
    release, programs = programs_of(server, name)
    before = server.home.reserved(STUDY)
    token = {"ROWLESS_TOKEN": server.home.tokens["ada"]}
    match language:
        case "curl":
            assert (
                json.loads(run("bash", "-c", programs["curl"] + " -s", folder=tmp_path, **token))["id"] == release["id"]
            )
        case "Python":
            program = programs["Python"] + "\nprint(answer.id)"
            printed = run(sys.executable, "-W", "ignore", "-c", program, folder=tmp_path, PYTHONPATH=CLIENT, **token)
            assert printed.splitlines()[-1] == release["id"]
            assert len(printed.splitlines()) > len(release["rows"])
        case _:
            libraries = {"R_LIBS": str(request.getfixturevalue("library")), **token}
            printed = run("Rscript", "-e", programs["R"] + "\ncat(details(answer)$id)", folder=tmp_path, **libraries)
            assert printed.splitlines()[-1] == release["id"]
            assert len(printed.splitlines()) > len(release["rows"])
    assert server.home.reserved(STUDY) == before
