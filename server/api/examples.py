"""Examples in the OpenAPI document. They run as they stand on the demonstration (`rowless demo`)."""

from __future__ import annotations

from typing import Any

STUDY = {"in": "path", "name": "study", "required": True, "schema": {"type": "string"}, "example": "cost-sharing"}

ASKS: dict[str, dict[str, Any]] = {
    "count": {
        "summary": "How many persons there are, by sex",
        "value": {
            "query": {"from": "years", "group_by": ["sex"], "select": {"patients": {"count": "persons"}}},
            "privacy": {"epsilon": 0.1},
        },
    },
    "sql": {
        "summary": "The same in SQL",
        "value": {
            "sql": "SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex",
            "privacy": {"epsilon": 0.1},
        },
    },
    "margin": {
        "summary": "A mean of adults, and what it costs to know how many they are within 50",
        "value": {
            "query": {
                "from": "years",
                "where": {"column": "age", "op": ">=", "value": 18},
                "group_by": ["health"],
                "select": {"patients": {"count": "persons"}, "visits": {"mean": "visits", "bounds": [0, 30]}},
                "bounds": {"events_per_cell": 5},
            },
            "privacy": {"margin": {"patients": 50}},
        },
    },
}

_REASON = {"reason": "As the committee agreed on 12 March"}
_ADVICE = {"opinion": "favourable", **_REASON}
_APPROVAL = {**_REASON, "seen": "ea5e88f13d224f3f45a5a9c008c332e8d8df0ee505af1c20aed14206eda0c0c0"}

# A body for every other operation that takes one, by its name.
BODIES: dict[str, Any] = {
    "link_account": {"token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"},
    "add_user": {"name": "grace", "role": "researcher"},
    "new_token": {"days": 30, "study": "cost-sharing", "reads_only": True},
    "propose": {"act": "add", "user": "olga", "role": "dpo"},
    "buy_profile": {"epsilon": 0.1},
    "propose_terms": {"epsilon": 2.5, "profile": 0.1, **_REASON},
    "advise_on_terms": _ADVICE,
    "approve_terms": _APPROVAL,
    "open_study": {
        "name": "flu",
        "dataset": "rand-hie",
        "epsilon": 1.0,
        "title": "Doctor visits in winter",
        "purpose": "Learn when practices need more staff",
        "legal_basis": "GDPR Art. 6(1)(e), Art. 9(2)(j)",
        "ends": "2027-12-31",
        "protocol": {"tables": ["years"], "columns": ["sex", "age", "visits"], "max_epsilon": 0.5},
    },
    "edit_study": {"title": "Doctor visits in winter and summer"},
    "approve": _APPROVAL,
    "suspend": _REASON,
    "resume": _REASON,
    "close": _REASON,
    "advise": _ADVICE,
    "set_budget": {"epsilon": 2.0, **_REASON},
    "approve_budget": _APPROVAL,
    "conclude": {"text": "Not personal data in the hands of its readers", "seen": _APPROVAL["seen"]},
    "advise_on_budget": _ADVICE,
    "verify": {"key": "rowless/2d1f+c3a1e9f0+AQ4b6Qk0m1b3Tn1m5S4bTz0v8sQmLz4f6lC0m0m8o1fX", "older": []},
    "erase_identities": {"commitments": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]},
}

_ASKED: dict[str, Any] = ASKS["count"]["value"]["query"]
_SQL = ASKS["sql"]["value"]["sql"]
_COST = {"epsilon": 0.1, "rho": 0.005, "delta": 0.0}
_BOUNDS = {"cells_per_person": 1, "events_per_cell": 1}
_NOTHING = {"epsilon": 0.0, "rho": 0.0, "delta": 0.0}
_NOISES = {"laplace_epsilon": 0.0, "gaussian_rho": 0.0}
_COLUMNS = [
    {"name": "sex", "kind": "key"},
    {
        "name": "patients",
        "kind": "statistic",
        "mechanism": "discrete_laplace",
        "scale": 10.0,
        "margin": 30.0,
        "confidence": 0.95,
        "truncation": "none",
    },
]


def _budget(spent: dict[str, float], left: float) -> dict[str, Any]:
    return {
        "epsilon": 1.0,
        "rho": 0.021669479,
        "delta": 1e-6,
        "laplace_percent": 50,
        "split": {"laplace_epsilon": 0.5, "gaussian_rho": 0.005855422},
        "spent": {**spent, "laplace_epsilon": spent["epsilon"], "gaussian_rho": 0.0},
        "reserved": {**_NOTHING, **_NOISES},
        "remaining": {"epsilon": left, "rho": 0.021669479 - spent["rho"], "delta": 5e-7},
        "gauge": {"of": "epsilon", "used": spent["epsilon"], "limit": 1.0},
        "justification": None,
    }


def _answer(female: int, male: int, spent: dict[str, float], **more: Any) -> dict[str, Any]:
    counts = {"female": female, "male": male}
    return {
        "study": "cost-sharing",
        "dataset": "rand-hie",
        "edition": 1,
        "query": _ASKED,
        "sql": _SQL,
        "cost": _COST,
        "budget": _budget(spent, 1.0 - spent["epsilon"]),
        "columns": _COLUMNS,
        "rows": [
            {"sex": sex, "patients": {"value": count, "low": count - 30, "high": count + 30}}
            for sex, count in counts.items()
        ],
        "bounds": _BOUNDS,
        "notes": [],
        "post": [],
        "replayed": False,
        **more,
    }


# What the first of `ASKS` is answered.
ESTIMATE = {
    "query": _ASKED,
    "sql": _SQL,
    "question": "1-09342fd1654234ac33ba1ce7fd3f5e532f7dd569bc21bb932f844749f9abd659",
    "cost": _COST,
    "release": None,
    "affordable": True,
    "queries_left": 10,
    "slot_ms": 250,
    "cells": 2,
    "drowned": 0.0047,
    "drowned_of": {"patients": 0.0047},
    "columns": _COLUMNS,
    "bounds": _BOUNDS,
    "notes": [],
    "advice": ["patients: a group needs at least 300 persons for a margin under 10% of its count."],
    "budget": _budget(_NOTHING, 1.0),
}
RELEASE = _answer(3065, 2890, _COST, id="a9bd2a9c39914b3bb5d0b5de8895f9d8", charged_at="2026-11-29T18:43:51.564Z")
REHEARSAL = _answer(2728, 927, _NOTHING, rehearsal=True, id=None, charged_at=None)
