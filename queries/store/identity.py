"""One person, one id: the canonical form of an identifier, as one total SQL expression for each type of column.

The id is the unit of privacy. If one id were read in two ways, one person would become two and move a count by two,
while the noise covers one. Therefore the form depends only on the id's own value and on the manifest:

- blanks around it are trimmed; an empty text is no id;
- a text or number that reads as a whole number is that number, whatever its type and its size: `7`, `7.0`, `0007`,
  `7e0`, `+7`, the double 7.0 and the decimal 7.000 are all `7`;
- a number with a fraction, of a column of numbers, is its shortest decimal (a double 12.5, a decimal 12.50: `12.5`);
- everything else is its text. A text with a fraction stays as it is: `12.10` and `12.1` may be site 12's tenth and
  first patient. Dates, booleans and UUIDs are their ISO, true/false and lower-case text. Bytes are the text they
  encode. A timestamp at midnight is its day, because programs write days as timestamps: `2020-01-01 00:00:00` is
  `2020-01-01`.
- null, NaN, infinities and the words of `missing` are no id.

Two values of one kind share a form only if they are the same number or differ in surrounding blanks: the form of a
number reads as that number, so no other text has it. (Bytes that are not UTF-8 get a leading blank, which no trimmed
text has.) The form does not depend on the column's type: every branch below for a numeric type returns the same as the
branch for texts does for the number's decimal text. docs/privacy.md ("One person is one person") has the argument.

`id_type = "text"` turns the reading of numbers off for texts (numbers in numeric columns keep the form above, because a
number has no spelling: the double 7.0 is `7`). `id_type = "number"` reads every id as a decimal number, fractions too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from queries.catalog.formats import NUMBER, TEXT, Identity
from queries.store.encoding import INTEGERS, name, text

if TYPE_CHECKING:
    from collections.abc import Sequence

# Unicode's White_Space, what stands for nothing (NUL, zero-width characters, word joiner) and the byte order mark.
BLANKS = "".join(
    map(chr, (0, *range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200E), 0x2028, 0x2029, 0x202F, 0x205F))
) + "".join(map(chr, (0x180E, 0x2060, 0x3000, 0xFEFF)))

# Above these, not every whole number is a float of that many bits: several ids would become one.
_EXACT = {"FLOAT": 2**24, "DOUBLE": 2**53}
_WIDE = ("UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM")

# Numbers longer than this keep their exponent (400 digits hold the shortest decimal of every double).
_DIGITS = 400
_PLAIN = f"[0-9]{{1,{_DIGITS}}}"
_MIDNIGHT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]00:00:00([.]0+)?"
_READS_AS_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,18})?"
_PARTS = r"^([+-]?)0*([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,18}))?$"

_NESTED = re.compile(r".*\]|(STRUCT|MAP|UNION)\(.*|VARIANT|GEOMETRY.*", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """One column of an id, as SQL in steps. Each step reads the one before, so that none is computed twice.

    `raw` is the value by which rows are grouped and joined, over the source's row; `written` its text, over `raw`;
    `read` its form, over `written`, NULL if it is empty. `form` is the form that counts: it differs from `read` where
    every id must be a number, and `read` then only serves to recognise missing words. `inexact` is true if `raw` must
    be refused.
    """

    place: int
    raw: str
    written: str
    read: str
    form: str
    inexact: str
    of_text: bool

    @property
    def key(self) -> str:
        """Return the name under which `raw` is kept."""
        return f'"#part{self.place}"'


def can_be_id(source_type: str) -> bool:
    """Return True if a column of a DuckDB type can name persons: lists, structs and the like cannot."""
    return not _NESTED.fullmatch(source_type)


def are_integers(types: Sequence[str], identity: Identity) -> bool:
    """Return True if all ids are integers of 64 bits that can be compared as such.

    The form of an integer is its decimal text, which is one to one: comparing integers is comparing forms. If missing
    words may be numbers, the form is needed.
    """
    return all(kind in INTEGERS for kind in types) and not any(re.search("[0-9]", word) for word in identity.missing)


def part(place: int, column: str, source_type: str, identity: Identity) -> Part:
    """Return how the column of an id is read that stands at a place among its columns."""
    key, written = f'"#part{place}"', f'"#written{place}"'
    spelled, read, inexact = f"{key}::VARCHAR", written, "false"
    if source_type in INTEGERS:
        return Part(place, f"{name(column)}::BIGINT", spelled, read, read, inexact, of_text=False)
    if source_type in _WIDE:
        return Part(place, name(column), spelled, read, read, inexact, of_text=False)
    if source_type.startswith("DECIMAL"):
        read = _decimal(written)
        return Part(place, name(column), spelled, read, read, inexact, of_text=False)
    if source_type in _EXACT:
        exact = _EXACT[source_type]
        finite = f"({key} - {key}) = 0"  # encoding.py says why isnan() and isinf() will not do
        # Two branches with one value: for whole numbers the cast is quicker, and returns what _decimal() returns.
        whole = f"WHEN {key} = trunc({key}) AND abs({key}) < {exact} THEN TRY_CAST({key} AS BIGINT)::VARCHAR"
        spelled = f"CASE WHEN {finite} THEN CASE {whole} ELSE {key}::VARCHAR END END"
        read = f"CASE WHEN regexp_full_match({written}, '-?[0-9]+') THEN {written} ELSE {_decimal(written)} END"
        inexact = f"coalesce({finite} AND abs({key}) >= {exact}, false)"
        return Part(place, name(column), spelled, read, read, inexact, of_text=False)
    read = form = f"nullif({written}, '')" if identity.id_type == TEXT else _form_of_text(written)
    if identity.id_type == NUMBER:
        form = f"CASE WHEN {_is_number(written)} THEN {_decimal(written)} END"
    return Part(place, _bytes(column, source_type), _written(key), read, form, inexact, of_text=True)


def words_for_nothing(identity: Identity) -> str:
    """Return SELECT of the words of `missing` as ids are read, in lower case."""
    words = [word for word in identity.missing if word.strip(BLANKS)]
    if not words:
        return "SELECT NULL WHERE false"
    one = part(0, "word", "VARCHAR", identity)
    listed = ", ".join(f"({text(word)})" for word in words)
    return (
        f'SELECT lower({one.read}) FROM (SELECT {one.written} AS "#written0" FROM '
        f"(SELECT {one.raw} AS {one.key} FROM (VALUES {listed}) t(word)))"
    )


def identified(grouped: str, parts: Sequence[Part], nothing: Sequence[str]) -> str:
    """Return SELECT over rows with the `key` of each part: `#id`, NULL if it is none, and columns that mark odd ones.

    `nothing` are words that are no id. `#spelled` is the id as it was written, NULL if it has no text; `#inexactI` and
    `#unreadI` mark parts that must be refused.
    """
    listed = ", ".join(map(text, nothing))
    written = "".join(f', {one.written} AS "#written{one.place}"' for one in parts)
    read = "".join(f', {one.read} AS "#read{one.place}"' for one in parts)
    forms, flags = "", ""
    for one in parts:
        i = one.place
        form = f'"#read{i}"' if one.form == one.read else one.form
        kept = f'CASE WHEN lower("#read{i}") NOT IN ({listed}) THEN {form} END' if listed else form
        known = f'CASE WHEN lower("#read{i}") NOT IN ({listed}) THEN "#read{i}" END' if listed else f'"#read{i}"'
        forms += f', {kept} AS "#form{i}", {known} IS NOT NULL AS "#known{i}"'
        flags += f', {one.inexact} AND "#known{i}" AS "#inexact{i}", "#known{i}" AND "#form{i}" IS NULL AS "#unread{i}"'
    spelled = "NULL"
    if any(one.of_text for one in parts):
        spelled = encoded([f'"#{"written" if one.of_text else "form"}{one.place}"' for one in parts])
    identifier = encoded([f'"#form{one.place}"' for one in parts])
    helpers = [f'"#{what}{one.place}"' for one in parts for what in ("written", "read", "form", "known")]
    return (
        f'SELECT * EXCLUDE ({", ".join(helpers)}), {identifier} AS "#id", {spelled} AS "#spelled"{flags} '
        f"FROM (SELECT *{forms} FROM (SELECT *{read} FROM (SELECT *{written} FROM ({grouped}))))"
    )


def encoded(parts: Sequence[str]) -> str:
    """Return SQL that joins texts, each after its length, so that no two tuples give one text. NULL if a part is."""
    if len(parts) == 1:
        return parts[0]
    return " || ".join(f"strlen({one})::VARCHAR || ':' || {one}" for one in parts)


def _bytes(column: str, source_type: str) -> str:
    """Return a column's text as bytes: they are compared byte by byte, whatever collation the source declares."""
    if source_type == "BLOB":
        return name(column)
    value = name(column)
    if source_type == "TIMESTAMP WITH TIME ZONE":  # as text it would be in the time zone of the importing machine
        value = f"make_timestamp(epoch_us({value}))"
    if source_type == "JSON":
        value = f"({value} ->> '$')"
    return f"encode(TRY_CAST({value} AS VARCHAR))"


