"""The report of a dataset with 200 studies and 5,000 releases: `python -m benchmarks.report`.

One question is asked over the application. Its charge and its release are then copied in the ledger, as if every study
had asked 25 others. It prints the seconds of the report as JSON and as a French page, of the methods, and of the page
for persons: the first time and the least of some.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budgets.identity import people
from server.reporting import methods, notice, page, report
from tests.serving import application, make_home, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serving import Place

QUERY = {
    "from": "years",
    "group_by": ["sex"],
    "select": {"patients": {"count": "persons"}, "visits": {"mean": "visits"}},
}


def main() -> None:
    """Print a line for each document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--releases", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = make_home(folder / "home", write_demo_manifest(folder))
        with application(home) as place:
            for number in range(given.studies):
                place.open_study(f"s{number}", epsilon=1.0)
            place.client("ada").good("POST", "/studies/s0/queries", {"query": QUERY, "privacy": {"epsilon": 0.2}})
            copy(home.path / "ledger.sqlite", given.studies, given.releases)
            measure(place, given.rounds)


def copy(ledger: Path, studies: int, releases: int) -> None:
    """Copy the one charge of a ledger, and its release, as if the studies had asked so many other questions."""
    with sqlite3.connect(ledger) as connection:
        connection.row_factory = sqlite3.Row
        paid, settled = (
            dict(connection.execute("SELECT * FROM charges WHERE kind = ?", (kind,)).fetchone())
            for kind in ("reserve", "settle")
        )
        made = dict(connection.execute("SELECT * FROM releases").fetchone())
        for number in range(releases):
            asked = {"study": f"s{number % studies}", "fingerprint": f"{number:064}"}
            reserve = uuid.uuid4().hex
            _insert(connection, "charges", {**paid, **asked, "id": reserve})
            _insert(connection, "charges", {**settled, **asked, "id": uuid.uuid4().hex, "reserve_id": reserve})
            _insert(connection, "releases", {**made, **asked, "id": uuid.uuid4().hex, "charge": reserve})
    connection.close()


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    places = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", row)


def measure(place: Place, rounds: int) -> None:
    """Print the seconds of each document."""
    services = place.services
    with services.database.read() as transaction:
        dora = people.user(transaction, "dora")

    def of_dataset() -> dict[str, Any]:
        return report.assemble(services, dora, report.DATASET, "rand-hie", "html")

    document = of_dataset()
    print(f"{len(document['studies'])} studies, {document['releases']['count']:,} releases")
    documents: dict[str, Callable[[], object]] = {
        "report, JSON": of_dataset,
        "report, French page": lambda: page.html(of_dataset(), "fr"),
        "methods": lambda: methods.assemble(services, dora, report.DATASET, "rand-hie"),
        "page for persons": lambda: page.notice(notice.assemble(services, dora, "rand-hie"), "fr"),
    }
    for name, make in documents.items():
        first, *others = (_seconds(make) for _ in range(1 + rounds))
        print(f"{name:<22} first {first:.2f} s, then at least {min(others):.2f} s")


def _seconds(make: Callable[[], object]) -> float:
    began = time.perf_counter()
    make()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
