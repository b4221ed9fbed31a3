from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgets.actors import ANONYMOUS, SYSTEM, Actor
from budgets.audit import log, search
from budgets.audit.log import Entry
from budgets.database import clock
from budgets.database.tables import identities
from budgets.errors import BudgetsError, Unavailable
from budgets.governance import studies, study_budgets
from budgets.identity import people
from budgets.verify import canonical_json
from budgets.verify.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from tests.budgets.world import (
    ADMIN,
    ANNA,
    APPROVER,
    BEN,
    DPO,
    FLU,
    TERMS,
    add_edition,
    everything,
    interrupted,
    log_problems,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.database.connection import Database
    from tests.budgets.world import World

    Act = Callable[[sa.Connection, World], object]

FACTS = {"index", "time", "actor", "role", "action", "subject", "study", "summary", "facts", "previous"}


def all_entries(database: Database) -> list[Entry]:
    """Return the whole log."""
    with database.read() as transaction:
        return list(log.every_entry(transaction))


def body(entry: Entry) -> dict[str, Any]:
    """Return what an entry says."""
    found: dict[str, Any] = json.loads(entry.body)
    return found


# One entry for each act

ANNAS_TOKEN = "0123456789abcdef"

# What is done, the action that its entry names, and who does it. Each needs only what `acting` has made.
ACTS: dict[str, tuple[Act, str, str]] = {
    "user": (lambda t, w: people.add_user(t, "new.person", "admin", w.admin), "user.add", ADMIN),
    "token": (lambda t, w: people.new_token(t, ANNA, w.admin), "token.new", ADMIN),
    "revoke": (lambda t, w: people.revoke_token(t, ANNAS_TOKEN, w.admin), "token.revoke", ADMIN),
    "import": (lambda t, w: add_edition(t, w.admin, 10, 10), "dataset.import", ADMIN),
    "open": (lambda t, w: studies.open_study(t, "new", FLU, TERMS, 1, 1, w.admin), "study.open", ADMIN),
    "edit": (lambda t, w: studies.edit(t, "draft", replace(TERMS, title="New"), w.admin), "study.edit", ADMIN),
    "approve": (
        lambda t, w: studies.move(t, "draft", "approve", "a reason", w.approver, without_advice="a test"),
        "study.approve",
        APPROVER,
    ),
    "suspend": (lambda t, w: studies.move(t, "approved", "suspend", "a reason", w.dpo), "study.suspend", DPO),
    "resume": (lambda t, w: studies.move(t, "suspended", "resume", "a reason", w.dpo), "study.resume", DPO),
    "close": (lambda t, w: studies.move(t, "draft", "close", "a reason", w.admin), "study.close", ADMIN),
    "add": (lambda t, w: studies.add_member(t, "draft", ANNA, w.admin), "study.member.add", ADMIN),
    "remove": (lambda t, w: studies.remove_member(t, "draft", BEN, w.admin), "study.member.remove", ADMIN),
    "set": (lambda t, w: study_budgets.set_budget(t, "draft", 7, 1, "a reason", w.admin), "study.budget.set", ADMIN),
    "lower": (
        lambda t, w: study_budgets.set_budget(t, "approved", 4, 1, "a reason", w.admin),
        "study.budget.set",
        ADMIN,
    ),
    "ask": (lambda t, w: study_budgets.set_budget(t, "approved", 6, 1, "a reason", w.admin), "study.budget.ask", ADMIN),
    "agree": (
        lambda t, w: study_budgets.approve_budget(t, "asking", "a reason", w.approver, without_advice="a test"),
        "study.budget.approve",
        APPROVER,
    ),
}


@pytest.fixture
def acting(people_only: World) -> World:
    """Make all that any act needs: studies in every state, a member, a token, a raise that waits."""
    world = people_only
    world.import_edition(10, 10)
    for name in ("draft", "approved", "suspended"):
        world.open_study(name, 5, 5, state=name)
    world.open_study("asking", 5, 5)
    with world.database.write() as transaction:
        study_budgets.set_budget(transaction, "asking", 6, 5, "a reason", world.admin)
        studies.add_member(transaction, "draft", BEN, world.admin)
        made = people.new_token(transaction, ANNA, world.admin)
        transaction.exec_driver_sql(f"UPDATE tokens SET id = '{ANNAS_TOKEN}' WHERE id = '{made.id}'")
    return world


@pytest.mark.parametrize("act", list(ACTS))
def test_each_act_appends_one_log_entry(acting: World, act: str) -> None:
    """Each action appends exactly one entry, that says what was done and who did it, and follows the last one."""
    work, action, by = ACTS[act]
    before = all_entries(acting.database)
    with acting.database.write() as transaction:
        work(transaction, acting)
    after = all_entries(acting.database)
    assert after[:-1] == before
    said = body(after[-1])
    assert set(said) == FACTS
    actor = {ADMIN: acting.admin, DPO: acting.dpo, APPROVER: acting.approver}[by]
    assert (said["action"], said["actor"], said["role"]) == (action, actor.commitment, actor.role)
    assert after[-1].actor_name == by
    assert log_problems(acting.database) == []


@pytest.mark.parametrize("act", list(ACTS))
def test_an_act_and_its_entry_stand_or_fall_together(acting: World, act: str) -> None:
    """When the transaction fails, neither the act nor its entry is there; until then both are."""
    before = acting.everything()
    with interrupted(acting.database) as transaction:
        ACTS[act][0](transaction, acting)
        within = everything(transaction)
    assert len(within["audit_entries"]) == len(before["audit_entries"]) + 1
    assert any(within[name] != before[name] for name in within if name not in {"audit_entries", "audit_nodes"})
    assert acting.everything() == before


def test_a_refused_act_has_no_entry(acting: World) -> None:
    """What is refused leaves no entry of its own: the caller says what was refused, if it matters."""
    refused: list[Act] = [
        lambda t, w: people.add_user(t, ANNA, "admin", w.admin),
        lambda t, w: people.revoke_token(t, "nothing", w.admin),
        lambda t, w: add_edition(t, w.admin, 11, 10),
        lambda t, w: studies.open_study(t, "draft", FLU, TERMS, 1, 1, w.admin),
        lambda t, w: studies.move(t, "approved", "approve", "a reason", w.approver, without_advice="a test"),
        lambda t, w: studies.add_member(t, "draft", DPO, w.admin),
        lambda t, w: study_budgets.set_budget(t, "draft", 11, 1, "a reason", w.admin),
        lambda t, w: study_budgets.approve_budget(t, "draft", "a reason", w.approver, without_advice="a test"),
    ]
    before = acting.everything()
    with acting.database.write() as transaction:
        for act in refused:
            with pytest.raises(BudgetsError):
                act(transaction, acting)
    assert acting.everything() == before


def test_no_body_names_a_person(acting: World) -> None:
    """After every act on everybody no body, subject or summary of the log has a personal name in it."""
    for work, _, _ in ACTS.values():
        with interrupted(acting.database) as transaction:
            work(transaction, acting)
            bodies = list(transaction.exec_driver_sql("SELECT body FROM audit_entries").scalars())
        for name in (ADMIN, DPO, ANNA, BEN, "new.person"):
            assert not [text for text in bodies if name in text]


def test_erased_names_leave_the_log_whole(acting: World) -> None:
    """When identities are erased the chain still holds, and the entries say only which commitment acted."""
    before = [entry.body for entry in all_entries(acting.database)]
    with acting.database.write() as transaction:
        transaction.exec_driver_sql("DELETE FROM identities")
    after = all_entries(acting.database)
    assert [entry.body for entry in after] == before
    assert {entry.actor_name for entry in after} == {SYSTEM.name, None}
    assert log_problems(acting.database) == []


# The form of an entry


def append(world: World, action: str, *, by: Actor = SYSTEM, study: str | None = None, **facts: Any) -> None:
    """Append an entry, in a transaction of its own."""
    with world.database.write() as transaction:
        log.append(transaction, by, action, "test:it", "a test appends", study=study, facts=facts)


def test_log_entry_body_has_every_field(people_only: World) -> None:
    """An entry's body has its index, time, actor, role, action, subject, study, summary, facts and predecessor."""
    append(people_only, "first", by=people_only.anna, study="flu", rows=[1, {"b": None, "a": "é"}])
    before, entry = all_entries(people_only.database)[-2:]
    said = body(entry)
    assert said == {
        "index": body(before)["index"] + 1,
        "time": said["time"],
        "actor": people_only.anna.commitment,
        "role": "researcher",
        "action": "first",
        "subject": "test:it",
        "study": "flu",
        "summary": "a test appends",
        "facts": {"rows": [1, {"b": None, "a": "é"}]},
        "previous": before.leaf_hash,
    }
    assert entry.to_json() == {**said, "actor_name": ANNA, "leaf_hash": entry.leaf_hash}


def test_bodies_are_canonical_and_hashed_as_leaves(acting: World) -> None:
    """Each body is the canonical text of what it says, and each hash that of an RFC 6962 leaf of its bytes."""
    found = all_entries(acting.database)
    assert len(found) > 10
    for number, entry in enumerate(found):
        assert entry.body == canonical_json.dumps(json.loads(entry.body))
        assert entry.leaf_hash == leaf_hash(entry.body.encode()).hex()
        assert body(entry)["index"] == number
    assert body(found[0])["previous"] == "0" * 64
    assert [body(entry)["previous"] for entry in found[1:]] == [entry.leaf_hash for entry in found[:-1]]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_canonical_json_is_json(value: object) -> None:
    """Canonical text reads back as the same value, and canonical text of that is the same text."""
    text = canonical_json.dumps(value)
    assert json.loads(text) == value
    assert canonical_json.dumps(json.loads(text)) == text


@given(st.dictionaries(st.text(), json_values, max_size=6), st.randoms(use_true_random=False))
def test_canonical_json_knows_no_order(value: dict[str, object], chance: Any) -> None:
    """Two dicts that are equal have one canonical text, in whatever order they were made."""
    items = list(value.items())
    chance.shuffle(items)
    assert canonical_json.dumps(dict(items)) == canonical_json.dumps(value)


def test_canonical_json_is_this() -> None:
    """Canonical JSON has sorted keys, no spaces, and letters as themselves; there is none of a NaN or an infinity."""
    assert (
        canonical_json.dumps({"b": [1, 2.5, None, True], "a": {"é": "\n"}}) == '{"a":{"é":"\\n"},"b":[1,2.5,null,true]}'
    )
    for odd in (float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical_json.dumps({"x": [odd]})


# The tree


def tree_of(database: Database) -> Frontier:
    """Return the tree of the log's leaf hashes, grown anew."""
    grown = Frontier()
    for entry in all_entries(database):
        grown.add(bytes.fromhex(entry.leaf_hash))
    return grown


def tree_problems(database: Database) -> list[str]:
    """Return what is wrong with the stored nodes."""
    with database.read() as transaction:
        return list(log.tree_problems(transaction))


def test_the_tree_grows_with_the_log(people_only: World) -> None:
    """After each entry the stored nodes are those of the leaves, and roots and proofs are made from them."""
    database = people_only.database
    grown = tree_of(database)
    roots = {grown.size: grown.root()}
    for number in range(40):
        append(people_only, "test.act", number=number)
        grown.add(bytes.fromhex(all_entries(database)[-1].leaf_hash))
        roots[grown.size] = grown.root()
    assert tree_problems(database) == []
    last = grown.size
    with database.read() as transaction:
        assert log.size(transaction) == last
        for size, root in roots.items():
            assert log.root(transaction, size) == root
            proof = log.consistency_proof(transaction, size, last)
            assert verify_consistency(size, last, proof, root, roots[last])
            leaf = bytes.fromhex(all_entries(database)[size - 1].leaf_hash)
            path = log.inclusion_proof(transaction, size - 1, size)
            assert verify_inclusion(leaf, size - 1, size, path, root)


def test_tampering_with_the_tree_is_reported(chained: World) -> None:
    """A node that was changed, removed or added is reported, and so is an entry that has another hash than the tree's."""
    for statement in (
        f"UPDATE audit_nodes SET hash = '{'a' * 64}' WHERE level = 1 AND \"index\" = 2",
        "DELETE FROM audit_nodes WHERE level = 3",
        f"INSERT INTO audit_nodes VALUES (1, 5, '{'a' * 64}')",
        "UPDATE audit_nodes SET hash = 'no hash at all' WHERE level = 1 AND \"index\" = 2",
        "UPDATE audit_nodes SET hash = '' WHERE level = 2",
        "UPDATE audit_entries SET leaf_hash = 'é' WHERE position = 4",
    ):
        with interrupted(chained.database) as transaction:
            assert list(log.tree_problems(transaction)) == []
            transaction.exec_driver_sql(statement)
            assert list(log.tree_problems(transaction)) != [], statement
    changed, rehashed = edited(chained, 9, '"summary":"a ', '"summary":"A ')
    chained.edit(f"UPDATE audit_entries SET body = '{changed}', leaf_hash = '{rehashed}' WHERE position = 9")
    assert log_problems(chained.database) == []  # the last entry: nothing follows it
    assert tree_problems(chained.database) != []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_entries WHERE position = 9",
        "DELETE FROM audit_entries WHERE position >= 8",
        "DELETE FROM audit_nodes WHERE level = 1",
        "UPDATE audit_nodes SET hash = 'no hash' WHERE level = 1",
        "DELETE FROM audit_entries",
        "DELETE FROM audit_entries WHERE position > 0",
    ],
)
def test_a_log_that_was_cut_off_is_not_written_on(chained: World, statement: str) -> None:
    """When entries are missing at the end, or a part of the tree is, an act is soon refused and leaves no trace."""
    chained.edit(statement)
    with pytest.raises(Unavailable, match="damaged"):
        for number in range(3):
            before = chained.everything()
            append(chained, "test.act", number=number)
    assert chained.everything() == before


