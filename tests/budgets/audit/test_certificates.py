from __future__ import annotations

import base64
import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgets.actors import SYSTEM
from budgets.audit import certificates, signing
from budgets.audit.log import append, inclusion_proof
from budgets.errors import Unavailable
from budgets.loss import NANO
from budgets.verify import certificate
from tests.budgets.world import cost
from tests.databases import SQLITE_ALONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.ledger.charges import Release
    from budgets.verify.certificate import Report
    from tests.budgets.world import World

    Json = dict[str, Any]

QUERY = {"from": "visits", "select": {"patients": {"count": "persons"}}}


@dataclass(frozen=True)
class Log:
    """A ledger with a signing key, which makes releases and their certificates."""

    world: World
    path: Path

    def release(
        self, text: str, value: int = 42, *, binds: bool = True, dates: bool = True, shown: Json | None = None
    ) -> Release:
        """Make a release of one number, with the entry that `server/journey/answer.py` would write; or that of old versions."""
        loss = cost(NANO // 100)
        body = {
            "query": {**QUERY, "note": text},
            "sql": f"SELECT COUNT(DISTINCT person) AS patients FROM visits -- {text}",
            "cost": loss.to_json(),
            "columns": [
                {"name": "sex", "kind": "key"},
                {
                    "name": "patients",
                    "kind": "statistic",
                    "mechanism": "discrete_laplace",
                    "scale": 2.0,
                    "margin": 6.0,
                    "confidence": 0.95,
                },
            ],
            "bounds": {"cells_per_person": 1, "events_per_cell": 1},
            "notes": ["ä — ü"],
            "rows": [{"sex": None, "patients": {"value": value, "low": value - 6, "high": value + 6}}],
        }
        charge = self.world.reserve("heart", text, loss)
        stored = self.world.settle(charge, body)
        assert stored is not None
        facts = {
            "query": body["query"],
            "dataset": stored.question.dataset,
            "edition": stored.question.edition,
            "mechanisms": ["discrete_laplace"],
            "loss": {"epsilon_nano": loss.epsilon_nano, "rho_nano": loss.rho_nano, "delta_atto": loss.delta_atto},
            **({certificates.NUMBERS: certificates.answer_sha256(body)} if binds else {}),
            **({certificates.CHARGED_AT: stored.charged_at} if binds and dates else {}),
            **({certificates.SHOWN: certificates.answer_sha256({**body, **shown})} if shown else {}),
        }
        with self.world.database.write() as transaction:
            append(transaction, self.world.anna, "query.release", stored.id, "a release", study="heart", facts=facts)
        return stored

    def certificate(self, release: Release) -> bytes:
        """Return the certificate of a release."""
        return certificates.certificate(self.world.database, self.path, release).encode()

    def rotate(self) -> str:
        """Put a new key in force and return its verifier key."""
        return signing.rotate(self.world.database, self.path, self.world.admin)

    @property
    def key(self) -> str:
        """Return the verifier key in force."""
        return signing.verifier_key(self.path)

    def resigned(self, told: Json) -> bytes:
        """Return a certificate of what is told, signed as the formats say by whoever has the key."""
        return signed(self.path, told)

    def idle(self, times: int) -> None:
        """Write entries that are of nothing."""
        for _ in range(times):
            with self.world.database.write() as transaction:
                append(transaction, SYSTEM, "test", "test", "nothing")


def signed(path: Path, told: Json) -> bytes:
    """Return what is told as a certificate, signed with a key file by the text of the formats alone."""
    _, _, name, key_hash, encoded = path.read_text().strip().split("+", 4)
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(encoded)[1:])
    digest = hashlib.sha256(dumped(told)).hexdigest()
    text = f"rowless release certificate\n{name}\n{digest}\n"
    signature = base64.b64encode(bytes.fromhex(key_hash) + key.sign(text.encode())).decode()
    return dumped({"certificate": told, "note": f"{text}\n— {name} {signature}\n"}) + b"\n"


