from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgets.actors import ANONYMOUS, SYSTEM, Actor
from budgets.database import clock
from budgets.database.tables import users
from budgets.errors import AlreadyExists, Forbidden, Invalid, NotFound
from budgets.identity import names, people, tokens
from tests.budgets.world import ADMIN, ANNA, APPROVER, BEN, DPO
from tests.databases import SQLITE_ALONE, contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from budgets.identity.people import Token
    from tests.budgets.world import World


@pytest.fixture
def world(people_only: World) -> World:
    """Make a ledger with people and nothing else."""
    return people_only


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what lets days pass: the clock is then that many days after the test's start."""
    start = clock.moment()

    def wait(days: int) -> None:
        monkeypatch.setattr(clock, "moment", lambda: start + dt.timedelta(days=days))

    return wait


def make_token(world: World, name: str = ANNA) -> Token:
    """Make a token, in a transaction of its own."""
    with world.database.write() as transaction:
        return people.new_token(transaction, name, world.admin)


def authenticate(world: World, text: str) -> Actor | None:
    """Ask whose token a text is."""
    with world.database.read() as transaction:
        found = tokens.authenticate(transaction, text)
        return None if found is None else found.actor


def test_a_token_tells_who_comes(world: World) -> None:
    """A token gives its user with the role, each of several tokens, and no other user's."""
    anna, again, ben = make_token(world), make_token(world), make_token(world, BEN)
    assert len({anna.text, again.text, ben.text}) == 3
    assert authenticate(world, anna.text) == world.anna
    assert authenticate(world, again.text) == world.anna
    assert authenticate(world, ben.text) == world.ben


def test_only_the_hash_of_a_token_is_kept(world: World) -> None:
    """Nowhere in the files of the ledger is a token's secret, and its SHA-256 is."""
    made = make_token(world)
    secret = made.text.removeprefix(f"rowless_{made.id}_")
    assert len(secret) == 43
    authenticate(world, made.text)
    for _ in range(2):  # with the write-ahead log, and after it went into the file
        assert secret.encode() not in contents(world.url)
        assert secret[:20].encode() not in contents(world.url)
        assert hashlib.sha256(secret.encode()).hexdigest().encode() in contents(world.url)
        world.database.close()


def test_a_token_needs_its_own_secret(world: World) -> None:
    """A token with another's secret, a changed one, or an id that is not there, is nobody's."""
    one, two = make_token(world), make_token(world)
    secret = two.text.removeprefix(f"rowless_{two.id}_")
    changed = one.text[:-1] + ("A" if one.text[-1] != "A" else "B")
    for text in (f"rowless_{one.id}_{secret}", changed, f"rowless_{'0' * 16}_{secret}"):
        assert authenticate(world, text) is None
    assert authenticate(world, one.text) == world.anna


def test_the_hash_in_the_database_is_no_secret(world: World) -> None:
    """Whoever reads the database cannot come in with what it keeps."""
    made = make_token(world)
    secret_hash = hashlib.sha256(made.text.removeprefix(f"rowless_{made.id}_").encode()).hexdigest()
    assert authenticate(world, f"rowless_{made.id}_{secret_hash}") is None
    assert authenticate(world, f"rowless_{made.id}_{secret_hash[:43]}") is None


def test_a_revoked_token_is_nobodys(world: World) -> None:
    """A revoked token fails for good, and the user's other tokens go on."""
    one, two = make_token(world), make_token(world)
    with world.database.write() as transaction:
        people.revoke_token(transaction, one.id, world.admin)
    assert authenticate(world, one.text) is None
    assert authenticate(world, two.text) == world.anna
    before = world.everything()
    for identifier in (one.id, "0" * 16, two.text):
        with pytest.raises(NotFound), world.database.write() as transaction:
            people.revoke_token(transaction, identifier, world.admin)
    assert world.everything() == before


def test_no_token_for_unknown_user(world: World) -> None:
    """No token is made for somebody who is not there."""
    with pytest.raises(NotFound):
        make_token(world, "nobody")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_garbage_is_nobodys_token(world: World, data: st.DataObject) -> None:
    """Any text at all, and any token with something changed, added or cut, is nobody's and raises nothing."""
    made = make_token(world)
    cut = data.draw(st.integers(0, len(made.text)), label="cut")
    middle = data.draw(st.text(max_size=60), label="middle")
    after = data.draw(st.integers(0, len(made.text)), label="after")
    text = made.text[:cut] + middle + made.text[after:]
    if text != made.text:
        assert authenticate(world, text) is None
    assert authenticate(world, middle) is None


@pytest.mark.parametrize("ending", ["\n", " ", "\x00", "=", "/../", "' OR '1'='1", "ü", "\ud800"])
def test_a_token_is_nothing_but_itself(world: World, ending: str) -> None:
    """A token with something before or behind it, or in other letters, is nobody's."""
    made = make_token(world)
    for text in (made.text + ending, ending + made.text, made.text.upper(), ending):
        assert authenticate(world, text) is None


