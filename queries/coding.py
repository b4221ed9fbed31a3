"""Source values -> codes: one total SQL expression for each kind of column.

Total means: whatever a source holds (text in a number, NaN, infinities, dates that do not exist) becomes a code and
never an error. What was lost on the way is counted for the admin's report:

- *coerced*: could not be read as the column's type, and became null;
- *unknown*: a category that was not declared, and became null;
- *clamped*: a number or a date beyond the declared bounds, moved to the nearest bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from queries.catalog import Column, Kind

INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
NUMBERS = INTEGERS | {"UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE"}
DATES = {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}

TRUE, FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")


@dataclass(frozen=True)
class Coding:
    """SQL over a source's row: the code, and whether it was clamped. `lost` names what a 0 for a value means."""

    code: str
    clamped: str
    lost: str


def name(identifier: str) -> str:
    """Quote an identifier for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"


def code_type(column: Column) -> str:
    """Return the smallest stored type that holds a column's codes."""
    if not column.declared:
        return "UINTEGER"
    for bits, stored in ((8, "UTINYINT"), (16, "USMALLINT"), (32, "UINTEGER")):
        if column.size < 2**bits:
            return stored
    return "BIGINT"


def coding(column: Column, source: str, source_type: str) -> Coding:
    """Return how a declared column is coded from the SQL expression `source` of DuckDB type `source_type`."""
    match column.kind:
        case Kind.CATEGORY:
            return _category(column, source)
        case Kind.BOOLEAN:
            return _boolean(column, source, source_type)
        case Kind.DATE:
            value = source if source_type in DATES else f"TRY_CAST({source} AS VARCHAR)"
            date = f"TRY_CAST({value} AS DATE)"
            days = f"CASE WHEN isfinite({date}) THEN datediff('day', DATE '1970-01-01', {date}) END"
            return _clamped(column, days)
        case Kind.INTEGER | Kind.NUMBER:
            return _clamped(column, _units(column, source, source_type))


def _category(column: Column, source: str) -> Coding:
    assert column.values is not None
    values = ", ".join(map(text, column.values))
    enum = f"TRY_CAST(TRY_CAST({source} AS VARCHAR) AS ENUM({values}))"
    return Coding(_stored(column, f"coalesce(enum_code({enum})::BIGINT + 1, 0)"), "false", "unknown")


def _boolean(column: Column, source: str, source_type: str) -> Coding:
    spelled = f"lower(trim(TRY_CAST({source} AS VARCHAR)))"
    if source_type == "BOOLEAN":
        code = f"CASE {source} WHEN true THEN 2 WHEN false THEN 1 ELSE 0 END"
    else:
        true, false = (", ".join(map(text, words)) for words in (TRUE, FALSE))
        code = f"CASE WHEN {spelled} IN ({true}) THEN 2 WHEN {spelled} IN ({false}) THEN 1 ELSE 0 END"
    return Coding(_stored(column, code), "false", "coerced")


def _units(column: Column, source: str, source_type: str) -> str:
    """Return the value in whole steps, NULL for what is no finite number."""
    if column.step == 1 and source_type in INTEGERS:
        return f"{source}::BIGINT"  # so that no arithmetic overflows a narrower type
    number = source if source_type in NUMBERS else f"TRY_CAST({source} AS VARCHAR)"
    number = f"TRY_CAST({number} AS DOUBLE)"
    steps = Fraction(1) / Fraction(column.step)  # x / 0.01 is less exact than x * 100
    scaled = f"({number} * {steps.numerator}.0 / {steps.denominator}.0)"
    # Far beyond the bounds a double is no whole number of 64 bits: clamp first, outside by one to be counted.
    held = f"greatest(least({scaled}, {column.high + 1}::DOUBLE), {column.low - 1}::DOUBLE)"
    # x - x is 0 for finite numbers alone. (isnan() and isinf() are decided from a Parquet file's minimum and maximum,
    # which know nothing of NaN; LEAST and GREATEST skip nulls, so a null must not reach them.)
    return f"CASE WHEN ({number} - {number}) = 0 THEN round({held})::BIGINT END"


def _clamped(column: Column, units: str) -> Coding:
    # CASE and not GREATEST: that ignores nulls.
    code = (
        f"CASE WHEN ({units}) IS NULL THEN 0 WHEN ({units}) < {column.low} THEN 1 "
        f"WHEN ({units}) > {column.high} THEN {column.size} ELSE ({units}) - {column.low} + 1 END"
    )
    return Coding(
        _stored(column, code), f"coalesce(({units}) NOT BETWEEN {column.low} AND {column.high}, false)", "coerced"
    )


def _stored(column: Column, code: str) -> str:
    return f"({code})::{code_type(column)}"
