"""A researcher's way in a real browser, from the sign-in to an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.chromium import Visit
    from tests.serving import Server

NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1600, "height": 1000}
MORE = pytest.mark.audit


def ask(visit: Visit) -> None:
    """Ask from the start page by clicking, and check every page on the way."""
    visit.sign_in("ada")
    visit.assert_sound()
    visit.click("main a.button")
    visit.assert_sound()
    visit.click("button[value=add-g]")
    visit.choose("[name^=g-][name$=-column]", "sex")
    if not visit.has_script:
        visit.click("noscript button")
    visit.assert_sound()
    visit.click("button[value=review]")
    visit.assert_sound()
    visit.click("#pay")
    visit.page.wait_for_url("**/releases/*")
    visit.settle()
    visit.assert_sound()
    assert visit.page.locator("table.answer tbody tr").count() == 2


@pytest.mark.parametrize(
    ("language", "options"),
    [
        ("en", {}),
        ("fr", {"viewport": NARROW, "color_scheme": "dark"}),
        pytest.param("en", {"viewport": WIDE, "color_scheme": "dark"}, marks=MORE),
        pytest.param("fr", {"viewport": WIDE}, marks=MORE),
        pytest.param("en", {"java_script_enabled": False}, marks=MORE),
        pytest.param("fr", {"java_script_enabled": False, "viewport": NARROW}, marks=MORE),
    ],
)
def test_researcher_asks_by_clicking(chromium: Browser, server: Server, language: str, options: dict[str, Any]) -> None:
    """Each page on the way is light, fits the window, and has nothing serious for axe; no error, nothing from elsewhere."""
    with visiting(chromium, server, language, **options) as visit:
        ask(visit)
        assert visit.page.get_attribute("html", "lang") == language


def test_values_of_persons_are_built_by_clicking(chromium: Browser, server: Server) -> None:
    """A row becomes a person, whose number of events is a group; the form is sound, and follows the SQL back."""
    with visiting(chromium, server, viewport=NARROW) as visit:
        visit.sign_in("ada")
        visit.open("/studies/flu/ask")
        visit.page.check("[name=rows][value=persons]")
        expect(visit.page.locator("#v-0-what")).to_have_value("count")
        visit.assert_sound()
        visit.page.fill("#v-0-high", "5")
        visit.page.fill("#v-0-low", "0")
        visit.page.fill("#v-0-name", "years")
        visit.page.keyboard.press("Tab")
        visit.settle()
        visit.click("button[value=add-g]")
        visit.choose("#g-0-column", "years")
        sql = visit.page.locator("#sql")
        expect(sql).to_have_value(re.compile("GROUP BY person.*GROUP BY years"))
        visit.assert_sound()
        visit.page.check("[name=rows][value=events]")
        expect(visit.page.locator("#v-0-what")).to_have_count(0)
        expect(visit.page.locator("#g-0-wrong")).to_be_visible()  # events have no such value


def test_both_sides_follow_each_other_live(chromium: Browser, server: Server) -> None:
    """A change in the form changes the SQL and the price at once; SQL changes the form."""
    with visiting(chromium, server) as visit:
        visit.sign_in("ada")
        visit.open("/studies/flu/ask")
        visit.choose("#s-0-what", "mean")
        visit.choose("#s-0-column", "age")
        expect(visit.page.locator("#sql")).to_have_value("SELECT AVG(age) AS mean_age FROM years")
        visit.page.fill("#epsilon", "0.5")
        visit.page.keyboard.press("Tab")
        expect(visit.page.locator(".price strong").first).to_contain_text("0.5")
        visit.page.fill("#sql", "SELECT sex, COUNT(*) AS events FROM years GROUP BY sex")
        visit.page.keyboard.press("Tab")
        visit.page.wait_for_timeout(500)
        visit.settle()
        assert visit.page.input_value("#sql").startswith("SELECT sex"), "what was typed stays"
        visit.click("button[value=from-sql]")
        expect(visit.page.locator("#s-0-what")).to_have_value("events")
        expect(visit.page.locator("#g-0-column")).to_have_value("sex")
        assert visit.faults == []


def test_sign_in_link_is_not_sent_by_itself(chromium: Browser, server: Server) -> None:
    """A link on another site could otherwise sign somebody in as somebody else. The token leaves the address at once."""
    with visiting(chromium, server) as visit:
        visit.open(f"/sign-in#token={server.home.tokens['ada']}")
        visit.page.wait_for_timeout(300)
        assert visit.page.url == f"{visit.address}/sign-in"
        assert visit.page.input_value("#token") == server.home.tokens["ada"]


def test_first_answer_takes_six_clicks(chromium: Browser, server: Server) -> None:
    """From the link that the demonstration prints to an answer, with nothing typed."""
    clicks = 1  # on the button of the sign-in page
    with visiting(chromium, server) as visit:
        visit.sign_in("ada")
        for what in ("main a.button", "summary", ".examples a", "button[value=review]", "#pay"):
            visit.click(what)
            clicks += 1
        visit.page.wait_for_url("**/releases/*")
    assert clicks <= 6


@MORE
def test_researcher_asks_with_the_keyboard_alone(chromium: Browser, server: Server) -> None:
    """Tab, Enter and arrows are enough, and where the focus is can be seen."""
    with visiting(chromium, server) as visit:
        visit.sign_in("ada")

        def tab_to(selector: str) -> None:
            for _ in range(80):
                visit.page.keyboard.press("Tab")
                if visit.page.evaluate(f"document.activeElement.matches({selector!r})"):
                    shown = visit.page.evaluate(
                        "(s => s.outlineStyle !== 'none' || s.boxShadow !== 'none')(getComputedStyle(document.activeElement))"
                    )
                    assert shown, selector
                    return
            raise AssertionError(selector)

        tab_to("main a.button")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**/ask")
        visit.settle()
        tab_to("button[value=review]")
        visit.page.keyboard.press("Enter")
        visit.settle()
        visit.page.wait_for_selector("#pay")
        tab_to("#pay")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**/releases/*")


def test_a_second_click_on_pay_is_the_same_question(chromium: Browser, server: Server) -> None:
    """Whoever clicks twice pays once."""
    with visiting(chromium, server) as visit:
        visit.sign_in("ada")
        visit.open("/studies/flu/ask")
        visit.page.fill("#epsilon", "0.037")
        visit.click("button[value=review]")
        visit.page.dblclick("#pay")
        visit.page.wait_for_url("**/releases/*")
    assert [epsilon for kind, epsilon in server.home.charges("flu") if kind == "reserve"].count(37_000_000) == 1
