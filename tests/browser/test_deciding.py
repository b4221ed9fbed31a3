"""The way of a DPO and of an approver in a real browser: from what waits to a decision, and through the log.

That all of it works without script too is what tests/server/pages tries, whose browser has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import visiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.browser.chromium import Visit
    from tests.serving import Server

NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1600, "height": 1000}
MORE = pytest.mark.audit
LOOKS = [
    ("en", {}),
    pytest.param("fr", {"viewport": NARROW, "color_scheme": "dark"}, marks=MORE),
    pytest.param("en", {"viewport": WIDE, "color_scheme": "dark"}, marks=MORE),
]
OF_DPO = ("/log", "/log/3", "/log/verify", "/alerts", "/spending", "/reports", "/names", "/datasets/clinic/decide")


@pytest.fixture
def waiting(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """Let a study that was approved and edited, a larger budget, and a proposal wait. Return the study."""
    admin = server.client("admin")
    name = f"s{abs(hash(request.node.name)) % 10**9}"
    server.open_study(name, "rand-hie", title="Plans and visits", epsilon=1.0)
    protocol = {
        "max_epsilon": 0.25,
        "templates": [{"name": "all", "query": {"from": "years", "select": {"n": {"count": "persons"}}}}],
    }
    admin.good("PATCH", f"/studies/{name}", {"title": "Plans, visits and costs", "protocol": protocol})
    admin.good(
        "PUT", "/studies/flu/budget", {"epsilon": 2000.0, "justification": "a test", "reason": "a second season"}
    )
    admin.request("POST", "/proposals", {"act": "add", "user": "olga", "role": "dpo"})
    yield name
    server.client("dora").good("POST", f"/studies/{name}/close", {"reason": "the test is over"})


def decide(visit: Visit, who: str, study: str, button: str, reason: str) -> None:
    """Go from the start page to a study, fill its form in and press a button."""
    visit.sign_in(who)
    visit.assert_sound()
    visit.click(f'.waiting a.button[href="/studies/{study}/decide"]')
    visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    visit.assert_sound()
    if button == "advise":
        visit.page.check("input[value=conditional]")
    visit.page.fill(f"#{button}-reason", reason)
    visit.click(f'button[value="{button}"]')
    visit.page.wait_for_selector(".notice.done")
    visit.assert_sound()


def conclude(visit: Visit, study: str) -> None:
    """Go from the page of a study to its report, and sign a conclusion."""
    visit.click(f'a.button[href="/studies/{study}/conclude"]')
    visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    visit.assert_sound()
    visit.page.fill("#conclude-text", "Not personal for its readers.")
    visit.click('button[value="conclude"]')
    visit.page.wait_for_selector(".notice.done")
    visit.assert_sound()


@pytest.mark.parametrize(("language", "options"), LOOKS)
def test_dpo_advises_and_approver_approves(
    chromium: Browser, server: Server, waiting: str, language: str, options: dict[str, Any]
) -> None:
    """From each start page to the decision; every page on the way is sound."""
    with visiting(chromium, server, language, **options) as visit:
        decide(visit, "dora", waiting, "advise", "only with a margin")
    with visiting(chromium, server, language, **options) as visit:
        decide(visit, "vera", waiting, "approve", "the committee agreed")
        conclude(visit, waiting)
    found = server.client("vera").good("GET", f"/studies/{waiting}")
    assert (found["state"], found["conclusion"]["text"]) == ("approved", "Not personal for its readers.")


@pytest.mark.parametrize(("language", "options"), LOOKS)
def test_pages_of_the_dpo_are_sound(
    chromium: Browser, server: Server, waiting: str, language: str, options: dict[str, Any]
) -> None:
    """Each page fits the window and has nothing serious for axe; the log is verified in the page."""
    assert waiting
    with visiting(chromium, server, language, **options) as visit:
        visit.sign_in("dora")
        for path in OF_DPO:
            visit.open(path)
            visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            visit.assert_sound()
        visit.open("/")
        visit.click('.waiting a.button[href^="/proposals/"]')
        visit.assert_sound()
        visit.open("/log/verify")
        visit.click("form[enctype] button")
        visit.page.wait_for_selector(".notice.done")
        visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        visit.assert_sound()


@MORE
def test_decision_is_taken_with_the_keyboard_alone(chromium: Browser, server: Server, waiting: str) -> None:
    """Tab, Space and Enter are enough to advise."""
    with visiting(chromium, server) as visit:
        visit.sign_in("dora")
        visit.open(f"/studies/{waiting}/decide")

        def tab_to(selector: str) -> None:
            for _ in range(80):
                visit.page.keyboard.press("Tab")
                if visit.page.evaluate(f"document.activeElement.matches({selector!r})"):
                    return
            raise AssertionError(selector)

        tab_to("input[name=opinion]")
        visit.page.keyboard.press("Space")
        tab_to("#advise-reason")
        visit.page.keyboard.type("by keyboard")
        tab_to('button[value="advise"]')
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector(".notice.done")
    assert server.client("dora").good("GET", f"/studies/{waiting}")["advice"]["reason"] == "by keyboard"
