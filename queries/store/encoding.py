"""Source values -> codes: total SQL expressions for each kind of column.

Total means that anything in a source (text in a number, NaN, infinities, dates that do not exist) becomes a code and
never an error. The manifest declares how values are written (`formats.py`); this is never learnt from the data, and
each value is read by itself. Losses on the way are counted for the admin's report:

- *coerced*: could not be read as the column's type, and became null;
- *unknown*: a category that was not declared, and became null;
- *clamped*: a number or a date beyond the declared bounds, moved to the nearest bound.

These are no losses, because the custodian declared them: *missing* words, and values *outside* the bounds if the
manifest makes them null.

A value is read in two steps, each its own column so that DuckDB computes it once: first its text without surrounding
blanks, then the value (whole steps, days, 0 or 1, or a text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING

from queries.catalog.codes import code_type
from queries.catalog.formats import MISSING, NOTHING, NULL, Reading
from queries.catalog.schema import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
FLOATS = {"FLOAT", "DOUBLE"}
NUMBERS = INTEGERS | FLOATS | {"UBIGINT", "HUGEINT", "UHUGEINT"}
DATES = {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}

# Blanks of ASCII and of Unicode, zero-width ones, the byte order mark. (NUL cannot stand in SQL.)
BLANKS = "".join(
    map(chr, (*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200E), 0x2028, 0x2029, 0x202F, 0x205F))
) + "".join(map(chr, (0x180E, 0x2060, 0x3000, 0xFEFF)))

_WHOLE = r"(0|-?[1-9][0-9]*)"
_PLAIN = r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
_DAY = "^[0-9]{4}[-/]"
_ZONE = "[0-9 ](Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$"
_EXACT = 2**53  # above it, not every whole number is a double


@dataclass(frozen=True)
class Coding:
    """SQL for the code of a column, and for how its values were lost.

    `text` reads a source's row. `value` reads the row and `text` under the name `text_name`. The others read both and
    `value` under the name `value_name`. `code` is 0 for null. The others are true or false, and at most one is true.
    """

    public: str
    text: str
    value: str
    code: str
    null: str
    missing: str
    coerced: str = "false"
    unknown: str = "false"
    clamped: str = "false"
    outside: str = "false"

    @property
    def text_name(self) -> str:
        """Return the quoted name of the text; no public or source column has it."""
        return _text_name(self.public)

    @property
    def value_name(self) -> str:
        """Return the quoted name of the value; no public or source column has it."""
        return _value_name(self.public)


def name(identifier: str) -> str:
    """Quote an identifier for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """Quote a text for SQL."""
    return "'" + value.replace("'", "''") + "'"


def coding(column: Column, source: str, source_type: str, reading: Reading) -> Coding:
    """Return the coding of a column from the SQL expression `source` of DuckDB type `source_type`.

    The code of an undeclared category is its value: the caller puts a number in its place.
    """
    match column.kind:
        case Kind.CATEGORY:
            return _category(column, source, source_type, reading)
        case Kind.BOOLEAN:
            return _boolean(column, source, source_type, reading)
        case Kind.DATE:
            return _date(column, source, source_type, reading)
        case Kind.INTEGER | Kind.NUMBER:
            return _number(column, source, source_type, reading)


def reading_of(relation: str, codings: Sequence[Coding]) -> str:
    """Return SELECT over a source with the text and the value of each column added."""
    texts = "".join(f", {one.text} AS {one.text_name}" for one in codings)
    values = "".join(f", {one.value} AS {one.value_name}" for one in codings)
    return f"SELECT *{values} FROM (SELECT *{texts} FROM {relation})"


def trimmed(source: str) -> str:
    """Return SQL for a text without the blanks around it. Most texts have none, which is quick to check."""
    value = f"TRY_CAST({source} AS VARCHAR)"
    plain = " AND ".join(f"ascii({end}) BETWEEN 33 AND 126" for end in (value, f"right({value}, 1)"))
    return f"CASE WHEN {plain} THEN {value} ELSE trim({value}, {text(BLANKS)}) END"


def _text_name(public: str) -> str:
    return name(f"#text {public}")


def _value_name(public: str) -> str:
    return name(f"#value {public}")


# Categories


