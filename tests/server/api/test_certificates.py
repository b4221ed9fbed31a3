"""Certificates of releases as they are fetched: over HTTP and by the command, for every kind of statistic."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from budgets.audit.signing import verifier_key
from budgets.verify.certificate import verify
from server.cli.main import main
from server.journey import answer
from server.runtime.scans import slots
from tests.empty_machine import on_an_empty_machine
from tests.server.journey.test_slot import StillClock
from tests.serving import EVERY_STATISTIC, PATIENTS, ROOT, USERS, Home, Place, application, ask

if TYPE_CHECKING:
    from pathlib import Path


def certificate(place: Place, release: str, who: str = "ada", study: str = "flu") -> bytes:
    """Fetch a certificate."""
    reply = place.client(who).get(f"/studies/{study}/releases/{release}/certificate")
    assert (reply.status, reply.content_type) == (200, "application/json"), reply
    return reply.body


def asked(place: Place, body: dict[str, Any], study: str = "flu") -> Any:
    """Ask a query and return the answer."""
    return place.client("ada").good("POST", f"/studies/{study}/queries", body)


def vkey(place: Place) -> str:
    """Return the verifier key."""
    return verifier_key(place.home.path / "audit.key")


def run(home: Home | None, *arguments: str) -> Any:
    """Run a command, perhaps without a home."""
    environment = {"ROWLESS_HOME": "/nowhere"} if home is None else home.environment()
    return CliRunner().invoke(main, list(arguments), env=environment)


def unmarked(shown: Any) -> Any:
    """Return the rows of an answer as they are stored."""
    if isinstance(shown, list):
        return [unmarked(part) for part in shown]
    if isinstance(shown, dict):
        return {name: unmarked(part) for name, part in shown.items() if name != "truncation"}
    return shown


def test_every_statistic_has_its_certificate(place: Place) -> None:
    """Whatever is asked, the entry binds the numbers: those of the certificate are those of the answer."""
    place.open_study("clinic", "clinic", epsilon=100.0, delta=1e-6)
    undeclared = {**ask({"n": {"count": "persons"}}, table="visits", group_by=["code"])}
    undeclared["privacy"] = {"epsilon": 1.0, "delta": 1e-8}
    bodies = [("flu", ask({name: one}, group_by=["sex"])) for name, one in EVERY_STATISTIC.items()]
    place.open_study("much", epsilon=1000.0)
    bodies = [("much", body) for _, body in bodies]
    bodies += [("much", {**ask(PATIENTS), "privacy": {"rho": 0.01}}), ("clinic", undeclared)]
    for study, body in bodies:
        said = asked(place, body, study)
        document = certificate(place, said["id"], study=study)
        found = verify(document, key=vkey(place))
        assert found.problems == [], body
        told = json.loads(document)["certificate"]
        # The mark that what was cut off is unknown is set where numbers are shown, and no part of what is bound.
        assert told["release"]["answer"]["rows"] == unmarked(said["rows"])
        assert "truncation" not in json.dumps(told["release"]["answer"]["rows"])
        assert told["release"]["answer"]["columns"] == said["columns"]
        canonical = json.dumps(told["release"]["answer"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert found.release["numbers_bound"]
        assert told["entry"]["facts"]["answer_sha256"] == hashlib.sha256(canonical.encode()).hexdigest()


def test_certificate_bytes_are_the_same_for_every_reader(place: Place) -> None:
    """Members, admins and DPOs get the same bytes, before and after replays and the end of the study, and by the command."""
    release = asked(place, ask(PATIENTS))["id"]
    document = certificate(place, release)
    assert asked(place, ask(PATIENTS))["replayed"]
    place.client("dora").good("POST", "/studies/flu/close", {"reason": "done"})
    for who in ("ada", "admin", "dora"):
        assert certificate(place, release, who) == document
    file = place.home.path.parent / "release.json"
    ended = run(place.home, "certificate", "flu", release, str(file))
    assert ended.exit_code == 0, ended.output
    assert file.read_bytes() == document
    assert hashlib.sha256(document).hexdigest() in ended.stdout
    for study, other in (("flu", "0" * 32), ("nowhere", release)):
        assert place.client("ada").get(f"/studies/{study}/releases/{other}/certificate").code == "not-found"
        refused = run(place.home, "certificate", study, other, str(file))
        assert (refused.exit_code, refused.stderr.startswith("rowless: ")) == (1, True)
    place.open_study("other")
    assert place.client("ada").get(f"/studies/other/releases/{release}/certificate").code == "not-found"
    assert file.read_bytes() == document


def test_certificate_names_no_user(place: Place) -> None:
    """No name of a user is in a certificate: who asked is a commitment."""
    place.client("admin").good("POST", "/users", {"name": "zwarts.anna", "role": "researcher"})
    place.client("admin").good("PUT", "/studies/flu/members/zwarts.anna")
    token = place.client("admin").good("POST", "/users/zwarts.anna/tokens")["token"]
    anna = type(place.client("ada"))(place.client("ada").send, token)
    said = anna.good("POST", "/studies/flu/queries", ask(PATIENTS))
    document = certificate(place, said["id"])
    assert b"zwarts" not in document
    ((commitment,),) = place.home.rows("SELECT commitment FROM identities WHERE name = 'zwarts.anna'")
    entry = json.loads(document)["certificate"]["entry"]
    assert (entry["actor"], entry["role"]) == (commitment, "researcher")
    assert not {json.dumps(name).encode() for name in USERS} & {document}


def test_its_entry_is_written_at_the_beat(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry, whose time and place a certificate tells, is written just before the answer leaves and not when the scan ended.

    Nor are the release and what was spent seen earlier; the same holds where the scan failed.
    """
    with application(home, slot_ms="250") as place:
        place.open_study()
        clock = StillClock()
        seen = []
        compute = answer.compute

        def watching(seconds: float) -> None:
            seen.append((place.home.actions()[-1], place.home.rows("SELECT id FROM releases"), seconds))
            clock.now += seconds

        monkeypatch.setattr(clock, "sleep", watching, raising=False)
        monkeypatch.setattr(slots, "time", clock)
        asked(place, ask(PATIENTS))
        assert [(action, len(releases)) for action, releases, _ in seen] == [("query.reserve", 0), ("query.release", 1)]
        assert [seconds for *_, seconds in seen] == pytest.approx([0.2, 0.05])

        def failing(*_: object) -> None:
            raise RuntimeError("no memory")

        monkeypatch.setattr(answer, "compute", failing)
        assert place.client("ada").post("/studies/flu/queries", ask(PATIENTS, 0.5)).code == "query-failed"
        assert [action for action, *_ in seen[2:]] == ["query.reserve", "query.fail"]
        assert place.home.actions()[-1] == "query.fail"
        assert compute is not answer.compute


