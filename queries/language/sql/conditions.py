"""Conditions of SQL as predicates: comparisons, connectives, and cohorts of persons."""

from __future__ import annotations

from sqlglot import exp

from queries.language import nodes
from queries.language.nodes import DEPTH_MAX
from queries.language.sql.related import Others
from queries.language.sql.sources import table_name
from queries.language.sql.syntax import both, chain, column_name, only, refusal, scalar, subselect
from queries.language.sql.written import ORDER, WILDCARDS

MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
COHORT = (
    "a cohort is written: person IN (SELECT person FROM table WHERE ... GROUP BY person HAVING COUNT(*) >= 2), or with "
    "EXISTS (SELECT 1 FROM other AS earlier WHERE earlier.person = table.person AND earlier.date <= table.date AND ...)"
)
RELATED = (
    "others are tied by person and date: earlier.person = table.person AND earlier.date BETWEEN table.date - 90 AND "
    "table.date; or, with NOT EXISTS, earlier.date < table.date"
)


def predicate(part: exp.Expr, depth: int = 0) -> nodes.Predicate:
    """Return a condition."""
    if depth > DEPTH_MAX:
        raise refusal(part, f"nests deeper than {DEPTH_MAX} levels")
    match part:
        case exp.Paren():
            only(part, "this")
            return predicate(part.this, depth + 1)
        case exp.And() | exp.Or():
            parts = tuple(predicate(one, depth + 1) for one in chain(part))
            return nodes.All(parts) if isinstance(part, exp.And) else nodes.Any(parts)
        case exp.Not():
            only(part, "this")
            return nodes.Not(predicate(part.this, depth + 1))
        case exp.Is(this=exp.Column() as column, expression=exp.Null()):
            only(part, "this", "expression")
            return nodes.Comparison(column_name(column), "is_null")
        case exp.In(this=exp.Column() as column) if (
            part.args.get("query") and column_name(column).lower() == nodes.PERSON
        ):
            only(part, "this", "query")
            return _cohort(part.args["query"], depth + 1)
        case exp.In() if part.args.get("field"):
            only(part, "this", "field")
            return _in_named(column_name(part.this), part.args["field"])
        case exp.In():
            only(part, "this", "expressions")
            if not part.expressions:
                raise refusal(part, "IN needs a list of values")
            return nodes.Comparison(column_name(part.this), "in", tuple(scalar(one) for one in part.expressions))
        case exp.Between():
            only(part, "this", "low", "high")
            ends = scalar(part.args["low"]), scalar(part.args["high"])
            return nodes.Comparison(column_name(part.this), "between", ends)
        case exp.Like() | exp.StartsWith():
            return _beginning(part)
        case exp.Column():
            return nodes.Comparison(column_name(part), "=", True)
    for op, kind in ORDER.items():
        if type(part) is kind:
            only(part, "this", "expression")
            left, right = part.this, part.expression
            if isinstance(left, exp.Column) and isinstance(right, exp.Column):
                return nodes.Comparison(column_name(left), op, nodes.OtherColumn(column_name(right)))
            if isinstance(left, exp.Column):
                return nodes.Comparison(column_name(left), op, scalar(right))
            return nodes.Comparison(column_name(right), MIRRORED.get(op, op), scalar(left))
    raise refusal(
        part, "a condition compares a column with values: =, <>, <, <=, >, >=, IN, BETWEEN, LIKE, IS NULL; AND, OR, NOT"
    )


def _beginning(part: exp.Like | exp.StartsWith) -> nodes.Comparison:
    """Return the condition that a code begins with a text: LIKE 'E11%', or STARTS_WITH(diagnosis, 'E11')."""
    only(part, "this", "expression")
    column = column_name(part.this)
    if isinstance(part, exp.StartsWith) and isinstance(part.expression, exp.Anonymous):
        return nodes.Comparison(column, "begins", _code_list(part.expression))
    text = scalar(part.expression)
    if isinstance(part, exp.StartsWith):
        return nodes.Comparison(column, "begins", text)
    prefix = text.removesuffix("%") if isinstance(text, str) else ""
    if prefix == text or not prefix or any(wildcard in prefix for wildcard in WILDCARDS):
        raise refusal(
            part, "LIKE takes the beginning of a code, as in LIKE 'E11%'; with % or _ in it, STARTS_WITH(column, 'E_1')"
        )
    return nodes.Comparison(column, "begins", prefix)


def _in_named(column: str, field: exp.Expr) -> nodes.Comparison:
    """Return IN CODES('diabetes'), IN DESCENDANTS('E11') or IN DESCENDANTS(CODES('diabetes'))."""
    if isinstance(field, exp.Anonymous) and field.name.upper() == "DESCENDANTS" and len(field.expressions) == 1:
        (of,) = field.expressions
        return nodes.Comparison(column, "under", _code_list(of) if isinstance(of, exp.Anonymous) else scalar(of))
    return nodes.Comparison(column, "in", _code_list(field))


