"""A study's protocol hides small cells: no hidden number is anywhere where a release, or anything about it, is shown."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from budgets.verify import canonical_json, certificate
from queries.release import hiding, postprocessing
from server.cli.main import main
from server.journey import hidden
from tests.server.pages.browsing import browser
from tests.server.pages.test_every_page import addresses
from tests.server.routes import CONTRACT, NEW_STUDY
from tests.serving import EVERY_STATISTIC, UNADVISED, USERS, Place, application, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.server.pages.browsing import Browser
    from tests.serving import Home

    Json = dict[str, Any]

STUDY, BELOW = "small", 1100
# Of about 900 to 1,600 persons in each of the six sites: some cells are below, and some are not.
EVERYTHING = ask(
    {**EVERY_STATISTIC, "all": {"count": "events"}}, 40.0, group_by=["site"], bounds={"cells_per_person": 1}
)
COUNTS = ask({"patients": {"count": "persons"}, "often": {"top": "health", "k": 3}}, 5.0, group_by=["site"])
POSTS = ("", "round", "consistent", "consistent,round,clamp", "hide_below:2", "clamp,hide_below:1200")
ROWS = "ORDER BY patients LIMIT 5"  # the smallest first
FORMS = ("application/json", "text/csv", "image/svg+xml")
# What a chart draws by, where any number may stand; its titles and texts are read.
DRAWN = re.compile(r"<(?:svg|g|rect|line|path|circle|text|tspan|polyline|polygon|pattern|use)\b[^>]*>")
TOKEN = re.compile(r"(?<![\w.])-?\d[\d,\u202f\u00a0]*(?:\.\d+)?(?![\w])")


@dataclass(frozen=True)
class Walked:
    """An application with a study whose protocol hides small cells, its releases as stored, and what nobody may see."""

    place: Place
    releases: list[Json]
    secrets: frozenset[float]


@pytest.fixture(scope="module")
def walked(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    """Return a study with two releases. A number that stood somewhere before they were made is no secret of theirs."""
    with application(template.copy(tmp_path_factory.mktemp("hidden") / "home")) as place:
        place.open_study(STUDY, protocol={"hide_below": BELOW})
        before = set().union(*(tokens_of(text) for _, text in over_http(place, "0" * 32, ())))
        for body in (EVERYTHING, COUNTS):
            place.client("ada").good("POST", f"/studies/{STUDY}/queries", body)
        releases = stored(place)
        secrets = secrets_of(releases)
        yield Walked(place, releases, frozenset(one for one in secrets if repr(one) not in before))


def stored(place: Place) -> list[Json]:
    """Return the releases of the study as the ledger has them, with their ids."""
    rows = place.home.rows("SELECT id, body FROM releases WHERE study = ? ORDER BY charged_at", STUDY)
    return [{**json.loads(body), "id": identifier} for identifier, body in rows]


def numbers(value: Any) -> Iterator[float]:
    """Yield every number within a value of JSON."""
    match value:
        case bool():
            return
        case int() | float():
            yield value
        case dict():
            for part in value.values():
                yield from numbers(part)
        case list():
            for part in value:
                yield from numbers(part)


def secrets_of(releases: list[Json]) -> set[float]:
    """Return what nobody may see of releases: the numbers of their small cells, as this test finds them by itself.

    Numbers with few digits may stand anywhere by chance, and those of other cells are no secret.
    """
    secret: list[Json] = []
    shown: list[Json] = []
    for asked, result, small in (one for release in releases for one in results_of(release)):
        for part in next((result[one] for one in ("bins", "top") if one in result), [result]):
            counted = [part["value"]] if {"count", "histogram", "top"} & set(asked) else []
            counted += [part["raw"][one] for one in ("count", "holding", "others") if one in part.get("raw", {})]
            (secret if small or any(number < BELOW for number in counted) else shown).append(part)
    many = {one for one in numbers(secret) if len(re.sub(r"\D", "", repr(one))) >= 7}
    return many - set(numbers(shown)) - {BELOW, 1200, *range(1900, 2101)}


def results_of(release: Json) -> Iterator[tuple[Json, Json, bool]]:
    """Yield how each statistic was asked for, its results, and whether a count of the same events in its row is small."""
    select = release["query"]["select"]
    filters = {name: json.dumps(asked.get("where")) for name, asked in select.items()}
    for row in release["rows"]:
        small = {filters[name] for name in select if "count" in select[name] and row[name]["value"] < BELOW}
        for name, asked in select.items():
            yield asked, row[name], bool({filters[name], "null"} & small)


def tokens_of(text: str) -> set[str]:
    """Return the numbers in a text, without separated thousands."""
    return {re.sub(r"[,\u202f\u00a0]", "", token) for token in TOKEN.findall(text)}


def found_in(text: str, secrets: frozenset[float]) -> set[float]:
    """Return which secrets stand in a text."""
    tokens = tokens_of(DRAWN.sub("", text))
    return {one for one in secrets if repr(one) in tokens}


def over_http(
    place: Place, release: str, asked: tuple[Json, ...] = (EVERYTHING, COUNTS), users: tuple[str, ...] = tuple(USERS)
) -> Iterator[tuple[str, str]]:
    """Yield what each route of the API answers to each user, and the routes of a release in every form."""
    filled = {"study": STUDY, "release": release, "name": "rand-hie", "user": "ada", "proposal": "1", "token_id": "x"}
    for name in users:
        client = place.client(name)
        for method, path in CONTRACT:
            if method == "GET":
                address = re.sub(r"{(\w+)}", lambda match: filled[match[1]], path)
                posts = POSTS if address.endswith(release) else ("",)
                forms = FORMS if address.endswith(release) else ("application/json", "text/csv")
                for post in posts:
                    for form in forms:
                        query = f"?post={post}&show={quote(ROWS)}" if post else ""
                        reply = client.get(f"{address}{query}", Accept=form)
                        yield f"{name} GET {path}{query} {form}", reply.body.decode()
    ada = place.client("ada")
    for body in asked:
        for post in POSTS:
            reply = ada.post(f"/studies/{STUDY}/queries", {**body, "post": post.split(",") if post else []})
            assert reply.json()["replayed"]
            yield f"POST queries {post}", reply.body.decode()
        yield "POST estimates", ada.post(f"/studies/{STUDY}/estimates", body).body.decode()


def in_pages(place: Place, release: str, other: str) -> Iterator[tuple[str, str]]:
    """Yield every page, for every user."""
    names = {"release": release, "dataset": "rand-hie", "user": "ada", "token": "x", "proposal": "1", "index": "3"}
    for name in USERS:
        here = browser(place, name)
        for kind in ("csv", "json", "svg", "certificate"):
            for address in addresses(place, {**names, "kind": kind}, STUDY):
                if kind == "csv" or address.endswith(f".{kind}"):
                    yield f"{name} {address}", sent(here, address)
        of_release = f"/studies/{STUDY}/releases/{release}"
        for query in ("post=round&post=clamp", "hide=2", "hide=1200"):
            yield f"{name} page of the release ?{query}", sent(here, f"{of_release}?{query}")
        both = f"/studies/{STUDY}/compare?release={release}&release={other}"
        yield f"{name} {both}", sent(here, both)


def sent(here: Browser, address: str) -> str:
    """Return what an address of the pages sends, as text; a file may be none."""
    return here.get(address).response.get_data().decode(errors="replace")


def on_the_command_line(place: Place, release: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what the commands print that read a release, and what the DPO exports."""
    file, exported = folder / f"{release}.json", folder / f"{release}-log"
    shown = ["release", "show", STUDY, release]
    commands = [
        ["release", "list", STUDY],
        *([*shown, *more] for more in ([], ["--json"], ["--csv"], ["--svg"], ["--post", "consistent,round"])),
        ["certificate", STUDY, release, str(file)],
        ["report", "study", STUDY, "--as", "dora"],
        ["report", "study", STUDY, "--json", "--as", "dora"],
        ["audit", "export", str(exported), "--as", "dora"],
    ]
    for command in commands:
        ended = CliRunner().invoke(main, command, env=place.home.environment())
        assert ended.exit_code == 0, (command, ended.output)
        yield " ".join(command), ended.output
    for path in (file, *(one for one in exported.rglob("*") if one.is_file())):
        yield f"file {path.name}", path.read_text()


