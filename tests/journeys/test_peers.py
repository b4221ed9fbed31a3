"""The comparison with other tools: it asks what it says, marks what has no number, and writes a page that can be read."""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.peers import page
from benchmarks.peers.__main__ import PEERS
from benchmarks.peers.data import prepare
from benchmarks.peers.environments import Installed, Peer
from benchmarks.peers.measuring import ask_all, truth
from benchmarks.peers.questions import QUESTIONS
from benchmarks.peers.running import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS, _, PLAIN = PEERS[:3]
ROUNDS = 5
NOISY = {question.name for question in QUESTIONS if question.measure == "sum" or len(question.keys) == 1} - {
    "median cost by age band"
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with some 20,000 events."""
    made = tmp_path_factory.mktemp("peers")
    prepare(made, 20_000)
    return made


def started(folder: Path, limit: float, *peers: Any) -> Iterator[list[Tool]]:
    """Yield tools, and end them."""
    tools = [Tool(peer, Installed(Path(sys.executable), ""), folder, limit) for peer in peers]
    yield tools
    for tool in tools:
        tool.end()


@pytest.fixture(scope="module")
def tools(folder: Path) -> Iterator[list[Tool]]:
    """Return Rowless and plain DuckDB."""
    yield from started(folder, 60.0, OURS, PLAIN)


def test_every_question_is_the_same_to_rowless_and_to_sql(folder: Path, tools: list[Tool]) -> None:
    """DuckDB's answers are the truth, and Rowless's are near it where noise and bounds are small beside the cells."""
    for question, exact in zip(QUESTIONS, truth(folder, QUESTIONS), strict=True):
        found = ask_all(tools, question, exact, ROUNDS, {})
        assert [one.instead for one in found.values()] == [None, None], question.name
        assert found[PLAIN.name].errors == [0.0] * ROUNDS
        # 2,000 persons are few for the noise of a sum, and for cells of practices and codes.
        # One answer in 2,000 is so far off, and their median once in 10^8 runs.
        assert statistics.median(found[OURS.name].errors) < 0.5 or question.name in NOISY, question.name
        assert all(one.peak_mb > 50 and one.seconds[0] > 0 for one in found.values())


def test_a_tool_that_is_late_or_ends_has_a_reason_and_no_number(folder: Path) -> None:
    """What took too long is over the limit, what ended is named with its last line, and the others are asked still."""
    exact = truth(folder, QUESTIONS)[0]
    missing = Peer("missing", "no_such_tool")
    absent = Peer("absent", "not_installed")
    for late, ended in zip(started(folder, 0.001, OURS), started(folder, 60.0, missing, absent, PLAIN), strict=True):
        found = ask_all([*late, *ended], QUESTIONS[0], exact, 1, {"absent": "not installed"})
    assert found[OURS.name].instead == "over 0 s"
    assert found[OURS.name].is_over
    assert found["missing"].instead is not None
    assert "no_such_tool" in found["missing"].instead
    assert found["absent"].to_json() == {"instead": "not installed", "peak_mb": 0}
    assert found[PLAIN.name].to_json()["error"] == 0


def test_a_tool_ends_with_the_runner(folder: Path) -> None:
    """If the runner is gone, the adapter and the server that it started end."""
    for (server,) in started(folder, 60.0, PEERS[1]):
        assert "rows" in server.ask(QUESTIONS[0], 1.0)
        assert server.peak_mb() > 50
        server.abandon()
        until = time.monotonic() + 30
        while server.peak_mb() and time.monotonic() < until:
            time.sleep(0.05)
        assert server.peak_mb() == 0


def test_the_page_has_a_place_for_what_is_measured_and_pictures_of_it(tmp_path: Path) -> None:
    """Blocks are replaced as often as they are written; a picture is drawn with numbers of any size."""
    copy = tmp_path / "performance.md"
    shutil.copy(page.PAGE, copy)
    measured = {"seconds": 0.0123, "error": 1e-7, "peak_mb": 100, "rounds": 1}
    by = {
        OURS.name: measured,
        PLAIN.name: {**measured, "seconds": 3.0},
        "Lomas": {"instead": "over 120 s", "peak_mb": 0},
    }
    by["PipelineDP"] = {"instead": "failed: a | b\n<c>", "peak_mb": 0}
    size = {
        "events": 1_001_183,
        "rounds": 1,
        "limit": 120.0,
        "import_seconds": 1.0,
        "peers": True,
        "loading": {OURS.name: 0.5},
        "questions": [{"name": question.name, "tools": by} for question in QUESTIONS],
    }
    results = {
        "machine": "a machine",
        "tools": [peer.name for peer in PEERS],
        "versions": {OURS.name: {"version": "1", "error": None}, "Lomas": {"version": "", "error": "no | wheel"}},
        "sizes": [size],
    }
    page.write(results, copy, tmp_path / "pictures")
    once = copy.read_text(encoding="utf-8")
    page.write(results, copy, tmp_path / "pictures")
    assert copy.read_text(encoding="utf-8") == once
    assert "| count of events | 12 ms | 3.0 s | failed | over 120 s |" in once
    assert "- PipelineDP, all questions: failed: a / b (c)" in once
    assert "not installed: no / wheel" in once
    drawn = ET.parse(tmp_path / "pictures" / "time-1.svg").getroot()
    assert len(drawn.findall(".//{*}g/{*}title")) == 3 * len(QUESTIONS)
