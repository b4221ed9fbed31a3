"""What must not be in the code at all, found by reading it: no own randomness, no floats before the noise."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for package in ("queries", "budgets", "server") for path in (ROOT / package).rglob("*.py"))
LAZY = ROOT / "server" / "cli" / "lazy.py"  # imports commands by name: those that `Lazy` values name in the source
# What modules that write made-up data for the demonstrations draw with: nothing there is released.
MADE_UP_DATA = {ROOT / "server/demo/observatory.py": {"numpy.random"}, ROOT / "server/demo/cdm.py": {"random"}}


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, or reaches through numpy."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=attribute):
                yield f"numpy.{attribute}"
            case ast.Call(func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module")):
                yield "dynamic import"


def uses(tree: ast.AST, module: str) -> bool:
    """Say whether a module or something in it is imported."""
    return any(name == module or name.startswith(f"{module}.") for name in imported(tree))


def parsed(path: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def seeds(tree: ast.AST) -> Iterator[str]:
    """Yield every parameter, keyword, field and attribute that is called a seed."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.arg(arg=str(name)) | ast.keyword(arg=str(name)) | ast.Name(id=str(name)) | ast.Attribute(attr=name)
            ):
                if "seed" in name.lower():
                    yield name


def writes_made_up_data(node: ast.AST) -> bool:
    """Say whether a function's work is to write the demonstration's data, which need a seed and are never released."""
    calls = {
        called.func.id
        for called in ast.walk(node)
        if isinstance(called, ast.Call) and isinstance(called.func, ast.Name)
    }
    return isinstance(node, ast.FunctionDef) and "write_observatory" in calls


def floats(tree: ast.AST) -> Iterator[str]:
    """Yield everything in a module that is or makes a float."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float(value)):
                yield f"the literal {value}"
            case ast.Constant(value=str(text)) if text in ("f2", "f4", "f8", "d", "float", "float32", "float64"):
                yield f"the type {text!r}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield "a division"
            case ast.Name(id="float" | "complex" as name):
                yield name
            case ast.Attribute(attr=name) if name.startswith(("float", "double", "longdouble", "mean", "average")):
                yield name


def named(path: Path) -> str:
    """Return a module's place for the name of a test."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_module_draws_random_numbers_of_its_own(path: Path) -> None:
    """`random` and numpy's generators are imported nowhere but where made-up data are written."""
    tree = parsed(path)
    drawn = {module for module in ("random", "numpy.random", "scipy.stats") if uses(tree, module)}
    assert drawn <= MADE_UP_DATA.get(path, set())
    assert path == LAZY or not uses(tree, "dynamic import")


def test_commands_are_the_only_modules_imported_by_name() -> None:
    """Whatever is imported by name is a module of the command line, and its name is a literal."""
    calls = [
        node
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Lazy"
    ]
    assert len(calls) > 10
    for call in calls:
        match call.args[0]:
            case ast.Constant(value=str(name)):
                assert re.fullmatch(r"server\.cli\.[\w.]+:\w+", name)
            case other:
                pytest.fail(f"{ast.unparse(other)} is not a literal")


@pytest.mark.parametrize("path", [path for path in MODULES if path not in MADE_UP_DATA], ids=named)
def test_no_module_knows_a_seed(path: Path) -> None:
    """Nothing on a release path takes, keeps or passes a seed."""
    statements = [node for node in parsed(path).body if not writes_made_up_data(node)]
    assert [name for statement in statements for name in seeds(statement)] == []


# What is drawn here names a list of parts, a job or a session's secret, or decides in which part a person is: no answer
# depends on it.
NAMING = (
    "queries/catalog/parts.py",
    "queries/execution/spark/engine.py",
    "queries/execution/spark/session.py",
    "queries/store/cluster/driver.py",
    "queries/store/cluster/spark.py",
)


@pytest.mark.parametrize("path", [path for path in MODULES if ROOT / "queries" in path.parents], ids=named)
def test_queries_draw_from_opendp_only(path: Path) -> None:
    """`secrets` and `os.urandom` have no place where an answer is made, and OpenDP is called by mechanisms.py alone."""
    tree = parsed(path)
    assert (uses(tree, "secrets") or uses(tree, "uuid")) == (named(path) in NAMING)
    assert "urandom" not in path.read_text(encoding="utf-8")
    assert uses(tree, "opendp") == (path.name == "mechanisms.py")


@pytest.mark.parametrize("path", [path for path in MODULES if ROOT / "queries" not in path.parents], ids=named)
def test_nobody_else_calls_opendp(path: Path) -> None:
    """Budgets and server know OpenDP through queries only."""
    assert not uses(parsed(path), "opendp")


@pytest.mark.parametrize("kernel", ["passes.py", "fused/loops.py", "fused/shapes.py", "partition_selection.py"])
def test_the_kernel_has_no_floats(kernel: str) -> None:
    """No float literal, type, conversion or division between the data and the noise."""
    assert list(floats(parsed(ROOT / "queries" / "execution" / kernel))) == []


@pytest.mark.parametrize("kernel", ["passes.py", "fused/loops.py", "partition_selection.py"])
def test_the_kernel_is_compiled_without_fast_math(kernel: str) -> None:
    """Every compiled loop releases the GIL and is cached, and none may reorder or skip checks of arithmetic."""
    decorators = [
        decorator
        for node in ast.walk(parsed(ROOT / "queries" / "execution" / kernel))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    ]
    assert decorators
    for decorator in decorators:
        assert isinstance(decorator, ast.Call)
        assert {keyword.arg for keyword in decorator.keywords} == {"nogil", "cache"}


@pytest.mark.parametrize(
    ("code", "check"),
    [
        ("import random", lambda tree: uses(tree, "random")),
        ("from random import gauss", lambda tree: uses(tree, "random")),
        ("import numpy.random as r", lambda tree: uses(tree, "numpy.random")),
        ("from numpy import random", lambda tree: uses(tree, "numpy.random")),
        ("from numpy.random import default_rng", lambda tree: uses(tree, "numpy.random")),
        ("import numpy as np\nnp.random.default_rng()", lambda tree: uses(tree, "numpy.random")),
        ("def f():\n    import secrets", lambda tree: uses(tree, "secrets")),
        ("import opendp.prelude as dp", lambda tree: uses(tree, "opendp")),
        ("import importlib\nimportlib.import_module('random')", lambda tree: uses(tree, "dynamic import")),
        ("def f(seed=1): pass", lambda tree: any(seeds(tree))),
        ("f(random_seed=1)", lambda tree: any(seeds(tree))),
        ("x = 1.0", lambda tree: any(floats(tree))),
        ("x = a / b", lambda tree: any(floats(tree))),
        ("x /= 2", lambda tree: any(floats(tree))),
        ("x = np.zeros(3, dtype=np.float64)", lambda tree: any(floats(tree))),
        ("x = np.zeros(3, dtype='f8')", lambda tree: any(floats(tree))),
        ("x = float(y)", lambda tree: any(floats(tree))),
        ("x = y.mean()", lambda tree: any(floats(tree))),
    ],
)
def test_the_checks_find_what_they_look_for(code: str, check: object) -> None:
    """Each check sees the thing it forbids."""
    assert callable(check)
    assert check(ast.parse(code))


def test_static_checks_read_every_module() -> None:
    """The list of modules has the kernel, the journey of a query and the noise in it."""
    names = {named(path) for path in MODULES}
    assert {
        "queries/execution/kernel.py",
        "server/journey/answer.py",
        "queries/mechanisms.py",
        "budgets/ledger/charges.py",
    } <= names
