from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from queries.language import nodes
from server.journey import preparing
from server.journey.preparing import Request
from tests.serving import PATIENTS, application, ask, import_file, make_home, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Client, Home, Place

EXACT = 10_000.0  # so large an epsilon that no noise is seen on counts
VISITS = ask(PATIENTS, 2.0, "visits")
BATTERY = {
    "a count": ask(PATIENTS),
    "every statistic": ask(
        {
            "people": {"count": "persons"},
            "rows": {"count": "events"},
            "old": {"count": "events", "where": {"column": "age", "op": ">=", "value": 65}},
            "sum": {"sum": "visits", "bounds": [0, 30]},
            "mean": {"mean": "cost", "bounds": [0, 2000]},
            "variance": {"variance": "visits"},
            "deviation": {"stddev": "visits", "bounds": [0, 50]},
            "median": {"quantile": "cost", "at": 0.5},
            "quartiles": {"quantile": "visits", "at": [0.25, 0.5, 0.75]},
            "apart": {"iqr": "cost"},
            "share": {"proportion": {"column": "child", "op": "=", "value": True}},
            "ages": {"histogram": "age", "bins": [0, 18, 65, 71]},
            "years": {"histogram": "year"},
            "plans": {"top": "plan", "k": 3},
            "covariance": {"covariance": ["visits", "cost"]},
            "correlation": {"correlation": ["visits", "age"]},
        },
        50.0,
    ),
    "keys": ask(PATIENTS, group_by=["sex", {"column": "age", "bins": [0, 18, 65]}, "head_black"]),
    "no defaults": ask({"n": {"count": "events"}}, bounds={"cells_per_person": 1, "events_per_cell": 2}),
    "rho": {**ask({"m": {"mean": "visits"}}, group_by=["year", "sex"]), "privacy": {"rho": 0.01}},
    "SQL": {"sql": "SELECT sex, COUNT(*) AS n FROM years WHERE year >= 2 GROUP BY sex", "privacy": {"epsilon": 0.5}},
    "persons": ask({"income": {"mean": "income", "bounds": [0, 20_000]}}, table="persons"),
}
CLINICAL = {
    "a period": ask({"c": {"sum": "cost"}}, 2.0, "visits", group_by=[{"column": "day", "period": "quarter"}]),
    "a text": ask(PATIENTS, 2.0, "visits", where={"column": "code", "op": "=", "value": "C1"}),
    "another text": ask(PATIENTS, 2.0, "visits", where={"column": "code", "op": "!=", "value": "C1"}),
}


def rehearsed(client: Client, body: dict[str, Any], study: str = "flu") -> Any:
    """Return a rehearsal."""
    return client.good("POST", f"/studies/{study}/rehearsals", body)


def shape(value: Any) -> Any:
    """Return what a program sees of a value's form: members by name, rows by what they are about, kinds of numbers."""
    match value:
        case dict():
            labels = {"bin", "at"} & value.keys()
            return {name: part if name in labels else shape(part) for name, part in value.items()}
        case list():
            return [shape(part) for part in value]
        case bool() | str() | None:
            return value
        case _:
            return "a number"


def as_asked(answered: Any) -> Any:
    """Return an answer without what a rehearsal has of its own and what is about the noise alone."""
    left_out = ("rehearsal", "id", "charged_at", "budget", "notes")
    kept = {name: member for name, member in answered.items() if name not in left_out}
    rows = [{name: part for name, part in row.items() if name != "plans"} for row in kept["rows"]]
    return {**kept, "rows": shape(rows)}


def are_alike(client: Client, body: dict[str, Any], study: str) -> None:
    """Check that a rehearsal and a release of a query differ in nothing but their numbers."""
    made = rehearsed(client, body, study)
    real = client.good("POST", f"/studies/{study}/queries", body)
    assert as_asked(made) == as_asked(real)
    assert made.keys() == {*real.keys(), "rehearsal"}
    assert (made["rehearsal"], made["id"], made["charged_at"]) == (True, None, None)
    assert "rehearsal" in made["notes"][0]
    assert made["budget"].keys() == real["budget"].keys()


@pytest.mark.parametrize("name", BATTERY)
def test_a_rehearsal_has_the_shape_of_the_answer(shared: Place, name: str) -> None:
    """Members, columns, row keys, bins, cost and bounds are those of the release; the numbers alone are made up."""
    are_alike(shared.client("ada"), BATTERY[name], "flu")


@pytest.mark.parametrize("name", CLINICAL)
def test_rehearsal_has_shape_with_dates_and_undeclared_texts(place: Place, name: str) -> None:
    """The same over a table with a date and an undeclared category, whose texts are looked up."""
    place.open_study("clinic", "clinic")
    are_alike(place.client("ada"), CLINICAL[name], "clinic")