@SQLITE_ALONE
@pytest.mark.parametrize(
    "name", ["", ".hidden", "-x", "_x", "@x", "a b", "a/b", "a\n", "é", "a" * 64, "system", "anonymous", "a\x00", "a+b"]
)
def test_odd_user_names_refused(world: World, name: str) -> None:
    """A name that is empty, long, has odd characters, or is the system's own, is refused and leaves nothing."""
    before = world.everything()
    with pytest.raises(Invalid) as refused, world.database.write() as transaction:
        people.add_user(transaction, name, "researcher", world.admin)
    assert refused.value.field == "name"
    assert world.everything() == before


@pytest.mark.parametrize("name", ["a", "7", "a" * 63, "anna.b@example.org", "a_b-c", "A"])
def test_usual_user_names_accepted(world: World, name: str) -> None:
    """A user has the name and role that were given, and is found by the name."""
    with world.database.write() as transaction:
        made = people.add_user(transaction, name, "admin", world.admin)
    assert (made.name, made.role) == (name, "admin")
    with world.database.read() as transaction:
        assert people.user(transaction, name) == made


@SQLITE_ALONE
@pytest.mark.parametrize("role", ["", "Admin", "system", "none", "root"])
def test_odd_user_roles_refused(world: World, role: str) -> None:
    """There are no roles but researcher, admin, dpo and approver."""
    before = world.everything()
    with pytest.raises(Invalid) as refused, world.database.write() as transaction:
        people.add_user(transaction, "new", role, world.admin)
    assert refused.value.field == "role"
    assert world.everything() == before


def test_second_user_of_one_name_refused(world: World) -> None:
    """A second user of one name is refused, whatever the role, and the first stays."""
    before = world.everything()
    for role in ("researcher", "admin"):
        with pytest.raises(AlreadyExists), world.database.write() as transaction:
            people.add_user(transaction, ANNA, role, world.admin)
    assert world.everything() == before


@pytest.mark.parametrize("name", [ANNA.upper(), "Anna.Zwarts", "ANNA.zwarts"])
def test_a_name_in_another_case_is_taken(world: World, name: str) -> None:
    """A name that differs from a user's only in case is that user's."""
    before = world.everything()
    with pytest.raises(AlreadyExists, match=ANNA), world.database.write() as transaction:
        people.add_user(transaction, name, "researcher", world.admin)
    assert world.everything() == before


def test_names_are_the_same_without_case_and_form() -> None:
    """Names fold by NFKC and case: full-width and composed letters are the plain ones."""
    assert names.folded("Ａda") == names.folded("ADA") == "ada"
    assert names.folded("Rene\u0301") == names.folded("REN\u00c9")
    assert names.folded("stra\u00dfe") == names.folded("STRASSE")
    assert names.folded("ada") != names.folded("ads")


@SQLITE_ALONE
@pytest.mark.parametrize("name", ["System", "ANONYMOUS", "root", "Nobody", "me", "rowless"])
def test_reserved_names_are_refused(world: World, name: str) -> None:
    """What could be taken for the system, for nobody or for everybody is no user's name, in any case."""
    with pytest.raises(Invalid, match="reserved"), world.database.write() as transaction:
        people.add_user(transaction, name, "researcher", world.admin)


def test_the_database_holds_one_name_once(world: World) -> None:
    """Even behind the code's back no second user of one folded name gets in."""
    with pytest.raises(sa.exc.IntegrityError), world.database.write() as transaction:
        transaction.execute(
            sa.insert(users).values(name="X", folded=ANNA, role="dpo", commitment="c", created_at=clock.now())
        )


def test_token_expires_after_its_days(world: World, later: Callable[[int], None]) -> None:
    """A token gives access for 90 days, or for the days that were chosen, and then no more."""
    usual = make_token(world)
    with world.database.write() as transaction:
        short = people.new_token(transaction, ANNA, world.admin, tokens.Scope(days=3))
    for day, usual_is_good, short_is_good in ((2, True, True), (4, True, False), (89, True, False), (91, False, False)):
        later(day)
        assert (authenticate(world, usual.text) is not None) is usual_is_good, day
        assert (authenticate(world, short.text) is not None) is short_is_good, day
    with world.database.read() as transaction:
        assert tokens.is_expired(transaction, usual.text)
        assert not tokens.is_expired(transaction, usual.text[:-1] + ("A" if usual.text[-1] != "A" else "B"))
        assert [one.is_expired for one in tokens.listed(transaction)] == [True, True]


def test_tokens_end_earlier_when_names_are_kept_for_fewer_days(world: World, later: Callable[[int], None]) -> None:
    """A token counts from when it was made; one that ends before that stays as it is."""
    usual = make_token(world)
    with world.database.write() as transaction:
        short = people.new_token(transaction, ANNA, world.admin, tokens.Scope(days=3))
    assert tokens.shorten(world.database, 90) == 0
    assert tokens.shorten(world.database, 30) == 1
    assert tokens.shorten(world.database, 30) == 0
    for day, usual_is_good, short_is_good in ((2, True, True), (29, True, False), (31, False, False)):
        later(day)
        assert (authenticate(world, usual.text) is not None) is usual_is_good, day
        assert (authenticate(world, short.text) is not None) is short_is_good, day


