"""Grouping by a column without declared values, over HTTP and on the command line: the whole journey and its refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from server.cli.query import cost_text
from server.views.terminal import as_table
from tests import comments
from tests.serving import application, import_file, make_home, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Client, Home, Place, Reply

# The clinic's persons have codes C0 to C6 in turns (write_clinic), 43 of 60 persons each, so these are large.
SELECT = {"people": {"count": "persons"}}
PRIVACY = {"epsilon": 60.0, "delta": 1e-8}
BOUNDS = {"cells_per_person": 7}
CODES = [f"C{n}" for n in range(7)]
ATTO = 10**18


def asked(privacy: Any = PRIVACY, select: Any = SELECT, group_by: Any = ("code",), **query: Any) -> dict[str, Any]:
    """Return the body of a query by code."""
    body = {"from": "visits", "group_by": list(group_by), "select": select, "bounds": BOUNDS, **query}
    return {"query": body, "privacy": privacy}


@pytest.fixture
def clinic(home: Home) -> Iterator[Place]:
    """Return an application with the approved study codes on the clinic, which may spend delta."""
    with application(home) as opened:
        opened.open_study("codes", "clinic", epsilon=1000.0, delta=1e-6)
        yield opened


@pytest.fixture
def ada(clinic: Place) -> Client:
    """Return the client of the study's member."""
    return clinic.client("ada")


def query(ada: Client, body: Any) -> Reply:
    """Ask."""
    return ada.post("/studies/codes/queries", body)


def delta_used(home: Home, kind: str = "study", owner: str = "codes") -> int:
    """Return the delta that an account has spent or reserved, in 10^-18."""
    ((used,),) = home.rows(
        "SELECT delta_spent_atto + delta_reserved_atto FROM accounts WHERE kind = ? AND owner = ?", kind, owner
    )
    return int(used)


def test_the_answer_lists_what_passed_and_says_the_threshold(clinic: Place, ada: Client) -> None:
    """Every code is common and so named, in the order of the texts; the delta is charged on both accounts."""
    said = query(ada, asked()).json()
    assert [row["code"] for row in said["rows"]] == CODES
    assert all(30 < row["people"]["value"] < 60 for row in said["rows"])
    key, _ = said["columns"]
    assert key["name"] == "code"
    assert key["kind"] == "key"
    assert key["mechanism"] == "discrete_laplace_threshold"
    assert 2 <= key["threshold"] <= 12
    assert key["scale"] == pytest.approx(7 / 30)
    assert any(f"at least {key['threshold']}" in note for note in said["notes"])
    assert 0 < said["cost"]["delta"] <= 1e-8
    assert said["budget"]["spent"]["delta"] == said["cost"]["delta"]
    assert said["budget"]["remaining"]["delta"] == pytest.approx(5e-7 - said["cost"]["delta"])
    charged = delta_used(clinic.home)
    assert charged == delta_used(clinic.home, "dataset", "clinic") == round(said["cost"]["delta"] * ATTO)
    clinic.home.assert_sound()


def test_beside_declared_keys_every_combination_is_listed(ada: Client) -> None:
    """Of each named code all cells of the other keys are there, in the order of the keys."""
    said = query(ada, asked(group_by=["urgent", {"column": "code", "as": "what"}])).json()
    assert [(row["urgent"], row["what"]) for row in said["rows"]] == [(u, c) for u in (False, True) for c in CODES]
    assert [column.get("threshold") is not None for column in said["columns"]] == [False, True, False]


def test_an_estimate_says_the_threshold_and_not_how_many_values(clinic: Place, ada: Client) -> None:
    """It is free, tells the threshold and the cost in delta, and what the study's delta would pay for."""
    estimate = ada.good("POST", "/studies/codes/estimates", asked())
    assert estimate["cells"] is None
    assert estimate["affordable"] is True
    assert delta_used(clinic.home) == 0
    said = query(ada, asked()).json()
    assert estimate["columns"] == said["columns"]
    assert estimate["cost"] == said["cost"]
    # Delta is what runs out first: half of the study's for thresholds, each a hundredth of it.
    dear = asked({"epsilon": 1.0, "delta": 4e-7})
    assert ada.good("POST", "/studies/codes/estimates", dear)["queries_left"] == 1