def test_a_rehearsal_charges_and_stores_nothing(place: Place) -> None:
    """It leaves no charge, no release, no key; its only trace is one audit entry like an estimate's."""
    ada = place.client("ada")
    before = place.home.last_entry()
    body = ask(PATIENTS, 0.5, group_by=["sex"])
    for _ in range(3):
        rehearsed(ada, body)
    assert place.home.actions(before) == ["query.rehearse"]  # and a count of the others
    assert place.home.charges() == []
    assert place.home.rows("SELECT * FROM releases") == place.home.rows("SELECT * FROM idempotency_keys") == []
    assert place.home.used_nano("study", "flu") == place.home.used_nano("dataset", "rand-hie") == 0
    ada.good("POST", "/studies/flu/estimates", body)
    made, estimated = (
        place.client("dora").good("GET", f"/audit/entries?action=query.{what}")["items"][-1]
        for what in ("rehearse", "estimate")
    )
    for member in ("facts", "subject", "study", "actor"):
        assert made[member] == estimated[member]
    assert not ada.good("POST", "/studies/flu/queries", body)["replayed"]
    place.home.assert_sound()


def test_each_rehearsal_draws_its_noise(shared: Place) -> None:
    """The made-up data stay the same, and the noise is drawn anew: so a program meets answers that differ."""
    body = ask(PATIENTS, 0.05)
    values = [rehearsed(shared.client("ada"), body)["rows"][0]["patients"]["value"] for _ in range(20)]
    assert len(set(values)) > 3
    exact = {rehearsed(shared.client("ada"), ask(PATIENTS, EXACT))["rows"][0]["patients"]["value"] for _ in range(3)}
    assert len(exact) == 1
    assert all(abs(value - exact.copy().pop()) < 1_000 for value in values)


def test_a_rehearsal_needs_no_budget(place: Place) -> None:
    """A study that has spent everything can still rehearse, and sees that nothing is left."""
    place.open_study("small", epsilon=0.5)
    ada = place.client("ada")
    ada.good("POST", "/studies/small/queries", ask(PATIENTS, 0.5))
    said = rehearsed(ada, ask(PATIENTS, 3.0), "small")
    assert (said["cost"]["epsilon"], said["budget"]["remaining"]["epsilon"]) == (3.0, 0.0)


# Nothing of the data


@pytest.fixture
def other(tmp_path: Path) -> Home:
    """Return a home with the clinic of the same manifest over quite other data: more persons, other values."""
    visits = [
        f"{n % 977},female,2021-{n % 12 + 1:02}-03,{n % 400}.5,{n % 20},true,KANARIENVOGEL{n % 3}" for n in range(9_000)
    ]
    return make_home(tmp_path / "other", write_clinic(tmp_path, visits))


MEASURED = ask(
    {
        "n": {"count": "persons"},
        "e": {"count": "events"},
        "q": {"quantile": "age", "at": 0.5},
        "p": {"proportion": {"column": "cost", "op": ">", "value": 100}, "of": "persons"},
        "h": {"histogram": "urgent"},
    },
    EXACT,
    "visits",
    group_by=["sex", {"column": "day", "period": "year"}],
    where={"column": "code", "op": "!=", "value": "KANARIENVOGEL1"},
)


def exact_cells(place: Place) -> list[list[int]]:
    """Return the cells of a query before noise, over the made-up data of a place's clinic."""
    services = place.services
    query = nodes.Query(
        "visits",
        (("n", nodes.Count("persons")), ("c", nodes.Sum("cost")), ("h", nodes.Histogram("age"))),
        group_by=(nodes.ByPeriod("day", "month"),),
    )
    with services.database.read() as transaction:
        from budgets.identity import people

        ada = people.user(transaction, "ada")
    prepared = preparing.prepare(services, ada, "s", Request(query, nodes.Privacy(10**9)))
    made_up = services.stores.made_up(prepared.store)
    cells = made_up.engine.cells(prepared.plan)
    return [part.tolist() for part in cells]


def test_the_data_make_no_difference(home: Home, other: Home) -> None:
    """Over two homes with one manifest and different data the cells are the same to the last, and so is the answer."""
    found = []
    for one in (home, other):
        with application(one) as place:
            place.open_study("s", "clinic")
            said = rehearsed(place.client("ada"), MEASURED, "s")
            assert b"KANARIENVOGEL0" not in str(said).encode()
            real = place.client("ada").good("POST", "/studies/s/queries", ask(PATIENTS, 10.0, "visits"))
            found.append((exact_cells(place), said["rows"], real["rows"][0]["patients"]["value"]))
    assert found[0][:2] == found[1][:2]
    assert found[0][2] < 100 < 900 < found[1][2]
    assert sum(found[0][0][0]) > 1_000


