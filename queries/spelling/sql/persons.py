"""Subqueries with a row for each person, as per-person tables."""

from __future__ import annotations

from sqlglot import exp

from queries.language import nodes
from queries.language.sql.conditions import predicate, related_dates
from queries.language.sql.related import Others
from queries.language.sql.sources import table_name
from queries.language.sql.syntax import column_name, identifier, only, refusal, subselect
from queries.language.sql.values import unclamped

WORDS: dict[type[exp.Expr], str] = {
    exp.Sum: "sum",
    exp.Avg: "mean",
    exp.Min: "min",
    exp.Max: "max",
    exp.ArgMin: "first",
    exp.ArgMax: "last",
}
KNOWN = (
    "a value of a person is COUNT(*), SUM, AVG, MIN or MAX of a column, ARG_MIN or ARG_MAX(column, date), "
    "COUNT(*) FILTER (WHERE ...) > 0, or the days to another event, each AS name"
)


def per_person(query: exp.Subquery) -> tuple[nodes.PerPerson, list[exp.Column]]:
    """Return the table that a subquery builds, and the columns that it carries along beside the values."""
    only(query, "this", "alias")
    select = subselect(query.this)
    only(select, "kind", "expressions", "from_", "joins", "where", "group")
    table = table_name(select)
    values: dict[str, nodes.Value] = {}
    plain: list[exp.Column] = []
    for item in select.expressions:
        if isinstance(item, exp.Column):
            plain.append(item)
            continue
        if not isinstance(item, exp.Alias):
            raise refusal(item, KNOWN)
        only(item, "this", "alias")
        name = identifier(item.args["alias"])
        if name in values or not nodes.NAME.fullmatch(name):
            raise refusal(item, "each value has a name of its own: letters, digits and _, at most 63")
        values[name] = _value(item.this, table)
    carried = [one for one in plain if column_name(one).lower() != nodes.PERSON]
    _require_grouping(select, plain)
    if not values:
        raise refusal(select, KNOWN)
    where = select.args.get("where")
    condition = None if where is None else predicate(where.this)
    return nodes.PerPerson(table, tuple(values.items()), condition), carried


def _require_grouping(select: exp.Select, plain: list[exp.Column]) -> None:
    """Refuse a subquery that does not select, and group by, the person and what else it selects as it is."""
    group = select.args.get("group")
    if group is not None:
        only(group, "expressions")
    grouped = [] if group is None else [column_name(one) for one in group.expressions]
    named = [column_name(one) for one in plain]
    if sorted(grouped) != sorted(named) or nodes.PERSON not in map(str.lower, named):
        raise refusal(select, "a table of persons is: SELECT person, COUNT(*) AS n FROM table GROUP BY person")


def _value(body: exp.Expr, table: str) -> nodes.Value:
    if isinstance(body, exp.GT) and _is_count(body.this) and body.expression == exp.Literal.number(0):
        only(body, "this", "expression")
        where = _filter(body.this)
        if where is None:
            raise refusal(body, "say what is to exist: COUNT(*) FILTER (WHERE ...) > 0")
        return nodes.Value("exists", where=where)
    bounds = None
    if isinstance(body, exp.Case):
        body, bounds = unclamped(body)
    if isinstance(body, exp.Sub):
        start, to = _days_to(body, table)
        return nodes.Value("days_to", bounds=bounds, date=start, to=to)
    where, function = _filter(body), body.this if isinstance(body, exp.Filter) else body
    if _is_count(function):
        return nodes.Value("count", where=where, bounds=bounds)
    word = WORDS.get(type(function))
    if word is None:
        raise refusal(body, KNOWN)
    date = None
    if word in ("first", "last"):
        only(function, "this", "expression")
        date = column_name(function.expression)
    else:
        only(function, "this")
    return nodes.Value(word, column_name(function.this), where, bounds, date)


def _is_count(body: exp.Expr) -> bool:
    function = body.this if isinstance(body, exp.Filter) else body
    return isinstance(function, exp.Count) and isinstance(function.this, exp.Star)


def _filter(body: exp.Expr) -> nodes.Predicate | None:
    if not isinstance(body, exp.Filter):
        return None
    only(body, "this", "expression")
    return predicate(body.expression.this)


def _days_to(body: exp.Sub, table: str) -> tuple[str, nodes.Related]:
    """Read (SELECT MIN(later.date) FROM other AS later WHERE ...) - MIN(date)."""
    wanted = (
        "days to another event are written: (SELECT MIN(later.date) FROM other AS later WHERE later.person = "
        "table.person AND later.date >= MIN(table.date) AND ...) - MIN(date)"
    )
    only(body, "this", "expression")
    first = body.expression
    if not isinstance(body.this, exp.Subquery) or not isinstance(first, exp.Min):
        raise refusal(body, wanted)
    only(first, "this")
    select = subselect(body.this)
    only(select, "kind", "expressions", "from_", "where")
    others = Others.of(select, table)
    (chosen,) = select.expressions if len(select.expressions) == 1 else (None,)
    if not isinstance(chosen, exp.Min) or not isinstance(chosen.this, exp.Column) or chosen.this.table != others.alias:
        raise refusal(select, wanted)
    related, own = related_dates(select, others, exp.GTE, 0)
    if chosen.this.name != related.date or column_name(first.this) != own:
        raise refusal(body, wanted)
    return own, related
