from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from budgets.actors import ANONYMOUS, Actor
from budgets.audit import log
from budgets.database import clock
from budgets.errors import AlreadyExists, Forbidden, Invalid, NotApproved, NotFound, WrongState
from budgets.governance import studies, study_budgets
from budgets.governance.study import Study, Terms
from budgets.ledger.limits import Budget, Limits
from budgets.texts import LONGEST as TEXT_MAX
from tests.budgets.world import ADMIN, ANNA, BEN, DPO, FLU, TERMS, actions, cost
from tests.databases import SQLITE_ALONE

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from tests.budgets.world import World

CAP = (1_000, 500)
STATES = ("draft", "approved", "suspended", "closed")
# The state diagram, written out: where each allowed action leads.
LEADS_TO = {
    ("draft", "approve"): "approved",
    ("draft", "close"): "closed",
    ("approved", "suspend"): "suspended",
    ("approved", "close"): "closed",
    ("suspended", "resume"): "approved",
    ("suspended", "close"): "closed",
}
MAY = {"approve": {"approver"}, "suspend": {"dpo"}, "resume": {"dpo"}, "close": {"dpo", "admin"}}


@pytest.fixture
def world(people_only: World) -> World:
    """Make a ledger whose dataset has a cap of 1000 billionths and may be over-committed."""
    people_only.import_edition(*CAP)
    return people_only


@pytest.fixture
def strict(people_only: World) -> World:
    """Make a ledger whose dataset's studies must share its cap of 1000 billionths."""
    people_only.import_edition(*CAP, overcommit=False)
    return people_only


def actor(world: World, role: str) -> Actor:
    """Return somebody of a role."""
    return {
        "admin": world.admin,
        "dpo": world.dpo,
        "approver": world.approver,
        "researcher": world.anna,
        "none": ANONYMOUS,
    }[role]


def do(world: World, work: Callable[[sa.Connection], Study]) -> Study:
    """Do something to a study, in a transaction of its own."""
    with world.database.write() as transaction:
        return work(transaction)


def open_study(
    world: World,
    name: str = "hearts",
    terms: Terms = TERMS,
    epsilon: int = 100,
    delta: int | None = None,
    *,
    dataset: str = FLU,
    by: Actor | None = None,
) -> Study:
    """Open a study, in a transaction of its own."""
    with world.database.write() as transaction:
        return studies.open_study(transaction, name, dataset, terms, epsilon, delta, by or world.admin)


def set_budget(world: World, epsilon: int, delta: int | None = None, name: str = "hearts") -> Study:
    """Set a study's budget as the admin."""
    return do(world, lambda t: study_budgets.set_budget(t, name, epsilon, delta, "it is needed", world.admin))


def approve_budget(world: World, name: str = "hearts") -> Study:
    """Approve a study's larger budget as the DPO."""
    return do(
        world, lambda t: study_budgets.approve_budget(t, name, "it is needed", world.approver, without_advice="a test")
    )


def refused(world: World, error: type[Exception], work: Callable[[], object]) -> Exception:
    """Assert that some work is refused with an error and changes nothing, and return the error."""
    before = world.everything()
    with pytest.raises(error) as raised:
        work()
    assert world.everything() == before
    return raised.value


def last_entry(world: World) -> dict[str, Any]:
    """Return what the last entry of the log says."""
    with world.database.read() as transaction:
        said: dict[str, Any] = json.loads(list(log.every_entry(transaction))[-1].body)
        return said


# Opening


def test_a_study_opens_as_a_draft(world: World) -> None:
    """A new study is a draft with its terms and budget, without members, and without a raise that waits."""
    terms = Terms(
        "Title", "Purpose", "Basis", {"tables": ["visits"], "epsilon_nano_max": 5}, "2026-01-01", "2026-12-31"
    )
    made = open_study(world, "hearts", terms, 100, 50)
    assert made == Study("hearts", FLU, terms, "draft", made.created_at, (), None, world.admin.commitment)
    assert world.study("hearts") == made
    assert world.balance("hearts").limits == Limits.of(100, 50)
    assert world.balance("hearts").used == cost(0)