def _category(column: Column, source: str, source_type: str, reading: Reading) -> Coding:
    values = column.values or ()
    as_it_stands = not reading.trim or any(value != value.strip(BLANKS) for value in values)
    numeric = source_type in NUMBERS or source_type.startswith("DECIMAL")
    if source_type in FLOATS:
        is_whole = f"({source} - {source}) = 0 AND {source} = trunc({source}) AND abs({source}) < {_EXACT}"
        written = (
            f"CASE WHEN {is_whole} THEN TRY_CAST({source} AS BIGINT)::VARCHAR "
            f"WHEN ({source} - {source}) = 0 THEN {source}::VARCHAR END"
        )
    elif numeric:
        written = f"{source}::VARCHAR"
    else:
        written = f"TRY_CAST({source} AS VARCHAR)" if as_it_stands else trimmed(source)
    here = _text_name(column.name)
    zeros = "0+" if numeric else "0"
    whole = _whole(here, zeros) if numeric or reading.trim else here
    words = [word for word in (MISSING if reading.missing is None else reading.missing) if word not in values]
    nothing = [] if "" in values else [f"{here} = ''"]
    if words:
        nothing += [f"{form} IN ({_listed(words)})" for form in dict.fromkeys((here, whole))]
    if source_type in FLOATS:  # NaN has no text
        nothing.append(f"({source} IS NOT NULL AND {here} IS NULL)")
    missing = f"coalesce({' OR '.join(nothing) or 'false'}, false)"
    written_as = here if column.declared else whole
    value = f"CASE WHEN NOT {missing} THEN {_renamed(written_as, (here, whole), reading)} END"
    null, unread = f"{source} IS NULL", f"({source} IS NOT NULL AND {here} IS NULL AND NOT {missing})"
    kept = _value_name(column.name)
    if not column.declared:
        return Coding(column.name, written, value, kept, null, missing, unknown=unread)
    # A text is the declared value with the same spelling, or else the one that is the same whole number: 1.0 is 1.
    spelled = [kept]
    if whole != here and any(re.fullmatch(_WHOLE, declared) for declared in values):
        spelled.append(_whole(kept, zeros))
    if reading.trim and any(re.fullmatch(_WHOLE + "[.]0", declared) for declared in values):
        spelled.append(f"{kept} || '.0'")
    enum = f"ENUM({_listed(values)})"
    found = ", ".join(f"enum_code(TRY_CAST({one} AS {enum}))::BIGINT" for one in spelled)
    other = -1 if reading.other is None else values.index(reading.other)
    code = _stored(column, f"CASE WHEN {kept} IS NULL THEN 0 ELSE coalesce({found}, {other}) + 1 END")
    unknown = f"({kept} IS NOT NULL AND {code} = 0) OR {unread}"
    return Coding(column.name, written, value, code, null, missing, unknown=unknown)


def _renamed(text_of: str, forms: tuple[str, str], reading: Reading) -> str:
    """Return SQL for a text in place of which the manifest puts another, or of which it keeps the first characters."""
    if reading.renamed:
        enum = f"ENUM({_listed([old for old, _ in reading.renamed])})"
        new = f"[{_listed([new for _, new in reading.renamed])}]"
        found = [f"{new}[enum_code(TRY_CAST({form} AS {enum}))::BIGINT + 1]" for form in dict.fromkeys(forms)]
        text_of = f"coalesce({', '.join(found)}, {text_of})"
    return text_of if reading.prefix is None else f"left({text_of}, {reading.prefix})"


def _whole(here: str, zeros: str) -> str:
    """Return SQL for a text, without the zeros after its point if it is a whole number."""
    return (
        f"CASE WHEN right({here}, 1) = '0' AND regexp_full_match({here}, '{_WHOLE}[.]{zeros}') "
        f"THEN split_part({here}, '.', 1) ELSE {here} END"
    )


# Booleans


def _boolean(column: Column, source: str, source_type: str, reading: Reading) -> Coding:
    here, kept = _text_name(column.name), _value_name(column.name)
    if source_type == "BOOLEAN":
        written, missing = "NULL", "false"
        value = f"CASE {source} WHEN true THEN 1 WHEN false THEN 0 END"
    else:
        written = f"lower({trimmed(source)})"
        true, false = (_listed([word.lower() for word in words]) for words in (reading.true, reading.false))
        given = {word.lower() for word in (*reading.true, *reading.false)}
        words = [word.lower() for word in (*NOTHING, *(reading.missing or ())) if word.lower() not in given]
        missing = f"coalesce({here} = '' OR {here} IN ({_listed(words)}), false)"
        value = f"CASE WHEN {missing} THEN NULL WHEN {here} IN ({true}) THEN 1 WHEN {here} IN ({false}) THEN 0 END"
    coerced = f"{source} IS NOT NULL AND NOT {missing} AND {kept} IS NULL"
    code = _stored(column, f"coalesce({kept} + 1, 0)")
    return Coding(column.name, written, value, code, f"{source} IS NULL", missing, coerced=coerced)


# Dates