def test_no_channel_shows_a_hidden_number(walked: Walked, tmp_path: Path) -> None:
    """Over the API in every form and for every role, on every page, on the command line, in certificate and export."""
    place, releases = walked.place, walked.releases
    assert len(walked.secrets) > 20
    public = [repr(row["patients"]["value"]) for row in releases[1]["rows"] if row["patients"]["value"] >= BELOW]
    first, second = (one["id"] for one in releases)
    showing = 0
    for one, other in ((first, second), (second, first)):
        for channels in (
            over_http(place, one),
            in_pages(place, one, other),
            on_the_command_line(place, one, tmp_path),
        ):
            for channel, text in channels:
                assert not found_in(text, walked.secrets), channel
                showing += any(number in re.sub(r"(?<=\d),(?=\d)", "", text) for number in public)
    assert showing > 50  # the walk does reach what shows a release
    place.home.assert_sound()


DROWNED = re.compile(r"(\w+): in (\d+) of (\d+) (rows|bins|keys) the margin is more than half of the value")


def test_no_channel_counts_hidden_numbers(walked: Walked, tmp_path: Path) -> None:
    """A sentence on how many numbers drown is about what is shown, wherever it stands: one about all counts hidden ones."""
    place = walked.place
    told, secrets = 0, 0
    for release in walked.releases:
        shown = place.client("ada").good("GET", f"/studies/{STUDY}/releases/{release['id']}")
        stored_, public = (set(DROWNED.findall("\n".join(one["notes"]))) for one in (release, shown))
        secret = stored_ - public
        secrets += len(secret)
        other = next(one["id"] for one in walked.releases if one is not release)
        for channels in (
            over_http(place, release["id"]),
            in_pages(place, release["id"], other),
            on_the_command_line(place, release["id"], tmp_path),
        ):
            for channel, text in channels:
                found = set(DROWNED.findall(text))
                assert not found & secret, channel
                told += len(found & public)
    assert secrets > 0
    assert told > 50


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "answers are shown as they are stored": (hidden, "below", lambda *_: None),
    "certificates are made of what is stored": (hidden, "to_certify", lambda *_: None),
    "hidden numbers stand beside": (
        hidden,
        "certified",
        lambda body, must: postprocessing.apply(body, [hiding.word(must)]),
    ),
    "what a result was computed from stays": (
        hiding,
        "_blank",
        lambda part, **_: {**part, "value": None, "low": None, "high": None, "hidden": True},
    ),
    "the ends of an interval stay": (hiding, "MEMBERS", ("value",)),
    "one role is spared": (hiding.Hiding, "shown", lambda _, rows: list(rows)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(walked: Walked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> None:
    """The walk notices what forgets to hide."""
    monkeypatch.setattr(*FAULTS[fault])
    release = walked.releases[0]["id"]
    channels = (
        *over_http(walked.place, release, (), ("ada",)),
        *on_the_command_line(walked.place, release, tmp_path),
    )
    assert any(found_in(text, walked.secrets) for _, text in channels)


# The certificate and the log


def certificate_of(place: Place, release: str, name: str = "ada") -> bytes:
    """Return the certificate of a release of the study."""
    reply = place.client(name).get(f"/studies/{STUDY}/releases/{release}/certificate")
    assert reply.status == 200, reply.body
    return reply.body


def key_of(place: Place) -> str:
    """Return the verifier key of the log."""
    found: str = place.client("dora").good("GET", "/audit/checkpoint")["key"]
    return found


def test_the_certificate_binds_what_is_shown(walked: Walked) -> None:
    """It verifies offline, has the answer as it is shown to everybody, and the log's entry has its hash."""
    place, release = walked.place, walked.releases[1]
    document = certificate_of(place, release["id"])
    report = certificate.verify(document, key=key_of(place))
    assert (report.problems, report.release["numbers_bound"]) == ([], True)
    answer = json.loads(document)["certificate"]["release"]["answer"]
    shown = place.client("ada").good("GET", f"/studies/{STUDY}/releases/{release['id']}")
    assert (answer["rows"], answer["post"]) == (shown["rows"], [f"hide_below:{BELOW}"])
    assert document == certificate_of(place, release["id"], "dora")


def test_hashes_in_the_log_are_salted(walked: Walked) -> None:
    """Nobody who guesses all numbers can check the guess: neither hash is that of the numbers, and salts differ."""
    place = walked.place
    for release in walked.releases:
        ((body,),) = place.home.rows("SELECT body FROM releases WHERE id = ?", release["id"])
        whole = json.loads(body)
        (facts,) = (
            json.loads(entry)["facts"]
            for (entry,) in place.home.rows("SELECT body FROM audit_entries WHERE action = 'query.release'")
            if json.loads(entry)["subject"] == release["id"]
        )
        assert canonical_json.sha256(whole) == facts["answer_sha256"]
        shown = postprocessing.apply(whole, (), BELOW)
        guesses = [{**whole, "salt": None}, {name: value for name, value in whole.items() if name != "salt"}]
        guesses += [{**guess, "salt": hidden.certified(whole, BELOW)["salt"]} for guess in guesses]
        hashes = {canonical_json.sha256(one) for one in (*guesses, shown, whole["rows"])}
        assert not hashes & {facts["answer_sha256"], facts["shown_sha256"]}
        assert len(whole["salt"]) == 64
    assert len({release["salt"] for release in walked.releases}) == 2


@pytest.mark.parametrize(
    "condition", ["patients < 1100", "patients >= 0", "NOT patients > 5000", "patients_low < 1000"]
)
def test_no_choice_of_rows_tells_a_hidden_number(walked: Walked, condition: str) -> None:
    """A hidden number fulfils no condition, and is last in both orders: asking again and again finds nothing."""
    address = f"/studies/{STUDY}/releases/{walked.releases[1]['id']}?show="
    ada = walked.place.client("ada")
    chosen = ada.good("GET", f"{address}{quote(f'HAVING {condition}')}")["rows"]
    assert all(row["patients"]["value"] is not None for row in chosen)
    for order in ("patients", "patients DESC"):
        values = [row["patients"]["value"] for row in ada.good("GET", f"{address}{quote(f'ORDER BY {order}')}")["rows"]]
        known = [value for value in values if value is not None]
        assert values == known + [None] * (len(values) - len(known))
        assert len(known) < len(values)


# By which terms


@pytest.fixture
def later(place: Place) -> tuple[Place, str]:
    """Return a study that hid nothing when its one release was made."""
    place.open_study(STUDY)
    made = place.client("ada").good("POST", f"/studies/{STUDY}/queries", COUNTS)
    return place, made["id"]


def change(place: Place, protocol: Json, *, approve: bool = True) -> None:
    """Change the study's protocol, and perhaps approve it."""
    place.client("admin").good("PATCH", f"/studies/{STUDY}", {"protocol": protocol})
    if approve:
        place.client("vera").good("POST", f"/studies/{STUDY}/approve", {"reason": "it may", **UNADVISED})


def hides(place: Place, release: str) -> str | None:
    """Return the word by which a release is shown now, or None if nothing of it is hidden."""
    shown = place.client("ada").good("GET", f"/studies/{STUDY}/releases/{release}")
    is_hiding = any(row["patients"]["value"] is None for row in shown["rows"])
    assert is_hiding == bool(shown["post"])
    return shown["post"][0] if shown["post"] else None


def test_a_rule_that_came_later_holds_for_earlier_releases(later: tuple[Place, str]) -> None:
    """The present protocol decides. The certificate then says that the log binds other numbers than it shows."""
    place, release = later
    assert hides(place, release) is None
    before = certificate_of(place, release)
    change(place, {"hide_below": BELOW}, approve=False)
    assert hides(place, release) == f"hide_below:{BELOW}"
    change(place, {"hide_below": BELOW + 1})
    assert hides(place, release) == f"hide_below:{BELOW + 1}"
    document = certificate_of(place, release)
    report = certificate.verify(document, key=key_of(place))
    assert (report.problems, report.release["numbers_bound"]) == ([], False)
    assert document != before
    claims = json.loads(document)["certificate"]["binds"]
    assert claims == certificate.SHOWN_UNBOUND
    change(place, {})
    assert (hides(place, release), certificate_of(place, release)) == (None, before)


def test_a_change_that_nobody_approved_lifts_nothing(later: tuple[Place, str]) -> None:
    """An admin who edits the study shows no more by it, also after closing it; an approver's decision does."""
    place, release = later
    change(place, {"hide_below": BELOW})
    for protocol in ({}, {"hide_below": 2}, {"tables": ["years"]}):
        change(place, protocol, approve=False)
        assert hides(place, release) == f"hide_below:{BELOW}"
    place.client("admin").good("POST", f"/studies/{STUDY}/close", {"reason": "done"})
    assert hides(place, release) == f"hide_below:{BELOW}"


def test_an_approved_change_lifts_it_also_when_suspended(later: tuple[Place, str]) -> None:
    """What an approver decided holds in every later state."""
    place, release = later
    change(place, {"hide_below": BELOW})
    change(place, {})
    assert hides(place, release) is None
    place.client("dora").good("POST", f"/studies/{STUDY}/suspend", {"reason": "a question"})
    assert hides(place, release) is None


def test_a_release_without_salt_has_no_certificate_while_it_hides(later: tuple[Place, str]) -> None:
    """The hash in the entry of an earlier version would let numbers be guessed, unless none is hidden."""
    place, release = later
    ((body,),) = place.home.rows("SELECT body FROM releases WHERE id = ?", release)
    unsalted = {name: value for name, value in json.loads(body).items() if name != "salt"}
    place.home.change("UPDATE releases SET body = ? WHERE id = ?", json.dumps(unsalted), release)
    change(place, {"hide_below": BELOW})
    reply = place.client("ada").get(f"/studies/{STUDY}/releases/{release}/certificate")
    assert (reply.status, reply.code) == (409, "wrong-state")
    change(place, {"hide_below": 2})
    assert place.client("ada").get(f"/studies/{STUDY}/releases/{release}/certificate").status == 200


# What may be asked


def test_the_question_is_the_same_however_it_is_hidden(later: tuple[Place, str]) -> None:
    """Hiding is no part of the fingerprint: nothing is charged, and the id stays."""
    place, release = later
    ada, charged = place.client("ada"), place.home.charges(STUDY)
    for post in (["hide_below:11"], ["hide_below:1200", "round"]):
        again = ada.good("POST", f"/studies/{STUDY}/queries", {**COUNTS, "post": post})
        assert (again["id"], again["replayed"], again["post"][-1]) == (release, True, post[0])
    change(place, {"hide_below": BELOW})
    again = ada.good("POST", f"/studies/{STUDY}/queries", COUNTS)
    assert (again["id"], again["replayed"], again["post"]) == (release, True, [f"hide_below:{BELOW}"])
    assert place.home.charges(STUDY) == charged


@pytest.mark.parametrize(
    "select", [{"x": {"sum": "visits"}}, {"x": {"quantile": "visits", "at": 0.5}}, {"x": {"iqr": "visits"}}]
)
def test_a_number_of_unknown_size_is_refused_for_free(walked: Walked, select: Json) -> None:
    """Where small cells are hidden, what shows no count needs one of the same events beside it."""
    ada, charged = walked.place.client("ada"), walked.place.home.charges(STUDY)
    other = {"n": {"count": "persons", "where": {"column": "age", "op": "<", "value": 18}}}
    for wrong in (select, {**select, **other}):
        for way in ("queries", "estimates", "rehearsals"):
            reply = ada.post(f"/studies/{STUDY}/{way}", ask(wrong))
            assert (reply.status, reply.code, reply.json()["pointer"]) == (403, "outside-protocol", "/query/select/x")
    assert walked.place.home.charges(STUDY) == charged
    assert ada.post(f"/studies/{STUDY}/estimates", ask({**select, "n": {"count": "events"}})).status == 200


def test_a_rehearsal_has_the_shape_of_the_answer(walked: Walked) -> None:
    """Made-up numbers of small cells are hidden too."""
    tried = walked.place.client("ada").good("POST", f"/studies/{STUDY}/rehearsals", COUNTS)
    assert tried["post"] == [f"hide_below:{BELOW}"]


@pytest.mark.parametrize("wrong", [1, 0, -5, 1.5, "11", True, None, 10**9 + 1, [11]])
def test_a_threshold_is_a_whole_number(place: Place, wrong: Any) -> None:
    """A protocol's threshold is from 2 to a billion."""
    body = {**NEW_STUDY, "protocol": {"hide_below": wrong}}
    reply = place.client("admin").post("/studies", body)
    assert (reply.status, reply.json()["pointer"]) == (422, "/protocol/hide_below")