def test_delta_defaults_to_the_datasets(world: World) -> None:
    """A study that names no delta gets the dataset's."""
    open_study(world)
    assert world.balance("hearts").limits == Limits.of(100, CAP[1])


@pytest.mark.parametrize("role", ["dpo", "approver", "researcher", "none"])
def test_only_an_admin_opens_studies(world: World, role: str) -> None:
    """Nobody but an admin can open a study."""
    refused(world, Forbidden, lambda: open_study(world, by=actor(world, role)))


@SQLITE_ALONE
@pytest.mark.parametrize("name", ["", "_x", "-x", "a b", "a.b", "a/b", "a\n", "é", "a" * 64])
def test_odd_study_names_are_refused(world: World, name: str) -> None:
    """A study's name has letters, digits, _ and -, at most 63, and begins with a letter or digit."""
    error = refused(world, Invalid, lambda: open_study(world, name))
    assert isinstance(error, Invalid)
    assert error.field == "name"


def test_a_study_name_is_used_once(world: World) -> None:
    """A second study of one name is refused, even after the first was closed."""
    world.open_study("hearts", 100, state="closed")
    refused(world, AlreadyExists, lambda: open_study(world))


def test_a_study_needs_a_dataset(world: World) -> None:
    """A study on a dataset that is not there is not opened."""
    refused(world, NotFound, lambda: open_study(world, dataset="nowhere"))


@SQLITE_ALONE
@pytest.mark.parametrize("by_edit", [False, True])
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": " \n"}, "title"),
        ({"title": "x" * (TEXT_MAX + 1)}, "title"),
        ({"title": "a\0b"}, "title"),  # PostgreSQL keeps no NUL
        ({"purpose": ""}, "purpose"),
        ({"legal_basis": " "}, "legal_basis"),
        ({"starts": "tomorrow"}, "starts"),
        ({"starts": "2026-1-1"}, "starts"),
        ({"starts": "20260101"}, "starts"),
        ({"starts": ""}, "starts"),
        ({"ends": "2026-02-30"}, "ends"),
        ({"ends": "2026-W01-1"}, "ends"),
        ({"ends": "2026-01-01T00:00:00"}, "ends"),
        ({"starts": "2026-01-02", "ends": "2026-01-01"}, "ends"),
    ],
)
def test_study_terms_refused_by_field(world: World, changed: dict[str, Any], field: str, by_edit: bool) -> None:
    """Terms without a title, purpose or legal basis, or with days that cannot be, are refused by field."""
    terms = replace(TERMS, **changed)
    if by_edit:
        open_study(world)
        error = refused(world, Invalid, lambda: do(world, lambda t: studies.edit(t, "hearts", terms, world.admin)))
    else:
        error = refused(world, Invalid, lambda: open_study(world, terms=terms))
    assert isinstance(error, Invalid)
    assert error.field == field


def test_the_widest_terms_are_taken(world: World) -> None:
    """The longest texts and a study of one day are allowed."""
    terms = Terms("x" * TEXT_MAX, "é" * TEXT_MAX, "basis", {}, "2026-01-01", "2026-01-01")
    assert open_study(world, terms=terms).terms == terms


@pytest.mark.parametrize(
    "changed", [{"title": "\ud800"}, {"protocol": {"epsilon_nano_max": float("nan")}}, {"protocol": {"\udfff": 1}}]
)
def test_what_cannot_be_written_down_is_refused(world: World, changed: dict[str, Any]) -> None:
    """Half a character (as JSON can name it) and a NaN are refused as Invalid: they have no canonical form."""
    refused(world, Invalid, lambda: open_study(world, terms=replace(TERMS, **changed)))


# States


