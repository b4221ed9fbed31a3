"""What is hidden of an answer, part by part. `tests/server/journey/test_hidden.py` walks all that shows a release."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queries.release import hiding, postprocessing
from queries.statistics import registry
from tests.server.api.test_post import as_released

COUNT = {"low": 0, "high": None, "step": "1"}
SHARE = {"low": 0, "high": 1, "step": None}
MEN = {"column": "sex", "op": "=", "value": "m"}


def told(value: float, margin: float = 6, **more: Any) -> dict[str, Any]:
    """Return a number with its interval."""
    return {"value": value, "low": value - margin, "high": value + margin, **more}


def body(select: dict[str, Any], *rows: dict[str, Any], about: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a stored release."""
    column = {"kind": "statistic", "mechanism": "discrete_laplace", "scale": 2.0, "margin": 6.0, "confidence": 0.95}
    return {
        "query": {"from": "visits", "select": select},
        "columns": [{"name": name, **column} for name in select],
        "rows": list(rows),
        "notes": [],
        "salt": "secret",
        "statistics": about or {name: {"low": None, "high": None, "step": None} for name in select},
    }


def hidden(stored: dict[str, Any], must: int | None = 11, *post: str) -> list[dict[str, Any]]:
    """Return the rows of a release as they are shown where cells below 11 are hidden."""
    rows: list[dict[str, Any]] = postprocessing.apply(stored, post, must)["rows"]
    return rows


BLANK = {"value": None, "low": None, "high": None, "hidden": True}


@pytest.mark.parametrize(
    ("text", "below"),
    [("hide_below:11", 11), ("hide_below:2", 2), ("hide_below:1000000000", 10**9)]
    + [
        (f"hide_below{end}", None) for end in ("", ":", ":1", ":0", ":011", ":-5", ":1.5", ":1000000001", ":٣٣", ":11 ")
    ],
)
def test_the_word_has_a_threshold(text: str, below: int | None) -> None:
    """The word has a whole number from 2 to a billion, in one spelling."""
    assert hiding.read(text) == below


def test_counts_below_the_threshold_are_hidden_with_their_ends() -> None:
    """10 is below 11, 11 is not, and neither is a negative number more than nothing."""
    stored = body({"n": {"count": "persons"}}, *({"n": told(value)} for value in (10, 11, -3, 200)))
    assert hidden(stored) == [{"n": BLANK}, {"n": told(11)}, {"n": BLANK}, {"n": told(200)}]
    assert postprocessing.apply(stored, (), 11)["post"] == ["hide_below:11"]


def test_on_request_the_released_numbers_stay() -> None:
    """Without a must what is hidden has its released numbers beside it, also after rounding."""
    stored = body({"n": {"count": "persons"}, "x": {"mean": "cost"}}, {"n": told(3), "x": told(2.34, raw={"count": 5})})
    (row,) = hidden(stored, None, "hide_below:11", "round")
    assert row["n"] == {**BLANK, "raw_value": 3, "raw_low": -3, "raw_high": 9}
    assert row["x"]["raw"] == {"count": 5}
    assert [released["n"]["value"] for released in as_released([row])] == [3]
    assert [released["x"]["value"] for released in as_released([row])] == [2.34]


def test_the_larger_threshold_holds_and_no_request_lowers_a_must() -> None:
    """A request may hide more than the protocol wants, and not less; hidden is hidden."""
    stored = body({"n": {"count": "persons"}}, {"n": told(15)}, {"n": told(3)})
    assert hidden(stored, 11, "hide_below:2") == [{"n": told(15)}, {"n": BLANK}]
    assert hidden(stored, 11, "hide_below:20") == [{"n": BLANK}, {"n": BLANK}]


def test_a_small_count_hides_what_is_of_the_same_events() -> None:
    """A count below the threshold hides all that has its filter; one without a filter hides the whole row."""
    select = {
        "n": {"count": "persons"},
        "men": {"count": "events", "where": MEN},
        "total": {"sum": "cost"},
        "of men": {"sum": "cost", "where": MEN},
    }
    full = {"n": told(100), "men": told(40), "total": told(9000), "of men": told(4000)}
    stored = body(select, full, {**full, "men": told(4)}, {**full, "n": told(4)})
    shown = hidden(stored)
    assert shown[0] == full
    assert shown[1] == {**full, "men": BLANK, "of men": BLANK}
    assert shown[2] == dict.fromkeys(select, BLANK)


