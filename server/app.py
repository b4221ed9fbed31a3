"""The Flask application: `create_app(settings)` opens what requests share and registers the routes."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from flask import Flask, current_app
from flask.json.provider import DefaultJSONProvider
from flask_smorest import Api

from budgets.identity import tokens
from queries import mechanisms
from queries.execution import kernel, partition_selection
from queries.release.rows import Rows
from server.api import openapi
from server.api.routes import (
    alerts,
    audit,
    custody,
    datasets,
    guarantees,
    health,
    identities,
    people,
    proposals,
    queries,
    reports,
    studies,
)
from server.pages import pages
from server.pages.frame import sessions
from server.runtime.services import open_services
from server.web import guard, problems, throttling, tracing
from server.web.bodies import BODY_BYTES_MAX

if TYPE_CHECKING:
    from server.runtime.services import Services
    from server.runtime.settings import Settings

PREFIX = "/api/v1"
_ROUTES = (
    health,
    people,
    proposals,
    datasets,
    custody,
    studies,
    queries,
    audit,
    alerts,
    identities,
    reports,
    guarantees,
)


class _Json(DefaultJSONProvider):
    """Write replies with orjson."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Return the JSON text of a value."""
        return written(obj).decode()

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """Return a response with the JSON of a value."""
        text = written(self._prepare_response_obj(args, kwargs))
        return current_app.response_class([text, b"\n"], mimetype=self.mimetype)


def written(value: Any) -> bytes:
    """Return the JSON of a reply in UTF-8; rows keep the order of their columns."""
    try:
        return orjson.dumps(value, default=_by_column, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        # orjson cannot write integers beyond 64 bits, but the query that is shown with its answer may contain one.
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=list).encode()


def _by_column(value: Any) -> Any:
    """Return what orjson writes for the rows of an answer. Raises TypeError for anything else."""
    if not isinstance(value, Rows):
        raise TypeError
    text = value.written()
    return list(value) if text is None else orjson.Fragment(text)


class _Api(Api):
    """flask-smorest without its error handlers: `problems.py` answers errors, and the document describes that."""

    def _register_error_handlers(self) -> None:
        pass

    def _register_responses(self) -> None:
        described = {status.name: status.phrase for status in HTTPStatus}
        for name, description in {**described, "DEFAULT_ERROR": "Any other problem"}.items():
            self.spec.components.response(name, openapi.problem_response(description), lazy=True)

    def _register_pagination_header(self) -> None:
        pass  # our pages have their cursor in the body


def create_app(settings: Settings) -> Flask:
    """Return the application over a home."""
    services = opened(settings)
    app = with_routes()
    app.extensions["rowless"] = services
    return app


def opened(settings: Settings) -> Services:
    """Open the ledger, compile the kernel, load the noise, and learn this machine's rates where slots need them."""
    services = open_services(settings)
    tokens.shorten(services.database, settings.identity_days)
    sessions.key_of(settings.home)
    kernel.warm()
    partition_selection.warm()
    mechanisms.warm()
    if services.issuer is not None:
        services.issuer.keys.warm()
    engines = services.stores.engines
    engines.start()
    if settings.slot_ms:  # after warming, because a cold machine would measure too slow
        services = replace(services, rates=engines.rates(), scans=engines.threads())
    return services


def with_routes() -> Flask:
    """Return an application with its routes, which has no services to answer from yet."""
    app = Flask("rowless", static_folder=None)
    app.config.update(
        API_TITLE="Rowless",
        API_VERSION=importlib.metadata.version("rowless"),
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
        MAX_CONTENT_LENGTH=BODY_BYTES_MAX,
    )
    app.json = _Json(app)
    tracing.register(app)
    throttling.register(app)
    problems.register(app)
    guard.register(app)
    described = {"info": openapi.INFO, "servers": openapi.SERVERS, "extra_plugins": [openapi.Operations()]}
    api: Any = _Api(app, spec_kwargs=described)
    openapi.describe(api)
    for module in _ROUTES:
        api.register_blueprint(module.blueprint, url_prefix=PREFIX)
    app.session_interface = sessions.Sessions(PREFIX)
    pages.register(app)
    return app
