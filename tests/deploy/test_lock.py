"""The lock files: in step with pyproject.toml, whole, with hashes, and without the address of any index."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WANTED = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-build.lock": PROJECT["build-system"]["requires"],
}
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


@dataclass(frozen=True)
class Locked:
    """A line of a lock file: a requirement of one version, and how many hashes it has."""

    requirement: Requirement
    hashes: int

    @property
    def version(self) -> str:
        """Return the one version."""
        (only,) = self.requirement.specifier
        assert only.operator == "=="
        return only.version


def locked(name: str) -> list[Locked]:
    """Return what a lock file has. A line that is neither a comment, a requirement nor a hash fails."""
    found: list[Locked] = []
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        if HASH.fullmatch(line):
            found[-1] = Locked(found[-1].requirement, found[-1].hashes + 1)
        else:
            found.append(Locked(Requirement(line.removesuffix(" \\")), 0))
    return found


def here(name: str) -> dict[str, str]:
    """Return the versions that a lock file has for this machine, by name."""
    applying = [one for one in locked(name) if one.requirement.marker is None or one.requirement.marker.evaluate()]
    versions = {canonicalize_name(one.requirement.name): one.version for one in applying}
    assert len(versions) == len(applying), "one version of each"
    return versions


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_is_in_step_with_the_project(name: str) -> None:
    """Each dependency is locked to a version in its range. After a change of pyproject.toml run `make lock`."""
    versions = here(name)
    for text in WANTED[name]:
        wanted = Requirement(text)
        assert canonicalize_name(wanted.name) in versions, f"{wanted.name} is not locked; run make lock"
        version = versions[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{wanted.name} {version} is outside its range; run make lock"


def needed_by(one: Requirement, version: str) -> list[Requirement] | None:
    """Return what a distribution needs in turn, or None if that version is not installed here, so nobody can ask it."""
    try:
        if metadata.version(one.name) != version:
            return None
    except metadata.PackageNotFoundError:
        return None
    parts = [Requirement(text) for text in metadata.requires(one.name) or []]
    environments = [{**default_environment(), "extra": extra} for extra in ("", *one.extras)]
    return [part for part in parts if part.marker is None or any(map(part.marker.evaluate, environments))]


@pytest.mark.parametrize("name", WANTED)
def test_lock_has_all_requirements_of_locked_and_no_more(name: str) -> None:
    """What a locked distribution needs in turn is locked too, and nothing else is: an install by hash does not stop half-way."""
    versions, unknown = here(name), False
    needed, seen = [Requirement(text) for text in WANTED[name]], set()
    while needed:
        one = needed.pop()
        found = canonicalize_name(one.name)
        if (found, frozenset(one.extras)) in seen:
            continue
        seen.add((found, frozenset(one.extras)))
        assert found in versions, f"{one.name} is not locked; run make lock"
        parts = needed_by(one, versions[found])
        unknown |= parts is None
        needed += parts or []
    names = {found for found, _ in seen}
    assert names <= versions.keys() if unknown else names == versions.keys()


@pytest.mark.parametrize("name", WANTED)
def test_each_version_has_its_hashes_and_no_index(name: str) -> None:
    """Every requirement has hashes; no address is named, so each machine uses the index that it is set to."""
    assert all(one.hashes for one in locked(name))
    assert all(one.requirement.url is None for one in locked(name))
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index" not in text
    assert "find-links" not in text


def test_the_image_installs_by_hash_alone() -> None:
    """The Dockerfile downloads from the lock files with --require-hashes, and all else without an index."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    calls = re.findall(r"pip (?:install|wheel) [^\n]*", text)
    assert len(calls) >= 4
    for call in calls:
        assert "--no-index" in call or ("--require-hashes" in call and "--only-binary=:all:" in call), call
    named = set(re.findall(r"--requirement=(\S+)", text))
    assert named == set(WANTED)