def _date(column: Column, source: str, source_type: str, reading: Reading) -> Coding:
    here = _text_name(column.name)
    zoned = source_type.startswith("TIMESTAMP") and source_type.endswith("WITH TIME ZONE")
    typed = source_type in DATES or zoned
    words = [word.lower() for word in (*(() if typed else NOTHING), *(reading.missing or ()))]
    if typed:
        written = f"TRY_CAST({source} AS VARCHAR)" if words else "NULL"
        date = f"TRY_CAST({_in_zone(source, reading) if zoned else source} AS DATE)"
    else:
        written = trimmed(source)
        date = _date_of_text(here, column, reading)
    missing = f"coalesce({here} = '' OR lower({here}) IN ({_listed(words)}), false)" if words else "false"
    days = f"CASE WHEN NOT {missing} AND isfinite({date}) THEN datediff('day', DATE '1970-01-01', {date}) END"
    return _bounded(column, source, reading, written, days, missing)


def _in_zone(instant: str, reading: Reading) -> str:
    return f"timezone({text(reading.timezone)}, TRY_CAST({instant} AS TIMESTAMP WITH TIME ZONE))"


def _date_of_text(here: str, column: Column, reading: Reading) -> str:
    if not reading.formats:
        # The engine would read 24-02-01 as a day of the year 24. Years have four digits unless a format says otherwise.
        return (
            f"CASE WHEN length({here}) > 10 AND regexp_matches({here}, '{_ZONE}') "
            f"AND regexp_matches({here}, '{_DAY}') THEN TRY_CAST({_in_zone(here, reading)} AS DATE) "
            f"WHEN regexp_matches({here}, '{_DAY}') THEN TRY_CAST({here} AS DATE) END"
        )
    dates = []
    for form in reading.formats:
        read = f"TRY_STRPTIME({here}, {text(form)})"
        date = f"TRY_CAST({_in_zone(read, reading) if re.search('%[zZ]', form) else read} AS DATE)"
        if re.search("%-?y", form):
            dates.append(_century(date, column))
        else:  # %Y accepts two digits too, as a year of the first century
            dates.append(f"CASE WHEN year({date}) >= 100 THEN {date} END")
    return f"coalesce({', '.join(dates)})"


def _century(date: str, column: Column) -> str:
    """Return SQL for a date whose year had two digits, in the century that puts it within the column's bounds.

    The engine's own century (1969 to 2068) is tried first, and is kept if none fits.
    """
    low, high = (f"DATE '1970-01-01' + ({days})::INTEGER" for days in (column.low, column.high))
    shifted = [f"TRY_CAST({date} {sign} INTERVAL 100 YEAR AS DATE)" for sign in "-+"]
    others = " ".join(
        f"WHEN {other} BETWEEN {low} AND {high} AND day({other}) = day({date}) THEN {other}" for other in shifted
    )
    return f"CASE WHEN {date} BETWEEN {low} AND {high} THEN {date} {others} ELSE {date} END"


# Numbers


def _number(column: Column, source: str, source_type: str, reading: Reading) -> Coding:
    here = _text_name(column.name)
    numbers = _numbers(reading.missing or ())
    if source_type in NUMBERS:
        written = "NULL"
        if column.step == 1 and source_type in INTEGERS:
            units = f"{source}::BIGINT"  # so that no arithmetic overflows a narrower type
        else:
            units = _steps_of_double(column, f"TRY_CAST({source} AS DOUBLE)")
        same = [f"TRY_CAST({source} AS DOUBLE) = {number}" for number in numbers]
        if source_type in FLOATS:  # see _steps_of_double for x - x
            same.append(f"(NOT coalesce(({source} - {source}) = 0, true) AND {source}::VARCHAR IN ('nan', '-nan'))")
    else:
        written = _plain(trimmed(source), reading)
        words = [word.lower() for word in (*NOTHING, *(reading.missing or ()))]
        double = f"TRY_CAST({here} AS DOUBLE)"
        units = f"CASE WHEN regexp_full_match({here}, '{_PLAIN}') THEN {_steps_of_text(column, here)} END"
        same = [f"{here} = ''", f"lower({here}) IN ({_listed(words)})", *(f"{double} = {number}" for number in numbers)]
    missing = f"coalesce({' OR '.join(same)}, false)" if same else "false"
    value = f"CASE WHEN NOT {missing} THEN {units} END"
    return _bounded(column, source, reading, written, value, missing)


