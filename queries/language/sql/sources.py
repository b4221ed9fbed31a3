"""FROM: the one table that is asked, perhaps joined with its persons, and names of tables before columns.

A table of events has its person's columns, and every event is of a person in `persons`. Therefore a join of the two by
person is the table itself. A join that would also have the persons without events is another table, and refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from queries.language import nodes
from queries.language.sql.syntax import identifier, only, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PERSONS = "persons"
JOIN = (
    "one table is asked, which has its person's columns too: leave the join out, or write FROM table LEFT JOIN persons "
    "USING (person), which means the same"
)
OUTER = (
    "this would also have the persons without events, as null rows, which the table does not have: write FROM table "
    "LEFT JOIN persons USING (person), and ask of all persons with FROM persons"
)


def table_name(select: exp.Select) -> str:
    """Return the table of FROM. Afterwards its columns have no name of a table before them."""
    if not select.args.get("from_"):
        raise refusal(select, "SELECT needs FROM and the name of a table")
    name, alias = _table(select.args["from_"].this)
    aliases = {alias}
    for join in select.args.get("joins") or ():
        if len(aliases) > 1:
            raise refusal(join, JOIN)
        joined, other = _joined(join, name, alias)
        if other in aliases:
            raise refusal(join, f"there are two tables {other}: give one an alias")
        aliases.add(other)
        name = joined if name.lower() == PERSONS else name
    _take_away(select, aliases, name)
    return name


def _table(table: exp.Expr) -> tuple[str, str]:
    """Return the name of a table, and in lower case by what its columns are called."""
    if not isinstance(table, exp.Table):
        raise refusal(table, "FROM takes the name of one table")
    only(table, "this", "alias")
    name = identifier(table.this)
    alias = table.args.get("alias")
    if alias is None:
        return name, name.lower()
    only(alias, "this")
    return name, identifier(alias.this).lower()


def _joined(join: exp.Expr, name: str, alias: str) -> tuple[str, str]:
    """Return the table that is joined, as `_table` does. Raises InvalidQuery unless the join changes no row."""
    if not isinstance(join.this, exp.Table):
        raise refusal(join, JOIN)
    joined, other = _table(join.this)
    only(join, "this", "side", "kind", "using", "on", "method")
    events_first = joined.lower() == PERSONS
    if events_first == (name.lower() == PERSONS) or join.args.get("method") or not _is_by_person(join, alias, other):
        raise refusal(join, JOIN)
    side, kind = (str(join.args.get(word) or "").upper() for word in ("side", "kind"))
    if kind not in ("", "INNER", "OUTER"):
        raise refusal(join, JOIN)
    if side not in ("", "LEFT" if events_first else "RIGHT"):
        raise refusal(join, OUTER)
    return joined, other


def _is_by_person(join: exp.Expr, *aliases: str) -> bool:
    """Return whether tables are joined USING (person), or ON what means the same."""
    using, on = join.args.get("using"), join.args.get("on")
    if using:
        return [identifier(one).lower() for one in using] == [nodes.PERSON]
    if not isinstance(on, exp.EQ):
        return False
    sides = [one for one in (on.this, on.expression) if isinstance(one, exp.Column)]
    return {(one.table.lower(), one.name.lower()) for one in sides} == {(alias, nodes.PERSON) for alias in aliases}


def _take_away(select: exp.Select, aliases: set[str], name: str) -> None:
    """Take the table's names away from before the columns of a SELECT. Within subqueries the table has its one name."""
    for column in _within(select):
        if isinstance(column, exp.Select):
            _rename(column, dict.fromkeys(aliases, name))
        elif column.table.lower() in aliases:
            column.set("table", None)


def _rename(select: exp.Select, names: Mapping[str, str]) -> None:
    own = {_alias(table) for table in (select.args.get("from_"), *(select.args.get("joins") or ())) if table}
    seen = {alias: name for alias, name in names.items() if alias not in own}
    if not seen:
        return
    for column in _within(select):
        if isinstance(column, exp.Select):
            _rename(column, seen)
        elif column.table.lower() in seen:
            column.set("table", exp.to_identifier(seen[column.table.lower()]))


def _alias(source: exp.Expr) -> str:
    return str(source.this.alias_or_name).lower() if isinstance(source.this, exp.Table) else ""


def _within(select: exp.Select) -> Iterator[exp.Column | exp.Select]:
    """Yield the columns of a SELECT, and the SELECTs directly within it."""
    for part in list(select.walk(prune=lambda one: isinstance(one, exp.Select) and one is not select)):
        if part is not select and isinstance(part, exp.Column | exp.Select):
            yield part
