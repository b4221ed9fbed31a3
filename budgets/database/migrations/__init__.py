"""The history of the ledger's schema, as Alembic runs it."""