def dumped(value: object) -> bytes:
    """Return canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def told(document: bytes) -> Json:
    """Return what a certificate says, to be changed."""
    found: Json = json.loads(document)["certificate"]
    return found


def check(document: bytes, key: str) -> Report:
    """Check a certificate."""
    return certificate.verify(document, key=key)


@pytest.fixture
def log(world: World, tmp_path: Path) -> Log:
    """Return a log with a key and an approved study."""
    world.open_study("heart", NANO)
    signing.create_key(tmp_path / "audit.key")
    return Log(world, tmp_path / "audit.key")


def test_a_certificate_is_the_same_whenever_it_is_fetched(log: Log) -> None:
    """However the log grows, a release's certificate is the same bytes, and holds, in trees of all sizes."""
    releases, first = [], []
    for number in range(9):
        releases.append(log.release(f"query {number}"))
        log.idle(number)
        first.append(log.certificate(releases[-1]))
    for release, document in zip(releases, first, strict=True):
        assert log.certificate(release) == document
        found = check(document, log.key)
        assert (found.verdict, found.problems) == ("ok", [])
        assert found.sha256 == hashlib.sha256(document).hexdigest()
        entry, shown = told(document)["entry"], found.release
        assert shown["size"] == entry["index"] + 1
        assert (shown["id"], entry["subject"]) == (release.id, release.id)
        assert entry["facts"]["answer_sha256"] == hashlib.sha256(dumped(release.body)).hexdigest()
        assert told(document)["release"]["answer"] == release.body
    assert len(set(first)) == 9


def test_every_key_of_the_log_checks_it(log: Log, tmp_path: Path) -> None:
    """After rotations, also at once and between releases, each of the log's keys accepts a certificate made by the last."""
    kept, held = [log.key], []
    before = log.release("before")
    held.append((log.certificate(before), 1))
    kept += [log.rotate(), log.rotate()]
    between = log.release("between")
    held.append((log.certificate(between), 3))
    log.idle(5)
    kept.append(log.rotate())
    after = log.release("after")
    log.idle(3)
    for release in (before, between, after):
        document = log.certificate(release)
        assert document == log.certificate(release)
        held.append((document, 4))
    for document, known in held:
        for number, key in enumerate(kept):
            found = check(document, key)
            if number < known:
                assert found.problems == [], (number, known)
            else:  # a key that came later: the certificate that is fetched now has it
                assert any("never handed over to it" in problem for problem in found.problems)
        assert len(told(document)["handovers"]) == known - 1
    # By the key in force the log is signed from beyond the handover's two entries on.
    *_, last = told(held[2][0])["handovers"]
    assert check(held[2][0], kept[0]).release["size"] == last["entry"]["index"] + 2
    other = signing.create_key(tmp_path / "other.key")
    assert any("another log" in problem for problem in check(held[0][0], other).problems)


def test_certificate_is_of_first_of_two_release_entries(log: Log) -> None:
    """Where two attempts were stored as one release, the certificate is of the entry that came first."""
    release = log.release("once")
    document = log.certificate(release)
    facts = told(document)["entry"]["facts"]
    with log.world.database.write() as transaction:
        append(transaction, log.world.anna, "query.replay", release.id, "again", study="heart", facts=facts)
        append(transaction, log.world.anna, "query.release", release.id, "again", study="heart", facts=facts)
    assert log.certificate(release) == document


def test_entries_of_earlier_versions_do_not_bind_the_numbers(log: Log) -> None:
    """A release whose entry has no hash has a certificate that says so, in its text and in the check's words."""
    document = log.certificate(log.release("old", binds=False))
    found = check(document, log.key)
    assert found.problems == []
    assert "not its numbers" in told(document)["binds"]
    assert not found.release["numbers_bound"]
    assert "which the log does not bind" in certificate.words(found)
    wrong = told(document) | {"binds": certificate.BOUND}
    assert check(log.resigned(wrong), log.key).problems == [
        "the certificate: its statement of what the log binds is wrong"
    ]


