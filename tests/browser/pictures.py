"""The pictures in the docs, taken of a demonstration that runs: `make pictures`.

    python -m tests.browser.pictures FOLDER

It sets a demonstration up in a home that it throws away, walks through the pages as each role, and writes one PNG for
each picture. Look at them before you commit them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from tests.browser.chromium import MISSING, program
from tests.ports import free_port
from tests.serving import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

WINDOW = {"width": 1200, "height": 820}
ROLES = ("researcher", "admin", "approver", "DPO")
SECONDS = 300
STUDY = "/studies/cost-sharing"


@contextmanager
def demonstration(folder: Path) -> Iterator[dict[str, str]]:
    """Run `rowless demo` and return the address at which each role signs in."""
    log = folder / "demo.log"
    variables = environment(ROWLESS_HOME=str(folder / "home"), ROWLESS_PORT=str(free_port()), PYTHONUNBUFFERED="1")
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "server.cli", "demo"], env=variables, stdout=out, stderr=out)
    try:
        for _ in range(10 * SECONDS):
            if "Try:" in log.read_text():
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield dict(re.findall(rf"^  ({'|'.join(ROLES)}) +(http\S+)$", log.read_text(), re.MULTILINE))
    finally:
        process.terminate()
        process.wait()


def take(folder: Path) -> None:
    """Take all pictures."""
    path = program()
    if path is None:
        raise SystemExit(MISSING)
    with tempfile.TemporaryDirectory() as home, demonstration(Path(home)) as links, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for role in ROLES:
            page = browser.new_context(viewport=WINDOW, locale="en-GB").new_page()
            page.goto(links[role])
            page.click("#sign-in button")
            page.wait_for_load_state("networkidle")
            address = links[role].partition("/sign-in")[0]
            {"researcher": researcher, "admin": admin, "approver": approver, "DPO": dpo}[role](page, address, folder)
        browser.close()


def researcher(page: Page, address: str, folder: Path) -> None:
    """Walk from the start page to an answer."""
    shoot(page, folder, "studies")
    page.goto(f"{address}{STUDY}/ask")
    page.wait_for_load_state("networkidle")
    page.click("button[value=add-g]")
    for field, value in (
        ("#s-0-what", "share"),
        ("#s-0-column", "visits"),
        ("#s-0-op", ">"),
        ("#g-0-column", "health"),
    ):
        with page.expect_response(lambda response: response.request.method == "POST"):
            page.select_option(field, value)
        page.wait_for_load_state("networkidle")
    page.fill("#s-0-value", "0")
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.fill("#epsilon", "0.3")
        page.press("#epsilon", "Tab")
    page.wait_for_load_state("networkidle")
    shoot(page, folder, "asking")
    page.click("button[value=review]")
    page.wait_for_load_state("networkidle")
    shoot(page, folder, "price")
    page.click("#pay")
    page.wait_for_load_state("networkidle")
    shoot(page, folder, "answer", height=1000)
    # The demonstration and this question took 0.3 each, so that 0.5 is too much.
    page.goto(f"{address}{STUDY}/ask")
    page.wait_for_load_state("networkidle")
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.fill("#epsilon", "0.5")
        page.press("#epsilon", "Tab")
    page.wait_for_load_state("networkidle")
    shoot(page, folder, "too-much")


def admin(page: Page, address: str, folder: Path) -> None:
    """Show what an admin sees first, and how studies share a cap."""
    shoot(page, folder, "admin")
    page.goto(f"{address}/admin/datasets/rand-hie")
    shoot(page, folder, "dataset")


def approver(page: Page, address: str, folder: Path) -> None:
    """Show what waits for an approver."""
    shoot(page, folder, "approver")


def dpo(page: Page, address: str, folder: Path) -> None:
    """Show the log."""
    page.goto(f"{address}/log")
    shoot(page, folder, "log")


def shoot(page: Page, folder: Path, name: str, height: int = WINDOW["height"]) -> None:
    """Take one picture of the upper part of a page."""
    page.set_viewport_size({"width": WINDOW["width"], "height": height})
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)  # colours change slowly
    page.screenshot(path=folder / f"{name}.png")
    page.set_viewport_size(WINDOW)


if __name__ == "__main__":
    take(Path(sys.argv[1]))