def test_the_same_question_has_the_same_answer(clinic: Place, ada: Client) -> None:
    """In JSON and in SQL it is one question, charged once; a delta that buys another threshold is another question."""
    first = query(ada, asked()).json()
    text = "SELECT code, COUNT(DISTINCT person) AS people FROM visits GROUP BY code"
    again = query(ada, {"sql": text, "bounds": BOUNDS, "privacy": PRIVACY})
    assert again.status == 201
    assert again.json()["replayed"] is True
    assert again.json()["rows"] == first["rows"]
    assert again.json()["sql"] == text
    charged = delta_used(clinic.home)
    other = query(ada, asked({**PRIVACY, "delta": 4e-7})).json()
    assert other["replayed"] is False
    assert other["columns"][0]["threshold"] < first["columns"][0]["threshold"]
    assert delta_used(clinic.home) > charged


def test_rho_pays_with_delta_too(clinic: Place, ada: Client) -> None:
    """A query of rho has a threshold and a delta; Gaussian noise has no epsilon."""
    said = query(ada, asked({"rho": 0.5, "delta": 1e-8}, bounds={"cells_per_person": 50})).json()
    assert said["cost"]["epsilon"] is None
    assert 0 < said["cost"]["delta"] <= 1e-8
    assert said["columns"][0]["mechanism"] == "discrete_gaussian_threshold"
    assert delta_used(clinic.home) == round(said["cost"]["delta"] * ATTO)


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        (asked({"epsilon": 1.0}), "/privacy/delta", '"delta": 1e-8'),
        (asked(group_by=["sex"]), "/privacy/delta", "nothing in this query costs delta"),
        (asked({"delta": 1e-8}), "/privacy", "give epsilon, rho or margin"),
        (asked({"epsilon": 1.0, "rho": 1.0, "delta": 1e-8}), "/privacy", "give epsilon, rho or margin"),
        (asked({"epsilon": 1.0, "delta": 0}), "/privacy/delta", "must be above 0"),
        (asked({"epsilon": 1.0, "delta": 1}), "/privacy/delta", "must be below 1"),
        (asked({"epsilon": 1.0, "delta": -1e-8}), "/privacy/delta", "must be from 0"),
        (asked({"epsilon": 1.0, "delta": 1e-19}), "/privacy/delta", "must be at least"),
        (asked({"epsilon": 1.0, "delta": "1e-8"}), "/privacy/delta", "must be a number"),
        (asked({"epsilon": 1.0, "delta": None}), "/privacy/delta", "must be a number"),
        (asked({"epsilon": 1.0, "delta": 1e-17}), "/privacy/delta", "too small for any threshold"),
        (asked(group_by=["code", {"column": "code", "as": "b"}]), "/query/group_by/1", "one such key"),
        (asked(PRIVACY, {"t": {"top": "code", "k": 3}}), "/query/select/t/top", "group by it instead"),
        (asked(PRIVACY, {"t": {"histogram": "code"}}), "/query/select/t/histogram", "group by it instead"),
        ({"sql": "SELECT code, COUNT(*) FROM visits GROUP BY code", "privacy": {"epsilon": 1}}, "/privacy/delta", ""),
    ],
)
def test_refusals_name_the_place_and_cost_nothing(
    clinic: Place, ada: Client, body: dict[str, Any], pointer: str, words: str
) -> None:
    """What cannot be is refused from the request alone, for a query and for an estimate alike."""
    for path in ("queries", "estimates"):
        reply = ada.post(f"/studies/codes/{path}", body)
        assert reply.status == 422, reply
        problem = reply.json()
        found = {one["pointer"]: one["detail"] for one in problem.get("errors", [])} or {
            problem["pointer"]: problem["detail"]
        }
        assert pointer in found
        assert words in found[pointer]
    assert delta_used(clinic.home) == clinic.home.reserved("codes") == 0


