from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queries.language import nodes
from queries.spelling import json_writing
from server.api.requests.query import QuerySchema
from server.web.bodies import BODY_BYTES_MAX
from tests.serving import PATIENTS, PROBLEM, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Place, Reply

WAYS = ("queries", "rehearsals", "estimates")
GOOD = ask(PATIENTS)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of failures out of the tests' output."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def refused(place: Place, status: int, code: str, **sent: Any) -> list[Reply]:
    """Send a body to every way of asking; all must refuse it as told and charge nothing."""
    before = place.home.charges()
    replies = []
    for way in WAYS:
        reply = place.client("ada").request("POST", f"/studies/flu/{way}", **sent)
        assert (reply.status, reply.code) == (status, code), reply
        assert reply.json()["status"] == status
        replies.append(reply)
    assert place.home.charges() == before
    return replies


# Bytes -> JSON

MALFORMED = {
    "cut off": b'{"query": {',
    "no JSON": b"SELECT 1",
    "single quotes": b"{'query': {}}",
    "a comma too many": b'{"query": {},}',
    "two values": b"{} {}",
    "NaN": b'{"query": {}, "privacy": {"epsilon": NaN}}',
    "Infinity": b'{"query": {}, "privacy": {"epsilon": Infinity}}',
    "-Infinity": b'{"query": {}, "privacy": {"epsilon": -Infinity}}',
    "a key twice": b'{"query": {}, "query": {}}',
    "a nested key twice": b'{"query": {"from": "years", "from": "persons"}}',
    "a key twice, escaped": b'{"query": {}, "\\u0071uery": {}}',
    "half a surrogate pair": b'{"query": "\\ud800"}',
    "the other half": b'{"\\udc00": 1}',
    "U+0000": b'{"query": "a\\u0000b"}',
    "U+0000 in a key": b'{"a\\u0000b": 1}',
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "lists without an end": b"[" * 100_000,
    "a long number": b'{"privacy": {"epsilon": ' + b"9" * 5_000 + b"}}",
    "no UTF-8": b'{"query": "\xff"}',
    "UTF-16": '{"query": 1}'.encode("utf-16"),
    "a control character": b'{"query": "a\nb"}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_body_that_is_no_strict_json_is_malformed(shared: Place, name: str) -> None:
    """A body that is no strict JSON is refused as malformed, whatever makes it so."""
    for reply in refused(shared, 400, "malformed", raw=MALFORMED[name]):
        assert len(reply.body) < 1_000


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "\\", "\u2028", "\U0001f600", "'; DROP TABLE charges; --"])
def test_texts_that_look_like_nul_are_read_as_texts(shared: Place, text: str) -> None:
    """A text that holds no U+0000, only looks like it, is read as it stands (and here is no declared value)."""
    for reply in refused(
        shared, 422, "invalid-query", body=ask(PATIENTS, where={"column": "sex", "op": "=", "value": text})
    ):
        assert reply.json()["pointer"] == "/query/where/value"


def test_a_body_too_large_is_refused(shared: Place) -> None:
    """256 KiB are read; one byte more is not."""
    text = json.dumps(GOOD).encode()
    fits = text + b" " * (BODY_BYTES_MAX - len(text))
    assert shared.client("ada").request("POST", "/studies/flu/estimates", raw=fits).status == 200
    refused(shared, 413, "too-large", raw=fits + b" ")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
def test_another_content_type_is_refused(shared: Place, kind: str) -> None:
    """A body that does not say it is JSON is not read."""
    refused(shared, 415, "unsupported-media-type", raw=json.dumps(GOOD).encode(), headers={"Content-Type": kind})


def test_json_by_another_name_is_read(shared: Place) -> None:
    """A content type that ends in +json, or names a charset, is JSON."""
    for kind in ("application/json; charset=utf-8", "application/vnd.x+json", "APPLICATION/JSON"):
        reply = shared.client("ada").request(
            "POST", "/studies/flu/estimates", raw=json.dumps(GOOD).encode(), headers={"Content-Type": kind}
        )
        assert reply.status == 200, kind


