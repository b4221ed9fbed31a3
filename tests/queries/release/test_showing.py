"""HAVING, ORDER BY, LIMIT and labels over the rows of a released answer."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.nodes import All, ByBins, ByValue, Cohort, Comparison, Count, Histogram, Not
from queries.language.nodes import Any as Either
from queries.language.showing import Order, Show
from queries.release import answer_columns, assembly, showing
from queries.spelling import json_writing, sql
from server.api.requests.showing import parse_show
from tests.queries.clinic import bounded, noiseless, planned
from tests.queries.spelling.test_sql import EVENTS, PREDICATES

AGES = ByBins("visits", (0, 3, 6, 10), "class")


def told(value: float | None, half: float = 1.0) -> dict[str, Any]:
    """Return a result; one without a value is hidden."""
    if value is None:
        return {"value": None, "low": None, "high": None, "hidden": True}
    return {"value": value, "low": value - half, "high": value + half}


def answer(rows: list[dict[str, Any]], *, keys: tuple[str, ...] = ("sex",)) -> dict[str, Any]:
    """Return an answer as post-processing leaves it."""
    columns = [{"name": name, "kind": "key" if name in keys else "statistic"} for name in rows[0]]
    text = f"SELECT {', '.join(keys)}, COUNT(*) AS n FROM visits GROUP BY {', '.join(keys)}"
    return {"columns": columns, "query": {"group_by": list(keys)}, "sql": text, "notes": ["one"], "rows": rows}


def rows(*found: tuple[Any, float | None]) -> list[dict[str, Any]]:
    """Return rows of one key and one number."""
    return [{"sex": label, "n": told(value)} for label, value in found]


ROWS = rows(("b", 5), ("a", None), ("c", 9), (None, 5), ("d", -2))


def arranged(show: Show, found: list[dict[str, Any]] = ROWS) -> list[Any]:
    """Return the labels of the rows that are shown. What was stored must stay as it is."""
    shown = answer(found)
    before = copy.deepcopy(shown)
    bound = showing.bind(show, answer_columns.released(shown))
    labels = [row["sex"] for row in showing.arrange(shown, bound)["rows"]]
    assert shown == before
    return labels


@pytest.mark.parametrize(
    ("show", "labels"),
    [
        (Show(order_by=(Order("n"),)), ["d", "b", None, "c", "a"]),
        (Show(order_by=(Order("n", descending=True),)), ["c", "b", None, "d", "a"]),
        (Show(order_by=(Order("n", descending=True), Order("sex", descending=True))), ["c", "b", None, "d", "a"]),
        (Show(order_by=(Order("sex", descending=True),)), ["d", "c", "a", "b", None]),
        (Show(order_by=(Order("N_Low"),), limit=2), ["d", "b"]),
        (Show(limit=2), ["b", "a"]),
        (Show(limit=99), ["b", "a", "c", None, "d"]),
        (Show(Comparison("n", ">", 0)), ["b", "c", None]),
        (Show(Not(Comparison("n", ">", 0))), ["d"]),
        (Show(Comparison("n", "is_null")), ["a"]),
        (Show(Comparison("n_high", ">=", 10)), ["c"]),
        (Show(Comparison("n", "between", (5, 9))), ["b", "c", None]),
        (Show(Comparison("n", "in", (5, 7))), ["b", None]),
        (Show(Comparison("n", ">", nodes.OtherColumn("N_low"))), ["b", "c", None, "d"]),
        (Show(Comparison("n_high", "<", nodes.OtherColumn("n"))), []),
        (Show(Comparison("sex", "!=", "b")), ["a", "c", "d"]),
        (Show(Either((Comparison("n", "<", 0), Comparison("sex", "=", "a")))), ["a", "d"]),
        (Show(All((Comparison("n", "<", 9), Not(Comparison("sex", "=", "a"))))), ["b", "d"]),
    ],
)
def test_rows_are_chosen_and_ordered(show: Show, labels: list[Any]) -> None:
    """As SQL does it: stable, nulls last both ways, and null in a condition is neither true nor false.

    A key is ordered as the answer lists its labels.
    """
    assert arranged(show) == labels


def test_hidden_number_has_no_effect_on_what_is_shown() -> None:
    """Whatever number is hidden, rows, order and notes are the same: only its being hidden is seen."""
    shows = [
        Show(having, order, limit)
        for having, order, limit in itertools.product(
            (None, Comparison("n", ">", 3), Not(Comparison("n", ">", 3)), Comparison("n_low", "<", 4)),
            ((), (Order("n"),), (Order("n_high", descending=True), Order("sex"))),
            (None, 2),
        )
    ]
    for show in shows:
        found = []
        for secret in (-7.0, 5.0, 300.0):
            hidden = {**told(secret), **told(None)}  # what hiding makes of it
            shown = answer([*rows(("b", 5), ("c", 9)), {"sex": "a", "n": hidden}, *rows(("d", -2))])
            found.append(showing.arrange(shown, showing.bind(show, answer_columns.released(shown))))
        assert found[0] == found[1] == found[2]


VALUES = st.none() | st.integers(-3, 3)
SMALL = st.recursive(
    st.one_of(
        st.builds(
            Comparison,
            st.sampled_from(["n", "m"]),
            st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
            st.integers(-3, 3) | st.builds(nodes.OtherColumn, st.sampled_from(["n", "m"])),
        ),
        st.builds(
            Comparison,
            st.sampled_from(["n", "m"]),
            st.just("in"),
            st.lists(st.integers(-3, 3), min_size=1, max_size=3).map(tuple),
        ),
        st.builds(
            Comparison,
            st.sampled_from(["n", "m"]),
            st.just("between"),
            st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
        ),
        st.builds(Comparison, st.sampled_from(["n", "m"]), st.just("is_null")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(tuple).map(All),
        st.lists(inner, min_size=1, max_size=3).map(tuple).map(Either),
        inner.map(Not),
    ),
    max_leaves=5,
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8),
    st.none() | SMALL,
    st.lists(
        st.builds(Order, st.sampled_from(["n", "m", "place"]), st.booleans()),
        max_size=3,
        unique_by=lambda one: one.column,
    ),
    st.none() | st.integers(1, 5),
)
def test_rows_are_those_that_duckdb_chooses(
    found: list[tuple[Any, Any]], having: nodes.Predicate | None, order: list[Order], limit: int | None
) -> None:
    """The tail that is shown, run by DuckDB over the released numbers, gives the same rows in the same order."""
    shown = answer(
        [{"place": place, "n": told(n), "m": told(m)} for place, (n, m) in enumerate(found)], keys=("place",)
    )
    ordered = (*order, *(() if any(one.column == "place" for one in order) else (Order("place"),)))
    show = showing.bind(Show(having, ordered, limit), answer_columns.released(shown))
    ours = [row["place"] for row in showing.arrange(shown, show)["rows"]]
    tail = sql.tail(show).replace("HAVING", "WHERE")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE answer (place INTEGER, n INTEGER, m INTEGER)")
        connection.executemany(
            "INSERT INTO answer VALUES (?, ?, ?)", [(place, *one) for place, one in enumerate(found)]
        )
        theirs = [place for (place,) in connection.execute(f"SELECT place FROM answer {tail}").fetchall()]
    assert ours == theirs


# What cannot be


PLAN = planned(ByValue("sex"), ByValue("urgent"), AGES, n=Count("events"), h=Histogram("unit"))


@pytest.mark.parametrize(
    ("show", "place", "says"),
    [
        (Show(order_by=(Order("m"),)), "/order_by/0", "no column m; it has sex, urgent, class, n, h"),
        (Show(order_by=(Order("sex"), Order("h"))), "/order_by/1", "several numbers"),
        (Show(order_by=(Order("h_low"),)), "/order_by/0", "no column"),
        (Show(Not(All((Comparison("x", "=", 1),)))), "/having/not/all/0/column", "no column x"),
        (Show(Comparison("n", ">", "3")), "/having/value", "compared with a number"),
        (Show(Comparison("n", "=", True)), "/having/value", "compared with a number"),
        (Show(Comparison("n_low", "in", (1, "x"))), "/having/value", "compared with a number"),
        (Show(Comparison("n", "=", nodes.OtherColumn("sex"))), "/having/value", "compared with a number"),
        (Show(Comparison("n", "=", nodes.OtherColumn("x"))), "/having/value/column", "no column x"),
        (Show(Comparison("sex", "=", 3)), "/having/value", "compared with a text"),
        (Show(Comparison("sex", "<", "m")), "/having/op", "no order"),
        (Show(Comparison("urgent", "=", "x")), "/having/value", "compared with true or false"),
        (Show(Comparison("n", "between", (1, 2, 3))), "/having/value", "two"),
        (Show(Comparison("sex", "under", "f")), "/having/op", "chosen with one of"),
        (Show(Cohort("visits")), "/having", "no persons"),
        (Show(Comparison("n", "in", tuple(range(300)))), "", "200 values in their lists"),
        (Show(All((Comparison("n", ">", 1),) * 32)), "", "at most 32 conditions"),
        (Show(order_by=(Order("n"),) * 9), "", "8 columns of ORDER BY"),
        (Show(labels=(("sex", ("f", "m")),)), "/labels/sex", "only a key that is cut into bins"),
        (Show(labels=(("class", ("a", "b")),)), "/labels/class", "3 bins and 2 labels"),
        (Show(labels=(("class", ("a", "b", "a")),)), "/labels/class", "the same label"),
        (Show(labels=(("class", ("a", "b", "")),)), "/labels/class", "printable"),
        (Show(labels=(("class", ("a", "b", "c\n")),)), "/labels/class", "printable"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_place(show: Show, place: str, says: str) -> None:
    """Unknown columns, lists, other types and labels that do not fit are refused before anything is charged."""
    with pytest.raises(InvalidQuery) as refused:
        showing.bind(show, answer_columns.planned(PLAN))
    assert refused.value.pointer == f"/show{place}"
    assert says in refused.value.message


def test_columns_are_the_same_before_and_after_the_answer() -> None:
    """What is known from the plan is what the stored answer has."""
    found = assembly.rows(PLAN, noiseless(PLAN, bounded(PLAN, EVENTS)))
    body = {"columns": assembly.columns(PLAN), "query": json_writing.to_json(PLAN.query), "rows": found}
    assert answer_columns.released(body) == answer_columns.planned(PLAN)


def test_answer_without_rows_takes_whatever_was_planned() -> None:
    """An answer in which no value was named has no labels by which to tell their kind: it refuses nothing then."""
    empty = {"columns": [{"name": "age", "kind": "key"}, {"name": "n", "kind": "statistic"}], "query": {}, "rows": []}
    show = Show(Comparison("age", ">", 3), (Order("age"), Order("n")))
    assert showing.bind(show, answer_columns.released(empty)) == show
    assert (
        showing.arrange({**empty, "sql": "SELECT age, COUNT(*) AS n FROM visits GROUP BY age", "notes": []}, show)[
            "rows"
        ]
        == []
    )


def test_own_labels_of_bins() -> None:
    """Bins have the names that were asked for, in their own order; conditions know them by these."""
    shown = answer(
        [{"class": label, "n": told(n)} for label, n in (("[0, 3)", 4), ("[3, 6)", 8), (None, 1))], keys=("class",)
    )
    shown["query"] = {"group_by": [{"column": "visits", "bins": [0, 3, 6], "as": "class"}]}
    shown["sql"] = sql.to_sql(
        nodes.Query("visits", (("n", Count("events")),), group_by=(ByBins("visits", (0, 3, 6), "class"),))
    )
    show = Show(
        Comparison("class", "in", ("rare", "often")),
        (Order("CLASS", descending=True),),
        None,
        (("Class", ("rare", "often")),),
    )
    found = showing.arrange(shown, showing.bind(show, answer_columns.released(shown)))
    assert [(row["class"], row["n"]["value"]) for row in found["rows"]] == [("often", 8), ("rare", 4)]
    assert found["show"]["labels"] == {"class": ["rare", "often"]}
    assert found["show"]["left_out"] == 1
    assert sql.read(found["sql"])[1] == showing.bind(show, answer_columns.released(shown))


def test_answer_says_what_was_left_out_and_that_noise_chose() -> None:
    """Notes count what is not shown, and warn where rows were chosen by noisy numbers, and only there."""

    def notes(show: Show) -> tuple[bool, bool]:
        shown = answer(ROWS)
        found = showing.arrange(shown, showing.bind(show, answer_columns.released(shown)))["notes"]
        assert found[0] == "one"
        return any(note.startswith("shown are") for note in found), showing.CHOSEN in found

    assert notes(Show(Comparison("n", ">", 0))) == (True, True)
    assert notes(Show(order_by=(Order("n"),), limit=2)) == (True, True)
    assert notes(Show(order_by=(Order("n"),))) == (False, False)
    assert notes(Show(order_by=(Order("sex"),), limit=2)) == (True, False)
    assert notes(Show(Comparison("sex", "=", "a"))) == (True, False)
    assert notes(Show(Comparison("n", ">", -99), limit=9)) == (True, True)


# Spelling

NAMES = st.sampled_from(["s0", "s1", "sex", "order", "s0_low"])
SHOWS = st.builds(
    Show,
    st.none() | PREDICATES,
    st.lists(st.builds(Order, NAMES, st.booleans()), max_size=3).map(tuple),
    st.none() | st.integers(1, 2**31 - 1),
)


@given(SHOWS)
def test_every_show_survives_sql_and_json(show: Show) -> None:
    """Whatever is written as the end of a statement, or as JSON, is read as the same."""
    assert sql.read_show(sql.tail(show)) == show
    written = json_writing.show_to_json(show)
    assert (parse_show(written) if written else Show()) == show


LABELS = st.lists(st.text(min_size=1, max_size=5), min_size=3, max_size=3, unique=True).map(tuple)


@given(SHOWS, st.none() | LABELS)
def test_statement_survives_with_how_it_is_shown(show: Show, labels: tuple[str, ...] | None) -> None:
    """A query with HAVING, ORDER BY, LIMIT and labels of its own is read as that query, shown in that way."""
    query = nodes.Query("visits", (("s0", Count("events")), ("s1", Count("persons"))), group_by=(ByValue("sex"), AGES))
    whole = Show(show.having, show.order_by, show.limit, () if labels is None else (("class", labels),))
    assert sql.read(sql.to_sql(query, whole)) == (query, whole)
    with_show = whole != Show()
    assert sql.parse(sql.to_sql(query)) == query
    if with_show:
        with pytest.raises(InvalidQuery, match="belong to an answer"):
            sql.parse(sql.to_sql(query, whole))
        assert sql.shown(sql.to_sql(query), whole) == sql.to_sql(query, whole)


def test_having_and_order_name_a_statistic_of_a_case_as_it_is_selected() -> None:
    """A CASE of one branch is compared with what is selected by its meaning, and in whatever spelling."""
    selected = "SELECT sex, SUM(CASE WHEN urgent THEN 1 ELSE 0 END) AS n FROM visits GROUP BY sex"
    _, show = sql.read(f"{selected} HAVING COUNT_IF(urgent) > 9 ORDER BY COUNT(*) FILTER (WHERE urgent) DESC")
    assert show == Show(Comparison("n", ">", 9), (Order("n", descending=True),))
    with pytest.raises(InvalidQuery, match="select it too"):
        sql.read(f"{selected} HAVING COUNT_IF(NOT urgent) > 9")
