"""Which charges, refusals and limits raise an alert of a budget: against a count of the test's own, from the rows."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from budgets.alerts import alerts, thresholds
from budgets.database import tables
from budgets.database.connection import Database
from budgets.database.tables import audit_entries, budget_alerts, deliveries
from budgets.errors import OverBudget, WrongState
from budgets.governance import study_budgets
from budgets.ledger import accounts, charges
from budgets.loss import NANO, Loss
from budgets.verify.spending import Spending, rho_limit
from tests.budgets.world import FLU, WHY, add_edition, cost, question, sums_of_rows
from tests.databases import rows
from tests.laws import tries

if TYPE_CHECKING:
    from budgets.ledger.charges import Charge
    from tests.budgets.world import World

STUDY = ("study", "s")
DATASET = ("dataset", FLU)


def charge(world: World, text: str, loss: Loss, study: str = "s") -> Charge | None:
    """Charge a question as the journey of a query does; None when it was refused."""
    try:
        with world.database.write() as transaction:
            made = charges.reserve(transaction, question(study, text), loss)
            thresholds.after_charge(transaction, study, FLU)
            return made
    except OverBudget as refusal:
        with world.database.write() as transaction:
            owner = study if refusal.account == "study" else FLU
            thresholds.after_refusal(transaction, refusal.account, owner, loss)
        return None


def raised(world: World) -> list[tuple[str, str, int, str]]:
    """Return (account, owner, threshold, cause) of every alert of a budget in the log."""
    bodies = rows(world.url, "SELECT body FROM audit_entries WHERE action = 'alert.budget' ORDER BY position")
    facts = [json.loads(body)["facts"] for (body,) in bodies]
    return [(one["account"], one["owner"], one["threshold"], one["cause"]) for one in facts]


@dataclass
class Model:
    """What should have been told, from the sums of the charge rows and the limits alone."""

    world: World
    told: dict[tuple[str, str], set[int]] = field(default_factory=lambda: {STUDY: set(), DATASET: set()})
    expected: list[tuple[str, str, int, str]] = field(default_factory=list)

    def reached(self, account: tuple[str, str]) -> set[int]:
        with self.world.database.read() as transaction:
            sums = sums_of_rows(transaction).get(account, (0,) * 10)
            c = tables.accounts.c
            limits = transaction.execute(
                sa.select(tables.accounts).where(c.kind == account[0], c.owner == account[1])
            ).one()
        epsilon, rho, delta, unbounded, gaussian = (sums[n] + sums[n + 5] for n in range(5))
        half = limits.delta_limit_atto - limits.delta_limit_atto // 2
        best = rho_limit(limits.epsilon_limit_nano, half - half // 2)
        assert limits.rho_limit_nano == pytest.approx(best, rel=1e-6, abs=2)
        beside = rho_limit(limits.epsilon_limit_nano - limits.epsilon_limit_nano // 2, half // 2)
        assert limits.gaussian_limit_nano == pytest.approx(beside, rel=1e-6, abs=2)
        found = set()
        for percent in (50, 80, 100):
            basic = unbounded > 0 or epsilon * 100 >= percent * limits.epsilon_limit_nano
            concentrated = rho * 100 >= percent * limits.rho_limit_nano
            split = (
                epsilon * 100 >= percent * (limits.epsilon_limit_nano // 2)
                or gaussian * 100 >= percent * limits.gaussian_limit_nano
            )
            keys = limits.delta_limit_atto // 2
            if (basic and concentrated and split) or (keys > 0 and delta * 100 >= percent * keys):
                found.add(percent)
        return found

    def tell(self, account: tuple[str, str], cause: str) -> None:
        fresh = self.reached(account) - self.told[account]
        if fresh:
            self.told[account] |= fresh
            self.expected.append((*account, max(fresh), cause))

    def charged(self) -> None:
        self.tell(STUDY, "charge")
        self.tell(DATASET, "charge")

    def limits(self, account: tuple[str, str]) -> None:
        self.told[account] &= self.reached(account)
        self.tell(account, "limits")

    def refused(self, refused_by: str, fits_when_fresh: bool) -> None:
        account = STUDY if refused_by == "study" else DATASET
        if fits_when_fresh and 50 in self.reached(account) and 100 not in self.told[account]:
            self.told[account].add(100)
            self.expected.append((*account, 100, "refusal"))


@pytest.mark.parametrize("seed", range(tries(5, audited=12)))
def test_alerts_are_those_of_an_independent_count(world: World, seed: int) -> None:
    """Through charges of every kind, refunds, refusals and new limits, each threshold is told once for its limits."""
    drawn = random.Random(seed)
    epsilon, cap = 2 * NANO, 10 * NANO
    world.open_study("s", epsilon)
    model = Model(world)
    open_: list[Charge] = []
    for number in range(60):
        kind = drawn.choice(["pure"] * 4 + ["gaussian"] * 3 + ["keys"] * 3 + ["void"] * 3 + ["limits", "cap"])
        match kind:
            case "pure" | "gaussian" | "keys":
                spent = drawn.randrange(1, epsilon // 4)
                loss = {
                    "pure": cost(spent),
                    "gaussian": Loss(None, drawn.randrange(1, 10**7), 0),
                    "keys": cost(spent // 10, delta=drawn.randrange(1, 10**11)),
                }[kind]
                before = {one: world.balance(None if one == "dataset" else "s") for one in ("study", "dataset")}
                made = charge(world, str(number), loss)
                if made is not None:
                    open_.append(made)
                    model.charged()
                else:
                    by = next(one for one in ("study", "dataset") if not before[one].admits(loss))
                    limits = before[by].limits
                    fits = loss.delta_atto <= limits.delta_atto // 2 and (
                        (loss.epsilon_nano or 2**62) <= limits.epsilon_nano or loss.rho_nano <= limits.rho_nano
                    )  # what the split filter admits of one charge, one of these admits too
                    model.refused(by, fits)
            case "void" if open_:
                assert world.void(open_.pop(drawn.randrange(len(open_))))
            case "limits":
                wanted = drawn.randrange(NANO // 2, cap)
                try:
                    with world.database.write() as transaction:
                        study_budgets.set_budget(
                            transaction, "s", wanted, None, "a test", world.admin, justification=WHY
                        )
                    if wanted > epsilon:
                        with world.database.write() as transaction:
                            study_budgets.approve_budget(
                                transaction, "s", "a test", world.approver, without_advice="a test"
                            )
                    epsilon = wanted
                    model.limits(STUDY)
                except WrongState:
                    pass
            case "cap":
                wanted = drawn.randrange(cap // 2, cap)
                try:
                    with world.database.write() as transaction:
                        add_edition(transaction, world.admin, wanted, 10**12)
                    cap = wanted
                    model.limits(DATASET)
                except WrongState:
                    pass
        assert raised(world) == model.expected, (number, kind)
    assert {threshold for _, _, threshold, _ in model.expected} >= {50, 80}
    world.check()


def test_an_exact_threshold_is_reached_and_one_unit_less_is_not(world: World) -> None:
    """At 50% to the billionth an alert comes, and not one billionth below."""
    world.open_study("s", 2 * NANO, 0)  # delta 0: the first filter alone
    charge(world, "a", cost(NANO - 1))
    assert raised(world) == []
    charge(world, "b", Loss(1, 0, 0))
    assert raised(world) == [("study", "s", 50, "charge")]
    charge(world, "c", cost(6 * NANO // 10 - 1))
    assert len(raised(world)) == 1
    charge(world, "d", Loss(1, 0, 0))
    charge(world, "e", cost(4 * NANO // 10))
    assert raised(world)[1:] == [("study", "s", 80, "charge"), ("study", "s", 100, "charge")]


def test_many_small_queries_count_by_the_filter_that_has_room(world: World) -> None:
    """Where the sum of epsilon is far beyond its half but that of rho is not, no alert comes; it comes with rho's half."""
    world.open_study("s", NANO)
    limits = world.balance("s").limits
    small = NANO // 100
    halfway = limits.rho_nano // 2
    count = 0
    while world.balance("s").used.rho_nano + cost(small).rho_nano < halfway:
        charge(world, str(count), cost(small))
        count += 1
    assert count * small > NANO  # more than the whole epsilon
    assert raised(world) == []
    charge(world, "last", cost(small))
    assert raised(world) == [("study", "s", 50, "charge")]
    ((body,),) = rows(world.url, "SELECT body FROM audit_entries WHERE action = 'alert.budget'")
    said = json.loads(body)
    assert said["facts"]["percent"] == 50
    assert said["summary"] == "study s has used 50% of its budget (rho 0.01085 of 0.021669479)"


