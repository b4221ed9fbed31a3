"""The sentences that the sources make, read from their syntax trees: what French pages have to be able to say.

The rule is simple: every string and f-string of two words or more, in the modules that make what the API sends, is a
sentence or a part of one. Docstrings, errors of programming, lines of the server's log and words about the API itself
are none. A value in an f-string is a hole, and a choice between two texts there makes two sentences.
"""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
HOLE = "{}"

# Calls of which the texts are for programmers and admins, and keywords that describe the API.
# What `say` and `count` are given is in the catalog of the pages, which `test_languages.py` checks.
SILENT_CALLS = (
    *("logger.", "re.compile", "sa.", "AssertionError", "ValueError", "TypeError", "RuntimeError", "text"),
    *("language.say", "language.count", "said.say", "said.count", "say"),
)
# Calls of these names: their texts are in the catalog of the pages too, or `server/cli/texts.py` puts them there.
SAID_ELSEWHERE = {"count", "pgettext", "Lazy", "Setting"}
ERRORS = {
    *("ManifestError", "ImportFailed", "TooMuchLost", "StoreUnavailable", "Inspected", "self._step", "progress"),
    *("Unavailable", "SchemaOutdated", "LogDamaged", "KeyUnusable", "SettingsError", "NotServing", "NoData"),
}
SILENT_WORDS = ("description", "metadata", "help", "summary")
DESCRIBED = ("server/api/", "server/app.py")


def sentences(parts: tuple[str, ...]) -> dict[str, str]:
    """Return each sentence of these folders and modules, its holes without names, and a module that has it."""
    found: dict[str, str] = {}
    for part in parts:
        path = ROOT / part
        assert path.exists(), part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            for text in texts(file.read_text(encoding="utf-8")):
                found.setdefault(normal(text), name)
    return found


def logged() -> dict[str, str]:
    """Return each summary that any module gives to the log or to an alert where it stands, and a module that has it."""
    found: dict[str, str] = {}
    for file in sorted(one for package in ("budgets", "queries", "server") for one in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("log.append", "alerts.put", "_log")):
                for given in node.args:
                    found |= {normal(text): file.relative_to(ROOT).as_posix() for text in forms(given)}
    return {text: module for text, module in found.items() if is_sentence(text)}


def raised(parts: tuple[str, ...]) -> dict[str, str]:
    """Return each sentence that these folders and modules raise, where most of their other texts are SQL."""
    found: dict[str, str] = {}
    for part in parts:
        for file in sorted((ROOT / part).rglob("*.py")) or [ROOT / part]:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS:
                    for given in (*node.args, *(one.value for one in node.keywords)):
                        found |= {normal(text): file.relative_to(ROOT).as_posix() for text in forms(given)}
    return {text: module for text, module in found.items() if is_sentence(text)}


def texts(source: str) -> Iterator[str]:
    """Yield the texts of a module, each f-string in all its forms."""
    tree = ast.parse(source)
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        if is_text and not _is_silent(node, above):
            yield from forms(node)


def is_sentence(text: str) -> bool:
    """Return whether a text has two words outside of its holes."""
    return " " in text and len(re.findall(r"[A-Za-z]{2,}", text.replace(HOLE, ""))) >= 2


def normal(text: str) -> str:
    """Return a sentence with its holes without names; two that touch are one."""
    bare = re.sub(r"\{([a-z_][a-z_0-9]*(:[a-z]+)?)?\}", HOLE, text)
    return re.sub(r"(\{\})+", HOLE, bare).strip()


def _is_silent(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    """Return whether a text is no sentence for users, or a piece of an f-string that is looked at as a whole."""
    child = node
    while (parent := above.get(child)) is not None and not isinstance(parent, ast.FunctionDef | ast.ClassDef):
        if isinstance(parent, ast.Expr) and child is node:  # a docstring
            return True
        if isinstance(parent, ast.JoinedStr | ast.FormattedValue) and _is_piece(node, above):
            return True
        if (
            isinstance(parent, ast.keyword)
            and parent.arg in SILENT_WORDS
            and isinstance(child, ast.Constant | ast.Dict | ast.JoinedStr)
        ):
            return True
        if isinstance(parent, ast.Assert):
            return True
        if isinstance(parent, ast.Call):
            name = ast.unparse(parent.func)
            if name.startswith(SILENT_CALLS) or name in SAID_ELSEWHERE:
                return True
        if isinstance(parent, ast.Assign) and ast.unparse(parent.targets[0]).endswith("HELP"):  # of a command
            return True
        child = parent
    return isinstance(parent, ast.FunctionDef | ast.ClassDef) and isinstance(child, ast.Expr) and child.value is node


def _is_piece(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    parent = above[node]
    while isinstance(parent, ast.IfExp):
        parent = above[parent]
    return isinstance(parent, ast.JoinedStr | ast.FormattedValue)


def forms(node: ast.expr | ast.AST) -> list[str]:
    """Return the forms of a text or an f-string: a value is a hole, a choice between two texts makes two forms."""
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.JoinedStr(values=values):
            return ["".join(parts) for parts in itertools.product(*map(forms, values))]
        case ast.FormattedValue(value=value):
            return forms(value)
        case ast.IfExp(body=ast.Constant() | ast.JoinedStr() as one, orelse=ast.Constant() | ast.JoinedStr() as other):
            return forms(one) + forms(other)
        case _:
            return [HOLE]
