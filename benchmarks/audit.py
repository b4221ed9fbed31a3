"""An audit log of ten million entries, and the check of one of a million: `python -m benchmarks.audit`.

It fills an SQLite ledger with the entries of queries as the server writes them, then measures what is asked of it
(appends, checkpoints, proofs, filtered pages), with the plan that SQLite chose; then it exports and verifies.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import statistics
import tempfile
import time
import tomllib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from benchmarks.queries import FORMALITIES
from budgets import formalities
from budgets.actors import SYSTEM
from budgets.audit import log, search, signing
from budgets.audit.log import START
from budgets.database.connection import Database
from budgets.database.tables import audit_entries, audit_nodes
from budgets.governance import dataset_terms, datasets, rules, studies
from budgets.governance.study import Terms
from budgets.identity import people
from budgets.loss import NANO
from budgets.verify import canonical_json, export
from budgets.verify.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENTRIES = 10_000_000
VERIFIED = 1_000_000
BATCH_ROWS = 20_000
ROUNDS = 200
STUDIES, MEMBERS = 200, 5  # of each study, but for the first, which has one
AT = "2999-01-01T00:00:00.000Z"  # after whatever was done to set the ledger up
LOSS = {"epsilon_nano": 1000, "rho_nano": 1, "delta_atto": 0}
QUERY = {
    "bounds": {"cells_per_person": 1, "events_per_cell": 5},
    "from": "years",
    "group_by": ["sex", {"bins": [0, 18, 40, 65, 120], "column": "age"}],
    "select": {"cost": {"bounds": [0, 2000], "mean": "cost"}, "patients": {"count": "persons"}},
    "where": {"all": [{"column": "year", "op": ">=", "value": 2}]},
}


def main() -> None:
    """Measure both and print a line for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--verified", type=int, default=VERIFIED)
    parser.add_argument("--folder", type=Path, help="where the files go (some 12 GB for ten million entries)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        check(Path(folder), given.verified)
        ask(Path(folder), given.entries)


def filled(folder: Path, name: str, wanted: int) -> Database:
    """Return a ledger whose log has so many entries."""
    database = Database(f"sqlite:///{folder / name}")
    database.upgrade()
    began = time.perf_counter()
    named = formalities.read({**tomllib.loads(FORMALITIES.read_text()), "ends": "2099-12-31"})
    with database.write() as transaction:
        rules.begin(transaction)
        admin = people.add_user(transaction, "admin", "admin", SYSTEM)
        datasets.add_edition(
            transaction,
            dataset="observatory",
            title="Observatory",
            epsilon_nano=10_000 * NANO,
            justification="a benchmark",
            delta_atto=10**12,
            overcommit=True,
            folder="one",
            by=admin,
            noise="both",
            named=named,
        )
        approver = people.add_user(transaction, "approver", "approver", SYSTEM)
        dataset_terms.approve(transaction, "observatory", "to measure", approver, without_advice="to measure")
        for number in range(STUDIES):
            study, terms = f"study-{number}", Terms("T", "P", "L", formalities=named)
            studies.open_study(
                transaction, study, "observatory", terms, 10_000 * NANO, None, admin, justification="a benchmark"
            )
            for member in range(MEMBERS if number else 1):
                people.add_user(transaction, f"{study}-{member}", "researcher", admin)
                studies.add_member(transaction, study, f"{study}-{member}", admin)
            studies.move(transaction, study, "approve", "to measure", approver, without_advice="to measure")
    append_queries(database, wanted)
    print(f"filled a log of {wanted:,} entries in {time.perf_counter() - began:.0f} s")
    return database


def append_queries(database: Database, wanted: int) -> None:
    """Add entries up to a number, in batches, as `audit.append` would one by one; the indexes are made at the end."""
    tree = Frontier()
    previous = START
    with database.write() as transaction:
        for body in log.every_body(transaction, wanted):
            leaf = leaf_hash(body.encode())
            tree.add(leaf)
            previous = leaf.hex()
        for index in audit_entries.indexes:
            index.drop(transaction)
    with database.read() as transaction:
        members = {one.name: one.commitment for one in people.users_of_role(transaction, "researcher")}
    rows = query_entries(tree, previous, wanted, members)
    while batch := list(islice(rows, BATCH_ROWS)):
        nodes = [
            {"level": level, "index": index, "hash": found.hex()} for _, made in batch for level, index, found in made
        ]
        with database.write() as transaction:
            transaction.execute(sa.insert(audit_entries), [row for row, _ in batch])
            transaction.execute(sa.insert(audit_nodes), nodes)
    for index in audit_entries.indexes:
        with database.write() as transaction:
            index.create(transaction)


def query_entries(
    tree: Frontier, previous: str, wanted: int, members: dict[str, str]
) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Yield rows of entries with the nodes they complete: a reserve and a release in turns."""
    start = tree.size
    for position in range(start, wanted):
        number, part = divmod(position - start, 2)
        charge = hashlib.sha256(str(number).encode()).hexdigest()
        # Half of it by one actor in one study, so that neither narrows a search down; the other half in many.
        other = number // 2
        study, member = ("study-0", 0) if number % 2 else (f"study-{1 + other % (STUDIES - 1)}", other % MEMBERS)
        actor = members[f"{study}-{member}"]
        facts: dict[str, Any] = {
            "query": QUERY,
            "fingerprint": charge,
            "dataset": "observatory",
            "edition": 1,
            "mechanisms": ["discrete_laplace", "discrete_laplace"],
            "loss": LOSS,
            **({"charge": charge[:32]} if part else {}),
        }
        body = {
            "index": position,
            "time": AT,
            "actor": actor,
            "role": "researcher",
            "action": ("query.reserve", "query.release")[part],
            "subject": charge[32 * part :][:32],
            "study": study,
            "summary": "epsilon 0.000001 (rho 0.000000001) was reserved",
            "facts": facts,
            "previous": previous,
        }
        text = canonical_json.dumps(body)
        leaf = leaf_hash(text.encode())
        previous = leaf.hex()
        row = {"position": position, "leaf_hash": previous, "body": text, "at": body["time"]}
        yield row | {name: body[name] for name in ("actor", "action", "study")}, tree.add(leaf)


def check(folder: Path, wanted: int) -> None:
    """Export a log and verify it."""
    database, key, file = filled(folder, "verified.db", wanted), folder / "audit.key", folder / "log.jsonl"
    vkey = signing.create_key(key)
    began = time.perf_counter()
    note = signing.sign(database, key)
    with database.read() as transaction, file.open("w", encoding="utf-8") as lines:
        lines.writelines(f"{body}\n" for body in log.every_body(transaction, wanted))
    exported = time.perf_counter() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    with file.open("rb") as read:
        report = export.verify(read, key=vkey, covering=note)
    took = time.perf_counter() - began
    assert report.verdict == "ok", report.problems
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = file.stat().st_size / 1e6
    print(f"{report.entries:,} entries ({size:,.0f} MB): exported in {exported:.1f} s, verified in {took:.1f} s")
    print(f"  peak of the process {peak / 1024:,.0f} MB (before the check {before / 1024:,.0f} MB)")
    database.close()
    file.unlink()


def ask(folder: Path, wanted: int) -> None:
    """Measure what a server is asked."""
    database, key = filled(folder, "asked.db", wanted), folder / "asked.key"
    signing.create_key(key)
    actor, busy = "study-7-0", "study-0-0"
    near, later = wanted - wanted // 10, "2999-01-01T00:00:00.001Z"

    def append(turn: int) -> None:
        with database.write() as transaction:
            log.append(transaction, SYSTEM, "test", str(turn), "a benchmark appends")

    def checkpoint(_turn: int) -> None:
        signing.sign(database, key)

    def inclusion(turn: int) -> None:
        with database.read() as transaction:
            log.inclusion_proof(transaction, turn * wanted // ROUNDS, wanted - turn)

    def consistency(turn: int) -> None:
        with database.read() as transaction:
            log.consistency_proof(transaction, 1 + turn * wanted // ROUNDS, wanted - 1)

    def page(**filters: Any) -> Callable[[int], None]:
        def work(_turn: int) -> None:
            with database.read() as transaction:
                search.entries(transaction, limit=101, **filters)

        return work

    questions = {
        "append, with its commit": append,
        "checkpoint": checkpoint,
        "inclusion proof": inclusion,
        "consistency proof": consistency,
        "a page of 100": page(first=near),
        "of a study": page(first=near, study="study-7"),
        "of a study with half the log": page(first=near, study="study-0"),
        "of an actor": page(first=near, actor=actor),
        "of an actor with half the log": page(first=near, actor=busy),
        "of an action that is half the log": page(first=near, action="query.release"),
        "of a rare action": page(action="study.open"),
        "of an action never seen": page(action="none"),
        "study and actor, both half the log": page(first=near, study="study-0", actor=busy),
        "large study, actor of elsewhere": page(study="study-0", actor=actor),
        "small study, busy actor of elsewhere": page(study="study-7", actor=busy),
        "large study, rare action": page(study="study-0", action="study.open"),
        "small study, large action": page(study="study-7", action="query.release"),
        "busy actor, rare action": page(actor=busy, action="study.open"),
        "large action, actor who has it nowhere": page(action="query.release", actor=SYSTEM.name),
        "study, actor and action, all large": page(study="study-0", actor=busy, action="query.release"),
        "study, actor and a rare action": page(study="study-0", actor=busy, action="study.open"),
        "from a moment on": page(since=later),
        "up to a moment": page(until=later),
        "large study, from a moment on": page(since=later, study="study-0"),
        "busy actor, action, up to a moment": page(until=later, actor=busy, action="query.release"),
    }
    for what, act in questions.items():
        times = []
        for turn in range(ROUNDS):
            began = time.perf_counter()
            act(turn)
            times.append(1000 * (time.perf_counter() - began))
        worst = statistics.quantiles(times, n=100)[98]
        print(f"  {what:<40} median {statistics.median(times):7.2f} ms, 99 of 100 within {worst:7.2f} ms")
    database.close()


if __name__ == "__main__":
    main()
