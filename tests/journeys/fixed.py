"""A home in which nothing is left to chance: fixed data, clock, ids, salts, order of persons, and planted noise.

It is for `test_unchanged.py`. Everything is asked over HTTP and the ledger is read with sqlite3, so that a change of the
product's inner form touches only `CLOCK`, `FINGERPRINTS` and `MECHANISMS` here.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import re
import secrets
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest

# All that this test names of the product. When modules move, change these lines and nothing else.
from budgets.database import clock as CLOCK  # noqa: N812  (`moment` is replaced)
from queries import mechanisms as MECHANISMS  # noqa: N812  (`release` of its three classes is replaced)
from queries import processors
from queries.planning import fingerprint as FINGERPRINTS  # noqa: N812  (`of` is listened to)
from server.journey.preparing import Planned
from server.runtime.remembered import Remembered
from tests.serving import FORMALITIES, UNADVISED, application, import_file, make_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.serving import Home, Place, Reply

START = dt.datetime(2026, 1, 5, 8, 0, tzinfo=dt.UTC)
CORES = 2  # as many parts do long vectors and streams have, on every machine
SHORT = 2500  # characters: a longer text of a fingerprint is kept as its hash alone

MANIFEST = """\
[dataset]
name = "ward"
title = "A ward"
epsilon = 10000.0
justification = "a test"
delta = 1e-6
persons_max = 1000
overcommit = true

[person]
id = "patient"
source = "people.csv"
[person.columns.sex]
type = "category"
values = ["female", "male"]
[person.columns.birth_year]
type = "integer"
bounds = [1930, 2009]
nullable = true
[person.columns.origin]
type = "category"
nullable = true

[tables.visits]
source = "visits.csv"
[tables.visits.columns.day]
type = "date"
bounds = [2020-01-15, 2021-06-30]
[tables.visits.columns.cost]
type = "number"
bounds = [-100, 900]
step = 0.25
nullable = true
[tables.visits.columns.age]
type = "integer"
bounds = [0, 99]
[tables.visits.columns.urgent]
type = "boolean"
nullable = true
[tables.visits.columns.unit]
type = "category"
values = ["A", "B", "C"]
[tables.visits.columns.region]
type = "category"
values = ["north", "east", "south"]
nullable = true
[tables.visits.columns.code]
type = "category"
nullable = true

