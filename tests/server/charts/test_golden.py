"""A few charts whole, so that a change of how they look is seen and reviewed.

After one, make the files anew with `python -m tests.server.charts.test_golden`, and look at them in a browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.charts import chart
from tests.server.charts import drawn

GOLDEN = Path(__file__).parent / "golden"


def number(value: float, off: float) -> dict[str, float]:
    """Return a number with a margin."""
    return {"value": value, "low": value - off, "high": value + off}


def key(name: str) -> dict[str, str]:
    """Return the column of a key."""
    return {"name": name, "kind": "key"}


def statistic(name: str) -> dict[str, Any]:
    """Return the column of a statistic."""
    return {"name": name, "kind": "statistic", "mechanism": "discrete_laplace", "confidence": 0.95}


CURVE = [(30, 0.97), (60, 0.91), (90, 0.86), (180, 0.79), (365, 0.72)]
RELEASES: dict[str, dict[str, Any]] = {
    "bars": {
        "columns": [key("coinsurance"), key("sex"), statistic("visits")],
        "rows": [
            {"coinsurance": paid, "sex": sex, "visits": number(value, off)}
            for paid, sex, value, off in (
                ("0", "female", 3.4, 0.15),
                ("0", "male", 2.5, 0.16),
                ("95", "female", 2.4, 0.6),
                ("95", "male", 1.4, 0.8),
                (None, "female", -0.2, 0.3),
                (None, "male", 0.1, 9.0),
            )
        ],
    },
    "lines": {
        "columns": [key("date"), statistic("patients")],
        "rows": [
            {"date": f"2020-{month:02}", "patients": number(2000 + 70 * (month * 5 % 12), 180)}
            for month in range(1, 13)
        ],
    },
    "survival": {
        "columns": [statistic("untreated")],
        "rows": [{"untreated": {"survival": [{"until": day, **number(share, 0.02)} for day, share in CURVE]}}],
    },
}


@pytest.mark.parametrize("name", RELEASES)
def test_chart_is_as_it_was_reviewed(name: str) -> None:
    """Every element is where it was when somebody looked at it."""
    svg = chart.sheet(RELEASES[name])
    assert svg == (GOLDEN / f"{name}.svg").read_text()
    drawn.assert_apart(drawn.read(svg))


if __name__ == "__main__":
    for name, release in RELEASES.items():
        (GOLDEN / f"{name}.svg").write_text(chart.sheet(release))