def test_the_store_is_not_even_opened(home: Home) -> None:
    """With a store of junk a query fails, and a rehearsal says what it always says."""
    with application(home) as place:
        place.open_study("s", "clinic")
        whole = rehearsed(place.client("ada"), MEASURED, "s")
    home.store("clinic").write_bytes(b"junk" * 10_000)
    with application(home) as place:
        assert rehearsed(place.client("ada"), MEASURED, "s")["rows"] == whole["rows"]
        assert place.client("ada").post("/studies/s/queries", VISITS).status == 503


def test_an_edition_with_another_catalog_is_rehearsed_anew(place: Place, tmp_path: Path) -> None:
    """After an import the made-up data are those of the new catalog."""
    place.open_study("s", "clinic")
    ada = place.client("ada")
    body = ask(PATIENTS, EXACT, "persons")
    assert rehearsed(ada, body, "s")["rows"][0]["patients"]["value"] == 4_000
    import_file(place.services, write_clinic(tmp_path, **{"persons_max = 10000": "persons_max = 70"}))
    said = rehearsed(ada, body, "s")
    assert (said["edition"], said["rows"][0]["patients"]["value"]) == (2, 70)


def test_eight_at_once_make_one_store(home: Home) -> None:
    """First rehearsals at the same moment are all answered, from the same data."""
    with application(home) as place:
        place.open_study("s", "clinic")
        barrier, found = threading.Barrier(8), []

        def run() -> None:
            barrier.wait()
            found.append(rehearsed(place.client("ada"), MEASURED, "s")["rows"])

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [found[0]] * 8


# Who may, and what is wrong


@pytest.mark.parametrize("state", ["draft", "suspended", "closed"])
def test_only_an_open_study_may_rehearse(place: Place, state: str) -> None:
    """A study that may not ask may not rehearse either, and is told the same."""
    place.open_study("other", approve=state != "draft")
    if state != "draft":
        path = {"suspended": "suspend", "closed": "close"}[state]
        place.client("dora").good("POST", f"/studies/other/{path}", {"reason": "r"})
    for way in ("rehearsals", "queries"):
        refused = place.client("ada").post(f"/studies/other/{way}", ask(PATIENTS))
        assert (refused.status, refused.code) == (403, "not-approved")
    assert place.client("ben").post("/studies/other/rehearsals", ask(PATIENTS)).status == 404
    assert "query.rehearse" not in place.home.actions()


def test_a_protocol_holds_for_rehearsals(place: Place) -> None:
    """What a study's protocol does not include cannot be rehearsed."""
    place.open_study("narrow", protocol={"statistics": ["count"], "max_epsilon": 1.0})
    ada = place.client("ada")
    rehearsed(ada, ask(PATIENTS, 1.0), "narrow")
    for body, pointer in ((ask({"c": {"sum": "cost"}}), "/query/select/c"), (ask(PATIENTS, 1.5), "/privacy/epsilon")):
        refused = ada.post("/studies/narrow/rehearsals", body)
        assert (refused.status, refused.code, refused.json()["pointer"]) == (403, "outside-protocol", pointer)


def test_a_key_is_not_bound_by_a_rehearsal(place: Place) -> None:
    """An Idempotency-Key that came with a rehearsal is free, and one that was used does not stand in its way."""
    ada = place.client("ada")
    assert ada.post("/studies/flu/rehearsals", ask(PATIENTS), Idempotency_Key="k").status == 200
    assert ada.post("/studies/flu/queries", ask(PATIENTS, 0.5), Idempotency_Key="k").status == 201
    assert ada.post("/studies/flu/rehearsals", ask(PATIENTS, 0.25), Idempotency_Key="k").status == 200
    assert ada.post("/studies/flu/queries", ask(PATIENTS, 0.5), Idempotency_Key="k").json()["replayed"]


def test_rehearsal_without_temporary_folder_is_unavailable(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server without a folder for temporary files cannot rehearse, says so, and answers queries all the same."""
    with application(home) as place:
        place.open_study("s", "clinic")
        ada = place.client("ada")
        with monkeypatch.context() as patched:
            patched.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
            refused = ada.post("/studies/s/rehearsals", VISITS)
            assert (refused.status, refused.code) == (503, "unavailable")
            assert "nowhere" not in refused.json()["detail"]
            assert ada.post("/studies/s/queries", VISITS).status == 201
        assert "query.rehearse" not in place.home.actions()
        rehearsed(ada, VISITS, "s")
