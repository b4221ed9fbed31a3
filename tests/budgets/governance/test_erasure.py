from __future__ import annotations

import datetime as dt
import json
import random
import sqlite3
import string
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command

from budgets.actors import SYSTEM
from budgets.audit import log, search
from budgets.database import clock, connection
from budgets.database.connection import Database
from budgets.database.tables import audit_entries, audit_nodes, identities, members, tokens, users
from budgets.errors import Forbidden, FourEyes, Invalid, NeedsSecond, NotFound, WrongState
from budgets.governance import approval, erasure, studies, study_budgets
from budgets.governance.roles import grants, leaving
from budgets.identity import commitments, people
from budgets.identity import tokens as access
from tests.budgets.world import ADMIN, ANNA, APPROVER, BEN, DPO, TERMS, actions, interrupted, log_problems
from tests.databases import contents, file_of, is_sqlite, rows
from tests.laws import tries

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.actors import Actor
    from tests.budgets.world import World
    from tests.databases import Databases

DAYS = 365


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return how to let days pass."""
    began = clock.moment()

    def pass_(days: int) -> None:
        """Make it so many days after the test began, and a moment."""
        gone = dt.timedelta(days=days)
        monkeypatch.setattr(clock, "moment", lambda: dt.datetime.now(dt.UTC) + gone)

    assert began.tzinfo is not None
    return pass_


def act(world: World, person: Actor, action: str = "test") -> Actor:
    """Let a person act, by the commitment that is in force; return them as they are then."""
    with world.database.write() as transaction:
        present = commitments.in_force(transaction, person, DAYS)
        log.append(transaction, present, action, "test:it", "a test acts")
    return present


def kept(world: World, *, due: bool = False) -> list[erasure.Identity]:
    """Return the names that are kept."""
    with world.database.read() as transaction:
        return erasure.kept(transaction, DAYS, due=due)


def names(found: list[erasure.Identity]) -> list[str]:
    """Return names in order."""
    return sorted(one.name for one in found)


def erase(world: World, *wanted: Actor) -> tuple[str, ...]:
    """Erase what is due, or the names of some."""
    some = [one.commitment for one in wanted] or None
    return erasure.erase(world.database, DAYS, some, world.dpo).commitments


def entries(world: World) -> list[dict[str, Any]]:
    """Return the log's bodies."""
    with world.database.read() as transaction:
        return [json.loads(one.body) for one in log.every_entry(transaction)]


def tree(world: World) -> list[list[tuple[Any, ...]]]:
    """Return the log and its tree as they are stored."""
    everything = world.everything()
    return [everything[table.name] for table in (audit_entries, audit_nodes)]


# Going by a new commitment


def test_the_period_is_a_fraction_of_the_span() -> None:
    """A commitment is worn after a twelfth of the span, a month at most and a day at least."""
    assert [commitments.period_days(days) for days in (30, 60, 180, 365, 36_500)] == [2, 5, 15, 30, 30]
    assert commitments.period_days(1) == 1


def test_a_user_goes_by_a_new_commitment_after_a_month(people_only: World, later: Callable[[int], None]) -> None:
    """Not before it, once when it is over, and from then on by the new one; names and tokens stay as they are."""
    world = people_only
    with world.database.write() as transaction:
        token = people.new_token(transaction, ANNA, world.admin).text
    later(29)
    assert act(world, world.anna) == world.anna
    later(31)
    renewed = act(world, world.anna)
    assert renewed == replace(world.anna, commitment=renewed.commitment)
    assert renewed.commitment != world.anna.commitment
    assert act(world, world.anna) == act(world, renewed) == renewed
    with world.database.read() as transaction:
        assert access.authenticate(transaction, token).actor == people.user(transaction, ANNA) == renewed
        assert people.names(transaction, [world.anna.commitment, renewed.commitment]) == {
            world.anna.commitment: ANNA,
            renewed.commitment: ANNA,
        }


def test_renewal_entry_has_role_and_not_old_commitment(people_only: World, later: Callable[[int], None]) -> None:
    """The entry of a renewal is by the system: it has the new commitment and the role, not the old one."""
    later(31)
    renewed = act(people_only, people_only.anna)
    (entry,) = [entry for entry in entries(people_only) if entry["action"] == "identity.renew"]
    assert (entry["actor"], entry["role"], entry["study"]) == ("system", "system", None)
    assert (entry["subject"], entry["facts"]) == (f"user:{renewed.commitment}", {"role": "researcher"})
    assert people_only.anna.commitment not in json.dumps(entry)
    assert ANNA not in json.dumps(entry)
    assert log_problems(people_only.database) == []


