from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from budgets.identity import names
from tests.laws import tries
from tests.serving import FORMALITIES, PATIENTS, PROBLEM, Home, Server, ask, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Postgres
    from tests.serving import Reply

HOSTILE = [
    # SQL
    *(
        "' OR '1'='1",
        '" OR ""="',
        "'; DROP TABLE charges; --",
        "1; DELETE FROM accounts",
        "') UNION SELECT * FROM years --",
    ),
    *(
        "years; ATTACH '/tmp/x.db' AS x",
        "ATTACH '/etc/passwd' AS p",
        "COPY years TO '/tmp/stolen.csv'",
        "PRAGMA version",
    ),
    *("INSTALL httpfs", "LOAD httpfs", "SET lock_configuration = false", "SET enable_external_access = true"),
    *(
        "read_csv('/etc/passwd')",
        "read_text('/etc/shadow')",
        "read_parquet('s3://bucket/x')",
        "glob('/*')",
        "duckdb_settings()",
    ),
    *(
        "getenv('HOME')",
        "(SELECT 1)",
        "person",
        '"person"',
        "years.person",
        "store.years",
        "main.years",
        "sqlite_master",
    ),
    *(
        "information_schema.tables",
        "pg_catalog.pg_user",
        "years AS y, persons",
        "years TABLESAMPLE 1",
        "*",
        "1",
        "TRUE",
    ),
    *("sex, person", "max(cost)", "list(cost)", "string_agg(sex, ',')", "count(*) OVER ()", "random()", "current_user"),
    *(
        "/* */",
        "--",
        "/*!50000 SELECT */",
        "\\'; SELECT 1",
        "$$ SELECT 1 $$",
        "E'\\x41'",
        "x'41'",
        "0x41",
        "?",
        "$1",
        ":name",
    ),
    *("{{7*7}}", "${7*7}", "#{7*7}", "%(name)s", "%s%s%s%n", "{0.__class__}", "__import__('os').system('id')"),
    # paths and protocols
    *(
        "../../../../etc/passwd",
        "..\\..\\windows\\win.ini",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:1/",
        "//x/y",
    ),
    *("%2e%2e%2f", "%00", "..;/", "flu/../flu", "flu%2Fbudget", "~root", "C:\\", "\\\\host\\share", "flu?x=1", "flu#x"),
    # texts
    *(
        "\t",
        "\r\nSet-Cookie: a=b",
        "\n",
        "\x7f",
        "\x1b[31m",
        "\u202eflu",
        "\u200bflu",
        "flu\u0301",
        "ﬂu",
        "ＦＬＵ",
        "ſex",
        "ｓｅｘ",
    ),
    *(
        "\ufeffyears",
        "\ufffe",
        "\U0001f4a9",
        "𝓈ℯ𝓍",
        "ﷺ" * 50,
        "a" * 100_000,
        "é" * 5_000,
        "",
        " ",
        "NULL",
        "null",
        "None",
        "undefined",
    ),
    *(
        "NaN",
        "Infinity",
        "-0",
        "1e400",
        "9" * 400,
        "<script>alert(1)</script>",
        "=cmd|'/C calc'!A0",
        "@SUM(1)",
        "<!ENTITY x>",
    ),
    *("__proto__", "constructor", "_schema", "data", "items", "self", "$ref", "#/components"),
]
ONLY_SQLITE = pytest.mark.parametrize("server", ["template"], indirect=True)  # what no word of goes to the ledger
IN_TURN = tries(3, audited=1)  # a text is tried in each third place, and the next text in the next ones

NUMBERS: list[Any] = [10**400, -(10**400), 2**63, -(2**63), 1e308, -1e308, 5e-324, 2**31, 0.1 + 0.2, -0.0, True, None]


