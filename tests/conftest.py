"""What all tests share: heavier statistics wait for `--audit`, and no example of a law has a deadline."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The first example compiles the kernel or imports OpenDP: its time says nothing.
settings.register_profile("rowless", deadline=None)
settings.load_profile("rowless")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that `make audit` gives."""
    parser.addoption("--audit", action="store_true", help="run the heavier statistics too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked `audit` unless it was asked for."""
    if config.getoption("--audit"):
        return
    for item in items:
        if item.get_closest_marker("audit"):
            item.add_marker(pytest.mark.skip(reason="run by `make audit`"))
