"""Questions in Python: tables, columns, conditions and statistics that become the JSON of a query."""