def test_log_time_never_runs_backwards(people_only: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the clock is set back, the log's time stands still, so that a span of time is found by its ends."""
    for moment in ("2999-01-01T00:00:00.000Z", "2001-01-01T00:00:00.000Z", "2999-01-01T00:00:00.001Z"):
        monkeypatch.setattr(clock, "now", lambda moment=moment: moment)
        append(people_only, "test.act")
    times = [body(entry)["time"] for entry in all_entries(people_only.database)]
    assert times == sorted(times)
    assert times[-3:] == ["2999-01-01T00:00:00.000Z"] * 2 + ["2999-01-01T00:00:00.001Z"]
    with people_only.database.read() as transaction:
        found = search.entries(transaction, since="2999-01-01T00:00:00.000Z", until="2999-01-01T00:00:00.001Z")
    assert [body(entry)["index"] for entry in found] == [len(times) - 3, len(times) - 2]


def test_entries_newest_first_are_the_same_backwards(acting: World) -> None:
    """Whatever the filters, reading backwards in pages finds what reading forwards finds."""
    every = [body(entry) for entry in all_entries(acting.database)]
    middle = every[len(every) // 2]["time"]
    for filters in (
        {},
        {"actor": every[3]["actor"]},
        {"action": every[3]["action"]},
        {"since": middle},
        {"until": middle},
    ):
        with acting.database.read() as transaction:
            forwards = [body(entry)["index"] for entry in search.entries(transaction, **filters)]
            backwards: list[int] = []
            cursor = None
            while page := search.entries(transaction, first=cursor, limit=3, newest_first=True, **filters):
                backwards += [body(entry)["index"] for entry in page]
                cursor = backwards[-1] - 1
        assert forwards == backwards[::-1], filters
        assert forwards or "until" in filters


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "PRIMARY KEY"),
        ({"study": "flu"}, "ix_audit_entries_study"),
        ({"actor": ANNA}, "ix_audit_entries_actor"),
        ({"actor": "system"}, "ix_audit_entries_actor"),
        ({"action": "query.release"}, "ix_audit_entries_action"),
        ({"action": "query.release", "since": "2026-01-01", "until": "2027-01-01"}, "ix_audit_entries_action"),
        ({"actor": ANNA, "action": "query.release"}, "ix_audit_entries_actor"),
        ({"study": "flu", "action": "query.release"}, "ix_audit_entries_study"),
        ({"since": "2026-01-01"}, "PRIMARY KEY"),
    ],
)
@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_are_read_from_an_index_in_order(
    people_only: World, filters: dict[str, str], index: str, newest_first: bool
) -> None:
    """SQLite finds a page by an index that has the positions in order: nothing is scanned, and nothing sorted."""
    if not people_only.url.startswith("sqlite"):
        pytest.skip("the plans of PostgreSQL depend on how much is there")
    asked: list[str] = []
    given: list[Any] = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "audit_entries.body" in statement:
            asked.append(statement)
            given.append(parameters)

    with people_only.database.read() as transaction:
        search.entries(transaction, first=3, newest_first=newest_first, **filters)
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
        plan = [str(row[3]) for row in transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}", given[0])]
    assert len(asked) == 1
    assert plan[0].startswith("SEARCH audit_entries USING"), plan
    assert index in plan[0], plan
    assert not [step for step in plan if "TEMP B-TREE" in step or step.startswith("SCAN")], plan