def test_sixty_four_requests_at_once_make_one_commitment(people_only: World, later: Callable[[int], None]) -> None:
    """Of many requests of one user that all find the commitment worn, one renews it and all go by the new one."""
    world = people_only
    later(31)

    def request(_number: int) -> str:
        with world.database.read() as transaction:
            assert commitments.is_worn(transaction, world.anna, DAYS)
        gate.append(1)
        while len(gate) < 16:  # all find it worn before one renews it
            pass
        with world.database.write() as transaction:
            return commitments.in_force(transaction, world.anna, DAYS).commitment

    gate: list[int] = []
    with ThreadPoolExecutor(16) as pool:
        first = set(pool.map(request, range(16)))
    with ThreadPoolExecutor(48) as pool:
        rest = set(pool.map(lambda _: act(world, world.anna).commitment, range(48)))
    assert len(first | rest) == 1
    with world.database.read() as transaction:
        assert actions(transaction).count("identity.renew") == 1
    assert len([one for one in kept(world) if one.name == ANNA]) == 2


def test_a_user_whose_name_was_lost_gets_a_new_commitment(people_only: World) -> None:
    """A user whose identity is gone (removed by hand) is named again from their next act on."""
    people_only.edit(f"DELETE FROM identities WHERE name = '{ANNA}'")
    renewed = act(people_only, people_only.anna)
    assert renewed.commitment != people_only.anna.commitment
    assert names(kept(people_only)).count(ANNA) == 1


def test_entries_are_found_by_name_over_all_commitments(people_only: World, later: Callable[[int], None]) -> None:
    """A filter by name finds a person's entries in order, page by page, whatever they went by."""
    world = people_only
    for month in range(5):
        later(31 * month)
        for _ in range(3):
            act(world, world.anna, f"anna.{month}")
            act(world, world.ben)
    wanted = [entry["index"] for entry in entries(world) if entry["action"].startswith("anna.")]
    assert len(wanted) == 15
    found: list[int] = []
    with world.database.read() as transaction:
        while page := search.entries(transaction, actor=ANNA, first=found[-1] + 1 if found else 0, limit=4):
            found += [json.loads(entry.body)["index"] for entry in page]
            assert {entry.actor_name for entry in page} == {ANNA}
            assert len(page) <= 4
        one = search.entries(transaction, actor=ANNA, action="anna.2", limit=2)
    assert found == wanted
    assert [json.loads(entry.body)["action"] for entry in one] == ["anna.2"] * 2


# What is due


def test_a_name_is_due_once_its_commitment_was_out_of_use_for_the_span(
    people_only: World, later: Callable[[int], None]
) -> None:
    """Last in use is its last entry, also one that only names it; a day before the span is over it is refused."""
    world = people_only
    later(10)
    act(world, world.anna)
    with world.database.write() as transaction:  # an entry names Ben, who does nothing
        people.new_token(transaction, BEN, world.admin)
    later(40)
    assert act(world, world.anna) != world.anna
    later(364 + 10)
    by_name = {one.name: one for one in kept(world) if one.commitment in {world.anna.commitment, world.ben.commitment}}
    assert not any(one.is_due for one in by_name.values())
    assert all(one.used_at > one.made_at for one in by_name.values())
    for person in (world.anna, world.ben):
        with pytest.raises(WrongState, match="365 days"):
            erase(world, person)
    later(365 + 11)
    assert names(kept(world, due=True)) == [ANNA, BEN, APPROVER, DPO, ADMIN]
    assert {one.commitment for one in kept(world) if one.is_due} == {
        one.commitment
        for one in (world.admin, world.anna, world.ben, world.dpo, world.approver)  # of Anna the old one
    }


