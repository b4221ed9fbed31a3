"""What README and docs/ say is so: examples run, every route, problem and setting stands there, links lead somewhere."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from budgets.audit.signing import verifier_key
from budgets.loss import NANO
from server.demo.demonstration import ASK
from server.demo.observatory import write_observatory
from server.demo.setup import EPSILON, MANIFEST, OBSERVATORY
from server.reporting import attack_odds, guarantee
from server.runtime.settings import SETTINGS
from server.web.problems import HTTP, INTERNAL, PROBLEMS
from tests.serving import PREFIX, ROOT, Place, application, make_home, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Home

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    MANIFEST.with_name("ORIGIN.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def text_of(name: str) -> str:
    """Return a file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(name), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def place(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application with the demonstration's data and an approved study."""
    with application(template.copy(tmp_path_factory.mktemp("docs") / "home")) as opened:
        opened.open_study()
        yield opened


# Examples

QUERIES = [json.loads(block) for block in blocks("docs/queries.md", "json")]


@pytest.mark.parametrize("example", QUERIES, ids=range(len(QUERIES)))
def test_every_example_of_the_language_runs(place: Place, example: dict[str, Any]) -> None:
    """Each example in docs/queries.md is answered on the demonstration data, with the columns it asks for."""
    body = example if "privacy" in example else {"query": example, "privacy": {"epsilon": 0.5}}
    answer = place.client("ada").good("POST", "/studies/flu/queries", body)
    if "standardise" not in body.get("show", {}):
        assert {column["name"] for column in answer["columns"]} >= set(answer["query"]["select"])
    if "query" in body:
        assert set(answer["query"]["select"]) == set(body["query"]["select"])
    assert answer["rows"]


PATHWAYS = [json.loads(block) for block in blocks("docs/pathways.md", "json")]


@pytest.fixture(scope="module")
def observatory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application with the demonstration's observatory, and a study on it that may spend a lot."""
    folder = tmp_path_factory.mktemp("observatory")
    manifest = write_observatory(folder, OBSERVATORY).manifest
    manifest.write_text(manifest.read_text().replace("epsilon = 3.0", "epsilon = 1000.0"))
    with application(make_home(folder / "home", manifest)) as opened:
        opened.open_study("pathways", "observatory", epsilon=100.0)
        yield opened


@pytest.mark.parametrize("example", PATHWAYS, ids=range(len(PATHWAYS)))
def test_every_example_of_a_pathway_runs(observatory: Place, example: dict[str, Any]) -> None:
    """Each example in docs/pathways.md is answered on the made-up observatory, with the columns it asks for."""
    body = example if "privacy" in example else {"query": example, "privacy": {"epsilon": 0.5}}
    answer = observatory.client("ada").good("POST", "/studies/pathways/queries", body)
    if "standardise" not in body.get("show", {}):
        assert {column["name"] for column in answer["columns"]} >= set(answer["query"]["select"])
    assert answer["rows"]
    # What is shown as SQL is the same question: it is answered again, free.
    again = observatory.client("ada").good(
        "POST",
        "/studies/pathways/queries",
        {"sql": answer["sql"], "privacy": body["privacy"], "bounds": answer["query"].get("bounds", {})},
    )
    assert again["replayed"]


def test_the_template_of_the_docs_is_met_by_the_query_of_the_docs(place: Place) -> None:
    """The protocol in docs/governance.md can be set, allows the query in SQL there, and nothing else."""
    (protocol,), (text,) = blocks("docs/governance.md", "json"), blocks("docs/governance.md", "sql")
    place.open_study("strict", protocol=json.loads(protocol))
    ada = place.client("ada")
    body = {"sql": text, "privacy": {"epsilon": 0.5}}
    assert ada.good("POST", "/studies/strict/queries", body)["rows"]
    for other in ({**body, "sql": text.replace("40", "66")}, {**body, "privacy": {"epsilon": 0.6}}):
        assert ada.post("/studies/strict/queries", other).code == "outside-protocol"


def test_docs_have_examples() -> None:
    """The pattern that finds the examples of the docs finds some."""
    assert len(QUERIES) >= 4
    assert len(PATHWAYS) >= 6


def test_the_call_of_the_readme_gives_the_answer_of_the_readme(home: Home) -> None:
    """The README's curl command, with the token in TOKEN, gives what the README shows, after the demonstration's question.

    With twice the epsilon it is refused, with the words of the README.
    """
    (call,) = (block for block in blocks("README.md", "bash") if "curl" in block)
    assert shutil.which("curl"), "the README's first query is sent with curl"
    with serving(home) as server:
        server.open_study("cost-sharing", "rand-hie", epsilon=float(EPSILON), justification=None)
        server.client("ada").good("POST", "/studies/cost-sharing/queries", ASK)
        command = call.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}")
        assert command != call
        ended = subprocess.run(
            ["bash", "-c", command], env={"TOKEN": home.tokens["ada"]}, capture_output=True, check=True, timeout=300
        )
        again = command.replace('"epsilon": 0.25', '"epsilon": 0.5')
        assert again != command
        refused = subprocess.run(
            ["bash", "-c", again], env={"TOKEN": home.tokens["ada"]}, capture_output=True, check=True, timeout=300
        )
    (words,) = blocks("README.md", "text")
    assert json.loads(refused.stdout)["detail"] == words.strip()
    answer = json.loads(ended.stdout)
    (shown,) = map(json.loads, blocks("README.md", "json"))
    assert answer["cost"] == shown["cost"]
    assert answer["columns"] == shown["columns"]
    assert [row["sex"] for row in answer["rows"]] == [row["sex"] for row in shown["rows"]]
    for row, example in zip(answer["rows"], shown["rows"], strict=True):
        assert row["patients"].keys() == example["patients"].keys()
        # Epsilon 0.25: a difference of two noises beyond 100 has a probability below 1e-9.
        assert abs(row["patients"]["value"] - example["patients"]["value"]) < 100


