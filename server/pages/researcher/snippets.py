"""A question as a program would ask it: with curl, in Python and in R. Asked again it is free: the same answer.

Python and R ask through the clients, which try again under the same charge if the connection breaks. All three take the
token from ROWLESS_TOKEN.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from server.pages.researcher.asked import offered

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON = """\
from rowless_client import Rowless

study = Rowless({address}).study({study})
answer = study.ask(
    sql={sql},
    bounds={bounds},
    {privacy},{show}
)
print(answer.to_pandas())
"""
R = """\
library(rowless)

study <- study(rowless_connect({address}), {study})
answer <- ask(
  study,
  {sql},
  bounds = {bounds},
  {privacy}{show}
)
print(answer)
"""
COMPUTED = ("standardise", "difference")
_R_RESERVED = "if|else|repeat|while|function|for|next|break|in|TRUE|FALSE|NULL|Inf|NaN|NA"
_R_NAME = re.compile(f"(?!(?:{_R_RESERVED})$)[A-Za-z][A-Za-z0-9_]*")


def of(release: Mapping[str, Any], host: str) -> dict[str, str]:
    """Return programs that ask a release's question again, by their languages. `host` is the server's address."""
    host = host.rstrip("/")
    queries = f"{host}/api/v1/studies/{release['study']}/queries"
    privacy = offered(release)
    # The bounds that were applied: those that would be chosen now may differ, and with them the question.
    bounds = release["bounds"]
    asked = {"query": {**release["query"], "bounds": bounds}, "privacy": privacy, **_shown(release.get("show", {}))}
    body = json.dumps(asked, ensure_ascii=False)
    curl = (
        f"curl -H \"Authorization: Bearer $ROWLESS_TOKEN\" -H 'Content-Type: application/json' \\\n"
        f"  {shlex.quote(queries)} \\\n  -d {shlex.quote(body)}"
    )
    texts = {"address": _text(host), "study": _text(release["study"]), "sql": _text(release["sql"])}
    in_python = ",\n    ".join(f"{name}={value!r}" for name, value in privacy.items())
    in_r = ",\n  ".join(f"{name} = {_in_r(value)}" for name, value in privacy.items())
    # SQL says how an answer is shown, but for what is computed from it.
    computed = {name: one for name, one in release.get("show", {}).items() if name in COMPUTED}
    show = (f"\n    show={computed!r},", f",\n  show = {_in_r(computed)}") if computed else ("", "")
    return {
        "curl": curl,
        "Python": PYTHON.format(**texts, bounds=bounds, privacy=in_python, show=show[0]),
        "R": R.format(**texts, bounds=_in_r(bounds), privacy=in_r, show=show[1]),
    }


def _shown(show: Mapping[str, Any]) -> dict[str, Any]:
    """Return how the answer is shown, as a request says it."""
    wanted = {name: show[name] for name in ("labels", "sql", *COMPUTED) if show.get(name)}
    return {"show": wanted} if wanted else {}


def _text(value: str) -> str:
    """Return a text as Python and R write it: as JSON does, but with all letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def _in_r(value: Any) -> str:
    """Return a value of JSON as R writes it."""
    match value:
        case str():
            return _text(value)
        case bool():
            return str(value).upper()
        case dict() as fields:
            return f"list({', '.join(f'{_named_in_r(name)} = {_in_r(one)}' for name, one in fields.items())})"
        case _:
            return repr(value)


def _named_in_r(name: str) -> str:
    if _R_NAME.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