def test_lists_are_paged_oldest_first(people_only: World, later: Callable[[int], None]) -> None:
    """Pages by cursor make the whole list, in the order in which commitments came into use; cursors hold no name."""
    for month in range(4):
        later(31 * month)
        act(people_only, people_only.anna)
    later(500)
    whole = kept(people_only)
    assert [one.made_at for one in whole] == sorted(one.made_at for one in whole)
    for due in (False, True):
        found: list[erasure.Identity] = []
        with people_only.database.read() as transaction:
            while page := erasure.kept(
                transaction, DAYS, due=due, limit=2, after=erasure.cursor(found[-1]) if found else None
            ):
                found += page
        assert found == [one for one in whole if one.is_due or not due]
        assert len(found) == 8
    assert ANNA not in erasure.cursor(next(one for one in whole if one.name == ANNA))


# Erasing


def test_erasing_takes_the_name_and_nothing_of_the_log(world: World, later: Callable[[int], None]) -> None:
    """Names and salts go; entries, tree, charges and sums stay to the letter; an entry says how many and which."""
    world.open_study("hearts", 10**9, state="closed")
    act(world, world.anna)
    later(31)
    renewed = act(world, world.anna)
    later(380)
    before, untouched = tree(world), world.everything()
    with world.database.read() as transaction:
        size = log.size(transaction)
        proofs = [log.inclusion_proof(transaction, index, size) for index in range(size)]
    gone = erase(world)
    assert world.anna.commitment in gone
    assert renewed.commitment not in gone
    for old, new in zip(before, tree(world), strict=True):
        assert set(old) <= set(new)
    after = world.everything()
    for table in ("accounts", "charges", "releases", "studies", "editions", "datasets"):
        assert after[table] == untouched[table]
    with world.database.read() as transaction:
        assert [log.inclusion_proof(transaction, index, size) for index in range(size)] == proofs
        assert search.entries(transaction, actor=ANNA)[0].actor_name == ANNA  # the one that is kept
        past = [entry for entry in log.every_entry(transaction) if world.anna.commitment in entry.body]
        assert {entry.actor_name for entry in past if f'"actor":"{world.anna.commitment}"' in entry.body} == {None}
        assert list(log.tree_problems(transaction)) == []
    assert log_problems(world.database) == []
    entry = entries(world)[-1]
    assert (entry["action"], entry["role"]) == ("identity.erase", "dpo")
    assert entry["actor"] not in gone
    assert entry["facts"] == {"count": len(gone), "days": DAYS, "commitments": list(gone)}
    assert ANNA not in json.dumps(entry)
    assert erase(world) == ()
    assert entries(world)[-1] == entry


def test_erasure_of_several_is_all_or_nothing(people_only: World, later: Callable[[int], None]) -> None:
    """If one of those named is not due or not there, none is erased and nothing is written."""
    world = people_only
    later(370)
    renewed = act(world, world.anna)
    before = world.everything()
    with pytest.raises(WrongState, match=renewed.commitment):
        erase(world, world.anna, renewed)
    with pytest.raises(NotFound):
        erase(world, world.anna, replace(world.ben, commitment="0" * 64))
    for person in (world.admin, world.anna):
        with pytest.raises(Forbidden):
            erasure.erase(world.database, DAYS, None, person)
    assert world.everything() == before
    assert erase(world, world.anna) == (world.anna.commitment,)


def test_a_user_who_does_nothing_is_cut_from_the_past_too(people_only: World, later: Callable[[int], None]) -> None:
    """A user whose commitment was out of use for the span goes by a new one from then on, and stays a user."""
    world = people_only
    later(366)
    assert world.anna.commitment in erase(world)
    with world.database.read() as transaction:
        present = people.user(transaction, ANNA)
        assert present.commitment != world.anna.commitment
        assert people.names(transaction, [present.commitment, world.anna.commitment]) == {present.commitment: ANNA}
    assert names(kept(world)) == sorted([ADMIN, ANNA, APPROVER, BEN, DPO])
    assert not any(one.is_due for one in kept(world))


def test_naming_somebody_does_not_keep_their_past(people_only: World, later: Callable[[int], None]) -> None:
    """Where the DPO erases each month, a user who never acts but is named again and again loses the past all the same."""
    world = people_only
    act(world, world.anna)
    for days in range(20, 520, 20):
        later(days)
        with world.database.write() as transaction:
            people.new_token(transaction, ANNA, act_in(transaction, world.admin))
        erase(world)
    old = clock.days_ago(DAYS + commitments.period_days(DAYS) + 20)
    told = json.dumps([entry for entry in entries(world) if entry["time"] < old])
    assert world.anna.commitment in told
    assert [one for one in kept(world) if one.commitment in told] == []
    assert len([one for one in kept(world) if one.name == ANNA]) > 6
    assert not any(one.made_at == one.used_at for one in kept(world) if one.name == ANNA and not one.is_current)


