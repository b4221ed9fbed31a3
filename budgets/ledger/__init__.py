"""Accounts, and the charges of queries and profiles."""