def test_a_number_of_unknown_size_is_hidden_by_a_must_alone() -> None:
    """Without a count of the same events nobody knows how many a sum is of: a must hides it, a request cannot."""
    select = {"men": {"count": "events", "where": MEN}, "total": {"sum": "cost"}}
    stored = body(select, {"men": told(400), "total": told(9000)})
    shown = postprocessing.apply(stored, (), 11)
    assert shown["rows"] == [{"men": told(400), "total": BLANK}]
    assert any(note.startswith("total: hidden") for note in shown["notes"])
    shown = postprocessing.apply(stored, ("hide_below:11",))
    assert shown["rows"] == [{"men": told(400), "total": told(9000)}]
    assert any(note.startswith("total: not hidden") for note in shown["notes"])


@pytest.mark.parametrize(
    ("statistic", "raw", "is_hidden"),
    [
        ({"mean": "cost"}, {"centred_sum": 3, "count": 400}, False),
        ({"mean": "cost"}, {"centred_sum": 900, "count": 10}, True),
        ({"variance": "cost"}, {"centred_sum_cost": 9, "count": 10}, True),
        ({"correlation": ["cost", "age"]}, {"count": 10}, True),
        ({"proportion": MEN}, {"holding": 400, "others": 400}, False),
        ({"proportion": MEN}, {"holding": 4, "others": 400}, True),
        ({"proportion": MEN}, {"holding": 400, "others": 4}, True),
    ],
)
def test_what_is_computed_from_a_small_count_is_hidden(statistic: Any, raw: Any, is_hidden: bool) -> None:
    """Value, interval and the noisy numbers behind them go, so that nothing is left to compute them from."""
    (row,) = hidden(body({"x": statistic}, {"x": told(0.5, 0.1, raw=raw)}))
    assert row["x"] == (BLANK if is_hidden else told(0.5, 0.1, raw=raw))


def test_bins_are_hidden_one_by_one_and_ranked_values_with_their_keys() -> None:
    """A bin keeps its label. A most frequent value does not: its place in the order came from its number."""
    bins = [{"bin": "a", **told(5)}, {"bin": None, **told(50)}]
    (row,) = hidden(body({"h": {"histogram": "sex"}}, {"h": {"bins": bins}}))
    assert row["h"]["bins"] == [{"bin": "a", **BLANK}, {"bin": None, **told(50)}]
    top = [{"key": "a", **told(50)}, {"key": "b", **told(5)}]
    (row,) = hidden(body({"t": {"top": "code", "k": 2}}, {"t": {"top": top}}))
    assert row["t"]["top"] == [{"key": "a", **told(50)}, {"key": None, **BLANK}]
    (row,) = hidden(body({"t": {"top": "code", "k": 2}}, {"t": {"top": top}}), None, "hide_below:11")
    assert row["t"]["top"][1] == {"key": "b", **BLANK, "raw_value": 5, "raw_low": -1, "raw_high": 11}


def test_what_a_hidden_value_stands_for_is_not_told() -> None:
    """Labels of the most frequent values are those of the values that are shown; labels of bins and keys stay."""
    top = [{"key": "a", **told(50)}, {"key": "b", **told(5)}]
    bins = [{"bin": "a", **told(50)}, {"bin": "b", **told(5)}]
    stored = body({"t": {"top": "code", "k": 2}, "h": {"histogram": "code"}}, {"t": {"top": top}, "h": {"bins": bins}})
    stored["value_labels"] = {"t": {"b": "rare", "a": "common"}, "h": {"a": "common", "b": "rare"}}
    shown = postprocessing.apply(stored, (), 11)["value_labels"]
    assert shown == {"t": {"a": "common"}, "h": {"a": "common", "b": "rare"}}
    assert postprocessing.apply(stored, ("hide_below:11",))["value_labels"] == stored["value_labels"]


def curve(*numbers: tuple[int, int], beyond: int = 400) -> dict[str, Any]:
    """Return a curve of intervals with so many events and so many who were followed no further."""
    points = [
        {"until": 30 * place, **told(0.9, 0.1), "raw": {"events": events, "followed": followed}}
        for place, (events, followed) in enumerate(numbers, start=1)
    ]
    return {"survival": points, "raw": {"beyond": beyond}}


