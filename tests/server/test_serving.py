"""A worker: what it does when it starts, beside making the application."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from server.serving import _Gunicorn
from tests.serving import make_home, write_clinic

if TYPE_CHECKING:
    from pathlib import Path


def test_a_worker_keeps_what_is_loaded_from_the_collector(tmp_path: Path) -> None:
    """No full collection walks what was loaded, and a scan's few objects bring none nearer."""
    home = make_home(tmp_path / "home", write_clinic(tmp_path))
    threshold = gc.get_threshold()
    gc.unfreeze()
    try:
        app = _Gunicorn(home.settings()).load()
        assert gc.get_freeze_count() > len(gc.get_objects()), "frozen ones are not among the others"
        assert gc.get_threshold()[0] >= 100_000
        app.extensions["rowless"].close()
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
