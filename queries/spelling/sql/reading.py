"""SQL as the query tree. None of the text is ever run."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from queries.binding.keys import BOTH_ENDS
from queries.errors import InvalidQuery, OutsideProtocol
from queries.language import nodes, references
from queries.language.showing import NOTHING, Show
from queries.language.sql import bins
from queries.language.sql import keys as cuts
from queries.language.sql.conditions import predicate
from queries.language.sql.sources import table_name
from queries.language.sql.syntax import column_name, identifier, only, refusal
from queries.spelling.sql import naming, showing, statistics
from queries.spelling.sql.persons import per_person
from queries.spelling.sql.showing import Selected
from queries.spelling.sql.writing import to_sql

TEXT_MAX = 64 * 1024  # characters
PERSONS = (
    "single persons are not shown: count them, COUNT(DISTINCT person), or build values of each, as in FROM (SELECT "
    "person, COUNT(*) AS n FROM table GROUP BY person)"
)


def read(text: str) -> tuple[nodes.Query, Show]:
    """Return the query that a SELECT statement asks, and how it wants the answer shown.

    What is not listed here is refused, by type and by every part of a node that nobody looked at: nothing of the text
    is passed over, and none of it goes any further than into the trees. Raises InvalidQuery with line and column.
    """
    select = _statement(text)
    only(select, "kind", "expressions", "from_", "joins", "where", "group", "having", "order", "limit")
    source, carried = _source(select)
    selected = _selected(select)
    where = select.args.get("where")
    query = nodes.Query(
        source,
        tuple((one.name, one.node) for one in selected if not isinstance(one.node, nodes.Key)),
        None if where is None else predicate(where.this),
        _grouped(select.args.get("group"), selected, select),
    )
    if isinstance(source, nodes.PerPerson):
        used = {name.lower() for name in references.attributes(query)}
        for column in carried:
            if column.name.lower() not in used:
                raise refusal(column, f"{column.name} is not used outside: leave it out")
    return query, showing.shown(select, selected)


def parse(text: str) -> nodes.Query:
    """Return the query that a SELECT statement asks, which says nothing on how the answer is shown.

    >>> parse("SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex")
    Query(source='years', select=(('patients', Count(where=None, of='persons')),), where=None, \
group_by=(ByValue(column='sex', name=None),), bounds=Bounds(cells_per_person=None, events_per_cell=None))
    """
    query, show = read(text)
    if show != NOTHING:
        raise InvalidQuery("/sql", "HAVING, ORDER BY, LIMIT and labels of bins belong to an answer, not to a question")
    if any(isinstance(key, nodes.ByBins) and (key.open_below or key.open_above) for key in query.group_by):
        raise InvalidQuery("/sql", BOTH_ENDS)
    return query


def read_show(text: str) -> Show:
    """Return how an answer is to be shown, from the end of a statement: HAVING, ORDER BY and LIMIT.

    Raises InvalidQuery with line and column.
    """
    try:
        select = _statement("\n".join((exp.select("1").from_("answer").sql(), text)))
        only(select, "kind", "expressions", "from_", "having", "order", "limit")
        only(select.args["from_"].this, "this")
        return showing.shown(select, ())
    except InvalidQuery as error:
        raise showing.moved(error, 1) from None


def shown(text: str, show: Show) -> str:
    """Return the SQL of a question with how its answer is shown. What cannot be read any more stays as it is."""
    try:
        return to_sql(parse(text), show)
    except InvalidQuery:
        return text


def _source(select: exp.Select) -> tuple[str | nodes.PerPerson, list[exp.Column]]:
    """Return what FROM names, and of a per-person subquery the person's attributes that it carries along."""
    source = select.args["from_"].this if select.args.get("from_") else None
    return per_person(source) if isinstance(source, exp.Subquery) else (table_name(select), [])


def _statement(text: str) -> exp.Select:
    if len(text) > TEXT_MAX:
        raise InvalidQuery("/sql", f"is longer than {TEXT_MAX} characters")
    try:
        statements = sqlglot.parse(text, dialect="duckdb")
    except ParseError as error:
        found = error.errors[0] if error.errors else {}
        place = f"line {found.get('line')}, column {found.get('col')}" if found.get("line") else "somewhere"
        near = f", near {found['highlight']!r}" if found.get("highlight") else ""
        raise InvalidQuery("/sql", f"{place}: this is no SQL that can be read{near}") from None
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        # sqlglot's own ways to fail on odd texts.
        raise InvalidQuery("/sql", "this is no SQL that can be read: an open quote, or too deeply nested") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise InvalidQuery("/sql", "line 1, column 1: write one SELECT statement, and nothing else")
    naming.one_spelling(statements[0])
    return statements[0]