def test_what_ties_a_user_to_the_past_goes_too(people_only: World, later: Callable[[int], None]) -> None:
    """When users and tokens were made is in the log, as is a token's mark: after erasing no row leads back there."""
    world = people_only
    with world.database.write() as transaction:
        old = people.new_token(transaction, ANNA, world.admin)
        revoked = people.new_token(transaction, ANNA, world.admin)
        people.revoke_token(transaction, revoked.id, world.admin)
    later(200)
    with world.database.write() as transaction:
        new = people.new_token(transaction, BEN, world.admin, access.Scope(days=365))
        # A token from before tokens ended, as the migration leaves it.
        transaction.execute(sa.update(tokens).where(tokens.c.id == old.id).values(expires_at=clock.days_ago(-300)))
    later(367)
    erase(world)
    told = json.dumps([entry for entry in entries(world) if entry["time"] < clock.days_ago(DAYS)])
    everything = world.everything()
    whose = [row for table in (users, tokens, members, identities) for row in everything[table.name] if ANNA in row]
    kept_rows = [str(value) for row in whose for value in row]
    assert len(whose) == 3
    assert [value for value in kept_rows if len(value) > 12 and value in told] == []
    with world.database.write() as transaction:
        assert access.authenticate(transaction, old.text) is not None
        assert access.authenticate(transaction, new.text) is not None
        assert transaction.execute(sa.select(tokens.c.id).where(tokens.c.id == revoked.id)).all() == []
        people.revoke_token(transaction, new.id, world.admin)
    said = entries(world)
    (made,) = [entry for entry in said if entry["action"] == "token.new" and entry["time"] > clock.days_ago(200)]
    assert made["facts"]["token"] == said[-1]["facts"]["token"], (
        "within the span the log still tells which token was revoked"
    )


# Four eyes


@pytest.mark.parametrize("hand", ["open", "edit", "budget"])
def test_a_new_commitment_does_not_make_a_second_person(world: World, later: Callable[[int], None], hand: str) -> None:
    """Whoever opened or edited a study, under whatever commitment, cannot approve it, also after names were erased."""
    other = world.admin
    if hand != "open":
        with world.database.write() as transaction:
            other = people.add_user(transaction, "second.admin", "admin", world.admin)
    world.open_study("hearts", 100, state="draft")
    with world.database.write() as transaction:
        if hand == "edit":
            studies.edit(transaction, "hearts", replace(TERMS, title="Another"), other)
        if hand == "budget":
            study_budgets.set_budget(transaction, "hearts", 200, None, "a reason", other)
    for days in (31, 62, 800):
        later(days)
        renewed = act(world, other)
        assert renewed.commitment != other.commitment
        erase(world)
        with pytest.raises(FourEyes), world.database.write() as transaction:
            studies.move(
                transaction, "hearts", "approve", "a reason", replace(renewed, role="approver"), without_advice="a test"
            )
    present = {one.commitment: one for one in kept(world)}
    assert present[other.commitment].needed_by == ("study:hearts",)
    assert not present[other.commitment].is_due
    with pytest.raises(WrongState, match="needed by study:hearts"):
        erase(world, other)
    with world.database.write() as transaction:
        assert (
            studies.move(
                transaction,
                "hearts",
                "approve",
                "a reason",
                act_in(transaction, world.approver),
                without_advice="a test",
            ).state
            == "approved"
        )


def act_in(transaction: sa.Connection, person: Actor) -> Actor:
    """Return a person by the commitment in force."""
    return commitments.in_force(transaction, person, DAYS)