def _written(place: str) -> str:
    """Return the trimmed text of bytes. What begins and ends with a printing ASCII character has nothing to trim."""
    decoded = f"TRY(decode({place}))"
    blanks = f"chr(0) || {text(BLANKS[1:])}"  # no NUL can stand in SQL
    return (
        f"CASE WHEN regexp_full_match({decoded}, '[!-~](.*[!-~])?') THEN {decoded} "
        f"ELSE coalesce(trim({decoded}, {blanks}), ' ' || hex({place})) END"
    )


def _form_of_text(written: str) -> str:
    """Return the form of a trimmed text: the number it reads as, if it is a whole one, or itself. NULL if it is empty.

    The first branch is the third for digits alone, and quicker.
    """
    number = _decimal(written)
    return (
        f"CASE WHEN {written} = '' THEN NULL "
        f"WHEN regexp_full_match({written}, '{_PLAIN}') THEN coalesce(nullif(ltrim({written}, '0'), ''), '0') "
        f"WHEN {_is_number(written)} THEN CASE WHEN {_is_whole(number)} THEN {number} ELSE {written} END "
        f"WHEN regexp_full_match({written}, '{_MIDNIGHT}') THEN left({written}, 10) "
        f"ELSE {written} END"
    )


def _is_number(written: str) -> str:
    return f"regexp_full_match({written}, '{_READS_AS_NUMBER}')"