@pytest.mark.parametrize("rare", ["study", "actor", "action"])
def test_pages_are_found_by_what_is_rarest(people_only: World, monkeypatch: pytest.MonkeyPatch, rare: str) -> None:
    """Of several filters the one that the fewest entries fulfil finds the page; the others are looked at beside it."""
    monkeypatch.setattr(search, "REACHED_ROWS", 5)
    common = {"study": "flu", "actor": people_only.anna, "action": "query.release"}
    seldom = {"study": "hip", "actor": people_only.ben, "action": "query.fail"}
    for number in range(12):
        for facts in (common, {**common, rare: seldom[rare]}) if number < 3 else (common,):
            append(people_only, facts["action"], by=facts["actor"], study=facts["study"])
    wanted = {**common, rare: seldom[rare]}
    filters = {name: getattr(value, "name", value) for name, value in wanted.items()}
    asked: list[tuple[str, Any]] = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "audit_entries.body" in statement:
            asked.append((statement, parameters))

    with people_only.database.read() as transaction:
        found = search.entries(transaction, **filters)
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
        assert len(found) == 3
        assert found == [entry for entry in all_entries(people_only.database) if matches(entry, wanted)]
        assert search.entries(transaction, **{**filters, rare: "none"}) == []
        if people_only.url.startswith("sqlite"):
            ((statement, parameters),) = asked
            plan = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert f"ix_audit_entries_{rare}" in str(plan[0][3]), plan
            assert not [step for step in plan if "TEMP B-TREE" in str(step[3])], plan


