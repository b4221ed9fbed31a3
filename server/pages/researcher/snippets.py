"""A question as a program would ask it: with curl, in Python and in R. Asked again it is free: the same answer."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from server.pages.researcher.asked import offered

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON = """\
import os, httpx

reply = httpx.post(
    {address},
    headers={{"Authorization": f"Bearer {{os.environ['ROWLESS_TOKEN']}}"}},
    json={{"sql": {sql}, "bounds": {bounds}, "privacy": {privacy}}},
    timeout=None,
)
reply.raise_for_status()
for row in reply.json()["rows"]:
    print(row)
"""
R = """\
library(httr2)

request({address}) |>
  req_auth_bearer_token(Sys.getenv("ROWLESS_TOKEN")) |>
  req_body_raw({body}, "application/json") |>
  req_perform() |>
  resp_body_json()
"""


def of(release: Mapping[str, Any], host: str) -> dict[str, str]:
    """Return programs that ask a release's question again, by their languages. `host` is the server's address."""
    address = f"{host.rstrip('/')}/api/v1/studies/{release['study']}/queries"
    privacy = offered(release)
    # The bounds that were applied: those that would be chosen now may differ, and with them the question.
    query = {**release["query"], "bounds": release["bounds"]}
    body = json.dumps({"query": query, "privacy": privacy}, ensure_ascii=False)
    curl = (
        f"curl -H \"Authorization: Bearer $ROWLESS_TOKEN\" -H 'Content-Type: application/json' \\\n"
        f"  {shlex.quote(address)} \\\n  -d {shlex.quote(body)}"
    )
    return {
        "curl": curl,
        "Python": PYTHON.format(
            address=json.dumps(address), sql=json.dumps(release["sql"]), bounds=release["bounds"], privacy=privacy
        ),
        "R": R.format(address=json.dumps(address), body=json.dumps(body)),
    }
