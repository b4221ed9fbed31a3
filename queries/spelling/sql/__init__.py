"""The query tree as SQL, and SQL as the query tree. The text of neither is ever run."""

from queries.spelling.sql.naming import among, resolved
from queries.spelling.sql.reading import TEXT_MAX, located, parse, read, read_show, shown
from queries.spelling.sql.writing import tail, to_sql

__all__ = ["TEXT_MAX", "among", "located", "parse", "read", "read_show", "resolved", "shown", "tail", "to_sql"]