@pytest.mark.parametrize(("days", "kept", "given"), [(None, 365, 90), (365, 400, 365), (1, 30, 1), (None, 40, 40)])
def test_token_life_is_90_days_unless_chosen(days: int | None, kept: int, given: int) -> None:
    """The life is 90 days unless another is chosen, and no longer than names are kept."""
    assert tokens.scope(days, kept).days == given


@pytest.mark.parametrize(("days", "kept"), [(0, 365), (366, 36_500), (31, 30), (-1, 365)])
def test_token_life_beyond_limits_refused(days: int, kept: int) -> None:
    """No token lives for less than a day, for more than a year, or longer than names are kept."""
    with pytest.raises(Invalid) as refused:
        tokens.scope(days, kept)
    assert refused.value.field == "days"


def test_token_list_has_limits_and_no_secrets(world: World, later: Callable[[int], None]) -> None:
    """The list has each token that was not revoked, with its limits and the day of its use, and nothing of secrets."""
    later(0)  # the day does not end meanwhile
    world.import_edition()
    world.open_study("hearts", 100)
    with world.database.write() as transaction:
        made = people.new_token(transaction, ANNA, world.admin, tokens.Scope(5, "hearts", reads_only=True))
        gone = people.new_token(transaction, ANNA, world.admin)
        other = people.new_token(transaction, BEN, world.admin)
        people.revoke_token(transaction, gone.id, world.admin)
        found = tokens.authenticate(transaction, made.text)
        assert found is not None
        assert (found.study, found.reads_only) == ("hearts", True)
        assert tokens.is_first_use_today(found)
        tokens.note_use(transaction, found)
        assert not tokens.is_first_use_today(tokens.authenticate(transaction, made.text))
        listed = {one.id: one for one in tokens.listed(transaction)}
        assert set(listed) == {made.id, other.id}
        assert (listed[made.id].used_on, listed[other.id].used_on) == (clock.today(), None)
        assert (listed[made.id].study, listed[made.id].reads_only, listed[made.id].user) == ("hearts", True, ANNA)
        assert [one.id for one in tokens.listed(transaction, user=BEN)] == [other.id]
        assert {one.user: one.tokens for one in people.every_user(transaction)} == {
            ADMIN: 0,
            ANNA: 1,
            BEN: 1,
            DPO: 0,
            APPROVER: 0,
        }


def test_a_token_is_limited_to_a_study_that_exists(world: World) -> None:
    """A token for a study that is not there is refused and not made."""
    before = world.everything()
    with pytest.raises(NotFound), world.database.write() as transaction:
        people.new_token(transaction, ANNA, world.admin, tokens.Scope(study="nowhere"))
    assert world.everything() == before


def test_unknown_user_not_found(world: World) -> None:
    """A user who is not there is not found; the system is no user."""
    with world.database.read() as transaction:
        for name in ("nobody", SYSTEM.name, ANONYMOUS.name, ANNA.upper()):
            with pytest.raises(NotFound):
                people.user(transaction, name)


def test_users_are_listed_by_role(world: World) -> None:
    """The users of a role are listed by name, and no others."""
    with world.database.read() as transaction:
        found = {role: [one.name for one in people.users_of_role(transaction, role)] for role in people.ROLES}
    assert found == {"researcher": [ANNA, BEN], "admin": [ADMIN], "dpo": [DPO], "approver": [APPROVER]}


def test_a_commitment_hides_and_binds(world: World) -> None:
    """A commitment is SHA-256 of a salt and the name: with the salt it proves the name, without it says nothing."""
    with world.database.read() as transaction:
        rows = {
            name: (commitment, salt)
            for commitment, salt, name in transaction.exec_driver_sql("SELECT commitment, salt, name FROM identities")
        }
    commitment, salt = rows[ANNA]
    assert commitment == world.anna.commitment == hashlib.sha256(f"{salt}{ANNA}".encode()).hexdigest()
    assert len(salt) == 32
    assert len({salt for _, salt in rows.values()}) == len(rows) == 5
    assert commitment != hashlib.sha256(ANNA.encode()).hexdigest()


def roles_and_actors() -> Iterator[Actor]:
    """Give one actor of each role, the system and a stranger."""
    for role in ("researcher", "admin", "dpo"):
        yield Actor("somebody", role, "c")
    yield from (SYSTEM, ANONYMOUS)


@pytest.mark.parametrize("roles", [("admin",), ("dpo",), ("admin", "dpo"), ()])
def test_only_actors_of_required_role_pass(roles: tuple[str, ...]) -> None:
    """Only actors of the wanted roles pass; neither the system nor a stranger does by default."""
    for actor in roles_and_actors():
        if actor.role in roles:
            people.require_role(actor, *roles)
        else:
            with pytest.raises(Forbidden):
                people.require_role(actor, *roles)