def _plain(written: str, reading: Reading) -> str:
    """Return SQL for a number in SQL's spelling, from one with the manifest's decimal and thousands marks.

    A text with misplaced marks becomes a text that is no number: 1.5 is not 15 if the point marks thousands.
    """
    if reading.decimal == "." and not reading.thousands:
        return written
    mark = f"[{reading.decimal}]"
    whole, replaced = "[0-9]+", "one"
    if reading.thousands:
        marks = " \u00a0\u202f" if reading.thousands == " " else reading.thousands
        whole = f"([0-9]+|[0-9]{{1,3}}([{marks}][0-9]{{3}})+)"
        replaced = f"translate({replaced}, {text(marks)}, '')"
    if reading.decimal != ".":
        replaced = f"replace({replaced}, {text(reading.decimal)}, '.')"
    pattern = f"[+-]?({whole}({mark}[0-9]*)?|{mark}[0-9]+)([eE][+-]?[0-9]+)?"
    return (
        f"list_transform([{written}], lambda one: CASE WHEN regexp_full_match(one, {text(pattern)}) THEN {replaced} "
        f"WHEN regexp_full_match(one, '{_PLAIN}') THEN one || '?' ELSE one END)[1]"
    )


def _steps_of_text(column: Column, here: str) -> str:
    """Return SQL for a text that is a number, in whole steps: exact in decimals, and in doubles far beyond the bounds.

    With k digits after the point, DECIMAL(37 - k, k) times 10^k has 38 digits, so that nothing overflows.
    """
    step = Fraction(column.step)
    digits = max(0, -int(column.step.as_tuple().exponent))
    power = Fraction(10) ** digits
    doubles = _steps_of_double(column, f"TRY_CAST({here} AS DOUBLE)")
    if step * power != 1:  # a step that is no power of ten: compare with halves of it, far behind the point
        digits += 6
        power = Fraction(10) ** digits
    if digits > 20 or (step * power).denominator != 1:
        return doubles
    if step * power == 1 and digits <= 15 and max(-column.low, column.high) < _EXACT // 4:
        # Quicker: for so few units, a double times ten to the k is less than a half away from the decimal.
        return f"coalesce(round(TRY_CAST({here} AS DECIMAL(18, {digits}))::DOUBLE * {power})::BIGINT, {doubles})"
    decimal = f"TRY_CAST({here} AS DECIMAL({37 - digits}, {digits}))"
    scaled = f"({decimal} * CAST({power} AS DECIMAL({digits + 1}, 0)))::HUGEINT"
    times = int(step * power)
    if times != 1:
        scaled = f"sign({scaled}) * ((2 * abs({scaled}) + {times}) // {2 * times})"
    return f"coalesce(TRY_CAST({scaled} AS BIGINT), {doubles})"


def _steps_of_double(column: Column, number: str) -> str:
    """Return SQL for a double in whole steps, NULL if it is not finite."""
    steps = Fraction(1) / Fraction(column.step)  # x / 0.01 is less exact than x * 100
    scaled = f"({number} * {steps.numerator}.0 / {steps.denominator}.0)"
    # Far beyond the bounds a double does not fit 64 bits: clamp first, one outside so that it is counted.
    held = f"greatest(least({scaled}, {column.high + 1}::DOUBLE), {column.low - 1}::DOUBLE)"
    # x - x is 0 only for finite numbers. (DuckDB decides isnan() and isinf() from a Parquet file's minimum and maximum,
    # which ignore NaN. LEAST and GREATEST skip nulls, so a null must not reach them.)
    return f"CASE WHEN ({number} - {number}) = 0 THEN round({held})::BIGINT END"


def _numbers(words: tuple[str, ...]) -> list[str]:
    """Return the words that are numbers, as SQL."""
    found = []
    for word in words:
        try:
            number = Decimal(word)
        except InvalidOperation:
            continue
        if number.is_finite():
            found.append(f"{number:E}::DOUBLE")
    return found


def _bounded(column: Column, source: str, reading: Reading, written: str, value: str, missing: str) -> Coding:
    """Return the coding of units, which are null if a value is missing or could not be read."""
    kept = _value_name(column.name)
    beyond, code = within_bounds(column, kept, reading.outside)
    coerced = f"{source} IS NOT NULL AND NOT {missing} AND {kept} IS NULL"
    counted = {"outside" if reading.outside == NULL else "clamped": beyond}
    return Coding(column.name, written, value, code, f"{source} IS NULL", missing, coerced=coerced, **counted)


def within_bounds(column: Column, value: str, outside: str) -> tuple[str, str]:
    """Return SQL for whether a value, in steps, is beyond the column's bounds, and for the code that is stored."""
    # CASE, because GREATEST ignores nulls.
    low, high = (0, 0) if outside == NULL else (1, column.size)
    code = (
        f"CASE WHEN {value} IS NULL THEN 0 WHEN {value} < {column.low} THEN {low} "
        f"WHEN {value} > {column.high} THEN {high} ELSE {value} - ({column.low}) + 1 END"
    )
    return f"coalesce({value} NOT BETWEEN {column.low} AND {column.high}, false)", _stored(column, code)


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(text, words))


def _stored(column: Column, code: str) -> str:
    return f"({code})::{code_type(column)}"