@given(
    st.lists(st.tuples(*[st.sampled_from(values) for values in ((None, "a", "b"), (0, 1), ("x", "y"))]), max_size=60),
    st.integers(1, 5),
    st.integers(0, 70),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_page_is_the_first_of_all_that_match(
    people_only: World, wanted: list[tuple[str | None, int, str]], limit: int, first: int
) -> None:
    """Whatever is common or rare, a page by several filters is the first of the entries that fulfil all of them."""
    people = (people_only.anna, people_only.ben)
    with pytest.MonkeyPatch.context() as patch, interrupted(people_only.database) as transaction:
        patch.setattr(search, "REACHED_ROWS", 2)
        for study, person, action in wanted:
            log.append(transaction, people[person], action, "test:it", "a test appends", study=study)
        everything_there = list(log.every_entry(transaction))
        for study in (None, "a"):
            for actor in (None, people[0]):
                for action in (None, "x"):
                    filters = {"study": study, "actor": actor, "action": action}
                    asked: dict[str, Any] = {key: value for key, value in filters.items() if value is not None}
                    expected = [one for one in everything_there if one.position >= first and matches(one, asked)]
                    names = {key: getattr(value, "name", value) for key, value in asked.items()}
                    assert search.entries(transaction, first=first, limit=limit, **names) == expected[:limit]


def matches(entry: log.Entry, wanted: dict[str, Any]) -> bool:
    """Say whether an entry is what was asked for, by its body."""
    said = body(entry)
    return all(said[name] == getattr(value, "commitment", value) for name, value in wanted.items())


def test_a_person_of_several_commitments_has_one_list(people_only: World) -> None:
    """All commitments of a name are looked for, and what they did comes in one order, page after page."""
    other = Actor(people_only.anna.name, "researcher", "c" * 64)
    with people_only.database.write() as transaction:
        transaction.execute(sa.insert(identities).values(commitment=other.commitment, salt="0" * 32, name=other.name))
    for number in range(10):
        append(people_only, "test.act", by=(people_only.anna, other)[number % 3 == 1], number=number)
    with people_only.database.read() as transaction:
        found = search.entries(transaction, actor=other.name)
        assert [body(entry)["facts"]["number"] for entry in found] == list(range(10))
        assert search.entries(transaction, actor=other.name, limit=4) == found[:4]
        following = search.entries(transaction, actor=other.name, first=found[4].position, limit=4)
        assert following == found[4:8]


# The chain


@pytest.fixture
def chained(people_only: World) -> World:
    """Make a log of ten entries, with facts that say which is which."""
    for number in range(10 - len(all_entries(people_only.database))):
        append(people_only, "test.act", number=number)
    assert len(all_entries(people_only.database)) == 10
    assert log_problems(people_only.database) == []
    return people_only


def edited(world: World, position: int, before: str, after: str) -> tuple[str, str]:
    """Return an entry's body with something changed, and the hash that belongs to it."""
    entry = all_entries(world.database)[position]
    assert before in entry.body
    changed = entry.body.replace(before, after, 1)
    return changed, leaf_hash(changed.encode()).hex()


@pytest.mark.parametrize("position", [0, 5, 9])
def test_an_edited_entry_is_reported(chained: World, position: int) -> None:
    """A body that was changed by one letter no longer has its hash."""
    changed, _ = edited(chained, position, '"summary":"', '"summary":"A ')
    chained.edit(f"UPDATE audit_entries SET body = '{changed}' WHERE position = {position}")
    assert log_problems(chained.database) == [f"entry {position}: its hash is not that of its body"]


@pytest.mark.parametrize("position", [0, 5, 8])
def test_an_edited_entry_with_its_hash_is_reported(chained: World, position: int) -> None:
    """A body that was changed together with its hash is not what the next entry follows."""
    changed, rehashed = edited(chained, position, '"summary":"', '"summary":"A ')
    chained.edit(f"UPDATE audit_entries SET body = '{changed}', leaf_hash = '{rehashed}' WHERE position = {position}")
    assert log_problems(chained.database) == [f"entry {position + 1}: it does not follow the entry before it"]


@pytest.mark.parametrize("position", [0, 5, 9])
def test_an_edited_hash_is_reported(chained: World, position: int) -> None:
    """A hash that was changed is not that of its body."""
    chained.edit(f"UPDATE audit_entries SET leaf_hash = '{'a' * 64}' WHERE position = {position}")
    assert f"entry {position}: its hash is not that of its body" in log_problems(chained.database)


@pytest.mark.parametrize("position", [0, 5, 8])
@pytest.mark.parametrize("close", [False, True])
def test_a_deleted_entry_is_reported(chained: World, position: int, close: bool) -> None:
    """An entry that was taken out is missed, also when the later ones were moved up into its place."""
    chained.edit(f"DELETE FROM audit_entries WHERE position = {position}")
    if close:
        for later in range(position + 1, 10):
            chained.edit(f"UPDATE audit_entries SET position = {later - 1} WHERE position = {later}")
    found = log_problems(chained.database)
    assert f"entry {position}: it does not follow the entry before it" in found
    assert f"entry {position}: its body has the index {position + 1}" in found


@pytest.mark.parametrize(("position", "noticed"), [(0, 0), (3, 3), (5, 6), (10, 10)])
def test_an_inserted_entry_is_reported(chained: World, position: int, noticed: int) -> None:
    """An entry that was put in between, made from entry 5 and rehashed, does not fit in, or the next one does not."""
    changed, rehashed = edited(chained, 5, '"summary":"a ', '"summary":"A ')
    for later in range(9, position - 1, -1):
        chained.edit(f"UPDATE audit_entries SET position = {later + 1} WHERE position = {later}")
    chained.edit(
        f"INSERT INTO audit_entries VALUES ({position}, '{rehashed}', '{changed}', 'now', 'system', 'test.act', NULL)"
    )
    assert f"entry {noticed}: it does not follow the entry before it" in log_problems(chained.database)


@pytest.mark.parametrize(("one", "two"), [(0, 1), (4, 5), (2, 8), (8, 9)])
def test_swapped_entries_are_reported(chained: World, one: int, two: int) -> None:
    """Two entries in each other's place are both noticed."""
    chained.edit(
        f"UPDATE audit_entries SET position = -1 WHERE position = {one}",
        f"UPDATE audit_entries SET position = {one} WHERE position = {two}",
        f"UPDATE audit_entries SET position = {two} WHERE position = -1",
    )
    found = log_problems(chained.database)
    for place, said in ((one, two), (two, one)):
        assert f"entry {place}: its body has the index {said}" in found
        assert f"entry {place}: it does not follow the entry before it" in found


def test_an_empty_log_is_reported(chained: World) -> None:
    """A log without any entry is not one that a ledger can have."""
    chained.edit("DELETE FROM audit_entries")
    assert log_problems(chained.database) == ["the log is empty"]


@pytest.mark.parametrize("text", ["", "not JSON", "{}", "[]", "null"])
def test_a_body_that_is_no_entry_is_reported(chained: World, text: str) -> None:
    """A body that was replaced by something else is a problem to report, not an error of the check."""
    chained.edit(f"UPDATE audit_entries SET body = '{text}' WHERE position = 5")
    assert any(problem.startswith("entry 5: ") for problem in log_problems(chained.database))


@pytest.mark.parametrize(
    "change",
    [
        "actor = (SELECT commitment FROM users WHERE role = 'dpo')",
        "action = 'nothing.happened'",
        "study = 'another'",
        "at = '1999-01-01T00:00:00.000Z'",
        "position = 100",
    ],
)
def test_an_edited_column_is_reported(chained: World, change: str) -> None:
    """The facts that stand beside the body, to find and show an entry by, are those that the body was hashed with."""
    chained.edit(f"UPDATE audit_entries SET {change} WHERE position = 9")
    assert log_problems(chained.database) != []


# Finding entries


def test_entries_are_found_by_what_they_say(acting: World) -> None:
    """Each filter, alone and with others, gives exactly the entries whose bodies say so, in order."""
    whole = all_entries(acting.database)
    cases: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
        ({}, lambda _: True),
        ({"study": "draft"}, lambda said: said["study"] == "draft"),
        ({"actor": ADMIN}, lambda said: said["actor"] == acting.admin.commitment),
        ({"actor": SYSTEM.name}, lambda said: said["actor"] == "system"),
        ({"action": "study.open"}, lambda said: said["action"] == "study.open"),
        ({"first": 7}, lambda said: said["index"] >= 7),
        ({"study": "nowhere"}, lambda _: False),
        ({"actor": "nobody"}, lambda _: False),
        ({"action": "study"}, lambda _: False),
        (
            {"study": "draft", "actor": ADMIN, "action": "study.open", "first": 1},
            lambda said: said["study"] == "draft" and said["action"] == "study.open",
        ),
    ]
    with acting.database.read() as transaction:
        for wanted, holds in cases:
            assert search.entries(transaction, **wanted) == [entry for entry in whole if holds(body(entry))]


