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