@SQLITE_ALONE
@pytest.mark.parametrize("role", ["admin", "dpo", "approver", "researcher", "none"])
@pytest.mark.parametrize("action", list(MAY))
@pytest.mark.parametrize("state", STATES)
def test_study_moves_as_state_action_and_role_allow(world: World, state: str, action: str, role: str) -> None:
    """Each action leads where the diagram says for the roles that may take it; all else is refused."""
    world.open_study("hearts", 100, state=state)
    assert world.study("hearts").state == state

    def move() -> Study:
        by = actor(world, role)
        return do(world, lambda t: studies.move(t, "hearts", action, "a reason", by, without_advice="a test"))

    if role not in MAY[action]:
        refused(world, Forbidden, move)
    elif (state, action) not in LEADS_TO:
        refused(world, WrongState, move)
    else:
        assert move().state == world.study("hearts").state == LEADS_TO[state, action]


@pytest.mark.parametrize("state", STATES)
def test_an_edit_leads_back_to_draft(world: World, state: str) -> None:
    """Terms that change after approval are a draft's until they are approved again; a closed study does not change."""
    world.open_study("hearts", 100, state=state)
    terms = replace(TERMS, title="Another title", starts="2026-01-01", protocol={"tables": []})

    def edit() -> Study:
        return do(world, lambda t: studies.edit(t, "hearts", terms, world.admin))

    if state == "closed":
        refused(world, WrongState, edit)
    else:
        assert edit().terms == world.study("hearts").terms == terms
        assert world.study("hearts").state == "draft"
        assert world.study("hearts").approved_by is None
        assert (
            do(
                world, lambda t: studies.move(t, "hearts", "approve", "again", world.approver, without_advice="a test")
            ).state
            == "approved"
        )


@pytest.mark.parametrize("state", ["draft", "approved", "suspended"])
def test_an_edit_that_changes_nothing_is_none(world: World, state: str) -> None:
    """The same terms again neither need an approval nor leave an entry."""
    world.open_study("hearts", 100, state=state)
    before = world.everything()
    assert do(world, lambda t: studies.edit(t, "hearts", replace(TERMS), world.admin)).state == state
    assert world.everything() == before


def test_the_log_tells_what_an_edit_changed(world: World) -> None:
    """The entry of an edit names the fields, has the old and the new protocol, and says that it is a draft again."""
    world.open_study("hearts", 100, state="approved")
    terms = replace(TERMS, purpose="More", protocol={"tables": ["visits"]})
    do(world, lambda t: studies.edit(t, "hearts", terms, world.admin))
    facts = last_entry(world)["facts"]
    assert facts["changed"] == ["purpose", "protocol"]
    assert facts["was"] == {"purpose": TERMS.purpose, "protocol": {}}
    assert (facts["purpose"], facts["protocol"]) == ("More", {"tables": ["visits"]})
    assert (facts["from"], facts["to"]) == ("approved", "draft")


def test_a_draft_beyond_the_cap_is_not_approved(world: World) -> None:
    """When the cap was lowered after the draft was written, its budget has to be lowered first."""
    world.open_study("asthma", 900, state="draft")
    delta = world.balance().limits.delta_atto
    world.import_edition(899, delta)

    def approve() -> Study:
        return do(world, lambda t: studies.move(t, "asthma", "approve", "r", world.approver, without_advice="a test"))

    with pytest.raises(WrongState, match="own cap"):
        approve()
    set_budget(world, 899, name="asthma")
    assert approve().state == "approved"


def test_the_log_keeps_what_was_approved(world: World) -> None:
    """The entry of an approval has the terms and the budget as they were approved."""
    terms = replace(TERMS, protocol={"tables": ["visits"]})
    open_study(world, terms=terms, epsilon=70, delta=7)
    approved = do(
        world, lambda t: studies.move(t, "hearts", "approve", "a reason", world.approver, without_advice="a test")
    )
    assert approved.approved_by == world.approver.commitment
    facts = last_entry(world)["facts"]
    assert facts["budget"] == Budget(70, 7).facts()
    assert facts["terms"]["protocol"] == {"tables": ["visits"]}
    assert facts["terms"]["purpose"] == TERMS.purpose


@pytest.mark.parametrize("state", STATES)
def test_only_an_approved_study_may_ask(world: World, state: str) -> None:
    """A study without dates may ask while it is approved and in no other state."""
    world.open_study("hearts", 100, state=state)
    present = world.study("hearts")
    if state == "approved":
        do(world, lambda t: studies.require_open(t, present))
    else:
        with pytest.raises(NotApproved, match=state):
            do(world, lambda t: studies.require_open(t, present))


