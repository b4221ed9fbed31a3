"""A ledger that has seen a million charges, on SQLite and on PostgreSQL: `python -m benchmarks.ledger`.

It fills a ledger with settled charges, their releases and their audit entries, as queries would have left them, and
then does what a server does for one query and one question about a budget. What is measured are whole transactions
with their commits, one after another; running sums are what keeps them from growing with the ledger.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa

from budgets.actors import SYSTEM
from budgets.audit import log, search
from budgets.database import tables
from budgets.database.connection import Database
from budgets.database.tables import audit_entries, audit_nodes
from budgets.governance import datasets, forecast, studies
from budgets.governance.study import Terms
from budgets.identity import people
from budgets.ledger import accounts, charges, releases
from budgets.ledger.charges import Question
from budgets.loss import NANO, Loss
from budgets.verify import canonical_json
from budgets.verify.merkle import Frontier, leaf_hash
from tests.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHARGES = 1_000_000
ROUNDS = 300
BATCH_ROWS = 20_000
STUDIES = ("hearts", "lungs", "livers", "kidneys")
DATASET = "observatory"
LOSS = Loss(1000, 1, 0)
AT = "2026-01-01T00:00:00.000Z"


def main() -> None:
    """Measure both databases and print a line for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--charges", type=int, default=CHARGES)
    wanted = parser.parse_args().charges
    with tempfile.TemporaryDirectory() as folder:
        report("SQLite", f"sqlite:///{Path(folder) / 'ledger.db'}", wanted)
    with postgres() as server:
        report("PostgreSQL", server.create(), wanted)


def report(name: str, address: str, wanted: int) -> None:
    """Fill a ledger, measure and print."""
    database = Database(address)
    database.upgrade()
    began = time.perf_counter()
    with database.write() as transaction:
        admin = people.add_user(transaction, "admin", "admin", SYSTEM)
        people.add_user(transaction, "ada", "researcher", admin)
        datasets.add_edition(
            transaction,
            dataset=DATASET,
            title="Observatory",
            epsilon_nano=10_000 * NANO,
            justification="a benchmark",
            delta_atto=10**12,
            overcommit=True,
            folder="one",
            by=admin,
            noise="both",
        )
        for study in STUDIES:
            studies.open_study(
                transaction,
                study,
                DATASET,
                Terms("T", "P", "L"),
                10_000 * NANO,
                None,
                admin,
                justification="a benchmark",
            )
            studies.add_member(transaction, study, "ada", admin)
        fill(transaction, wanted)
    if address.startswith("postgresql"):
        vacuum(address)
    filled = time.perf_counter() - began
    print(f"{name}: {wanted:,} charges, releases and their {2 * wanted:,} audit entries (filled in {filled:.0f} s)")
    for what, act in questions(database):
        print(f"  {what:<40} {measured(act)}")
    database.close()


def questions(database: Database) -> Iterator[tuple[str, Callable[[int], Any]]]:
    """Yield what is measured: what a server does in one transaction."""
    reserved: list[charges.Charge] = []

    def reserve(turn: int, key: str | None = None) -> None:
        study = STUDIES[turn % 4]
        asked = Question(study, DATASET, 1, fingerprint(f"asked {turn} {key}"))
        with database.write() as transaction:
            studies.require_open(transaction, replace(studies.study(transaction, study), state="approved"))
            if key is not None:
                releases.bind_key(transaction, asked, key)
            charges.find_release(transaction, asked)
            reserved.append(charges.reserve(transaction, asked, LOSS))
            log.append(transaction, SYSTEM, "query.reserve", reserved[-1].id, "reserved", study=study)

    def settle(turn: int) -> None:
        with database.write() as transaction:
            made = charges.settle(transaction, reserved[turn], {"rows": [[1, 2, 3]] * 20})
            assert made is not None
            log.append(transaction, SYSTEM, "query.release", made.id, "released", study=made.question.study)

    def budget(turn: int) -> None:
        with database.read() as transaction:
            forecast.of_study(transaction, studies.study(transaction, STUDIES[turn % 4])).to_json()

    def page(turn: int) -> None:
        with database.read() as transaction:
            assert len(releases.of_study(transaction, STUDIES[turn % 4], limit=100)) == 100

    def recover(_turn: int) -> None:
        with database.read() as transaction:
            charges.unresolved(transaction)

    def recount(_turn: int) -> None:
        with database.read() as transaction:
            assert list(accounts.discrepancies(transaction)) == []

    yield "reserve", reserve
    yield "settle", settle
    yield "budget and forecast", budget
    yield "a page of 100 releases", page
    yield "open charges, at the start of a server", once(recover)
    yield "recount of every sum, for the doctor", once(recount)
    yield "reserve with an idempotency key", lambda turn: reserve(turn, f"key {turn}")
    yield "open charges, after a crash left 300", once(recover)