def test_the_thresholds_of_delta_are_of_what_thresholds_may_spend(world: World) -> None:
    """Half the delta goes to the conversion: half of the other half is 50%."""
    world.open_study("s", NANO, 4 * 10**11)
    charge(world, "a", cost(1, delta=10**11 - 1))
    assert raised(world) == []
    charge(world, "b", cost(1, delta=1))
    assert raised(world) == [("study", "s", 50, "charge")]
    ((body,),) = rows(world.url, "SELECT body FROM audit_entries WHERE action = 'alert.budget'")
    assert json.loads(body)["summary"] == "study s has used 50% of its budget (delta 1e-7 of 2e-7)"


def test_a_charge_that_passes_several_is_one_alert(world: World) -> None:
    """From nothing to 85% is one alert, of 80%; the dataset's own account has none of it."""
    world.open_study("s", NANO)
    charge(world, "a", cost(85 * NANO // 100))
    assert raised(world) == [("study", "s", 80, "charge")]
    ((body,),) = rows(world.url, "SELECT body FROM audit_entries WHERE action = 'alert.budget'")
    assert json.loads(body)["summary"] == "study s has used 85% of its budget (epsilon 0.85 of 1)"


def test_a_query_larger_than_the_budget_says_nothing_of_it(world: World) -> None:
    """A refusal is 100% where half is used and the limits would have admitted the charge at first; else no more than that."""
    world.open_study("s", NANO)
    assert charge(world, "a", cost(5 * NANO)) is None
    assert raised(world) == []
    charge(world, "b", cost(4 * NANO // 10))
    assert charge(world, "c", cost(7 * NANO // 10)) is None
    assert raised(world) == []
    charge(world, "d", cost(NANO // 10))
    assert charge(world, "e", cost(5 * NANO)) is None
    assert raised(world) == [("study", "s", 50, "charge")]
    assert charge(world, "c", cost(7 * NANO // 10)) is None
    assert charge(world, "c", cost(7 * NANO // 10)) is None
    assert raised(world)[1:] == [("study", "s", 100, "refusal")]
    # And what was refused does not hide what is spent after it.
    charge(world, "f", cost(3 * NANO // 10))
    assert raised(world)[2:] == [("study", "s", 80, "charge")]


@pytest.mark.parametrize("size", [n * NANO // 100 for n in (3, 7, 20, 26, 33, 34, 49, 50, 51, 67, 99, 100)])
def test_queries_of_one_size_end_in_an_alert_of_all(world: World, size: int) -> None:
    """Asked until one is refused, queries of any size that fits once end with the alert of 100%."""
    world.open_study("s", NANO, 0)
    count = 0
    while charge(world, str(count), cost(size)) is not None:
        count += 1
    assert count == NANO // size
    assert raised(world)[-1][:3] == ("study", "s", 100)


def test_a_profile_counts_to_the_dataset_alone(world: World) -> None:
    """After a charge without a study the dataset's account alone is looked at."""
    world.open_study("s", 10 * NANO)
    with world.database.write() as transaction:
        accounts.admit(transaction, None, FLU, cost(6 * NANO))
        thresholds.after_charge(transaction, None, FLU)
    assert raised(world) == [("dataset", FLU, 50, "charge")]


def test_two_charges_that_race_tell_a_threshold_once(world: World) -> None:
    """Of 16 charges by 8 threads, each with a connection of its own, each threshold is told by one, at its very sum."""
    world.open_study("s", 2 * NANO, 0)

    def spend(thread: int) -> None:
        database = Database(world.url)
        try:
            for number in range(2):
                start.wait()
                with database.write() as transaction:
                    charges.reserve(transaction, question("s", f"{thread}-{number}"), cost(NANO // 10))
                    thresholds.after_charge(transaction, "s", FLU)
        finally:
            database.close()

    start = threading.Barrier(8)
    threads = [threading.Thread(target=spend, args=[number]) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert raised(world) == [("study", "s", 50, "charge"), ("study", "s", 80, "charge")]
    bodies = rows(world.url, "SELECT body FROM audit_entries WHERE action = 'alert.budget' ORDER BY position")
    assert [json.loads(body)["facts"]["used"]["epsilon_nano"] for (body,) in bodies] == [NANO, 16 * NANO // 10]


def test_rolled_back_charge_leaves_no_alert(world: World) -> None:
    """A transaction that fails after its alert leaves no alert, no mark and nothing to deliver."""
    world.open_study("s", NANO)
    before = world.everything()
    with pytest.raises(ZeroDivisionError), world.database.write() as transaction:
        charges.reserve(transaction, question("s", "a"), cost(9 * NANO // 10))
        thresholds.after_charge(transaction, "s", FLU)
        assert transaction.execute(sa.select(budget_alerts)).all()
        assert transaction.execute(sa.select(deliveries)).all()
        raise ZeroDivisionError
    assert world.everything() == before


def test_the_list_is_the_logs_alerts_in_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is listed, by kind, study, time and page, is what the log has; and the log still adds up with alerts in it."""
    for name in ("s", "t"):
        world.open_study(name, NANO)
        for number in range(2):
            charge(world, f"{name}{number}", cost(NANO // 2), name)
    with world.database.read() as transaction:
        found = alerts.listed(transaction)
        told = [(one["study"], one["facts"]["threshold"]) for one in found]
        assert told == [("s", 50), ("s", 100), ("t", 50), ("t", 100)]
        paged: list[Any] = []
        while page := alerts.listed(transaction, first=paged[-1]["index"] + 1 if paged else 0, limit=2):
            paged += page
        assert paged == found
        for rows in (1, 2, 3):  # however many entries are read at once
            monkeypatch.setattr(alerts, "PAGE", rows)
            assert alerts.listed(transaction, limit=20) == found
        backwards = alerts.listed(transaction, newest_first=True)
        assert backwards == found[::-1]
        rest = alerts.listed(transaction, newest_first=True, first=backwards[1]["index"], limit=2)
        assert rest == backwards[1:3]
        assert alerts.listed(transaction, study="t") == [one for one in found if one["study"] == "t"]
        assert alerts.listed(transaction, kinds=("refusals", "sign-ins")) == []
        moment = found[2]["time"]
        assert alerts.listed(transaction, since=moment) == [one for one in found if one["time"] >= moment]
        assert alerts.listed(transaction, until=moment) == [one for one in found if one["time"] < moment]
        waiting = transaction.execute(sa.select(deliveries.c.position).order_by(deliveries.c.position)).scalars().all()
        assert waiting == [one["index"] for one in found]
        spending = Spending()
        bodies = transaction.execute(sa.select(audit_entries.c.body).order_by(audit_entries.c.position)).scalars()
        assert [problem for body in bodies for problem in spending.read(json.loads(body))] == []
