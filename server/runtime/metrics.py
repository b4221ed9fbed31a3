"""What the server counts for Prometheus, on a port of its own that is off by default.

A scrape must tell nothing that depends on data beyond what answers told at their beats. Therefore:

- Nothing here has a time: no duration, no time at which a counter began. Nothing tells of processors or memory either,
  because a scan uses more of them the more data it reads; the library's own collectors of them are not registered.
- A request is counted when its reply leaves (`server/web/tracing.py`), which for an answer is its beat. Its route is
  the template, and its status and code are what the asker is told.
- A charge is counted when it is made, before its scan: it depends on the request and the budgets alone.
- Alerts are counted in the log. They depend on budgets and refusals alone.
- A gauge is read at each scrape. `Metrics.gauge` may only be given a number that changes at requests and at beats, not
  when a scan ends. Those of the gates do, because a request for data keeps its place until its beat (`gate.py`).
  How many scans missed their beat is not here: `rowless doctor` has it.

Labels have words of the program only: no study, no dataset, no user. Prometheus keeps what it once read, and who may
read the metrics need not be who may read the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from budgets.alerts import alerts, outbox
from budgets.errors import Unavailable
from server.errors import SettingsError
from server.runtime.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import Metric

    from budgets.database.connection import Database
    from server.admission.gates import Gates

REQUESTS, REFUSALS, CHARGES = "rowless_requests", "rowless_refusals", "rowless_charges"
ALERTS, WAITING, LEDGER = "rowless_alerts", "rowless_alerts_waiting", "rowless_ledger_up"
WORKING, QUEUED = "rowless_requests_working", "rowless_requests_waiting"


class Metrics:
    """The counters and gauges of one server."""

    def __init__(self) -> None:
        # Without this each counter also tells when it began.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter(REQUESTS, "Requests that were replied to", labels, registry=self.registry)
        self._refusals = Counter(REFUSALS, "Problem documents, by their code", ("code",), registry=self.registry)
        self._charges = Counter(CHARGES, "Charges for queries and profiles", ("kind",), registry=self.registry)

    def replied(self, method: str, route: str, status: int, code: str | None) -> None:
        """Count a request whose reply leaves now, and its problem's code if the reply is one."""
        self._requests.labels(method, route, str(status)).inc()
        if code is not None:
            self._refusals.labels(code).inc()

    def charged(self, kind: str) -> None:
        """Count a charge."""
        self._charges.labels(kind).inc()

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Show a number that is read at each scrape. It must change at requests and at beats alone."""
        Gauge(name, documentation, registry=self.registry).set_function(read)

    def watch_ledger(self, database: Database) -> None:
        """Show the alerts of a ledger, and whether it can be read."""
        self.registry.register(_Ledger(database))

    def watch_gates(self, gates: Gates) -> None:
        """Show how many requests work and how many wait, by their kind of work."""
        self.registry.register(_Gates(gates))

    def text(self) -> bytes:
        """Return what a scrape gets."""
        return prometheus_client.generate_latest(self.registry)


class _Ledger:
    """Reads the numbers of a ledger at each scrape."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Yield whether the ledger can be read and, if it can, its alerts."""
        try:
            with self._database.read() as transaction:
                counted, waiting = alerts.count(transaction), outbox.count(transaction)
        except Unavailable:
            yield GaugeMetricFamily(LEDGER, "Whether the ledger can be read", value=0)
            return
        yield GaugeMetricFamily(LEDGER, "Whether the ledger can be read", value=1)
        raised = CounterMetricFamily(ALERTS, "Alerts in the audit log, by kind", labels=["kind"])
        for kind, count in counted.items():
            raised.add_metric([kind], count)
        yield raised
        yield GaugeMetricFamily(WAITING, "Alerts that wait for delivery to the webhook", value=waiting)


class _Gates:
    """Reads who is inside the gates at each scrape."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    def collect(self) -> Iterator[Metric]:
        """Yield how many work and how many wait."""
        working = GaugeMetricFamily(WORKING, "Requests that have their place", labels=["work"])
        waiting = GaugeMetricFamily(QUEUED, "Requests that wait for a place", labels=["work"])
        for gate in self._gates:
            works, waits = gate.count()
            working.add_metric([gate.what], works)
            waiting.add_metric([gate.what], waits)
        yield working
        yield waiting


def require_port(host: str, port: int) -> None:
    """Raise SettingsError unless the metrics can be served there."""
    exporter = Exporter(Metrics(), host, port)
    exporter.start()
    exporter.stop()


class Exporter:
    """Serves metrics on a port of its own, from `start` to `stop`."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        self._metrics = metrics
        self._address = host, port
        self._server: WSGIServer | None = None

    def start(self) -> None:
        """Listen. Raises SettingsError if the port cannot be used."""
        host, port = self._address
        try:
            self._server, _ = prometheus_client.start_http_server(port, host, self._metrics.registry)
        except OSError as error:
            reason = error.strerror or error
            raise SettingsError(f"{SETTINGS['metrics_port'].name}: {host}:{port} cannot be used: {reason}") from error

    def stop(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
