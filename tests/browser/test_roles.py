"""The work of admin, DPO and approver in a real browser, from the sign-in to done: a study from its opening to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import visiting
from tests.browser.test_researcher import MORE, NARROW, WIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

    from tests.browser.chromium import Visit
    from tests.serving import Server

TERMS = {
    "title": "Asthma in winter",
    "purpose": "Learn in which months there are more visits",
    "legal_basis": "Art. 9(2)(j)",
}


def go(visit: Visit, path: str) -> None:
    """Open a page and check it."""
    visit.open(path)
    visit.assert_sound()


def admin_opens(visit: Visit, study: str) -> None:
    """Open a study and add a member; look at everything else that an admin has."""
    go(visit, "/")
    go(visit, "/admin/new-study")
    for name, value in {**TERMS, "name": study, "epsilon": "1"}.items():
        visit.page.fill(f"#{name}", value)
    visit.page.select_option("#dataset", "clinic")
    visit.click("form.form details summary")  # what goes with a budget: delta, and the part for Laplace noise
    visit.page.fill("#laplace_percent", "60")
    visit.assert_sound()
    visit.click("form.form .actions button[value=open]")
    visit.assert_sound()
    assert "it stays 60" in str(visit.page.text_content("main"))
    visit.page.select_option("#user", "ada")
    visit.click("button[value=add]")
    visit.assert_sound()
    for path in (
        "/admin/datasets",
        "/admin/datasets/clinic",
        "/admin/users",
        "/admin/tokens",
        "/admin/proposals",
        "/admin/server",
    ):
        go(visit, path)
    go(visit, f"/admin/studies/{study}/formalities")
    visit.click("form.form .actions button")  # those of the dataset
    visit.assert_sound()
    go(visit, f"/admin/studies/{study}/protocol")
    go(visit, f"/admin/studies/{study}/terms")


def dpo_advises(visit: Visit, study: str) -> None:
    """Advise on the draft that waits, and look at the log, alerts, spending, reports and names."""
    go(visit, "/")
    visit.click(f"main a[href='/studies/{study}/decide']")
    visit.assert_sound()
    visit.page.check("#advise input[value=favourable]")
    visit.page.fill("#advise-reason", "only months are asked for")
    visit.click("button[value=advise]")
    visit.assert_sound()
    for path in ("/log", "/log/3", "/alerts", "/spending", "/reports", "/names"):
        go(visit, path)


def approver_approves(visit: Visit, study: str) -> None:
    """Approve the draft that waits."""
    go(visit, "/")
    visit.click(f"main a[href='/studies/{study}/decide']")
    visit.assert_sound()
    visit.page.fill("#approve-reason", "the committee agreed")
    visit.click("button[value=approve]")
    visit.assert_sound()
    go(visit, "/reports")


def dpo_verifies(visit: Visit, study: str) -> None:
    """Verify the log in the page, then suspend the study."""
    go(visit, "/log/verify")
    visit.click("main form button >> nth=-1")
    visit.assert_sound()
    visit.page.wait_for_selector(".notice.done")
    go(visit, f"/studies/{study}/decide")
    visit.click("details:has(#suspend-reason) summary")
    visit.page.fill("#suspend-reason", "a complaint came in")
    visit.click("button[value=suspend]")
    visit.assert_sound()


STEPS: tuple[tuple[str, Callable[[Visit, str], None]], ...] = (
    ("admin", admin_opens),
    ("dora", dpo_advises),
    ("vera", approver_approves),
    ("dora", dpo_verifies),
)


@pytest.mark.parametrize(
    ("language", "options"),
    [
        ("en", {}),
        pytest.param("fr", {"viewport": NARROW, "color_scheme": "dark"}, marks=MORE),
        pytest.param("fr", {"viewport": WIDE}, marks=MORE),
        pytest.param("en", {"java_script_enabled": False, "viewport": NARROW}, marks=MORE),
    ],
)
def test_study_goes_from_its_opening_to_its_suspension(
    chromium: Browser, server: Server, request: pytest.FixtureRequest, language: str, options: dict[str, Any]
) -> None:
    """Each role does its part by clicking and typing; each page on the way is sound."""
    study = f"asthma-{request.node.callspec.indices['options']}"
    for name, step in STEPS:
        with visiting(chromium, server, language, **options) as visit:
            visit.sign_in(name)
            step(visit, study)
    assert server.client("admin").good("GET", f"/studies/{study}")["state"] == "suspended"


@MORE
def test_admin_opens_a_study_with_the_keyboard_alone(chromium: Browser, server: Server) -> None:
    """From the start page to a study with a member and another budget, and to a token: Tab, Enter and typing."""
    with visiting(chromium, server) as visit:
        visit.sign_in("admin")
        keys = visit.page.keyboard

        def tab_to(selector: str) -> None:
            for _ in range(120):
                keys.press("Tab")
                if visit.page.evaluate(f"document.activeElement.matches({selector!r})"):
                    shown = "s => s.outlineStyle !== 'none' || s.boxShadow !== 'none'"
                    assert visit.page.evaluate(f"({shown})(getComputedStyle(document.activeElement))"), selector
                    return
            raise AssertionError(selector)

        def press(selector: str) -> None:
            tab_to(selector)
            keys.press("Enter")
            visit.settle()

        def typed(selector: str, text: str) -> None:
            tab_to(selector)
            keys.press("Control+A")
            keys.type(text)

        press("main a[href='/admin/new-study']")
        visit.page.wait_for_url("**/admin/new-study")
        for name in ("name", "title", "purpose", "legal_basis", "epsilon"):
            typed(f"#{name}", {**TERMS, "name": "by-keyboard", "epsilon": "1"}[name])
        press("form.form .actions button[value=open]")
        visit.page.wait_for_url("**/admin/studies/by-keyboard")
        tab_to("#user")
        keys.type("ada")
        press("button[value=add]")
        visit.page.wait_for_selector(".notice.done")
        press("details.act > summary")
        typed("#epsilon", "0.5")
        typed("#reason", "less is enough")
        press("button[value=budget]")
        visit.page.wait_for_selector(".notice.done")
        press("nav a[href='/admin/tokens']")
        visit.page.wait_for_url("**/admin/tokens")
        press("main a[href='/admin/new-token']")
        visit.page.wait_for_url("**/admin/new-token")
        tab_to("#user")
        keys.type("ben")
        press("main form button")
        visit.page.wait_for_selector("#secret")
        visit.assert_sound()
    study = server.client("admin").good("GET", "/studies/by-keyboard")
    assert (study["members"], study["budget"]["epsilon"]) == (["ada"], 0.5)
