"""How values are written is what the manifest says, and a value is read by itself alone."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queries.catalog import manifest
from queries.errors import ManifestError
from tests.queries.sources import HEAD, build, rows

if TYPE_CHECKING:
    from pathlib import Path

    from queries.store.reports import ColumnReport

TABLE = """
[tables.t]
source = "s.csv"
delimiter = ";"
{keys}
[tables.t.columns.row]
type = "integer"
bounds = [0, 100000]
[tables.t.columns.v]
{column}
"""


def coded(folder: Path, column: str, texts: list[str], keys: str = "") -> tuple[list[int], ColumnReport]:
    """Import a column of texts; return the code of each and what was reported."""
    lines = [f'{row};{row};"{text}"' for row, text in enumerate(texts)]
    content = "\n".join(["patient;row;v", *lines]) + "\n"
    built = build(folder, TABLE.format(keys=keys, column=column), {"s.csv": content})
    return [code for (code,) in rows(built.path, "SELECT v FROM t ORDER BY row")], built.report.tables["t"].columns["v"]


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 4)), min_size=1, max_size=40),
    st.sampled_from([".", ","]),
    st.sampled_from(["", ".", ",", "'", " ", "_", "\u00a0"]),
    st.sampled_from(["0.01", "0.1", "0.25", "1", "5"]),
)
def test_a_written_number_reads_back_to_its_step(
    tmp_path: Path, numbers: list[tuple[int, int]], decimal: str, thousands: str, step: str
) -> None:
    """Whatever marks a country has: the nearest step, halves away from zero, computed in decimals."""
    if thousands == decimal:
        thousands = ""
    exact = [Decimal(digits).scaleb(-places) for digits, places in numbers]
    texts = [f"{number:,f}".replace(",", "T").replace(".", decimal).replace("T", thousands) for number in exact]
    keys = f'decimal = "{decimal}"' + (f'\nthousands = "{thousands}"' if thousands else "")
    bound = Decimal(step) * 10**12
    codes, report = coded(tmp_path, f'type = "number"\nstep = {step}\nbounds = [-{bound}, {bound}]', texts, keys)
    units = [int((number / Decimal(step)).quantize(Decimal(1), ROUND_HALF_UP)) for number in exact]
    assert codes == [unit + 10**12 + 1 for unit in units]
    assert (report.coerced, report.clamped, report.missing) == (0, 0, 0)


def test_marks_stand_where_they_belong(tmp_path: Path) -> None:
    """A point of thousands is none of decimals; what SQL would read besides is no number."""
    texts = ["1.5", "1.500", "1.500,5", "15,00", "1_000", "0x10", "inf", "1e2", "+7", "1.50.000"]
    codes, report = coded(tmp_path, 'type = "integer"\nbounds = [0, 5000]', texts, 'decimal = ","\nthousands = "."')
    assert codes == [0, 1501, 1502, 16, 0, 0, 0, 101, 8, 0]
    assert report.coerced == 5


DATE = 'type = "date"\nbounds = ["1930-01-01", "2020-12-31"]'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "texts", "codes"),
    [
        ("", ["2000-01-02", "2000/1/2", "00-01-02", "02.01.00", "02.01.2000", "2000-01-02 23:59"], [1, 1, 0, 0, 0, 1]),
        ('format = "%d.%m.%Y"', ["02.01.2000", "2.1.2000", "02.01.00", "2000-01-02"], [1, 1, 0, 0]),
        ('format = ["%d.%m.%Y", "%Y%m%d"]', ["02.01.2000", "20000102", "200001"], [1, 1, 0]),
        ('format = "%d.%m.%y"', ["02.01.00", "02.01.45", "02.01.31"], [1, 1 - 20088, 1 - 25202]),
        ("", ["2000-01-01 23:30:00Z", "2000-01-02T00:30+02:00", "2000-01-02 01:00:00"], [0.1, 0.1, 1]),
        ('timezone = "Europe/Zurich"', ["2000-01-01 23:30:00Z", "2000-01-02T00:30+02:00"], [1, 0.1]),
        ('missing = ["2000-01-02"]', ["2000-01-02", "2000-01-03"], [0, 2]),
    ],
)
def test_dates_are_read_as_they_are_said_to_be_written(
    tmp_path: Path, keys: str, texts: list[str], codes: list[float]
) -> None:
    """Formats, days of instants, and no year guessed from two digits. 0.1 stands for 2000-01-01."""
    first = rows(
        build(tmp_path, TABLE.format(keys="", column=DATE), {"s.csv": "patient;row;v\n1;1;2000-01-01\n"}).path,
        "SELECT v FROM t",
    )[0][0]
    assert coded(tmp_path, DATE, texts, keys)[0] == [0 if code == 0 else first + int(code) for code in codes]


def test_categories_kept_as_floats_and_words_for_nothing(tmp_path: Path) -> None:
    """1.0 is 1 and 1.10 is not 1.1; blanks say nothing; NA is a value where it is declared; trim = false takes all."""
    column = 'type = "category"\nvalues = ["1", "1.1", "NA", "2.0"]'
    texts = ["1", "1.0", "1.10", " 1 ", "NA", "NULL", "2", "2.0", "1.00", "\u00a01", ""]
    assert coded(tmp_path, column, texts)[0] == [1, 1, 0, 1, 3, 0, 4, 4, 0, 1, 0]
    assert coded(tmp_path, column + "\ntrim = false", texts)[0] == [1, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0]
    codes, report = coded(tmp_path, column, ["1", "9", "9.0", "NULL"], "missing = [9]")
    assert (codes, report.missing, report.unknown) == ([1, 0, 0, 0], 2, 1)


@pytest.mark.parametrize(
    ("keys", "column", "place"),
    [
        ('decimal = ";"', 'type = "boolean"', r"tables\.t\.decimal: must be one of"),
        ('thousands = "."', 'type = "boolean"', r"tables\.t\.thousands: decimal and thousands cannot both"),
        ('decimal = ","', 'type = "integer"\nbounds = [0, 1]\nthousands = ","', r"tables\.t\.columns\.v\.thousands: "),
        ('format = "%d.%m"', 'type = "boolean"', r"tables\.t\.format: .* needs a year"),
        ('format = "%d.%Q.%Y"', 'type = "boolean"', r"tables\.t\.format: .*%Q is not known"),
        ('true = ["n"]', 'type = "boolean"', r"tables\.t\.true: n would mean true and false"),
        ("missing = 9", 'type = "boolean"', r"tables\.t\.missing: must be a list"),
        ('outside = "drop"', 'type = "boolean"', r"tables\.t\.outside: must be one of clamp, null"),
        ("loss_max = 5", 'type = "boolean"', r"tables\.t\.loss_max: must be from 0 to 1"),
        ("trim = 1", 'type = "boolean"', r"tables\.t\.trim: must be true or false"),
        ('encoding = "ebcdic"', 'type = "boolean"', r"tables\.t\.encoding: must be one of"),
        ('timezone = "not a zone"', 'type = "boolean"', r"tables\.t\.timezone: must be the name of a time zone"),
        ("", 'type = "boolean"\ndecimal = ","', r"tables\.t\.columns\.v\.decimal: is not known here"),
    ],
)
def test_wrong_keys_are_refused_with_their_place(tmp_path: Path, keys: str, column: str, place: str) -> None:
    """What the manifest cannot mean is refused before any source is opened."""
    with pytest.raises(ManifestError, match="^" + place):
        manifest.parse(HEAD + TABLE.format(keys=keys, column=column), tmp_path)