def test_a_curve_ends_before_its_first_small_interval() -> None:
    """Points after a hidden one are made of its numbers too. A curve shows no number that is small, of any kind."""
    select = {"c": {"survival": "wait", "bins": [0, 30, 60, 90]}}
    (row,) = hidden(body(select, {"c": curve((50, 60), (70, 80), (90, 95))}))
    assert row["c"] == curve((50, 60), (70, 80), (90, 95))
    (row,) = hidden(body(select, {"c": curve((50, 60), (7, 80), (90, 95))}))
    assert [point["value"] for point in row["c"]["survival"]] == [0.9, None, None]
    assert "raw" not in json.dumps(row)
    for small in (curve((50, 6), (70, 80)), curve((50, 60), beyond=-2)):
        (row,) = hidden(body(select, {"c": small}))
        assert [point["value"] for point in row["c"]["survival"]].count(None) == 0
        assert "raw" not in json.dumps(row)


PARTS = {"n": {**COUNT, "total": 0}, "h": {**COUNT, "total": 0}}


def parts(n: int, *bins: int) -> dict[str, Any]:
    """Return a row of a count and bins that have its total."""
    return {"n": told(n), "h": {"bins": [{"bin": place, **told(number)} for place, number in enumerate(bins)]}}


def test_a_row_with_a_hidden_number_is_not_made_consistent() -> None:
    """Its other numbers stay as they were released: made consistent, they would give the hidden one away."""
    select = {"n": {"count": "events"}, "h": {"histogram": "sex"}}
    stored = body(select, parts(103, 60, 40), parts(103, 95, 7), about=PARTS)
    shown = postprocessing.apply(stored, ("consistent",), 11)
    whole, part = shown["rows"]
    assert whole["n"]["value"] == pytest.approx(sum(one["value"] for one in whole["h"]["bins"]))
    assert (part["n"], part["h"]["bins"]) == (told(103), [{"bin": 0, **told(95)}, {"bin": 1, **BLANK}])
    assert any("not made consistent in 1 of the rows" in note for note in shown["notes"])


def test_no_number_falls_below_the_threshold_by_being_made_consistent() -> None:
    """A row in which one would is left as it was released, where that number is not small."""
    select = {"n": {"count": "events"}, "h": {"histogram": "sex"}}
    stored = body(select, parts(100, 95, 11), about=PARTS)  # made consistent, the second would be about 8
    (row,) = hidden(stored, 11, "consistent")
    assert row == parts(100, 95, 11)


def test_a_hidden_number_has_no_part_in_what_the_others_become() -> None:
    """With any other number in its place, all that is shown is the same, however the answer is processed."""
    select = {"n": {"count": "events"}, "h": {"histogram": "sex"}, "t": {"top": "sex", "k": 2}}

    def shown(small: int, *post: str) -> dict[str, Any]:
        top = [{"key": "a", **told(95)}, {"key": "b" if small > 0 else "c", **told(small)}]
        row = {**parts(103, 95, small), "t": {"top": top}}
        return postprocessing.apply(
            body(select, row, {**parts(99, 50, 40), "t": {"top": top}}, about=PARTS | {"t": COUNT}), post, 11
        )

    for post in ([], ["round"], ["clamp"], ["consistent"], ["consistent", "round", "clamp"], ["hide_below:5"]):
        assert shown(7, *post) == shown(-40, *post), post


def test_sentences_on_drowning_are_made_of_what_is_shown() -> None:
    """A stored sentence counts hidden numbers too. It gives way to one that does not."""
    said = "n: in 2 of 3 rows the margin is more than half of the value"
    stored = body({"n": {"count": "persons"}}, *({"n": told(value)} for value in (3, 11, 100)))
    stored["notes"] = ["one", said]
    assert postprocessing.warnings(["n"], stored["rows"]) == [said]
    notes = postprocessing.apply(stored, (), 11)["notes"]
    assert notes[:2] == ["one", "n: in 1 of 2 rows the margin is more than half of the value"]
    assert said not in notes


def test_neither_salt_nor_what_describes_the_values_is_shown() -> None:
    """They stay with the stored release."""
    shown = postprocessing.apply(body({"n": {"count": "persons"}}, {"n": told(3)}), ())
    assert not {"salt", "statistics"} & set(shown)


def test_every_statistic_tells_its_size_or_none_does() -> None:
    """Those that show no count need one beside them; of all others the members are those of their results."""
    alone = {one.word for one in registry.STATISTICS if not one.size_members}
    assert alone == {"sum", "quantile", "iqr"}
