"""The command line in French: every text has its French, and no English is left in what a command prints.

There is one way to print words: `say` and `count` for the command line's own texts, `phrase` and refusals for what the
API says, docstrings and `help=` for the help (`server/cli/speaking.py`). The first tests hold every module to it. What
goes these ways is in the catalogs: `tests/server/pages/test_languages.py` looks for texts without French in the one,
`tests/server/languages/test_phrases.py` in the other.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from server.cli import texts
from server.cli.commands import Command, paragraphs
from server.cli.main import main
from server.cli.speaking import DOMAIN, TRANSLATIONS, phrases, speaking
from server.demo.setup import MANIFEST
from tests.server.languages.spoken import HOLE, ROOT, forms, is_sentence
from tests.serving import CLINIC, PATIENTS, UNADVISED, ask, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Place

SAYING = {"say", "count", "pgettext"}  # looked up in the catalog of texts
PHRASING = {"phrase", "phrases"}  # looked up in fr.toml
HELPING = {"option", "argument", "command", "group", "Lazy"}  # looked up when the help is shown
# Beginnings of texts that are printed as they are, or not printed -> why.
UNSAID = {
    "rowless user confirm ": "a command to copy",
    "rowless release show ": "a command to copy",
    "rowless import ": "a command to copy",
    "{}, application/problem+json": "a header",
    "epsilon {}": "the name of an amount",
    "rho {}": "the name of an amount",
    "{}{}/api": "an address",
    "Bearer {}": "a header",
    "rowless: {}": "a refusal after the name of the program",
    "ok    {}: {}": "a line of doctor, which is a phrase",
    "WRONG {}: {}": "a line of doctor, which is a phrase",
    "the server answered with the status {}": "a refusal, raised by who asks for it",
    "release {} of {}": "a phrase, once it is known what data are made of",
}
TEXTS = "server/cli/texts.py"  # the beginnings of what click says to programmers


def own_words(text: str) -> bool:
    """Return whether a text has words: two of them, or one beside a value."""
    beside = HOLE in text and re.search(r"(^|[ :;,(])[A-Za-z]{2,}($|[ :;,.)])", text.replace(HOLE, "")) is not None
    return is_sentence(text) or (beside and " " in text)


def unsaid(source: str) -> Iterator[str]:
    """Yield each text of a module that goes none of the ways in which texts are translated."""
    tree = ast.parse(source)
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        whole = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        if not whole or isinstance(above.get(node), ast.JoinedStr | ast.FormattedValue) or _goes_a_way(node, above):
            continue
        yield from filter(own_words, forms(node))


def _goes_a_way(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    child: ast.AST = node
    while (parent := above.get(child)) is not None:
        match parent:
            case ast.Expr():  # a docstring
                return child is node
            case ast.Raise() | ast.Assert():
                return not _is_shown_by_click(parent)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                if name in SAYING:
                    return isinstance(node, ast.Constant) and child in parent.args
                if name in PHRASING or name in HELPING or ast.unparse(parent.func) == "log.append":
                    return True
            case ast.Assign(targets=[ast.Name(id=name)]) if name.endswith("HELP") or name == "WANTED":
                return True
        child = parent
    return False


def _is_shown_by_click(raised: ast.Raise | ast.Assert) -> bool:
    """Return whether click prints an error by itself, so that its text has to be said in French where it is raised."""
    return isinstance(raised, ast.Raise) and ast.unparse(raised.exc or raised).startswith("click.")


def test_every_text_goes_a_way_that_is_translated() -> None:
    """A sentence that is printed as it is would stay English: this names it, and what to do is in docs/contributing."""
    modules = sorted((ROOT / "server" / "cli").rglob("*.py"))
    assert len(modules) > 30
    found = {
        f"{file.relative_to(ROOT)}: {text}"
        for file in modules
        if file.relative_to(ROOT).as_posix() != TEXTS
        for text in unsaid(file.read_text(encoding="utf-8"))
        if not text.startswith(tuple(UNSAID))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("return said, f'{n} studies were closed'", ["{} studies were closed"]),
        ("click.echo('the study is closed')", ["the study is closed"]),
        ("raise click.UsageError('give a FILE or --sql')", ["give a FILE or --sql"]),
        ("say(f'the study {name} is closed')", ["the study {} is closed"]),
        ("say('the study %(name)s is closed', name=name)", []),
        ("raise Invalid('--as', f'say on whose behalf: {names}')", []),
        ("phrase('the study is closed')", []),
        ("{'state': 'approved'}", []),
        ("@click.option('--x', help='Why; kept in the audit log.')\ndef f(): ...", []),
    ],
)
def test_text_that_goes_no_way_is_caught(source: str, caught: list[str]) -> None:
    """A planted sentence is found; one that is said, raised, a phrase or help is not."""
    assert list(unsaid(source)) == caught


def commands() -> list[tuple[tuple[str, ...], click.Command]]:
    """Return every command and group with the words that call it."""
    return list(texts.commands())


def run(*arguments: str, env: dict[str, str] | None = None) -> Any:
    """Run a command in the language of a French environment."""
    french = {"LC_ALL": "", "LC_MESSAGES": "", "LANG": "fr_FR.UTF-8"}
    return CliRunner().invoke(main, list(arguments), prog_name="rowless", env={**french, **(env or {})})


def test_every_command_speaks_the_language_of_the_command_line() -> None:
    """A command that is a plain `click.Command` would show its help in English: write `cls=Command` or `cls=Group`."""
    assert len(commands()) > 60
    assert [path for path, command in commands() if not isinstance(command, Command)] == []


def test_every_help_is_french() -> None:
    """Every command's help, with all its options, has no English word that joins others, and no English paragraph."""
    for path, command in commands():
        shown = run(*path, "--help")
        assert shown.exit_code == 0, path
        bare = " ".join(shown.output.split())
        assert english(shown.output) == [], path
        assert command.help is not None
        assert not any(text in bare for text in paragraphs(command.help)), path
        assert run(*path, "--help", env={"LANG": "C"}).output == run("--lang", "en", *path, "--help").output, path


