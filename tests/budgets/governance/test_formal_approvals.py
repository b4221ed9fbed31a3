"""Nothing is approved without formalities, or after they ended: studies, larger budgets and datasets."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from budgets.audit import log
from budgets.database import clock
from budgets.errors import NoFormality, WrongState
from budgets.governance import advising, dataset_terms, studies, study_budgets
from budgets.loss import NANO
from budgets.verify.conduct import Conduct
from tests.budgets.world import FLU, FORMALITIES, TERMS, add_edition

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from budgets.formalities import Formalities
    from tests.budgets.world import World

PAST = "2025-12-31"
ENDED = replace(FORMALITIES, ends=PAST)
EXPIRED = replace(FORMALITIES, expires=PAST)
TO_COME = replace(FORMALITIES, issued="2098-01-01", ends="2099-12-31")
LACKING = pytest.mark.parametrize("named", [None, ENDED, EXPIRED, TO_COME], ids=["none", "ended", "expired", "to come"])


def do(world: World, work: Callable[[sa.Connection], Any]) -> Any:
    """Do something in a transaction of its own."""
    with world.database.write() as transaction:
        return work(transaction)


def draft(world: World, named: Formalities | None = FORMALITIES) -> None:
    """Open a study as a draft."""
    terms = replace(TERMS, formalities=named)
    do(world, lambda t: studies.open_study(t, "hearts", FLU, terms, NANO, None, world.admin))


def edit(world: World, named: Formalities | None) -> Any:
    """Write a study's formalities."""
    terms = replace(world.study("hearts").terms, formalities=named)
    return do(world, lambda t: studies.edit(t, "hearts", terms, world.admin))


def approve(world: World) -> Any:
    """Approve the study."""
    return do(world, lambda t: studies.move(t, "hearts", "approve", "r", world.approver, without_advice="a test"))


def propose(world: World, named: Formalities | None, profile: int = 0) -> Any:
    """Propose a dataset's formalities."""
    return do(world, lambda t: dataset_terms.propose(t, FLU, None, None, profile, "renewed", world.admin, named=named))


def approve_dataset(world: World) -> Any:
    """Approve what waits of the dataset."""
    return do(world, lambda t: dataset_terms.approve(t, FLU, "r", world.approver, without_advice="a test"))


def entries(world: World) -> list[dict[str, Any]]:
    """Return the log."""
    with world.database.read() as transaction:
        return [json.loads(one.body) for one in log.every_entry(transaction)]


def assert_in_order(world: World) -> None:
    """Assert that the independent check finds nothing."""
    conduct = Conduct()
    assert [what for one in entries(world) for what in conduct.read(one)] == []
    world.check()


@LACKING
def test_a_study_is_not_approved_without_its_formalities(world: World, named: Formalities | None) -> None:
    """A draft whose formalities are missing or over is refused; written anew, it is approved with exactly those."""
    draft(world, named)
    with pytest.raises(NoFormality):
        approve(world)
    assert world.study("hearts").state == "draft"
    edit(world, FORMALITIES)
    assert approve(world).state == "approved"
    (entry,) = [one for one in entries(world) if one["action"] == "study.approve"]
    assert entry["facts"]["terms"]["formalities"] == FORMALITIES.facts()
    assert entry["facts"]["dataset"]["formalities"] == FORMALITIES.facts()
    assert_in_order(world)


def test_another_formality_sends_an_approved_study_back_and_ends_the_advice(world: World) -> None:
    """Formalities are terms: a change of an approved study needs an approval, and advice on the old ones is void."""
    draft(world)
    do(world, lambda t: advising.advise(t, "hearts", "favourable", "well", world.dpo))
    edit(world, replace(FORMALITIES, number="MR-004, 2"))
    with pytest.raises(Exception, match="has not advised"):
        do(world, lambda t: studies.move(t, "hearts", "approve", "r", world.approver))
    approve(world)
    assert edit(world, FORMALITIES).state == "draft"
    assert edit(world, FORMALITIES).state == "draft", "the same again changes nothing"
    assert [one["facts"]["changed"] for one in entries(world) if one["action"] == "study.edit"] == [["formalities"]] * 2
    assert edit(world, None).terms.formalities is None
    assert_in_order(world)


@pytest.mark.parametrize("of", ["study", "dataset"])
def test_a_larger_budget_is_not_approved_after_a_formality_ended(
    world: World, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """The study was approved in time; a raise after the end of its own or its dataset's formality is refused."""
    now = clock.moment()
    monkeypatch.setattr(clock, "moment", lambda: now)  # the day does not end meanwhile
    soon = replace(FORMALITIES, expires=clock.today())
    draft(world, soon if of == "study" else FORMALITIES)
    if of == "dataset":
        propose(world, soon)
        approve_dataset(world)
    approve(world)
    do(world, lambda t: study_budgets.set_budget(t, "hearts", 2 * NANO, None, "more", world.admin))
    monkeypatch.setattr(clock, "moment", lambda: now + dt.timedelta(days=366))
    with pytest.raises(NoFormality, match=f"the formality of the {of}"):
        do(
            world,
            lambda t: study_budgets.approve_budget(t, "hearts", "r", world.approver, without_advice="a test"),
        )
    assert_in_order(world)


@LACKING
def test_a_dataset_is_not_approved_without_its_formalities(people_only: World, named: Formalities | None) -> None:
    """What an import proposes without formalities waits until they are proposed; the cap of the manifest stays."""
    do(people_only, lambda t: add_edition(t, people_only.admin, 10 * NANO, 10**12, named=named))
    with pytest.raises(NoFormality):
        approve_dataset(people_only)
    propose(people_only, FORMALITIES)
    done = approve_dataset(people_only)
    assert (done.formalities, done.waiting) == (FORMALITIES, None)
    assert_in_order(people_only)


@LACKING
def test_a_study_is_not_approved_on_a_dataset_that_lacks_them(world: World, named: Formalities | None) -> None:
    """A dataset of before, or one whose formality is over, admits no new study until its formalities are approved."""
    draft(world)
    kept = "NULL" if named is None else f"'{json.dumps(named.facts())}'"
    world.edit(f"UPDATE datasets SET formalities = {kept}")
    with pytest.raises(NoFormality, match="of the dataset flu|the dataset flu has no"):
        approve(world)
    propose(world, replace(FORMALITIES, number="2"))
    with pytest.raises(NoFormality):  # what only waits is not in force
        approve(world)
    approve_dataset(world)
    assert approve(world).state == "approved"


def test_a_proposal_keeps_the_formalities_and_a_manifest_proposes_others(world: World) -> None:
    """A proposal and a manifest without formalities keep those before; a manifest with others lets them wait."""
    assert propose(world, None, profile=NANO).waiting.formalities == FORMALITIES
    approve_dataset(world)
    do(world, lambda t: add_edition(t, world.admin, 10 * NANO, 10**12, named=None))
    with pytest.raises(WrongState):
        propose(world, FORMALITIES)
    other = replace(FORMALITIES, number="MR-004, 2")
    do(world, lambda t: add_edition(t, world.admin, 9 * NANO, 10**12, named=other))
    with world.database.read() as transaction:
        present = dataset_terms.standing(transaction, FLU)
    waits = present.waiting
    assert waits is not None
    assert (present.formalities, waits.formalities, waits.profile_nano) == (FORMALITIES, other, 0)
    assert (waits.cap.epsilon_nano, waits.cap.delta_atto) == (9 * NANO, 10**12)
    do(world, lambda t: add_edition(t, world.admin, 8 * NANO, 10**12, named=None))
    assert approve_dataset(world).formalities == other
    assert_in_order(world)
