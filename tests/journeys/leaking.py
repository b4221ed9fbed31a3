"""A server that leaks: python -m tests.journeys.leaking HOW. It proves that the search for canaries would find it.

It is `rowless serve` with one mistake put in, of the kind that a careless change would bring.
"""

from __future__ import annotations

import base64
import logging
import sys
from typing import TYPE_CHECKING, Any

from queries.execution import kernel, partition_selection
from server import serving
from server.errors import StoreUnavailable
from server.journey import answer, paid
from server.runtime.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

EXACT: list[Any] = []
bound_in_parts, name_values, facts = kernel.bound_in_parts, partition_selection.name_values, answer.QueryPurchase.facts


def noting(*args: Any) -> Any:
    """Do as the kernel does, and remember what it counted."""
    counted = bound_in_parts(*args)
    EXACT[:] = [int(cells[0]) for cells in counted]
    return counted


def to_the_log(*args: Any) -> Any:
    """Say in the server's log what was counted."""
    counted = noting(*args)
    logging.getLogger("rowless").error("the cells before the noise: %s", EXACT)
    return counted


def in_an_error(*args: Any) -> Any:
    """Fail with a value of the data in the exception's text, as a cast in an engine does."""
    raise ValueError(f"cannot convert {noting(*args)[0][0]} to a date")


def telling(wanted: Any, _charge: Any) -> Any:
    """Send the text of whatever failed."""
    try:
        return wanted.compute(), {}
    except ValueError as failure:
        raise StoreUnavailable(str(failure)) from failure


def in_an_entry(wanted: Any) -> dict[str, Any]:
    """Put what was counted into an entry's facts, in base64."""
    return {**facts(wanted), "trace": [base64.b64encode(str(one).encode()).decode() for one in EXACT]}


def every_text(planned: Any, scores_of: Any, texts: Any) -> Any:
    """Look every text up before the threshold, and say which there are."""

    def looked_up(table: Any, column: Any, codes: Any) -> Any:
        logging.getLogger("rowless").error("texts: %s", texts(table, column, list(range(1, 5_000))))
        return texts(table, column, codes)

    return name_values(planned, scores_of, looked_up)


LEAKS: dict[str, tuple[tuple[Any, str, Callable[..., Any]], ...]] = {
    "log": ((kernel, "bound_in_parts", to_the_log),),
    "error": ((kernel, "bound_in_parts", in_an_error), (paid, "scan", telling)),
    "entry": ((kernel, "bound_in_parts", noting), (answer.QueryPurchase, "facts", in_an_entry)),
    "texts": ((partition_selection, "name_values", every_text),),
}

if __name__ == "__main__":
    for owner, name, mistake in LEAKS[sys.argv[1]]:
        setattr(owner, name, mistake)
    serving.serve(load_settings())
