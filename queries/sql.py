"""The query tree as SQL, and SQL as the query tree. The text of neither is ever run."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from queries import nodes
from queries.errors import InvalidQuery, OutsideProtocol
from queries.predicates import DEPTH_MAX

TEXT_MAX = 64 * 1024  # characters
PERSON = "person"

ORDER: dict[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}
CLAUSES = {  # in sqlglot's words -> in people's, with what to do instead
    "joins": "JOIN (one table is asked, which has its person's columns too)",
    "having": "HAVING (all cells are answered: choose among them afterwards)",
    "order": "ORDER BY (all cells are answered: sort them afterwards)",
    "limit": "LIMIT (all cells are answered: choose among them afterwards)",
    "db": "a schema before the table's name",
    "table": "a table before the column's name",
    "query": "a subquery",
    "with_": "WITH (one table is asked)",
}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

# Writing


def to_sql(query: nodes.Query) -> str:
    """Return a query as one SELECT statement.

    >>> to_sql(nodes.Query("years", (("patients", nodes.Count("persons")),), group_by=(nodes.ByValue("sex"),)))
    'SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex'
    """
    keys = [_key(key) for key in query.group_by]
    named = [
        exp.alias_(shown, key.name or key.column) if key.name or not isinstance(key, nodes.ByValue) else shown
        for key, shown in zip(query.group_by, keys, strict=True)
    ]
    statistics = [exp.alias_(_statistic(statistic), name) for name, statistic in query.select]
    select = exp.select(*named, *statistics).from_(exp.to_table(query.table))
    if query.where is not None:
        select = select.where(_predicate(query.where))
    if keys:
        select = select.group_by(*(key.copy() for key in keys))
    return select.sql("duckdb")


def _key(key: nodes.Key) -> exp.Expr:
    column = exp.column(key.column)
    match key:
        case nodes.ByValue():
            return column
        case nodes.ByPeriod(period=period):
            return exp.func("date_trunc", exp.Literal.string(period), column)
        case nodes.ByBins(edges=edges):
            bins = exp.Case()
            for low, high in itertools.pairwise(edges):
                inside = exp.and_(
                    exp.GTE(this=column.copy(), expression=exp.convert(low)),
                    exp.LT(this=column.copy(), expression=exp.convert(high)),
                )
                bins = bins.when(inside, exp.Literal.string(f"[{low}, {high})"))
            return bins


def _statistic(statistic: nodes.Statistic) -> exp.Expr:
    match statistic:
        case nodes.Count("persons"):
            return exp.Count(this=exp.Distinct(expressions=[exp.column("person")]))
        case nodes.Count():
            return exp.Count(this=exp.Star())
        case nodes.Sum(column, bounds):
            return exp.Sum(this=_clamped(column, bounds))
        case nodes.Mean(column, bounds):
            return exp.Avg(this=_clamped(column, bounds))


def _clamped(column: str, bounds: tuple[float, float] | None) -> exp.Expr:
    if bounds is None:
        return exp.column(column)
    # CASE leaves a null null; DuckDB's and PostgreSQL's LEAST and GREATEST would make it a bound.
    clamped = exp.Case()
    for beyond, bound in ((exp.LT, bounds[0]), (exp.GT, bounds[1])):
        clamped = clamped.when(beyond(this=exp.column(column), expression=exp.convert(bound)), exp.convert(bound))
    return clamped.else_(exp.column(column))


def _predicate(predicate: nodes.Predicate) -> exp.Condition:
    match predicate:
        case nodes.All(parts):
            return exp.and_(*map(_predicate, parts)) if parts else exp.true()
        case nodes.Any(parts):
            return exp.or_(*map(_predicate, parts)) if parts else exp.false()
        case nodes.Not(part):
            return exp.not_(_predicate(part))
        case nodes.Comparison(name, op, value):
            column = exp.column(name)
            values = value if isinstance(value, tuple) else (value,)
            literals = [exp.convert(literal) for literal in values]
            if op == "is_null":
                return exp.Is(this=column, expression=exp.null())
            if op == "in":
                return exp.In(this=column, expressions=literals)
            if op == "between":
                return exp.Between(this=column, low=literals[0], high=literals[1])
            return ORDER[op](this=column, expression=literals[0])


# Reading


def parse(text: str) -> nodes.Query:
    """Return the query that a SELECT statement asks. Raises InvalidQuery with line and column.

    What is not listed here is refused, by type and by every part of a node that nobody looked at: nothing of the text
    is passed over, and none of it goes any further than into the tree.

    >>> parse("SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex")
    Query(table='years', select=(('patients', Count(of='persons')),), where=None, group_by=(ByValue(column='sex', \
name=None),), bounds=Bounds(cells_per_person=None, events_per_cell=None))
    """
    select = _statement(text)
    _only(select, "kind", "expressions", "from_", "where", "group")
    if not select.args.get("from_"):
        raise _refusal(select, "SELECT needs FROM and the name of a table")
    table = select.args["from_"].this
    if not isinstance(table, exp.Table):
        raise _refusal(table, "FROM takes the name of one table")
    _only(table, "this")
    keys, statistics = _selected(select)
    where = select.args.get("where")
    return nodes.Query(
        _identifier(table.this),
        tuple(statistics),
        None if where is None else _read_predicate(where.this),
        _grouped(select.args.get("group"), keys, select),
    )


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
    return statements[0]


def _selected(select: exp.Select) -> tuple[list[_Named], list[tuple[str, nodes.Statistic]]]:
    """Return what is selected: keys with their names, and statistics by theirs."""
    keys, statistics, taken = [], [], set()
    for item in select.expressions:
        name, body = None, item
        if isinstance(item, exp.Alias):
            _only(item, "this", "alias")
            name, body = _identifier(item.args["alias"]), item.this
        if isinstance(body, exp.Count | exp.Sum | exp.Avg):
            statistic, default = _read_statistic(body)
            name = name or default
            if not nodes.NAME.fullmatch(name):
                raise _refusal(item, "a name in the answer has letters, digits and _, at most 63: give an alias")
            statistics.append((name, statistic))
        else:
            key = _read_key(body, name)
            keys.append(_Named(key, body, name))
            name = key.name or key.column
        if name in taken:
            raise _refusal(item, f"there are two columns {name}: give an alias, as in ... AS {name[:60]}_2")
        taken.add(name)
    if not statistics:
        raise _refusal(select, "select a statistic: COUNT(*), COUNT(DISTINCT person), SUM(column) or AVG(column)")
    return keys, statistics


@dataclass(frozen=True)
class _Named:
    key: nodes.Key
    body: exp.Expr
    alias: str | None


def _grouped(group: exp.Expr | None, keys: list[_Named], select: exp.Select) -> tuple[nodes.Key, ...]:
    """Return the keys in the order of GROUP BY, which may name them by expression, alias or position."""
    if group is None:
        if keys:
            raise _refusal(keys[0].body, "is no statistic: name it in GROUP BY")
        return ()
    _only(group, "expressions")
    found: list[nodes.Key] = []
    for item in group.expressions:
        if isinstance(item, exp.Literal) and not item.is_string:
            chosen = select.expressions[int(item.this) - 1 : int(item.this)] if item.this.isdigit() else []
            matches = [one.key for one in keys if any(one.body is part.unalias() for part in chosen)]
        else:
            matches = [one.key for one in keys if one.body == item]
            if not matches and isinstance(item, exp.Column):
                matches = [one.key for one in keys if one.alias == item.name]
        if not matches:
            raise _refusal(item, "what is in GROUP BY is selected too")
        fresh = [key for key in matches if key not in found]  # one expression may be selected under two names
        if not fresh:
            raise _refusal(item, "is in GROUP BY twice")
        found.append(fresh[0])
    for one in keys:
        if one.key not in found:
            raise _refusal(one.body, "is no statistic: name it in GROUP BY")
    return tuple(found)


def _read_key(body: exp.Expr, name: str | None) -> nodes.Key:
    match body:
        case exp.Column():
            column = _column(body)
            return nodes.ByValue(column, None if name == column else name)
        case exp.TimestampTrunc() | exp.DateTrunc():
            _only(body, "this", "unit", "unabbreviate", "input_type_preserved")
            column, period = _column(body.this), body.args["unit"].name.lower()
            if period not in nodes.PERIODS:
                raise _refusal(body, f"DATE_TRUNC takes one of {', '.join(nodes.PERIODS)}")
            return nodes.ByPeriod(column, period, None if name == column else name)
        case exp.Case():
            return _read_bins(body, name)
        case exp.Star():
            raise _refusal(body, "no rows are given out: select statistics, as in COUNT(*)")
    raise _refusal(body, "a key is a column, DATE_TRUNC('month', column) or a CASE of bins [a, b)")


def _read_bins(body: exp.Case, name: str | None) -> nodes.ByBins:
    wanted = (
        "a CASE of bins is written: CASE WHEN a >= 0 AND a < 5 THEN '[0, 5)' WHEN a >= 5 AND a < 9 THEN '[5, 9)' END"
    )
    _only(body, "ifs")
    edges: list[nodes.Scalar] = []
    columns = set()
    for branch in body.args["ifs"]:
        _only(branch, "this", "true")
        test, label = branch.this, branch.args["true"]
        if (
            not isinstance(test, exp.And)
            or not isinstance(test.this, exp.GTE)
            or not isinstance(test.expression, exp.LT)
        ):
            raise _refusal(branch, wanted)
        for part in (test.this, test.expression):
            columns.add(_column(part.this))
        low, high = _scalar(test.this.expression), _scalar(test.expression.expression)
        if edges and edges[-1] != low:
            raise _refusal(branch, "bins follow each other without a gap: each begins where the one before ends")
        if not isinstance(label, exp.Literal) or not label.is_string or label.this != f"[{low}, {high})":
            raise _refusal(label, f"the label of this bin is '[{low}, {high})'")
        edges.extend([high] if edges else [low, high])
    if len(columns) != 1:
        raise _refusal(body, wanted)
    column = columns.pop()
    return nodes.ByBins(column, tuple(edges), None if name == column else name)


def _read_statistic(body: exp.Expr) -> tuple[nodes.Statistic, str]:
    """Return a statistic and the name it has without an alias."""
    if isinstance(body, exp.Count):
        _only(body, "this", "big_int")
        counted = body.this
        if isinstance(counted, exp.Star):
            _only(counted)
            return nodes.Count("events"), "count"
        if isinstance(counted, exp.Distinct):
            _only(counted, "expressions")
            if [_column(one).lower() for one in counted.expressions] == [PERSON]:
                return nodes.Count("persons"), "persons"
        raise _refusal(body, "count events with COUNT(*) or persons with COUNT(DISTINCT person)")
    _only(body, "this")
    column, bounds = _read_clamped(body.this)
    if isinstance(body, exp.Sum):
        return nodes.Sum(column, bounds), f"sum_{column}"
    return nodes.Mean(column, bounds), f"mean_{column}"


def _read_clamped(body: exp.Expr) -> tuple[str, tuple[float, float] | None]:
    if isinstance(body, exp.Column):
        return _column(body), None
    wanted = "write a column, or clamp it: CASE WHEN a < 0 THEN 0 WHEN a > 30 THEN 30 ELSE a END"
    if not isinstance(body, exp.Case) or len(body.args["ifs"]) != 2:
        raise _refusal(body, wanted)
    _only(body, "ifs", "default")
    low, high = body.args["ifs"]
    if not (isinstance(low.this, exp.LT) and isinstance(high.this, exp.GT) and body.args.get("default")):
        raise _refusal(body, wanted)
    names = {_column(low.this.this), _column(high.this.this), _column(body.args["default"])}
    numbers = [_scalar(part) for branch in (low, high) for part in (branch.this.expression, branch.args["true"])]
    if len(names) != 1 or numbers[0] != numbers[1] or numbers[2] != numbers[3]:
        raise _refusal(body, wanted)
    bounds = [number for number in numbers[::2] if isinstance(number, int | float) and not isinstance(number, bool)]
    if len(bounds) != 2:
        raise _refusal(body, "bounds are numbers")
    return names.pop(), (bounds[0], bounds[1])


def _read_predicate(part: exp.Expr, depth: int = 0) -> nodes.Predicate:
    if depth > DEPTH_MAX:
        raise _refusal(part, f"nests deeper than {DEPTH_MAX} levels")
    match part:
        case exp.Paren():
            _only(part, "this")
            return _read_predicate(part.this, depth + 1)
        case exp.And() | exp.Or():
            parts = tuple(_read_predicate(one, depth + 1) for one in _chain(part))
            return nodes.All(parts) if isinstance(part, exp.And) else nodes.Any(parts)
        case exp.Not():
            _only(part, "this")
            return nodes.Not(_read_predicate(part.this, depth + 1))
        case exp.Is(this=exp.Column() as column, expression=exp.Null()):
            _only(part, "this", "expression")
            return nodes.Comparison(_column(column), "is_null")
        case exp.In():
            _only(part, "this", "expressions")
            if not part.expressions:
                raise _refusal(part, "IN needs a list of values")
            return nodes.Comparison(_column(part.this), "in", tuple(_scalar(one) for one in part.expressions))
        case exp.Between():
            _only(part, "this", "low", "high")
            ends = _scalar(part.args["low"]), _scalar(part.args["high"])
            return nodes.Comparison(_column(part.this), "between", ends)
        case exp.Column():
            return nodes.Comparison(_column(part), "=", True)
    for op, kind in ORDER.items():
        if type(part) is kind:
            _only(part, "this", "expression")
            left, right = part.this, part.expression
            if isinstance(left, exp.Column):
                return nodes.Comparison(_column(left), op, _scalar(right))
            return nodes.Comparison(_column(right), MIRRORED.get(op, op), _scalar(left))
    raise _refusal(
        part, "a condition compares a column with values: =, <>, <, <=, >, >=, IN, BETWEEN, IS NULL; AND, OR, NOT"
    )


def _chain(part: exp.Expr) -> list[exp.Expr]:
    """Return the parts of a chain of one connective, without going deeper for each."""
    kind, found = type(part), []
    while type(part) is kind:
        _only(part, "this", "expression")
        found.append(part.expression)
        part = part.this
    return [part, *reversed(found)]


def _column(part: exp.Expr) -> str:
    if not isinstance(part, exp.Column):
        raise _refusal(part, "write the name of a column here")
    _only(part, "this")
    return _identifier(part.this)


def _identifier(part: exp.Expr | str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, exp.Identifier):
        raise _refusal(part, "write a name here")
    return str(part.this)


def _scalar(part: exp.Expr) -> nodes.Scalar:
    match part:
        case exp.Literal(is_string=True):
            return str(part.this)
        case exp.Literal():
            return _number(part, part.this)
        case exp.Neg(this=exp.Literal(is_string=False) as literal):
            return _number(literal, f"-{literal.this}")
        case exp.Boolean():
            return bool(part.this)
        case exp.Cast(this=exp.Literal(is_string=True) as literal) if part.to.is_type("date"):
            _only(part, "this", "to")
            return str(literal.this)
    raise _refusal(part, "write a number, a 'text', DATE '2020-01-31', TRUE or FALSE here")


def _number(part: exp.Expr, text: str) -> int | float:
    try:
        number = int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise _refusal(part, "this is no number that can be read") from None
    if not math.isfinite(number):
        raise _refusal(part, "this number is too large")
    return number


def _only(part: exp.Expr, *known: str) -> None:
    """Refuse a node with parts that nobody would look at."""
    for name, value in part.args.items():
        if name not in known and value not in (None, False, [], ""):
            where = value[0] if isinstance(value, list) else value
            inner = where if isinstance(where, exp.Expr) else part
            clause = CLAUSES.get(name, name.strip("_").replace("_", " ").upper())
            raise _refusal(inner, f"{clause} is not known here")


def located(refusal: InvalidQuery | OutsideProtocol) -> InvalidQuery | OutsideProtocol:
    """Return what was found in the tree of a query as a finding in the SQL that it was read from."""
    if not refusal.pointer.startswith("/query/"):
        return refusal
    place = refusal.pointer.removeprefix("/query/").replace("/", " ")
    return type(refusal)("/sql", f"{place}: {refusal.message}")


def _refusal(part: exp.Expr, message: str) -> InvalidQuery:
    places = [one.meta for one in part.walk() if "line" in one.meta]
    if not places:
        ancestor = part.parent
        while ancestor is not None and not places:
            places = [one.meta for one in ancestor.walk() if "line" in one.meta]
            ancestor = ancestor.parent
    if not places:
        return InvalidQuery("/sql", f"line 1, column 1: {message}")
    first = min(places, key=lambda meta: int(meta["start"]))
    column = int(first["col"]) - (int(first["end"]) - int(first["start"]))
    return InvalidQuery("/sql", f"line {first['line']}, column {column}: {message}")
