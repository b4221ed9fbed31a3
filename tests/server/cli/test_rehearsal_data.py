"""`rowless rehearsal-data`: from the catalog, a profile and released shares, over the home and over HTTP."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from queries.store.made_up import files
from tests.server.cli.test_cli import refused, run, said
from tests.serving import application, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Home

BY_YEAR = ("--sql", "SELECT year, COUNT(*) AS n FROM years GROUP BY year", "--epsilon", "1")


def study(home: Home) -> None:
    """Open a study that may ask."""
    with application(home) as place:
        place.open_study("s", epsilon=4.0)


def contents(folder: Path) -> dict[str, bytes]:
    """Return what the files of a folder hold."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_made_up_files_have_the_shares_of_a_release(home: Home, tmp_path: Path) -> None:
    """The table's column comes as often as its released numbers say, DuckDB reads the files, and nothing is charged."""
    study(home)
    released = said(home, "query", "s", *BY_YEAR)
    (tmp_path / "by-year.json").write_text(json.dumps(released))
    charged = home.charges()
    words = run(home, "rehearsal-data", "rand-hie", str(tmp_path / "b"), "--persons", "10").stdout
    assert "MADE UP, of the catalog of rand-hie: no result means anything" in words
    told = said(home, "rehearsal-data", "rand-hie", str(tmp_path / "a"), "--release", str(tmp_path / "by-year.json"))
    assert told["made_up"]
    assert set(told["files"]) == {files.file_of("persons"), files.file_of("years")}
    assert told["files"][files.file_of("persons")] == 4000
    years = duckdb.read_parquet(str(tmp_path / "a" / files.file_of("years")))
    counts = dict(years.aggregate("year, count(*)", "year").fetchall())
    total, whole = sum(counts.values()), sum(max(row["n"]["value"], 0) for row in released["rows"])
    for row in released["rows"]:
        wanted = max(row["n"]["value"], 0) / whole
        assert counts.get(row["year"], 0) / total == pytest.approx(wanted, abs=0.02)
    assert f"release {released['id']}" in (tmp_path / "a" / files.ABOUT).read_text()
    assert home.charges() == charged


def test_what_is_no_marginal_is_refused(home: Home, tmp_path: Path) -> None:
    """A rehearsal, other questions, another dataset's answer and files of anything are refused; nothing is overwritten."""
    study(home)
    folder = str(tmp_path / "made")

    def tried(answer: Any) -> str:
        (tmp_path / "answer.json").write_text(json.dumps(answer))
        return refused(home, "rehearsal-data", "rand-hie", folder, "--release", str(tmp_path / "answer.json"))

    assert "is a rehearsal" in tried(said(home, "query", "s", *BY_YEAR, "--rehearse"))
    for sql in (
        "SELECT COUNT(*) AS n FROM years",
        "SELECT year, AVG(age) AS n FROM years GROUP BY year",
        "SELECT year, COUNT(*) AS n FROM years WHERE age > 3 GROUP BY year",
        "SELECT sex, COUNT(*) AS n FROM years GROUP BY sex",
        "SELECT year, sex, COUNT(*) AS n FROM years GROUP BY year, sex",
    ):
        assert "counts by one column" in tried(said(home, "query", "s", "--sql", sql, "--epsilon", "0.1")), sql
    for other in ({}, [], 3, None, {"query": {"from": "nothing", "select": {"n": {"count": "events"}}}, "rows": []}):
        assert "counts by one column" in tried(other)
    answer = said(home, "query", "s", *BY_YEAR)
    assert "counts by one column" in tried({name: part for name, part in answer.items() if name != "id"})
    for value in ("many", [1], True, 1e300, -(2**70)):
        rows = [{**row, "n": {**row["n"], "value": value}} for row in answer["rows"]]
        assert "counts by one column" in tried({**answer, "rows": rows}), value
    assert not (tmp_path / "made").exists()
    assert said(home, "rehearsal-data", "rand-hie", folder, "--persons", "5")
    assert "nothing is overwritten" in refused(home, "rehearsal-data", "rand-hie", folder)
    assert run(home, "rehearsal-data", "rand-hie", folder, "--persons", "0").exit_code == 2
    assert "nothing" in refused(home, "rehearsal-data", "nothing", folder)


def test_files_over_http_are_those_over_the_home(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the catalog makes the same files without the home, with the profile that the dataset has."""
    study(home)
    assert said(home, "rehearsal-data", "rand-hie", str(tmp_path / "local"), "--persons", "50")
    with serving(home) as running:
        monkeypatch.setenv("ROWLESS_URL", f"http://127.0.0.1:{running.port}")
        monkeypatch.setenv("ROWLESS_TOKEN", home.tokens["ada"])
        assert said(tmp_path / "no-home", "rehearsal-data", "rand-hie", str(tmp_path / "http"), "--persons", "50")
    assert contents(tmp_path / "http") == contents(tmp_path / "local")


def test_names_that_a_server_tells_lead_out_of_no_folder(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are called by the tables of the catalog, so one with the name of another place is refused."""
    with application(home) as place:
        catalog = place.client("ada").good("GET", "/datasets/clinic")
    catalog["tables"]["../out"] = catalog["tables"]["visits"]

    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(catalog).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hostile) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ROWLESS_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("ROWLESS_TOKEN", "rowless_0_0")
        told = refused(tmp_path / "no-home", "rehearsal-data", "clinic", str(tmp_path / "in" / "made"))
        server.shutdown()
    assert "has a table named '../out'" in told
    assert not (tmp_path / "in").exists()
