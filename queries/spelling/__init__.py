"""Whole queries in their two spellings, JSON and SQL. The object of a statistic spells it."""
