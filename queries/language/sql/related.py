"""Other events of the same person, in a subquery: how they are tied to the ones outside, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from queries.language import nodes
from queries.language.sql.syntax import identifier, only, refusal, scalar

SAME_PERSON = "same person"
COMPARED = {exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE}

# (comparison, date of the others, date of those outside, days added to the latter)
Tie = tuple[type[exp.Expr], str, str, int]


@dataclass(frozen=True)
class Others:
    """The events of `table`, called `alias`, within a query of the events of `outside`."""

    table: str
    alias: str
    outside: str

    @classmethod
    def of(cls, select: exp.Select, outside: str) -> Others:
        """Return what FROM names."""
        table = select.args["from_"].this if select.args.get("from_") else None
        if not isinstance(table, exp.Table) or not table.args.get("alias"):
            raise refusal(select, "name the other events: FROM table AS earlier")
        only(table, "this", "alias")
        only(table.args["alias"], "this")
        alias = identifier(table.args["alias"].this)
        if alias.lower() == outside.lower():
            raise refusal(table, f"{alias} is the name of the table outside; choose another")
        for column in select.find_all(exp.Column):
            for name in (alias, outside):
                if column.table.lower() == name.lower():
                    column.set("table", exp.to_identifier(name))
        return cls(identifier(table.this), alias, outside)

    def tied(self, condition: exp.Expr) -> str | list[Tie] | None:
        """Return how a condition ties both tables: SAME_PERSON, or by date; None where it does not."""
        if not any(isinstance(one, exp.Column) and one.table == self.outside for one in condition.walk()):
            return None
        if isinstance(condition, exp.Between):
            only(condition, "this", "low", "high")
            low, high = condition.args["low"], condition.args["high"]
            return [self._tie(exp.GTE, condition.this, low), self._tie(exp.LTE, condition.this, high)]
        if not isinstance(condition, exp.EQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
            raise refusal(condition, "the tables are compared by person and by date only")
        only(condition, "this", "expression")
        left, right = condition.this, condition.expression
        if isinstance(condition, exp.EQ):
            names = {(one.table, one.name.lower()) for one in (left, right) if isinstance(one, exp.Column)}
            if names != {(self.alias, nodes.PERSON), (self.outside, nodes.PERSON)}:
                raise refusal(condition, f"write {self.alias}.person = {self.outside}.person")
            return SAME_PERSON
        if isinstance(left, exp.Column) and left.table == self.alias:
            return [self._tie(type(condition), left, right)]
        return [self._tie(COMPARED[type(condition)], right, left)]

    def _tie(self, op: type[exp.Expr], here: exp.Expr, there: exp.Expr) -> Tie:
        date, of_table, offset = here, there, 0
        if isinstance(there, exp.Add | exp.Sub):
            only(there, "this", "expression")
            of_table, offset = there.this, days(there.expression)
            offset = -offset if isinstance(there, exp.Sub) else offset
        if isinstance(of_table, exp.Min):
            only(of_table, "this")
            of_table = of_table.this
        for column, table in ((date, self.alias), (of_table, self.outside)):
            if not isinstance(column, exp.Column) or column.table != table:
                raise refusal(here, f"compare {self.alias}.date with {self.outside}.date, or with days added to it")
            only(column, "this", "table")
        return op, identifier(date.this), identifier(of_table.this), offset

    def own(self, condition: exp.Expr) -> exp.Expr:
        """Return a condition on the other events alone, its columns by their plain names."""
        for column in condition.find_all(exp.Column):
            if column.table == self.alias:
                column.set("table", None)
        return condition


def days(part: exp.Expr) -> int:
    """Return a number of days: 90, or INTERVAL 90 DAY."""
    if isinstance(part, exp.Interval):
        only(part, "this", "unit")
        unit = part.args.get("unit")
        if unit is None or unit.name.upper() not in ("DAY", "DAYS"):
            raise refusal(part, "give a number of days")
        literal = part.this
        number = int(literal.this) if isinstance(literal, exp.Literal) and str(literal.this).isdecimal() else -1
    else:
        number = scalar(part)  # type: ignore[assignment]
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**31:
        raise refusal(part, "give a whole number of days")
    return number