def _is_whole(number: str) -> str:
    """Return SQL that is true if a number in normal form is whole: no point, and no exponent below 0."""
    return f"NOT regexp_matches({number}, '[.]|e-')"


def _decimal(spelled: str) -> str:
    """Return the normal form of a text that reads as a number: no superfluous zeros, and no exponent.

    With d the digits without zeros at either end, and p their power of ten: sign, d, p zeros; with p below 0 a point.
    Numbers of more than 400 digits are `dep`. The value of a text decides sign, d and p, and they decide the form, so
    two texts share a form just when they are the same number. p is at most 18 digits and the length of a text long.
    """
    return (
        f"list_transform(list_transform([regexp_extract({spelled}, '{_PARTS}', ['sign', 'whole', 'part', 'power'])], "
        "lambda n: {'sign': CASE n.sign WHEN '-' THEN '-' ELSE '' END, 'digits': trim(n.whole || n.part, '0'), "
        "'power': coalesce(TRY_CAST(n.power AS BIGINT), 0) - length(n.part) "
        "+ length(n.whole || n.part) - length(rtrim(n.whole || n.part, '0'))}), lambda n: "
        "CASE WHEN n.digits = '' THEN '0' "
        f"WHEN greatest(length(n.digits) + n.power, length(n.digits), -n.power) > {_DIGITS} "
        "THEN n.sign || n.digits || 'e' || n.power "
        "WHEN n.power >= 0 THEN n.sign || n.digits || repeat('0', n.power) "
        "WHEN length(n.digits) > -n.power THEN n.sign || left(n.digits, length(n.digits) + n.power) || '.' "
        "|| right(n.digits, -n.power) "
        "ELSE n.sign || '0.' || repeat('0', -n.power - length(n.digits)) || n.digits END)[1]"
    )