# JSON -> query: what is wrong, and where


def q(**query: Any) -> dict[str, Any]:
    """Return a good body with parts of its query replaced; None leaves a part out."""
    changed = {**GOOD["query"], **query}
    return {"query": {key: value for key, value in changed.items() if value is not None}, "privacy": {"epsilon": 1.0}}


def where(predicate: Any) -> dict[str, Any]:
    """Return a good body with a filter."""
    return q(where=predicate)


def deep(levels: int) -> Any:
    """Return a filter of so many levels of not."""
    predicate: Any = YEAR
    for _ in range(levels):
        predicate = {"not": predicate}
    return predicate


YEAR = {"column": "year", "op": "=", "value": 1}
COSTS = {"sum": "cost", "bounds": [0, 10]}
FILTERED = (
    {"count": "persons"},
    {"mean": "cost"},
    {"quantile": "cost", "at": 0.5},
    {"iqr": "cost"},
    {"top": "site", "k": 1},
    {"covariance": ["age", "cost"]},
)
WRONG: list[tuple[Any, str]] = [
    # the body
    ([], ""),
    ("query", ""),
    (7, ""),
    (None, ""),
    ({}, "/privacy"),
    ({"query": GOOD["query"]}, "/privacy"),
    ({"privacy": {"epsilon": 1}}, "/query"),
    ({**GOOD, "extra": 1}, "/extra"),
    ({**GOOD, "post": "round"}, "/post"),
    ({**GOOD, "post": None}, "/post"),
    ({**GOOD, "post": ["clamp", "up"]}, "/post/1"),
    ({**GOOD, "post": ["clamp", 7]}, "/post/1"),
    ({**GOOD, "post": ["clamp", "clamp"]}, "/post/1"),
    ({**GOOD, "query": {**GOOD["query"], "post": []}}, "/query/post"),
    ({**GOOD, "query": []}, "/query"),
    ({**GOOD, "query": None}, "/query"),
    ({**GOOD, "privacy": 1}, "/privacy"),
    ({**GOOD, "privacy": {}}, "/privacy"),
    ({**GOOD, "privacy": {"epsilon": 1, "x": 2}}, "/privacy/x"),
    # epsilon
    *(
        ({**GOOD, "privacy": {"epsilon": wrong}}, "/privacy/epsilon")
        for wrong in (0, -1, 1e-10, 9.99e-10, "1", True, None, [1], {}, 0.0, -0.0, 1e7, 10**400, 1e300, -1e-300)
    ),
    # from
    (q(**{"from": None}), "/query/from"),
    (q(**{"from": 1}), "/query/from"),
    (q(**{"from": "yaers"}), "/query/from"),
    (q(**{"from": ""}), "/query/from"),
    (q(**{"from": "store.years"}), "/query/from"),
    (q(extra=1), "/query/extra"),
    # select
    (q(select={}), "/query/select"),
    (q(select=[]), "/query/select"),
    (q(select="*"), "/query/select"),
    (q(select=None), "/query/select"),
    (q(select={"a": 1}), "/query/select/a"),
    (q(select={"a": {}}), "/query/select/a"),
    (q(select={"a": {"max": "cost"}}), "/query/select/a"),
    (q(select={"a": {"count": "persons", "sum": "cost"}}), "/query/select/a"),
    (q(select={"a": {"count": "rows"}}), "/query/select/a/count"),
    (q(select={"a": {"count": True}}), "/query/select/a/count"),
    (q(select={"a": {"count": ["persons"]}}), "/query/select/a/count"),
    (q(select={"a": {"count": "persons", "bounds": [0, 1]}}), "/query/select/a/bounds"),
    (q(select={"a": {"sum": 1}}), "/query/select/a/sum"),
    (q(select={"a": {"sum": ""}}), "/query/select/a/sum"),
    (q(select={"a": {"sum": "csot"}}), "/query/select/a/sum"),
    (q(select={"a": {"sum": "sex"}}), "/query/select/a/sum"),
    (q(select={"a": {"mean": "child"}}), "/query/select/a/mean"),
    (q(select={"a": {"sum": "cost", "x": 1}}), "/query/select/a/x"),
    *(
        (q(select={"a": wrong}), f"/query/select/a{place}")
        for wrong, place in (
            # proportion
            ({"proportion": "sex"}, "/proportion"),
            ({"proportion": {}}, "/proportion/column"),
            ({"proportion": {**YEAR, "column": "yaer"}}, "/proportion/column"),
            ({"proportion": {"not": {**YEAR, "value": "x"}}}, "/proportion/not/value"),
            ({"proportion": YEAR, "of": "rows"}, "/of"),
            ({"proportion": YEAR, "where": YEAR}, "/where"),
            # where
            *(({**one, "where": []}, "/where") for one in FILTERED),
            *(({**one, "where": {**YEAR, "column": "yaer"}}, "/where/column") for one in FILTERED),
            *(({**one, "where": {"all": [YEAR, {**YEAR, "value": "x"}]}}, "/where/all/1/value") for one in FILTERED),
            # variance, stddev
            *(({word: "csot"}, f"/{word}") for word in ("variance", "stddev")),
            *(({word: "sex"}, f"/{word}") for word in ("variance", "stddev")),
            ({"quantile": "sex", "at": 0.5}, "/quantile"),
            ({"variance": "cost", "bounds": [5, 5]}, "/bounds"),
            ({"stddev": "cost", "bounds": [-1, 5]}, "/bounds/0"),
            # quantile
            ({"quantile": "cost"}, "/at"),
            *(({"quantile": "cost", "at": one}, "/at") for one in (0, 1, -0.5, "0.5", True, None, [], {})),
            ({"quantile": "cost", "at": [0.5, 1]}, "/at/1"),
            ({"quantile": "cost", "at": ["0.5"]}, "/at/0"),
            ({"quantile": "cost", "at": 0.5, "bounds": [0, 40001]}, "/bounds/1"),
            ({"quantile": "csot", "at": 0.5}, "/quantile"),
            # iqr
            ({"iqr": "sex"}, "/iqr"),
            ({"iqr": "csot"}, "/iqr"),
            ({"iqr": ["cost"]}, "/iqr"),
            ({"iqr": "cost", "at": 0.5}, "/at"),
            ({"iqr": "cost", "bounds": [0, 40001]}, "/bounds/1"),
            # histogram
            ({"histogram": 1}, "/histogram"),
            ({"histogram": "aeg"}, "/histogram"),
            ({"histogram": "age", "bins": []}, "/bins"),
            ({"histogram": "age", "bins": [5]}, "/bins"),
            ({"histogram": "age", "bins": [5, 4]}, "/bins/1"),
            ({"histogram": "age", "bins": [5, "x"]}, "/bins/1"),
            ({"histogram": "sex", "bins": [0, 1]}, "/bins"),
            ({"histogram": "aeg", "bins": [0, 1]}, "/histogram"),
            ({"histogram": "cost"}, "/histogram"),
            # top
            ({"top": "site"}, "/k"),
            *(({"top": "site", "k": one}, "/k") for one in (0, -1, 1.5, True, "2", None, 7)),
            ({"top": "stie", "k": 1}, "/top"),
            ({"top": "cost", "k": 1}, "/top"),
            # covariance, correlation
            *(({"covariance": one}, "/covariance") for one in ("age", [], ["age"], ["age", "visits", "cost"])),
            ({"covariance": ["age", 1]}, "/covariance/1"),
            ({"covariance": ["age", "age"]}, "/covariance/1"),
            ({"correlation": ["sex", "age"]}, "/correlation/0"),
            ({"correlation": ["age", "csot"]}, "/correlation/1"),
            ({"correlation": ["age", "cost"], "bounds": [0, 5]}, "/bounds/0"),
            ({"correlation": ["age", "cost"], "bounds": [[0, 5]]}, "/bounds"),
            ({"correlation": ["age", "cost"], "bounds": [[0, 5], [5, 4]]}, "/bounds/1"),
            ({"correlation": ["age", "cost"], "bounds": [[-1, 5], [0, 4]]}, "/bounds/0/0"),
            ({"correlation": ["age", "cost"], "bounds": [[0, 5], [0, "4"]]}, "/bounds/1/1"),
        )
    ),
    (q(select={"a": {**COSTS, "bounds": 5}}), "/query/select/a/bounds"),
    (q(select={"a": {**COSTS, "bounds": [0]}}), "/query/select/a/bounds"),
    (q(select={"a": {**COSTS, "bounds": [0, 1, 2]}}), "/query/select/a/bounds"),
    (q(select={"a": {**COSTS, "bounds": [5, 5]}}), "/query/select/a/bounds"),
    (q(select={"a": {**COSTS, "bounds": [5, 4]}}), "/query/select/a/bounds"),
    (q(select={"a": {**COSTS, "bounds": ["0", 5]}}), "/query/select/a/bounds/0"),
    (q(select={"a": {**COSTS, "bounds": [0, True]}}), "/query/select/a/bounds/1"),
    (q(select={"a": {**COSTS, "bounds": [-1, 5]}}), "/query/select/a/bounds/0"),
    (q(select={"a": {**COSTS, "bounds": [0, 40001]}}), "/query/select/a/bounds/1"),
    (q(select={"a": {**COSTS, "bounds": [0, 0.001]}}), "/query/select/a/bounds/1"),
    *(
        (q(select={name: {"count": "persons"}}), f"/query/select/{shown}")
        for name, shown in (
            ("", ""),
            ("1a", "1a"),
            ("a b", "a b"),
            ("a/b~c", "a~1b~0c"),
            ('a"', 'a"'),
            ("a;--", "a;--"),
            ("é", "é"),
            ("a" * 64, "a" * 64),
            ("a\n", "a\n"),
        )
    ),
    (q(select={"_schema": {"count": "rows"}}), "/query/select/_schema/count"),
    # where
    (where([]), "/query/where"),
    (where("sex = 'male'"), "/query/where"),
    (where({}), "/query/where/column"),
    (where({"column": "year"}), "/query/where/op"),
    (where({"column": "year", "op": "="}), "/query/where/value"),
    (where({"column": "year", "op": "==", "value": 1}), "/query/where/op"),
    (where({"column": "year", "op": "LIKE", "value": "x"}), "/query/where/op"),
    (where({"column": "year", "op": ["="], "value": 1}), "/query/where/op"),
    (where({"column": 1, "op": "=", "value": 1}), "/query/where/column"),
    (where({"column": "yaer", "op": "=", "value": 1}), "/query/where/column"),
    (where({"column": "person", "op": "=", "value": 1}), "/query/where/column"),
    (where({**YEAR, "x": 1}), "/query/where/x"),
    (where({**YEAR, "value": "1"}), "/query/where/value"),
    (where({**YEAR, "value": True}), "/query/where/value"),
    (where({**YEAR, "value": None}), "/query/where/value"),
    (where({**YEAR, "value": [1]}), "/query/where/value"),
    (where({**YEAR, "value": {}}), "/query/where/value/column"),
    (where({"column": "sex", "op": "=", "value": "mael"}), "/query/where/value"),
    (where({"column": "sex", "op": "=", "value": 1}), "/query/where/value"),
    (where({"column": "sex", "op": "<", "value": "male"}), "/query/where/op"),
    (where({"column": "child", "op": "=", "value": 1}), "/query/where/value"),
    (where({"column": "child", "op": ">", "value": True}), "/query/where/op"),
    (where({"column": "year", "op": "in", "value": 1}), "/query/where/value"),
    (where({"column": "year", "op": "in", "value": []}), "/query/where/value"),
    (where({"column": "year", "op": "in", "value": [1, "2"]}), "/query/where/value/1"),
    (where({"column": "year", "op": "in", "value": [1, None]}), "/query/where/value/1"),
    (where({"column": "year", "op": "between", "value": [1]}), "/query/where/value"),
    (where({"column": "year", "op": "between", "value": [1, 2, 3]}), "/query/where/value"),
    (where({"column": "year", "op": "between", "value": [2, 1]}), "/query/where/value"),
    (where({"column": "sex", "op": "between", "value": ["a", "b"]}), "/query/where/op"),
    (where({"column": "year", "op": "is_null", "value": 1}), "/query/where/value"),
    (where({"column": "sex", "op": "in", "value": {"list": "a b"}}), "/query/where/value/list"),
    (where({"column": "sex", "op": "in", "value": {"list": "a", "of": 1}}), "/query/where/value/of"),
    (where({"column": "sex", "op": "=", "value": {"list": "a"}}), "/query/where/value/list"),
    (where({"all": []}), "/query/where/all"),
    (where({"any": {}}), "/query/where/any"),
    (where({"all": [YEAR], "any": [YEAR]}), "/query/where/any"),
    (where({"all": [YEAR], "column": "year"}), "/query/where/column"),
    (where({"not": [YEAR]}), "/query/where/not"),
    (where({"not": YEAR, "op": "="}), "/query/where/op"),
    (where({"all": [YEAR, {"any": [YEAR, {"not": {**YEAR, "op": "~"}}]}]}), "/query/where/all/1/any/1/not/op"),
    (where({"all": [YEAR, {"any": [YEAR, {"not": {**YEAR, "value": "x"}}]}]}), "/query/where/all/1/any/1/not/value"),
    (where(deep(33)), "/query/where" + "/not" * 33),
    # group_by
    (q(group_by="sex"), "/query/group_by"),
    (q(group_by={}), "/query/group_by"),
    (q(group_by=[1]), "/query/group_by/0"),
    (q(group_by=["sex", ""]), "/query/group_by/1"),
    (q(group_by=["sex", "sxe"]), "/query/group_by/1"),
    (q(group_by=["sex", "sex"]), "/query/group_by/1"),
    (q(group_by=[{}]), "/query/group_by/0/column"),
    (q(group_by=[{"column": "sex", "x": 1}]), "/query/group_by/0/x"),
    (q(group_by=[{"column": "sex", "as": "a b"}]), "/query/group_by/0/as"),
    (q(group_by=[{"column": "sex", "as": "patients"}]), "/query/group_by/0"),
    (q(group_by=[{"column": "age", "bins": [0, 5], "period": "year"}]), "/query/group_by/0/period"),
    (q(group_by=[{"column": "age", "bins": 5}]), "/query/group_by/0/bins"),
    (q(group_by=[{"column": "age", "bins": []}]), "/query/group_by/0/bins"),
    (q(group_by=[{"column": "age", "bins": [0]}]), "/query/group_by/0/bins"),
    (q(group_by=[{"column": "age", "bins": [0, 40, 18]}]), "/query/group_by/0/bins/2"),
    (q(group_by=[{"column": "age", "bins": [0, 0]}]), "/query/group_by/0/bins/1"),
    (q(group_by=[{"column": "age", "bins": [0, "18"]}]), "/query/group_by/0/bins/1"),
    (q(group_by=[{"column": "age", "bins": [0, None]}]), "/query/group_by/0/bins/1"),
    (q(group_by=[{"column": "sex", "bins": ["a", "b"]}]), "/query/group_by/0/bins"),
    (q(group_by=[{"column": "age", "period": "year"}]), "/query/group_by/0/period"),
    (q(group_by=[{"column": "age", "period": "week"}]), "/query/group_by/0/period"),
    (q(group_by=["income", "cost"]), "/query/group_by"),
    # bounds
    (q(bounds=5), "/query/bounds"),
    (q(bounds={"x": 1}), "/query/bounds/x"),
    *(
        (q(bounds={name: wrong}), f"/query/bounds/{name}")
        for name in ("cells_per_person", "events_per_cell")
        for wrong in (0, -1, 1.5, "1", True, None, 2**31, [1])
    ),
    (q(select={"a": {"sum": "cost"}}, bounds={"events_per_cell": 2**31 - 1}), "/query/bounds"),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG, ids=[f"{n}-{p or 'body'}"[:60] for n, (_, p) in enumerate(WRONG)])