def once(act: Callable[[int], Any]) -> Callable[[int], Any]:
    """Mark what is measured once: it reads the whole ledger."""
    act.__dict__["once"] = True
    return act


def measured(act: Callable[[int], Any]) -> str:
    """Return how long something takes, in milliseconds."""
    times = []
    for turn in range(1 if act.__dict__.get("once") else ROUNDS):
        began = time.perf_counter()
        act(turn)
        times.append(1000 * (time.perf_counter() - began))
    if len(times) == 1:
        return f"{times[0]:10,.0f} ms"
    return (
        f"median {statistics.median(times):6.2f} ms, 99 of 100 within {statistics.quantiles(times, n=100)[98]:6.2f} ms"
    )


# Filling


def fill(transaction: sa.Connection, wanted: int) -> None:
    """Add settled charges with releases and audit entries, and their sums to the accounts."""
    numbers = range(wanted)
    copy_in(transaction, tables.charges, (row for number in numbers for row in charge_rows(number)))
    copy_in(transaction, tables.releases, map(release_row, numbers))
    written = search.entries(transaction, limit=1000)
    tree = Frontier()
    for entry in written:
        tree.add(bytes.fromhex(entry.leaf_hash))
    rows = list(audit_rows(written[-1], 2 * wanted))
    copy_in(transaction, audit_entries, iter(rows))
    nodes = (node for row in rows for node in tree.add(bytes.fromhex(row["leaf_hash"])))
    copy_in(transaction, audit_nodes, ({"level": one, "index": two, "hash": three.hex()} for one, two, three in nodes))
    c = tables.accounts.c
    for kind, owner, share in (("dataset", DATASET, wanted), *(("study", s, wanted // len(STUDIES)) for s in STUDIES)):
        transaction.execute(
            sa.update(tables.accounts)
            .where(c.kind == kind, c.owner == owner)
            .values(epsilon_spent_nano=share * (LOSS.epsilon_nano or 0), rho_spent_nano=share * LOSS.rho_nano)
        )


def charge_rows(number: int) -> Iterator[dict[str, Any]]:
    """Yield a reserve and its settle."""
    both = {
        "study": STUDIES[number % len(STUDIES)],
        "dataset": DATASET,
        "edition": 1,
        "fingerprint": fingerprint(str(number)),
        "epsilon_nano": LOSS.epsilon_nano,
        "rho_nano": LOSS.rho_nano,
        "delta_atto": LOSS.delta_atto,
        "at": AT,
    }
    yield {"id": fingerprint(f"r{number}")[:32], "kind": "reserve", "reserve_id": None, **both}
    yield {
        "id": fingerprint(f"s{number}")[:32],
        "kind": "settle",
        "reserve_id": fingerprint(f"r{number}")[:32],
        **both,
    }


def release_row(number: int) -> dict[str, Any]:
    """Return the release of a charge."""
    return {
        "id": fingerprint(f"e{number}")[:32],
        "charge": fingerprint(f"r{number}")[:32],
        "study": STUDIES[number % len(STUDIES)],
        "dataset": DATASET,
        "edition": 1,
        "fingerprint": fingerprint(str(number)),
        "charged_at": AT,
        "body": '{"rows":[]}',
    }


def audit_rows(last: log.Entry, wanted: int) -> Iterator[dict[str, Any]]:
    """Yield entries that go on from the last one, chained as `audit.append` chains them."""
    position, previous = json.loads(last.body)["index"] + 1, last.leaf_hash
    for number in range(wanted):
        study, action = STUDIES[number // 2 % len(STUDIES)], ("query.reserve", "query.release")[number % 2]
        body = canonical_json.dumps(
            {
                "index": position + number,
                "time": AT,
                "actor": SYSTEM.commitment,
                "role": SYSTEM.role,
                "action": action,
                "subject": str(number),
                "study": study,
                "summary": "made up for a benchmark",
                "facts": {},
                "previous": previous,
            }
        )
        previous = leaf_hash(body.encode()).hex()
        yield {
            "position": position + number,
            "leaf_hash": previous,
            "body": body,
            "at": AT,
            "actor": SYSTEM.commitment,
            "action": action,
            "study": study,
        }


def copy_in(transaction: sa.Connection, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
    """Insert many rows: with COPY where there is one."""
    names = [column.name for column in table.c]
    if transaction.dialect.name == "postgresql":
        quoted = ", ".join(f'"{name}"' for name in names)
        cursor = transaction.connection.cursor()
        with cursor.copy(f"COPY {table.name} ({quoted}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([row[name] for name in names])
        return
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            transaction.execute(sa.insert(table), batch)
            batch.clear()
    if batch:
        transaction.execute(sa.insert(table), batch)


def vacuum(address: str) -> None:
    """Let PostgreSQL learn what its autovacuum would have told it in a ledger that grew."""
    with contextlib.closing(psycopg.connect(address, autocommit=True)) as connection:
        connection.execute("VACUUM ANALYZE")


def fingerprint(text: str) -> str:
    """Return SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
