"""The tables of alerts: what was told already, and what waits for delivery."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, String, Table

from budgets.database.metadata import metadata

# The thresholds of each account that raised an alert under its present limits (`thresholds.py`).
budget_alerts = Table(
    "budget_alerts",
    metadata,
    Column("kind", String(8), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("percent", Integer, nullable=False),
    PrimaryKeyConstraint("kind", "owner", "percent"),
)

# What was told of the ends of formalities and studies (`deadlines.py`): once when an end is near, once when it passed.
_deadline = {"kind": 8, "owner": 63, "what": 16, "day": 10, "stage": 8}
deadline_alerts = Table(
    "deadline_alerts",
    metadata,
    *(Column(name, String(length), nullable=False) for name, length in _deadline.items()),
    PrimaryKeyConstraint(*_deadline),
)

# The time of each actor's last refusal or failed sign-in, and whether an alert reported their burst (`bursts.py`).
bursts = Table(
    "bursts",
    metadata,
    Column("kind", String(16), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("last_at", String(32), nullable=False),
    Column("told", Integer, nullable=False),
    PrimaryKeyConstraint("kind", "actor"),
)

# Alerts that wait for delivery to the webhook (`outbox.py`), by their positions in the log.
deliveries = Table(
    "deliveries",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("raised_at", String(32), nullable=False),
    Column("next_at", String(32), nullable=False),  # when it is due; each attempt postpones it
    Column("attempts", Integer, nullable=False),
)
