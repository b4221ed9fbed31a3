from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.budgets.world import make_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.budgets.world import World
    from tests.databases import Databases


@pytest.fixture
def people_only(databases: Databases) -> Iterator[World]:
    """Make a ledger with people and nothing else."""
    world = make_world(databases)
    yield world
    world.database.close()


@pytest.fixture
def world(people_only: World) -> World:
    """Make a ledger whose dataset has a cap of epsilon 10 and delta 10^-6, and may be over-committed."""
    people_only.import_edition()
    return people_only
