"""A virtual environment for each tool, made once under .venv/peers: none is a dependency of Rowless."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

VENVS = Path(__file__).parents[2] / ".venv" / "peers"
SECONDS = 1_800  # for pip


@dataclass(frozen=True)
class Peer:
    """A tool: its adapter, what pip installs for it, and the Pythons that it may need, this one first."""

    name: str
    adapter: str
    requirements: tuple[str, ...] = ()  # none: it runs in the environment of Rowless itself
    shown: tuple[str, ...] = ()  # the packages whose versions the table names
    pythons: tuple[str, ...] = ()
    largest: int = 10  # of how many millions of events it is asked
    heavy: bool = False  # whether it needs so much memory that it is alone with more than a million
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Installed:
    """Where a tool runs, with its version; or what pip answered instead."""

    python: Path | None
    version: str
    error: str | None = None


def install(peer: Peer) -> Installed:
    """Return the environment of a tool, installed if it is not there yet."""
    if not peer.requirements:
        return Installed(Path(sys.executable), _versions(Path(sys.executable), peer.shown))
    folder = VENVS / peer.adapter
    kept = folder / "installed.json"
    if not kept.exists():
        error = None
        for candidate in [sys.executable, *filter(None, map(_found, peer.pythons))]:
            error = _try(candidate, folder, peer.requirements)
            if error is None:
                break
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(error), encoding="utf-8")
    error = json.loads(kept.read_text(encoding="utf-8"))
    if error is not None:
        return Installed(None, "", error)
    python = folder / "bin" / "python"  # not resolved: the link is what makes it an environment
    return Installed(python, _versions(python, peer.shown))


def _found(version: str) -> str | None:
    """Return a Python of a version, from the path or of pyenv."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
    return str(pyenv[-1]) if pyenv else shutil.which(f"python{version}")


def _try(python: str, folder: Path, requirements: tuple[str, ...]) -> str | None:
    """Make an environment anew and install into it; return None or the line with which pip gave up."""
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run([python, "-m", "venv", folder], capture_output=True, text=True, check=False)
    if made.returncode:
        return made.stderr.strip().splitlines()[-1]
    pip = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *requirements,
    ]
    try:
        ended = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"pip did not end within {SECONDS} s"
    if ended.returncode == 0:
        return None
    said = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    return next((line for line in said if line.lower().startswith("error")), said[-1] if said else "pip failed")


def _versions(python: Path, packages: tuple[str, ...]) -> str:
    """Return the versions of some packages in an environment, with that of its Python."""
    code = (
        "import importlib.metadata, platform, sys; "
        "print(', '.join(f'{name} {importlib.metadata.version(name)}' for name in sys.argv[1:]), "
        "'on Python', platform.python_version())"
    )
    ended = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True)
    return ended.stdout.strip()