@pytest.mark.parametrize(
    ("starts", "ends", "may_ask"),
    [
        (None, None, True),
        (0, None, True),
        (None, 0, True),
        (0, 0, True),
        (-1, 1, True),
        (1, None, False),
        (1, 2, False),
        (None, -1, False),
        (-2, -1, False),
    ],
)
def test_a_study_asks_within_its_days(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: int | None, ends: int | None, may_ask: bool
) -> None:
    """An approved study may ask from the day it starts to the day it ends, both included."""
    now = clock.moment()
    monkeypatch.setattr(clock, "moment", lambda: now)  # the day does not end meanwhile
    today = dt.date.fromisoformat(clock.today())

    def day(after: int | None) -> str | None:
        return None if after is None else (today + dt.timedelta(days=after)).isoformat()

    open_study(world, terms=replace(TERMS, starts=day(starts), ends=day(ends)))
    present = do(
        world, lambda t: studies.move(t, "hearts", "approve", "a reason", world.approver, without_advice="a test")
    )
    if may_ask:
        do(world, lambda t: studies.require_open(t, present))
    else:
        with pytest.raises(NotApproved):
            do(world, lambda t: studies.require_open(t, present))


# Roles


@SQLITE_ALONE
@pytest.mark.parametrize(
    ("work", "role"),
    [
        *(
            (work, role)
            for work in ("edit", "add", "remove", "set")
            for role in ("dpo", "approver", "researcher", "none")
        ),
        *(("approve", role) for role in ("admin", "researcher", "none")),
    ],
)
def test_each_role_has_its_work(world: World, work: str, role: str) -> None:
    """Terms, members and budgets are the admin's, approving a raise is the DPO's, and nobody does the other's."""
    world.open_study("hearts", 100, state="draft" if work == "edit" else "approved")
    do(world, lambda t: studies.add_member(t, "hearts", ANNA, world.admin))
    if work == "approve":
        set_budget(world, 200)
    by = actor(world, role)
    calls: dict[str, Callable[[sa.Connection], Study]] = {
        "edit": lambda t: studies.edit(t, "hearts", TERMS, by),
        "add": lambda t: studies.add_member(t, "hearts", BEN, by),
        "remove": lambda t: studies.remove_member(t, "hearts", ANNA, by),
        "set": lambda t: study_budgets.set_budget(t, "hearts", 50, None, "a reason", by),
        "approve": lambda t: study_budgets.approve_budget(t, "hearts", "a reason", by, without_advice="a test"),
    }
    refused(world, Forbidden, lambda: do(world, calls[work]))


def test_nothing_is_done_to_a_study_that_is_not_there(world: World) -> None:
    """Every action on an unknown study is NotFound."""
    calls: list[Callable[[sa.Connection], Study]] = [
        lambda t: studies.study(t, "nowhere"),
        lambda t: studies.visible(t, "nowhere", world.admin),
        lambda t: studies.edit(t, "nowhere", TERMS, world.admin),
        lambda t: studies.move(t, "nowhere", "approve", "a reason", world.approver, without_advice="a test"),
        lambda t: studies.add_member(t, "nowhere", ANNA, world.admin),
        lambda t: studies.remove_member(t, "nowhere", ANNA, world.admin),
        lambda t: study_budgets.set_budget(t, "nowhere", 50, None, "a reason", world.admin),
        lambda t: study_budgets.approve_budget(t, "nowhere", "a reason", world.approver, without_advice="a test"),
    ]
    for call in calls:
        refused(world, NotFound, lambda call=call: do(world, call))  # type: ignore[misc]


# Members


def test_members_are_researchers(world: World) -> None:
    """A researcher becomes a member; an admin, a DPO and a stranger do not."""
    open_study(world)
    assert do(world, lambda t: studies.add_member(t, "hearts", BEN, world.admin)).members == (BEN,)
    assert do(world, lambda t: studies.add_member(t, "hearts", ANNA, world.admin)).members == (ANNA, BEN)
    for name, error in ((ADMIN, Invalid), (DPO, Invalid), ("nobody", NotFound)):
        refused(
            world,
            error,
            lambda name=name: do(world, lambda t: studies.add_member(t, "hearts", name, world.admin)),  # type: ignore[misc]
        )


