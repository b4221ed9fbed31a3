"""gunicorn and waitress run the application; `serve` first checks the signing key and closes open charges."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from budgets.actors import SYSTEM
from budgets.alerts import clocks, deadlines
from budgets.audit import log, signing
from budgets.errors import Unavailable
from budgets.ledger import charges
from server.app import create_app
from server.errors import SettingsError
from server.listening.worker import WaitressWorker
from server.runtime import logs
from server.runtime.dispatching import Dispatcher
from server.runtime.home import permissions
from server.runtime.metrics import Exporter, require_port
from server.runtime.services import open_ledger
from server.runtime.settings import SETTINGS

if TYPE_CHECKING:
    from flask import Flask

    from budgets.database.connection import Database
    from server.runtime.services import Services
    from server.runtime.settings import Settings


def serve(settings: Settings) -> None:
    """Close open charges, then serve until stopped. Raises NoHome, SchemaOutdated, SettingsError."""
    permissions.require_private(settings)
    database = open_ledger(settings)
    try:
        _require_key(database, settings)
        recover(database)
    finally:
        database.close()
    if settings.metrics_port is not None:
        require_port(settings.metrics_host, settings.metrics_port)
    logs.configure(settings.log_format)
    _Gunicorn(settings).run()


def _require_key(database: Database, settings: Settings) -> None:
    """Raise SettingsError unless checkpoints can be signed. Otherwise a DPO would be the first to notice."""
    try:
        signing.key_in_force(database, settings.key_path)
    except Unavailable as error:
        raise SettingsError(f"{SETTINGS['audit_key_file'].name}: {error}") from error


def spare_the_collector() -> None:
    """Keep Python's garbage collector from long pauses while answers are made: a full collection may take 0.1 s."""
    # What is loaded now stays loaded, so the collector need not walk it again while answers are made.
    gc.collect()
    gc.freeze()
    # An answer has thousands of short-lived cells without cycles, so the collector may run less often.
    gc.set_threshold(100_000, 20, 20)


def recover(database: Database) -> int:
    """Close open charges as spent and return how many there were.

    This refuses nothing to anyone: a repeated request resumes on its charge, closed or not, and another server's query
    that is still running can still store its release.
    """
    with database.write() as transaction:
        clocks.check(transaction)
        deadlines.check(transaction)
        left = charges.unresolved(transaction)
        for charge in left:
            charges.settle(transaction, charge, None)
            log.append(
                transaction,
                SYSTEM,
                "dataset.profile.recover" if charge.question.study is None else "query.recover",
                f"charge:{charge.id}",
                f"an open charge of {charge.loss.text} was closed as spent",
                study=charge.question.study,
                facts={"dataset": charge.question.dataset, "loss": vars(charge.loss)},
            )
    return len(left)


class _Gunicorn(BaseApplication):
    """gunicorn with one worker: engine and kernel release the GIL, and its threads share one cache."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dispatcher: Dispatcher | None = None
        self._services: Services | None = None
        self._exporter: Exporter | None = None
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn from the settings alone: it reads neither files nor the environment."""
        values: dict[str, Any] = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "workers": 1,
            "worker_class": WaitressWorker,
            "threads": self._settings.gates.threads,
            "timeout": 60,
            "graceful_timeout": 30,
            "control_socket_disable": True,
            "proc_name": "rowless",
            "worker_exit": self._leave,
        }
        for name, value in values.items():
            if name in self.cfg.settings:  # control_socket_disable came with gunicorn 25
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application; gunicorn calls this in the worker."""
        app = create_app(self._settings)
        opened: Services = app.extensions["rowless"]
        self._services = opened
        if self._settings.webhook_url is not None and self._settings.webhook_secret is not None:
            self._dispatcher = Dispatcher(opened.database, self._settings.webhook_url, self._settings.webhook_secret)
            self._dispatcher.start()
        if self._settings.metrics_port is not None:
            host, port = self._settings.metrics_host, self._settings.metrics_port
            opened.metrics.watch_ledger(opened.database)
            opened.metrics.watch_gates(opened.gates)
            self._exporter = Exporter(opened.metrics, host, port)
            self._exporter.start()
        spare_the_collector()
        return app

    def stopping(self) -> None:
        """Refuse what waits, so that only what works is finished; the worker calls this when it is told to stop."""
        if self._services is not None:
            self._services.gates.close()

    def _leave(self, _arbiter: object, _worker: object) -> None:
        """Stop what a worker does beside its requests, when the worker stops."""
        if self._dispatcher is not None:
            self._dispatcher.stop()
        if self._exporter is not None:
            self._exporter.stop()
        if self._services is not None:
            self._services.write_what_is_held()
            self._services.stores.engines.close()  # Spark's processes end before this one
