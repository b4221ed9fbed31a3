"""What is said to be cut off, beside every number: for every statistic and shape, and held to what the kernel does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from queries.catalog.histograms import ColumnProfile, TableProfile
from queries.catalog.schema import PERSONS as TABLE_OF_PERSONS
from queries.catalog.schema import frozen
from queries.contribution import profile, truncation
from queries.contribution.truncation import Truncation
from queries.language import nodes
from queries.planning import planner
from queries.release import assembly, postprocessing
from tests.queries import registry
from tests.queries.contribution.test_proposal import histogram
from tests.queries.registry import NANO, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from queries.catalog.schema import Dataset
    from queries.plan import Plan

PERSONS, EVENTS = nodes.Count("persons"), nodes.Count("events")
DAY, CODE, SEX = nodes.ByPeriod("day", "day"), nodes.ByValue("code"), nodes.ByValue("sex")
WIDE = 10**6  # more cells and events than anybody has
OF_EVENTS: dict[str, nodes.Statistic] = {
    "count": EVENTS,
    "sum": nodes.Sum("cost"),
    "mean": nodes.Mean("cost"),
    "variance": nodes.Variance("cost"),
    "stddev": nodes.Stddev("cost"),
    "quantile": nodes.Quantile("cost", (0.5,)),
    "iqr": nodes.Iqr("cost"),
    "histogram": nodes.Histogram("cost", (-4, 0, 10, 20)),
    "top": nodes.Top("code", 2),
    "covariance": nodes.Covariance(("cost", "born")),
    "correlation": nodes.Correlation(("cost", "born")),
    "slope": nodes.Slope(("cost", "born")),
    "proportion": nodes.Proportion(nodes.Comparison("urgent", "=", value=True)),
}
OF_PERSONS: dict[str, nodes.Statistic] = {
    "persons": PERSONS,
    "ever": nodes.Proportion(nodes.Comparison("urgent", "=", value=True), "persons"),
}
NARROW: dict[str, nodes.Statistic] = {
    "sum": nodes.Sum("cost", (-4, 10)),
    "mean": nodes.Mean("cost", (0, 20)),
    "variance": nodes.Variance("cost", (0, 10)),
    "stddev": nodes.Stddev("cost", (0, 10)),
    "quantile": nodes.Quantile("cost", (0.5,), (0, 10)),
    "iqr": nodes.Iqr("cost", (0, 10)),
    "covariance": nodes.Covariance(("cost", "born"), ((0, 10), (1990, 1994))),
    "correlation": nodes.Correlation(("cost", "born"), ((0, 10), (1990, 1994))),
    "slope": nodes.Slope(("cost", "born"), ((0, 10), (1990, 1994))),
}
VISITS = nodes.Value("count")


def built(value: nodes.Value, table: str = "visits") -> nodes.PerPerson:
    """Return a table with a row for each person and one value, x."""
    return nodes.PerPerson(table, (("x", value),))


def query(
    source: str | nodes.PerPerson, *keys: nodes.Key, bounds: nodes.Bounds | None = None, **select: nodes.Statistic
) -> nodes.Query:
    """Return a query."""
    return nodes.Query(source, tuple(select.items()), None, keys, bounds or nodes.Bounds())


def planned(asked: nodes.Query, dataset: Dataset = REGISTRY) -> Plan:
    """Return the plan of a query of epsilon 1."""
    return planner.plan(asked, dataset, nodes.Privacy(NANO), 1_000_000)


def said(asked: nodes.Query, dataset: Dataset = REGISTRY) -> dict[str, Any]:
    """Return what the only statistic's column says."""
    made = planned(asked, dataset)
    (column,) = (one for one in assembly.columns(made) if one["kind"] == "statistic")
    return {name: column[name] for name in ("truncation", "expected_loss") if name in column}


UNKNOWN, NONE, BY_ASKER = ({"truncation": word} for word in ("unknown", "none", "asked"))
BOUNDS = nodes.Bounds(2, 3)
TO_DRUG = nodes.Value("days_to", to=nodes.Related("drugs"), date="day")

