"""The rows of answers in the OpenAPI document. Like all that is sent, their objects may get more members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from queries.statistics.parts.lists import BINS, DIFFERENCES, QUANTILES, SURVIVAL, TOP

if TYPE_CHECKING:
    from queries.statistics.parts.lists import Listed

Described = dict[str, Any]


def ref(component: str) -> Described:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{component}"}


_NUMBER = {"type": "number"}
_RAW = {"type": "object", "description": "The noisy numbers that it was computed from", "additionalProperties": _NUMBER}
_TRUNCATED = {"type": "string", "description": "`unknown`: nobody knows how much the contribution bounds cut off"}
_BESIDE = {"raw": _RAW, "truncation": _TRUNCATED}
_INTERVAL = {
    **{
        name: {"type": ["number", "null"], "description": "Null where it is hidden"}
        for name in ("value", "low", "high")
    },
    "hidden": {"type": "boolean", "description": "True where the number is of a small cell, and is not shown"},
    **{f"raw_{name}": {**_NUMBER, "description": "As released, before `post`"} for name in ("value", "low", "high")},
    **_BESIDE,
}


def _sent(required: list[str], description: str, **properties: Any) -> Described:
    return {
        "type": "object",
        "description": description,
        "required": required,
        "properties": properties,
        "additionalProperties": True,
    }


def _part(listed: Listed, label: Described) -> Described:
    called = f"One of the {listed.parts} of a statistic, with its margin"
    return _sent([listed.label, "value", "low", "high"], called, **{listed.label: label}, **_INTERVAL)


_KEY_VALUE = {"type": ["string", "number", "boolean", "null"]}
_PARTS: dict[str, tuple[Listed, Described]] = {
    "BinResult": (BINS, _KEY_VALUE),
    "TopResult": (TOP, _KEY_VALUE),
    "QuantileResult": (QUANTILES, _NUMBER),
    "SurvivalResult": (SURVIVAL, _NUMBER),
    "DifferencesResult": (DIFFERENCES, _NUMBER),
}
ROWS = {name: _part(listed, label) for name, (listed, label) in _PARTS.items()}
ROWS |= {
    f"{name}s": _sent(
        [listed.member],
        f"The {listed.parts} of a statistic",
        **{listed.member: {"type": "array", "items": ref(name)}},
        **_BESIDE,
    )
    for name, (listed, _) in _PARTS.items()
}
ROWS |= {
    "Interval": _sent(
        ["value", "low", "high"], "A number with its margin: the number without noise is between the ends", **_INTERVAL
    ),
    "Cell": {
        "description": "A value of a key, or the result of a statistic",
        "anyOf": [ref("Interval"), *(ref(f"{name}s") for name in _PARTS), _KEY_VALUE],
    },
    "Row": {
        "type": "object",
        "description": "A row of an answer: its keys and statistics, by the names of the columns",
        "additionalProperties": ref("Cell"),
    },
}
