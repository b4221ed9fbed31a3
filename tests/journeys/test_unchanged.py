"""The same requests on the same data with the same noise: the same numbers, fingerprints, charges and log entries.

A change of the product's inner form must leave all of it as it is, byte for byte. What is said in words may change:
notes, summaries of log entries and texts of errors are left out, and with them the hashes that they go into. A change
that is meant (a new fact in an entry, another mechanism) makes the files anew:

    python -m tests.journeys.test_unchanged

and the difference of the files is then part of what is reviewed. The files rest on DuckDB's order of random rows and on
OpenDP's privacy maps too: a new version of one of them may change them.
"""

from __future__ import annotations

import difflib
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.journeys import questions
from tests.journeys.fixed import entry, ledger, short_sha256, ward, wordless
from tests.serving import UNADVISED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.journeys.fixed import Ward
    from tests.serving import Home, Reply

    Json = dict[str, Any]

FILES = Path(__file__).parent / "unchanged"
SHOWN, WIDTH = 40, 160  # lines of a difference, and characters of each
ROWS_KEPT = 80  # of a longer answer there is the hash
QUERIES, ESTIMATES, REHEARSALS = "queries", "estimates", "rehearsals"


class Journey:
    """All requests, one after the other, and what was recorded of each by its name."""

    def __init__(self, of: Ward) -> None:
        self.ward = of
        self.answers: Json = {}
        self.estimates: Json = {}

    def go(self) -> None:
        """Ask everything."""
        self.open()
        self.ask_before_the_profile()
        self.ask_every_question()
        self.be_refused()
        self.spell_otherwise()
        self.fail()
        self.run_out()
        self.govern()
        self.import_again()

    def open(self) -> None:
        """Open the studies."""
        self.ward.open_study("plain", epsilon=5000.0, delta=1e-6)
        self.ward.open_study("strict", epsilon=2.0, protocol=questions.STRICT)
        self.ward.open_study("rho", epsilon=3.0, delta=1e-6)
        self.ward.open_study("held", epsilon=100.0, protocol=questions.PROTOCOL)
        self.ward.open_study("small", epsilon=1.0, protocol={"tables": ["visits"], "max_epsilon": 0.75})

    def ask_before_the_profile(self) -> None:
        """Ask while bounds are defaults, then buy a profile, once for good."""
        for name in questions.BEFORE_PROFILE:
            self.ask("plain", f"before the profile: {name}", questions.EVERY[name])
        self.lose_the_store("profile", self.buy_profile)
        self.ward.chance.fails = True
        self.answers["profile: a scan fails"] = self.recorded(self.buy_profile())
        self.ward.chance.fails = False
        for turn in ("resumed", "the same again"):
            self.answers[f"profile: {turn}"] = self.recorded(self.buy_profile())
        self.answers["profile: too dear"] = self.recorded(
            self.ward.send("admin", "POST", "/datasets/ward/profile", {"epsilon": 20_000})
        )
        self.answers["catalog"] = shown = self.recorded(self.ward.send("ada", "GET", "/datasets/ward"))
        del shown["reply"]["tables"]["persons"]["title"]  # words of ours

    def buy_profile(self) -> Reply:
        """Buy a profile."""
        return self.ward.send("admin", "POST", "/datasets/ward/profile", {"epsilon": 5})

    def ask_every_question(self) -> None:
        """Ask each question, and again as the release spells it in SQL, which is free; estimate each sixth."""
        for place, (name, body) in enumerate(questions.EVERY.items()):
            if place % 6 == 0:
                self.estimate("plain", name, body)
            self.ask_twice("plain", name, body)
        for name, body in questions.IN_SQL.items():
            self.ask("plain", name, body)
        for name, body in questions.TEMPLATES.items():
            self.ask("strict", name, body)
        for name, body in questions.HELD.items():
            self.ask("held", f"held to a protocol: {name}", body)
        for name in ("rho", "margins gaussian", "undeclared key by rho", "count persons"):
            self.ask("rho", f"of the study rho: {name}", questions.EVERY[name])
        for name in ("many at once", "key period month", "survival", "cohort after", "undeclared key"):
            body = questions.EVERY.get(name) or questions.EVERY[f"where {name}"]
            self.answers[f"rehearsed: {name}"] = self.recorded(self.send("plain", REHEARSALS, body))

    def be_refused(self) -> None:
        """Send what cannot be asked."""
        for name, body in questions.REFUSED.items():
            self.ask("plain", f"refused: {name}", body)
        self.answers["refused: no member"] = self.recorded(self.send("plain", QUERIES, questions.SPELLINGS[0], "ben"))

    def spell_otherwise(self) -> None:
        """Ask one question in several spellings, with tidied numbers, and under one key."""
        for turn, body in enumerate(questions.SPELLINGS):
            self.ask("plain", f"spelling {turn}", body)
        for words in (["round"], ["consistent", "round", "clamp"]):
            for name in ("many at once", "histogram values", "key value", "adds up", "mean"):
                self.ask("plain", f"{name}, {' '.join(words)}", {**questions.EVERY[name], "post": words})
        for turn, name in enumerate(("key value", "mean", "key value")):
            reply = self.send("plain", QUERIES, questions.EVERY[name], Idempotency_Key="once")
            self.answers[f"with a key {turn}: {name}"] = self.recorded(reply)
        for name in ("many at once", "undeclared key and others", "survival until", "top"):
            self.read_as_csv(name)

    def fail(self) -> None:
        """Let a scan fail and resume it, and let a store not open, which gives the charge back."""
        body = questions.asking({"s": {"sum": "age", "bounds": [1, 2]}})
        self.ward.chance.fails = True
        self.ask("plain", "a scan fails", body)
        self.ward.chance.fails = False
        self.ask("plain", "resumed", body)
        lost = questions.asking({"s": {"sum": "age", "bounds": [1, 3]}})
        self.lose_the_store("query", lambda: self.send("plain", QUERIES, lost))
        self.answers["query: the store is back"] = self.recorded(self.send("plain", QUERIES, lost))

    def lose_the_store(self, name: str, request: Callable[[], Reply]) -> None:
        """Send a request while the store is no store."""
        store = self.ward.home.store("ward")
        whole = store.read_bytes()
        self.ward.place.services.stores.close()
        store.write_bytes(b"no database" * 1000)
        self.answers[f"{name}: the store is lost"] = self.recorded(request())
        store.write_bytes(whole)

    def run_out(self) -> None:
        """Spend a small budget, be refused until it is raised, and go on."""
        small = [questions.asking(questions.PERSONS, privacy={"epsilon": part}) for part in (0.75, 0.5, 0.25, 0.125)]
        for turn, body in enumerate([*small, questions.asking(questions.PERSONS, "drugs")]):
            self.estimate("small", f"running out {turn}", body)
            self.ask("small", f"running out {turn}", body)
        self.ward.do(
            "admin", "PUT", "/studies/small/budget", {"epsilon": 2, "justification": "a test", "reason": "more"}
        )
        self.ward.do("vera", "POST", "/studies/small/budget/approve", {"reason": "yes", **UNADVISED})
        self.ask("small", "after the raise", small[1])
        for study in ("plain", "rho", "small"):
            self.answers[f"budget: {study}"] = self.recorded(self.ward.send("ada", "GET", f"/studies/{study}/budget"))

    def govern(self) -> None:
        """Do what admins and DPOs do, then let half a year pass and ask once more."""
        do = self.ward.do
        do("admin", "POST", "/users", {"name": "eve", "role": "researcher"})
        token = do("admin", "POST", "/users/eve/tokens")
        do("admin", "DELETE", f"/tokens/{token['token'].split('_')[1]}")
        do("admin", "PUT", "/studies/rho/members/eve")
        do("admin", "DELETE", "/studies/rho/members/eve")
        do("dora", "POST", "/studies/rho/suspend", {"reason": "wait"})
        self.ask("rho", "suspended", questions.SPELLINGS[0])
        do("dora", "POST", "/studies/rho/resume", {"reason": "go on"})
        do("admin", "PATCH", "/studies/small", {"title": "Another", "purpose": "more"})
        do("admin", "POST", "/studies/rho/close", {"reason": "done"})
        do("dora", "GET", "/audit/identities")
        do("dora", "GET", "/studies/plain/report")
        self.ward.chance.begin("later", days=180)
        self.ask("plain", "half a year later", questions.asking(questions.EVENTS, privacy={"epsilon": 1.5}))

    def import_again(self) -> None:
        """Import the sources again: questions are new ones of the next edition, and retries stay on theirs."""
        self.ward.import_again()
        self.ask("plain", "of the next edition", questions.EVERY["key value"])
        reply = self.send("plain", QUERIES, questions.EVERY["key value"], Idempotency_Key="once")
        self.answers["with a key, of the edition before"] = self.recorded(reply)
        for name, path in (("entries", "/audit/entries?study=small&limit=7"), ("alerts", "/alerts?limit=5")):
            shown = self.ward.do("dora", "GET", path)
            self.answers[f"listed: {name}"] = [entry(item) for item in shown["items"]] + [shown["next"]]
        self.answers["listed: releases"] = self.ward.do("ada", "GET", "/studies/plain/releases?limit=5")

    # One request

    def send(self, study: str, way: str, body: Json, by: str = "ada", **headers: str) -> Reply:
        """Send a query to a study."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ward.send(by, "POST", f"/studies/{study}/{way}", body, **named)

    def ask(self, study: str, name: str, body: Json) -> Json:
        """Ask, and return what was recorded."""
        assert name not in self.answers, "each name is for one request"
        self.answers[name] = told = self.recorded(self.send(study, QUERIES, body))
        return told

    def ask_twice(self, study: str, name: str, body: Json) -> None:
        """Ask a question that is answered, and again in SQL."""
        told = self.ask(study, name, body)
        assert told["status"] == 201, (name, told)
        answer = told["reply"]
        in_sql = {"sql": answer["sql"], "privacy": body["privacy"]}
        asked = body["query"].get("bounds")
        again = self.send(study, QUERIES, in_sql if asked is None else {**in_sql, "bounds": asked})
        assert again.status == 201, (name, again)
        assert (again.json()["replayed"], again.json()["id"]) == (True, answer["id"]), name

    def estimate(self, study: str, name: str, body: Json) -> None:
        """Estimate a question."""
        reply = self.send(study, ESTIMATES, body)
        told = self.recorded(reply)
        told.get("reply", {}).pop("advice", None)  # words
        self.estimates[name] = told

    def read_as_csv(self, name: str) -> None:
        """Read a release as CSV, without its lines of notes."""
        path = f"/studies/plain/releases/{self.answers[name]['reply']['id']}"
        lines = self.ward.send("ada", "GET", path, Accept="text/csv").body.decode().splitlines()
        self.answers[f"as CSV: {name}"] = [line for line in lines if not line.startswith("#")]

    def recorded(self, reply: Reply) -> Json:
        """Return what came of a request: its plan, the draws of its noise and the answer, or the code of its refusal."""
        chance = self.ward.chance
        told: Json = {"status": reply.status}
        if chance.plans:
            told["plan"] = chance.plans[-1]
        if chance.draws:
            told["draws"] = list(chance.draws)
        if reply.status >= 400:
            return {**told, "code": reply.code, "pointer": reply.json().get("pointer")}
        return {**told, "reply": shortened(wordless(reply.json()))}


def shortened(answer: Json) -> Json:
    """Return an answer with the hash of its rows in place of very many, and without the budget, which has its own."""
    rows = answer.get("rows", [])
    if "rows" in answer:
        answer = {name: part for name, part in answer.items() if name != "budget"}
    return answer if len(rows) <= ROWS_KEPT else {**answer, "rows": [len(rows), short_sha256(rows)]}


def record(folder: Path) -> tuple[dict[str, str], Home]:
    """Return all that is recorded as JSON, by the file it is kept in, and the home that is left."""
    with ward(folder) as opened:
        journey = Journey(opened)
        journey.go()
        made = {"ledger": ledger(opened.home), "answers": journey.answers, "estimates": journey.estimates}
    texts = opened.chance.renamed(*map(written, made.values()))
    return dict(zip(made, texts, strict=True)), opened.home


def written(recorded: Json) -> str:
    """Return a record as it is kept: sorted, a line for each value."""
    return json.dumps(recorded, indent=0, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Home]:
    """Return what the present code makes of all requests, and the home that it leaves."""
    return record(tmp_path_factory.mktemp("fixed"))


@pytest.mark.parametrize("name", ["answers", "estimates", "ledger"])
def test_the_recorded_facts_are_unchanged(recorded: tuple[dict[str, str], Home], name: str) -> None:
    """Numbers, fingerprints, costs and ledger rows are those of the files; a failure shows the first lines that differ."""
    kept = (FILES / f"{name}.json").read_text()
    if (made := recorded[0][name]) != kept:
        pytest.fail("\n".join([f"{name}.json is no longer what is made:", *difference(kept, made)]), pytrace=False)


def test_the_ledger_that_is_left_is_sound(recorded: tuple[dict[str, str], Home]) -> None:
    """Its sums are those of its rows, and its log adds up to them."""
    recorded[1].assert_sound()


def difference(kept: str, made: str) -> list[str]:
    """Return the first lines in which two records differ, beneath the request or table that each belongs to."""
    old, new = json.loads(kept), json.loads(made)
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = (written(one[name]).splitlines() if name in one else [] for one in (old, new))
        if before != after:
            lines += [name, *_changed(before, after)]
        if len(lines) > SHOWN:
            return [*lines[:SHOWN], "..."]
    return lines


def _changed(before: list[str], after: list[str]) -> Iterator[str]:
    matched = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, first, last, start, stop in matched.get_opcodes():
        if tag == "equal":
            continue
        for old, new in itertools.zip_longest(before[first:last], after[start:stop], fillvalue=""):
            # Of long lines what surrounds the first difference.
            same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
            at = max(0, sum(1 for _ in same) - WIDTH // 2)
            yield from (f"  {sign} {line[at : at + WIDTH]}" for sign, line in (("-", old), ("+", new)) if line)


def main() -> None:
    """Make the files anew."""
    FILES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, part in record(Path(folder))[0].items():
            (FILES / f"{name}.json").write_text(part)
            sys.stdout.write(f"{name}.json: {short_sha256(part)}\n")


if __name__ == "__main__":
    main()
