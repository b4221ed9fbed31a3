"""Answers as frames of pandas, Polars and Arrow. Each library is optional, and imported when it is asked for."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

from rowless_client.errors import MissingPackage, Misused

if TYPE_CHECKING:
    from types import ModuleType

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from rowless_client.answers.flat import Flat

Columns = dict[str, list[Any]]


def needed(module: str, extra: str) -> ModuleType:
    """Return an optional module. Raises MissingPackage with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackage(f"{module} is not installed: pip install 'rowless-client[{extra}]'") from error


def columns_of(flat: Flat, statistic: str | None) -> Columns:
    """Return the columns of a whole answer, or of one statistic with a line for each number. Raises Misused."""
    if statistic is None:
        return {name: _alike(values) for name, values in flat.columns().items()}
    if statistic not in flat.statistics:
        raise Misused(f"the answer has no statistic {statistic}; it has {', '.join(flat.statistics)}")
    lines = flat.lines(statistic)
    names = list(lines[0]) if lines else [*flat.keys, "value", "low", "high"]
    return {name: _alike([line[name] for line in lines]) for name in names}


def to_pandas(columns: Columns, about: dict[str, Any]) -> pd.DataFrame:
    """Return a pandas frame; `frame.attrs["rowless"]` tells where its numbers are from."""
    frame: pd.DataFrame = needed("pandas", "pandas").DataFrame(columns)
    frame.attrs["rowless"] = about
    return frame


def to_polars(columns: Columns) -> pl.DataFrame:
    """Return a Polars frame."""
    polars = needed("polars", "polars")
    schema = {name: _polars_type(polars, values) for name, values in columns.items()}
    frame: pl.DataFrame = polars.DataFrame(columns, schema=schema)
    return frame


def to_arrow(columns: Columns, about: dict[str, Any]) -> pa.Table:
    """Return an Arrow table; its metadata `rowless` tells where its numbers are from."""
    arrow = needed("pyarrow", "arrow")
    made = arrow.table(columns).replace_schema_metadata({"rowless": json.dumps(about, ensure_ascii=False)})
    table: pa.Table = made
    return table


def _alike(values: list[Any]) -> list[Any]:
    """Return values of one type: whole numbers become fractions beside fractions, and all become texts beside texts."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _polars_type(polars: ModuleType, values: list[Any]) -> Any:
    kind = next((type(value) for value in values if value is not None), None)
    known = {int: polars.Int64, float: polars.Float64, bool: polars.Boolean, str: polars.String}
    return known.get(kind, polars.Null) if kind is not None else polars.Null
