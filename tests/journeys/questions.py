"""The questions of `test_unchanged.py`: each statistic, key, filter, built value and way to pay at least once."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def asking(select: Json, source: Any = "visits", privacy: Json | None = None, **query: Any) -> Json:
    """Return the body of a query over visits, of epsilon 2 if nothing else is said."""
    return {"query": {"from": source, "select": select, **query}, "privacy": privacy or {"epsilon": 2}}


def having(column: str, op: str, value: Any = None) -> Json:
    """Return a comparison."""
    return {"column": column, "op": op} if value is None else {"column": column, "op": op, "value": value}


def among(persons: str, **terms: Any) -> Json:
    """Return the condition that a person has events of a table."""
    return {"column": "person", "op": "in", "value": {"persons": persons, **terms}}


PERSONS, EVENTS = {"n": {"count": "persons"}}, {"n": {"count": "events"}}
URGENT, YOUNG = having("urgent", "=", True), having("age", "<", 40)
FLU, M1 = having("code", "=", "J10"), having("drug", "=", "M1")
WIDE = {"cells_per_person": 4, "events_per_cell": 6}
RHO, KEYS = {"rho": 0.5}, {"epsilon": 12, "delta": 1e-8}


def per_person(table: str = "visits", where: Json | None = None, **values: Json) -> Json:
    """Return a table with a row for each person."""
    return {"per_person": table, "values": values, **({} if where is None else {"where": where})}


STATISTICS = {
    "count persons": asking(PERSONS),
    "count persons where": asking({"n": {"count": "persons", "where": URGENT}}),
    "count events": asking(EVENTS),
    "count events where": asking({"n": {"count": "events", "where": FLU}}),
    "sum": asking({"s": {"sum": "cost"}}),
    "sum bounded": asking({"s": {"sum": "cost", "bounds": [-10, 100.25], "where": YOUNG}}),
    "sum of integers": asking({"s": {"sum": "age"}}),
    "mean": asking({"m": {"mean": "cost"}}),
    "mean bounded": asking({"m": {"mean": "cost", "bounds": [0, 250.5], "where": URGENT}}),
    "variance": asking({"v": {"variance": "cost"}}),
    "variance bounded": asking({"v": {"variance": "age", "bounds": [18, 65], "where": FLU}}),
    "stddev": asking({"d": {"stddev": "age"}}),
    "covariance": asking({"c": {"covariance": ["age", "cost"]}}),
    "correlation": asking(
        {"c": {"correlation": ["cost", "age"], "bounds": [[0, 300], [10, 90]], "where": having("unit", "!=", "A")}}
    ),
    "correlation with the person": asking({"c": {"correlation": ["age", "birth_year"]}}),
    "median": asking({"q": {"quantile": "cost", "at": 0.5}}),
    "one quantile in a list": asking({"q": {"quantile": "cost", "at": [0.5]}}),
    "quartiles": asking({"q": {"quantile": "age", "at": [0.25, 0.5, 0.75], "bounds": [5, 95], "where": URGENT}}),
    "wide median": asking({"q": {"quantile": "cost", "at": 0.9}}, group_by=["sex"], privacy=RHO),
    "histogram bins": asking({"h": {"histogram": "age", "bins": [0, 18, 40, 65]}}),
    "histogram of dates": asking({"h": {"histogram": "day", "bins": ["2020-02-01", "2020-07-01", "2021-01-01"]}}),
    "histogram values": asking({"h": {"histogram": "region", "where": FLU}}),
    "histogram of truths": asking({"h": {"histogram": "urgent"}}),
    "top": asking({"t": {"top": "unit", "k": 2}}),
    "top where": asking({"t": {"top": "region", "k": 3, "where": YOUNG}}),
    "proportion": asking({"p": {"proportion": URGENT}}),
    "proportion of persons": asking({"p": {"proportion": {"any": [URGENT, FLU]}, "of": "persons"}}),
    "many at once": asking(
        {
            "n": {"count": "persons"},
            "m": {"mean": "cost"},
            "q": {"quantile": "age", "at": [0.1, 0.9]},
            "h": {"histogram": "unit"},
            "p": {"proportion": FLU},
            "c": {"correlation": ["age", "cost"]},
        },
        group_by=["sex"],
        bounds={"events_per_cell": 5},
    ),
}

KEYS_OF = {
    "key value": asking(PERSONS, group_by=["region"]),
    "key of the person": asking(EVENTS, group_by=["sex"]),
    "key boolean": asking(PERSONS, group_by=["urgent"]),
    "key integers": asking(PERSONS, group_by=["age"], bounds={"cells_per_person": 1}),
    "key bins": asking(PERSONS, group_by=[{"column": "age", "bins": [0, 18, 40, 65], "as": "years"}]),
    "key bins of dates": asking(EVENTS, group_by=[{"column": "day", "bins": ["2020-02-01", "2021-01-01"]}]),
    **{
        f"key period {period}": asking(PERSONS, group_by=[{"column": "day", "period": period}], bounds=WIDE)
        for period in ("year", "quarter", "month", "week")
    },
    "key period day": asking(
        PERSONS, "drugs", group_by=[{"column": "day", "period": "day"}], where=having("drug", "=", "M2")
    ),
    **{
        f"key part {part}": asking(EVENTS, group_by=[{"column": "day", "part": part}], bounds=WIDE)
        for part in ("year", "quarter", "month", "week", "weekday", "day")
    },
    "key width": asking(PERSONS, group_by=[{"column": "age", "width": 25}]),
    "key width from": asking({"m": {"mean": "age"}}, group_by=[{"column": "cost", "width": 250.5, "from": 0.25}]),
    "key width of dates": asking(PERSONS, group_by=[{"column": "day", "width": 60, "from": "2020-01-06"}]),
    "keys": asking({"m": {"mean": "cost"}}, group_by=["sex", "unit", {"column": "day", "period": "year"}], bounds=WIDE),
    "undeclared key": asking(PERSONS, privacy=KEYS, group_by=["code"], bounds={"cells_per_person": 2}),
    "undeclared key and others": asking(
        {"n": {"count": "persons"}, "m": {"mean": "cost", "bounds": [0, 300]}},
        privacy=KEYS,
        group_by=["sex", "code"],
        bounds=WIDE,
    ),
    "undeclared key of the person": asking(EVENTS, privacy=KEYS, group_by=["origin"]),
    "undeclared key by rho": asking(
        PERSONS, privacy={"rho": 20, "delta": 1e-9}, group_by=[{"column": "code", "as": "named"}], bounds=WIDE
    ),
    "undeclared key, nothing passes": asking(PERSONS, privacy={"epsilon": 0.5, "delta": 1e-10}, group_by=["code"]),
}

CONDITIONS = {
    "=": having("unit", "=", "B"),
    "!=": having("region", "!=", "north"),
    "<": having("cost", "<", 10.25),
    "<=": having("day", "<=", "2020-12-31"),
    ">": having("birth_year", ">", 1960),
    ">=": having("cost", ">=", 0),
    "in": having("region", "in", ["south", "north"]),
    "in numbers": having("age", "in", [3, 10, 17]),
    "between": having("day", "between", ["2020-03-01", "2020-09-30"]),
    "is null": having("cost", "is_null"),
    "not": {"not": having("cost", ">", 100)},
    "any": {"any": [URGENT, having("urgent", "is_null"), having("unit", "=", "C")]},
    "all": {"all": [YOUNG, {"not": {"any": [FLU, having("region", "is_null")]}}]},
    "undeclared text": FLU,
    "undeclared texts": having("code", "in", ["J10", "I21", "nobody has this"]),
    "absent text": having("code", "!=", "nobody has this"),
    "undeclared beginning": having("code", "begins", "J1"),
    "undeclared beginnings": {"not": {"any": [having("code", "begins", "J1"), having("code", "under", "rare")]}},
    "columns": having("age", "<", {"column": "cost"}),
    "undeclared null": {"not": having("code", "is_null")},
    "undeclared any": {"any": [FLU, having("code", "=", "I21"), {"not": having("code", "!=", "rare 5")}]},
    "undeclared all": {"all": [having("code", "!=", "J10"), having("code", "in", ["J10", "I21"]), URGENT]},
    "undeclared not": {"not": {"all": [having("code", "!=", "J10"), having("code", "!=", "I21")]}},
    "undeclared or null": {"any": [having("code", "is_null"), having("code", "!=", "J10")]},
    "everything": {"any": [having("code", "is_null"), {"not": having("code", "is_null")}]},
    "nothing": {"all": [having("unit", "=", "A"), having("unit", "=", "B")]},
    "cohort": among("drugs"),
    "cohort where": among("drugs", where=M1, at_least=2),
    "cohort after": among("drugs", where=M1, after={"of": "visits", "where": FLU, "within_days": 90}),
    "cohort without": among("drugs", where=M1, without={"of": "drugs", "where": M1, "within_days": 200}),
    "cohort after and without": {
        "not": among(
            "visits",
            where=URGENT,
            at_least=1,
            after={"of": "drugs"},
            without={"of": "visits", "where": having("code", "=", "I21")},
        )
    },
}
FILTERS = {f"where {name}": asking(EVENTS, where=condition) for name, condition in CONDITIONS.items()} | {
    "persons": asking(PERSONS, "persons", group_by=["sex"]),
    "persons of a cohort": asking({"n": {"count": "persons"}}, "persons", where=among("visits", at_least=3)),
    "a share treated": asking(
        {"p": {"proportion": among("drugs", where=M1), "of": "persons"}}, "persons", group_by=["sex"]
    ),
    "a cohort of one statistic": asking({"m": {"mean": "cost", "where": among("drugs")}, "n": {"count": "events"}}),
}

TO_M1 = {"of": "drugs", "where": M1}
AS_K = {"column": "n", "as": "k"}
BUILT = {
    "built count": asking({"h": {"histogram": "n", "bins": [0, 1, 2, 5, 40]}}, per_person(n={"count": "events"})),
    "built count bounded": asking(
        {"m": {"mean": "n"}}, per_person(n={"count": "events", "where": URGENT, "bounds": [0, 12]}), group_by=["sex"]
    ),
    "built sum": asking({"m": {"mean": "s"}}, per_person(s={"sum": "cost", "bounds": [-50, 2000]})),
    "built mean": asking({"q": {"quantile": "a", "at": 0.5}}, per_person(a={"mean": "cost"})),
    "built min and max": asking(
        {"c": {"covariance": ["low", "high"]}}, per_person(low={"min": "age"}, high={"max": "cost"})
    ),
    "built first": asking(PERSONS, per_person(f={"first": "unit"}), group_by=["f"]),
    "built last": asking({"t": {"top": "l", "k": 2}}, per_person(l={"last": "region", "where": URGENT, "date": "day"})),
    "built exists": asking(
        {"p": {"proportion": having("e", "=", True)}}, per_person(where=YOUNG, e={"exists": having("unit", "=", "A")})
    ),
    "built days": asking(
        {"q": {"quantile": "wait", "at": [0.25, 0.5]}, "p": {"proportion": {"not": having("wait", "is_null")}}},
        per_person(where=FLU, wait={"days_to": {**TO_M1, "within_days": 365}}),
    ),
    "built and filtered": asking(
        PERSONS,
        per_person("drugs", n={"count": "events"}, d={"sum": "dose"}),
        where=having("d", ">=", 2),
        group_by=[AS_K],
    ),
    "survival": asking(
        {"s": {"survival": "wait", "bins": [0, 30, 90, 365]}}, per_person(where=FLU, wait={"days_to": TO_M1})
    ),
    "survival to a day of one's own": asking(
        {"s": {"survival": "wait", "bins": [0, 60, 180], "ends": "2021-03-31", "censored": "seen"}},
        per_person(where=FLU, wait={"days_to": TO_M1}, seen={"max": "day"}),
    ),
    "rate": asking(
        {"r": {"rate": "wait", "days": 200, "ends": "2021-03-31", "censored": "seen"}},
        per_person(where=FLU, wait={"days_to": TO_M1}, seen={"max": "day"}),
        group_by=["sex"],
    ),
    "slope": asking({"s": {"slope": ["cost", "age"], "bounds": [[0, 300], [10, 90]]}, "t": {"slope": ["cost", "day"]}}),
    "values compared": asking(
        PERSONS,
        per_person(first={"min": "day", "where": FLU}, last={"max": "day"}),
        where={"column": "first", "op": "<", "value": {"column": "last"}},
    ),
    "survival until": asking(
        {"s": {"survival": "wait", "bins": [0, 60, 180], "ends": "2021-03-31"}},
        per_person(wait={"days_to": TO_M1}),
        group_by=["sex"],
    ),
}

THREE = {"n": {"count": "persons"}, "m": {"mean": "cost", "bounds": [0, 300]}, "q": {"quantile": "age", "at": 0.5}}
PRICES = {
    "small epsilon": asking(EVENTS, privacy={"epsilon": 0.001}),
    "epsilon rounded": asking(EVENTS, privacy={"epsilon": 0.29999999999999993}),
    "rho": asking(EVENTS, privacy=RHO),
    "rho of many cells": asking({"m": {"mean": "cost"}}, privacy=RHO, group_by=["unit", "region"], bounds=WIDE),
    "rho better with laplace": asking(PERSONS, privacy=RHO, group_by=["sex"]),
    "margins": asking(
        THREE,
        privacy={"margin": {"n": 4, "m": {"margin": 40, "at": 200}, "q": {"events": 30}}, "confidence": 0.9},
        bounds=WIDE,
    ),
    "margins gaussian": asking(
        {"s": {"sum": "cost"}, "h": {"histogram": "unit"}},
        privacy={"margin": {"h": 25}, "noise": "gaussian"},
        group_by=["region"],
    ),
    "margins for the least": asking(PERSONS, privacy={"margin": {"n": 100_000}}),
    "margins and delta": asking(PERSONS, privacy={"margin": {"n": 1}, "delta": 1e-8}, group_by=["code"]),
    "bounds asked": asking(
        {"m": {"mean": "cost"}}, group_by=["unit"], bounds={"cells_per_person": 2, "events_per_cell": 3}
    ),
    "bounds by the manifest": asking({"m": {"mean": "dose"}}, "drugs", group_by=["drug"]),
}

# Whose parts add up to one total, so that tidying has something to share out.
ADDS_UP = asking(
    {
        "rows": {"count": "events"},
        "units": {"histogram": "unit"},
        "young": {"proportion": YOUNG},
        "persons": {"count": "persons"},
        "top": {"top": "unit", "k": 3},
        "s": {"sum": "age"},
        "q": {"quantile": "cost", "at": [0.2, 0.8]},
    },
    group_by=["sex"],
    privacy={"epsilon": 20},
)
PRICES["adds up"] = ADDS_UP

EVERY: dict[str, Json] = {**STATISTICS, **KEYS_OF, **FILTERS, **BUILT, **PRICES}
# Asked once before a profile is bought, when bounds are defaults, and again after, when they are proposed.
BEFORE_PROFILE = ("count events", "key value", "keys", "undeclared key", "bounds by the manifest", "built count")

# What is refused before any charge.
REFUSED: dict[str, Json] = {
    "no such column": asking({"m": {"mean": "nothing"}}),
    "no such table": asking(PERSONS, "nothing"),
    "not a number": asking({"m": {"mean": "unit"}}),
    "undeclared value": asking(PERSONS, where=having("unit", "=", "Z")),
    "bounds outside": asking({"m": {"mean": "cost", "bounds": [0, 10_000]}}),
    "bounds off the step": asking({"m": {"mean": "cost", "bounds": [0, 10.1]}}),
    "too little": asking(PERSONS, privacy={"epsilon": 0.0005}),
    "no delta": asking(PERSONS, group_by=["code"]),
    "delta for nothing": asking(PERSONS, privacy={"epsilon": 1, "delta": 1e-9}),
    "two undeclared keys": asking(PERSONS, privacy=KEYS, group_by=["code", "origin"]),
    "top of undeclared": asking({"t": {"top": "code", "k": 2}}),
    "too many cells": asking(PERSONS, group_by=["age", {"column": "day", "period": "day"}, "birth_year"]),
    "a margin that cannot be": asking({"m": {"mean": "cost"}}, privacy={"margin": {"m": {"margin": 1e-6, "at": 1}}}),
    "a margin of nothing": asking(PERSONS, privacy={"margin": {"x": 1}}),
    "edges out of order": asking({"h": {"histogram": "age", "bins": [5, 5]}}),
    "unknown word": asking({"m": {"median": "age"}}),
    "sql of a star": {"sql": "SELECT * FROM visits", "privacy": {"epsilon": 1}},
    "sql limit": {"sql": "SELECT COUNT(*) FROM visits LIMIT 0", "privacy": {"epsilon": 1}},
    "would drown": {**asking(PERSONS, group_by=["age"], privacy={"epsilon": 0.01}), "require": {"drowned": 0.01}},
}

# Spellings of one question: each after the first is a replay.
SPELLINGS: list[Json] = [
    asking(EVENTS, where={"all": [URGENT, having("age", "between", [20, 40])]}),
    asking(EVENTS, where={"all": [having("age", ">=", 20), having("age", "<=", 40), URGENT]}),
    asking(EVENTS, where={"all": [having("age", "between", [20, 40]), {"not": {"not": URGENT}}]}),
    {"sql": "SELECT COUNT(*) AS n FROM visits WHERE urgent AND age BETWEEN 20 AND 40", "privacy": {"epsilon": 2.0}},
    {"sql": "select count(*) n from visits where age >= 20 and urgent and age <= 40", "privacy": {"epsilon": 2}},
]

# Questions that only SQL spells in these words.
IN_SQL: dict[str, Json] = {
    "sql statistics": {
        "sql": "SELECT sex, COUNT(*) FILTER (WHERE urgent) / COUNT(*) AS seen, MEDIAN(age), STDDEV(age) FILTER (WHERE NOT "
        "urgent) AS spread, CORR(age, cost) AS alike, HISTOGRAM(age, [0, 18, 40, 65]) AS ages, APPROX_TOP_K(region, 2) AS "
        "often FROM visits GROUP BY sex",
        "privacy": {"epsilon": 3},
    },
    "sql keys": {
        "sql": "SELECT CASE WHEN age >= 0 AND age < 18 THEN '[0, 18)' WHEN age >= 18 AND age < 65 THEN '[18, 65)' END AS "
        "age, DATE_TRUNC('quarter', day) AS q, COUNT(*) AS rows FROM visits WHERE region IN ('east') OR NOT unit = 'A' "
        "GROUP BY 1, q",
        "bounds": {"events_per_cell": 2},
        "privacy": {"rho": 0.1},
    },
    "sql width": {
        "sql": "SELECT FLOOR((age - 5) / 20) * 20 + 5 AS a, SUM(CASE WHEN cost < 0 THEN 0 WHEN cost > 300 THEN 300 ELSE "
        "cost END) AS s FROM visits GROUP BY a",
        "privacy": {"epsilon": 1},
    },
    "sql per person": {
        "sql": "SELECT sex, AVG(v) AS v FROM (SELECT person, sex, COUNT(*) AS v FROM visits WHERE day >= DATE '2020-06-01' "
        "GROUP BY person, sex) GROUP BY sex",
        "privacy": {"epsilon": 1},
    },
    "sql cohort": {
        "sql": "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE urgent AND person IN (SELECT person FROM drugs WHERE "
        "drug = 'M1' AND EXISTS (SELECT 1 FROM visits AS earlier WHERE earlier.person = drugs.person AND earlier.day "
        "BETWEEN drugs.day - 90 AND drugs.day AND earlier.code = 'J10'))",
        "privacy": {"epsilon": 1},
    },
}

# A strict study's only question.
LEAST_AGE = {"parameter": "age", "type": "number", "range": [18, 65]}
SOME_UNITS = {"parameter": "units", "type": "category", "values": ["A", "B"]}


def of_template(age: Any, units: Any) -> Json:
    """Return the query of the template with its parameters given."""
    both = [having("age", ">=", age), having("unit", "in", units)]
    return {"from": "visits", "where": {"all": both}, "select": {"n": {"count": "persons"}}}


STRICT = {
    "templates": [{"name": "elders", "query": of_template(LEAST_AGE, SOME_UNITS), "max_epsilon": 0.5}],
    "strict": True,
}
# What a study may be held to, and questions within and outside of it.
PROTOCOL = {
    "tables": ["visits"],
    "columns": ["sex", "unit", "cost", "urgent"],
    "statistics": ["count", "mean"],
    "max_epsilon": 1,
    "min_margin": 5,
}
ONE = {"epsilon": 0.25}
HELD: dict[str, Json] = {
    "within": asking(PERSONS, privacy=ONE, group_by=["unit"], where=URGENT),
    "another table": asking(PERSONS, "drugs", privacy=ONE),
    "another column": asking(PERSONS, privacy=ONE, group_by=["region"]),
    "a column in a filter": asking(PERSONS, privacy=ONE, where=YOUNG),
    "a table in a cohort": asking(PERSONS, privacy=ONE, where=among("drugs")),
    "another statistic": asking({"s": {"sum": "cost"}}, privacy=ONE),
    "too much": asking(PERSONS, privacy={"epsilon": 1.5}),
    "too exact": asking(PERSONS, privacy={"epsilon": 1}),
    "a margin too dear": asking(EVENTS, privacy={"margin": {"n": 6}}, bounds=WIDE),
    "a gaussian margin too dear": asking(EVENTS, privacy={"margin": {"n": 6}, "noise": "gaussian"}, bounds=WIDE),
    "a margin": asking(PERSONS, privacy={"margin": {"n": 30}}),
}

TEMPLATES: dict[str, Json] = {
    "template": {"query": of_template(20, ["B"]), "privacy": {"epsilon": 0.5}},
    "template in sql": {
        "sql": "SELECT COUNT(DISTINCT person) AS n FROM visits WHERE unit IN ('B') AND age >= 20",
        "privacy": {"epsilon": 0.5},
    },
    "template otherwise": {"query": of_template(65, ["A", "B"]), "privacy": {"epsilon": 0.25}},
    "template outside its range": {"query": of_template(17, ["A"]), "privacy": {"epsilon": 0.25}},
    "template for too much": {"query": of_template(20, ["A"]), "privacy": {"epsilon": 0.6}},
    "no template": asking(PERSONS, privacy={"epsilon": 0.5}),
}
