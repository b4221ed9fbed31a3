"""From names and literals to columns and codes: filters, keys and per-person tables of one query."""
