"""Python as on a machine where nothing but `cryptography` was installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

NEEDED = ("cryptography", "cffi", "pycparser")  # cryptography stands on the other two


def on_an_empty_machine(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with no packages but those. The folder gets one of its own for them."""
    site = folder / "site"
    site.mkdir(exist_ok=True)
    for name in NEEDED:
        for file in metadata.files(name) or []:
            top = site / file.parts[0]
            if not top.exists() and file.parts[0] != "..":
                top.symlink_to(
                    Path(str(file.locate())).parents[len(file.parts) - 2] if len(file.parts) > 1 else file.locate()
                )
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": ""}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
