"""A process of its own that spends: tests race two of them on one file, and kill them at chosen moments.

    python -m tests.budgets.spender URL STUDY WHAT COST

WHAT is `race`: spend until the budget refuses, then print how often it went well; `loop`: spend until killed; or the
moment to stop at, where it prints `ready` and waits to be killed: `reserving` and `settling` are inside of the
transaction, `reserved` and `settled` after it.
"""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING

from budgets.actors import SYSTEM
from budgets.audit import log
from budgets.database.connection import Database
from budgets.errors import OverBudget
from budgets.ledger import charges, releases
from tests.budgets.world import cost, question

if TYPE_CHECKING:
    import sqlalchemy as sa

    from budgets.ledger.charges import Charge


def main(url: str, study: str, what: str, epsilon: int) -> None:
    """Spend from a study as `what` says."""
    database = Database(url)
    if what == "race":
        say("ready")
        sys.stdin.readline()
        say(str(race(database, study, epsilon)))
    elif what == "loop":
        spend(database, study, epsilon, str(uuid.uuid4()), None)
        say("ready")
        while True:
            spend(database, study, epsilon, str(uuid.uuid4()), None)
    else:
        spend(database, study, epsilon, "the question", what)


def race(database: Database, study: str, epsilon: int) -> int:
    """Spend until the budget refuses, and return how often it did not."""
    done = 0
    while True:
        try:
            spend(database, study, epsilon, str(uuid.uuid4()), None)
        except OverBudget:
            return done
        done += 1


def spend(database: Database, study: str, epsilon: int, text: str, stop: str | None) -> None:
    """Reserve and settle as the server does, each with its audit entry; stop at a moment if one is named."""
    with database.write() as transaction:
        asked = releases.bind_key(transaction, question(study, text), f"key of {text}")
        charge = charges.reserve(transaction, asked, cost(epsilon, epsilon, epsilon))
        record(transaction, charge, "query.reserve")
        wait_if(stop == "reserving")
    wait_if(stop == "reserved")
    with database.write() as transaction:
        charges.settle(transaction, charge, {"answer": text})
        record(transaction, charge, "query.release")
        wait_if(stop == "settling")
    wait_if(stop == "settled")


def record(transaction: sa.Connection, charge: Charge, action: str) -> None:
    """Append an audit entry for a charge."""
    study = charge.question.study
    log.append(transaction, SYSTEM, action, f"study:{study}", "a test spends", study=study)


def wait_if(here: bool) -> None:
    """Tell the parent and wait for the end, which also comes when the parent is gone."""
    if here:
        say("ready")
        sys.stdin.read()


def say(text: str) -> None:
    """Write a line to the parent."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
