"""Reading JSON bodies strictly, and the blueprints that do so.

What JSON does not allow (NaN, a key given twice, half a surrogate pair) is refused here, and later code need not check
for it. A body that nests too deeply for the parser is malformed too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import request
from flask_smorest import Blueprint as SmorestBlueprint
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.exceptions import UnsupportedMediaType

from server.errors import Malformed
from server.runtime.remembered import Remembered

if TYPE_CHECKING:
    from flask import Request
    from marshmallow import Schema

BODY_BYTES_MAX = 256 * 1024
BODIES_MAX, BODY_REMEMBERED_MAX = 512, 8 * 1024  # bodies whose arguments are remembered, and the bytes of each


class _Parser(FlaskParser):
    """webargs with strict reading of JSON."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": "raise"}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read: Remembered[dict[str, Any]] = Remembered(BODIES_MAX)

    def parse(self, argmap: Any, req: Request | None = None, *, location: str | None = None, **kwargs: Any) -> Any:
        """Return the arguments; those of a short body that was read a moment ago, if its schema allows it.

        The type of the body is looked at again, because it is no part of it. What is refused is never remembered.
        """
        req = request if req is None else req
        if location != "json" or not getattr(argmap, "READS_ALIKE", False):
            return super().parse(argmap, req, location=location, **kwargs)
        body = req.get_data(cache=True)
        if not (0 < len(body) <= BODY_REMEMBERED_MAX and req.is_json):
            return super().parse(argmap, req, location=location, **kwargs)
        # By the address too, so that nobody can find out by the time of a reply what another study asked.
        key = argmap if isinstance(argmap, type) else type(argmap), req.path, body
        return dict(self._read.of(key, lambda: super(_Parser, self).parse(argmap, req, location=location, **kwargs)))

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002
        """Return the value of the body. Raises Malformed, UnsupportedMediaType."""
        body = req.get_data(cache=True)
        if not body:
            return {}
        if not req.is_json:
            raise UnsupportedMediaType
        return read_json(body)

    def load_querystring(self, req: Request, schema: Schema) -> MultiDictProxy:
        """Return the values of the query string."""
        return MultiDictProxy(req.args, schema)


def read_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises Malformed."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # fails on half a surrogate pair
    except RecursionError:
        raise Malformed("the JSON nests too deeply") from None
    except UnicodeError:
        raise Malformed("the body contains text that is not valid Unicode") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError:
        raise Malformed("the body contains a number that is too long to read") from None
    _refuse_nul(value)
    return value


def _refuse_nul(value: Any) -> None:
    """Refuse the character U+0000: PostgreSQL cannot store it, and C programs end a text there."""
    match value:
        case str() if "\0" in value:
            raise Malformed("a text contains the character U+0000, which is not allowed")
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
    raise Malformed(f"{word} is not a JSON number")


class Blueprint(SmorestBlueprint):
    """A blueprint that reads bodies strictly."""

    ARGUMENTS_PARSER = _Parser()