def test_entries_are_found_by_their_time(people_only: World) -> None:
    """A span of time includes its beginning and not its end."""
    with people_only.database.write() as transaction:
        transaction.exec_driver_sql("UPDATE audit_entries SET at = '2026-01-0' || (position + 1)")

    def found(since: str | None, until: str | None) -> list[int]:
        with people_only.database.read() as transaction:
            return [body(entry)["index"] for entry in search.entries(transaction, since=since, until=until)]

    assert found(None, None) == [0, 1, 2, 3, 4, 5]
    assert found("2026-01-02", None) == [1, 2, 3, 4, 5]
    assert found(None, "2026-01-03") == [0, 1]
    assert found("2026-01-02", "2026-01-03") == [1]
    assert found("2026-01-02", "2026-01-02") == []


def test_an_erased_or_foreign_name_finds_nothing_else(people_only: World) -> None:
    """A name finds the entries of its own commitments, and a stranger's sign-in is found as anonymous."""
    append(people_only, "signin.fail", by=ANONYMOUS)
    append(people_only, "test.act", by=people_only.anna)
    with people_only.database.read() as transaction:
        assert [body(one)["action"] for one in search.entries(transaction, actor="anonymous")] == ["signin.fail"]
        assert [one.actor_name for one in search.entries(transaction, actor=ANNA)] == [ANNA]


