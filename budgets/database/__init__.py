"""The database: connections, tables, migrations and the clock."""