def test_invalid_body_named_with_its_place(shared: Place, body: Any, pointer: str) -> None:
    """A body with one mistake is refused as an invalid query, with the JSON pointer to the mistake and a reason."""
    for reply in refused(shared, 422, "invalid-query", raw=json.dumps(body).encode()):
        told = reply.json()
        assert told["pointer"] == pointer, told
        assert told["detail"]


def test_a_number_too_large_for_a_double_is_no_number(shared: Place) -> None:
    """1e400 would be read as infinity; it is refused wherever a number may stand."""
    for body in (
        b'{"query": {"from": "years", "select": {"a": {"count": "persons"}}}, "privacy": {"epsilon": 1e400}}',
        b'{"query": {"from": "years", "select": {"a": {"sum": "cost", "bounds": [0, 1e400]}}},"privacy":{"epsilon":1}}',
        b'{"query": {"from": "years", "select": {"a": {"count": "persons"}},'
        b' "where": {"column": "cost", "op": "<", "value": 1e400}}, "privacy": {"epsilon": 1}}',
        b'{"query": {"from": "years", "select": {"a": {"count": "persons"}},'
        b' "group_by": [{"column": "cost", "bins": [0, 1e400]}]}, "privacy": {"epsilon": 1}}',
    ):
        before = shared.home.charges()
        for way in WAYS:
            reply = shared.client("ada").request("POST", f"/studies/flu/{way}", raw=body)
            assert reply.status in (400, 422)
            assert reply.code in ("malformed", "invalid-query")
        assert shared.home.charges() == before