def _code_list(part: exp.Expr) -> nodes.CodeList:
    """Return a list of the study's protocol: CODES('diabetes')."""
    name = part.expressions[0] if isinstance(part, exp.Anonymous) and len(part.expressions) == 1 else None
    if name is None or part.name.upper() != "CODES" or not (isinstance(name, exp.Literal) and name.is_string):
        raise refusal(
            part,
            "IN takes a list of values, a code list of the study's protocol, IN CODES('diabetes'), or all that are "
            "under a code, IN DESCENDANTS('E11')",
        )
    return nodes.CodeList(str(name.this))


def _cohort(query: exp.Expr, depth: int) -> nodes.Cohort:
    """Return the cohort that a subquery of persons is."""
    select = subselect(query)
    only(select, "kind", "expressions", "from_", "joins", "where", "group", "having")
    table = table_name(select)
    _require_person(select)
    where: list[exp.Expr] = []
    related: dict[str, tuple[nodes.Related, str]] = {}
    for part in _conditions(select):
        negated = isinstance(part, exp.Not) and isinstance(part.this, exp.Exists)
        exists = part.this if negated else part
        if not isinstance(exists, exp.Exists):
            where.append(part)
            continue
        only(exists, "this")
        word = "without" if negated else "after"
        if word in related:
            raise refusal(part, f"there is one {'NOT ' if negated else ''}EXISTS already")
        related[word] = _related(exists.this, table, word, depth)
    dates = {date for _, date in related.values()}
    if len(dates) > 1:
        raise refusal(select, "events have one date: EXISTS and NOT EXISTS compare the same column")
    after, without = (related[word][0] if word in related else None for word in ("after", "without"))
    condition = both([predicate(one, depth) for one in where])
    return nodes.Cohort(table, condition, _at_least(select), after, without, dates.pop() if dates else None)


def _require_person(select: exp.Select) -> None:
    person = [
        one for one in select.expressions if isinstance(one, exp.Column) and column_name(one).lower() == nodes.PERSON
    ]
    group = select.args.get("group")
    grouped = [] if group is None else group.expressions
    if group is not None:
        only(group, "expressions")
    if len(select.expressions) != 1 or len(person) != 1 or any(one != person[0] for one in grouped) or len(grouped) > 1:
        raise refusal(select, COHORT)


def _at_least(select: exp.Select) -> int:
    having = select.args.get("having")
    if having is None:
        return 1
    test = having.this
    count = isinstance(test, exp.GTE) and isinstance(test.this, exp.Count) and isinstance(test.this.this, exp.Star)
    number = scalar(test.expression) if count else 0
    if (
        not isinstance(number, int)
        or isinstance(number, bool)
        or not 1 <= number < 2**31
        or not select.args.get("group")
    ):
        raise refusal(having, COHORT)
    return number


def _conditions(select: exp.Select) -> list[exp.Expr]:
    """Return the parts of WHERE that must all hold."""
    where = select.args.get("where")
    found, left = [], [] if where is None else [where.this]
    while left:
        part = left.pop(0)
        inner = part.unnest()
        if isinstance(inner, exp.And):
            left = chain(inner) + left
        else:
            found.append(inner)
    return found


def _related(select: exp.Expr, table: str, word: str, depth: int) -> tuple[nodes.Related, str]:
    """Return the other events of an EXISTS, and the date of the table's own events."""
    if not isinstance(select, exp.Select):
        raise refusal(select, COHORT)
    only(select, "kind", "expressions", "from_", "where")
    if len(select.expressions) != 1 or not isinstance(select.expressions[0], exp.Literal):
        raise refusal(select, "EXISTS takes SELECT 1 FROM ...")
    op = exp.LTE if word == "after" else exp.LT
    return related_dates(select, Others.of(select, table), op, depth)


def related_dates(select: exp.Select, others: Others, op: type[exp.Expr], depth: int) -> tuple[nodes.Related, str]:
    """Return other events that are before (LT, LTE) or after (GTE) those outside, and the date of the latter.

    A second comparison, the other way, may say within how many days.
    """
    sign, back = (1, exp.LTE) if op is exp.GTE else (-1, exp.GTE)
    where, same_person, dates, within, tied_by_date = [], False, set(), None, False
    for condition in _conditions(select):
        tied = others.tied(condition)
        if tied is None:
            where.append(others.own(condition))
        elif isinstance(tied, str):
            same_person = True
        else:
            for found, date, outside, offset in tied:
                dates.add((date, outside))
                if found is op and offset == 0 and not tied_by_date:
                    tied_by_date = True
                elif found is back and sign * offset >= 0 and within is None:
                    within = sign * offset
                else:
                    raise refusal(condition, RELATED)
    if not same_person or not tied_by_date or len(dates) != 1:
        raise refusal(select, RELATED)
    date, outside = dates.pop()
    return nodes.Related(others.table, both([predicate(one, depth) for one in where]), within, date), outside
