"""Parts of SQL statements, read and written: names, values, conditions, keys. Whole ones: `queries/spelling/sql/`."""
