from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from budgets.errors import Forbidden, NotFound, OverBudget, WrongState
from budgets.governance import datasets
from budgets.identity import people, subjects
from budgets.ledger import accounts
from budgets.ledger.accounts import overcommit
from budgets.ledger.limits import Balance, Limits
from budgets.loss import Sum
from tests.budgets.world import BEN, FLU, WHY, World, add_edition, cost

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from budgets.actors import Actor


@pytest.fixture
def small(people_only: World) -> World:
    """Import a dataset with a cap of epsilon 1000 billionths and delta 500 units, with one study on it."""
    people_only.import_edition(1_000, 1_000)
    people_only.open_study("hearts", 1_000)
    return people_only


def test_the_first_import_sets_the_cap(small: World) -> None:
    """A new dataset's account has the cap of its first manifest and nothing spent."""
    assert small.balance() == Balance("dataset", FLU, Limits.of(1_000, 1_000), Sum(), Sum(), WHY)


@pytest.mark.parametrize(("epsilon", "delta"), [(1_001, 1_000), (1_000, 1_001), (1, 1_001), (1_001, 0)])
@pytest.mark.parametrize("spent", [False, True])
def test_no_import_raises_the_cap(small: World, epsilon: int, delta: int, spent: bool) -> None:
    """A new edition cannot raise the cap, in epsilon or delta, and one that tries is not imported."""
    if spent:
        small.spend("hearts", "q", cost(1_000, 0, 500))
    before = small.everything()
    with pytest.raises(WrongState):
        small.import_edition(epsilon, delta)
    assert small.everything() == before


def test_a_cap_once_lowered_stays_low(small: World) -> None:
    """After a manifest lowered the cap, the first one is a raise like any other."""
    small.import_edition(600, 300)
    for epsilon, delta in ((1_000, 1_000), (601, 300), (600, 301)):
        with pytest.raises(WrongState):
            small.import_edition(epsilon, delta)
    assert small.balance().limits == Limits.of(600, 300)


def test_a_cap_is_lowered_to_the_spend_and_not_below(small: World) -> None:
    """A new edition may lower the cap down to what is spent and reserved, not one unit further."""
    small.spend("hearts", "spent", cost(100, 1, 50))
    small.reserve("hearts", "reserved", cost(20, 1, 5))
    before = small.everything()
    for epsilon, delta in ((119, 110), (120, 109)):
        with pytest.raises(WrongState):
            small.import_edition(epsilon, delta)
    assert small.everything() == before
    small.import_edition(120, 110)
    assert small.balance().left == cost(0)
    with pytest.raises(OverBudget) as refused:
        small.reserve("hearts", "more", cost(1))
    assert refused.value.account == "dataset"


def test_a_new_edition_goes_on_from_the_spent_budget(small: World) -> None:
    """The editions of a dataset share one account: an import gives nothing back."""
    small.spend("hearts", "spent", cost(400, 3, 200))
    small.reserve("hearts", "reserved", cost(100, 2, 100))
    before = small.balance()
    assert small.import_edition(1_000, 1_000) == 2
    assert small.balance() == before
    with pytest.raises(OverBudget):
        small.reserve("hearts", "too much", cost(501))
    small.check()


def test_each_import_is_next_edition(small: World) -> None:
    """Each import is the next edition; the last is in service, and each can still be looked up."""
    with small.database.write() as transaction:
        second = add_edition(transaction, small.admin, 1_000, 500, folder="two")
        third = add_edition(transaction, small.admin, 1_000, 500, folder="three")
    assert (second.number, third.number) == (2, 3)
    with small.database.read() as transaction:
        assert datasets.current(transaction, FLU) == third
        assert datasets.edition(transaction, FLU, 2) == second
        assert datasets.folders(transaction, FLU) == ["three", "two", "one"]


def test_folders_are_in_order_of_editions(small: World) -> None:
    """The folders of more than nine editions are listed by number and not as text, the one in service first."""
    with small.database.write() as transaction:
        for number in range(2, 13):
            add_edition(transaction, small.admin, 1_000, 500, folder=f"f{number}")
    with small.database.read() as transaction:
        assert datasets.folders(transaction, FLU) == [f"f{number}" for number in range(12, 1, -1)] + ["one"]


def test_a_new_edition_brings_its_title_and_rule(small: World) -> None:
    """A new manifest's rule about over-commitment is in force from its import on."""
    with small.database.read() as transaction:
        assert overcommit(transaction, FLU)
    small.import_edition(1_000, 500, overcommit=False)
    with small.database.read() as transaction:
        assert not overcommit(transaction, FLU)
    with small.database.write() as transaction:
        add_edition(transaction, small.admin, 1_000, 500, title="Flu, renamed")
    assert [row[1] for row in small.everything()["datasets"]] == ["Flu, renamed"]


def test_datasets_have_caps_of_their_own(small: World) -> None:
    """Two datasets count their editions and their spend apart."""
    with small.database.write() as transaction:
        asthma = datasets.add_edition(
            transaction,
            dataset="asthma",
            title="Asthma",
            epsilon_nano=7,
            delta_atto=0,
            overcommit=False,
            folder="a",
            by=small.admin,
            noise="both",
        )
    assert asthma.number == 1
    small.spend("hearts", "spent", cost(400))
    with small.database.read() as transaction:
        assert datasets.names(transaction) == ["asthma", FLU]
        assert accounts.balance(transaction, accounts.DATASET, "asthma").left == cost(7, 0)
        assert datasets.folders(transaction, "asthma") == ["a"]


def test_unknown_dataset_has_no_edition(small: World) -> None:
    """A dataset or edition that is not there is not found, and has no folders."""
    with small.database.read() as transaction:
        assert datasets.folders(transaction, "nowhere") == []
        for number in (0, 2):
            with pytest.raises(NotFound):
                datasets.edition(transaction, FLU, number)
        with pytest.raises(NotFound):
            datasets.current(transaction, "nowhere")
        with pytest.raises(NotFound):
            overcommit(transaction, "nowhere")


def test_only_an_admin_imports_and_gives_access(small: World) -> None:
    """Without the role admin, nobody imports, adds or unties a user, or makes or revokes a token, whoever calls."""
    with small.database.write() as transaction:
        token = people.new_token(transaction, BEN, small.admin).id
    before = small.everything()
    acts: tuple[Callable[[sa.Connection, Actor], object], ...] = (
        lambda transaction, by: add_edition(transaction, by, 1_000, 1_000),
        lambda transaction, by: people.add_user(transaction, "eve", "researcher", by),
        lambda transaction, by: people.add_user(transaction, "eve", "admin", by),
        lambda transaction, by: people.new_token(transaction, BEN, by),
        lambda transaction, by: people.revoke_token(transaction, token, by),
        lambda transaction, by: subjects.unlink(transaction, BEN, by),
    )
    for by, act in itertools.product((small.dpo, small.approver, small.anna), acts):
        with pytest.raises(Forbidden, match="role admin"), small.database.write() as transaction:
            act(transaction, by)
    assert small.everything() == before
