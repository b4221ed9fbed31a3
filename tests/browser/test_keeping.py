"""What was typed and not sent yet, in a real browser: the language is switched, and it is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser.chromium import visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.serving import Server


def test_switch_of_the_language_keeps_what_was_typed(chromium: Browser, server: Server) -> None:
    """A form that was begun and a question that was built are there in French, and nothing was sent meanwhile."""
    with visiting(chromium, server) as visit:
        visit.sign_in("admin")
        visit.open("/admin/new-study")
        visit.page.fill("#purpose", "Learn who\nfalls ill")
        visit.click("footer button[value=fr]")
        assert visit.page.locator("html").get_attribute("lang") == "fr"
        assert visit.page.input_value("#purpose") == "Learn who\nfalls ill"
        visit.click("footer button[value=en]")
        assert visit.page.input_value("#purpose") == "Learn who\nfalls ill"
        visit.assert_sound()
    with visiting(chromium, server) as visit:
        visit.sign_in("ada")
        visit.open("/studies/flu/ask")
        visit.choose("#table", "persons" if visit.page.locator("#table option[value=persons]").count() else "years")
        visit.click("button[value=add-g]")
        visit.choose("#g-0-column", "sex")
        visit.click("footer button[value=fr]")
        assert visit.page.input_value("#g-0-column") == "sex"
        visit.assert_sound()
