from __future__ import annotations

import contextlib
import itertools
import math
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from budgets.actors import SYSTEM
from budgets.audit import log
from budgets.conversion import rho_nano_max
from budgets.database.connection import Database
from budgets.database.tables import metadata
from budgets.errors import AttemptsSpent, KeyConflict, NotApproved, NotFound, OverBudget, UnderWay, WrongState
from budgets.governance import studies, study_budgets
from budgets.ledger import accounts, charges, profiles, releases
from budgets.ledger.limits import Balance, Limits
from budgets.loss import NANO, Loss, Sum
from tests.budgets.world import FLU, actions, add_edition, check, cost, interrupted, log_problems, make_world, question
from tests.databases import is_sqlite
from tests.databases import rows as read_rows
from tests.laws import tries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from budgets.ledger.charges import Charge, Question, Release
    from tests.budgets.world import World
    from tests.databases import Databases

ROOT = Path(__file__).parents[3]
ASKED = cost(NANO, NANO // 2, 10**11)


@pytest.fixture
def opened(world: World) -> World:
    """Open two studies of epsilon 8 each on the dataset's epsilon 10."""
    world.open_study("hearts", 8 * NANO)
    world.open_study("lungs", 8 * NANO)
    return world


def rows(world: World, table: str) -> int:
    """Count a table's rows."""
    with world.database.read() as transaction:
        return int(transaction.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() or 0)


def unresolved(world: World) -> list[str]:
    """Return the ids of the open charges."""
    with world.database.read() as transaction:
        return [charge.id for charge in charges.unresolved(transaction)]


def find(world: World, asked: Question) -> Release | None:
    """Return the stored answer to a question."""
    with world.database.read() as transaction:
        return charges.find_release(transaction, asked)


def insert(world: World, table: str, **values: Any) -> None:
    """Insert a row directly, as a bug above the database might."""
    with world.database.write() as transaction:
        transaction.execute(sa.insert(metadata.tables[table]).values(**values))


# Two phases


def test_a_reserve_takes_its_loss_from_both_accounts(opened: World) -> None:
    """A reserve is counted as reserved on the study's and on the dataset's account, and on no other."""
    charge = opened.reserve("hearts", "how many", ASKED)
    assert charge.question == question("hearts", "how many")
    assert charge.loss == ASKED
    assert not charge.resumed
    for owner in ("hearts", None):
        assert opened.balance(owner).reserved == ASKED
        assert opened.balance(owner).spent == cost(0)
    assert opened.balance("lungs").used == cost(0)
    opened.check()


def test_a_settle_turns_the_reserved_into_the_spent(opened: World) -> None:
    """After a settle the loss is spent on both accounts, nothing is reserved, and the release is stored."""
    charge = opened.reserve("hearts", "how many", ASKED)
    release = opened.settle(charge, {"rows": [[1, "a"]], "note": None})
    assert release is not None
    for owner in ("hearts", None):
        assert opened.balance(owner).reserved == cost(0)
        assert opened.balance(owner).spent == ASKED
    assert find(opened, charge.question) == release
    assert release.body == {"rows": [[1, "a"]], "note": None}
    opened.check()


def test_a_release_is_dated_by_its_charge(opened: World) -> None:
    """A release has the time of its charge, because the time at which a scan ended depends on data."""
    charge = opened.reserve("hearts", "how many", ASKED)
    time.sleep(0.005)
    release = opened.settle(charge, {})
    assert release is not None
    assert release.charged_at == charge.reserved_at


def test_the_same_question_resumes_its_charge(opened: World) -> None:
    """A question that was reserved is resumed on the same charge at its first price, whatever is offered now."""
    first = opened.reserve("hearts", "how many", ASKED)
    for attempt, offered in ((2, cost(1)), (3, cost(100 * NANO))):
        again = opened.reserve("hearts", "how many", offered)
        assert again == replace(first, resumed=True, attempt=attempt)
    assert opened.balance("hearts").spent == ASKED, "to resume is to settle"
    assert opened.balance("hearts").reserved == cost(0)
    assert rows(opened, "charges") == 2


def test_a_charge_belongs_to_study_edition_and_fingerprint(opened: World) -> None:
    """The same text asked by another study, or on another edition, is another question and is charged again."""
    opened.import_edition()
    asked = [question("hearts", "q"), question("lungs", "q"), question("hearts", "q", 2), question("hearts", "r")]
    with opened.database.write() as transaction:
        made = [charges.reserve(transaction, one, ASKED) for one in asked]
    assert len({charge.id for charge in made}) == 4
    assert not any(charge.resumed for charge in made)
    assert opened.balance("hearts").reserved.epsilon_nano == 3 * NANO
    assert opened.balance().reserved.epsilon_nano == 4 * NANO
    opened.check()


def test_a_settle_can_be_repeated(opened: World) -> None:
    """Settling again spends nothing more, and the release that was stored first stays."""
    charge = opened.reserve("hearts", "how many", ASKED)
    first = opened.settle(charge, {"answer": 1})
    before = opened.everything()
    assert opened.settle(charge, {"answer": 2}) == first
    assert opened.settle(charge, None) == first
    assert opened.everything() == before


def test_a_failure_spends_and_a_retry_is_free(opened: World) -> None:
    """A charge settled without a release is spent; the same question resumes it, is answered, and pays no more."""
    charge = opened.reserve("hearts", "how many", ASKED)
    assert opened.settle(charge, None) is None
    assert opened.balance("hearts").spent == ASKED
    assert opened.settle(charge, None) is None
    again = opened.reserve("hearts", "how many", ASKED)
    assert again == replace(charge, resumed=True, attempt=2)
    release = opened.settle(again, {"answer": 1})
    assert release is not None
    assert find(opened, charge.question) == release
    for owner in ("hearts", None):
        assert opened.balance(owner).spent == ASKED
        assert opened.balance(owner).reserved == cost(0)
    opened.check()


@pytest.mark.parametrize("study", ["hearts", "lungs"])
def test_a_question_keeps_its_charge_when_the_budget_is_gone(opened: World, study: str) -> None:
    """A charge that was paid can be resumed and answered although nothing is left for anything else."""
    charge = opened.reserve("hearts", "how many", ASKED)
    opened.spend("hearts", "the rest", cost(7 * NANO))
    opened.spend("lungs", "the dataset's rest", cost(2 * NANO))
    with pytest.raises(OverBudget):
        opened.reserve(study, "one more", cost(1))
    again = opened.reserve("hearts", "how many", ASKED)
    assert again.id == charge.id
    assert opened.settle(again, {}) is not None


@pytest.mark.parametrize("settled_before", [False, True])
@pytest.mark.parametrize("body", [None, {"answer": 1}])
def test_a_settle_that_is_interrupted_leaves_nothing(
    opened: World, body: dict[str, Any] | None, settled_before: bool
) -> None:
    """When the transaction of a settle fails, neither the spend nor the release is there, and a retry works."""
    charge = opened.reserve("hearts", "how many", ASKED)
    if settled_before:
        opened.settle(charge, None)
    before = opened.everything()
    with interrupted(opened.database) as transaction:
        charges.settle(transaction, charge, body)
    assert opened.everything() == before
    assert opened.settle(charge, {"answer": 2}) is not None
    assert opened.balance("hearts").spent == ASKED
    opened.check()


def test_a_reserve_that_is_interrupted_leaves_nothing(opened: World) -> None:
    """When the transaction of a reserve fails, there is no charge, no key and no sum of it."""
    before = opened.everything()
    with interrupted(opened.database) as transaction:
        charges.reserve(transaction, releases.bind_key(transaction, question("hearts", "q"), "key"), ASKED)
    assert opened.everything() == before


def test_a_body_that_is_no_json_leaves_nothing(opened: World) -> None:
    """An answer with a NaN in it cannot be stored, and the failed settle leaves the charge open."""
    charge = opened.reserve("hearts", "how many", ASKED)
    before = opened.everything()
    with pytest.raises(ValueError, match="not JSON compliant"):
        opened.settle(charge, {"answer": float("nan")})
    assert opened.everything() == before


def test_a_charge_that_is_not_in_the_ledger_cannot_be_settled(opened: World) -> None:
    """A charge whose reserve was rolled back pays for no release."""
    with interrupted(opened.database) as transaction:
        charge = charges.reserve(transaction, question("hearts", "q"), ASKED)
    before = opened.everything()
    with pytest.raises(sa.exc.IntegrityError):
        opened.settle(charge, {"answer": 1})
    assert opened.everything() == before


def test_unresolved_are_the_open_charges(opened: World) -> None:
    """The unresolved charges are those that were reserved and not settled in any way, oldest first."""
    assert unresolved(opened) == []
    made = []
    for number in range(4):
        made.append(opened.reserve("hearts", f"question {number}", cost(1 + number, number, number)))
        time.sleep(0.002)
    opened.settle(made[1], {"answer": 1})
    opened.settle(made[2], None)
    with opened.database.read() as transaction:
        assert charges.unresolved(transaction) == [replace(made[0], resumed=True), replace(made[3], resumed=True)]


def test_recovery_spends_open_charges(opened: World) -> None:
    """Settling every unresolved charge without a release spends each in full and leaves none open."""
    for number in range(3):
        opened.reserve("hearts", f"question {number}", ASKED)
    with opened.database.write() as transaction:
        for charge in charges.unresolved(transaction):
            charges.settle(transaction, charge, None)
    assert unresolved(opened) == []
    assert opened.balance("hearts").spent == ASKED + ASKED + ASKED
    opened.check()


# Charges whose scan never began


def test_a_void_gives_a_charge_back(opened: World) -> None:
    """After a void nothing is reserved or spent on either account, and the same question is charged anew."""
    charge = opened.reserve("hearts", "how many", ASKED)
    assert opened.void(charge)
    for owner in ("hearts", None):
        assert opened.balance(owner).used == cost(0)
    assert unresolved(opened) == []
    opened.check()
    again = opened.reserve("hearts", "how many", cost(2 * NANO))
    assert not again.resumed
    assert again.id != charge.id
    assert opened.settle(again, {"answer": 1}) is not None
    assert opened.balance("hearts").spent == cost(2 * NANO)
    with opened.database.read() as transaction:
        assert list(accounts.discrepancies(transaction)) == []
    opened.check()


def test_a_void_is_for_once_and_for_open_charges(opened: World) -> None:
    """A charge that was settled, or given back before, is not given back."""
    spent, gone = opened.reserve("hearts", "how many", ASKED), opened.reserve("hearts", "how old", ASKED)
    opened.settle(spent, None)
    assert opened.void(gone)
    before = opened.everything()
    assert not opened.void(spent)
    assert not opened.void(gone)
    assert opened.everything() == before


def test_a_resumed_charge_is_never_given_back(opened: World) -> None:
    """Once a second attempt resumed a charge neither attempt can void it: the other may scan on it."""
    first = opened.reserve("hearts", "how many", ASKED)
    second = opened.reserve("hearts", "how many", ASKED)
    before = opened.everything()
    assert not opened.void(first)
    assert not opened.void(second)
    assert opened.everything() == before
    assert opened.settle(second, {"answer": 1}) is not None
    assert opened.balance().spent == ASKED


def test_a_charge_given_back_pays_for_nothing(opened: World) -> None:
    """No release is stored on a charge that was given back, and none of its loss is spent."""
    charge = opened.reserve("hearts", "how many", ASKED)
    opened.void(charge)
    before = opened.everything()
    for body in (None, {"answer": 1}):
        with pytest.raises(WrongState):
            opened.settle(charge, body)
    assert opened.everything() == before


def test_a_void_that_is_interrupted_leaves_nothing(opened: World) -> None:
    """When the transaction of a void fails the charge is as it was."""
    charge = opened.reserve("hearts", "how many", ASKED)
    before = opened.everything()
    with interrupted(opened.database) as transaction:
        charges.void(transaction, charge)
    assert opened.everything() == before


# Over budget


HALF = 10**12 // 2  # of the delta is for thresholds
STUDY_LEFT = cost(8 * NANO, Limits.of(8 * NANO, 10**12).rho_nano, HALF)
DATASET_LEFT = cost(7 * NANO, Limits.of(10 * NANO, 10**12).rho_nano - 9, HALF - 5)


@pytest.mark.parametrize(
    ("loss", "account", "left"),
    [
        (cost(8 * NANO + 1), "study", STUDY_LEFT),
        (cost(1, 0, HALF + 1), "study", STUDY_LEFT),
        (cost(7 * NANO + 1), "dataset", DATASET_LEFT),
        (cost(1, 0, HALF - 4), "dataset", DATASET_LEFT),
        (Loss(None, STUDY_LEFT.rho_nano + 1, 0), "study", STUDY_LEFT),
    ],
)
def test_over_budget_changes_nothing(opened: World, loss: Loss, account: str, left: Loss) -> None:
    """A charge past the study's or the dataset's limit is refused with the account, the cost and what is left."""
    opened.spend("lungs", "their share", cost(3 * NANO, 9, 5))
    before = opened.everything()
    with pytest.raises(OverBudget) as refused, opened.database.write() as transaction:
        charges.reserve(transaction, releases.bind_key(transaction, question("hearts", "too much"), "key"), loss)
    assert (refused.value.account, refused.value.cost, refused.value.left) == (account, loss, left)
    assert opened.everything() == before


def test_the_last_unit_of_the_dataset(opened: World) -> None:
    """Two studies can spend the dataset's cap to the last billionth, and neither one more."""
    opened.spend("hearts", "most of it", cost(8 * NANO))
    opened.spend("lungs", "nearly all", cost(2 * NANO - 1))
    opened.spend("lungs", "the last", cost(1))
    for study, account in (("hearts", "study"), ("lungs", "dataset")):
        with pytest.raises(OverBudget) as refused:
            opened.reserve(study, "one more", cost(1))
        assert refused.value.account == account
    assert opened.balance().left.epsilon_nano == 0
    opened.check()


def test_what_is_reserved_is_gone_for_others(opened: World) -> None:
    """A reserve counts against the limits before it is settled."""
    opened.reserve("hearts", "under way", cost(8 * NANO))
    with pytest.raises(OverBudget):
        opened.reserve("hearts", "more", cost(1))
    with pytest.raises(OverBudget):
        opened.reserve("lungs", "more", cost(2 * NANO + 1))


# The database's own guards


def charge_row(charge: Charge, kind: str, identifier: str, **changed: Any) -> dict[str, Any]:
    """Return a row of `charges` that resolves a charge."""
    row = {
        "id": identifier,
        "kind": kind,
        "reserve_id": charge.id,
        "study": charge.question.study,
        "dataset": FLU,
        "edition": charge.question.edition,
        "fingerprint": charge.question.fingerprint,
        "epsilon_nano": charge.loss.epsilon_nano,
        "rho_nano": charge.loss.rho_nano,
        "delta_atto": charge.loss.delta_atto,
        "at": charge.reserved_at,
    }
    return row | changed


def test_a_charge_is_resolved_once_by_the_database(opened: World) -> None:
    """The database refuses a second settle row, and a void row beside a settle row."""
    charge = opened.reserve("hearts", "how many", ASKED)
    opened.settle(charge, None)
    for number, kind in enumerate(("settle", "void")):
        with pytest.raises(sa.exc.IntegrityError, match=r"(?i)UNIQUE.*charges.reserve_id"):
            insert(opened, "charges", **charge_row(charge, kind, str(number)))


@pytest.mark.parametrize(
    ("kind", "changed", "why"),
    [
        ("settle", {"reserve_id": None}, "ck_charges_resolves"),
        ("void", {"reserve_id": None}, "ck_charges_resolves"),
        ("reserve", {}, "ck_charges_resolves"),
        ("refund", {}, "ck_charges_kind"),
        ("settle", {"epsilon_nano": 0}, "ck_charges_loss"),
        ("settle", {"epsilon_nano": -1}, "ck_charges_loss"),
        ("settle", {"rho_nano": -1}, "ck_charges_loss"),
        ("settle", {"delta_atto": -1}, "ck_charges_loss"),
        ("settle", {"reserve_id": "nothing"}, "(?i)foreign key"),
        ("settle", {"study": "nowhere"}, "(?i)foreign key"),
        ("settle", {"edition": 2}, "(?i)foreign key"),
        ("settle", {"dataset": "nowhere"}, "(?i)foreign key"),
    ],
)
def test_the_database_refuses_charges_that_cannot_be(
    opened: World, kind: str, changed: dict[str, Any], why: str
) -> None:
    """No charge row is stored that resolves nothing, gives something back, or points at what is not there."""
    charge = opened.reserve("hearts", "how many", ASKED)
    with pytest.raises(sa.exc.IntegrityError, match=why):
        insert(opened, "charges", **charge_row(charge, kind, "new", **changed))


@pytest.mark.parametrize(("same", "why"), [("charge", "releases.charge"), ("question", "releases.study")])
def test_one_release_for_a_charge_and_for_a_question(opened: World, same: str, why: str) -> None:
    """The database refuses a second release for one charge, and one for a question that has its answer."""
    first, second = opened.reserve("hearts", "how many", ASKED), opened.reserve("hearts", "another", ASKED)
    opened.settle(first, {})
    charge, asked = (first, second.question) if same == "charge" else (second, first.question)
    with pytest.raises(sa.exc.IntegrityError, match=f"(?i)UNIQUE.*{why}"):
        insert(
            opened,
            "releases",
            id="new",
            charge=charge.id,
            study=asked.study,
            dataset=FLU,
            edition=asked.edition,
            fingerprint=asked.fingerprint,
            charged_at=first.reserved_at,
            body="{}",
        )


# Keys


def bind(world: World, asked: Question, key: str) -> Question:
    """Bind a key, in a transaction of its own."""
    with world.database.write() as transaction:
        return releases.bind_key(transaction, asked, key)


def test_a_key_stands_for_its_question(opened: World) -> None:
    """The same key with the same question gives that question, as often as it is sent."""
    asked = question("hearts", "how many")
    assert bind(opened, asked, "k1") == asked
    assert bind(opened, asked, "k1") == asked
    assert bind(opened, asked, "k2") == asked
    assert rows(opened, "idempotency_keys") == 2


def test_a_key_is_not_used_for_another_question(opened: World) -> None:
    """A key that was used for one question is refused for another, and stays with the first."""
    asked = question("hearts", "how many")
    bind(opened, asked, "k1")
    before = opened.everything()
    with pytest.raises(KeyConflict):
        bind(opened, question("hearts", "how old"), "k1")
    assert opened.everything() == before
    assert bind(opened, asked, "k1") == asked


def test_keys_belong_to_a_study(opened: World) -> None:
    """Two studies may use the same key for questions of their own."""
    hearts, lungs = question("hearts", "how many"), question("lungs", "how old")
    assert bind(opened, hearts, "k1") == hearts
    assert bind(opened, lungs, "k1") == lungs
    assert bind(opened, hearts, "k1") == hearts


def test_idempotency_key_keeps_its_edition(opened: World) -> None:
    """A retry after a new import gives the question on the edition it was first asked on, and costs nothing more."""
    asked = question("hearts", "how many")
    bind(opened, asked, "k1")
    charge = opened.reserve("hearts", "how many", ASKED)
    opened.import_edition()
    retried = bind(opened, question("hearts", "how many", 2), "k1")
    assert retried == asked
    with opened.database.write() as transaction:
        assert charges.reserve(transaction, retried, ASKED) == replace(charge, resumed=True, attempt=2)
    assert bind(opened, question("hearts", "how many", 2), "k2").edition == 2


# Reading releases


def test_a_release_is_found_within_its_study_only(opened: World) -> None:
    """A release is read by its study and id; another study does not find it."""
    release = opened.settle(opened.reserve("hearts", "how many", ASKED), {"answer": 1})
    assert release is not None
    with opened.database.read() as transaction:
        assert releases.by_id(transaction, "hearts", release.id) == release
        for study, identifier in (("lungs", release.id), ("hearts", "nothing"), ("nowhere", release.id)):
            with pytest.raises(NotFound):
                releases.by_id(transaction, study, identifier)


def test_releases_are_listed_page_by_page(opened: World) -> None:
    """Pages of a study's releases, each from after the last one's end, give every release once, oldest first."""
    for number in range(7):
        opened.spend("hearts", f"question {number}", cost(1))
    opened.spend("lungs", "theirs", cost(1))
    after, found = None, []
    with opened.database.read() as transaction:
        while page := releases.of_study(transaction, "hearts", after=after, limit=3):
            assert len(page) <= 3
            found += page
            after = (page[-1].charged_at, page[-1].id)
    assert len({one.id for one in found}) == len(found) == 7
    assert [(one.charged_at, one.id) for one in found] == sorted((one.charged_at, one.id) for one in found)
    assert {one.question.study for one in found} == {"hearts"}


# Many at once


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run some work in threads that start together, and return what each gave."""
    barrier = threading.Barrier(count)

    def start(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return [future.result() for future in [threads.submit(start, number) for number in range(count)]]


@contextlib.contextmanager
def other_connections(world: World, count: int) -> Iterator[list[Database]]:
    """Open the database several times over, as several processes do."""
    opened = [Database(world.url) for _ in range(count)]
    yield opened
    for database in opened:
        database.close()


def test_sixteen_threads_share_one_database(world: World) -> None:
    """Sixteen threads that reserve, settle and read at once are never told that the database is locked."""
    world.open_study("hearts", 8 * NANO)
    world.open_study("lungs", 8 * NANO)

    def work(number: int) -> None:
        study = ("hearts", "lungs")[number % 2]
        for turn in range(20):
            with world.database.write() as transaction:
                charge = charges.reserve(transaction, question(study, f"{number} {turn}"), cost(1, 1, 1))
                log.append(transaction, SYSTEM, "query.reserve", study, "one")
            with world.database.read() as transaction:
                check(transaction)
            if turn % 2:
                world.settle(charge, {"answer": turn})

    at_once(16, work)
    assert rows(world, "charges") == 16 * 20 + 16 * 10
    assert world.balance().spent == cost(160, 160, 160)
    assert world.balance().reserved == cost(160, 160, 160)
    assert log_problems(world.database) == []
    world.check()


@pytest.mark.parametrize("separate", [False, True])
def test_two_studies_race_for_the_last_budget(world: World, separate: bool) -> None:
    """Eight threads of two studies that ask for more than the cap spend it exactly and never pass it."""
    world.import_edition(100, 0)
    world.open_study("hearts", 90, 0)
    world.open_study("lungs", 90, 0)
    with other_connections(world, 8) as others:

        def work(number: int) -> int:
            database = others[number] if separate else world.database
            for turn in itertools.count():
                asked = question(("hearts", "lungs")[number % 2], f"{number} {turn}")
                try:
                    with database.write() as transaction:
                        charges.reserve(transaction, asked, cost(1))
                except OverBudget:
                    return turn
            raise AssertionError

        assert sum(at_once(8, work)) == 100
    assert world.balance().left == cost(0)
    world.check()


@pytest.mark.parametrize("separate", [False, True])
def test_one_question_from_many_threads_is_charged_once(opened: World, separate: bool) -> None:
    """When twelve threads ask one question at once, one charge is made, and three get one and the same answer."""
    with other_connections(opened, 12) as others:

        def work(number: int) -> tuple[int, Release | None]:
            database = others[number] if separate else opened.database
            try:
                with database.write() as transaction:
                    asked = releases.bind_key(transaction, question("hearts", "how many"), "one key")
                    charge = charges.reserve(transaction, asked, ASKED)
            except AttemptsSpent:
                return 0, None
            with database.write() as transaction:
                return charge.attempt, charges.settle(transaction, charge, {"answer": number})

        done = at_once(12, work)
    assert sorted(attempt for attempt, _ in done) == [0] * 9 + [1, 2, 3]
    released = [release for _, release in done if release is not None]
    assert len(released) == 3
    assert all(release == released[0] for release in released)
    assert opened.balance("hearts").spent == ASKED
    opened.check()


# Several processes, and sudden death


@contextlib.contextmanager
def spender(world: World, study: str, what: str, epsilon: int = 1) -> Iterator[subprocess.Popen[str]]:
    """Start a process that spends, wait until it says that it is there, and kill it at the end."""
    command = [sys.executable, "-m", "tests.budgets.spender", world.url, study, what, str(epsilon)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process as `kill -9` does, and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def check_after_death(world: World) -> None:
    """Assert that the database is whole, that sums and rows agree, and that each charge has its audit entry."""
    if is_sqlite(world.url):
        assert read_rows(world.url, "PRAGMA integrity_check") == [("ok",)]
        assert read_rows(world.url, "PRAGMA foreign_key_check") == []
    world.check()
    assert log_problems(world.database) == []
    with world.database.read() as transaction:
        logged = actions(transaction)
        kinds = list(transaction.exec_driver_sql("SELECT kind FROM charges").scalars())
        unpaid = transaction.exec_driver_sql(
            "SELECT count(*) FROM releases r WHERE NOT EXISTS (SELECT 1 FROM charges c WHERE c.reserve_id = r.charge)"
        ).scalar()
    assert logged.count("query.reserve") == kinds.count("reserve")
    assert logged.count("query.release") == kinds.count("settle") == rows(world, "releases")
    assert unpaid == 0


@pytest.mark.parametrize(
    ("moment", "reserved", "spent"),
    [("reserving", 0, 0), ("reserved", 5, 0), ("settling", 5, 0), ("settled", 0, 5)],
)
def test_spender_killed_at_each_point_leaves_whole_steps(opened: World, moment: str, reserved: int, spent: int) -> None:
    """After kill -9 inside or after a transaction the ledger holds that step wholly or not at all, and goes on."""
    with spender(opened, "hearts", moment, 5) as process:
        kill(process)
    check_after_death(opened)
    for owner in ("hearts", None):
        assert opened.balance(owner).reserved == cost(reserved, reserved, reserved)
        assert opened.balance(owner).spent == cost(spent, spent, spent)
    assert len(unresolved(opened)) == (1 if reserved else 0)
    assert (find(opened, question("hearts", "the question")) is not None) == bool(spent)
    again = opened.reserve("hearts", "the question", cost(5, 5, 5))
    assert again.resumed == bool(reserved or spent)
    assert opened.settle(again, {"answer": "after"}) is not None
    assert opened.balance().used == cost(5, 5, 5)
    opened.check()


def test_attempts_are_counted_before_they_begin(opened: World) -> None:
    """Each attempt that was allowed counts, though it died at once; one that died before it was allowed does not."""
    assert opened.reserve("hearts", "the question", cost(5, 5, 5)).attempt == 1
    for moment, counted in (("reserving", 0), ("reserved", 1), ("reserving", 1), ("reserved", 2)):
        with spender(opened, "hearts", moment, 5) as process:
            kill(process)
        assert rows(opened, "resumes") == counted
    before = opened.everything()
    for _ in range(2):
        with pytest.raises(AttemptsSpent, match="3 attempts"):
            opened.reserve("hearts", "the question", cost(5, 5, 5))
    assert opened.everything() == before
    assert opened.balance().spent == cost(5, 5, 5)
    assert opened.reserve("hearts", "another question", cost(5, 5, 5)).attempt == 1
    opened.check()


def test_attempts_that_are_spent_may_still_be_under_way(opened: World) -> None:
    """While one of three attempts may bring the answer, another is told to wait; when all failed, or are old, it is not."""
    hearts = question("hearts", "the question")

    def fourth(scan_seconds: float) -> type[Exception] | None:
        try:
            with opened.database.write() as transaction:
                charges.reserve(transaction, hearts, cost(5, 5, 5), scan_seconds=scan_seconds)
        except (AttemptsSpent, UnderWay) as refusal:
            return type(refusal)
        return None

    begun = [opened.reserve("hearts", "the question", cost(5, 5, 5)) for _ in range(3)]
    before = opened.everything()
    assert fourth(0) is AttemptsSpent
    for charge in begun:
        assert fourth(600) is UnderWay
        opened.settle(charge, None)
        opened.settle(charge, None)  # safe to repeat
    assert fourth(600) is AttemptsSpent
    assert opened.balance().used == cost(5, 5, 5)
    assert len(opened.everything()["failures"]) == 3
    assert before["charges"] == opened.everything()["charges"]
    opened.check()


@pytest.mark.parametrize("table", ["resumes", "profile_resumes"])
def test_the_database_itself_knows_no_fourth_attempt(opened: World, table: str) -> None:
    """Whatever the code would say, no row can stand for a first, a fourth or a repeated attempt."""
    charge = opened.reserve("hearts", "the question", cost(5, 5, 5))
    with opened.database.write() as transaction:
        profile = profiles.reserve(transaction, profiles.question(FLU, 1, "f" * 64), cost(5))
    owner = {"resumes": charge.id, "profile_resumes": profile.id}[table]

    def add(attempt: int) -> None:
        with opened.database.write() as transaction:
            row = {"charge": owner, "attempt": attempt, "at": "now"}
            transaction.execute(sa.insert(metadata.tables[table]), row)

    add(2)
    for attempt in (0, 1, 2, 4):
        with pytest.raises(sa.exc.IntegrityError):
            add(attempt)


def test_spender_killed_at_random_leaves_whole_steps(opened: World) -> None:
    """A process that spends without pause and is killed at random moments never leaves half a step behind."""
    chance = random.Random(20260101)
    for _ in range(5):
        before = rows(opened, "charges")
        with spender(opened, "hearts", "loop") as process:
            time.sleep(chance.uniform(0, 0.05))
            kill(process)
        assert rows(opened, "charges") > before
        check_after_death(opened)
        assert len(unresolved(opened)) == rows(opened, "charges") - 2 * rows(opened, "releases")
        with opened.database.write() as transaction:
            for charge in charges.unresolved(transaction):
                charges.settle(transaction, charge, {"answer": "recovered"})
                log.append(transaction, SYSTEM, "query.release", "study:hearts", "recovered")


def test_two_processes_race_for_the_last_budget(world: World) -> None:
    """Two processes that spend one dataset's budget on one file reach its cap exactly and never pass it."""
    world.import_edition(300, 600)
    world.open_study("hearts", 300)
    world.open_study("lungs", 300)
    with spender(world, "hearts", "race") as one, spender(world, "lungs", "race") as two:
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        done = [int(process.stdout.readline()) for process in (one, two) if process.stdout is not None]
    assert sum(done) == 300
    assert world.balance().spent == cost(300, 300, 300)
    check_after_death(world)


# The whole ledger against a model of it

STEP = NANO // 10  # of epsilon
CAP = (60 * STEP, 4 * 10**11)
STUDIES = ("hearts", "lungs")
names = st.sampled_from(STUDIES)


@dataclass
class Paid:
    """What the model knows of a charge."""

    id: str
    loss: Loss
    settled: bool = False
    answer: int | None = None
    attempts: int = 1


class LedgerMachine(RuleBasedStateMachine):
    """Two studies on one over-committed dataset, beside a model of dicts and integers that decides what should be."""

    paid = Bundle("paid")

    def __init__(self, databases: Databases) -> None:
        super().__init__()
        self.world = make_world(databases)
        self.world.import_edition(*CAP)
        self.cap = CAP
        self.edition = 1
        self.limits = {"hearts": (40 * STEP, 2 * 10**11), "lungs": (30 * STEP, 4 * 10**11)}
        self.waiting: dict[str, tuple[int, int] | None] = dict.fromkeys(STUDIES)
        self.charges: dict[Question, Paid] = {}
        self.voided: set[str] = set()
        self.suspended: set[str] = set()
        self.keys: dict[tuple[str, str], Question] = {}
        for study, limit in self.limits.items():
            self.world.open_study(study, *limit)

    def teardown(self) -> None:
        """Close what was opened."""
        self.world.database.close()

    def used(self, study: str | None = None, *more: Loss) -> list[Loss]:
        """Return the losses that a study took, or all of them, and some more."""
        return [paid.loss for asked, paid in self.charges.items() if study in (None, asked.study)] + list(more)

    @classmethod
    def room(cls, limit: tuple[int, int], used: list[Loss]) -> dict[str, float]:
        """Return the room in each filter, by kind of noise, and in delta: below 0 beyond a limit."""
        (epsilon, delta), laplace = limit, [loss for loss in used if loss.epsilon_nano is not None]
        keys = delta // 2
        split = (delta - keys) // 2
        gaussian = sum(loss.rho_nano for loss in used if loss.epsilon_nano is None)
        added = sum(loss.epsilon_nano or 0 for loss in laplace)
        return {
            "basic": epsilon - added if len(laplace) == len(used) else -math.inf,
            "zcdp": rho_nano_max(epsilon, delta - keys - split) - sum(loss.rho_nano for loss in used),
            "laplace": epsilon // 2 - added,
            "gaussian": rho_nano_max(epsilon - epsilon // 2, split) - gaussian,
            "delta": keys - sum(loss.delta_atto for loss in used),
        }

    @classmethod
    def holds(cls, limit: tuple[int, int], used: list[Loss]) -> bool:
        """Say whether losses are within a limit, as the three filters say."""
        room = cls.room(limit, used)
        filters = room["basic"], room["zcdp"], min(room["laplace"], room["gaussian"])
        return room["delta"] >= 0 and max(filters) >= 0

    def refusal(self, study: str, loss: Loss) -> tuple[str, Loss, Loss] | None:
        """Return the account that a loss does not fit, with the loss and what is left, or None."""
        for account, limit, owner in (("study", self.limits[study], study), ("dataset", self.cap, None)):
            if not self.holds(limit, self.used(owner, loss)):
                room = self.room(limit, self.used(owner))
                epsilon = max(0, room["basic"], room["laplace"] if room["gaussian"] >= 0 else 0)
                rho = max(0, room["zcdp"])
                if loss.epsilon_nano is None and room["laplace"] >= 0:
                    rho = max(rho, room["gaussian"])
                return account, loss, Loss(int(epsilon), int(rho), int(room["delta"]))
        return None

    @rule(
        target=paid,
        study=names,
        text=st.sampled_from("abcdef"),
        loss=st.builds(
            lambda steps, has_epsilon, delta: replace(
                cost(steps * STEP, delta=delta * 10**10), **({} if has_epsilon else {"epsilon_nano": None})
            ),
            st.integers(1, 25) | st.integers(1, 3),
            st.booleans(),
            st.sampled_from([0, 0, 0, 1, 12]),
        ),
        key=st.none() | st.sampled_from(["k1", "k2"]),
    )
    def reserve(self, study: str, text: str, loss: Loss, key: str | None) -> Any:
        """Ask a question, as the server does."""
        asked = question(study, text, self.edition)
        before = self.world.everything()
        first = asked if key is None else self.keys.get((study, key), asked)
        try:
            with self.world.database.write() as transaction:
                studies.require_open(transaction, studies.study(transaction, study))
                bound = asked if key is None else releases.bind_key(transaction, asked, key)
                charge = charges.reserve(transaction, bound, loss)
        except NotApproved:
            assert study in self.suspended
            assert self.world.everything() == before
            return multiple()
        except KeyConflict:
            assert first.fingerprint != asked.fingerprint
            assert self.world.everything() == before
            return multiple()
        except AttemptsSpent:
            assert self.charges[first].attempts == 3
            assert self.world.everything() == before
            return multiple()
        except OverBudget as refused:
            said = (refused.account, refused.cost, refused.left)
            assert first not in self.charges
            assert said == self.refusal(study, loss)
            assert self.world.everything() == before
            return multiple()
        assert study not in self.suspended
        assert first.fingerprint == asked.fingerprint
        assert charge.question == first
        assert charge.resumed == (first in self.charges)
        if charge.resumed:
            self.charges[first].settled = True
            self.charges[first].attempts += 1
        else:
            assert self.refusal(study, loss) is None
            self.charges[first] = Paid(charge.id, loss)
        if key is not None:
            self.keys[study, key] = first
        assert charge.loss == self.charges[first].loss
        assert charge.attempt == self.charges[first].attempts <= 3
        return charge

    @rule(charge=paid, answer=st.none() | st.integers(0, 9))
    def settle(self, charge: Charge, answer: int | None) -> None:
        """Settle a charge, with an answer or without, perhaps for the second time or after it was given back."""
        if charge.id in self.voided:
            before = self.world.everything()
            with pytest.raises(WrongState):
                self.world.settle(charge, {"answer": answer})
            assert self.world.everything() == before
            return
        stored = self.world.settle(charge, None if answer is None else {"answer": answer})
        known = self.charges[charge.question]
        known.settled = True
        known.answer = answer if known.answer is None else known.answer
        assert (None if stored is None else stored.body["answer"]) == known.answer
        assert find(self.world, charge.question) == stored

    @rule(charge=paid)
    def void(self, charge: Charge) -> None:
        """Give a charge back, if nobody settled or resumed it."""
        known = self.charges.get(charge.question)
        possible = known is not None and known.id == charge.id and not known.settled and not charge.resumed
        before = self.world.everything()
        assert self.world.void(charge) == possible
        if possible:
            del self.charges[charge.question]
            self.voided.add(charge.id)
        else:
            assert self.world.everything() == before

    @rule(charge=paid)
    def crash(self, charge: Charge) -> None:
        """Lose the connection in the middle of a transaction, as when a process dies, and start again."""
        before = self.world.everything()
        with contextlib.suppress(Exception), self.world.database.write() as transaction:
            if charge.id not in self.voided:
                charges.settle(transaction, charge, {"answer": 99})
            studies.move(transaction, "lungs", "close", "as the model says", self.world.dpo)
            transaction.connection.driver_connection.close()
        self.world.database.close()
        self.world = replace(self.world, database=Database(self.world.url))
        assert self.world.everything() == before

    @rule()
    def restart(self) -> None:
        """Close what is open as spent, as a server does when it starts."""
        with self.world.database.write() as transaction:
            for charge in charges.unresolved(transaction):
                charges.settle(transaction, charge, None)
        for paid in self.charges.values():
            paid.settled = True

    @rule(study=names)
    def suspend_or_resume(self, study: str) -> None:
        """Suspend a study, or let it go on: what it reserved can be settled, and it cannot reserve more."""
        action = "resume" if study in self.suspended else "suspend"
        with self.world.database.write() as transaction:
            studies.move(transaction, study, action, "as the model says", self.world.dpo)
        self.suspended ^= {study}

    @rule(charge=paid, study=names)
    def interrupt(self, charge: Charge, study: str) -> None:
        """Fail inside a transaction that settled one charge and reserved another."""
        before = self.world.everything()
        with contextlib.suppress(OverBudget, WrongState), interrupted(self.world.database) as transaction:
            charges.settle(transaction, charge, {"answer": 99})
            charges.reserve(transaction, question(study, "interrupted", self.edition), cost(1))
        assert self.world.everything() == before

    @rule(
        study=names,
        epsilon=st.integers(1, 65).map(lambda n: n * STEP),
        delta=st.integers(0, 45).map(lambda n: n * 10**10),
    )
    def set_budget(self, study: str, epsilon: int, delta: int) -> None:
        """Lower a study's limits at once, or ask for larger ones."""
        wanted = min(epsilon, self.cap[0]), min(delta, self.cap[1])
        limit, holds = self.limits[study], self.holds(wanted, self.used(study))
        try:
            with self.world.database.write() as transaction:
                study_budgets.set_budget(
                    transaction, study, *wanted, "as the model says", self.world.admin, justification="a test"
                )
        except WrongState:
            assert not holds
            return
        assert holds
        if wanted[0] > limit[0] or wanted[1] > limit[1]:
            self.waiting[study] = wanted
        else:
            self.limits[study], self.waiting[study] = wanted, None

    @rule(study=names)
    def approve_budget(self, study: str) -> None:
        """Let the DPO agree to a raise, if one waits and still fits."""
        wanted, used = self.waiting[study], self.used(study)
        try:
            with self.world.database.write() as transaction:
                study_budgets.approve_budget(
                    transaction, study, "as the model says", self.world.approver, without_advice="a test"
                )
        except WrongState:
            fits = wanted is not None and wanted[0] <= self.cap[0] and wanted[1] <= self.cap[1]
            assert not (fits and wanted is not None and self.holds(wanted, used))
            return
        assert wanted is not None
        assert wanted[0] <= self.cap[0]
        assert wanted[1] <= self.cap[1]
        self.limits[study], self.waiting[study] = wanted, None

    @rule(epsilon=st.integers(1, 65).map(lambda n: n * STEP), delta=st.integers(0, 45).map(lambda n: n * 10**10))
    def import_edition(self, epsilon: int, delta: int) -> None:
        """Import a new edition, whose manifest may lower the cap and not raise it."""
        used = self.used()
        try:
            with self.world.database.write() as transaction:
                add_edition(transaction, self.world.admin, epsilon, delta)
        except WrongState:
            assert epsilon > self.cap[0] or delta > self.cap[1] or not self.holds((epsilon, delta), used)
            return
        assert epsilon <= self.cap[0]
        assert delta <= self.cap[1]
        assert self.holds((epsilon, delta), used)
        self.cap = (epsilon, delta)
        self.edition += 1

    @invariant()
    def balances_are_the_models(self) -> None:
        """Compare every account's limit, reserved and spent with the model, and the ledger with itself."""
        for study in (*STUDIES, None):
            paid = [one for asked, one in self.charges.items() if study in (None, asked.study)]
            limit = self.cap if study is None else self.limits[study]
            assert replace(self.world.balance(study), justification=None) == Balance(
                "dataset" if study is None else "study",
                study or FLU,
                Limits.of(*limit),
                sum((Sum.of(one.loss) for one in paid if not one.settled), Sum()),
                sum((Sum.of(one.loss) for one in paid if one.settled), Sum()),
            )
        self.world.check()

    @invariant()
    def open_charges_are_the_models(self) -> None:
        """Compare the unresolved charges with those that the model has not settled."""
        with self.world.database.read() as transaction:
            found = {charge.question for charge in charges.unresolved(transaction)}
        assert found == {asked for asked, paid in self.charges.items() if not paid.settled}


def test_the_ledger_does_what_its_model_says(databases: Databases) -> None:
    """Any run of reserves, settles, interruptions, limits and imports ends as a plain model says, within all limits."""
    run_state_machine_as_test(
        lambda: LedgerMachine(databases),
        settings=settings(
            max_examples=tries(10, audited=40),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
