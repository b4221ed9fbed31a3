"""How long each page takes the server, and how much it weighs: `python -m benchmarks.pages`.

Measured are the pages of each role over the demonstration's dataset, with a study that has asked a few questions. The
time is that of the application in this process, without a socket and without a browser; the size is that of the HTML.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.serving import application, ask, make_home, write_clinic, write_demo_manifest

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.serving import Place

ROUNDS = 15
STUDY = "/studies/flu"
PAGES = {
    "ada": ("/", "/studies", STUDY, f"{STUDY}/ask", f"{STUDY}/releases", "RELEASE", "/datasets/rand-hie", "/words"),
    "admin": (
        *(
            "/",
            "/admin/datasets",
            "/admin/datasets/rand-hie",
            "/admin/studies/new",
            "/admin/studies/flu",
            "/admin/users",
        ),
        *("/admin/tokens", "/admin/proposals", "/admin/server"),
    ),
    "vera": ("/", f"{STUDY}/decide", "/datasets/rand-hie/decide", "/spending", "/reports"),
    "dora": ("/", "/log", "/log/3", "/log/verify", "/alerts", "/names", "/reports/studies/flu"),
}


def main() -> None:
    """Print a line for each page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = make_home(folder / "home", write_demo_manifest(folder), write_clinic(folder))
        with application(home) as place:
            place.open_study("flu", "rand-hie")
            for number in range(5):
                body = ask({f"n{number}": {"count": "persons"}}, 0.1, group_by=["plan", "sex"])
                released = place.client("ada").good("POST", f"{STUDY}/queries", body)
            for user, paths in PAGES.items():
                client = _signed_in(place, user)
                for path in paths:
                    _measure(client, user, path.replace("RELEASE", f"{STUDY}/releases/{released['id']}"))


def _signed_in(place: Place, user: str) -> FlaskClient:
    client = place.app.test_client()
    token = {"token": place.home.tokens[user]}
    assert client.post("/sign-in", data=token, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
    return client


def _measure(client: FlaskClient, user: str, path: str) -> None:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        reply = client.get(path)
        took.append(1000 * (time.perf_counter() - began))
        assert reply.status_code == 200, (path, reply)
    middle, worst, size = statistics.median(took), max(took), len(reply.data) / 1024
    print(f"{user:6} {path[:40]:42} median {middle:5.1f} ms, worst {worst:5.1f} ms, {size:5.1f} KB")


if __name__ == "__main__":
    main()
