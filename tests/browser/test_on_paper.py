"""Reports and the page for persons as they are printed: on A4, in both languages, nothing is cut and no word is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.reporting import everything
from tests.serving import make_home, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.serving import Server

A4 = {"width": 673, "height": 990}  # A4 in CSS pixels, within margins of 16 mm
PAGES = {
    "study": "/studies/flu/report",
    "dataset": "/datasets/rand-hie/report",
    "to publish": "/studies/flu/report?version=public",
    "for persons": "/datasets/rand-hie/notice",
}
OF_EVERYTHING = {
    "study": f"/studies/{everything.STUDY}/report",
    "dataset": "/datasets/clinic/report",
    "to publish": f"/studies/{everything.STUDY}/report?version=public",
    "for persons": "/datasets/clinic/notice",
}
WIDER_THAN_THEIR_PLACE = """
() => [...document.querySelectorAll('body *')]
    .filter(one => one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1)
    .map(one => one.tagName + ': ' + one.textContent.slice(0, 60))
"""
# A word on two lines. Queries and hashes, in a typewriter's letters, may break anywhere.
BROKEN_WORDS = """
() => {
    const broken = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (node.parentElement.closest('code, pre, svg')) continue;
        for (const word of node.textContent.matchAll(/[\\p{L}\\p{N}]{2,}/gu)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            const lines = new Set([...range.getClientRects()].map(one => Math.round(one.top)));
            if (lines.size > 1) broken.push(word[0] + ' in ' + node.textContent.slice(0, 60));
        }
    }
    return broken;
}
"""


HEADS = """
() => [...new Set([...document.querySelectorAll('thead')].map(one => getComputedStyle(one))
    .map(one => one.display + ', then ' + one.breakAfter))]
"""


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_nothing_is_cut_on_paper(chromium: Browser, server: Server, path: str, language: str) -> None:
    """What a controller prints or publishes fits on the sheet."""
    fits(chromium, server, path, language)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with a study that has one of everything: long queries, losses with a delta, all kinds of limits."""
    folder = tmp_path_factory.mktemp("everything")
    with serving(make_home(folder / "home", everything.write(folder))) as running:
        everything.live(running.client, running.open_study)
        yield running


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("path", OF_EVERYTHING.values(), ids=OF_EVERYTHING)
def test_nothing_of_a_full_report_is_cut_on_paper(chromium: Browser, lived: Server, path: str, language: str) -> None:
    """A report with everything in it fits on the sheet too, and the heads of its tables are repeated on each."""
    fits(chromium, lived, path, language)


def fits(chromium: Browser, server: Server, path: str, language: str) -> None:
    """Check that a page fits on A4: nothing is wider than its place, no word is broken, heads of tables repeat and stay."""
    joined = "&" if "?" in path else "?"
    reply = server.client("dora").get(f"{path}{joined}language={language}", Accept="text/html")
    assert reply.status == 200, reply
    page = chromium.new_page(viewport={"width": A4["width"], "height": A4["height"]})
    try:
        page.emulate_media(media="print")
        page.set_content(reply.body.decode())
        assert page.evaluate("document.documentElement.lang") == language
        assert page.evaluate(WIDER_THAN_THEIR_PLACE) == []
        assert page.evaluate(BROKEN_WORDS) == []
        assert page.evaluate(HEADS) in ([], ["table-header-group, then avoid"])
    finally:
        page.close()