SHAPES: list[tuple[nodes.Query, Mapping[str, str]]] = [
    # Of persons, by attributes of theirs or in one cell: one cell each, exactly.
    *((query("visits", SEX, n=one), NONE) for one in OF_PERSONS.values()),
    (query("visits", n=PERSONS), NONE),
    (query(TABLE_OF_PERSONS, SEX, n=PERSONS), NONE),
    (query(TABLE_OF_PERSONS, SEX, m=nodes.Mean("born")), NONE),
    (query(TABLE_OF_PERSONS, SEX, m=nodes.Mean("born", (1991, 1994))), BY_ASKER),
    # No person can touch more than the four cells that there are.
    (query("visits", CODE, n=PERSONS), NONE),
    # More cells than the default, or than the asker allows.
    *((query("visits", DAY, n=one), UNKNOWN) for one in OF_PERSONS.values()),
    *((query("visits", DAY, n=one, bounds=BOUNDS), BY_ASKER) for one in OF_PERSONS.values()),
    (query("visits", CODE, n=PERSONS, bounds=nodes.Bounds(2)), BY_ASKER),
    # Events: a default number of each person, or the asker's.
    *((query("visits", n=one), UNKNOWN) for one in OF_EVENTS.values()),
    *((query("visits", n=one, bounds=BOUNDS), BY_ASKER) for one in OF_EVENTS.values()),
    *((query("visits", SEX, n=one, bounds=BOUNDS), BY_ASKER) for one in OF_EVENTS.values()),
    *((query("visits", DAY, n=one, bounds=nodes.Bounds(2)), UNKNOWN) for one in OF_EVENTS.values()),
    # Clamped values.
    *((query("visits", n=one), UNKNOWN) for one in NARROW.values()),
    *((query("visits", n=one, bounds=BOUNDS), BY_ASKER) for one in NARROW.values()),
    # A row for each person: what was chosen for the value that is used, and nothing else.
    (query(built(VISITS), n=PERSONS), NONE),
    (query(built(VISITS), m=nodes.Mean("x")), UNKNOWN),
    (query(built(VISITS), nodes.ByValue("x"), n=PERSONS), UNKNOWN),
    (query(built(VISITS), m=nodes.Proportion(nodes.Comparison("x", ">", 99))), UNKNOWN),
    (query(built(replace(VISITS, bounds=(0, 4))), m=nodes.Mean("x")), BY_ASKER),
    (query(built(nodes.Value("sum", "cost")), m=nodes.Mean("x")), UNKNOWN),
    (query(built(nodes.Value("sum", "cost", bounds=(-100, 900))), m=nodes.Mean("x")), BY_ASKER),
    *((query(built(nodes.Value(word, "cost")), m=nodes.Mean("x")), NONE) for word in ("min", "max", "mean")),
    (query(built(nodes.Value("max", "cost", bounds=(0, 10))), m=nodes.Mean("x")), BY_ASKER),
    (query(built(nodes.Value("max", "cost", bounds=(-4, 20))), m=nodes.Mean("x")), NONE),
    (query(built(nodes.Value("last", "code", date="day")), nodes.ByValue("x"), n=PERSONS), NONE),
    (query(built(nodes.Value("exists", where=nodes.Comparison("code", "=", "a"))), nodes.ByValue("x"), n=EVENTS), NONE),
    (query(built(TO_DRUG), m=nodes.Mean("x")), NONE),
    (query(built(replace(TO_DRUG, bounds=(0, 9))), m=nodes.Mean("x")), BY_ASKER),
    (query(built(TO_DRUG), s=nodes.Survival("x", (0, 10, 30))), NONE),
    (query(built(TO_DRUG), r=nodes.Rate("x", 30, "2020-02-20")), NONE),
]


