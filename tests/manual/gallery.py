"""The gallery of the manual, made from its questions by a server over the made-up observatory: `make gallery`.

    python -m tests.manual.gallery

It writes docs/gallery.md and the charts in docs/pictures/gallery. The numbers in them are answers; look at them before you commit.
"""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlglot
from rowless_client import table, values

from server.charts.chart import sheet
from server.demo.observatory import write_observatory
from server.demo.setup import OBSERVATORY
from tests.manual.questions import DATASET, QUESTIONS, STUDY, Example
from tests.serving import ROOT, application, make_home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.serving import Client

PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "pictures" / "gallery"
WIDTH = 100
HEAD = """\
# Questions of an observatory

Twenty questions, each in words, Python, R, JSON and SQL, with a picture of an answer. They are about the made-up observatory of
`make demo`, study `pathways`: 20,000 persons, their `consultations` and `prescriptions`. All spellings of a question are one question:
whoever asked it in one gets the same answer in another, free. The test suite compares them. `make gallery` makes this page.

Each answer here cost epsilon 0.3. The study of `make demo` has 1, so three of them. An estimate is free.

In Python ([how to begin](clients/python.md)), `study.ask(question, epsilon=0.3).plot()` asks what follows:

```python
from rowless_client import Rowless, values

study = Rowless().study("pathways")
```

In R ([how to begin](clients/r.md)):

```r
library(rowless)
study <- study(rowless_connect(), "pathways")
```
"""


class _Study:
    """What the Python of the gallery knows of a study: its tables."""

    def table(self, name: str) -> Any:
        return table(name)


def asked(example: Example) -> dict[str, Any]:
    """Return the query that the Python of a question builds."""
    names: dict[str, Any] = {"study": _Study(), "values": values}
    exec(example.python, names)
    found: dict[str, Any] = json.loads(json.dumps(names["question"].to_json(), default=lambda one: one.to_json()))
    return found


def body(example: Example) -> dict[str, Any]:
    """Return the body of a request."""
    return {"query": asked(example), "privacy": {"epsilon": example.epsilon}}


def in_json(value: Any, indent: int = 0) -> str:
    """Return a value as JSON, in as few lines as fit the width."""
    whole = json.dumps(value)
    if len(whole) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return whole
    room = indent + 2
    if isinstance(value, list):
        parts, (left, right) = [in_json(one, room) for one in value], "[]"
    else:
        parts, (left, right) = [f'"{name}": {in_json(one, room)}' for name, one in value.items()], "{}"
    return f"{left}\n" + ",\n".join(" " * room + part for part in parts) + f"\n{' ' * indent}{right}"


def in_r(value: Any, indent: int = 0, first: int = 0) -> str:
    """Return a value as R: objects are lists with names, lists of several scalars are vectors. `first` is before its first line."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if not isinstance(value, dict | list):
        return json.dumps(value)
    call = "c" if isinstance(value, list) and len(value) > 1 and all(_is_scalar(one) for one in value) else "list"
    room = indent + 2
    named = value.items() if isinstance(value, dict) else (("", one) for one in value)
    parts = [f"{_r_name(name)} = {in_r(one, room)}" if name else in_r(one, room) for name, one in named]
    whole = f"{call}({', '.join(parts)})"
    if "\n" not in whole and len(whole) + indent + first <= WIDTH:
        return whole
    return f"{call}(\n" + ",\n".join(" " * room + part for part in parts) + f"\n{' ' * indent})"


def in_lines(sql: str) -> str:
    """Return SQL with a line for each clause. Some words are the server's own, whatever DuckDB makes of them."""
    (written,) = sqlglot.transpile(
        sql, read="duckdb", write="duckdb", pretty=True, unsupported_level=sqlglot.ErrorLevel.IGNORE
    )
    return written


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _r_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z][\w.]*", name) else f"`{name}`"


@contextmanager
def observatory(folder: Path) -> Iterator[Client]:
    """Return a client that may ask the observatory much, over the data of the demonstration."""
    manifest = write_observatory(folder, OBSERVATORY).manifest
    manifest.write_text(manifest.read_text().replace("epsilon = 3.0", "epsilon = 1000.0"))
    with application(make_home(folder / "home", manifest)) as place:
        place.open_study(STUDY, DATASET, epsilon=100.0)
        yield place.client("ada")


def section(example: Example, sql: str) -> str:
    """Return what the page says of a question."""
    query, bounds = asked(example), asked(example).get("bounds")
    spoken = f'"bounds": {json.dumps(bounds)}' if bounds else ""
    beside = f", with `{spoken}` beside it" if bounds else ""
    return f"""
## {example.title}
{example.words}

![{example.words}](pictures/gallery/{example.name}.svg)

```python
{example.python}
```

In R:

```r
question <- {in_r(query, first=len("question <- "))}
answer <- ask(study, query = question, epsilon = {example.epsilon})
```

In JSON:

```json
{in_json(query)}
```

In SQL{beside}:

```sql
{sql}
```
"""


def page(sql: Mapping[str, str]) -> str:
    """Return the page, with the SQL of each question by its name."""
    return HEAD + "".join(section(example, sql[example.name]) for example in QUESTIONS)


def make() -> None:
    """Ask every question, and write the page and the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    sql = {}
    with tempfile.TemporaryDirectory() as folder, observatory(Path(folder)) as ada:
        for example in QUESTIONS:
            answer = ada.good("POST", f"/studies/{STUDY}/queries", body(example))
            sql[example.name] = in_lines(answer["sql"])
            (PICTURES / f"{example.name}.svg").write_text(sheet(answer), encoding="utf-8")
    PAGE.write_text(page(sql), encoding="utf-8")


if __name__ == "__main__":
    make()
