"""R as the tests call it: whether it is there, a program of it, and how it finds a server."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.serving import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Server

PACKAGE = ROOT / "clients" / "r"
NEEDED = ("httr2", "jsonlite", "openssl", "rlang", "tibble", "ggplot2", "knitr", "rmarkdown", "testthat")
MISSING = (
    f"R or a package of it is missing: apt-get install r-base-core pandoc {' '.join(f'r-cran-{one}' for one in NEEDED)}"
)


def run(*command: object, folder: Path, **variables: str) -> str:
    """Run a program in a folder and return what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C.UTF-8", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-6000:]}"
    return done.stdout


def is_installed() -> bool:
    """Return whether R and the packages that the tests need are there."""
    if shutil.which("Rscript") is None or shutil.which("pandoc") is None:
        return False
    asked = ", ".join(f'"{name}"' for name in NEEDED)
    code = f"quit(status = !all(vapply(c({asked}), requireNamespace, NA, quietly = TRUE)))"
    return subprocess.run(["Rscript", "-e", code], check=False, capture_output=True).returncode == 0


def reached(server: Server, url: str | None = None) -> dict[str, str]:
    """Return the variables by which R finds a server, and may spend there what the package's own examples cost."""
    address = url or f"http://127.0.0.1:{server.port}"
    return {"ROWLESS_URL": address, "ROWLESS_TOKEN": server.home.tokens["ada"], "ROWLESS_MAY_SPEND": "true"}