def test_adding_a_member_twice_changes_nothing(world: World) -> None:
    """A member who is added again is a member once, and the log has one entry of it."""
    open_study(world)
    do(world, lambda t: studies.add_member(t, "hearts", ANNA, world.admin))
    before = world.everything()
    assert do(world, lambda t: studies.add_member(t, "hearts", ANNA, world.admin)).members == (ANNA,)
    assert world.everything() == before


def test_removed_member_sees_study_no_longer(world: World) -> None:
    """A removed member is no member, sees the study no longer, and cannot be removed again."""
    open_study(world)
    do(world, lambda t: studies.add_member(t, "hearts", ANNA, world.admin))
    assert do(world, lambda t: studies.remove_member(t, "hearts", ANNA, world.admin)).members == ()
    with world.database.read() as transaction, pytest.raises(NotFound):
        studies.visible(transaction, "hearts", world.anna)
    for name in (ANNA, BEN, "nobody"):
        refused(
            world,
            NotFound,
            lambda name=name: do(world, lambda t: studies.remove_member(t, "hearts", name, world.admin)),  # type: ignore[misc]
        )


# Who sees what


@pytest.fixture
def three(world: World) -> World:
    """Open three studies: one of Anna's, one of Ben's, one of both."""
    for name, members in (("b-bens", (BEN,)), ("a-annas", (ANNA,)), ("c-both", (ANNA, BEN))):
        open_study(world, name)
        for member in members:
            do(world, lambda t, name=name, member=member: studies.add_member(t, name, member, world.admin))  # type: ignore[misc]
    return world


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ("admin", ["a-annas", "b-bens", "c-both"]),
        ("dpo", ["a-annas", "b-bens", "c-both"]),
        ("approver", ["a-annas", "b-bens", "c-both"]),
        ("researcher", ["a-annas", "c-both"]),
    ],
)
def test_who_sees_which_study(three: World, role: str, seen: list[str]) -> None:
    """Admins and DPOs see every study, researchers their own, and what is not theirs is as if it were not there."""
    by = actor(three, role)
    with three.database.read() as transaction:
        assert [one.id for one in studies.studies_of(transaction, by)] == seen
        for name in ("a-annas", "b-bens", "c-both"):
            if name in seen:
                assert studies.visible(transaction, name, by).id == name
                continue
            with pytest.raises(NotFound) as hidden:
                studies.visible(transaction, name, by)
            with pytest.raises(NotFound) as missing:
                studies.visible(transaction, "nowhere", by)
            assert str(hidden.value) == str(missing.value).replace("nowhere", name)


def test_a_stranger_sees_no_study(three: World) -> None:
    """An actor who is neither admin nor DPO nor a member knows of no study."""
    with three.database.read() as transaction:
        assert studies.studies_of(transaction, ANONYMOUS) == []
        with pytest.raises(NotFound):
            studies.visible(transaction, "a-annas", ANONYMOUS)


@pytest.mark.parametrize("role", ["admin", "researcher"])
def test_studies_are_listed_page_by_page(three: World, role: str) -> None:
    """Pages, each from after the last one's end, give every visible study once and in order."""
    by, after, found = actor(three, role), None, []
    with three.database.read() as transaction:
        whole = studies.studies_of(transaction, by)
        while page := studies.studies_of(transaction, by, after=after, limit=1):
            assert len(page) == 1
            found += page
            after = page[-1].id
    assert found == whole


# Budgets


@pytest.mark.parametrize(("epsilon", "delta"), [(0, 5), (1_001, 5), (100, 501)])
@pytest.mark.parametrize("state", ["", "draft", "approved", "suspended"])
def test_no_study_gets_more_than_its_dataset(world: World, state: str, epsilon: int, delta: int) -> None:
    """A budget of nothing, or beyond the dataset's cap, is refused at opening and at any time later."""
    if state:
        world.open_study("hearts", 100, 5, state=state)
        refused(world, (Invalid if epsilon == 0 else WrongState), lambda: set_budget(world, epsilon, delta))
    else:
        refused(
            world, (Invalid if epsilon == 0 else WrongState), lambda: open_study(world, "hearts", TERMS, epsilon, delta)
        )