def _selected(select: exp.Select) -> list[Selected]:
    """Return what is selected, keys and statistics, in the order in which it stands there."""
    found: list[Selected] = []
    for item in select.expressions:
        alias, body = None, item
        if isinstance(item, exp.Alias):
            only(item, "this", "alias")
            alias, body = identifier(item.args["alias"]), item.this
        if statistics.is_statistic(body):
            statistic, default = statistics.statistic(body)
            one = Selected(alias or default, body, statistic, alias)
            if not nodes.NAME.fullmatch(one.name):
                raise refusal(item, "a name in the answer has letters, digits and _, at most 63: give an alias")
        elif body.find(exp.AggFunc):
            raise refusal(body, statistics.COMPUTED)
        else:
            key = _read_key(body, alias)
            one = Selected(key.name or key.column, body, key, alias)
        if one.name in [other.name for other in found]:
            raise refusal(item, f"there are two columns {one.name}: give an alias, as in ... AS {one.name[:60]}_2")
        found.append(one)
    if all(isinstance(one.node, nodes.Key) for one in found):
        raise refusal(select, "select a statistic: COUNT(*), COUNT(DISTINCT person), SUM(column) or AVG(column)")
    return found


def _grouped(group: exp.Expr | None, selected: list[Selected], select: exp.Select) -> tuple[nodes.Key, ...]:
    """Return the keys in the order of GROUP BY, which may name them by expression, alias or position."""
    keys = {id(one.body): (one, one.node) for one in selected if isinstance(one.node, nodes.Key)}
    if group is None:
        for one, _ in keys.values():
            raise refusal(one.body, "is no statistic: name it in GROUP BY")
        return ()
    only(group, "expressions")
    found: list[nodes.Key] = []
    for item in group.expressions:
        if isinstance(item, exp.Literal) and not item.is_string:
            chosen = select.expressions[int(item.this) - 1 : int(item.this)] if item.this.isdigit() else []
            matches = [keys[id(part.unalias())][1] for part in chosen if id(part.unalias()) in keys]
        else:
            matches = [key for one, key in keys.values() if one.body == item]
            if not matches and isinstance(item, exp.Column):
                called = [
                    (one.alias, key) for one, key in keys.values() if (one.alias or "").lower() == item.name.lower()
                ]
                matches = [key for alias, key in called if alias == item.name] or [key for _, key in called]
        if not matches:
            raise refusal(item, "what is in GROUP BY is selected too")
        fresh = [key for key in matches if key not in found]  # one expression may be selected under two names
        if not fresh:
            raise refusal(item, "is in GROUP BY twice")
        found.append(fresh[0])
    for one, key in keys.values():
        if key not in found:
            raise refusal(one.body, "is no statistic: name it in GROUP BY")
    return tuple(found)


def _read_key(body: exp.Expr, name: str | None) -> nodes.Key:
    named = cuts.key(body, name)
    if named is not None:
        return named
    match body:
        case exp.Column():
            column = column_name(body)
            if column.lower() == nodes.PERSON:
                raise refusal(body, PERSONS)
            return nodes.ByValue(column, None if name == column else name)
        case exp.TimestampTrunc() | exp.DateTrunc():
            only(body, "this", "unit", "unabbreviate", "input_type_preserved")
            column, period = column_name(body.this), body.args["unit"].name.lower()
            if period not in nodes.PERIODS:
                raise refusal(body, f"DATE_TRUNC takes one of {', '.join(nodes.PERIODS)}")
            return nodes.ByPeriod(column, period, None if name == column else name)
        case exp.Case():
            return bins.read(body, name)[0]
        case exp.Star():
            raise refusal(body, "no rows are given out: select statistics, as in COUNT(*)")
    raise refusal(body, cuts.KEYS)


def located(refusal: InvalidQuery | OutsideProtocol) -> InvalidQuery | OutsideProtocol:
    """Return what was found in the trees of a statement as a finding in the SQL that they were read from."""
    if not refusal.pointer.startswith(("/query/", "/show/")):
        return refusal
    place = refusal.pointer.removeprefix("/query/").removeprefix("/show/").replace("/", " ")
    return type(refusal)("/sql", f"{place}: {refusal.message}")