def test_a_release_without_its_entry_has_none(log: Log) -> None:
    """When the log lost the entry of a release there is no certificate, and the reason is told."""
    release = log.release("lost")
    log.world.edit("UPDATE audit_entries SET action = 'query.replay' WHERE action = 'query.release'")
    with pytest.raises(Unavailable, match="no entry for the release"):
        log.certificate(release)


# Tampering


def answer(found: Json) -> Json:
    """Return the answer within a certificate."""
    inside: Json = found["release"]["answer"]
    return inside


def flip(text: str, place: int = 0) -> str:
    """Return hex with one digit changed."""
    return f"{text[:place]}{'1' if text[place] != '1' else '2'}{text[place + 1 :]}"


# What is done -> what is said of it even when whoever did it has the signing key and signs the whole anew.
TAMPERINGS: dict[str, tuple[Callable[[Json], object], str]] = {
    "a number": (lambda c: answer(c)["rows"][0]["patients"].update(value=41), "its numbers are not those"),
    "a limit": (lambda c: answer(c)["rows"][0]["patients"].update(low=40), "its numbers are not those"),
    "a key": (lambda c: answer(c)["rows"][0].update(sex="female"), "its numbers are not those"),
    "a row": (lambda c: answer(c)["rows"].append(answer(c)["rows"][0]), "its numbers are not those"),
    "a margin": (lambda c: answer(c)["columns"][1].update(margin=1.0), "its numbers are not those"),
    "a confidence": (lambda c: answer(c)["columns"][1].update(confidence=0.99), "its numbers are not those"),
    "a scale": (lambda c: answer(c)["columns"][1].update(scale=1.0), "its numbers are not those"),
    "bounds": (lambda c: answer(c)["bounds"].update(cells_per_person=2), "its numbers are not those"),
    "SQL": (lambda c: answer(c).update(sql="SELECT 1"), "its numbers are not those"),
    "a mechanism": (lambda c: answer(c)["columns"][1].update(mechanism="gaussian"), "its mechanisms are not those"),
    "the loss": (lambda c: answer(c)["cost"].update(epsilon=0.001), "its loss is not that"),
    "the loss's kind": (lambda c: answer(c)["cost"].update(delta=0), "its loss is not that"),
    "no finite epsilon": (lambda c: answer(c)["cost"].update(epsilon=None), "its loss is not that"),
    "the question": (lambda c: answer(c)["query"].update(note="another"), "its question is not that"),
    "the id": (lambda c: c["release"].update(id="0" * 32), "its id is not that"),
    "the study": (lambda c: c["release"].update(study="lungs"), "its study is not that"),
    "the dataset": (lambda c: c["release"].update(dataset="lungs"), "its dataset is not that"),
    "the edition": (lambda c: c["release"].update(edition=2), "its edition is not that"),
    "a later date": (
        lambda c: c["release"].update(charged_at="2999-01-01T00:00:00.000Z"),
        "its date is not a time, or is after",
    ),
    "an earlier date": (
        lambda c: c["release"].update(charged_at="2001-01-01T00:00:00.000Z"),
        "its date is not that of the log's entry",
    ),
    "another name of the date": (
        lambda c: c["release"].update(released_at=c["release"].pop("charged_at")),
        "it does not have the members",
    ),
    "the version before": (lambda c: c.update(version=1), "it does not have the members"),
    "the version before, with its members": (
        lambda c: (c.update(version=1), c["release"].update(released_at=c["release"].pop("charged_at"))),
        "its date is not that of the log's entry",
    ),
    "no date": (lambda c: c["release"].update(charged_at="2001"), "its date is not a time, or is after"),
    "the entry's loss": (lambda c: c["entry"]["facts"]["loss"].update(epsilon_nano=1), "it is not in this log"),
    "the entry's hash": (
        lambda c: c["entry"]["facts"].update(answer_sha256=flip(c["entry"]["facts"]["answer_sha256"])),
        "it is not in this log",
    ),
    "the entry's hash gone": (lambda c: c["entry"]["facts"].pop("answer_sha256"), "it is not in this log"),
    "the entry's time": (lambda c: c["entry"].update(time="2999"), "it is not in this log"),
    "the entry's place": (lambda c: c["entry"].update(index=c["entry"]["index"] - 1), "it is not in this log"),
    "the entry's action": (lambda c: c["entry"].update(action="query.replay"), "and not a release"),
    "the proof": (lambda c: c.update(proof=[flip(c["proof"][0]), *c["proof"][1:]]), "it is not in this log"),
    "a proof too short": (lambda c: c["proof"].pop(), "it is not in this log"),
    "a proof too long": (lambda c: c["proof"].append("0" * 64), "it is not in this log"),
    "a hash of another length": (lambda c: c["proof"].append("00"), "it does not have the members"),
    "a hash in capitals": (lambda c: c["proof"].append("AB" * 32), "it does not have the members"),
    "the checkpoint's size": (
        lambda c: c.update(checkpoint=c["checkpoint"].replace(f"\n{size(c)}\n", f"\n{size(c) + 1}\n")),
        "the checkpoint: it is not signed by the key",
    ),
    "the checkpoint's signature": (
        lambda c: c.update(checkpoint=c["handovers"][0]["checkpoint"]),
        "the checkpoint: it is not signed by the key",
    ),
    "no checkpoint": (lambda c: c.update(checkpoint=""), "the checkpoint: this is not a signed note"),
    "the log's name": (lambda c: c.update(log="another"), "the key is that of the log"),
    "the key": (lambda c: c.update(key=c["handovers"][0]["entry"]["facts"]["before"]), "not a valid one by the key"),
    "the key's spelling": (lambda c: c.update(key=f"{c['key']}\n"), "its key does not have the right form"),
    "no key": (lambda c: c.update(key="none"), "this is not a verifier key"),
    "a handover less": (lambda c: c["handovers"].pop(0), "never handed over to it"),
    "the last handover gone": (lambda c: c["handovers"].pop(), "names another key than the one that signs"),
    "handovers swapped": (lambda c: c["handovers"].reverse(), "names another key than the one that signs"),
    "a handover's key": (
        lambda c: c["handovers"][0]["entry"]["facts"].update(key=c["key"]),
        "is not the last of the log",
    ),
    "a handover's first key": (
        lambda c: c["handovers"][1]["entry"]["facts"].update(before=c["key"]),
        "the handover 2: it is not signed by the key",
    ),
    "a handover's action": (lambda c: c["handovers"][0]["entry"].update(action="test"), "its entry names no key"),
    "a handover's proof": (
        lambda c: c["handovers"][0].update(
            proof=[flip(c["handovers"][0]["proof"][0]), *c["handovers"][0]["proof"][1:]]
        ),
        "is not the last of the log",
    ),
    "a handover's note": (
        lambda c: c["handovers"][0].update(checkpoint=c["handovers"][1]["checkpoint"]),
        "the handover 1: it is not signed by the key",
    ),
    "a handover's consistency": (
        lambda c: c["handovers"][0].update(consistency=[]),
        "the log that the next key signed does not go on from this one",
    ),
    "the version": (lambda c: c.update(version=4), "of version 1 or 2 or 3, which this tool knows"),
    "the version's kind": (lambda c: c.update(version=True), "of version 1 or 2 or 3, which this tool knows"),
    "the type": (lambda c: c.update(type="a letter"), "it is not a rowless release certificate"),
    "a member more": (lambda c: c.update(more=1), "it does not have the members"),
    "a member less": (lambda c: c.pop("binds"), "it does not have the members"),
    "what it binds": (lambda c: c.update(binds="everything"), "its statement of what the log binds is wrong"),
    "no answer": (lambda c: c["release"].update(answer=None), "not of the form"),
    "no facts": (lambda c: c["entry"].update(facts=[]), "not of the form"),
    "an index that is no number": (lambda c: c["entry"].update(index="1"), "it is not in this log"),
}