def test_log_entries_come_in_pages(people_only: World) -> None:
    """A page has at most its limit, and the next one goes on from the position after it."""
    whole = all_entries(people_only.database)
    with people_only.database.read() as transaction:
        first = search.entries(transaction, limit=3)
        assert first == whole[:3]
        assert search.entries(transaction, first=3, limit=3) == whole[3:]


def test_the_whole_log_comes_in_order(people_only: World) -> None:
    """A log of several batches comes whole and in order, and its chain holds across them."""
    count = 2 * log.BATCH_ROWS + 500
    more = count - len(all_entries(people_only.database))
    with people_only.database.write() as transaction:
        for _ in range(more):
            log.append(transaction, SYSTEM, "test.act", "test:it", "a test appends")
    assert [body(entry)["index"] for entry in all_entries(people_only.database)] == list(range(count))
    assert log_problems(people_only.database) == []


def test_the_whole_log_needs_little_memory(people_only: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the log holds a batch of it in memory and not the whole."""
    monkeypatch.setattr(log, "BATCH_ROWS", 20)
    for number in range(200):
        append(people_only, "test.act", number=number, text="x" * 20_000)
    tracemalloc.start()
    with people_only.database.read() as transaction:
        size = sum(len(entry.body) for entry in log.every_entry(transaction))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 200 * 20_000
    assert peak < size / 3