def test_delta_runs_out_like_epsilon(clinic: Place, ada: Client) -> None:
    """What is beyond the study's delta for thresholds is refused free, with what is left."""
    clinic.open_study("dry", "clinic", epsilon=1000.0, delta=0.0)
    for study, delta in (("dry", 1e-8), ("codes", 6e-7)):
        body = asked({"epsilon": 1.0, "delta": delta})
        assert ada.good("POST", f"/studies/{study}/estimates", body)["affordable"] is False
        reply = ada.post(f"/studies/{study}/queries", body)
        assert (reply.status, reply.code) == (409, "budget-exceeded")
        assert reply.json()["cost"]["delta"] > reply.json()["remaining"]["delta"]
        assert "delta" in reply.json()["detail"]
        assert delta_used(clinic.home, "study", study) == 0


def test_the_audit_log_has_the_threshold_and_nothing_of_the_data(clinic: Place, ada: Client) -> None:
    """Reserve and release tell mechanism, threshold and delta; no text of the data is in the log."""
    said = query(ada, asked()).json()
    bodies = [json.loads(body) for (body,) in clinic.home.rows("SELECT body FROM audit_entries ORDER BY position")]
    entries = [one for one in bodies if one["action"] in ("query.reserve", "query.release")]
    assert len(entries) == 2
    for entry in entries:
        assert entry["facts"]["mechanisms"] == ["discrete_laplace_threshold", "discrete_laplace"]
        assert entry["facts"]["threshold"] == said["columns"][0]["threshold"]
        assert entry["facts"]["loss"]["delta_atto"] == delta_used(clinic.home)
        assert "delta" in entry["summary"]
        assert "C3" not in json.dumps(entry)


