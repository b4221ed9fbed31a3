"""What a release has: wheels and source archives, built of what git has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.serving import ROOT

WAIT_SECONDS = 300  # on a machine that does much else


def tracked() -> list[str]:
    """Return the paths of the files that git has, without those that are deleted here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def check_out(folder: Path) -> Path:
    """Copy what git has into a folder, as a fresh clone would, with changes that are not committed yet."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(source: Path, kind: str, folder: Path) -> Path:
    """Build a `wheel` or an `sdist` of a source into a folder, and return its file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=WAIT_SECONDS)
    (file,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return file


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a source archive into a folder, and return the source."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return source


def sourced(archive: Path) -> dict[str, bytes]:
    """Return the files of a source archive by their paths in the source."""
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened.getmembers():
            content = opened.extractfile(member)
            assert content is not None, f"{member.name} is no file"
            found[member.name.partition("/")[2]] = content.read()
    return found


def installed(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def about(files: dict[str, bytes]) -> str:
    """Return the metadata of a wheel, of which the README is a part."""
    (metadata,) = (content for name, content in files.items() if name.endswith(".dist-info/METADATA"))
    return metadata.decode()


def pythons(classifiers: list[str]) -> list[str]:
    """Return the versions of Python that classifiers name, the oldest first."""
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in classifiers]
    return sorted((one[1] for one in found if one), key=lambda version: int(version.partition(".")[2]))