def test_a_drafts_budget_changes_at_once(world: World) -> None:
    """In a draft both a larger and a smaller budget take effect at once, and a delta that is not named stays."""
    open_study(world, delta=7)
    for epsilon, delta in ((1_000, 500), (3, 2), (200, None)):
        assert set_budget(world, epsilon, delta).raise_to is None
        assert world.balance("hearts").limits == Limits.of(epsilon, 2 if delta is None else delta)


@pytest.mark.parametrize("state", ["approved", "suspended"])
@pytest.mark.parametrize(("epsilon", "delta"), [(101, 50), (100, 51), (200, 100), (50, 51), (101, 0)])
def test_a_raise_waits_for_an_approver(world: World, state: str, epsilon: int, delta: int) -> None:
    """After approval a raise in epsilon or delta changes nothing until the DPO approves it, once."""
    world.open_study("hearts", 100, 50, state=state)
    assert set_budget(world, epsilon, delta).raise_to == Budget(epsilon, delta)
    assert world.balance("hearts").limits == Limits.of(100, 50)
    assert approve_budget(world).raise_to is None
    assert world.balance("hearts").limits == Limits.of(epsilon, delta)
    refused(world, WrongState, lambda: approve_budget(world))


@pytest.mark.parametrize("state", ["approved", "suspended"])
def test_a_lower_limit_takes_effect_at_once(world: World, state: str) -> None:
    """A lower limit needs no DPO, and takes back a raise that waits."""
    world.open_study("hearts", 100, 50, state=state)
    set_budget(world, 500)
    assert set_budget(world, 99, 50).raise_to is None
    assert world.balance("hearts").limits == Limits.of(99, 50)
    refused(world, WrongState, lambda: approve_budget(world))


def test_a_second_raise_replaces_the_first(world: World) -> None:
    """The DPO approves the raise that was asked for last."""
    world.open_study("hearts", 100, 50)
    set_budget(world, 500)
    set_budget(world, 300)
    approve_budget(world)
    assert world.balance("hearts").limits == Limits.of(300, 50)


@pytest.mark.parametrize("state", ["approved", "suspended"])
def test_no_limit_below_the_spend(world: World, state: str) -> None:
    """A limit can be lowered to what is spent and reserved, in epsilon and delta, and not one unit further."""
    world.open_study("hearts", 100, 100)
    world.spend("hearts", "spent", cost(20, 1, 10))
    world.reserve("hearts", "reserved", cost(10, 1, 5))
    if state == "suspended":
        do(world, lambda t: studies.move(t, "hearts", "suspend", "a reason", world.dpo))
    refused(world, WrongState, lambda: set_budget(world, 29, 30))
    refused(world, WrongState, lambda: set_budget(world, 30, 29))
    set_budget(world, 30, 30)
    assert world.balance("hearts").left == cost(0)


def test_a_closed_study_has_no_budget_to_set(world: World) -> None:
    """The budget of a closed study cannot be changed, and a raise that waited cannot be approved."""
    world.open_study("hearts", 100)
    set_budget(world, 200)
    do(world, lambda t: studies.move(t, "hearts", "close", "a reason", world.dpo))
    refused(world, WrongState, lambda: approve_budget(world))
    refused(world, WrongState, lambda: set_budget(world, 50))


def test_nothing_waits_nothing_is_approved(world: World) -> None:
    """Without a raise that waits there is nothing to approve."""
    world.open_study("hearts", 100)
    refused(world, WrongState, lambda: approve_budget(world))


def test_a_raise_is_checked_when_it_is_approved(world: World) -> None:
    """A raise that fitted when it was asked for, and no longer does because the cap was lowered, is refused."""
    world.open_study("hearts", 100, 50)
    set_budget(world, 800)
    world.import_edition(799, 500)
    refused(world, WrongState, lambda: approve_budget(world))
    assert world.study("hearts").raise_to == Budget(800, 50)


