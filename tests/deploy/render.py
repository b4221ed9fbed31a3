"""Lints and renders the chart with Helm's own library, in a process of its own, because the library brings Go's runtime.

Standard input is a JSON list of values; standard output has for each {"lint": ..., "files": ...} or {"error": ...}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import helm_python

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "rowless"


def main() -> None:
    """Lint and render each of the values."""
    chart = helm_python.Chart.load(str(CHART))
    said: list[dict[str, Any]] = []
    for values in json.load(sys.stdin):
        try:
            files = chart.render(values, name="demo", namespace="stats")
            said.append({"lint": helm_python.lint(str(CHART), values, strict=True), "files": files})
        except helm_python.HelmError as error:
            said.append({"error": str(error)})
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
