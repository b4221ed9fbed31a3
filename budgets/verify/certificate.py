"""The independent check of a release certificate, for the reader of a paper who does not trust the server.

A certificate is one line of canonical JSON. It contains a release as it was stored, the entry of the audit log that
records it, the proof that this entry is in the log, a checkpoint of the log that its key has signed, and, if keys were
replaced, how each key handed the log over to the next. A reader who has any of the log's verifier keys, from the first
to the one that signed, can check all of it offline. A signature over the whole makes sure that no byte was changed.

A part of canonical JSON is canonical JSON again, so every hash here is over a part of the file as it is.

`budgets/audit/certificates.py` makes certificates.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import canonical_json, checkpoint, merkle
from .checkpoint import DASH, BadNote, Checkpoint, Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = dict[str, Any]

HEAD = b'{"certificate":'  # an entry of a log begins with another member, "action"
TYPE, VERSION = "rowless release certificate", 2
HIDING = 3  # the version of a certificate in which numbers of small cells are hidden
# The member with the time of a release's charge, by version. Version 1: the entry does not have that time.
CHARGED_AT = "charged_at"
TIME_MEMBERS = {1: "released_at", VERSION: CHARGED_AT, HIDING: CHARGED_AT}
RELEASES, NAMES_KEY = "query.release", "audit.key.name"
NUMBERS = "answer_sha256"  # the fact in a release's entry that binds its numbers
SHOWN = "shown_sha256"  # the fact that binds what its study's protocol shows of them
BOUND = "The audit log binds the release: its id, its question, its loss and its numbers."
UNBOUND = (
    "The audit log binds the release's id, its question and its loss, but not its numbers: it was made by a version of "
    "Rowless that did not write their hash down. That these are its numbers is what the signature says, and no more."
)
SHOWN_BOUND = (
    "The audit log binds the release: its id, its question, its loss and its numbers as they stand here. Numbers of "
    "small cells are hidden, as the study's protocol demanded when the release was made."
)
SHOWN_UNBOUND = (
    "The audit log binds the release's id, its question and its loss. Here numbers of small cells are hidden, as the "
    "study's protocol demands now. That the others are the release's is what the signature says, and no more."
)
NANO, ATTO = 10**9, 10**18
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
ODD = (KeyError, TypeError, ValueError, AttributeError, RecursionError)  # what reading JSON of another shape may raise


def statement(log: str, digest: str) -> str:
    """Return the text that is signed for a certificate. It is not a checkpoint: those have a number in line 2."""
    return f"{TYPE}\n{log}\n{digest}\n"


@dataclass(frozen=True)
class Handover:
    """How a key handed the log over to the next: the entry that names both, under a checkpoint of the old key."""

    entry: Json
    proof: list[bytes]  # the entry is in the tree of the checkpoint
    checkpoint: str
    consistency: list[bytes]  # the tree of the next checkpoint continues that of this one


@dataclass(frozen=True)
class Certificate:
    """What a certificate contains, read but not checked."""

    log: str
    key: Verifier
    binds: str
    release: Json
    charged_at: str
    entry: Json
    proof: list[bytes]
    checkpoint: str
    handovers: list[Handover]
    digest: str
    numbers: str  # the SHA-256 of the answer
    note: str
    is_hiding: bool

    @property
    def answer(self) -> Json:
        """Return the release's body, as it was stored."""
        found: Json = self.release["answer"]
        return found