def test_a_new_commitment_does_not_approve_its_own_raise(world: World, later: Callable[[int], None]) -> None:
    """Whoever proposed a larger budget cannot approve it by another commitment; the entry of the refusal stays."""
    world.open_study("hearts", 100)
    with world.database.write() as transaction:
        second = people.add_user(transaction, "second.admin", "admin", world.admin)
        study_budgets.set_budget(transaction, "hearts", 200, None, "a reason", second)
    later(400)
    renewed = act(world, second)
    erase(world)
    with pytest.raises(FourEyes), approval.deciding(world.database) as transaction:
        study_budgets.approve_budget(
            transaction, "hearts", "a reason", replace(renewed, role="approver"), without_advice="a test"
        )
    assert world.balance("hearts").limits.epsilon_nano == 100
    assert entries(world)[-1]["action"] == "study.budget.approve.refuse"
    with approval.deciding(world.database) as transaction:
        study_budgets.approve_budget(
            transaction, "hearts", "a reason", act_in(transaction, world.approver), without_advice="a test"
        )
    assert world.balance("hearts").limits.epsilon_nano == 200


def test_nobody_is_a_second_person_to_one_unknown(world: World) -> None:
    """Where a name is gone from the database, against the rules, it could be anybody's: nobody approves."""
    world.open_study("hearts", 100, state="draft")
    world.edit(f"DELETE FROM identities WHERE name = '{ADMIN}'")
    with pytest.raises(FourEyes), world.database.write() as transaction:
        studies.move(transaction, "hearts", "approve", "a reason", world.approver, without_advice="a test")


def test_names_of_a_closed_study_can_be_erased(world: World, later: Callable[[int], None]) -> None:
    """A study that is closed needs nobody; as long as it is open it needs all who had a hand in it."""
    world.open_study("hearts", 100)
    later(400)
    admin, dpo = act(world, world.admin), act(world, world.dpo)
    approver = act(world, world.approver)
    needed = {one.commitment for one in kept(world) if one.needed_by}
    assert needed == {world.admin.commitment, world.approver.commitment}
    with world.database.write() as transaction:
        studies.move(transaction, "hearts", "close", "it is over", dpo)
    erase(world)
    assert {one.commitment for one in kept(world)} >= {admin.commitment, dpo.commitment, approver.commitment}
    assert not {one.commitment for one in kept(world)} & needed


def test_no_token_outlives_the_names_that_are_kept(people_only: World, later: Callable[[int], None]) -> None:
    """A token made when a name was in use ended before the name is due; erasing deletes it with the day of its use."""
    world = people_only
    with pytest.raises(Invalid):
        access.scope(31, 30)
    assert access.scope(None, 30).days == 30
    with world.database.write() as transaction:
        made = people.new_token(transaction, ANNA, world.admin, access.scope(None, 30))
        kept_on = people.new_token(transaction, BEN, world.admin, access.Scope(days=365))
        for one in (made, kept_on):
            found = access.authenticate(transaction, one.text)
            assert found is not None
            access.note_use(transaction, found)
    first_day = clock.today()
    later(31)
    erasure.erase(world.database, 30, None, world.dpo)
    everything = world.everything()
    assert [row for row in everything[tokens.name] if made.id in row] == []
    (left,) = [row for row in everything[tokens.name] if kept_on.id in row]
    assert first_day not in left, "the day of an old use would lead to the entries of that day"


# Leaving


def test_a_user_who_leaves_is_gone_but_for_the_log(world: World, later: Callable[[int], None]) -> None:
    """Tokens, memberships and the user go at once, with entries; the name stays for the span and is erased then."""
    world.open_study("hearts", 100)
    with world.database.write() as transaction:
        studies.add_member(transaction, "hearts", ANNA, world.admin)
        token = people.new_token(transaction, ANNA, world.admin).text
    act(world, world.anna)
    with world.database.write() as transaction:
        assert leaving.remove_user(transaction, ANNA, world.admin) == world.anna
    with world.database.read() as transaction:
        assert access.authenticate(transaction, token) is None
        assert studies.study(transaction, "hearts").members == ()
        with pytest.raises(NotFound):
            people.user(transaction, ANNA)
    said = entries(world)[-2:]
    assert [entry["action"] for entry in said] == ["study.member.remove", "user.remove"]
    assert (said[1]["subject"], said[1]["facts"]) == (f"user:{world.anna.commitment}", {"role": "researcher"})
    later(364)
    with world.database.read() as transaction:
        assert {entry.actor_name for entry in search.entries(transaction, actor=ANNA)} == {ANNA}
    with pytest.raises(WrongState):
        erase(world, world.anna)
    later(366)
    assert erase(world, world.anna) == (world.anna.commitment,)
    with world.database.read() as transaction:
        assert search.entries(transaction, actor=ANNA) == []
    assert ANNA.encode() not in contents(world.url)


