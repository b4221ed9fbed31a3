"""From a query's names and literals to columns and codes of the catalog. Begin with `query.py`."""
