"""The programs of the gallery, sent: each question in Python, with its chart, and the same in R, which gets the same answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from rowless_client import Answer, Caution, Rowless, values

from tests.clients.r import reached, run
from tests.manual import gallery
from tests.manual.questions import QUESTIONS, STUDY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Server


def blocks(language: str) -> list[str]:
    """Return the programs of the page in a language, first the one at its head, which connects."""
    page = gallery.PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)\n```", page, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def answers(server: Server) -> list[Answer]:
    """Return the answers to the questions in Python, asked as the page says."""
    study = Rowless(f"http://127.0.0.1:{server.port}", server.home.tokens["ada"]).study(STUDY)
    found = []
    for program in blocks("python")[1:]:
        names = {"study": study, "values": values}
        exec(program, names)
        found.append(study.ask(names["question"], epsilon=0.3))
    return found


@pytest.mark.filterwarnings(f"ignore::{Caution.__module__}.{Caution.__name__}")  # these data are few
def test_each_question_is_answered_in_python_and_drawn(answers: list[Answer]) -> None:
    """Every program is accepted, its answer has the statistics of the question, and a chart."""
    assert len(answers) == len(QUESTIONS)
    for answer, example in zip(answers, QUESTIONS, strict=True):
        assert set(answer.flat.statistics) >= set(gallery.asked(example)["select"]), example.name
        assert answer.plot().to_dict()["config"], example.name


@pytest.mark.filterwarnings(f"ignore::{Caution.__module__}.{Caution.__name__}")
def test_r_gets_the_answers_that_python_paid(
    server: Server, answers: list[Answer], library: Path, tmp_path: Path
) -> None:
    """In one session of R, each program gets the stored answer, and nothing more is charged."""
    before = server.home.reserved(STUDY)
    connect, *programs = blocks("r")
    told = [f'{program}\ncat("id:", details(answer)$id, "\\n")' for program in programs]
    (tmp_path / "gallery.R").write_text("\n".join([connect, *told]), encoding="utf-8")
    printed = run("Rscript", "gallery.R", folder=tmp_path, R_LIBS=str(library), **reached(server))
    assert re.findall(r"^id: (\w+)", printed, re.MULTILINE) == [answer.id for answer in answers]
    assert server.home.reserved(STUDY) == before
