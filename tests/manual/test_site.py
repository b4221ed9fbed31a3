"""The site of the manual: built without a warning, whole, and never asking another host."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from tests.manual import site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

# Attributes whose address a browser fetches by itself.
FETCHED = {"src", "srcset", "data", "poster"}
FETCHING_RELS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}


class Page(HTMLParser):
    """What a built page has: its anchors, its links, and what it fetches."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.styles: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keep what an element names."""
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.fetched += [value for name, value in given.items() if name in FETCHED]
        self.styles.append(given.get("style", ""))
        if tag == "link" and FETCHING_RELS & set(given.get("rel", "").split()):
            self.fetched.append(given["href"])
        elif "href" in given and tag != "base":
            self.links.append(given["href"])

    def handle_data(self, data: str) -> None:
        """Keep the text of style sheets."""
        self.styles.append(data if self.lasttag == "style" else "")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site, which is built strictly."""
    folder = tmp_path_factory.mktemp("manual") / "site"
    site.build(folder)
    return folder


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[Path, Page]:
    """Return the pages of the site."""
    return {path: Page(path) for path in sorted(built.rglob("*.html"))}


def test_the_site_has_every_page_of_the_docs_in_its_navigation(built: Path, pages: dict[Path, Page]) -> None:
    """Each page of docs/ is a page of the site, and the start page's navigation leads to it."""
    wanted = {path.relative_to(site.DOCS).with_suffix(".html") for path in site.DOCS.rglob("*.md")}
    wanted |= {Path(place).with_suffix(".html") for place in site.OTHERS.values()}
    assert wanted <= {path.relative_to(built) for path in pages}
    assert {Path(link) for link in pages[built / "index.html"].links} >= wanted - {Path("index.html")}


def test_every_link_inside_the_site_leads_somewhere(built: Path, pages: dict[Path, Page]) -> None:
    """A link to a page or a picture leads to a file of the site, and its fragment to an anchor there."""
    wrong = []
    for path, page in pages.items():
        if path.name == "404.html":  # a server shows it at any depth; its links are absolute
            continue
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            fragment = unquote(parts.fragment)
            if not target.is_file() or (fragment and target in pages and fragment not in pages[target].anchors):
                wrong.append(f"{path.relative_to(built)}: {link}")
    assert wrong == []


def test_links_out_of_the_manual_lead_to_files_of_the_repository(pages: dict[Path, Page]) -> None:
    """A link that was turned into one to the repository names a file that is there."""
    links = {
        link.removeprefix(site.REPOSITORY).partition("#")[0]
        for page in pages.values()
        for link in page.links
        if link.startswith(site.REPOSITORY)
    }
    assert len(links) > 5
    assert [link for link in sorted(links) if not (site.ROOT / link).is_file()] == []


def test_no_page_or_style_fetches_from_another_host(built: Path, pages: dict[Path, Page]) -> None:
    """What a browser fetches by itself is a file of the site."""
    styles = [text for page in pages.values() for text in page.styles]
    styles += [path.read_text(encoding="utf-8") for path in built.rglob("*.css")]
    fetched = [address for page in pages.values() for address in page.fetched]
    fetched += re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", "\n".join(styles))
    assert len(fetched) > 50
    assert [address for address in fetched if re.match(r"(?:https?:)?//", address)] == []


def test_the_site_is_searched_from_a_folder_without_a_network(built: Path, chromium: Browser) -> None:
    """In Chromium, a page opened as a file asks no host, and the search finds a page by a word of it."""
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    with chromium.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(120_000)  # a busy machine
        page.route(re.compile("^(https?|wss?):"), refuse)
        for name in ("queries.html", "clients/python.html", "index.html"):
            page.goto((built / name).as_uri())
            page.wait_for_load_state("networkidle")
        page.keyboard.press("/")
        page.keyboard.type("verifier key")
        page.wait_for_selector("a[href*='dpo.html']:visible")
        page.wait_for_selector("text=Each week: keep a checkpoint")
    assert asked == []


def test_a_warning_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with a link that leads nowhere is no site."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Start\n\n[away](missing.md)\n", encoding="utf-8")
    (docs / "zensical.toml").write_text('[project]\nsite_name = "s"\n', encoding="utf-8")
    shutil.copytree(site.DOCS / "assets", docs / "assets")
    monkeypatch.setattr(site, "DOCS", docs)
    with pytest.raises(site.NotBuilt, match=r"missing\.md"):
        site.build(tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("written", "staged"),
    [
        ("Words:\n- one\n- two\n", "Words:\n\n- one\n- two\n"),
        ("1. one\n\n   more\n", "1. one\n\n    more\n"),
        ("- one\n  goes on\n- two\n", "- one\n    goes on\n- two\n"),
        ("| `a \\| b` |\n", "| `a | b` |\n"),
        ("- one\n\n  ```sh\n  if\n    x\n  ```\n", "- one\n\n    ```sh\n    if\n      x\n    ```\n"),
        ("```text\nA:\n- b\n  - c\n```\n", "```text\nA:\n- b\n  - c\n```\n"),
    ],
)
def test_pages_are_put_into_the_dialect_of_the_site(written: str, staged: str) -> None:
    """Lists are set apart and indented by four, code stays as it is."""
    assert site.dialect(written) == staged