EARLY = ("the type", "no key", "the key's spelling", "the log's name")  # said before the signature is looked at


def size(found: Json) -> int:
    """Return the size that a certificate's checkpoint is of."""
    return int(found["checkpoint"].split("\n")[1])


@pytest.fixture
def rotated(log: Log) -> tuple[Log, str, bytes]:
    """Return a log, the first of its three keys, and a certificate."""
    first = log.key
    log.rotate()
    log.idle(3)
    log.rotate()
    log.idle(2)
    return log, first, log.certificate(log.release("it"))


def test_each_tampering_is_found(rotated: tuple[Log, str, bytes]) -> None:
    """Whatever is changed by hand is found by the signature, and, if signed anew with the log's own key, by the log."""
    log, first, document = rotated
    assert check(document, first).problems == []
    assert log.resigned(told(document)) == document
    note = json.loads(document)["note"]
    for what, (tamper, said) in TAMPERINGS.items():
        changed = told(document)
        tamper(changed)
        assert dumped(changed) != dumped(told(document)), what
        by_hand = check(dumped({"certificate": changed, "note": note}) + b"\n", first)
        assert by_hand.verdict == "failed", what
        if "the members" not in said and "version" not in what and what not in EARLY:
            assert any("changed after it was signed" in problem for problem in by_hand.problems), what
        anew = check(log.resigned(changed), first)
        assert any(said in problem for problem in anew.problems), (what, anew.problems)
        assert certificate.words(anew).endswith("Verdict: FAILED. Do not rely on this certificate.")