def test_the_certificate_of_the_docs_is_fetched_and_verified(home: Home, tmp_path: Path) -> None:
    """What docs/certificates.md tells a researcher and a reader to run does what it shows there."""
    fetch, check = blocks("docs/certificates.md", "bash")
    (shown,) = blocks("docs/certificates.md", "text")
    with serving(home) as server:
        server.open_study("cost-sharing", "rand-hie")
        fetch = fetch.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}")
        assert str(server.port) in fetch
        variables = {"TOKEN": home.tokens["ada"], "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        fetched = subprocess.run(
            ["bash", "-ec", fetch], env=variables, cwd=tmp_path, capture_output=True, check=True, timeout=300, text=True
        )
    variables["VKEY"] = verifier_key(home.path / "audit.key")
    ended = subprocess.run(
        ["bash", "-ec", check], env=variables, cwd=tmp_path, capture_output=True, check=True, timeout=300, text=True
    )
    digest = fetched.stdout.split()[0]
    assert f"SHA-256 of the certificate: {digest}\n" in ended.stdout
    # Line by line what the page shows, but for what is of one home and moment.
    odd = re.compile(
        r"\d{4}-\S+Z|rowless-\S+|\b[0-9a-f]{32,64}\b|\b[0-9a-f]{4,}\.\.\.|(?<=entry )\d+|\d+(?= (entries|hashes))"
    )
    told, seen = ([odd.sub("#", line) for line in text.splitlines()] for text in (shown, ended.stdout))
    assert told == seen


def test_the_manifest_of_the_docs_is_one(tmp_path: Path) -> None:
    """The manifest that docs/manifest.md explains is read without a complaint, and so is each of its further tables."""
    from queries.catalog import manifest

    example, *tables = blocks("docs/manifest.md", "toml")
    assert manifest.parse(example, tmp_path).dataset.name == "rand-hie"
    assert len(tables) >= 4
    for table in tables:
        head = '[dataset]\nname = "d"\nepsilon = 1\npersons_max = 9\n[person]\nid = "id"\n'
        read = manifest.parse(head + table, tmp_path)
        assert list(read.events) == ["visits"]


# What is named, exists; what exists, is named


