"""An edition is divided into parts while a server answers from it; stopped anywhere, it is whole."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from click.testing import CliRunner

from queries.catalog import parts
from queries.contribution import profile
from queries.errors import EngineFailed
from queries.execution.duckdb import Store
from queries.store import repartition
from server.cli.main import main
from server.errors import StoreUnavailable
from server.journey import paid
from server.runtime import health
from server.runtime.home import building
from server.runtime.scans import engines
from tests import processes
from tests.journeys.dividing import POINTS
from tests.serving import Home, application, ask, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Place

PEOPLE = {"n": {"count": "persons"}, "cost": {"sum": "cost", "bounds": [0, 100]}}


def run(home: Home, *arguments: str) -> Any:
    """Run a command over a home."""
    return CliRunner().invoke(main, list(arguments), env=home.environment())


def divide(home: Home, into: int) -> dict[str, Any]:
    """Divide the clinic with the command, and return what it says."""
    ended = run(home, "dataset", "parts", "clinic", "--into", str(into), "--json")
    assert ended.exit_code == 0, ended.output
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def folder(home: Home) -> Path:
    """Return the folder of the clinic's edition."""
    return home.store("clinic").parent


def files(home: Home) -> set[str]:
    """Return the names of the files of the clinic's edition."""
    return {path.name for path in folder(home).iterdir()}


def doctor(home: Home, *, hashes: bool = True) -> health.Check:
    """Return what doctor says of the clinic."""
    shown = (lambda _what, _done: None) if hashes else None
    (found,) = [one for one in health.examine(home.settings(), shown) if one.name == "dataset clinic"]
    return found


def exact(place: Place) -> list[list[int]]:
    """Return exact histograms of the clinic, as the server's engine counts them."""
    with place.services.database.read() as transaction:
        store = place.services.stores.current(transaction, "clinic")
    return [one.tolist() for one in store.engine.histograms(profile.plan(store.dataset, 10**9))]


def question(epsilon: float) -> dict[str, Any]:
    """Return a question of the clinic."""
    return ask(PEOPLE, epsilon, "visits", group_by=["sex"])


def test_parts_are_listed_and_made_by_command(home: Home) -> None:
    """For an admin alone; each is an entry of the log, which adds up."""
    listed = run(home, "dataset", "parts", "clinic", "--json")
    (one,) = json.loads(listed.stdout)["parts"]
    assert (one["file"], one["persons"], one["fault"]) == ("store.duckdb", 60, None)
    before = home.last_entry()
    made = divide(home, 4)
    assert [part["persons"] for part in made["parts"]] == [15] * 4
    assert files(home) == {"manifest.toml", "report.json", "parts.json", *(part["file"] for part in made["parts"])}
    words = run(home, "dataset", "parts", "clinic").stdout
    assert "4 parts" in words
    assert words.count("15 persons") == 4
    assert home.actions(before) == ["dataset.parts", "dataset.parts.read"]
    ((body,),) = home.rows("SELECT body FROM audit_entries WHERE action = 'dataset.parts'")
    assert json.loads(body)["facts"] == {"edition": 1, "parts": 4}
    for arguments in (("--into", "0"), ("--into", str(parts.PARTS_MAX + 1))):
        assert run(home, "dataset", "parts", "clinic", *arguments).exit_code == 2
    for name, refused in (("nobody's", ()), ("clinic", ("--as", "dora"))):
        assert run(home, "dataset", "parts", name, "--into", "2", *refused).exit_code == 1
    assert len(parts.kept(folder(home))) == 4
    home.assert_sound()