def test_a_retry_resumes_on_the_charge(clinic: Place, ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure after the threshold's noise says one text; the same request resumes and pays no second delta."""
    from queries.release import assembly

    def fail(*_: Any) -> Any:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(assembly, "add_noise", fail)
        assert query(ada, asked()).code == "query-failed"
    charged = delta_used(clinic.home)
    assert charged > 0
    said = query(ada, asked()).json()
    assert [row["code"] for row in said["rows"]] == CODES
    assert delta_used(clinic.home) == charged


def test_release_of_undeclared_key_as_csv(ada: Client) -> None:
    """In the CSV of a release the undeclared keys are a column like any other."""
    said = query(ada, asked()).json()
    reply = ada.get(f"/studies/codes/releases/{said['id']}", Accept="text/csv")
    header, lines, _ = comments.read(reply.body.decode())
    assert header[:4] == ["code", "people", "people_low", "people_high"]
    assert [line["code"] for line in lines] == CODES


# Rare values, nulls, nobody


@pytest.fixture
def made(tmp_path: Path, home: Home) -> Iterator[Any]:
    """Return how to import the clinic's visits anew and open the study on them."""
    opened: list[Any] = []

    def make(codes: list[str], **changes: str) -> Client:
        visits = [f"{n},female,2020-01-15,1.25,30,true,{code}" for n, code in enumerate(codes)]
        manifest = write_clinic(tmp_path, visits, **changes)
        place = application(home)
        entered = place.__enter__()
        opened.append(place)
        import_file(entered.services, manifest)
        entered.open_study("codes", "clinic", epsilon=1000.0, delta=1e-6)
        client: Client = entered.client("ada")
        return client

    yield make
    for place in opened:
        place.__exit__(None, None, None)


NULLABLE = {
    '[tables.visits.columns.code]\ntype = "category"': '[tables.visits.columns.code]\ntype = "category"\nnullable = true'
}


def test_a_unique_value_is_not_named(made: Any) -> None:
    """A person's own code leaves no trace: neither a row nor a word."""
    ada = made([*["common"] * 90, "unique-to-one"])
    reply = query(ada, asked({"epsilon": 2.0, "delta": 1e-8}, bounds={"cells_per_person": 1}))
    assert [row["code"] for row in reply.json()["rows"]] == ["common"]
    assert b"unique" not in reply.body


def test_null_has_its_cell_where_it_was_declared(made: Any) -> None:
    """A null is always listed, last, with noise and without a threshold."""
    ada = made([*["common"] * 90, "", ""], **NULLABLE)
    said = query(ada, asked(bounds={"cells_per_person": 1})).json()
    assert [row["code"] for row in said["rows"]] == ["common", None]
    assert "(unknown)" in as_table(said)


def test_nobody_at_all_is_an_answer(made: Any) -> None:
    """Without any event the list is empty, in JSON, as CSV and as a table; it was charged all the same."""
    ada = made([])
    reply = query(ada, asked(select={**SELECT, "mean": {"mean": "cost"}, "kinds": {"histogram": "urgent"}}))
    assert reply.status == 201
    said = reply.json()
    assert said["rows"] == []
    assert said["budget"]["spent"]["delta"] > 0
    shown = ada.get(f"/studies/codes/releases/{said['id']}", Accept="text/csv")
    header, lines, _ = comments.read(shown.body.decode())
    assert (header[:4], lines) == (["code", "people", "people_low", "people_high"], [])
    assert [word for word in as_table(said).splitlines()[0].split() if word != "*"] == [
        "code",
        "people",
        "mean",
        "kinds",
    ]


def test_texts_of_the_data_cannot_move_the_terminal(made: Any) -> None:
    """Undeclared values are shown with their odd characters spelled out."""
    ada = made(['"\x1b[2Jwiped"'] * 90)
    said = query(ada, asked(bounds={"cells_per_person": 1})).json()
    assert said["rows"][0]["code"] == "\x1b[2Jwiped"
    assert "\x1b" not in as_table(said)
    assert "x1b[2Jwiped" in as_table(said)


def test_the_charge_does_not_depend_on_data(tmp_path: Path) -> None:
    """Nobody, one person, many values: the same cost, columns, bounds and notes."""
    seen = []
    for place, codes in enumerate(([], ["a"], [f"v{n}" for n in range(500)])):
        folder = tmp_path / str(place)
        folder.mkdir()
        visits = [f"{n},female,2020-01-15,1.25,30,true,{code}" for n, code in enumerate(codes)]
        home = make_home(folder / "home", write_clinic(folder, visits))
        with application(home) as opened:
            opened.open_study("codes", "clinic", epsilon=1000.0, delta=1e-6)
            said = query(opened.client("ada"), asked({"epsilon": 1.0, "delta": 1e-8})).json()
            seen.append({name: said[name] for name in ("cost", "columns", "bounds", "notes", "query", "sql")})
            assert said["rows"] == []
    assert seen[0] == seen[1] == seen[2]


# On the command line


def run(home: Home, *arguments: str) -> Any:
    """Run `rowless` on a home."""
    return CliRunner().invoke(main, list(arguments), env={**home.environment(), "ROWLESS_SLOT_MS": "0"})


def test_query_command_takes_delta(clinic: Place) -> None:
    """--delta stands beside --epsilon; the words tell the delta and the threshold."""
    text = "SELECT code, COUNT(DISTINCT person) AS people FROM visits GROUP BY code"
    options = ("query", "codes", "--sql", text, "--epsilon", "60", "--delta", "1e-8", "--cells-per-person", "7")
    estimate = run(clinic.home, *options, "--estimate")
    assert estimate.exit_code == 0, estimate
    assert "and delta" in estimate.stdout
    assert "code: the values whose number of persons, with noise, is at least " in estimate.stdout
    answer = run(clinic.home, *options)
    assert answer.exit_code == 0, answer
    assert all(code in answer.stdout for code in CODES)
    assert "is at least" in answer.stdout
    assert json.loads(run(clinic.home, *options, "--json").stdout)["replayed"] is True
    refused = run(clinic.home, "query", "codes", "--sql", text, "--epsilon", "60")
    assert refused.exit_code == 1
    assert "/privacy/delta: code has no declared values" in refused.stderr


def test_cost_in_words_names_delta_where_there_is_some() -> None:
    """A cost in words names delta if the query spent some."""
    assert cost_text({"epsilon": 0.5, "rho": 0.125, "delta": 0.0}) == "epsilon 0.5"
    assert cost_text({"epsilon": 0.5, "rho": 0.125, "delta": 1e-8}) == "epsilon 0.5 and delta 1e-08"
    assert cost_text({"epsilon": None, "rho": 0.125, "delta": 1e-8}) == "rho 0.125 and delta 1e-08"