# Words that join others in English and are none in French.
JOINING = re.compile(
    r"\b(?:the|of|and|is|are|was|were|to|by|not|with|from|has|have|had|there|this|that|it|its|waits|left|yet|been|"
    r"which|who|can|will|would|must|for|only|no|any|all|each|other|than|then|because|after|before|given|see|"
    r"you|your|what|how|does|do|at|but|into|so|or|more|than|until|since|nobody|nothing|approved|advice|needs|"
    r"missing|invalid|value|required|show)\b",
    re.IGNORECASE,
)
CODE = re.compile(
    r"--[a-z-]+|`[^`]*`|\[[^\]]*\]|\browless( [a-z-]+)+|\S+[./=]\S+|SELECT .*|HAVING .*|\{.*\}|[\"'].*?[\"']|\b[a-z]+_[a-z_]+\b|\b[A-Z]{2,}\b"
)
# French that looks English: "plus or", "or" as a conjunction, "do" as a name.
FRENCH = re.compile(r"\bor\b,|\bhors\b", re.IGNORECASE)


def python(program: str) -> str:
    """Return what a program prints that is run by a Python of its own."""
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def english(output: str) -> list[str]:
    """Return the lines of an output that have English words outside of code, of names and of texts of people."""
    lines = (CODE.sub(" ", re.sub(r"^  [a-z-]+  ", " ", line)) for line in output.splitlines())
    return [line for line in lines if JOINING.search(FRENCH.sub(" ", line))]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("study approve", "Argument manquant 'ÉTUDE'."),
        ("study approve flu", "Option manquante '--reason'."),
        ("study aprove", "La commande « aprove » n’existe pas."),
        ("study list --al", "L’option « --al » n’existe pas."),
        ("study list xyz", "Un argument est en trop (xyz)"),
        ("dataset advise x --opinion good --reason y", "« good » n’est aucune de ces valeurs"),
        ("audit entries --limit many", "« many » n’est pas un nombre entier valide."),
        ("audit entries --limit 0", "0 n’est pas dans l’intervalle 1<=x<=1000."),
        ("audit entries --from soon", "Valeur non valide pour '--from'"),
        ("query flu nowhere.json", "Fichier introuvable : « nowhere.json »."),
        ("query flu", "donnez un FICHIER ou --sql"),
        ("query flu --sql", "L’option « --sql » demande une valeur."),
        ("manifest draft", "Argument manquant 'FICHIERS...'."),
    ],
)
def test_misuse_is_told_in_french(arguments: str, told: str, tmp_path: Path) -> None:
    """What click says of missing, unknown and wrong arguments is French, with the names of values as the help has them."""
    ended = run(*shlex.split(arguments), env={"ROWLESS_HOME": str(tmp_path)})
    assert ended.exit_code == 2
    assert told in ended.output.replace("\u202f", " ")
    assert ended.output.startswith(("Utilisation\u202f: rowless", "Erreur\u202f: "))
    assert english(ended.output) == []


@pytest.fixture(scope="module")
def place(shared: Place) -> Place:
    """Return an application whose texts of people are French, with an answer in its study."""
    return shared