def test_user_cannot_remove_self_or_lone_dpo(people_only: World) -> None:
    """Nobody removes themselves, nor a DPO alone; only an admin removes; and nothing is changed."""
    world = people_only
    with world.database.write() as transaction:
        second = people.add_user(transaction, "second.admin", "admin", world.admin)
    before = world.everything()
    for name, by, error in (
        (ADMIN, world.admin, Forbidden),
        (DPO, world.admin, NeedsSecond),
        (ANNA, world.dpo, Forbidden),
        (ANNA, world.anna, Forbidden),
        ("nobody", world.admin, NotFound),
    ):
        with pytest.raises(error), world.database.write() as transaction:
            leaving.remove_user(transaction, name, by)
    assert world.everything() == before
    with world.database.write() as transaction:
        leaving.remove_user(transaction, ADMIN, second)
    with pytest.raises(WrongState), interrupted(world.database) as transaction:  # whoever acts: the last of them stays
        leaving.remove_user(transaction, second.name, world.admin)


def test_who_left_and_came_back_is_the_same_person(world: World) -> None:
    """An admin who was removed and comes back as an approver of the same name still does not approve what was theirs."""
    world.open_study("hearts", 100, state="draft")
    with world.database.write() as transaction:
        second = people.add_user(transaction, "second.admin", "admin", world.admin)
        leaving.remove_user(transaction, ADMIN, second)
        wanted, _ = grants.propose(transaction, grants.ADD, ADMIN, "approver", second)
        grants.confirm(transaction, wanted.id, world.dpo, 365)
        back = people.user(transaction, ADMIN)
    with pytest.raises(FourEyes), world.database.write() as transaction:
        studies.move(transaction, "hearts", "approve", "a reason", back, without_advice="a test")


# Gone from the files


