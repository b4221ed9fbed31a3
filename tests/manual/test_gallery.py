"""The gallery: every question is answered, and its Python, R, JSON and SQL are one question."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.manual import gallery
from tests.manual.questions import QUESTIONS, STUDY
from tests.serving import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.manual.questions import Example
    from tests.serving import Client

NAMES = [example.name for example in QUESTIONS]
BODIES_R = ROOT / "clients" / "r" / "R" / "bodies.R"


def blocks(language: str) -> list[str]:
    """Return the blocks of the page in a language, without those at its head that connect."""
    body = gallery.PAGE.read_text(encoding="utf-8").partition("\n## ")[2]
    return re.findall(rf"^```{language}\n(.*?)\n```", body, re.DOTALL | re.MULTILINE)


SQL = blocks("sql")


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client that may ask the observatory much."""
    with gallery.observatory(tmp_path_factory.mktemp("gallery")) as client:
        yield client


def test_the_page_is_made_from_its_questions() -> None:
    """The page has twenty questions as `make gallery` writes them, and a picture of each, and no other picture."""
    assert len(QUESTIONS) == 20
    sql = dict(zip(NAMES, SQL, strict=True))
    assert gallery.PAGE.read_text(encoding="utf-8") == gallery.page(sql)
    assert sorted(path.stem for path in gallery.PICTURES.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize(("example", "sql"), list(zip(QUESTIONS, SQL, strict=True)), ids=NAMES)
def test_every_question_is_answered_and_its_sql_is_the_same_question(ada: Client, example: Example, sql: str) -> None:
    """The question is answered with every statistic it names; its SQL of the page is answered again, free."""
    body = gallery.body(example)
    answer = ada.good("POST", f"/studies/{STUDY}/queries", body)
    assert answer["rows"]
    assert set(body["query"]["select"]) <= {column["name"] for column in answer["columns"]}
    again = {"sql": sql, "privacy": body["privacy"], "bounds": body["query"].get("bounds", {})}
    assert ada.good("POST", f"/studies/{STUDY}/queries", again)["replayed"]


def test_the_json_of_the_page_is_what_its_python_builds() -> None:
    """Each block of JSON is the query that the block of Python before it builds."""
    assert [json.loads(text) for text in blocks("json")] == [gallery.asked(example) for example in QUESTIONS]


def test_the_r_of_the_page_is_the_same_question() -> None:
    """What the R package sends for each block of R is the body of the question."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is missing: apt-get install r-base-core r-cran-jsonlite")
    told = "\n".join(
        [
            "`%||%` <- function(a, b) if (is.null(a)) b else a",
            f'source("{BODIES_R}")',
            "study <- NULL",
            "ask <- function(study, query, epsilon) {",
            '  cat(to_json(ask_body(NULL, query, epsilon, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)), "\\n", sep = "")',
            "}",
            *blocks("r"),
        ]
    )
    ended = subprocess.run(["Rscript", "-"], input=told, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [gallery.body(example) for example in QUESTIONS]