@dataclass
class Report:
    """What was checked in a certificate, and what was found."""

    sha256: str
    problems: list[str] = field(default_factory=list)
    release: Json = field(default_factory=dict)
    checked: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Return "ok", or "failed" if there is any problem."""
        return "failed" if self.problems else "ok"

    def to_json(self) -> Json:
        """Return the report as JSON."""
        return {
            "verdict": self.verdict,
            "sha256": self.sha256,
            "release": self.release,
            "problems": self.problems,
            "checked": self.checked,
        }


def verify(document: bytes, *, key: str) -> Report:
    """Check a certificate with a key of its log. Problems are reported and not raised."""
    report = Report(hashlib.sha256(document).hexdigest())
    try:
        holder = Verifier.of(key)
    except BadNote as error:
        report.problems.append(f"the key: {error}")
        return report
    try:
        found = _read(document)
    except BadNote as error:
        report.problems.append(f"the certificate: {error}")
        return report
    except ODD:
        report.problems.append(f"the certificate: it does not have the members of a {TYPE}, version {VERSION}")
        return report
    steps = (_signature(found), _release(found), _place(found), _handovers(found), _holder(found, holder))
    report.problems += [problem for step in steps for problem in _without_odd(step)]
    try:
        report.release, report.checked = _shown(found), _checked(found, holder)
    except ODD:
        if not report.problems:
            report.problems.append("the release: it does not have the members of a release")
    return report


def checkpoint_of(document: bytes) -> list[str]:
    """Return the checkpoint in a certificate, or an empty list if it cannot be read."""
    try:
        return [_read(document).checkpoint]
    except ODD:
        return []


def _without_odd(step: Iterator[str]) -> Iterator[str]:
    """Yield what a check finds. If it meets JSON of another shape, that is a problem too."""
    try:
        yield from step
    except ODD:
        yield "the certificate: a part of it is not of the form that it should have"


# Reading


def _read(document: bytes) -> Certificate:
    """Return the content of a document. Raises BadNote, or an error of ODD if it has another shape."""
    try:
        text = document.decode()
        whole = json.loads(text)
        same = f"{canonical_json.dumps(whole)}\n".encode() == document
    except ODD:
        same = False
    if not same:
        raise BadNote("it is not one line of canonical JSON: it was changed, or another program saved it")
    told, note = canonical_json.members(whole, "certificate", "note")
    names = ("binds", "checkpoint", "entry", "handovers", "key", "log", "proof", "release", "type", "version")
    binds, covering, entry, handovers, key, log, proof, release, kind, version = canonical_json.members(told, *names)
    if kind != TYPE or type(version) is not int or version not in TIME_MEMBERS:
        raise BadNote(f"it is not a {TYPE} of version {' or '.join(map(str, TIME_MEMBERS))}, which this tool knows")
    canonical_json.members(release, "answer", "dataset", "edition", "id", TIME_MEMBERS[version], "study")
    verifier = Verifier.of(canonical_json.text(key))
    if verifier.text != key:
        raise BadNote("its key does not have the right form")
    return Certificate(
        canonical_json.text(log),
        verifier,
        canonical_json.text(binds),
        release,
        canonical_json.text(release[TIME_MEMBERS[version]]),
        canonical_json.mapping(entry),
        canonical_json.hashes(proof),
        canonical_json.text(covering),
        [_handover(one) for one in canonical_json.items(handovers)],
        canonical_json.sha256(told),
        canonical_json.sha256(release["answer"]),
        canonical_json.text(note),
        version == HIDING,
    )


def _handover(value: object) -> Handover:
    covering, consistency, entry, proof = canonical_json.members(value, "checkpoint", "consistency", "entry", "proof")
    return Handover(
        canonical_json.mapping(entry),
        canonical_json.hashes(proof),
        canonical_json.text(covering),
        canonical_json.hashes(consistency),
    )


# Checking


def _signature(found: Certificate) -> Iterator[str]:
    """Yield what is wrong with the signature over the whole."""
    text = statement(found.log, found.digest)
    if found.key.name != found.log:
        yield f"the signature: the key is that of the log {found.key.name}, and not of {found.log}"
    if not found.note.startswith(f"{text}\n{DASH} "):
        yield "the signature: it was made over something else: the certificate was changed after it was signed"
        return
    start, signature = f"{text}\n{DASH} {found.log} ", ""
    if found.note.startswith(start) and found.note.endswith("\n"):
        signature = found.note[len(start) : -1]
    try:
        # Only one spelling is accepted: in base64 the last letter before the padding has bits without meaning.
        exact = base64.b64encode(base64.b64decode(signature, validate=True)).decode() == signature
        holds = exact and found.key.signed(found.note)
    except ValueError:
        holds = False
    if not holds:
        yield f"the signature: it is not a valid one by the key {_name(found.key)}"


def _release(found: Certificate) -> Iterator[str]:
    """Yield how the release differs from what the entry records."""
    entry, release, answer = found.entry, found.release, found.answer
    facts = entry["facts"]
    if entry["action"] != RELEASES:
        yield f"the entry: it records {entry['action']}, and not a release"
    for what, said, logged in (
        ("id", release["id"], entry["subject"]),
        ("study", release["study"], entry["study"]),
        ("dataset", release["dataset"], facts["dataset"]),
        ("edition", release["edition"], facts["edition"]),
        ("question", answer["query"], facts["query"]),
        ("loss", answer["cost"], _loss(facts["loss"])),
    ):
        if canonical_json.dumps(said) != canonical_json.dumps(logged):
            yield f"the release: its {what} is not that of the log's entry"
    if not (TIME.fullmatch(found.charged_at) and found.charged_at <= entry["time"]):
        yield "the release: its date is not a time, or is after that of the log's entry"
    if facts.get(CHARGED_AT) != release.get(CHARGED_AT):  # version 1 has it in neither
        yield "the release: its date is not that of the log's entry"
    used = {column["mechanism"] for column in answer["columns"] if "mechanism" in column}
    if not used <= set(facts["mechanisms"]):
        yield "the release: its mechanisms are not those of the log's entry"
    yield from _numbers(found, facts)


def _numbers(found: Certificate, facts: Json) -> Iterator[str]:
    """Yield how the numbers differ from those that the log binds, and whether the statement about it is right."""
    bound = facts.get(SHOWN if found.is_hiding else NUMBERS)
    statements = {BOUND, UNBOUND}
    if found.is_hiding:
        statements = {SHOWN_BOUND, SHOWN_UNBOUND}
        # Another rule may have hidden more or less when the release was made: the statement says which.
        bound = None if found.binds == SHOWN_UNBOUND else bound
    if bound is not None and bound != found.numbers:
        yield f"the release: its numbers are not those that the log binds, whose SHA-256 is {bound}"
    if found.binds not in statements or (found.binds in (BOUND, SHOWN_BOUND)) != (bound is not None):
        yield "the certificate: its statement of what the log binds is wrong"


def _place(found: Certificate) -> Iterator[str]:
    """Yield why the entry is not in a log whose checkpoint the key signed."""
    try:
        said = checkpoint.open_note(found.checkpoint, found.key)
    except BadNote as error:
        yield f"the checkpoint: {error}"
        return
    if not _includes(said, found.entry, found.proof):
        yield f"the entry: the proof does not lead from it to the root over {said.size} entries: it is not in this log"


def _handovers(found: Certificate) -> Iterator[str]:
    """Yield each handover whose old key did not sign for the new one, or after which the log did not only grow."""
    keys = _chain(found)[1:]
    notes = [*(one.checkpoint for one in found.handovers), found.checkpoint][1:]
    for number, (one, following, note) in enumerate(zip(found.handovers, keys, notes, strict=True), start=1):
        what, facts = f"the handover {number}", one.entry["facts"]
        if one.entry["action"] != NAMES_KEY:
            yield f"{what}: its entry names no key"
        if facts["key"] != following:
            yield f"{what}: it names another key than the one that signs after it"
        try:
            said = checkpoint.open_note(one.checkpoint, Verifier.of(canonical_json.text(facts["before"])))
            later = checkpoint.read(note)
        except BadNote as error:
            yield f"{what}: {error}"
            continue
        # The old key signs up to the entry that names the new one. The new key signs from after the next entry on.
        if said.size != one.entry["index"] + 1 or not _includes(said, one.entry, one.proof):
            yield f"{what}: its entry is not the last of the log that the old key signed"
        if later.size <= said.size:
            yield f"{what}: a later checkpoint has a size that the old key signs"
        if not merkle.verify_consistency(said.size, later.size, one.consistency, said.root, later.root):
            yield f"{what}: the log that the next key signed does not go on from this one"


def _holder(found: Certificate, holder: Verifier) -> Iterator[str]:
    """Yield a problem if the reader's key is not in the chain."""
    if holder.text in _chain(found):
        return
    yield (
        f"the key: the certificate was signed by {_name(found.key)}, and the key you hold is {_name(holder)}"
        + (": it is that of another log" if holder.name != found.log else ", which never handed over to it")
    )