def typical(release: str, folder: Path) -> Iterator[str]:
    """Yield typical commands, one line each."""
    sql = shlex.quote("SELECT age, AVG(visits) AS x FROM years GROUP BY age")
    yield from ("study list", "study show flu", "study budget flu", "study formalities flu", "study protocol flu")
    yield from ("dataset list", "dataset show rand-hie", "dataset parts rand-hie", "user list", "user proposals")
    yield from ("token list", "token new ada --days 5", "user add max --role dpo", "user add nora --role researcher")
    yield f"query flu --sql {sql} --epsilon 0.5 --estimate"
    yield f"query flu --sql {sql} --epsilon 0.5"
    yield f"query flu --sql {sql} --epsilon 0.5 --rehearse"
    yield from (f"release show flu {release}", "release list flu", "audit identities", "audit alerts", "audit key")
    yield from ("audit entries --limit 50", f"audit export {folder}/log.jsonl", f"audit checkpoint {folder}/c")
    yield from (f"certificate flu {release} {folder}/certificate.json --as ada", "report study flu --as dora")
    yield "study new essai --dataset rand-hie --epsilon 1 --title Essai --purpose Voir --legal-basis MR-004 --ends 2027-11-30"
    yield from (
        "study advise essai --opinion conditional --reason ok",
        "study show essai",
        "study approve essai --reason ok",
    )
    yield "study budget essai --epsilon 2 --reason plus"
    yield from (
        "doctor --quick",
        "recover",
        "study close flu --reason x",
        "dataset show nowhere",
        "user remove somebody",
    )
    yield from (f"import {folder}/clinic.toml --check", f"import {folder}/clinic.toml --estimate")
    yield from (f"manifest check {folder}/clinic.toml", f"manifest check {folder}/nowhere.toml")
    yield from (f"rehearsal-data rand-hie {folder}/made", f"demo-data {folder}/demo --persons 10")


def texts_of_people(document: object) -> Iterator[str]:
    """Yield the texts of a manifest: titles, reasons, formalities."""
    match document:
        case dict():
            for value in document.values():
                yield from texts_of_people(value)
        case str() if " " in document:
            yield document


def without_people(output: str) -> str:
    """Return an output without what people of the tests typed."""
    manifests = (CLINIC, MANIFEST.read_text(encoding="utf-8"))
    typed = [text for one in manifests for text in texts_of_people(tomllib.loads(one))]
    for text in sorted([*typed, "a test", "it may", UNADVISED["without_advice"]], key=len, reverse=True):
        output = output.replace(text, "")
    return output


def test_no_english_is_left_in_what_typical_commands_print(place: Place, tmp_path: Path) -> None:
    """Lists, reports, refusals, answers, checks: every line that is not a text of people is French."""
    made = place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.01, group_by=["age"]))
    write_clinic(tmp_path)
    environment = place.home.environment()
    found: dict[str, list[str]] = {}
    for line in typical(made["id"], tmp_path):
        ended = run(*shlex.split(line), env=environment)
        assert not isinstance(ended.exception, Exception), line
        left = english(without_people(ended.output))
        found |= {line: left} if left else {}
    key = run("audit", "key", env=environment).stdout.strip()
    for file in ("log.jsonl", "certificate.json"):
        checked = run("audit", "verify", str(tmp_path / file), "--key", key)
        assert "Verdict\u202f: bon." in checked.output
        found |= {file: left} if (left := english(without_people(checked.output))) else {}
    assert json.dumps(found, indent=1, ensure_ascii=False) == "{}"


def test_days_and_numbers_are_written_as_the_french_write_them(place: Place) -> None:
    """Days have the day first, numbers a decimal comma and narrow spaces; with --json nothing changes."""
    environment = place.home.environment()
    assert re.search(
        r" \d\d/\d\d/20\d\d \d\d:\d\d:\d\d  ", run("audit", "entries", "--as", "dora", env=environment).output
    )
    budget = run("study", "budget", "flu", env=environment).output
    assert re.search(r"\d\u202f\d{3}", budget)
    assert re.search(r"^0,001 ", budget, re.MULTILINE)
    for line in ("study budget flu --json", "dataset list --json", "user list --json"):
        assert run(*line.split(), env=environment).output == run(*line.split(), env={**environment, "LANG": "C"}).output


def test_demonstration_speaks_french() -> None:
    """What the demonstration tells on its way is French, line by line; addresses and tokens stay."""
    told = [
        "Made a home in /x",
        "  the profile was bought for epsilon 0.1 of the cap; it is public",
        "\nAsking, as a researcher: do people who pay a larger share of the bill (coinsurance, in %) see a doctor less often?",
        "It cost epsilon 0.3. Of the study's 1, 0.7 is left.",
        "\nServing until Ctrl-C. Open http://127.0.0.1:8123/ in a browser, or begin as\n"
        "  researcher   http://127.0.0.1:8123/sign-in#token=x\n\nTokens for programs:\n",
    ]
    with speaking(["--lang", "fr"]):
        for text in told:
            said = phrases(text)
            assert len(said.split("\n")) == len(text.split("\n"))
            assert said != text
            assert english(said) == [], text


def test_command_that_was_first_called_in_french_speaks_english_afterwards() -> None:
    """Click names types of values when a command is imported: that is always in English, and translated when shown."""
    ended = python(
        "import sys; from click.testing import CliRunner; from server.cli.main import main; run = CliRunner().invoke; "
        "run(main, ['--lang', 'fr', 'manifest', 'check', '--help']); "
        "print(run(main, ['--lang', 'en', 'manifest', 'draft', '/nowhere']).output)"
    )
    assert "Path '/nowhere' does not exist." in ended


def test_catalog_is_where_click_looks_for_its_own_texts() -> None:
    """Click looks its texts up in gettext's default domain, which is the name of the compiled catalog."""
    assert (TRANSLATIONS / "fr" / "LC_MESSAGES" / f"{DOMAIN}.mo").is_file()
