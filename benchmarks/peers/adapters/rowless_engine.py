"""Rowless in this process: plan, scan, noise and rows, as a server does for a question, without HTTP and the ledger."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.peers.adapters.speaking import serve
from server.api.requests.query import AskSchema
from server.app import opened
from server.cli.home import acting
from server.journey.answer import compute
from server.journey.preparing import Request, prepare
from server.runtime.settings import load_settings

if TYPE_CHECKING:
    from benchmarks.peers.adapters.speaking import Ask, Data, Rows
    from benchmarks.peers.questions import Question


def begin(data: Data) -> Ask:
    """Open the home."""
    os.environ.update(ROWLESS_HOME=str(data.folder / "home"), ROWLESS_SLOT_MS="0")
    services = opened(load_settings())
    with services.database.write() as transaction:
        actor = acting(transaction, "researcher", None)

    def ask(question: Question, epsilon: float) -> Rows:
        body = AskSchema().load({"query": question.of_rowless, "privacy": {"epsilon": epsilon}})
        prepared = prepare(services, actor, "bench", Request(body["query"], body["privacy"]))
        answer = compute(prepared.plan, prepared.store)
        return [[*(row[key] for key in question.keys), row["number"]["value"]] for row in answer["rows"]]

    return ask


if __name__ == "__main__":
    serve(begin)
