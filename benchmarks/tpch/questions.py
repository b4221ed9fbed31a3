"""Five of TPC-H's questions, with the parameters that its specification validates: as its SQL, and for Rowless."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A query of Rowless. Its rows answer those of the SQL whose keys they have.

    `key` takes the place of keys where the query has none.
    """

    query: Json
    epsilon: float
    keys: tuple[str, ...] = ()
    key: tuple[Any, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the statistics, in the order of the SQL's columns."""
        return tuple(self.query["select"])


@dataclass(frozen=True)
class Question:
    """A question: TPC-H's SQL without its ORDER BY, whose first columns are keys, and Rowless's queries for it.

    The profile knows all rows of a customer. `bounds` are those that somebody names who knows how few the filter
    leaves; `values` are then the bounds of the values that its conditions allow.
    """

    name: str
    sql: str
    keys: int
    parts: tuple[Part, ...]
    bounds: Json | None = None
    values: Json | None = None

    @property
    def bounded(self) -> tuple[Part, ...]:
        """Return the queries with these bounds."""
        if self.bounds is None:
            return ()
        return tuple(
            replace(
                part,
                query={
                    **part.query,
                    "bounds": self.bounds,
                    "select": {name: {**one, **(self.values or {})} for name, one in part.query["select"].items()},
                },
            )
            for part in self.parts
        )


def _is(column: str, op: str, value: Any) -> Json:
    return {"column": column, "op": op, "value": value}


HIGH = ["1-URGENT", "2-HIGH"]
ORDINARY = _is("special", "=", False)

QUESTIONS = (
    Question(
        "Q1, pricing summary",
        """
        SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice),
            sum(l_extendedprice * (1 - l_discount)), sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)),
            avg(l_quantity), avg(l_extendedprice), avg(l_discount), count(*)
        FROM lineitem WHERE l_shipdate <= date '1998-12-01' - interval '90' day
        GROUP BY l_returnflag, l_linestatus
        """,
        2,
        (
            Part(
                {
                    "from": "lines",
                    "where": _is("shipped", "<=", "1998-09-02"),
                    "group_by": ["returned", "status"],
                    "select": {
                        "sum_quantity": {"sum": "quantity"},
                        "sum_price": {"sum": "price"},
                        "sum_discounted": {"sum": "discounted"},
                        "sum_charged": {"sum": "charged"},
                        "mean_quantity": {"mean": "quantity"},
                        "mean_price": {"mean": "price"},
                        "mean_discount": {"mean": "discount"},
                        "lines": {"count": "events"},
                    },
                },
                1.0,
                ("returned", "status"),
            ),
        ),
    ),
    Question(
        "Q4, order priorities",
        """
        SELECT o_orderpriority, count(*) FROM orders
        WHERE o_orderdate >= date '1993-07-01' AND o_orderdate < date '1993-07-01' + interval '3' month
            AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
        GROUP BY o_orderpriority
        """,
        1,
        (
            Part(
                {
                    "from": "orders",
                    "where": {"all": [_is("ordered", "between", ["1993-07-01", "1993-09-30"]), _is("late", "=", True)]},
                    "group_by": ["priority"],
                    "select": {"orders": {"count": "events"}},
                },
                1.0,
                ("priority",),
            ),
        ),
        {"cells_per_person": 3, "events_per_cell": 2},
    ),
    Question(
        "Q6, revenue of discounts",
        """
        SELECT sum(l_extendedprice * l_discount) FROM lineitem
        WHERE l_shipdate >= date '1994-01-01' AND l_shipdate < date '1994-01-01' + interval '1' year
            AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24
        """,
        0,
        (
            Part(
                {
                    "from": "lines",
                    "where": {
                        "all": [
                            _is("shipped", "between", ["1994-01-01", "1994-12-31"]),
                            _is("discount", "between", [0.05, 0.07]),
                            _is("quantity", "<", 24),
                        ]
                    },
                    "select": {"revenue": {"sum": "saved"}},
                },
                1.0,
            ),
        ),
        {"events_per_cell": 6},
        {"bounds": [0, 3_400]},  # 23 parts of 2,099.00 at most, of which 0.07
    ),
    Question(
        "Q12, shipping modes",
        """
        SELECT l_shipmode, sum(CASE WHEN o_orderpriority IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END),
            sum(CASE WHEN o_orderpriority NOT IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END)
        FROM orders JOIN lineitem ON o_orderkey = l_orderkey
        WHERE l_shipmode IN ('MAIL', 'SHIP') AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
            AND l_receiptdate >= date '1994-01-01' AND l_receiptdate < date '1994-01-01' + interval '1' year
        GROUP BY l_shipmode
        """,
        1,
        (
            Part(
                {
                    "from": "lines",
                    "where": {
                        "all": [
                            _is("mode", "in", ["MAIL", "SHIP"]),
                            _is("received_late", "=", True),
                            _is("shipped_early", "=", True),
                            _is("received", "between", ["1994-01-01", "1994-12-31"]),
                        ]
                    },
                    "group_by": ["mode"],
                    "select": {
                        "high": {"count": "events", "where": _is("priority", "in", HIGH)},
                        "low": {"count": "events", "where": {"not": _is("priority", "in", HIGH)}},
                    },
                },
                1.0,
                ("mode",),
            ),
        ),
        {"cells_per_person": 2, "events_per_cell": 3},
    ),
    Question(
        "Q13, customers by their orders",
        """
        SELECT c_count, count(*) FROM (
            SELECT c_custkey, count(o_orderkey) AS c_count
            FROM customer LEFT JOIN orders ON c_custkey = o_custkey AND o_comment NOT LIKE '%special%requests%'
            GROUP BY c_custkey)
        GROUP BY c_count
        """,
        1,
        (
            Part(
                {
                    "from": {
                        "per_person": "orders",
                        "where": ORDINARY,
                        "values": {"orders": {"count": "events", "bounds": [0, 50]}},
                    },
                    "group_by": ["orders"],
                    "select": {"customers": {"count": "persons"}},
                },
                0.5,
                ("orders",),
            ),
            Part(
                {
                    "from": "persons",
                    "where": {"not": _is("person", "in", {"persons": "orders", "where": ORDINARY})},
                    "select": {"customers": {"count": "persons"}},
                },
                0.5,
                key=(0,),
            ),
        ),
    ),
)
