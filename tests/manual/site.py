"""The site of the manual, built from docs/ and some files of the top: `make docs`.

    python -m tests.manual.site FOLDER

The pages stay as GitHub shows them. They are copied, and the copies are put into the dialect of Zensical: links to files that
are not pages go to the repository, and lists are set apart as Python-Markdown reads them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/rowless/rowless/blob/main/"
# Pages that are not in docs/, and where the site has them.
OTHERS = {
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "server/demo/data/ORIGIN.md": "ORIGIN.md",
}
# Zensical's offline pages take this script from another host; docs/ has a copy (iframe-worker 1.0.4, MIT).
SHIM_AWAY, SHIM = "https://unpkg.com/iframe-worker/shim", Path("assets/iframe-worker/shim.js")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_ITEM = re.compile(r" *(?:[-*]|\d+\.) ")
_FENCE = re.compile(r" *```")


class NotBuilt(Exception):
    """The site could not be built, or not without a warning."""


def build(folder: Path) -> None:
    """Build the site into a folder, which is replaced. Raises NotBuilt with what Zensical said."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        stage(place / "docs")
        shutil.copy(DOCS / "zensical.toml", place / "zensical.toml")
        ended = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
        said = click.unstyle(ended.stdout + ended.stderr)
        if ended.returncode or "warning" in said.lower() or not (place / "site" / "index.html").is_file():
            raise NotBuilt(said)
        at_home(place / "site")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(place / "site", folder)


def at_home(folder: Path) -> None:
    """Have pages read the shim from the site: the script by which the search works in pages that were opened as files."""
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        near = Path(os.path.relpath(folder / SHIM, page.parent)).as_posix()
        page.write_text(text.replace(SHIM_AWAY, near), encoding="utf-8")


def stage(folder: Path) -> None:
    """Copy everything that the site shows, with pages in the dialect of Zensical."""
    places = {path: path.relative_to(DOCS) for path in sorted(DOCS.rglob("*")) if path.is_file()}
    places |= {ROOT / name: Path(place) for name, place in OTHERS.items()}
    for source, place in places.items():
        if source.suffix == ".toml":
            continue
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            text = linked(source.read_text(encoding="utf-8"), source, places)
            (folder / place).write_text(dialect(text), encoding="utf-8")
        else:
            shutil.copy(source, folder / place)
    (folder / "licences.md").write_text(licences(), encoding="utf-8")


def linked(text: str, source: Path, places: dict[Path, Path]) -> str:
    """Return a page of which each link leads to a page of the site, or to the file in the repository."""

    def put(found: re.Match[str]) -> str:
        target, mark, fragment = found[2].partition("#")
        file = (source.parent / target).resolve()
        if not target or "://" in target or not file.is_file():
            return found[0]
        if file in places:
            target = Path(os.path.relpath(places[file], places[source].parent)).as_posix()
        else:
            target = REPOSITORY + file.relative_to(ROOT).as_posix()
        return f"{found[1]}{target}{mark}{fragment}{found[3]}"

    return _LINK.sub(put, text)


def dialect(text: str) -> str:
    """Return a page with a blank line before each list, indents of four, and plain bars in the code of tables."""
    lines: list[str] = []
    shift, fenced, listed = 0, False, False
    for line in text.splitlines():
        bare = line.lstrip(" ")
        indent = len(line) - len(bare)
        if not fenced:
            listed = bool(_ITEM.match(line)) or (listed and (indent > 0 or not bare or bool(lines and lines[-1])))
            shift = 4 * (indent // 2) - indent if listed else 0
            if _ITEM.match(line) and not indent and lines and lines[-1] and not _in_list(lines):
                lines.append("")
        if bare.startswith("|"):
            line = re.sub(r"`[^`]*`", lambda code: code[0].replace(r"\|", "|"), line)
        lines.append(" " * max(shift, 0) + line if bare else "")
        fenced ^= bool(_FENCE.match(line))
    return "\n".join(lines) + "\n"


def _in_list(lines: list[str]) -> bool:
    """Return whether the paragraph at the end of these lines belongs to an item."""
    for line in reversed(lines):
        if not line:
            return False
        if _ITEM.match(line):
            return True
    return False


def licences() -> str:
    """Return the page with the licences of what the site carries: the theme with its script and icons."""
    parts = [
        "# Licences\n\nThe text of this manual is under the licence of Rowless, Apache-2.0. The look and the search of this site"
    ]
    parts.append("are parts of Zensical, which is under the licence below.\n")
    parts.append(
        f"## iframe-worker\n\n````text\n{(DOCS / SHIM).with_name('LICENSE').read_text(encoding='utf-8')}\n````\n"
    )
    for file in metadata.files("zensical") or ():
        if file.name.startswith("LICENSE") and file.suffix != ".svg":
            text = Path(str(file.locate())).read_text(encoding="utf-8")
            name = "/".join(part for part in file.parts[1:-1] if part not in ("templates", "licenses")) or "Zensical"
            parts.append(f"## {name}\n\n````text\n{text}\n````\n")
    return "\n".join(parts)


if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]))
    except NotBuilt as error:
        raise SystemExit(f"{error}\nmake docs: the site was not built: see above") from None