@pytest.fixture(scope="module")
def files(template: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return a folder with two certificates, an export and its checkpoint, one from before; the first and last key."""
    folder = tmp_path_factory.mktemp("certificates")
    home = template.copy(folder / "home")
    with application(home) as place:
        place.open_study(epsilon=10.0)
        first = vkey(place)
        one = asked(place, ask(PATIENTS))["id"]
        assert run(home, "certificate", "flu", one, str(folder / "old.json")).exit_code == 0
        assert run(home, "audit", "checkpoint", str(folder / "before")).exit_code == 0
        assert run(home, "audit", "rotate-key").exit_code == 0
        two = asked(place, ask(PATIENTS, 0.5))["id"]
        assert run(home, "certificate", "flu", two, str(folder / "new.json")).exit_code == 0
        last = vkey(place)
    assert run(home, "audit", "export", str(folder / "log.jsonl")).exit_code == 0
    return folder, first, last


def test_audit_verify_command_checks_certificate(files: tuple[Path, str, str]) -> None:
    """`rowless audit verify` tells a certificate from an export, says in words what it checked, and gives a verdict."""
    folder, first, last = files
    for key, held in ((first, "led in 1 step\n"), (last, "the key you hold")):
        ended = run(None, "audit", "verify", str(folder / "new.json"), "--key", key)
        assert (ended.exit_code, ended.stderr) == (0, "")
        for text in (
            "its question: SELECT COUNT(DISTINCT person) AS patients FROM years",
            "its column patients: discrete_laplace, scale 2, ± 6 at 95%",
            "its loss, as it was charged: epsilon 0.5, rho 0.125, delta 0",
            "which the log's entry has",
            held,
        ):
            assert text in ended.stdout, ended.stdout
        assert ended.stdout.endswith("Verdict: ok. The release is in the log as it stands here.\n")
    ended = run(None, "audit", "verify", str(folder / "old.json"), "--key", last, "--json")
    assert ended.exit_code == 1
    said = json.loads(ended.stdout)
    assert said["verdict"] == "failed"
    assert "never handed over to it" in said["problems"][0]
    changed = folder / "changed.json"
    changed.write_bytes((folder / "new.json").read_bytes().replace(b'"scale":2.0', b'"scale":1.0'))
    ended = run(None, "audit", "verify", str(changed), "--key", first)
    assert ended.exit_code == 1
    assert ended.stdout.endswith("Verdict: FAILED. Do not rely on this certificate.\n")


def test_audit_verify_finds_certificate_in_export(files: tuple[Path, str, str], tmp_path: Path) -> None:
    """With --log the export is checked too, and has to go on from the certificate's checkpoint."""
    folder, first, _ = files
    export = folder / "log.jsonl"
    given = ["--key", first, "--log", str(export), "--since", str(folder / "before")]
    for name in ("old.json", "new.json"):
        ended = run(None, "audit", "verify", str(folder / name), *given)
        assert ended.exit_code == 0, ended.output
        assert "The log\n" in ended.stdout
        assert "entries go on from that checkpoint" in ended.stdout
        said = json.loads(run(None, "audit", "verify", str(folder / name), *given, "--json").stdout)
        assert (said["verdict"], said["log"]["verdict"]) == ("ok", "ok")
    # Another branch of the log: the same home, written on before the release was made.
    shorter = tmp_path / "log.jsonl"
    lines = export.read_bytes().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if b'"action":"query.release"' in line)
    shorter.write_bytes(b"".join(lines[:place]))
    shutil.copy(f"{export}.checkpoint", f"{shorter}.checkpoint")
    ended = run(None, "audit", "verify", str(folder / "new.json"), "--key", first, "--log", str(shorter))
    assert ended.exit_code == 1
    assert "not the log of this certificate" in ended.stdout
    assert ended.stdout.endswith("Verdict: FAILED. Do not rely on this certificate.\n")


