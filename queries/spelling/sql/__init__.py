"""The query tree as SQL, and SQL as the query tree. The text of neither is ever run."""

from queries.spelling.sql.naming import resolved
from queries.spelling.sql.reading import TEXT_MAX, located, parse
from queries.spelling.sql.writing import to_sql

__all__ = ["TEXT_MAX", "located", "parse", "resolved", "to_sql"]
