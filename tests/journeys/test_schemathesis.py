"""Every route of the OpenAPI document as schemathesis asks it, with the token of each role, alone and in sequences.

Schemathesis makes requests that fit the document and requests that do not, and holds each reply to it: a status that is
documented, a body of the documented shape, no 5xx, refusals without a valid token, what was deleted is gone, and more.
The short form is part of `make test`; the long one, which also covers every boundary of every value, is in `make audit`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.serving import CROWDED, PREFIX, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Home

RUN = "from schemathesis.cli import schemathesis; schemathesis()"

# What does not hold, and why.
EXCEPT = {
    # A body can fit its schema and be refused: only the catalog knows which columns, values and bounds there are, and
    # amounts are held to their units.
    "positive_data_acceptance",
}
SECONDS = 3600


def asked(home: Home, folder: Path, user: str, *options: str) -> str:
    """Return what schemathesis reports of a server that it asks as a user; it must have found nothing."""
    with serving(home, slot_ms="0", token_rate="off", address_rate="off", **CROWDED) as server:
        server.open_study("flu", "rand-hie")
        url = f"http://127.0.0.1:{server.port}{PREFIX}/openapi.json"
        header = f"Authorization: Bearer {home.tokens[user]}"
        found = subprocess.run(
            [sys.executable, "-c", RUN, "run", url, "-H", header, "--no-color", "--seed", "1"]
            + ["--checks", "all", "--exclude-checks", ",".join(sorted(EXCEPT)), *options],
            cwd=folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert found.returncode == 0, found.stdout
    home.assert_sound()
    return found.stdout


@pytest.mark.parametrize("user", ["ada", "admin", "dora", "vera"])
def test_replies_are_as_documented_for_each_role(home: Home, tmp_path: Path, user: str) -> None:
    """A request to each route and some sequences of routes: nothing that the document does not have."""
    report = asked(home, tmp_path, user, "--phases", "fuzzing,stateful", "--max-examples", "1")
    assert "Tested:" in report


@pytest.mark.audit
@pytest.mark.parametrize("user", ["ada", "admin", "dora", "vera"])
def test_replies_are_as_documented_at_every_boundary(home: Home, tmp_path: Path, user: str) -> None:
    """The same with all phases and many requests."""
    asked(home, tmp_path, user, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "30")
