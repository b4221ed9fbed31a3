"""A server whose engine is Spark: the same answers, the same ledger, the same promise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from queries.catalog import parts
from server.app import create_app
from server.errors import SettingsError
from tests import processes
from tests.queries.parted import divide
from tests.serving import PATIENTS, application, ask, environment, make_home, serving, write_clinic

if TYPE_CHECKING:
    from tests.serving import Home

ON_SPARK = {"engine": "spark", "spark_master": "local-cluster[2,1,1024]", "spark_executor_memory": "1g"}
EXACT = ask({**PATIENTS, "total": {"sum": "cost"}}, 1000.0, "visits")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Make a home with the clinic in three parts."""
    folder = tmp_path_factory.mktemp("home")
    made = make_home(folder / "home", write_clinic(folder))
    divide(folder_of(made), 3)
    return made


def folder_of(home: Home) -> Path:
    """Return the folder of the edition in service."""
    return home.store("clinic").parent


def test_a_server_on_a_cluster_answers_as_one_machine_does(home: Home) -> None:
    """With next to no noise both engines give one answer at one price; asked again it is replayed, and a rehearsal is free.

    Before that a part is damaged: the query costs what an answer costs, says the constant text, and the same request
    resumes on what was paid.
    """
    with application(home) as place:
        place.open_study("local", "clinic", epsilon=4_000.0)
        here = place.client("ada").good("POST", "/studies/local/queries", EXACT)
    damaged = folder_of(home) / parts.kept(folder_of(home)).parts[1].file
    whole = damaged.read_bytes()
    with serving(home, **ON_SPARK) as server:
        server.open_study("cluster", "clinic", epsilon=4_000.0)
        ada = server.client("ada")
        damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        failed = ada.post("/studies/cluster/queries", EXACT)
        assert (failed.status, failed.code) == (500, "query-failed")
        assert "part" not in failed.body.decode()
        charged = home.used_nano("study", "cluster")
        assert charged > 0
        damaged.write_bytes(whole)
        there = ada.good("POST", "/studies/cluster/queries", EXACT)
        assert there["rows"][0]["patients"] == here["rows"][0]["patients"]
        assert there["cost"] == here["cost"]
        assert home.used_nano("study", "cluster") == charged
        again = ada.good("POST", "/studies/cluster/queries", EXACT)
        assert (again["replayed"], again["rows"]) == (True, there["rows"])
        assert ada.good("POST", "/studies/cluster/rehearsals", EXACT)["rehearsal"] is True
        assert home.used_nano("study", "cluster") == charged
    home.assert_sound()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"spark_settings": "spark.ui.enabled=true"}, "spark.ui.enabled"),
        ({"spark_master": "spark://elsewhere:7077"}, "ROWLESS_SPARK_SECRET_FILE"),
    ],
)
def test_a_cluster_that_cannot_be_secured_stops_the_start(home: Home, settings: dict[str, str], told: str) -> None:
    """Refused settings name themselves before anything starts."""
    with pytest.raises(SettingsError, match=told):
        create_app(home.settings(**{**ON_SPARK, **settings}))


def test_an_import_on_a_cluster_makes_parts(tmp_path: Path) -> None:
    """The command makes parts, and a server on one machine answers from them."""
    manifest = write_clinic(tmp_path)
    home = make_home(tmp_path / "home", manifest)
    whole = parts.kept(folder_of(home))
    told = processes.run(
        *("server.cli", "import", str(manifest), "--json"),
        variables=environment(**home.environment(**ON_SPARK, spark_persons_per_part="2500")),
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["edition"] == 2
    made = parts.kept(folder_of(home))
    assert (len(whole), len(made)) == (1, 4)
    with application(home) as place:
        place.open_study("s", "clinic", epsilon=4_000.0)
        answer = place.client("ada").good("POST", "/studies/s/queries", EXACT)
        assert answer["edition"] == 2
        assert answer["rows"][0]["patients"]["value"] == 60
