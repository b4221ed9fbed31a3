"""create_app(settings): the Flask application over a house."""

from __future__ import annotations

import importlib.metadata
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from flask_smorest import Api

from queries import bounding, mechanisms
from server import openapi, problems
from server.api import audit, datasets, people, queries, studies
from server.api.parsing import BODY_BYTES_MAX
from server.house import open_house

if TYPE_CHECKING:
    from server.settings import Settings

PREFIX = "/api/v1"


class _Api(Api):
    """flask-smorest, but `problems.py` answers errors, and the document says so."""

    def _register_error_handlers(self) -> None:
        pass

    def _register_responses(self) -> None:
        described = {status.name: status.phrase for status in HTTPStatus}
        for name, description in {**described, "DEFAULT_ERROR": "Any other problem"}.items():
            self.spec.components.response(name, openapi.problem_response(description), lazy=True)


def create_app(settings: Settings) -> Flask:
    """Return the application: opens the ledger, warms kernel and noise, registers the routes."""
    app = Flask("rowless", static_folder=None)
    app.config.update(
        API_TITLE="Rowless",
        API_VERSION=importlib.metadata.version("rowless"),
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
        MAX_CONTENT_LENGTH=BODY_BYTES_MAX,
    )
    assert isinstance(app.json, DefaultJSONProvider)
    app.json.sort_keys = False  # rows keep the order of their columns
    app.extensions["rowless"] = open_house(settings)
    bounding.warm()
    mechanisms.warm()
    problems.register(app)
    api: Any = _Api(app, spec_kwargs={"info": {"description": "Statistics of data that must not be seen."}})
    openapi.describe(api)
    for module in (people, datasets, studies, queries, audit):
        api.register_blueprint(module.blueprint, url_prefix=PREFIX)
    return app
