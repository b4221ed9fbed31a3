"""The sentences that users read: `tests/sentences.golden` holds them, so that a change of one is seen and reviewed.

All other tests compare codes, pointers and numbers, so that a sentence can be made better without changing them.
"""

from __future__ import annotations

import difflib
import logging
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from server.cli.main import main
from server.web.problems import HTTP, INTERNAL, PROBLEMS
from tests.serving import FORMALITIES, PATIENTS, ROOT, application, ask, make_home, write_clinic, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Client, Home, Place, Reply

    Json = dict[str, Any]

GOLDEN = ROOT / "tests" / "sentences.golden"
HEAD = """\
# Sentences that users read: problem documents, notes and advice of estimates, output of commands.
# tests/server/test_sentences.py makes this file and compares it. After a change of a sentence, make it anew with
#
#     python -m tests.server.test_sentences
#
# and read the difference as a user would. No other test compares whole sentences.
"""

CLINIC = {"from": "visits", "select": {"n": {"count": "persons"}}}
TERMS = {"title": "T", "purpose": "P", "legal_basis": "L", "formalities": FORMALITIES}
NEW = {**TERMS, "name": "second", "dataset": "clinic", "epsilon": 1.0}


def where(column: str, op: str, value: Any) -> Json:
    """Return a filter."""
    return {"column": column, "op": op, "value": value}


def clinic(epsilon: float = 0.5, select: Json | None = None, **parts: Any) -> Json:
    """Return a request about the clinic's visits."""
    return ask(select or PATIENTS, epsilon, "visits", **parts)


def sql(text: str) -> Json:
    """Return a request in SQL."""
    return {"sql": text, "privacy": {"epsilon": 0.5}}