def test_erased_names_are_in_no_database_file(people_only: World, later: Callable[[int], None]) -> None:
    """After erasing, the bytes of the database's files hold no name and no salt of it, however much was moved about."""
    world = people_only
    if not is_sqlite(world.url):
        pytest.skip("what PostgreSQL keeps of deleted rows is a matter of VACUUM")
    draw = random.Random(7)
    people_ = [
        "".join(draw.choices(string.ascii_letters, k=draw.randint(12, 60))) for _ in range(tries(160, audited=400))
    ]
    with world.database.write() as transaction:
        for name in people_:
            people.add_user(transaction, name, "researcher", world.admin)
            people.new_token(transaction, name, world.admin)
    leavers = draw.sample(people_, len(people_) * 5 // 8)
    for start in range(0, len(leavers), 25):
        with world.database.write() as transaction:
            for name in leavers[start : start + 25]:
                leaving.remove_user(transaction, name, world.admin)
                people.add_user(transaction, f"x{name[:9]}", "researcher", world.admin)
    salts = dict(rows(world.url, "SELECT name, salt FROM identities"))
    present = contents(world.url)
    assert all(name.encode() in present for name in leavers)
    later(366)
    with closing(sqlite3.connect(file_of(world.url))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM users").fetchall()
        held = erasure.erase(world.database, DAYS, None, world.dpo)
        assert not held.is_shredded, "a reader of the older state still needs the write-ahead log"
    done = erasure.erase(world.database, DAYS, None, world.dpo)
    assert done.is_shredded
    assert done.commitments == ()
    left = contents(world.url)
    assert [name for name in leavers if name.encode() in left] == []
    assert [name for name in leavers if salts[name].encode() in left] == []
    stayed = set(people_) - set(leavers)
    assert all(name.encode() in left for name in stayed)
    assert {row.name for row in read(world, sa.select(users.c.name))} >= stayed
    assert rows(world.url, "PRAGMA foreign_key_check") == []
    assert rows(world.url, "PRAGMA integrity_check") == [("ok",)]


def read(world: World, wanted: sa.Select[Any]) -> list[Any]:
    """Return what a SELECT finds."""
    with world.database.read() as transaction:
        return list(transaction.execute(wanted))


def test_shredding_leaves_nothing_of_deleted_rows(people_only: World) -> None:
    """Also not where a page was rebuilt around a row while it was there: SQLite overwrites only what it deletes."""
    if not is_sqlite(people_only.url):
        pytest.skip("what PostgreSQL keeps of deleted rows is a matter of VACUUM")
    draw = random.Random(3)
    for _ in range(tries(2, audited=5)):
        drawn = ["".join(draw.choices(string.ascii_letters, k=draw.randint(12, 50))) for _ in range(300)]
        with people_only.database.write() as transaction:
            for name in drawn:
                salt, number = draw.randbytes(16).hex(), draw.randbytes(32).hex()
                values = {"name": name, "folded": name, "commitment": number, "created_at": "then"}
                transaction.execute(sa.insert(users).values(role="researcher", **values))
                transaction.execute(sa.insert(tokens).values(id=salt[:16], user=name, hash=number, created_at="then"))
                for _ in range(4):
                    number = draw.randbytes(32).hex()
                    transaction.execute(sa.insert(identities).values(commitment=number, salt=salt, name=name))
        gone = draw.sample(drawn, 150)
        with people_only.database.write() as transaction:
            for name in gone:
                transaction.execute(sa.delete(tokens).where(tokens.c.user == name))
                transaction.execute(sa.delete(users).where(users.c.name == name))
                transaction.execute(sa.delete(identities).where(identities.c.name == name))
        assert people_only.database.shred((tokens, members, identities, users))
        left = contents(people_only.url)
        assert [name for name in gone if name.encode() in left] == []


def test_shredding_changes_no_row(world: World) -> None:
    """Tables are filled with what was in them."""
    world.open_study("hearts", 100)
    with world.database.write() as transaction:
        studies.add_member(transaction, "hearts", ANNA, world.admin)
        people.new_token(transaction, ANNA, world.admin)
    before = world.everything()
    assert world.database.shred((tokens, members, identities, users)) == is_sqlite(world.url)
    assert world.everything() == before


# Ledgers from before


def test_older_ledgers_learn_since_when_names_are_in_use(databases: Databases, later: Callable[[int], None]) -> None:
    """A ledger of the schema before is filled from its users and log; a token that the log knows by its id holds the name."""
    address = databases.empty()
    opened = Database(address)
    config = connection._alembic()
    with opened.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0006")
    who = {"dora": "dpo", "ann": "researcher", "ben": "researcher"}
    with opened.write() as transaction:
        added = clock.now()
        for name, role in who.items():
            run = transaction.exec_driver_sql
            run(f"INSERT INTO identities VALUES ('{name * 9}', 'salt', '{name}')")
            run(f"INSERT INTO users VALUES ('{name}', '{role}', '{name * 9}', '{added}')")
        run(f"INSERT INTO tokens VALUES ('0123456789abcdef', 'ann', 'hash', '{added}', NULL)")
        run(f"INSERT INTO audit_entries VALUES (0, 'x', '{old_entry('ben')}', '2999', 'system', 'token.new', NULL)")
    opened.upgrade()
    with opened.read() as transaction:
        made = {row.name: (row.made_at, row.named_at) for row in transaction.execute(sa.select(identities))}
        assert made == {"dora": (added, added), "ann": (added, added), "ben": (added, "2999")}
    with opened.write() as transaction:
        transaction.exec_driver_sql("DELETE FROM audit_entries")
        transaction.exec_driver_sql("UPDATE tokens SET expires_at = '2999'")  # one that ended would hold no name
        dora = people.user(transaction, "dora")
    later(400)
    with opened.read() as transaction:
        found = {one.name: (one.needed_by, one.is_due) for one in erasure.kept(transaction, DAYS)}
    assert found == {"dora": ((), True), "ann": (("token:0123456789abcdef",), False), "ben": ((), False)}
    with opened.write() as transaction:
        people.revoke_token(transaction, "0123456789abcdef", SYSTEM)
        transaction.execute(sa.update(identities).values(named_at=added))
    assert set(erasure.erase(opened, DAYS, None, dora).commitments) == {"dora" * 9, "ann" * 9, "ben" * 9}
    assert rows(address, "SELECT * FROM tokens") == []
    opened.close()


def old_entry(name: str) -> str:
    """Return a body that names a user."""
    return json.dumps({"subject": f"user:{name * 9}", "facts": {}})
