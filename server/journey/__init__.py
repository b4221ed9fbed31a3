"""The journeys of a query, of a profile and of an import. Read `answer.py` first."""
