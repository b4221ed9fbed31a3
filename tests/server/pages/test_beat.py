"""Pages add nothing to the time of an answer: a browser gets it at the beat of its slot, however long the scan took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.journey import answer
from server.runtime.scans import slots
from tests.server.journey.test_slot import StillClock
from tests.server.pages.browsing import browser
from tests.server.pages.test_asking import answered
from tests.serving import application, make_home, write_demo_manifest

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


@pytest.mark.parametrize(("took", "beats"), [(0.0, 1), (0.1, 1), (0.15, 1), (0.3, 2)])
def test_answer_reaches_a_browser_at_its_beat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: float, beats: int
) -> None:
    """Scans that end within a slot are one time for who watches the page; the release it shows is that of the API."""
    home = make_home(tmp_path / "home", write_demo_manifest(tmp_path))
    with application(home, slot_ms="250") as place:
        place.open_study("flu")
        clock, compute = StillClock(), answer.compute

        def slow(*args: Any) -> Any:
            clock.now += took
            return compute(*args)

        monkeypatch.setattr(answer, "compute", slow)
        monkeypatch.setattr(slots, "time", clock)
        began = clock.now
        page = answered(browser(place, "ada"))
        assert page.path.startswith("/studies/flu/releases/")
        assert (clock.now - began) * 1000 / 250 == pytest.approx(beats)
