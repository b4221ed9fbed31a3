"""Whole queries in their two spellings, JSON and SQL. How a statistic is spelled, its object knows."""