def _includes(said: Checkpoint, entry: Json, proof: list[bytes]) -> bool:
    index = entry["index"]
    leaf = merkle.leaf_hash(canonical_json.dumps(entry).encode())
    return type(index) is int and merkle.verify_inclusion(leaf, index, said.size, proof, said.root)


def _chain(found: Certificate) -> list[str]:
    """Return the log's keys, from the first to the one that signed."""
    return [*(str(one.entry["facts"]["before"]) for one in found.handovers), found.key.text]


def _loss(facts: Json) -> Json:
    """Return a loss as releases show it, from the integers of the log."""
    epsilon = facts["epsilon_nano"]
    return {
        "epsilon": None if epsilon is None else epsilon / NANO,
        "rho": facts["rho_nano"] / NANO,
        "delta": facts["delta_atto"] / ATTO,
    }


# Words


def _shown(found: Certificate) -> Json:
    said, answer = checkpoint.read(found.checkpoint), found.answer
    return {
        **{name: found.release[name] for name in ("id", "study", "dataset", "edition")},
        CHARGED_AT: found.charged_at,
        "sql": answer["sql"],
        "cost": answer["cost"],
        "answer_sha256": found.numbers,
        "numbers_bound": found.binds in (BOUND, SHOWN_BOUND),
        "rows": len(answer["rows"]),
        "log": found.log,
        "index": found.entry["index"],
        "size": said.size,
        "root": said.root.hex(),
        "key": found.key.text,
    }