@pytest.mark.parametrize(("asked", "wanted"), SHAPES, ids=range(len(SHAPES)))
def test_truncation_unknown_without_profile(asked: nodes.Query, wanted: Mapping[str, str]) -> None:
    """Every statistic in every shape says how its bounds were chosen, and no share, for nobody knows it."""
    assert said(asked) == wanted


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of people of whom some have many events."""
    people = registry.random_people(np.random.default_rng(5), 60, 240)
    return registry.write(tmp_path_factory.mktemp("truncation") / "store.duckdb", people)


def test_what_is_said_is_what_the_kernel_does(store: Path) -> None:
    """Where nothing is said to be cut off, wider bounds change no number; where something is, they do.

    The bounds of values are widened too, to all that the column or the person's events can be.
    """
    widest = nodes.Bounds(WIDE, 2 * 10**4)
    pairs = [(planned(asked), planned(widened(replace(asked, bounds=widest)))) for asked, _ in SHAPES]
    found = registry.exact(store, [one for pair in pairs for one in pair])
    for (asked, wanted), bounded, whole in zip(SHAPES, found[::2], found[1::2], strict=True):
        same = all(np.array_equal(a, b) for a, b in zip(bounded, whole, strict=True))
        if wanted == NONE:
            assert same, asked
        elif not isinstance(asked.source, nodes.PerPerson) and not narrowed(asked):
            assert not same, asked


def narrowed(asked: nodes.Query) -> bool:
    """Say whether the bounds of values are narrow: their sums are about another middle, and differ for that reason."""
    return any(getattr(statistic, "bounds", None) for _, statistic in asked.select)


def widened(asked: nodes.Query) -> nodes.Query:
    """Return a query whose statistics take all values of their columns."""
    return replace(
        asked,
        select=tuple(
            (name, replace(statistic, bounds=None) if getattr(statistic, "bounds", None) else statistic)
            for name, statistic in asked.select
        ),
    )


# With a profile


def profiled(events: Mapping[int, int], code: Mapping[int, int], repeats: Mapping[int, int]) -> Dataset:
    """Return the registry with a profile of the visits, nearly without noise."""
    key = profile.key_of(REGISTRY.tables["visits"].columns["code"], REGISTRY.tables["visits"])
    assert key is not None
    column = ColumnProfile(histogram(key.size, code, 0.01), histogram(2**20, repeats, 0.01))
    made = TableProfile(histogram(2**20, events, 0.01), frozen({"code": column}))
    return profile.with_profile(REGISTRY, {"visits": made})


# 1000 persons with 1 event and 100 with 8 to 10: of 1,900 events 900 are theirs.
KNOWN = profiled({1: 1000, 8: 100}, {1: 1000, 3: 100}, {1: 1000, 3: 100})


def test_a_profile_says_how_much_is_lost() -> None:
    """The share is that of the histograms, whoever chose the bounds; how they were chosen stays what it is."""
    five = nodes.Bounds(events_per_cell=5)
    lost = round(100 * 4 / 1900, 4)  # 9 on average, of which 5 count
    assert said(query("visits", n=EVENTS, bounds=five), KNOWN) == {"truncation": "asked", "expected_loss": lost}
    chosen = said(query("visits", n=EVENTS), KNOWN)
    assert chosen["truncation"] == "profile"
    assert chosen["expected_loss"] <= lost
    declared = replace(KNOWN.tables["visits"], events_per_cell=1)
    dataset = replace(KNOWN, tables=frozen({**KNOWN.tables, "visits": declared}))
    assert said(query("visits", n=EVENTS), dataset)["truncation"] == "profile", "a profile comes before the manifest"
    two = said(query("visits", CODE, n=PERSONS, bounds=nodes.Bounds(2)), KNOWN)
    assert two == {"truncation": "asked", "expected_loss": round(100 / 1300, 4)}
    assert said(query("visits", SEX, n=PERSONS), KNOWN) == NONE


def test_cells_and_events_are_lost_together() -> None:
    """What passes both bounds is what passes the one and the other."""
    both = said(query("visits", CODE, n=EVENTS, bounds=nodes.Bounds(2, 1)), KNOWN)
    cells = 100 / 1300
    events = 200 / 1300
    assert both["expected_loss"] == pytest.approx(1 - (1 - cells) * (1 - events), abs=1e-4)


def test_bounds_in_the_manifest_are_no_knowledge() -> None:
    """Without a profile what the custodian chose cuts off nobody knows how much."""
    visits = replace(REGISTRY.tables["visits"], cells_per_person=3, events_per_cell=3)
    dataset = replace(REGISTRY, tables=frozen({**REGISTRY.tables, "visits": visits}))
    assert said(query("visits", n=EVENTS), dataset) == UNKNOWN
    assert said(query("visits", CODE, n=PERSONS), dataset) == UNKNOWN


def test_a_profile_that_shows_nobody_is_none() -> None:
    """Where all bins are likely noise, nothing is known."""
    empty = profiled({}, {}, {})
    assert said(query("visits", n=EVENTS), empty) == UNKNOWN
    assert said(query("visits", CODE, n=PERSONS, bounds=BOUNDS), empty) == BY_ASKER


def test_of_clamped_values_a_profile_knows_nothing() -> None:
    """The share is of the contributions alone, and the words say that it is."""
    asked = query("visits", n=nodes.Mean("cost", (0, 10)), bounds=nodes.Bounds(events_per_cell=5))
    assert said(asked, KNOWN) == {"truncation": "asked", "expected_loss": round(400 / 1900, 4)}
    (words,) = truncation.sentences(planned(asked, KNOWN))
    assert "of values it tells nothing" in words
    assert said(query(TABLE_OF_PERSONS, m=nodes.Mean("born", (1991, 1994))), KNOWN) == BY_ASKER


def test_a_persons_number_of_events_is_in_the_profile() -> None:
    """A count per person that nobody gave bounds is cut where the default is; the profile knows what is beyond."""
    assert said(query(built(VISITS), m=nodes.Mean("x")), KNOWN) == {"truncation": "profile", "expected_loss": 0.0}
    four = replace(VISITS, bounds=(0, 4))
    assert said(query(built(four), m=nodes.Mean("x")), KNOWN) == {
        "truncation": "asked",
        "expected_loss": round(500 / 1900, 4),
    }
    assert said(query(built(nodes.Value("sum", "cost")), m=nodes.Mean("x")), KNOWN) == UNKNOWN


# In words, and where numbers are shown


def test_the_words_put_the_worst_first() -> None:
    """Statistics that share what is cut off are told together; what nobody knows comes first, and says so loudly."""
    made = planned(query("visits", DAY, a=PERSONS, b=EVENTS, c=nodes.Sum("cost"), bounds=nodes.Bounds(3)))
    told = truncation.sentences(made)
    assert list(told.values()) == [Truncation.UNKNOWN, Truncation.ASKED]
    first, second = told
    assert first.startswith("b, c: TRUNCATION UNKNOWN. a person counts in at most 3 cells of the 62 they could touch; ")
    assert "with at most 10 events in each cell" in first
    assert second.startswith("a: bounds that were asked for cut off what is beyond them")
    assert truncation.sentences(planned(query("visits", SEX, n=PERSONS))) == {}


BODY: dict[str, Any] = {
    "columns": [
        {"name": "sex", "kind": "key"},
        {"name": "n", "kind": "statistic", "truncation": "unknown"},
        {"name": "h", "kind": "statistic", "truncation": "unknown"},
        {"name": "p", "kind": "statistic", "truncation": "none"},
    ],
    "notes": [],
    "rows": [
        {
            "sex": "female",
            "n": {"value": -2, "low": -5, "high": 1},
            "h": {"bins": [{"bin": "a", "value": 1, "low": 0, "high": 2}]},
            "p": {"value": 7, "low": 5, "high": 9},
        }
    ],
    postprocessing.ABOUT: {
        "n": {"low": 0, "high": None, "step": "1"},
        "h": {"low": 0, "high": None, "step": "1"},
        "p": {"low": 0, "high": None, "step": "1"},
    },
}


@pytest.mark.parametrize("post", [(), ("clamp",)])
def test_a_number_that_is_read_alone_is_marked(post: tuple[str, ...]) -> None:
    """Each result of which nobody knows what was cut off says so, also in lists and after processing; no other does."""
    before = repr(BODY)
    (row,) = postprocessing.apply(BODY, post)["rows"]
    assert row["n"]["truncation"] == "unknown"
    assert row["n"]["value"] == (0 if post else -2)
    assert [part["truncation"] for part in row["h"]["bins"]] == ["unknown"]
    assert "truncation" not in row["p"]
    assert repr(BODY) == before, "what is stored, and hashed for certificates, is as it was"


def test_release_of_earlier_version_says_nothing_of_truncation() -> None:
    """Its columns say nothing of truncation, and neither do its numbers."""
    columns = [{name: value for name, value in one.items() if name != "truncation"} for one in BODY["columns"]]
    (row,) = postprocessing.apply({**BODY, "columns": columns}, ())["rows"]
    assert row == BODY["rows"][0]