def test_a_server_answers_before_during_and_after(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan under way ends on the old files; what was answered is replayed free; later questions read the new files."""
    scanning, divided = threading.Event(), threading.Event()
    stream = Store.stream

    def waiting(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for batch in stream(*args, **kwargs):
            scanning.set()
            assert divided.wait(300)
            yield batch

    with application(home) as place:
        place.open_study("s", "clinic")
        ada = place.client("ada")
        first = ada.good("POST", "/studies/s/queries", question(0.5))
        before = exact(place)
        monkeypatch.setattr(Store, "stream", waiting)
        replies: list[Any] = []
        asked = threading.Thread(target=lambda: replies.append(ada.post("/studies/s/queries", question(0.25))))
        asked.start()
        assert scanning.wait(300)
        made = divide(home, 3)
        assert "store.duckdb" not in files(home)
        divided.set()
        asked.join()
        assert replies[0].status == 201
        monkeypatch.setattr(Store, "stream", stream)
        again = ada.good("POST", "/studies/s/queries", question(0.5))
        assert (again["replayed"], again["rows"]) == (True, first["rows"])
        used = home.used_nano("study", "s")
        assert ada.post("/studies/s/queries", question(0.125)).status == 201
        assert home.used_nano("study", "s") == used + 125_000_000
        assert exact(place) == before
        divide(home, 1)
        assert exact(place) == before
        assert ada.post("/studies/s/queries", question(0.0625)).status == 201
        assert len(made["parts"]) == 3
        assert place.client(None).get("/health/ready").status == 200
    home.assert_sound()


def test_a_question_that_came_before_opens_the_parts_that_are_there(home: Home) -> None:
    """Between its first look at the edition and its scan the files may have been replaced: it takes the new ones."""
    with application(home) as place:
        stores = place.services.stores
        with place.services.database.read() as transaction:
            looked = stores.current(transaction, "clinic")
        divide(home, 2)
        with pytest.raises(EngineFailed):
            looked.engine.open()
        ready = stores.ready(looked)
        assert ready.seen == parts.seen(folder(home)) != looked.seen
        ready.engine.open()
        for part in parts.kept(folder(home)).parts:
            (folder(home) / part.file).unlink()
        assert stores.ready(looked) is ready, "what is open stays open"
        stores.close()
        with pytest.raises(StoreUnavailable):
            stores.ready(looked)


def test_a_question_is_answered_though_its_files_were_replaced(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same over HTTP, with the repartition right after the charge."""
    reserve = paid.replay_or_reserve

    def dividing(*args: Any) -> Any:
        found = reserve(*args)
        divide(home, 2)
        return found

    with application(home) as place:
        place.open_study("s", "clinic")
        monkeypatch.setattr(paid, "replay_or_reserve", dividing)
        assert place.client("ada").post("/studies/s/queries", question(0.5)).status == 201
    home.assert_sound()


def test_more_parts_than_fit_into_memory_are_refused(home: Home) -> None:
    """Their queries would be charged and fail, unless other machines scan them. As many as fit can be asked."""
    few = {"ROWLESS_MEMORY_LIMIT": "200MB"}
    into = ("dataset", "parts", "clinic", "--into")
    refused = CliRunner().invoke(main, [*into, "4"], env=home.environment() | few)
    assert refused.exit_code == 1
    assert "3 parts at most" in refused.output
    assert files(home) == {"manifest.toml", "report.json", "parts.json", "store.duckdb"}
    assert CliRunner().invoke(main, [*into, "3"], env=home.environment() | few).exit_code == 0
    with application(home, memory_limit="200MB") as place:
        place.open_study("s", "clinic")
        assert place.client("ada").post("/studies/s/queries", question(0.5)).status == 201
    assert CliRunner().invoke(main, [*into, "4", "--elsewhere"], env=home.environment() | few).exit_code == 0
    on_spark = home.environment(engine="spark") | few  # whose executors are other machines
    assert CliRunner().invoke(main, [*into, "5"], env=on_spark).exit_code == 0
    nobody = {"ROWLESS_SPARK_MASTER": "spark://127.0.0.1:1", "ROWLESS_SPARK_SECRET": "s" * 32}
    looked = CliRunner().invoke(main, ["doctor"], env=on_spark | nobody)
    assert "5 parts, each as its hash says; the cluster was not asked" in looked.output
    for size, most in (("2GB", 31), ("64MB", 1), ("1KB", 1), ("1.5 TiB", 23_437), ("63999999B", 1), ("128000000B", 2)):
        assert engines.parts_most(size) == most


def test_no_repartition_while_an_import_runs(home: Home) -> None:
    """They take the same lock."""
    with application(home) as place, building.alone(home.path, place.services.database, "clinic"):
        ended = run(home, "dataset", "parts", "clinic", "--into", "2")
    assert ended.exit_code == 1
    assert "another import or check of clinic is running" in ended.output
    assert files(home) == {"manifest.toml", "report.json", "parts.json", "store.duckdb"}
    assert len(divide(home, 2)["parts"]) == 2


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_the_edition_is_whole_and_the_next_run_tidies_up(home: Home, point: str) -> None:
    """The list is the old one or the new one, all its parts are sound, and nothing else is left after the next run."""
    with application(home) as place:
        before = exact(place)
    ended = processes.run("tests.journeys.dividing", point, "clinic", "3", variables=environment(**home.environment()))
    assert ended.returncode == -9, ended.stderr
    listed = parts.kept(folder(home))
    assert len(listed) == (3 if point in ("after the new list", "while the old files are deleted") else 1)
    assert repartition.leftovers(folder(home), listed)
    found = doctor(home)
    assert found.ok
    assert "a stopped repartition left" in found.finding
    with application(home) as place:
        assert exact(place) == before
        made = divide(home, 2)
        assert exact(place) == before
    assert files(home) == {"manifest.toml", "report.json", "parts.json", *(part["file"] for part in made["parts"])}
    assert "stopped" not in doctor(home).finding
    home.assert_sound()


# Doctor


def test_doctor_compares_parts_with_their_hashes(home: Home) -> None:
    """Damage that no length shows is found by hash alone; each fault is named, with what to do."""
    divide(home, 3)
    good = doctor(home)
    assert good.ok
    assert "3 parts" in good.finding
    assert "each as its hash says" in good.finding
    one, two, three = (folder(home) / part.file for part in parts.kept(folder(home)).parts)
    whole = one.read_bytes()
    changed = bytearray(whole)
    changed[-100] ^= 1
    one.write_bytes(changed)
    assert doctor(home, hashes=False).ok
    for file, content, words in (
        (one, bytes(changed), "by its hash"),
        (one, whole[:-1], "bytes in place of"),
        (one, b"no store", "cannot be opened"),
        (one, None, "is missing"),
        (two, three.read_bytes(), "another part of this one"),
    ):
        kept = file.read_bytes()
        file.write_bytes(content) if content is not None else file.unlink()
        found = doctor(home)
        assert not found.ok
        assert file.name in found.finding
        assert words in found.finding
        assert "Run rowless import again" in found.finding
        before = files(home)
        assert run(home, "dataset", "parts", "clinic", "--into", "2").exit_code == 1
        assert files(home) == before
        file.write_bytes(whole if file == one else kept)
    assert doctor(home).ok
    (folder(home) / parts.FILE).write_text("{")
    assert "parts.json is damaged" in doctor(home).finding
    assert run(home, "dataset", "parts", "clinic").exit_code == 1


def test_an_edition_of_before_gets_hashes(home: Home) -> None:
    """Without a list it opens, doctor says that it has no hashes, and a repartition gives it some."""
    (folder(home) / parts.FILE).unlink()
    with duckdb.connect(str(home.store("clinic"))) as connection:
        connection.execute(f'DROP TABLE "{parts.MARK}"')
    found = doctor(home)
    assert found.ok
    assert "without hashes" in found.finding
    with application(home) as place:
        before = exact(place)
        assert "no hash" in run(home, "dataset", "parts", "clinic").stdout
        (one,) = divide(home, 1)["parts"]
        assert exact(place) == before
    assert len(one["sha256"]) == 64
    assert "each as its hash says" in doctor(home).finding
    assert files(home) == {"manifest.toml", "report.json", "parts.json", one["file"]}