[tables.drugs]
source = "drugs.csv"
[tables.drugs.bounds]
cells_per_person = 3
events_per_cell = 4
[tables.drugs.columns.day]
type = "date"
bounds = [2020-01-01, 2021-12-31]
[tables.drugs.columns.drug]
type = "category"
values = ["M1", "M2", "M3", "M4"]
[tables.drugs.columns.dose]
type = "number"
bounds = [0, 10]
step = 0.5
"""


# Data


def write_ward(folder: Path) -> Path:
    """Write the sources and the manifest of a ward with 80 persons, some of them with far more events than others."""
    draw = random.Random("a ward")
    people, visits, drugs = [], [], []
    for person in range(80):
        year = "" if person % 13 == 0 else str(1930 + person)
        origin = "" if person % 17 == 0 else f"place {person % 3}"
        people.append(f"p{person},{('female', 'male')[person % 2]},{year},{origin}")
        visits += [_visit(draw, person) for _ in range(draw.choice((0, 1, 2, 3, 5, 30)))]
        drugs += [_drug(draw, person) for _ in range(draw.choice((0, 0, 1, 4, 9)))]
    _write(folder / "people.csv", "patient,sex,birth_year,origin", people)
    _write(folder / "visits.csv", "patient,day,cost,age,urgent,unit,region,code", visits)
    _write(folder / "drugs.csv", "patient,day,drug,dose", drugs)
    manifest = folder / "ward.toml"
    manifest.write_text(MANIFEST)
    return manifest


def _visit(draw: random.Random, person: int) -> str:
    day = dt.date(2020, 1, 15) + dt.timedelta(days=draw.randrange(530))
    cost = draw.choice(("", *(f"{quarters / 4}" for quarters in (-80, -1, 0, 41, 100, 1002, 3600))))
    urgent = draw.choice(("", "true", "false"))
    region = draw.choice(("", "north", "east", "south"))
    code = draw.choice(("", "J10", "J10", "J10", "I21", "I21", f"rare {person}"))
    return f"p{person},{day},{cost},{(person * 7 + 3) % 100},{urgent},{draw.choice('ABC')},{region},{code}"


def _drug(draw: random.Random, person: int) -> str:
    day = dt.date(2020, 1, 1) + dt.timedelta(days=draw.randrange(700))
    return f"p{person},{day},M{draw.randrange(1, 5)},{draw.randrange(21) / 2}"


def _write(file: Path, header: str, lines: list[str]) -> None:
    file.write_text("\n".join([header, *lines]) + "\n")


# Chance


@dataclass
class Chance:
    """What stands in place of the clock and of every random draw, and what was drawn and planned meanwhile."""

    moment: dt.datetime = START
    request: str = "the home"
    drawn: int = 0  # of the random texts of this request
    identifiers: dict[str, str] = field(default_factory=dict)  # each with the moment of its request
    noise: random.Random = field(default_factory=lambda: random.Random("noise"))
    fails: bool = False  # whether the next draws of noise fail, as a scan may
    draws: list[dict[str, Any]] = field(default_factory=list)
    plans: list[dict[str, Any]] = field(default_factory=list)

    def begin(self, what: str, **later: float) -> None:
        """Let time pass (a minute by default) and begin a request, with draws of its own."""
        self.moment += dt.timedelta(**later or {"minutes": 1})
        self.request, self.drawn, self.noise = f"{self.moment} {what}", 0, random.Random(what)
        self.draws.clear()
        self.plans.clear()

    def token(self, size: int) -> str:
        """Return the next of the random texts in hex."""
        self.drawn += 1
        return hashlib.sha256(f"{self.request} {self.drawn}".encode()).hexdigest()[: 2 * size]

    def identifier(self) -> uuid.UUID:
        """Return the next identifier."""
        made = uuid.UUID(hashlib.sha256(f"identifier {len(self.identifiers)}".encode()).hexdigest()[:32])
        self.identifiers[made.hex] = f"{self.moment:%m-%dT%H:%M}"
        return made

    def renamed(self, *texts: str) -> list[str]:
        """Return texts with each identifier named by its request, and by which one of the request's is met first.

        In which order a request draws identifiers means nothing: they are random.
        """
        names: dict[str, str] = {}
        met: Counter[str] = Counter()
        pattern = re.compile("|".join(self.identifiers))

        def name(found: re.Match[str]) -> str:
            if found[0] not in names:
                moment = self.identifiers[found[0]]
                met[moment] += 1
                names[found[0]] = f"id {moment} {met[moment]}"
            return names[found[0]]

        return [pattern.sub(name, text) for text in texts]

    def hide(self, mechanism: Any, exact: NDArray[np.int64], about: str) -> NDArray[np.int64]:
        """Return numbers with noise of about the scale of a mechanism's own, and note what it was asked to hide."""
        if self.fails:
            raise RuntimeError("as the test has it")
        seen = hashlib.sha256(f"{exact.shape} {exact.tolist()} {about}".encode()).hexdigest()
        self.draws.append({"of": type(mechanism).__name__, "scale": repr(mechanism.scale), "exact_sha256": seen[:16]})
        reach = max(1, round(2 * mechanism.scale))
        noise = [self.noise.randint(-reach, reach) for _ in range(exact.size)]
        return exact + np.array(noise, dtype=np.int64).reshape(exact.shape)

    def name_keys(self, threshold: Any, keys: NDArray[np.int64], counts: NDArray[np.int64]) -> dict[int, int]:
        """Return the keys that pass a threshold with planted noise on their counts."""
        noisy = self.hide(threshold.noise, counts, f"{threshold.threshold} {keys.tolist()}")
        found = zip(keys.tolist(), noisy.tolist(), strict=True)
        return {key: count for key, count in found if count >= threshold.threshold}

    def note_plan(self, plan: Any, text: str) -> None:
        """Note what a plan costs, by which mechanisms, and the text that its fingerprint is of."""
        named = [] if plan.listing is None else [plan.listing.mechanism]
        cost = plan.cost
        self.plans.append(
            {
                "cost": [str(cost.epsilon), str(cost.rho), str(cost.delta)],
                "cells": plan.cells,
                "bounds": [plan.cells_per_person, plan.events_per_cell],
                "mechanisms": [_mechanism(one) for one in (*named, *(measure.mechanism for measure in plan.measures))],
                "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
                "fingerprint_text": text if len(text) <= SHORT else f"{len(text)} characters",
            }
        )


def _mechanism(mechanism: Any) -> str:
    """Return a mechanism's name, scale, sensitivities and losses: of a search those of its rounds."""
    if hasattr(mechanism, "each"):
        return " + ".join(map(_mechanism, mechanism.each))
    if hasattr(mechanism, "threshold"):
        least = f"{mechanism.threshold} of {mechanism.keys_per_person} delta {mechanism.delta_atto}"
        return f"threshold {least}: {_mechanism(mechanism.noise)}"
    if mechanism.gaussian:
        return f"gaussian {mechanism.scale!r} l2^2 {mechanism.sensitivity_l2_squared} rho {mechanism.rho_nano}"
    return f"laplace {mechanism.scale!r} l1 {mechanism.sensitivity_l1} epsilon {mechanism.epsilon_nano}"


