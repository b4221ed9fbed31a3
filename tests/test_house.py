"""How the code is laid out, computed from the source: no import circles, small modules, folders and functions."""

from __future__ import annotations

import ast
import statistics
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

from tests.conftest import QUICK

ROOT = Path(__file__).parents[1]
CLIENT = ROOT / "clients" / "python"
PACKAGES = {"server": ROOT, "budgets": ROOT, "queries": ROOT, "rowless_client": CLIENT}  # and the folders they are in
LINES_MAX, FUNCTION_MAX, MEDIAN_MAX, MODULES_MAX = 420, 60, 10, 14
LISTS = ("cli", "versions")


def modules() -> dict[str, Path]:
    """Return every module of the product and its client by its dotted name; a package counts as its `__init__`."""
    files = ((folder, file) for package, folder in PACKAGES.items() for file in (folder / package).rglob("*.py"))
    return {
        ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): file
        for folder, file in files
    }


def imported(name: str, file: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of ours that a module imports anywhere in its source, under TYPE_CHECKING too."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            parts = {f"{base}.{alias.name}" for alias in node.names}
            found |= {part if part in known else base for part in parts}
    return (found & known.keys()) - {name}


def test_no_import_circles() -> None:
    """No module imports itself through others, not even for types only."""
    known = modules()
    graph = {name: imported(name, file, known) for name, file in known.items()}
    assert sum(map(len, graph.values())) > len(graph)  # the graph was read
    tuple(TopologicalSorter(graph).static_order())


def test_circle_is_found_under_type_checking(tmp_path: Path) -> None:
    """A circle for types alone counts as a circle."""
    (tmp_path / "a.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p import b\n")
    (tmp_path / "b.py").write_text("from p.a import x\n")
    known = {"p.a": tmp_path / "a.py", "p.b": tmp_path / "b.py"}
    graph = {name: imported(name, file, known) for name, file in known.items()}
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(graph).static_order())


def test_quick_folders_exist() -> None:
    """Each folder and file that `make check` runs is there: one that was moved would be left out unnoticed."""
    assert [part for part in QUICK if not (ROOT / "tests" / part).exists()] == []


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of each function of a module."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            yield f"{file.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


def test_modules_are_short() -> None:
    """No module is so long that a reader loses the thread."""
    long = [str(file) for file in modules().values() if len(file.read_text().splitlines()) > LINES_MAX]
    assert long == []


def test_folders_are_small() -> None:
    """A folder shows at a glance what is in it. Commands and migrations are lists by nature."""
    counted = Counter(file.parent.relative_to(ROOT) for file in modules().values() if file.name != "__init__.py")
    full = [str(folder) for folder, count in counted.items() if count > MODULES_MAX and folder.name not in LISTS]
    assert full == []


def test_functions_are_short() -> None:
    """Half of the functions have fewer than ten lines, and none fills more than a screen."""
    lengths = dict(one for file in modules().values() for one in functions(file))
    assert len(lengths) > 1_000
    assert statistics.median(lengths.values()) < MEDIAN_MAX
    assert [name for name, lines in lengths.items() if lines > FUNCTION_MAX] == []


def test_audit_runs_whatever_has_more_to_do() -> None:
    """`make audit` names every module whose tests are marked `audit` or try more examples under --audit."""
    recipe = (ROOT / "Makefile").read_text().partition("AUDITED := ")[2].partition("\n\n")[0]
    audited = [ROOT / word for word in recipe.replace("\\", " ").split()]
    assert all(path.exists() for path in audited)
    words = ("mark.audit", "from tests.laws import", '("--audit")', "from hypothesis import")
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if file != Path(__file__)]
    more = [file for file in files if any(word in file.read_text() for word in words)]
    assert len(more) > 5
    assert [file for file in more if not any(path in (file, *file.parents) for path in audited)] == []