def test_a_raise_that_lowers_delta_is_checked_against_the_spend(world: World) -> None:
    """A raise of epsilon that lowers delta is refused at approval when delta was spent in the meantime."""
    world.open_study("hearts", 100, 50)
    set_budget(world, 200, 10)
    world.spend("hearts", "spent", cost(1, 0, 11))
    refused(world, WrongState, lambda: approve_budget(world))


# Over-commitment


def test_study_budgets_fit_dataset_cap_without_overcommit(strict: World) -> None:
    """Without over-commitment the studies' epsilon, drafts' too, fits the cap to the last unit; delta is not shared."""
    strict.open_study("one", 600, 500)
    strict.open_study("two", 300, 500, state="draft")
    refused(strict, WrongState, lambda: open_study(strict, "three", epsilon=101))
    strict.open_study("three", 100, 500)
    refused(strict, WrongState, lambda: open_study(strict, "four", epsilon=1))


def test_an_overcommitted_dataset_promises_more(world: World) -> None:
    """With over-commitment each study may have the whole cap, and together they still spend it once."""
    for name in ("one", "two", "three"):
        world.open_study(name, 1_000)
    world.spend("one", "spent", cost(900))
    assert world.balance("two").left.epsilon_nano == 1_000
    assert world.balance().left.epsilon_nano == 100


@pytest.mark.parametrize("state", ["draft", "approved"])
def test_a_studys_own_budget_does_not_stand_in_its_way(strict: World, state: str) -> None:
    """A raise is weighed against the other studies' budgets and not against the study's own."""
    strict.open_study("other", 400)
    strict.open_study("hearts", 500, state=state)
    refused(strict, WrongState, lambda: set_budget(strict, 601))
    set_budget(strict, 600)
    if state == "approved":
        approve_budget(strict)
    assert strict.balance("hearts").limits.epsilon_nano == 600


def test_a_raise_finds_the_cap_taken(strict: World) -> None:
    """A raise that waits holds nothing: when another study took the rest, it is refused."""
    strict.open_study("hearts", 500)
    set_budget(strict, 700)
    strict.open_study("other", 400)
    refused(strict, WrongState, lambda: approve_budget(strict))


def test_a_closed_study_frees_what_it_did_not_spend(strict: World) -> None:
    """A closed study keeps what it spent and reserved of the cap, and the rest is there for others."""
    strict.open_study("hearts", 1_000)
    strict.spend("hearts", "spent", cost(200))
    strict.reserve("hearts", "reserved", cost(100))
    refused(strict, WrongState, lambda: open_study(strict, "next", epsilon=1))
    do(strict, lambda t: studies.move(t, "hearts", "close", "a reason", strict.dpo))
    refused(strict, WrongState, lambda: open_study(strict, "next", epsilon=701))
    open_study(strict, "next", epsilon=700)


def test_a_lower_limit_frees_the_rest(strict: World) -> None:
    """What one study's lower limit leaves is there for others."""
    strict.open_study("hearts", 1_000)
    set_budget(strict, 300)
    open_study(strict, "next", epsilon=700)


@pytest.mark.parametrize("to", [400, 700])
def test_a_limit_can_be_lowered_when_too_much_was_promised(strict: World, to: int) -> None:
    """After the cap was lowered below what studies were promised, each may still be lowered, which only helps."""
    strict.open_study("hearts", 800)
    strict.open_study("other", 200)
    strict.import_edition(500, 500, overcommit=False)
    set_budget(strict, to)
    assert strict.balance("hearts").limits.epsilon_nano == to


def test_each_change_of_a_budget_is_logged_as_what_it_is(world: World) -> None:
    """The log tells a budget that was set from one that was asked for and one that was approved."""
    world.open_study("hearts", 100)
    set_budget(world, 200)
    approve_budget(world)
    set_budget(world, 50)
    with world.database.read() as transaction:
        assert actions(transaction)[-3:] == ["study.budget.ask", "study.budget.approve", "study.budget.set"]