# What it is about -> who sends what. Each must be refused.
REFUSED: dict[str, tuple[str | None, str, str, Any]] = {
    "no token": (None, "GET", "/me", None),
    "an address that does not exist": ("ada", "GET", "/nowhere", None),
    "a method that an address does not allow": ("ada", "DELETE", "/me", None),
    "a role that does not allow it": ("ada", "GET", "/audit/entries", None),
    "a study that does not exist": ("admin", "GET", "/studies/nowhere", None),
    "a user name that is taken": ("admin", "POST", "/users", {"name": "ada", "role": "researcher"}),
    "a role that does not exist": ("admin", "POST", "/users", {"name": "eve", "role": "king"}),
    "removing oneself": ("admin", "DELETE", "/users/admin", None),
    "the last DPO": ("admin", "DELETE", "/users/dora", None),
    "a study without terms": ("admin", "POST", "/studies", {"name": "x"}),
    "a study of that name exists": ("admin", "POST", "/studies", {**NEW, "name": "flu"}),
    "a dataset that does not exist": ("admin", "POST", "/studies", {**NEW, "dataset": "nowhere"}),
    "a budget that is too small": ("admin", "POST", "/studies", {**NEW, "epsilon": 1e-12}),
    "a strict protocol without templates": ("admin", "POST", "/studies", {**NEW, "protocol": {"strict": True}}),
    "approving what is approved": ("vera", "POST", "/studies/flu/approve", {"reason": "again"}),
    "a decision without a reason": ("dora", "POST", "/studies/flu/suspend", {"reason": ""}),
    "no member of the study": ("ben", "POST", "/studies/flu/queries", clinic()),
    "a draft": ("ada", "POST", "/studies/draft/queries", clinic()),
    "a budget that is exceeded": ("ada", "POST", "/studies/small/queries", clinic(5.0)),
    "an unknown member": ("ada", "POST", "/studies/flu/estimates", {"query": {**CLINIC, "limit": 5}, "privacy": {}}),
    "no query": ("ada", "POST", "/studies/flu/estimates", {"privacy": {"epsilon": 1}}),
    "no table": ("ada", "POST", "/studies/flu/estimates", ask(PATIENTS, 0.5, "nowhere")),
    "no column": ("ada", "POST", "/studies/flu/estimates", clinic(group_by=["nowhere"])),
    "no statistic of that name": ("ada", "POST", "/studies/flu/estimates", clinic(select={"n": {"median": "age"}})),
    "a sum of a text": ("ada", "POST", "/studies/flu/estimates", clinic(select={"n": {"sum": "code"}})),
    "epsilon 0": ("ada", "POST", "/studies/flu/estimates", clinic(0.0)),
    "epsilon and rho": (
        "ada",
        "POST",
        "/studies/flu/estimates",
        {"query": CLINIC, "privacy": {"epsilon": 1, "rho": 1}},
    ),
    "a category that does not exist": (
        "ada",
        "POST",
        "/studies/flu/estimates",
        clinic(where=where("sex", "=", "other")),
    ),
    "a text that is compared with a number": (
        "ada",
        "POST",
        "/studies/flu/estimates",
        clinic(where=where("age", ">=", "old")),
    ),
    "a beginning of no value": ("ada", "POST", "/studies/flu/estimates", clinic(where=where("sex", "under", "man"))),
    "a beginning of a number": ("ada", "POST", "/studies/flu/estimates", clinic(where=where("age", "under", "4"))),
    "an empty beginning": ("ada", "POST", "/studies/flu/estimates", clinic(where=where("sex", "under", ""))),
    "a column compared with one of another kind": (
        "ada",
        "POST",
        "/studies/flu/estimates",
        clinic(where=where("age", "<", {"column": "sex"})),
    ),
    "an operator that does not exist": ("ada", "POST", "/studies/flu/estimates", clinic(where=where("age", "~", 1))),
    "a key without declared values and without delta": (
        "ada",
        "POST",
        "/studies/flu/estimates",
        clinic(group_by=["code"]),
    ),
    "bounds outside the catalog": (
        "ada",
        "POST",
        "/studies/flu/estimates",
        clinic(select={"s": {"sum": "age", "bounds": [5, 1]}}),
    ),
    "too many numbers would drown": (
        "ada",
        "POST",
        "/studies/flu/queries",
        {**clinic(0.001, group_by=["age"]), "require": {"drowned": 0.1}},
    ),
    "SQL that cannot be read": ("ada", "POST", "/studies/flu/estimates", sql("SELECT count(* FROM visits")),
    "SQL that asks for rows": ("ada", "POST", "/studies/flu/estimates", sql("SELECT * FROM visits")),
    "SQL with a join": (
        "ada",
        "POST",
        "/studies/flu/estimates",
        sql("SELECT COUNT(*) FROM visits JOIN visits v USING (x)"),
    ),
    "SQL with an unknown column": (
        "ada",
        "POST",
        "/studies/flu/estimates",
        sql("SELECT SUM(nowhere) AS s FROM visits"),
    ),
    "outside the protocol: a table": ("ada", "POST", "/studies/narrow/estimates", clinic()),
    "outside the protocol: a statistic": (
        "ada",
        "POST",
        "/studies/narrow/estimates",
        ask({"s": {"mean": "visits"}}, 0.5, "years"),
    ),
    "outside the protocol: epsilon": ("ada", "POST", "/studies/narrow/estimates", ask(PATIENTS, 3.0, "years")),
    "outside the protocol: a template": ("ada", "POST", "/studies/strict/estimates", clinic(group_by=["sex"])),
    "a release that does not exist": ("ada", "GET", "/studies/flu/releases/nowhere", None),
    "a page that is too long": ("dora", "GET", "/audit/entries?limit=5000", None),
    "a time that is not one": ("dora", "GET", "/audit/entries?from=yesterday", None),
    "a proof beyond the log": ("dora", "GET", "/audit/proofs/inclusion?index=100000", None),
}
MALFORMED = {
    "no JSON": b"{",
    "NaN": b'{"query": NaN}',
    "a key given twice": b'{"a": 1, "a": 2}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "a null character": b'{"a": "\\u0000"}',
    "no UTF-8": b"\xff",
    "deep nesting": b"[" * 100_000,
}

# What it is about -> a request to estimate: its notes and its advice.
ESTIMATED: dict[str, Json] = {
    "a count of persons": clinic(),
    "an epsilon that is rounded down": clinic(0.1234567891234),
    "events, with default bounds": clinic(select={"n": {"count": "events"}}, group_by=["sex"]),
    "bounds that were asked for": clinic(
        select={"s": {"sum": "cost", "bounds": [0, 100]}}, bounds={"events_per_cell": 1}
    ),
    "a literal outside the catalog": clinic(where=where("age", ">", 500)),
    "small groups": clinic(0.01, group_by=[{"column": "day", "period": "month"}]),
    "a key without declared values": {
        "query": {**CLINIC, "group_by": ["code"]},
        "privacy": {"epsilon": 0.5, "delta": 1e-8},
    },
    "a margin": {"query": CLINIC, "privacy": {"margin": {"n": 10}}},
    "a mean and a quantile": clinic(select={"m": {"mean": "cost"}, "q": {"quantile": "age", "at": 0.5}}),
}

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("doctor",),
    ("study", "show", "narrow"),
    ("study", "show", "nowhere"),
    ("study", "budget", "small"),
    ("study", "approve", "flu", "--reason", "again", "--without-advice", "none was asked"),
    ("query", "flu", "--sql", "SELECT COUNT(*) FROM nowhere", "--epsilon", "1", "--estimate"),
    ("query", "flu", "--sql", "SELECT COUNT(*) AS n FROM visits", "--epsilon", "0.5", "--estimate"),
    ("release", "list", "flu"),
    ("user", "add", "ada", "--role", "researcher"),
    ("user", "remove", "admin"),
    ("audit", "alerts"),
    ("recover",),
    ("profile", "clinic", "--epsilon", "0"),
    ("import", "nowhere.toml"),
)