@contextmanager
def nothing_left_to_chance() -> Iterator[Chance]:
    """Plant a clock, identifiers, texts, noise, and the order of persons and events."""
    chance = Chance()
    described, connect, find = FINGERPRINTS.of, duckdb.connect, Remembered.find

    def listened(plan: Any) -> str:
        text = described(plan)
        chance.note_plan(plan, text)
        return text

    def found(remembered: Any, key: Any) -> Any:
        known = find(remembered, key)
        if isinstance(known, Planned):  # the plan of an equal request, which is not made again
            chance.note_plan(known.plan, described(known.plan))
        return known

    def connected(*arguments: Any, **options: Any) -> Any:
        connection = connect(*arguments, **options)
        if not options.get("read_only"):  # an import's: DuckDB draws the same on one thread
            connection.execute("SET threads = 1")
            connection.execute("SELECT setseed(0.25)").fetchall()
        return connection

    def drawn(mechanism: Any, _cells: int) -> Any:
        return SimpleNamespace(hide=lambda exact: chance.hide(mechanism, exact, ""))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(processors, "usable", lambda: CORES)
        patched.setattr(uuid, "uuid4", chance.identifier)
        patched.setattr(secrets, "token_hex", chance.token)
        patched.setattr(secrets, "token_urlsafe", lambda size: chance.token(size)[:43])  # the length of a secret
        patched.setattr(duckdb, "connect", connected)
        patched.setattr(Remembered, "find", found)
        patched.setattr(CLOCK, "moment", lambda: chance.moment)
        patched.setattr(FINGERPRINTS, "of", listened)
        patched.setattr(MECHANISMS.DiscreteLaplace, "draw", drawn)
        patched.setattr(MECHANISMS.DiscreteGaussian, "draw", drawn)
        patched.setattr(MECHANISMS.Threshold, "release", lambda *given: chance.name_keys(*given))
        yield chance


# The home


@dataclass(frozen=True)
class Ward:
    """An application over the fixed home."""

    place: Place
    chance: Chance
    manifest: Path

    @property
    def home(self) -> Home:
        """Return the home."""
        return self.place.home

    def send(self, by: str, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send one request, a minute after the one before."""
        self.chance.begin(f"{method} {path} {json.dumps(body, sort_keys=True)}")
        return self.place.client(by).request(method, path, body, headers=headers)

    def do(self, by: str, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed and return what came back."""
        reply = self.send(by, method, path, body)
        assert reply.status < 300, (method, path, body, reply)
        return reply.json() if reply.body else None

    def import_again(self) -> None:
        """Import the same sources as the next edition."""
        self.chance.begin("import again")
        import_file(self.place.services, self.manifest)

    def open_study(self, name: str, **terms: Any) -> None:
        """Open a study with Ada in it and have it approved."""
        body = {
            "name": name,
            "dataset": "ward",
            "title": "T",
            "purpose": "P",
            "legal_basis": "L",
            "formalities": FORMALITIES,
            "justification": "a test",
            **terms,
        }
        self.do("admin", "POST", "/studies", body)
        self.do("admin", "PUT", f"/studies/{name}/members/ada")
        self.do("vera", "POST", f"/studies/{name}/approve", {"reason": "it may", **UNADVISED})


@contextmanager
def ward(folder: Path) -> Iterator[Ward]:
    """Open an application over the fixed home."""
    with nothing_left_to_chance() as chance:
        manifest = write_ward(folder)
        home = make_home(folder / "home", manifest)
        home.change("UPDATE tokens SET expires_at = '2027-01-01T00:00:00.000Z'")  # half a year passes here
        with application(home) as place:
            yield Ward(place, chance, manifest)


# Its ledger

# What is said in words, and the hashes that words go into: of an entry, of the one before, of an answer with its notes.
# And the id of the request, which is drawn anew each time.
SENTENCES = frozenset({"request_id", "summary", "notes", "buys", "leaf_hash", "previous", "answer_sha256"})


def ledger(home: Home) -> dict[str, list[str]]:
    """Return every row of every table as JSON, in the order in which they were written, without words."""
    tables = [name for (name,) in home.rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {table: [_row(table, row) for row in _rows(home, table)] for table in tables}


def _rows(home: Home, table: str) -> Iterator[Mapping[str, Any]]:
    columns = [name for _, name, *_ in home.rows(f'PRAGMA table_info("{table}")')]
    for row in home.rows(f'SELECT * FROM "{table}" ORDER BY rowid'):
        yield dict(zip(columns, row, strict=True))


def _row(table: str, row: Mapping[str, Any]) -> str:
    kept = wordless(row)
    if table == "audit_nodes":
        del kept["hash"]
    if table == "audit_entries":
        kept["body"] = entry(json.loads(row["body"]))
    if table in ("releases", "profiles"):
        kept["body"] = wordless(json.loads(row["body"]))
    if table == "releases":  # the rest is in the answer that was recorded
        kept["body"] = short_sha256(kept["body"])
    return json.dumps(kept, sort_keys=True)


def entry(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry's facts; of a query its hash, which the answers tell in full."""
    told = wordless(body)
    facts = wordless(told.get("facts", {}))
    if "query" in facts:
        facts["query"] = short_sha256(facts["query"])
    return {**told, "facts": facts}


def wordless(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without what is said in words."""
    return {name: value for name, value in body.items() if name not in SENTENCES}


def short_sha256(value: Any) -> str:
    """Return a short hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