def _checked(found: Certificate, holder: Verifier) -> list[str]:
    shown, answer = _shown(found), found.answer
    cost = answer["cost"]
    epsilon = "no finite epsilon" if cost["epsilon"] is None else f"epsilon {cost['epsilon']:.9g}"
    chain = _chain(found)
    steps = len(chain) - 1 - chain.index(holder.text) if holder.text in chain else 0
    numbers = "which the log's entry has" if shown["numbers_bound"] else "which the log does not bind"
    led = "the key you hold" if steps == 0 else f"to which the key you hold led in {steps} step" + "s" * (steps > 1)
    return [
        f"the release {shown['id']} of the study {shown['study']}, charged at {shown[CHARGED_AT]}",
        f"its data: edition {shown['edition']} of {shown['dataset']}",
        f"its question: {shown['sql']}",
        *(_column(column) for column in answer["columns"] if column["kind"] == "statistic"),
        f"its numbers: {shown['rows']} rows with the SHA-256 {shown['answer_sha256']}, {numbers}",
        f"its loss, as it was charged: {epsilon}, rho {cost['rho']:.9g}, delta {cost['delta']:.9g}",
        f"its place: entry {shown['index']} of the log {shown['log']}, by a proof of {len(found.proof)} hashes",
        f"the tree: {shown['size']} entries with the root {shown['root']}",
        f"the signatures, over that checkpoint and over the whole: by {_name(found.key)}, {led}",
        found.binds,
    ]


def _column(column: Json) -> str:
    margin = column.get("margin")
    exact = "with a margin by row" if margin is None else f"± {margin:g} at {100 * column['confidence']:g}%"
    return f"its column {column['name']}: {column['mechanism']}, scale {column['scale']:.9g}, {exact}"


def _name(key: Verifier) -> str:
    return f"{key.name}+{key.key_hash.hex()}"


def words(report: Report) -> str:
    """Return a report for people."""
    lines = ["Checked:", *(f"  {_plain(line)}" for line in report.checked)] if report.checked else []
    if report.problems:
        lines += ["Problems:", *(f"  {_plain(problem)}" for problem in report.problems)]
    lines.append(f"SHA-256 of the certificate: {report.sha256}")
    good = "Verdict: ok. The release is in the log as it stands here."
    return "\n".join([*lines, good if report.verdict == "ok" else "Verdict: FAILED. Do not rely on this certificate."])


def _plain(text: str) -> str:
    """Replace what could move a terminal's cursor or look like another line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