def test_what_the_log_does_not_bind_is_signed(log: Log) -> None:
    """The date of an old release is in no entry: only whoever has the log's key could have dated it back."""
    document = log.certificate(log.release("old", dates=False))
    changed = told(document)
    changed["release"]["released_at"] = "2001-01-01T00:00:00.000Z"
    assert check(dumped({"certificate": changed, "note": json.loads(document)["note"]}) + b"\n", log.key).problems
    assert check(log.resigned(changed), log.key).problems == []


def test_hidden_numbers_are_bound_as_they_are_shown(log: Log) -> None:
    """The log binds what a certificate shows where numbers are hidden, and nobody can change that or claim it."""
    shown = {"cost": cost(NANO // 100).to_json(), "rows": [{"patients": {"value": None, "hidden": True}}]}

    def of(release: Release, answer: Json) -> bytes:
        return certificates.certificate(log.world.database, log.path, release, {**release.body, **answer}).encode()

    release = log.release("hidden", shown=shown)
    document = of(release, shown)
    report = check(document, log.key)
    assert (report.problems, report.release["numbers_bound"], told(document)["version"]) == ([], True, 3)
    others = {**shown, "rows": []}
    elsewhere = of(release, others)  # what the protocol shows today is not what it showed then
    report = check(elsewhere, log.key)
    assert (report.problems, report.release["numbers_bound"]) == ([], False)
    assert told(elsewhere)["binds"] == certificate.SHOWN_UNBOUND
    for binds in (certificate.SHOWN_BOUND, certificate.BOUND, certificate.UNBOUND):
        claimed = log.resigned({**told(elsewhere), "binds": binds})
        assert check(claimed, log.key).verdict == "failed", binds
    for version, binds in ((2, certificate.BOUND), (2, certificate.SHOWN_BOUND), (3, certificate.BOUND)):
        assert check(log.resigned({**told(document), "version": version, "binds": binds}), log.key).problems


def test_an_old_release_keeps_the_certificate_that_was_cited(log: Log) -> None:
    """A release from before the date was in its entry has a certificate of version 1, with the old name of the date."""
    release = log.release("old", dates=False)
    document = log.certificate(release)
    assert told(document)["version"] == 1
    assert told(document)["release"]["released_at"] == release.charged_at
    found = check(document, log.key)
    assert (found.problems, found.release["charged_at"]) == ([], release.charged_at)


def test_a_certificate_that_was_issued_before_still_verifies() -> None:
    """A file that version 1 wrote, byte for byte, is verified with the key that was kept then."""
    folder = Path(__file__).parent
    found = check((folder / "certificate_v1.json").read_bytes(), (folder / "certificate_v1.key").read_text().strip())
    assert (found.verdict, found.problems) == ("ok", [])
    assert found.release["charged_at"] == "2026-11-28T19:52:17.546Z"


@SQLITE_ALONE
def test_odd_parts_are_problems_and_no_errors(rotated: tuple[Log, str, bytes]) -> None:
    """Whatever stands in place of any part of a certificate, signed anew or not, the check ends with a problem."""
    log, first, document = rotated
    odd = [None, True, -1, 2**70, 1.5, "x", "\n", [], ["x"], [None], {}, {"x": None}]

    def places(value: Any) -> list[tuple[Any, Any]]:
        keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
        return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]

    for number in range(len(places(told(document)))):
        for wrong in odd:
            changed = told(document)
            inside, key = places(changed)[number]
            if dumped(inside[key]) == dumped(wrong):
                continue
            inside[key] = wrong
            found = check(log.resigned(changed), first)
            assert found.problems, (key, wrong)
            assert isinstance(certificate.words(found), str)
            assert json.dumps(found.to_json())


def test_the_key_before_signs_up_to_the_handover(log: Log) -> None:
    """A checkpoint by the new key of a size that is the old key's to sign is refused, though all its proofs hold."""
    first, release = log.key, log.release("it")
    log.rotate()
    changed = told(log.certificate(release))
    (handover,) = changed["handovers"]
    changed["checkpoint"] = signing.read_signer(log.path).sign(handover["checkpoint"].split("\n\n")[0] + "\n")
    handover["consistency"] = []
    with log.world.database.read() as transaction:
        proof = inclusion_proof(transaction, changed["entry"]["index"], size(changed))
    changed["proof"] = [one.hex() for one in proof]
    assert check(log.resigned(changed), first).problems == [
        "the handover 1: a later checkpoint has a size that the old key signs"
    ]


def test_parts_of_two_certificates_do_not_mix(log: Log) -> None:
    """A release, entry, proof, checkpoint or signature of one certificate does not pass in another."""
    documents = [log.certificate(log.release("one")), log.certificate(log.release("two", 43))]
    for mine, other in (documents, documents[::-1]):
        for part in ("release", "entry", "proof", "checkpoint"):
            mixed = told(mine) | {part: told(other)[part]}
            assert check(log.resigned(mixed), log.key).problems, part
        swapped = {"certificate": told(mine), "note": json.loads(other)["note"]}
        (problem,) = check(dumped(swapped) + b"\n", log.key).problems
        assert problem.endswith("the certificate was changed after it was signed")
        numbers = told(mine)
        numbers["release"]["answer"]["rows"] = told(other)["release"]["answer"]["rows"]
        assert any("its numbers" in one for one in check(log.resigned(numbers), log.key).problems)


def test_a_forged_chain_does_not_lead_on(log: Log, tmp_path: Path) -> None:
    """Somebody else's key cannot be brought in: neither as the log's own, nor as one that it handed over to."""
    document, key = log.certificate(log.release("it")), log.key
    forged = tmp_path / "forged.key"
    signing.create_key(forged, key.split("+")[0])
    mine = told(document) | {"key": signing.verifier_key(forged)}
    mine["checkpoint"] = signing.read_signer(forged).sign(mine["checkpoint"].split("\n\n")[0] + "\n")
    assert any("never handed over" in problem for problem in check(signed(forged, mine), key).problems)
    named = copy.deepcopy(mine["entry"])
    named |= {"action": "audit.key.name", "facts": {"before": key, "key": mine["key"]}}
    by_old = told(document)["checkpoint"]
    mine["handovers"] = [{"entry": named, "proof": mine["proof"], "checkpoint": by_old, "consistency": []}]
    problems = check(signed(forged, mine), key).problems
    assert any("is not the last of the log that the old key signed" in problem for problem in problems)


def test_a_checkpoint_is_no_signature_of_a_certificate(log: Log) -> None:
    """What the key signs as a checkpoint is not taken for a certificate's signature, nor the other way round."""
    document = log.certificate(log.release("it"))
    found = json.loads(document)
    for note in (found["certificate"]["checkpoint"], "", "\n", found["note"][:-1], found["note"] + "\n"):
        assert check(dumped(found | {"note": note}) + b"\n", log.key).problems
    assert check(log.resigned(found["certificate"] | {"checkpoint": found["note"]}), log.key).problems == [
        "the checkpoint: this is not a checkpoint: its size or its root does not have the right form"
    ]


def test_other_texts_of_the_same_are_refused(log: Log) -> None:
    """The document is one line of canonical JSON: spaces, another order, escapes or no line end are found."""
    document = log.certificate(log.release("it"))
    found = json.loads(document)
    escaped = json.dumps(found, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert escaped != document
    for other in (
        document[:-1],
        document + b"\n",
        b" " + document,
        document.replace(b":", b": ", 1),
        escaped,
        json.dumps(found, indent=1).encode(),
        b"",
        b"\n",
        b"null\n",
        b"[]\n",
        b"[" * 200_000 + b"\n",
        b'{"certificate":NaN}\n',
        b'{"certificate":1e999,"note":""}\n',
        b'{"certificate":"\\ud800","note":""}\n',
        b"\xff\xfe\n",
    ):
        (problem,) = check(other, log.key).problems
        assert problem.startswith("the certificate: it "), other[:50]
    for key in ("", "a+b+c", log.key[:-4]):
        assert check(document, key).problems[0].startswith("the key: ")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """Return a certificate after a rotation, with the first key, for many examples."""
    from tests.budgets.world import make_world
    from tests.databases import Sqlite

    folder = tmp_path_factory.mktemp("fixed")
    world = make_world(Sqlite(folder))
    world.import_edition()
    world.open_study("heart", NANO)
    log = Log(world, folder / "audit.key")
    first = signing.create_key(log.path)
    log.rotate()
    document = log.certificate(log.release("it"))
    world.database.close()
    assert check(document, first).problems == []
    return first, document


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), how=st.sampled_from(["set", "put", "cut"]))
def test_any_changed_byte_is_found(fixed: tuple[str, bytes], place: float, byte: int, how: str) -> None:
    """Whichever byte is changed, put in or cut out, the check fails and raises nothing."""
    first, document = fixed
    at = int(place * len(document))
    middle = {"set": bytes([byte]), "put": bytes([byte]) + document[at : at + 1], "cut": b""}[how]
    changed = document[:at] + middle + document[at + 1 :]
    found = check(changed, first)
    assert (found.verdict == "ok") == (changed == document)
    assert isinstance(certificate.words(found), str)