def test_every_call_stands_in_the_docs(place: Place) -> None:
    """docs/http.md lists the calls that the OpenAPI document has, and no other."""
    document = place.client("ada").good("GET", "/openapi.json")
    served = {
        (method.upper(), re.sub(r"\{\w+\}", "*", path.removeprefix(PREFIX)))
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    table = re.findall(r"^\| (`.*?`) \|", text_of("docs/http.md"), re.MULTILINE)
    calls = re.findall(r"`([A-Z]+) (/[^`]*)`", "\n".join(table))
    told = {(method, re.sub(r"[A-Z]+", "*", path)) for method, path in calls}
    assert told == served


def test_every_problem_stands_in_the_docs() -> None:
    """docs/http.md names each problem's status and code, and no other."""
    told = set()
    for line in re.findall(r"^\| (\d{3} `.*?) \|", text_of("docs/http.md"), re.MULTILINE):
        status = ""
        for number, code in re.findall(r"(\d{3})|`([a-z-]+)`", line):
            status = number or status
            if code:
                told.add((int(status), code))
    answers = [*PROBLEMS.values(), *HTTP.values(), INTERNAL]
    assert told == {(answer.status, answer.code) for answer in answers}


def test_every_setting_stands_in_the_docs() -> None:
    """docs/operations.md has each setting with its default, and names no other."""
    page = text_of("docs/operations.md")
    rows = dict(re.findall(r"^\| `(ROWLESS_\w+)` \| `(.*?)` \|", page, re.MULTILINE))
    assert rows == {setting.name: setting.default for setting in SETTINGS.values()}


def prose(path: Path) -> str:
    """Return a page, or a module's docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join(one.string for one in found if one.type == tokenize.COMMENT or '"""' in one.string)


def modules(*folders: str) -> list[Path]:
    """Return the modules of some folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", ["budgets", "queries", "server", "tests", "benchmarks", "clients", "docs"])
def test_every_module_that_is_named_exists(folder: str) -> None:
    """Each module that a page or a docstring names is there: by its path, or by its name in the same package."""
    pages = PAGES if folder == "docs" else modules(folder)
    near = (
        [folder] if folder in ("budgets", "queries", "server") else ["budgets", "queries", "server", "tests", "clients"]
    )
    known = {path.name for path in modules(*near)}
    wrong = [
        f"{page.relative_to(ROOT)}: {named}"
        for page in pages
        for named in re.findall(r"(?<![\w/.*-])((?:[\w-]+/)*\w+\.py)\b", prose(page))
        if named not in known and not (ROOT / named).is_file()
    ]
    assert wrong == []


def test_the_journey_is_told_twice_alike() -> None:
    """The steps before data are touched stand in the same modules by `server/journey/answer.py` and docs/architecture.md."""
    for step in ("1. parse", "2. permit"):
        told = [
            set(re.findall(r"(\w+)\.py", text.partition(step)[2].partition("\n3. ")[0].partition("\n2. ")[0]))
            for text in (text_of("server/journey/answer.py"), text_of("docs/architecture.md"))
        ]
        assert told[0]
        assert told[0] <= told[1]


def test_no_rule_of_another_document_is_named() -> None:
    """No text refers to a rule by a number, which only a document that is not here could explain."""
    texts = [
        *PAGES,
        ROOT / "CHANGELOG.md",
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
        *(ROOT / "server" / "reporting").glob("*.[hc]*"),
    ]
    texts += modules("budgets", "queries", "server", "benchmarks", "tests")
    numbered = re.compile(r"\brules? [0-9]")
    found = [path.relative_to(ROOT).as_posix() for path in texts if numbered.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_figures_of_the_bounds_are_rounded_up() -> None:
    """What the pages say of a belief of 10% and of the advantage is the bound, rounded up and not further."""
    table = re.findall(r"^\| ([\d.]+) \| (0\.\d+) \| ([\d.]+%) \|$", text_of("docs/report.md"), re.MULTILINE)
    assert len(table) == 3
    for epsilon, advantage, belief in table:
        bound = attack_odds.advantage(pure(epsilon)).quantize(Decimal("0.001"), rounding=ROUND_CEILING)
        assert Decimal(advantage) == bound
        assert belief == guarantee.percent(attack_odds.posterior(pure(epsilon), Decimal("0.1")))
    for page, figures in (("README.md", 1), ("docs/concepts.md", 3)):
        (paragraph,) = [part for part in text_of(page).split("\n\n") if "10%" in part]
        told = re.findall(r"epsilon ([\d.]+)(?:(?!epsilon).)*?at most ([\d.]+%)", paragraph, re.DOTALL)
        assert len(told) == figures
        for epsilon, belief in told:
            assert belief == guarantee.percent(attack_odds.posterior(pure(epsilon), Decimal("0.1"))), page
    (factor,) = re.findall(
        r"epsilon 1 by at most a factor of (\d+\.\d+)", " ".join(text_of("docs/concepts.md").split())
    )
    assert Decimal(factor) == Decimal(1).exp().quantize(Decimal("0.01"), rounding=ROUND_CEILING)


def pure(epsilon: str) -> attack_odds.Guarantee:
    """Return what an epsilon alone promises."""
    return attack_odds.Guarantee(int(Decimal(epsilon) * NANO), 0, "test")


def test_every_command_of_the_docs_exists() -> None:
    """Whatever a page tells people to run as `rowless ...` is a command, with options that it has."""
    from server.cli.main import main

    for page in PAGES:
        told = re.findall(r"(?:^\$ |`)rowless (?:--lang \w+ )?([a-z-][^`\n]*)", page.read_text(), re.MULTILINE)
        for line in told:
            words = line.split()
            found = main.get_command(click.Context(main), words[0])
            assert found is not None, (page, line)
            if isinstance(found, click.Group):
                assert words[1] in found.list_commands(click.Context(found)), (page, line)
                found = found.get_command(click.Context(found), words[1])
            assert found is not None, (page, line)
            known = {"--help", *(name for one in found.params for name in one.opts)}
            unquoted = re.sub(r"\"[^\"]*\"|'[^']*'|[|;>].*", "", line)
            assert {word for word in re.findall(r"(?<!\S)--[a-z][a-z-]*", unquoted)} <= known, (page, line)


def test_every_target_has_its_line_of_help() -> None:
    """`make help` lists every target that people call."""
    targets = re.findall(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)[0].split()
    told = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  make ([\w-]+) +\S", told, re.MULTILINE)
    assert sorted(listed) == sorted(targets)


def anchors(page: Path) -> set[str]:
    """Return the fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link leads to a file of the project, and its fragment to a heading there."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, fragment = target.partition("#")
        file = page if not path else (page.parent / path).resolve()
        assert file.is_file(), target
        assert not fragment or fragment in anchors(file), target