@pytest.fixture(scope="module", params=["template", "shared_template"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a home with the study flu, with its ledger in SQLite and in PostgreSQL: they refuse different things."""
    made: Home = request.getfixturevalue(request.param)
    postgres: Postgres | None = request.getfixturevalue("postgres_server") if made.database else None
    database = postgres and postgres.create(made.ledger.rpartition("/")[2])
    with serving(made.copy(tmp_path_factory.mktemp("hostile") / "home", database)) as running:
        running.open_study("flu", "rand-hie")
        running.open_study("codes", "clinic")
        yield running


def state(home: Home) -> tuple[Any, ...]:
    """Return what must not change: charges, releases, users, studies, members, datasets, accounts and tokens."""
    tables = ("charges", "releases", "users", "studies", "members", "datasets", "editions", "accounts")
    tokens = (
        "id, hash, revoked_at, expires_at, study, reads_only FROM tokens ORDER BY id"  # the day of the last use may
    )
    return tuple(home.rows(f"SELECT {rest}") for rest in (*(f"* FROM {table}" for table in tables), tokens))


def survived(reply: Reply, what: object) -> None:
    """Check that a reply is a refusal in our own words, and short."""
    assert 400 <= reply.status < 500, (what, reply)
    assert reply.content_type in (PROBLEM, "text/html"), (what, reply)
    assert len(reply.body) < 400_000
    assert "set-cookie" not in reply.headers
    for word in (b"root:x:", b"DuckDB", b"sqlite3", b"Traceback", b"Parser Error", b"Catalog Error"):
        assert word not in reply.body, (what, reply)


def ways_into_a_query(text: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (study, body) with a text in each place of a query where one may stand."""
    yield "flu", ask(PATIENTS, table=text)
    yield "flu", ask({"a": {"sum": text}})
    yield "flu", ask({"a": {"mean": text}})
    yield "flu", ask({"a": {"count": text}})
    yield "flu", ask(PATIENTS, group_by=[text])
    yield "flu", ask(PATIENTS, group_by=[{"column": text, "bins": [0, 1]}])
    yield "flu", ask(PATIENTS, group_by=[{"column": "age", "bins": [0, text]}])
    yield "codes", ask(PATIENTS, table="visits", group_by=[{"column": "day", "period": text}])
    yield "flu", ask(PATIENTS, where={"column": text, "op": "=", "value": 1})
    yield "flu", ask(PATIENTS, where={"column": "year", "op": text, "value": 1})
    yield "flu", ask(PATIENTS, where={"column": "sex", "op": "=", "value": text})
    yield "flu", ask(PATIENTS, where={"column": "sex", "op": "in", "value": ["male", text]})
    yield "codes", ask(PATIENTS, table="visits", where={"column": "day", "op": ">", "value": text})
    yield "flu", {**ask(PATIENTS), "privacy": {"epsilon": text}}
    yield "flu", {**ask(PATIENTS), "sql": text}
    yield "flu", ask(PATIENTS, group_by=[{"column": "age", "width": text}])
    yield "codes", ask(PATIENTS, table="visits", group_by=[{"column": "day", "part": text}])
    yield "flu", ask({"a": {"quantile": "cost", "at": text}})
    yield "flu", ask({"a": {"correlation": ["cost", text]}})
    yield "flu", ask({"a": {"count": "events", "where": {"column": text, "op": "is_null"}}})
    yield "flu", {**ask(PATIENTS), "privacy": {"margin": {"patients": text}}}
    yield "flu", {**ask(PATIENTS), "post": [text]}
    yield "codes", ask({"a": {"survival": "v", "bins": [0, text]}}, table=built({"days_to": {"of": "visits"}}))
    yield "codes", ask(PATIENTS, table=built({"sum": text}))
    yield "codes", ask(PATIENTS, table=built({"first": "age", "date": text}))
    yield "codes", ask(PATIENTS, table=built({"days_to": {"of": "visits", "within_days": text}}))
    yield "codes", ask(PATIENTS, table={"per_person": text, "values": {"v": {"count": "events"}}})
    yield "codes", ask(PATIENTS, table="visits", where=cohort(persons=text))
    yield "codes", ask(PATIENTS, table="visits", where=cohort(at_least=text))
    yield "codes", ask(PATIENTS, table="visits", where=cohort(after={"of": text}))
    yield "codes", ask(PATIENTS, table="visits", where=cohort(without={"of": "visits", "date": text}))
    if isinstance(text, str) and text not in ("max(cost)", "person", '"person"'):  # which may stand there
        for sql in IN_SQL:
            yield "codes", {"sql": sql.replace("TEXT", text), "privacy": {"epsilon": 1}}


def built(value: dict[str, Any]) -> dict[str, Any]:
    """Return a table of persons with one value."""
    return {"per_person": "visits", "values": {"v": value}}


def cohort(**parts: Any) -> dict[str, Any]:
    """Return a condition on persons."""
    return {"column": "person", "op": "in", "value": {"persons": "visits", **parts}}


IN_SQL = [
    "SELECT TEXT FROM visits",
    "SELECT COUNT(*) FILTER (WHERE TEXT) FROM visits",
    "SELECT COUNT(*) FROM visits WHERE person IN (SELECT person FROM TEXT)",
    "SELECT COUNT(*) FROM visits WHERE person IN (SELECT TEXT FROM visits)",
    "SELECT COUNT(*) FROM visits WHERE person IN (SELECT person FROM visits WHERE EXISTS (SELECT 1 FROM visits AS v WHERE "
    "v.person = visits.person AND v.day <= visits.day AND TEXT))",
    "SELECT COUNT(*) FROM (SELECT person, TEXT AS v FROM visits GROUP BY person)",
    "SELECT COUNT(*) FROM (SELECT person, COUNT(*) AS v FROM TEXT GROUP BY person)",
    "SELECT QUANTILE_CONT(TEXT, 0.5) FROM visits",
    "SELECT SURVIVAL(TEXT, [0, 30]) FROM visits",
]


NESTED = [
    "SELECT COUNT(*) FROM " + "(SELECT person, COUNT(*) AS n FROM " * 200 + "visits" + " GROUP BY person)" * 200,
    "SELECT COUNT(*) FROM visits WHERE " + "person IN (SELECT person FROM visits WHERE " * 100 + "age > 3" + ")" * 100,
    "SELECT COUNT(*) FROM visits WHERE " + "NOT " * 5_000 + "urgent",
    "SELECT COUNT(*) FROM visits WHERE " + "(" * 5_000 + "age > 3" + ")" * 5_000,
    "SELECT COUNT(*) FROM visits WHERE age IN (" + ", ".join("1" * 9 for _ in range(5_000)) + ", 'x')",
    "SELECT HISTOGRAM(age, [" + ", ".join(map(str, range(5_000, 0, -1))) + "]) FROM visits",
    "SELECT " + ", ".join(f"SUM(cost) AS s{n}" for n in range(3_000)) + " FROM visits GROUP BY nothing",
]


@ONLY_SQLITE
@pytest.mark.parametrize("sql", NESTED, ids=range(len(NESTED)))
def test_what_is_nested_or_long_beyond_reason_is_refused(server: Server, sql: str) -> None:
    """Neither depth nor length of a statement is a server error or a charge."""
    before = state(server.home)
    survived(server.client("ada").post("/studies/codes/queries", {"sql": sql, "privacy": {"epsilon": 1}}), sql[:80])
    deep: Any = {"column": "age", "op": ">", "value": 3}
    for _ in range(60):
        deep = cohort(where=deep)
    survived(server.client("ada").post("/studies/codes/queries", ask(PATIENTS, table="visits", where=deep)), "cohorts")
    assert state(server.home) == before


def test_hostile_texts_in_queries(server: Server) -> None:
    """No hostile text in any place of a query is a server error, charges anything, or reaches the engine.

    It is refused before a word of it goes to the ledger, so that which database this is makes no difference: with
    PostgreSQL only the texts are tried that it could not store. A place gets each third text, and the next place the
    next ones: texts of one kind stand together, so that each kind comes everywhere.
    """
    before, ada = state(server.home), server.client("ada")
    texts = [*(HOSTILE if server.home.database is None else ()), "\x00", "\udfff"]
    count = 0
    for number, text in enumerate(texts):
        first, step = (number % 3, 3) if text in HOSTILE else (0, 1)
        for study, body in itertools.islice(ways_into_a_query(text), first, None, step):
            survived(ada.post(f"/studies/{study}/queries", body), body)
            count += 1
    assert count > (1_400 if server.home.database is None else 50)
    assert state(server.home) == before


@ONLY_SQLITE
def test_hostile_names_of_statistics(server: Server) -> None:
    """A name in the answer is a plain name, whatever is tried."""
    before, ada = state(server.home), server.client("ada")
    for text in HOSTILE:
        if text.isascii() and text.isidentifier() and len(text) < 64:
            continue
        survived(ada.post("/studies/flu/queries", ask({text: {"count": "persons"}})), text)
        survived(ada.post("/studies/flu/queries", ask(PATIENTS, group_by=[{"column": "sex", "as": text}])), text)
    assert state(server.home) == before


def test_hostile_texts_are_only_looked_up_in_undeclared_categories(server: Server) -> None:
    """Where any text is a fair question, in a category without declared values, a hostile one just finds nobody.

    The answer, which holds the text, goes to the ledger: with PostgreSQL each third text is tried.
    """
    ada = server.client("ada")
    for number, text in enumerate(HOSTILE if server.home.database is None else HOSTILE[::3]):
        where = {"column": "code", "op": "=", "value": text}
        reply = ada.post("/studies/codes/queries", ask(PATIENTS, 2.0, "visits", where=where))
        if reply.status == 422:
            continue
        assert reply.status == 201, (number, text, reply)
        assert abs(reply.json()["rows"][0]["patients"]["value"]) < 25
    server.home.assert_sound()


def test_hostile_numbers(server: Server) -> None:
    """No number, however large, small or odd, is a server error in any place of a query."""
    ada = server.client("ada")
    for number in NUMBERS:
        for body in (
            {**ask(PATIENTS), "privacy": {"epsilon": number}},
            ask(PATIENTS, where={"column": "cost", "op": "<", "value": number}),
            ask(PATIENTS, where={"column": "cost", "op": "between", "value": [number, number]}),
            ask(PATIENTS, group_by=[{"column": "cost", "bins": [0, number]}]),
            ask(PATIENTS, group_by=[{"column": "cost", "bins": [number, 1]}]),
            ask({"a": {"sum": "cost", "bounds": [0, number]}}),
            ask({"a": {"mean": "cost", "bounds": [number, 1]}}),
            ask({"a": {"count": "events"}}, bounds={"events_per_cell": number}),
            ask(PATIENTS, bounds={"cells_per_person": number}),
        ):
            for way in ("estimates", "queries") if server.home.database is None else ("queries",):
                reply = ada.post(f"/studies/flu/{way}", body)
                assert reply.status < 500, (number, body, reply)
    server.home.assert_sound()


def everywhere_else(text: str) -> Iterator[tuple[str, str, Any]]:
    """Yield (method, path, body) with a text in each path, query string and body that is no query."""
    part = quote(text, safe="")
    for path in (f"/studies/{part}", f"/datasets/{part}", f"/studies/flu/releases/{part}", f"/studies/{part}/budget"):
        yield "GET", path, None
    for path in ("/studies", "/studies/flu/releases", "/audit/entries", "/audit/identities"):
        yield "GET", f"{path}?limit={part}", None
        yield "GET", f"{path}?cursor={part}&limit=2", None
        yield "GET", f"{path}?{part}=1", None
    for name in ("study", "actor", "action", "from", "to"):
        yield "GET", f"/audit/entries?limit=1&{name}={part}", None
    yield "POST", f"/studies/{part}/queries", ask(PATIENTS)
    yield "PUT", f"/studies/flu/members/{part}", None
    yield "PUT", f"/studies/{part}/members/ada", None
    yield "DELETE", f"/tokens/{part}", None
    yield "POST", f"/users/{part}/tokens", None
    yield "DELETE", f"/users/{part}", None


def test_hostile_texts_in_paths_and_filters(server: Server) -> None:
    """No hostile text in a path, a filter or a cursor is a server error or changes anything but the audit log.

    A text is tried by one user, and the next by another; and in each third place, the next in the next places: texts of
    one kind stand together, so that each role and each place has each kind. With PostgreSQL each third text is tried.
    """
    before = state(server.home)
    texts = HOSTILE if server.home.database is None else HOSTILE[::3]
    short = [text for text in texts if len(quote(text)) < 4_000]
    for number, text in enumerate(short):
        name = ("ada", "admin", "dora")[number // IN_TURN % 3]
        client = server.client(name)
        for method, path, body in itertools.islice(everywhere_else(text), number % IN_TURN, None, IN_TURN):
            reply = client.request(method, path, body)
            assert reply.status < 500, (name, text, reply)
            assert b"Traceback" not in reply.body
    assert state(server.home) == before


def test_hostile_names_of_studies_and_users(server: Server) -> None:
    """Names of studies, datasets, users and roles, days and statistics are checked: nothing odd is ever stored."""
    before, admin = state(server.home), server.client("admin")
    study = {
        "name": "x",
        "dataset": "rand-hie",
        "epsilon": 1,
        "title": "T",
        "purpose": "P",
        "legal_basis": "L",
        "formalities": FORMALITIES,
    }
    plain = {"NULL", "null", "None", "undefined", "NaN", "Infinity", "1", "TRUE", "person", "random", "constructor"}
    for text in HOSTILE:
        if text in plain or (text.isascii() and text.replace("_", "a").isalnum()):
            continue  # an odd name, but a plain one
        survived(admin.post("/studies", {**study, "name": text}), text)
        survived(admin.post("/studies", {**study, "dataset": text}), text)
        survived(admin.post("/studies", {**study, "starts": text}), text)
        survived(admin.post("/studies", {**study, "protocol": {"statistics": [text]}}), text)
        if not names.NAME.fullmatch(text):  # user names may be addresses: they have dots and @
            survived(admin.post("/users", {"name": text, "role": "admin"}), text)
        survived(admin.post("/users", {"name": "x", "role": text}), text)
    assert state(server.home) == before


def test_hostile_texts_where_any_text_may_stand(server: Server) -> None:
    """Titles and reasons may hold any text; they come back as they went in, from the study and from the log."""
    admin, dora = server.client("admin"), server.client("dora")
    study = {
        "name": "odd",
        "dataset": "rand-hie",
        "epsilon": 1,
        "title": "T",
        "purpose": "P",
        "legal_basis": "L",
        "formalities": FORMALITIES,
    }
    admin.good("POST", "/studies", study)
    for text in HOSTILE:
        reply = admin.request("PATCH", "/studies/odd", {"title": text})
        if not text.strip() or len(text) > 10_000:
            assert reply.status == 422, text
        else:
            assert reply.json()["title"] == text
            assert admin.good("GET", "/studies/odd")["title"] == text
    edits = dora.good("GET", "/audit/entries?study=odd&action=study.edit&limit=1000")["items"]
    assert {entry["facts"]["title"] for entry in edits} == {t for t in HOSTILE if t.strip() and len(t) <= 10_000}
    server.home.assert_sound()


@pytest.mark.parametrize(
    "header",
    [
        "\x00",
        "é",
        "Bearer \xff",
        "Bearer " + "A" * 6_000,
        "Bearer ' OR 1=1",
        "Bearer rowless__",
        "Bearer\x0browless_0_0",
    ],
)
def test_hostile_headers(server: Server, header: str) -> None:
    """An odd Authorization header is no token; an odd Idempotency-Key or Accept is no failure."""
    nobody, ada = server.client(None), server.client("ada")
    assert nobody.request("GET", "/me", headers={"Authorization": header}).status in (400, 401)
    assert ada.request("GET", "/me", headers={"Accept": header}).status in (200, 400)
    before = server.home.charges()
    odd = {"Idempotency-Key": header}
    assert ada.request("POST", "/studies/flu/queries", ask(PATIENTS, -1), headers=odd).status in (400, 422)
    assert server.home.charges() == before


def test_server_answers_after_hostile_requests(server: Server) -> None:
    """After all that the server answers, its ledger is sound, and no file was made or read for anybody."""
    said = server.client("ada").good("POST", "/studies/flu/queries", ask({"after": {"count": "persons"}}, 2.5))
    assert 5_800 < said["rows"][0]["after"]["value"] < 6_000
    assert server.process.poll() is None
    server.home.assert_sound()
