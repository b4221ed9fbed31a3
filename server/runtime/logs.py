"""What the server writes about itself to standard error: one line an event, as JSON or in columns for people.

All modules log by Python's `logging`, and structlog renders the lines of all of them, those of libraries too. A line
that is written during a request has the request's id as `request_id` (`server/web/tracing.py`).

A failure is written with its traceback as plain text. Renderers that show the variables of each frame are not used:
among them are tokens and values from data.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

from budgets.audit import origin

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

JSON, CONSOLE = "json", "console"
QUIET = ("alembic", "httpx")  # their lines at INFO are of no use to an admin


def configure(shape: str) -> None:
    """Write the log of this process in a shape, JSON or CONSOLE, in place of what was configured before."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(shape, colors=sys.stderr.isatty()))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(shape: str, *, colors: bool = False) -> logging.Formatter:
    """Return what renders a record in a shape."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_request_id,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(shape, colors=colors)],
    )


def _rendering(shape: str, *, colors: bool) -> list[Processor]:
    if shape == JSON:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]


def _add_request_id(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    request_id = origin.request_id.get()
    return event if request_id is None else {**event, "request_id": request_id}
