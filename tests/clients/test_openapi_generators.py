"""Clients that are generated from the OpenAPI document ask a query, with types. The programs stand in the docs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.serving import PREFIX, ROOT, make_home, serving, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Server

PAGE = ROOT / "docs" / "clients" / "openapi.md"
STUDY = "cost-sharing"
NPM = Path(__file__).parent / "typescript"
PROGRAMS = NPM / "node_modules" / ".bin"
MISSING = "what npm brings is missing (Node 20 or newer): npm ci --prefix tests/clients/typescript"
EPSILON = 0.1  # what the programs spend


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with the study of the examples."""
    folder = tmp_path_factory.mktemp("generators")
    with serving(make_home(folder / "home", write_demo_manifest(folder))) as server:
        server.open_study(STUDY, "rand-hie", epsilon=3.0)
        yield server


@pytest.fixture(scope="module")
def document(described: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the server's document, as a file."""
    file = tmp_path_factory.mktemp("document") / "openapi.json"
    file.write_bytes(described.client(None).get("/openapi.json").body)
    return file


@pytest.fixture(scope="module")
def npm(pytestconfig: pytest.Config) -> Path:
    """Return the folder of the programs that npm installed, or skip without them, or fail where they must be."""
    if not (PROGRAMS / "openapi-ts").exists():
        if pytestconfig.getoption("--require-node"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return PROGRAMS


def example(language: str) -> str:
    """Return the page's program in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return found


def run(*command: object, folder: Path, **variables: str) -> str:
    """Run a program in a folder and return what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # ruff, which formats what is generated
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **quiet, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def reached(server: Server) -> dict[str, str]:
    """Return the variables by which the programs find the server."""
    return {"ROWLESS_URL": f"http://127.0.0.1:{server.port}", "ROWLESS_TOKEN": server.home.tokens["ada"]}


def assert_answered(server: Server, printed: str) -> None:
    """Check that a program printed the answer that the server has stored, and that it was charged once."""
    ada = server.client("ada")
    (head,) = ada.good("GET", f"/studies/{STUDY}/releases")["items"]
    rows = ada.good("GET", f"/studies/{STUDY}/releases/{head['id']}")["rows"]
    assert re.match(r"epsilon 0\.1, and \d+ such questions are left\n", printed)
    numbers = [[row["sex"], *(row["patients"][name] for name in ("value", "low", "high"))] for row in rows]
    assert [line.split() for line in printed.splitlines()[1:]] == [[str(one) for one in row] for row in numbers]
    assert ada.good("GET", f"/studies/{STUDY}/budget")["spent"]["epsilon"] == EPSILON  # by all programs together


def test_generated_python_client_asks_a_query(described: Server, document: Path, tmp_path: Path) -> None:
    """openapi-python-client drops nothing; the page's program is right for mypy --strict and prints the answer."""
    python = Path(sys.executable)
    generator = python.with_name("openapi-python-client")
    options = ("--meta", "none", "--output-path", "rowless_api", "--fail-on-warning")
    run(generator, "generate", "--path", document, *options, folder=tmp_path)
    made = {file.stem for file in (tmp_path / "rowless_api" / "api").glob("*/*.py")} - {"__init__"}
    served: dict[str, Any] = json.loads(document.read_text())
    named = {one["operationId"] for path in served["paths"].values() for one in path.values() if isinstance(one, dict)}
    assert made == named

    (tmp_path / "ask.py").write_text(example("python"))
    run(python, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir=.mypy", "ask.py", folder=tmp_path)
    assert_answered(described, run(python, "ask.py", folder=tmp_path, **reached(described)))


def test_generated_typescript_client_asks_a_query(described: Server, document: Path, npm: Path, tmp_path: Path) -> None:
    """@hey-api/openapi-ts makes a client; the page's program is right for tsc --strict and prints the answer."""
    options = {"module": "nodenext", "target": "es2022", "lib": ["es2022", "dom", "dom.iterable"], "strict": True}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["*.ts"]}))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "openapi-ts.config.js").write_text(example("javascript"))
    run(npm / "openapi-ts", folder=tmp_path, **reached(described))
    (tmp_path / "node.d.ts").write_text("declare const process: { env: Record<string, string | undefined> };\n")
    (tmp_path / "ask.ts").write_text(example("typescript"))
    run(npm / "tsc", "--skipLibCheck", folder=tmp_path)
    assert_answered(described, run("node", "ask.js", folder=tmp_path, **reached(described)))


def test_document_has_no_finding_of_redocly(document: Path, npm: Path) -> None:
    """`redocly lint` finds no error and no warning, with the rules of redocly.yaml."""
    options = ("--config", ROOT / "redocly.yaml", "--format", "json")
    found = json.loads(run(npm / "redocly", "lint", document, *options, folder=document.parent))
    assert [(one["ruleId"], one["message"]) for one in found["problems"]] == []
    assert PREFIX in document.read_text()
