from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from budgets.actors import SYSTEM
from budgets.audit import log
from budgets.conversion import rho_nano_max
from budgets.database import clock, connection
from budgets.database.connection import Database
from budgets.database.tables import audit_entries, audit_nodes, metadata, users
from budgets.errors import AlreadyExists, AttemptsSpent, SchemaOutdated
from budgets.governance import conclusions, studies
from budgets.identity import people, tokens
from budgets.ledger import accounts, attempts, charges, releases
from budgets.ledger.limits import Limits
from budgets.loss import NANO, Loss, Sum
from budgets.verify.conduct import Conduct
from budgets.verify.merkle import Frontier, leaf_hash
from budgets.verify.spending import Spending
from tests.budgets.world import ANNA, cost, question
from tests.databases import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.budgets.world import World
    from tests.databases import Databases


@pytest.fixture
def address(databases: Databases) -> str:
    """Return the address of a database that has no schema yet."""
    return databases.empty()


@pytest.fixture
def fresh(address: str) -> Iterator[Database]:
    """Open a database that has no schema yet."""
    opened = Database(address)
    yield opened
    opened.close()


@pytest.fixture
def declared(databases: Databases) -> dict[str, set[str]]:
    """Return the schema that the code declares."""
    address = databases.empty()
    engine = sa.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    metadata.create_all(engine)
    engine.dispose()
    return schema(address)