def test_every_mistake_is_listed(shared: Place) -> None:
    """A body with several mistakes in different places has each of them in `errors`."""
    body = {"query": {"from": 1, "select": {}, "bounds": {"events_per_cell": 0}}, "privacy": {"epsilon": 0}}
    for reply in refused(shared, 422, "invalid-query", body=body):
        pointers = {one["pointer"] for one in reply.json()["errors"]}
        assert pointers == {"/query/from", "/query/select", "/query/bounds/events_per_cell", "/privacy/epsilon"}


@pytest.mark.parametrize("day", [20200115, "20200115", "2020-W03-3", "2020-1-15", "15.01.2020", "2020-01-15T00:00", ""])
def test_a_date_has_one_spelling(shared: Place, day: Any) -> None:
    """A date is a text as in 2020-12-31 and nothing else."""
    if not shared.home.rows("SELECT id FROM studies WHERE id = 'days'"):
        shared.open_study("days", "clinic")
    body = ask(PATIENTS, table="visits", where={"column": "day", "op": "=", "value": day})
    reply = shared.client("ada").post("/studies/days/estimates", body)
    assert reply.status == 422, reply
    assert reply.json()["pointer"] == "/query/where/value"


# Anything at all

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**60), max_value=10**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["years", "persons", "sex", "year", "cost", "male", "count", "=", "in", "between", "events"]),
)
WORDS = st.sampled_from(
    [
        "query",
        "privacy",
        "epsilon",
        "from",
        "select",
        "where",
        "group_by",
        "bounds",
        "all",
        "any",
        "not",
        "column",
        "op",
    ]
    + ["value", "count", "sum", "mean", "bins", "period", "as", "events_per_cell", "cells_per_person", "_schema"]
)
ANYTHING = st.recursive(
    SCALARS,
    lambda part: st.one_of(st.lists(part, max_size=4), st.dictionaries(WORDS | st.text(max_size=6), part, max_size=4)),
    max_leaves=12,
)
ANYWHERE = settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])


