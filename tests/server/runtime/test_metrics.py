"""The metrics: what is counted, that nothing of the data is told, and the port of their own."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from server.errors import SettingsError
from server.runtime.metrics import Exporter, Metrics, require_port
from tests.ports import free_port
from tests.serving import PATIENTS, PREFIX, application, ask, make_home, serving, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Home, Place

NAMES = {
    *("rowless_requests_total", "rowless_refusals_total", "rowless_charges_total"),
    *("rowless_alerts_total", "rowless_alerts_waiting", "rowless_ledger_up"),
    *("rowless_requests_working", "rowless_requests_waiting"),
}
QUERIES = f"{PREFIX}/studies/<study>/queries"


def scrape(place: Place) -> str:
    """Return what Prometheus gets from an application."""
    return place.services.metrics.text().decode()


def samples(text: str) -> dict[str, float]:
    """Return each sample with its labels."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def requests(method: str, route: str, status: int) -> str:
    """Return the name of the sample of some requests."""
    return f'rowless_requests_total{{method="{method}",route="{route}",status="{status}"}}'


def test_requests_refusals_charges_and_alerts_are_counted(place: Place) -> None:
    """A charge is counted once, however often its question is asked; a refusal by its code; an alert by its kind."""
    place.services.metrics.watch_ledger(place.services.database)
    place.open_study("small", "rand-hie", epsilon=1.0)
    before = samples(scrape(place))
    ada = place.client("ada")
    statuses = [ada.post("/studies/small/queries", ask(PATIENTS, epsilon)).status for epsilon in (0.9, 0.9, 0.5)]
    assert statuses == [201, 201, 409]
    assert ada.get("/nowhere").status == 404
    after = samples(scrape(place))
    grown = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name)}
    assert grown == {
        requests("POST", QUERIES, 201): 2,
        requests("POST", QUERIES, 409): 1,
        requests("GET", "none", 404): 1,
        'rowless_charges_total{kind="query"}': 1,
        'rowless_refusals_total{code="budget-exceeded"}': 1,
        'rowless_refusals_total{code="not-found"}': 1,
        'rowless_alerts_total{kind="budget"}': 2,
        "rowless_alerts_waiting": 2,
    }
    assert after["rowless_ledger_up"] == 1


def test_metrics_have_only_known_names_and_labels(place: Place) -> None:
    """There is no duration, no time, no processor, no memory, no study, no user: only these names and labels."""
    place.services.metrics.watch_ledger(place.services.database)
    place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))
    text = scrape(place)
    assert {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")} <= NAMES
    assert set(re.findall(r'[{,](\w+)="', text)) <= {"method", "route", "status", "code", "kind", "work"}
    assert [word for word in ("flu", '"ada', "rand-hie", "seconds", "_created", "_bytes") if word in text] == []


def test_a_scrape_is_the_same_on_neighbouring_data(tmp_path: Path) -> None:
    """With one person more, the same requests leave the same bytes: answers, rare keys, failures and refusals."""
    visits = [f"{n % 60},female,2020-{n % 12 + 1:02}-15,{n}.25,{n % 90},true,C{n % 7}" for n in range(300)]
    person = [f"777,male,2020-02-28,{n}.5,33,false,RARE" for n in range(200)]
    texts = []
    for name, rows in (("with", visits + person), ("without", visits)):
        folder = tmp_path / name
        folder.mkdir()
        with application(make_home(folder / "home", write_clinic(folder, rows))) as place:
            place.services.metrics.watch_ledger(place.services.database)
            place.services.metrics.watch_gates(place.services.gates)
            place.open_study("flu", "clinic", delta=1e-6)
            ada = place.client("ada")
            bodies = [
                ask(PATIENTS, 0.5, "visits"),
                {**ask(PATIENTS, 0.5, "visits", group_by=["code"]), "privacy": {"epsilon": 0.5, "delta": 1e-8}},
                ask({"total": {"sum": "cost"}}, 0.5, "visits", where={"column": "code", "op": "=", "value": "RARE"}),
                ask(PATIENTS, 90_000.0, "visits"),
                ask(PATIENTS, 0.5, "nowhere"),
            ]
            for way in ("estimates", "rehearsals", "queries", "queries"):
                for body in bodies:
                    assert ada.post(f"/studies/flu/{way}", body).status < 500
            texts.append(scrape(place))
    assert texts[0] == texts[1]
    assert requests("POST", QUERIES, 201) in texts[0]
    assert 'code="invalid-query"' in texts[0]


def test_a_gauge_is_read_at_each_scrape() -> None:
    """A number that somebody else keeps is shown as it is at the scrape."""
    metrics, kept = Metrics(), [3.0]
    metrics.gauge("rowless_waiting", "Requests that wait", lambda: kept[0])
    assert samples(metrics.text().decode())["rowless_waiting"] == 3
    kept[0] = 5.0
    assert samples(metrics.text().decode())["rowless_waiting"] == 5


def test_the_gates_show_who_works_and_who_waits(place: Place) -> None:
    """A request that has its place works; the next one of the same user waits until the first one leaves."""
    place.services.metrics.watch_gates(place.services.gates)
    gate = place.services.gates.estimate

    def shown() -> tuple[float, float]:
        found = samples(scrape(place))
        return tuple(found[f'rowless_requests_{what}{{work="estimate"}}'] for what in ("working", "waiting"))

    begun = threading.Event()

    def wait() -> None:
        with gate.entered(("user", "ada")) as second:
            begun.set()
            with second.place():
                pass

    assert shown() == (0, 0)
    with gate.entered(("user", "ada")) as first, first.place():
        other = threading.Thread(target=wait)
        other.start()
        begun.wait(60)
        end = time.monotonic() + 60
        while shown() != (1, 1):
            assert time.monotonic() < end
    other.join(60)
    assert shown() == (0, 0)


def test_a_ledger_that_cannot_be_read_is_told(place: Place) -> None:
    """Without its ledger the server still answers a scrape: the ledger is down, and its alerts are not told."""
    place.services.metrics.watch_ledger(place.services.database)
    place.services.database.close()
    for file in place.home.path.glob("ledger.sqlite*"):
        file.write_bytes(b"\x00garbage" * 5_000)
    found = samples(scrape(place))
    assert found["rowless_ledger_up"] == 0
    assert "rowless_alerts_waiting" not in found


def test_the_metrics_have_a_port_of_their_own(home: Home) -> None:
    """`rowless serve` gives them there and not on the port of the API; without the setting nowhere."""
    port = free_port()
    with serving(home, metrics_port=str(port)) as server:
        assert server.client("ada").get("/me").status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as reply:
            text = reply.read().decode()
        with pytest.raises(OSError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60)
    assert samples(text)[requests("GET", f"{PREFIX}/me", 200)] == 1
    assert {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")} <= NAMES


def test_a_port_that_is_taken_is_refused_by_the_name_of_its_setting() -> None:
    """Two exporters cannot have one port; the second one's error names the setting."""
    first = Exporter(Metrics(), "127.0.0.1", free_port())
    first.start()
    try:
        second = Exporter(Metrics(), *first._address)
        with pytest.raises(SettingsError, match="^ROWLESS_METRICS_PORT: 127.0.0.1:"):
            second.start()
        with pytest.raises(SettingsError, match="^ROWLESS_METRICS_PORT: "):
            require_port(*first._address)
    finally:
        first.stop()
    require_port(*first._address)
