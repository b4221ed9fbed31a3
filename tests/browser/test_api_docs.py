"""The API's own page in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from server.api import examples
from tests.browser.chromium import visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.serving import Server


def test_an_example_is_sent_from_the_page(chromium: Browser, server: Server) -> None:
    """Swagger UI runs under the strict policy of all pages: a token is typed in, and an example gets its reply."""
    with visiting(chromium, server) as visit:
        visit.open("/api/v1/docs")
        page = visit.page
        page.click("button.authorize")
        page.fill(".auth-container input", server.home.tokens["ada"])
        page.click(".auth-btn-wrapper button[type=submit]")
        page.click(".btn-done")
        page.click("#operations-queries-estimate .opblock-summary-control")
        page.fill(".opblock.is-open tr[data-param-name=study] input", "flu")
        page.click(".opblock.is-open button.execute")
        expect(page.locator(".opblock.is-open .live-responses-table tbody .response-col_status")).to_contain_text("200")
        assert visit.faults == []


@pytest.mark.parametrize("name", examples.ASKS)
def test_examples_of_the_document_run_as_they_stand(server: Server, name: str) -> None:
    """On the demonstration's dataset each example has a price."""
    reply = server.client("ada").post("/studies/flu/estimates", examples.ASKS[name]["value"])
    assert reply.status == 200, reply