def sentences(folder: Path) -> str:
    """Return the golden file as the product makes it now."""
    home = make_home(folder / "home", write_demo_manifest(folder), write_clinic(folder))
    blocks: list[str] = []
    logging.disable(logging.CRITICAL)
    try:
        with application(home) as place:
            open_studies(place)
            blocks += [*kinds_of_problems(), *refusals(place), *estimates(place.client("ada"))]
        blocks += commands(home)
    finally:
        logging.disable(logging.NOTSET)
    return "\n".join([HEAD, *blocks])


def open_studies(place: Place) -> None:
    """Open the studies that the requests name."""
    place.open_study("flu", "clinic")
    place.open_study("small", "clinic", epsilon=1.0)
    place.open_study("draft", "clinic", approve=False)
    place.open_study("narrow", protocol={"tables": ["years"], "statistics": ["count"], "max_epsilon": 0.75})
    template = {"name": "patients", "query": CLINIC}
    place.open_study("strict", "clinic", protocol={"strict": True, "templates": [template]})


def kinds_of_problems() -> Iterator[str]:
    """Yield a block for the title of each kind of problem."""
    kinds = {(kind.status, kind.code, kind.title) for kind in (*PROBLEMS.values(), *HTTP.values(), INTERNAL)}
    yield block("titles of problems", *(f"{status} {code}: {title}" for status, code, title in sorted(kinds)))


def refusals(place: Place) -> Iterator[str]:
    """Yield a block for each problem document."""
    for name, (user, method, path, body) in REFUSED.items():
        yield problem(name, place.client(user).request(method, path, body))
    for name, raw in MALFORMED.items():
        yield problem(name, place.client("ada").request("POST", "/studies/flu/queries", raw=raw))


def problem(name: str, reply: Reply) -> str:
    """Return a block with what a problem document tells a user."""
    assert reply.status >= 400, (name, reply)
    told = reply.json()
    found = told.get("errors", [told])
    details = [f"{one.get('pointer', '')} {one['detail']}".strip() for one in found if "detail" in one]
    return block(f"refused: {name}", f"{told['status']} {told['code']}", *details)


def estimates(ada: Client) -> Iterator[str]:
    """Yield a block with the notes and the advice of each estimate."""
    for name, body in ESTIMATED.items():
        told = ada.good("POST", "/studies/flu/estimates", body)
        notes = [f"note: {note}" for note in told["notes"]]
        yield block(f"estimate: {name}", *notes, *(f"advice: {one}" for one in told["advice"]))


def commands(home: Home) -> Iterator[str]:
    """Yield a block with the output of each command."""
    for arguments in COMMANDS:
        ended = CliRunner().invoke(main, list(arguments), env=home.environment())
        assert ended.exception is None or isinstance(ended.exception, SystemExit), (arguments, ended.exception)
        lines = ended.output.replace(str(home.path.parent), "FOLDER").splitlines()
        yield block(f"$ rowless {' '.join(arguments)}", *lines)


def block(name: str, *lines: str) -> str:
    """Return a block of the golden file, without what is different in each run."""
    text = "\n".join([f"## {name}", *lines]) + "\n"
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    return re.sub(r"verifier key \S+", "verifier key KEY", text)


def test_sentences_are_the_golden_ones(tmp_path: Path) -> None:
    """Every sentence that users read is as the golden file has it."""
    made, kept = sentences(tmp_path), GOLDEN.read_text(encoding="utf-8")
    difference = difflib.unified_diff(kept.splitlines(), made.splitlines(), "golden", "now", lineterm="", n=2)
    assert made == kept, "\n".join(["make it anew with python -m tests.server.test_sentences", *difference])


def test_no_sentence_begins_with_of_or_so() -> None:
    """No sentence begins with "Of" or "So"."""
    assert (
        re.findall(r"^(?:\S+: )?(?:Of|So) .*$|[.!?] (?:Of|So) .*", GOLDEN.read_text(encoding="utf-8"), re.MULTILINE)
        == []
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_in:
        GOLDEN.write_text(sentences(Path(made_in)), encoding="utf-8")
    sys.stdout.write(f"wrote {GOLDEN}\n")
