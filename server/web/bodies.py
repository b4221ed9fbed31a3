"""Reading JSON bodies strictly, and the blueprints that do so.

What JSON does not have (NaN, a key given twice, half a surrogate pair) is refused here, so that nothing behind it has
to wonder. A body that nests too deeply for the parser is malformed like any other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask_smorest import Blueprint as SmorestBlueprint
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.exceptions import UnsupportedMediaType

from server.errors import Malformed

if TYPE_CHECKING:
    from flask import Request
    from marshmallow import Schema

BODY_BYTES_MAX = 256 * 1024


class _Parser(FlaskParser):
    """webargs with our own reading of JSON."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": "raise"}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002
        """Return the body's value. Raises Malformed, UnsupportedMediaType."""
        body = req.get_data(cache=True)
        if not body:
            return {}
        if not req.is_json:
            raise UnsupportedMediaType
        return read_json(body)

    def load_querystring(self, req: Request, schema: Schema) -> MultiDictProxy:
        """Return the query string's values."""
        return MultiDictProxy(req.args, schema)


def read_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises Malformed."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # fails on half a surrogate pair
    except RecursionError:
        raise Malformed("the JSON nests too deeply") from None
    except UnicodeError:
        raise Malformed("the body holds text that is no Unicode") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError:
        raise Malformed("the body holds a number too long to read") from None
    _refuse_nul(value)
    return value


def _refuse_nul(value: Any) -> None:
    """Refuse the character that PostgreSQL cannot store and C programs take for the end of a text."""
    match value:
        case str() if "\0" in value:
            raise Malformed("texts must not hold the character U+0000")
        case list():
            for part in value:
                _refuse_nul(part)
        case dict():
            for key, part in value.items():
                _refuse_nul(key)
                _refuse_nul(part)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Malformed(f"the key {key!r} is given twice")
        found[key] = value
    return found


def _no_constant(word: str) -> Any:
    raise Malformed(f"{word} is no JSON number")


class Blueprint(SmorestBlueprint):
    """A blueprint whose bodies are read strictly and whose errors are problems."""

    ARGUMENTS_PARSER = _Parser()