def test_the_migrations_make_the_tables(fresh: Database) -> None:
    """Alembic finds no difference between a migrated database and the tables that the code works with."""
    fresh.upgrade()
    with fresh.read() as transaction:
        context = MigrationContext.configure(transaction, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_every_constraint(fresh: Database, address: str, declared: dict[str, set[str]]) -> None:
    """Each table and index of a migrated database has the very columns and constraints that the code declares."""
    fresh.upgrade()
    assert schema(address) == declared
    assert set(metadata.tables) <= set(declared)


@pytest.mark.parametrize(
    "name",
    [
        *("ck_accounts_filter", "ck_accounts_delta", "ck_accounts_split", "ck_accounts_sums", "ck_accounts_kind"),
        *("ck_charges_kind", "ck_charges_resolves", "ck_charges_loss", "uq_charges_reserve_id"),
        *("ck_profile_charges_kind", "ck_profile_charges_resolves", "ck_profile_charges_loss"),
        *("ck_resumes_attempt", "ck_profile_resumes_attempt", "pk_resumes", "pk_profile_resumes", "pk_failures"),
        *("uq_profile_charges_reserve_id", "uq_profiles_charge", "uq_profiles_dataset"),
        *("uq_releases_charge", "uq_releases_study", "ck_users_role", "ck_studies_state"),
    ],
)
def test_the_guards_are_in_the_database(fresh: Database, address: str, name: str) -> None:
    """Each constraint that guards a budget is in a migrated database by name."""
    fresh.upgrade()
    assert any(f"CONSTRAINT {name} " in line for lines in schema(address).values() for line in lines)


def test_an_upgrade_can_be_repeated(world: World) -> None:
    """An upgrade of a current database changes neither its schema nor its data."""
    rows, made = world.everything(), schema(world.url)
    world.database.upgrade()
    assert world.everything() == rows
    assert schema(world.url) == made


def test_an_empty_database_is_refused(fresh: Database) -> None:
    """A database without a schema is not worked on until it is upgraded."""
    assert fresh.revisions()[0] is None
    with pytest.raises(SchemaOutdated, match="missing"):
        fresh.require_current()
    fresh.upgrade()
    fresh.require_current()


def test_the_schema_of_a_later_version_is_refused(fresh: Database, address: str) -> None:
    """A ledger that a later version made is left as it is, with words in place of Alembic's."""
    fresh.upgrade()
    with fresh.write() as transaction:
        transaction.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = schema(address)
    for work in (fresh.upgrade, fresh.require_current):
        with pytest.raises(SchemaOutdated, match="schema is 9999, which this version of Rowless does not know"):
            work()
    assert schema(address) == before
    assert fresh.revisions()[0] == "9999"


def test_an_upgrade_that_fails_leaves_nothing(fresh: Database, address: str) -> None:
    """When a migration cannot run to its end, the database stays as it was."""
    with fresh.write() as transaction:
        transaction.exec_driver_sql("CREATE TABLE releases (old TEXT)")
    before = schema(address)
    with pytest.raises(sa.exc.DBAPIError, match="already exists"):
        fresh.upgrade()
    assert schema(address) == before
    with pytest.raises(SchemaOutdated, match="missing"):
        fresh.require_current()


def test_accounts_of_the_first_schema_get_their_second_filter(
    fresh: Database, address: str, declared: dict[str, set[str]]
) -> None:
    """A ledger of the first schema, with charges in it, keeps every sum and gets what follows from its limits."""
    config = connection._alembic()
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0001")
    old = [
        ("dataset", "flu", 10 * NANO, 10**12, 5, 7 * NANO, 6, 2 * NANO, 0, 0),
        ("study", "hearts", NANO, 10**12 + 1, 5, NANO - 5, 6, NANO, 0, 0),
        ("study", "pure", NANO, 0, 0, 0, 0, 0, 0, 0),
    ]
    with fresh.write() as transaction:
        for row in old:
            transaction.exec_driver_sql(f"INSERT INTO accounts VALUES {row}")
    with pytest.raises(SchemaOutdated, match="0001"):
        fresh.require_current()
    fresh.upgrade()
    fresh.require_current()
    with fresh.read() as transaction:
        found = [
            accounts.balance(transaction, kind, owner)
            for kind, owner in (("dataset", "flu"), ("study", "hearts"), ("study", "pure"))
        ]
    assert [one.limits for one in found] == [Limits.of(row[2], row[3], 100) for row in old]
    assert [one.reserved for one in found] == [Loss(row[4], row[6], row[8]) for row in old]
    assert [one.spent for one in found] == [Loss(row[5], row[7], row[9]) for row in old]
    assert schema(address) == declared


@pytest.mark.parametrize("entries", [0, 1, 2, 37, 10_000, 20_001])
def test_a_log_of_the_fourth_schema_gets_its_tree(
    fresh: Database, address: str, declared: dict[str, set[str]], entries: int
) -> None:
    """A log from before there was a tree keeps every entry and gets the nodes that it would have grown; it goes on."""
    config = connection._alembic()
    leaves = [leaf_hash(str(number).encode()) for number in range(entries)]
    rows = [
        {"position": number, "leaf_hash": leaf.hex(), "body": "{}", "at": "2026", "actor": "a", "action": "b"}
        for number, leaf in enumerate(leaves)
    ]
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0004")
        if rows:
            transaction.execute(sa.insert(audit_entries), rows)
    fresh.upgrade()
    grown = Frontier()
    nodes = {(level, index): found.hex() for leaf in leaves for level, index, found in grown.add(leaf)}
    with fresh.write() as transaction:
        made = transaction.execute(sa.select(audit_nodes)).all()
        assert {(row[0], row[1]): row[2] for row in made} == nodes
        assert len(made) == len(nodes)
        assert list(log.tree_problems(transaction)) == []
        assert log.root(transaction, entries) == grown.root()
        log.append(transaction, SYSTEM, "test", "test", "a test goes on")
        assert list(log.tree_problems(transaction)) == []
    assert schema(address) == declared


def test_releases_of_the_eighth_schema_keep_their_time(
    fresh: Database, address: str, declared: dict[str, set[str]]
) -> None:
    """Releases and profiles from before their time was called that of the charge keep it, and every row beside it."""
    config = connection._alembic()
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0008")
    at, mark = "2026-01-02T03:04:05.678Z", "f" * 64
    charge = ("flu", 1, mark, 5, 7, 0, at)
    made = ("flu", 1, mark, at, "{}")
    rows: dict[str, tuple[Any, ...]] = {
        "datasets": ("flu", "Flu", 0, at),
        "editions": ("flu", 1, "folder", at),
        "studies": ("heart", "T", "P", "L", "flu", "{}", "", "", "approved", "anna", at, 0, 0, "[]", "", ""),
        "charges": ("1" * 32, "reserve", None, "heart", *charge),
        "releases": ("2" * 32, "1" * 32, "heart", *made),
        "profile_charges": ("3" * 32, "reserve", None, *charge),
        "profiles": ("4" * 32, "3" * 32, *made),
    }
    with fresh.write() as transaction:
        for table, row in rows.items():
            values = ", ".join("NULL" if value is None else repr(value) for value in row)
            transaction.exec_driver_sql(f"INSERT INTO {table} VALUES ({values})")
    fresh.upgrade()
    rows["studies"] = (
        *rows["studies"][:13],
        100,
        None,
        *rows["studies"][13:],
        None,
    )  # all of its epsilon for Laplace noise
    rows["datasets"] += (at, None, 5, *[None] * 10)  # approved, with what its profile took
    with fresh.read() as transaction:
        for table, row in rows.items():
            assert transaction.execute(sa.select(metadata.tables[table])).all() == [row], table
        assert transaction.execute(sa.select(metadata.tables["releases"].c.charged_at)).scalar_one() == at
        assert transaction.execute(sa.select(metadata.tables["profiles"].c.charged_at)).scalar_one() == at
    # A charge from before has its two further attempts before it.
    with fresh.write() as transaction:
        for table, charge in (("resumes", "1" * 32), ("profile_resumes", "3" * 32)):
            counted = [attempts.resume(transaction, metadata.tables[table], charge) for _ in range(2)]
            assert counted == [2, 3]
            with pytest.raises(AttemptsSpent):
                attempts.resume(transaction, metadata.tables[table], charge)
    assert schema(address) == declared


def test_users_of_the_tenth_schema_keep_their_roles(
    fresh: Database, address: str, declared: dict[str, set[str]]
) -> None:
    """Users, tokens and memberships from before there were approvers stay as they are, and an approver can be added."""
    config = connection._alembic()
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0010")
    old: dict[str, list[tuple[object, ...]]] = {
        "users": [("ada", "researcher", "a", "then"), ("dora", "dpo", "d", "then")],
        "tokens": [("one", "ada", "hash", "then", "later", "mark"), ("two", "dora", "other", "then", "later", "mark")],
        "members": [("flu", "ada")],
    }
    columns = {table: list(metadata.tables[table].c)[: len(rows[0])] for table, rows in old.items()}
    add = "INSERT INTO users (name, role, commitment, created_at) VALUES (%s, 'approver', 'v', 'now')"
    with fresh.write() as transaction:
        transaction.exec_driver_sql("INSERT INTO datasets VALUES ('flu', 'Flu', 1, 'then')")
        study = "'flu', 'T', 'P', 'L', 'flu', '{}', NULL, NULL, 'draft', 'd', 'then', NULL, NULL, NULL, NULL, NULL"
        transaction.exec_driver_sql(f"INSERT INTO studies VALUES ({study})")
        for table, rows in old.items():
            for row in rows:
                transaction.exec_driver_sql(f"INSERT INTO {table} VALUES {row}")
    with pytest.raises(sa.exc.IntegrityError, match="ck_users_role"), fresh.write() as transaction:
        transaction.exec_driver_sql(add % "'early'")
    fresh.upgrade()
    with fresh.write() as transaction:
        kept = {table: [tuple(row) for row in transaction.execute(sa.select(*columns[table]))] for table in old}
        assert {table: sorted(rows) for table, rows in kept.items()} == old
        transaction.exec_driver_sql(add % "'vera'")
    with pytest.raises(sa.exc.IntegrityError), fresh.write() as transaction:
        transaction.exec_driver_sql(
            "INSERT INTO tokens (id, \"user\", hash, created_at) VALUES ('three', 'nobody', 'h', 'then')"
        )
    assert schema(address) == declared


def test_tokens_of_the_eleventh_schema_get_an_end_and_users_a_folded_name(
    fresh: Database, address: str, declared: dict[str, set[str]]
) -> None:
    """Tokens from before they ended live for 90 days from now on; of names that differ in case alone all stay."""
    config = connection._alembic()
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0011")
    secret, at = "A" * 43, "2020-01-02T03:04:05.678Z"
    named = {"ada": "2020", "Ada": "2021", "ADA": "2019", "ben": "2020"}
    with fresh.write() as transaction:
        for name, year in named.items():
            row = (name, "researcher", f"c-{name}", year)
            transaction.exec_driver_sql(f"INSERT INTO users (name, role, commitment, created_at) VALUES {row}")
        token = ("0" * 16, "Ada", tokens.hashed(secret), at)
        transaction.exec_driver_sql(f'INSERT INTO tokens (id, "user", hash, created_at) VALUES {token}')
    fresh.upgrade()
    assert schema(address) == declared
    with fresh.read() as transaction:
        found = tokens.authenticate(transaction, f"rowless_{'0' * 16}_{secret}")
        assert found is not None
        assert (found.actor.name, found.study, found.reads_only, found.used_on) == ("Ada", None, False, None)
        assert clock.days_ago(-89) < found.expires_at < clock.days_ago(-91)
        folds = {row.name: row.folded for row in transaction.execute(sa.select(users.c.name, users.c.folded))}
        assert folds == {"ADA": "ada", "ada": "ada/ada", "Ada": "ada/Ada", "ben": "ben"}
    with pytest.raises(AlreadyExists), fresh.write() as transaction:
        people.add_user(transaction, "aDA", "researcher", SYSTEM)


def test_a_ledger_of_the_first_schema_with_everything_in_it_goes_on(
    fresh: Database, address: str, world: World, declared: dict[str, set[str]]
) -> None:
    """Users, tokens, studies, charges in each state, a release and the log keep every row, and all of it still works."""
    token = _live(world)
    config = connection._alembic()
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0001")
    old = _copy_to_first(world, fresh)
    assert {name for name, rows in old.items() if not rows} == set(), "every table of the first schema has data"
    fresh.upgrade()
    fresh.require_current()
    assert schema(address) == declared
    with fresh.read() as transaction:
        for name, rows in old.items():
            table = metadata.tables[name]
            kept = [row._asdict() for row in transaction.execute(sa.select(table))]
            renamed = [{NEW_NAMES.get(key, key): value for key, value in row.items()} for row in rows]
            assert sorted(map(repr, ({key: row[key] for key in renamed[0]} for row in kept))) == sorted(
                map(repr, renamed)
            )
        assert [*log.problems(transaction), *log.tree_problems(transaction)] == []
        assert list(accounts.discrepancies(transaction)) == []
        spending, conduct = Spending(), Conduct()
        for body in log.every_body(transaction, log.size(transaction)):
            assert [*spending.read(json.loads(body)), *conduct.read(json.loads(body))] == []
        found = tokens.authenticate(transaction, token)
        assert found is not None
        assert found.actor.name == ANNA
        answered = charges.find_release(transaction, question("hearts", "answered"))
        assert answered is not None
        assert answered.body == {"answer": "answered"}
        (left,) = charges.unresolved(transaction)
        assert left.question == question("hearts", "open")
    with fresh.write() as transaction:
        charges.settle(transaction, charges.reserve(transaction, question("hearts", "new"), cost(3)), None)
        assert list(accounts.discrepancies(transaction)) == []


NEW_NAMES = {"released_at": "charged_at"}


def _live(world: World) -> str:
    """Do what the first version could do; return a token."""
    world.open_study("hearts", 1_000, state="draft")
    with world.database.write() as transaction:
        studies.add_member(transaction, "hearts", ANNA, world.admin)
        text = people.new_token(transaction, ANNA, world.admin).text
        key = releases.bind_key(transaction, question("hearts", "answered"), "a key")
        charges.settle(transaction, charges.reserve(transaction, key, cost(5)), {"answer": "answered"})
        charges.settle(transaction, charges.reserve(transaction, question("hearts", "failed"), cost(7)), None)
        charges.void(transaction, charges.reserve(transaction, question("hearts", "void"), cost(11)))
        charges.reserve(transaction, question("hearts", "open"), cost(13))
    return text


def _copy_to_first(world: World, to: Database) -> dict[str, list[dict[str, Any]]]:
    """Copy the rows of a ledger into the tables of the first schema, and return them as they stand there.

    The charges of the test have no entries, so the log alone would not give the accounts' sums.
    """
    first = sa.MetaData()
    copied: dict[str, list[dict[str, Any]]] = {}
    with world.database.read() as transaction, to.write() as writing:
        first.reflect(writing)
        for table in first.sorted_tables:
            if table.name == "alembic_version":
                continue
            present = metadata.tables[table.name]
            names = {column.name: present.c[NEW_NAMES.get(column.name, column.name)] for column in table.c}
            wanted = sa.select(*(column.label(name) for name, column in names.items()))
            if table.name == "users":
                wanted = wanted.where(present.c.role != "approver")
            copied[table.name] = [row._asdict() for row in transaction.execute(wanted)]
            if copied[table.name]:
                writing.execute(sa.insert(table), copied[table.name])
    return copied


def test_what_was_approved_before_there_was_advice_stays(
    fresh: Database, address: str, declared: dict[str, set[str]]
) -> None:
    """A study that was approved, and a raise that waits, stay as they are; there is no advice and nothing proposed."""
    config = connection._alembic()
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0013")
    study = "'flu', 'T', 'P', 'L', 'flu', '{}', NULL, NULL, 'approved', 'a', 'then', 9, 9, '[\"a\"]', 'd', 'a'"
    with fresh.write() as transaction:
        transaction.exec_driver_sql("INSERT INTO datasets VALUES ('flu', 'Flu', 1, 'then')")
        transaction.exec_driver_sql(f"INSERT INTO studies VALUES ({study})")
    with fresh.read() as transaction:
        (before,) = transaction.exec_driver_sql("SELECT * FROM studies").all()
    fresh.upgrade()
    with fresh.write() as transaction:
        # The raise that waits divides epsilon as it was divided.
        raised = {"raise_laplace_percent": 100, "raise_justification": None, "formalities": None}
        (after,) = transaction.exec_driver_sql("SELECT * FROM studies").mappings().all()
        assert {**after} == {**before._mapping, **raised}
        for table in ("advice", "proposals"):
            assert transaction.execute(sa.select(metadata.tables[table])).all() == []
    for wrong in ("'poem', 'flu', 'favourable'", "'study', 'flu', 'fine'"):
        with pytest.raises(sa.exc.IntegrityError, match="ck_advice_"), fresh.write() as transaction:
            transaction.exec_driver_sql(f"INSERT INTO advice VALUES ({wrong}, 'r', 'd', 'now')")
    assert schema(address) == declared


def test_studies_from_before_there_were_conclusions_stay_and_have_none(
    fresh: Database, address: str, declared: dict[str, set[str]]
) -> None:
    """An upgrade keeps each study as it is; it has no conclusion, and a conclusion is of a study that is there."""
    config = connection._alembic()
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0016")
    study = "'flu', 'T', 'P', 'L', 'flu', '{}', NULL, NULL, 'approved', 'a', 'then', 9, 9, '[\"a\"]', 'd', 'a'"
    with fresh.write() as transaction:
        transaction.exec_driver_sql(
            "INSERT INTO datasets (name, title, overcommit, created_at) VALUES ('flu', 'Flu', 1, 'then')"
        )
        transaction.exec_driver_sql(f"INSERT INTO studies VALUES ({study})")
    with fresh.read() as transaction:
        (before,) = transaction.exec_driver_sql("SELECT * FROM studies").all()
    fresh.upgrade()
    with fresh.write() as transaction:
        # The raise that waits divides epsilon as it was divided.
        raised = {"raise_laplace_percent": 100, "raise_justification": None, "formalities": None}
        (after,) = transaction.exec_driver_sql("SELECT * FROM studies").mappings().all()
        assert {**after} == {**before._mapping, **raised}
        assert conclusions.standing(transaction, "flu") is None
    with pytest.raises(sa.exc.IntegrityError), fresh.write() as transaction:
        transaction.exec_driver_sql(
            "INSERT INTO conclusions (study, text, about, given_by, given_at) VALUES ('nowhere', 'x', '{}', 'a', 'now')"
        )
    assert schema(address) == declared


def test_accounts_of_the_seventeenth_schema_admit_what_they_admitted(
    fresh: Database, address: str, declared: dict[str, set[str]]
) -> None:
    """Accounts from before there was a third filter keep sums and limits, and a ledger counts their Gaussian charges."""
    config = connection._alembic()
    with fresh.write() as transaction:
        config.attributes["connection"] = transaction
        command.upgrade(config, "0017")
    rho = rho_nano_max(4 * NANO, 5 * 10**11)
    charge = "'hearts', 'flu', 1"
    with fresh.write() as transaction:
        for statement in (
            "INSERT INTO datasets (name, title, overcommit, created_at, wanted_epsilon_nano, wanted_delta_atto, "
            f"wanted_profile_nano, hands) VALUES ('flu', 'Flu', 1, 'then', {9 * NANO}, 7, 1, '[]')",
            "INSERT INTO editions VALUES ('flu', 1, 'f', 'then')",
            "INSERT INTO studies (id, title, purpose, legal_basis, dataset, protocol, state, opened_by, created_at) "
            "VALUES ('hearts', 'T', 'P', 'L', 'flu', '{}', 'approved', 'a', 'then')",
            f"INSERT INTO accounts VALUES ('study', 'hearts', {4 * NANO}, {10**12}, {rho}, {5 * 10**11}, 1, 1, 0, "
            f"{NANO // 5}, 3, {NANO // 50 + 9}, 0, 0)",
            f"INSERT INTO charges VALUES ('1', 'reserve', NULL, {charge}, 'a', {NANO // 5}, {NANO // 50}, 0, 't')",
            f"INSERT INTO charges VALUES ('2', 'settle', '1', {charge}, 'a', {NANO // 5}, {NANO // 50}, 0, 't')",
            f"INSERT INTO charges VALUES ('3', 'reserve', NULL, {charge}, 'b', NULL, 9, 0, 't')",
            f"INSERT INTO charges VALUES ('4', 'settle', '3', {charge}, 'b', NULL, 9, 0, 't')",
            f"INSERT INTO charges VALUES ('5', 'reserve', NULL, {charge}, 'c', NULL, 3, 0, 't')",
            f"INSERT INTO charges VALUES ('6', 'reserve', NULL, {charge}, 'd', NULL, 5, 0, 't')",
            f"INSERT INTO charges VALUES ('7', 'void', '6', {charge}, 'd', NULL, 5, 0, 't')",
            "INSERT INTO profile_charges VALUES ('8', 'reserve', NULL, 'flu', 1, 'e', 7, 7, 0, 't')",
            "INSERT INTO profile_charges VALUES ('7', 'settle', '8', 'flu', 1, 'e', 7, 7, 0, 't')",
            "INSERT INTO profiles VALUES ('p', '8', 'flu', 1, 'e', 't', '{}')",
            "INSERT INTO profile_resumes VALUES ('8', 2, 't')",
        ):
            transaction.exec_driver_sql(statement)
    fresh.upgrade()
    assert schema(address) == declared
    with fresh.write() as transaction:
        found = accounts.balance(transaction, accounts.STUDY, "hearts")
        assert found.limits == Limits.of(4 * NANO, 10**12, 100)
        assert (found.limits.rho_nano, found.limits.laplace_nano, found.limits.gaussian_nano) == (rho, 4 * NANO, 0)
        assert found.reserved_sum == Sum(0, 3, 3, 0, 1)
        assert found.spent_sum == Sum(NANO // 5, 9, NANO // 50 + 9, 0, 1)
        assert not found.admits(Loss(NANO, NANO // 2, 0))
        assert transaction.exec_driver_sql("SELECT wanted_laplace_percent FROM datasets").scalar() == 100
        assert transaction.exec_driver_sql("SELECT count(*) FROM profile_charges").scalar() == 2
        assert transaction.exec_driver_sql("SELECT count(*) FROM profile_resumes").scalar() == 1
        assert transaction.exec_driver_sql("SELECT count(*) FROM profiles").scalar() == 1
        transaction.exec_driver_sql(
            "INSERT INTO profile_charges VALUES ('9', 'reserve', NULL, 'flu', 1, 'g', NULL, 7, 0, 't')"
        )
