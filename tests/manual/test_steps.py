"""Steps through the pages, as the manual lists them: what they say to click is what stands there."""

from __future__ import annotations

import re

import pytest
from babel.messages.pofile import read_po

from tests.serving import ROOT

CATALOG = ROOT / "server" / "languages" / "translations" / "fr" / "LC_MESSAGES" / "messages.po"
STEP = re.compile(r"^\d+\. .*?(?=^\d+\. |^\n|\Z)", re.MULTILINE | re.DOTALL)
LABEL = re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)")


def labels(page: str) -> list[str]:
    """Return what the steps of a page say to click, or where to look."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [" ".join(label.split()) for step in STEP.findall(text) for label in LABEL.findall(step)]


@pytest.mark.parametrize(("page", "is_french"), [("admin.md", False), ("fr/admin.md", True)])
def test_steps_name_what_stands_on_the_pages(page: str, is_french: bool) -> None:
    """Each word in italics of a step is a text of the pages, in the language of the manual's page."""
    with CATALOG.open("rb") as file:
        catalog = read_po(file, locale="fr")
    texts = {str(one.string if is_french else one.id) for one in catalog}
    named = labels(page)
    assert len(named) >= 9
    assert [label for label in named if label not in texts] == []