def asked(place: Place, body: Any) -> Reply:
    """Estimate a body: the reply is no failure, and nothing is charged."""
    before = place.home.charges()
    reply = place.client("ada").request("POST", "/studies/flu/estimates", raw=json.dumps(body).encode())
    assert reply.status < 500, reply
    assert reply.status == 200 or reply.content_type == PROBLEM
    if reply.status not in (200, 400):
        # What cannot be estimated cannot be asked either, and costs nothing.
        again = place.client("ada").request("POST", "/studies/flu/queries", raw=json.dumps(body).encode())
        assert (again.status, again.json()) == (reply.status, reply.json())
    assert place.home.charges() == before
    return reply


@pytest.mark.slow
@ANYWHERE
@given(body=ANYTHING)
def test_any_json_body_is_no_server_error(shared: Place, body: Any) -> None:
    """Whatever JSON comes as a body, it is no server error and charges nothing."""
    asked(shared, body)


@pytest.mark.slow
@ANYWHERE
@given(query=ANYTHING)
def test_any_json_query_is_no_server_error_and_free(shared: Place, query: Any) -> None:
    """Whatever JSON comes as a query, it is no server error and charges nothing."""
    asked(shared, {"query": query, "privacy": {"epsilon": 1.0}})


@pytest.mark.slow
@ANYWHERE
@given(part=st.sampled_from(["where", "group_by", "select", "bounds", "from"]), value=ANYTHING)
def test_any_part_of_a_query_is_answered(shared: Place, part: str, value: Any) -> None:
    """Whatever JSON comes as one part of an otherwise good query, it is no server error and charges nothing."""
    asked(shared, q(**{part: value}))