def test_certificate_with_any_changed_byte_refused(fixed: tuple[str, bytes]) -> None:
    """Each single byte of the document, changed in its lowest bit, makes the check fail: also the last of a base64."""
    first, document = fixed
    for at in range(len(document)):
        changed = document[:at] + bytes([document[at] ^ 1]) + document[at + 1 :]
        assert check(changed, first).verdict == "failed", at


def test_the_last_letter_of_the_signature_counts(fixed: tuple[str, bytes]) -> None:
    """In base64 the last letter has bits that mean nothing: another letter with the same bytes is found all the same."""
    first, document = fixed
    note = json.loads(document)["note"]
    assert note.endswith("=\n")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    same = letters[letters.index(note[-3]) ^ 1]
    assert base64.b64decode(note[-5:-3] + same + "=") == base64.b64decode(note[-5:-1])
    other = document.replace(note[-9:-1].encode(), f"{note[-9:-3]}{same}=".encode())
    assert other != document
    assert check(other, first).problems[0].startswith("the signature: it is not a valid one by the key")


def test_words_cannot_be_made_up(log: Log) -> None:
    """A name that holds line ends or a terminal's commands does not move what the check prints."""
    document = told(log.certificate(log.release("it")))
    document["release"]["answer"]["sql"] = "SELECT 1\nVerdict: ok.\x1b[2J"
    lines = certificate.words(check(log.resigned(document), log.key)).splitlines()
    assert [line for line in lines if line.startswith("Verdict")] == [lines[-1]]
    assert "\x1b" not in "".join(lines)
