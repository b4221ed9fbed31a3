"""The notebooks of the client run, from the first cell to the last, and show what they say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.serving import ROOT

if TYPE_CHECKING:
    from tests.serving import Server

CLIENT = ROOT / "clients" / "python"
NOTEBOOKS = sorted((CLIENT / "notebooks").glob("*.ipynb"))
# IPython and its kernel leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def run(notebook: nbformat.NotebookNode, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a notebook as Ada, with nothing of the user's own settings."""
    variables = {
        "ROWLESS_URL": f"http://127.0.0.1:{server.port}",
        "ROWLESS_TOKEN": server.home.tokens["ada"],
        "PYTHONPATH": os.pathsep.join((str(CLIENT), str(ROOT))),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()


def shown(notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    """Return what the cells show, by media type."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data for output in outputs if "data" in output]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(demonstrated: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Each cell runs and fits the budget of the demonstration, and each notebook shows tables and a chart."""
    notebook = nbformat.read(file, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "notebooks are kept without outputs"
    run(notebook, demonstrated, tmp_path, monkeypatch)
    data = shown(notebook)
    assert sum("rowless" in one.get("text/html", "") for one in data) >= 1
    assert any("vega-lite" in one.get("text/html", "") + "".join(one) for one in data)


MAGIC = """\
%load_ext rowless_client
%%rowless cost-sharing --epsilon 0.4 --rehearse --post round,clamp --into tried
SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex
%%rowless cost-sharing --margin patients=20 --confidence 0.9 --estimate --into price
SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex
assert tried.is_rehearsal and list(tried.json["post"]) == ["round", "clamp"]
assert 0 < price.cost["epsilon"] < 1 and price.margins["patients"] <= 20
%%rowless cost-sharing --margin patients=many
SELECT 1
"""


def test_the_cell_magic(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options of %%rowless become those of ask; a wrong one is explained."""
    lines = MAGIC.splitlines()
    cells = [lines[0], "\n".join(lines[1:3]), "\n".join(lines[3:5]), "\n".join(lines[5:7]), "\n".join(lines[7:9])]
    cells[-1] = f"try:\n    get_ipython().run_cell_magic('rowless', {cells[-1].splitlines()[0][10:]!r}, 'SELECT 1')\n"
    cells[-1] += "except Exception as error:\n    print(error)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    run(notebook, server, tmp_path, monkeypatch)
    assert "NAME=40@1000" in notebook.cells[-1].outputs[0].text