@pytest.mark.slow
@ANYWHERE
@given(epsilon=SCALARS)
def test_any_epsilon_is_no_server_error(shared: Place, epsilon: Any) -> None:
    """Whatever comes as epsilon, it is no server error and charges nothing."""
    asked(shared, {**GOOD, "privacy": {"epsilon": epsilon}})


# Round trips

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
LITERALS = st.one_of(
    st.text(max_size=8),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
MANY = st.lists(LITERALS, min_size=1, max_size=4).map(tuple)
COMPARISONS = st.one_of(
    st.builds(nodes.Comparison, NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), LITERALS),
    st.builds(nodes.Comparison, NAMES, st.sampled_from(["in", "between"]), MANY),
    st.builds(nodes.Comparison, NAMES, st.just("is_null")),
)


def _groups(part: st.SearchStrategy[nodes.Predicate]) -> st.SearchStrategy[nodes.Predicate]:
    parts = st.lists(part, min_size=1, max_size=3).map(tuple)
    return st.one_of(st.builds(nodes.All, parts), st.builds(nodes.Any, parts), st.builds(nodes.Not, part))


PREDICATES: st.SearchStrategy[nodes.Predicate] = st.recursive(COMPARISONS, _groups, max_leaves=8)
KEYS = st.one_of(
    st.builds(nodes.ByValue, NAMES, st.none() | NAMES),
    st.builds(nodes.ByBins, NAMES, MANY, st.none() | NAMES),
    st.builds(nodes.ByPeriod, NAMES, st.sampled_from(nodes.PERIODS), st.none() | NAMES),
    st.builds(nodes.ByPart, NAMES, st.sampled_from(nodes.PARTS), st.none() | NAMES),
    st.builds(nodes.ByWidth, NAMES, st.integers(min_value=1), st.none() | st.integers() | st.text(), st.none() | NAMES),
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
PAIRS = st.none() | st.tuples(NUMBERS, NUMBERS)
STATISTICS = st.one_of(
    st.builds(nodes.Count, st.sampled_from(["persons", "events"])),
    st.builds(nodes.Sum, NAMES, PAIRS),
    st.builds(nodes.Mean, NAMES, PAIRS),
)
POSITIVE = st.none() | st.integers(1, 2**31 - 1)
QUERIES = st.builds(
    nodes.Query,
    NAMES,
    st.dictionaries(NAMES, STATISTICS, min_size=1, max_size=3).map(lambda found: tuple(found.items())),
    st.none() | PREDICATES,
    st.lists(KEYS, max_size=3).map(tuple),
    st.builds(nodes.Bounds, POSITIVE, POSITIVE),
)


@given(query=QUERIES)
def test_a_query_survives_its_json(query: nodes.Query) -> None:
    """The JSON form of a query, written and read again, is the same query."""
    text = json.dumps(json_writing.to_json(query))
    assert QuerySchema().load(json.loads(text)) == query
