"""The attack odds are held to what a ledger admits: they need a ledger's world."""

from tests.budgets.conftest import people_only, world

__all__ = ["people_only", "world"]