def test_options_of_the_other_kind_are_misuse(files: tuple[Path, str, str]) -> None:
    """--log is for certificates; --since and --checkpoint beside one need --log."""
    folder, first, _ = files
    export, before = str(folder / "log.jsonl"), str(folder / "before")
    for arguments in (
        [export, "--log", export],
        [str(folder / "new.json"), "--since", before],
        [str(folder / "new.json"), "--checkpoint", before],
    ):
        assert run(None, "audit", "verify", *arguments, "--key", first).exit_code == 2


def test_folder_verifies_certificate_alone(files: tuple[Path, str, str], tmp_path: Path) -> None:
    """Copied to an empty machine with cryptography alone, the folder checks a certificate, and a log beside it."""
    folder, first, last = files
    shutil.copytree(ROOT / "budgets" / "verify", tmp_path / "verify")

    def ran(*arguments: str) -> tuple[int, str]:
        ended = on_an_empty_machine(tmp_path, "-m", "verify", *arguments)
        return ended.returncode, ended.stdout.splitlines()[-1] if ended.stdout else ended.stderr

    good = (0, "Verdict: ok. The release is in the log as it stands here.")
    assert ran(str(folder / "new.json"), "--key", first) == good
    assert ran(str(folder / "new.json"), "--key", last) == good
    assert ran(str(folder / "old.json"), "--key", first, "--log", str(folder / "log.jsonl")) == good
    for beside in ((), ("--log", str(folder / "log.jsonl"))):
        arguments = (str(folder / "old.json"), "--key", first, *beside)
        alone = on_an_empty_machine(tmp_path, "-m", "verify", *arguments, "--lang", "fr")
        assert alone.stdout == run(None, "--lang", "fr", "audit", "verify", *arguments).stdout
        assert not re.search(r"\b(?:of|the|which|entry|study)\b", alone.stdout)
    bad = (1, "Verdict: FAILED. Do not rely on this certificate.")
    assert ran(str(folder / "old.json"), "--key", last) == bad
    assert ran(str(folder / "log.jsonl"), "--key", last, "--log", str(folder / "log.jsonl"))[0] == 2
