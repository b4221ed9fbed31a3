"""The independent check of an exported audit log, for a data protection officer who does not trust the server.

It hashes every entry again and follows the chain. It compares the root with a checkpoint that the log's key has signed,
and with older checkpoints that the DPO kept. It accepts a later key only if the log names it under a checkpoint of the
key before (`keys.py`). It adds up what every account spent (`spending.py`), and it checks that the log's users did what
they were allowed to do, in the right order (`conduct.py`).

This folder imports only itself, the standard library and `cryptography`. It can be copied anywhere, read in an hour and
run with `python -m verify EXPORT --key VKEY`. `rowless audit verify` does the same. Both also take a release
certificate in place of an export, which `certificate.py` checks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import canonical_json, checkpoint
from .checkpoint import BadNote, Checkpoint, Verifier
from .conduct import Conduct
from .keys import SIGNS_KEY, Keys
from .merkle import EMPTY_ROOT, Frontier, leaf_hash
from .spending import Spending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

START = "0" * 64  # the hash before the first entry
PROBLEMS_SHOWN = 100
PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, zip, bzip2, xz, zstd
TABLE = b"index,"  # how the table begins that `rowless audit export --csv` writes


@dataclass(frozen=True)
class Note:
    """A checkpoint to compare with the log, and what to call it in a problem."""

    what: str
    text: str
    said: Checkpoint


@dataclass
class Report:
    """What was checked and found."""

    entries: int = 0
    root: bytes = EMPTY_ROOT
    problems: list[str] = field(default_factory=list)
    problems_in_all: int = 0
    checked: list[str] = field(default_factory=list)
    accounts: list[dict[str, Any]] = field(default_factory=list)
    key: str = ""  # the verifier key in force at the end

    @property
    def verdict(self) -> str:
        """Return "ok", or "failed" if there is any problem."""
        return "failed" if self.problems_in_all else "ok"

    def add(self, problem: str) -> None:
        """Add a problem. Only the first hundred are kept in words."""
        self.problems_in_all += 1
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(problem)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "verdict": self.verdict,
            "entries": self.entries,
            "root": self.root.hex(),
            "problems": self.problems,
            "problems_in_all": self.problems_in_all,
            "checked": self.checked,
            "accounts": self.accounts,
            "key": self.key,
        }


def verify(
    lines: Iterable[bytes],
    *,
    key: str,
    covering: str,
    older: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Report:
    """Check an exported log and return what was found. Problems are reported and not raised.

    `lines` are those of the export, `covering` is the checkpoint that came with it, `older` are earlier checkpoints.
    """
    report = Report()
    try:
        keys = Keys(Verifier.of(key))
    except BadNote as error:
        report.add(f"the key: {error}")
        return report
    notes = list(_notes(report, covering, older))
    tree, spending, conduct = Frontier(), Spending(), Conduct()
    roots: dict[int, bytes | None] = {note.said.size: None for note in notes} | {0: EMPTY_ROOT}
    previous, offset = START, 0
    for position, line in enumerate(lines):
        progress(len(line))
        text = line.removesuffix(b"\n")
        leaf = leaf_hash(text)
        entry = _entry(text)
        if entry is None:
            report.add(f"entry {position}: it is not an entry in canonical JSON{_instead(position, line)}")
        else:
            if entry.get("index") != position + offset:
                report.add(f"entry {position}: its index is that of entry {entry.get('index')}")
                offset = entry["index"] - position if type(entry.get("index")) is int else offset
            if entry.get("previous") != previous:
                report.add(f"entry {position}: it does not follow the entry before it")
            needs_root = entry.get("action") == SIGNS_KEY
            found = keys.read(position, entry, tree.root() if needs_root else b"")
            for problem in (*found, *spending.read(entry), *conduct.read(entry)):
                report.add(f"entry {position}: {problem}")
        tree.add(leaf)
        previous = leaf.hex()
        if tree.size in roots:
            roots[tree.size] = tree.root()
    report.entries, report.root = tree.size, tree.root()
    if not tree.size:
        report.add("the export is empty")
    for note in notes:
        for problem in _against(note, report.entries, roots[note.said.size], keys):
            report.add(f"{note.what}: {problem}")
    report.key = keys.at(report.entries).text
    report.accounts = [account.to_json() for _, account in sorted(spending.accounts.items())]
    report.checked = _checked(report, notes, keys, spending, conduct)
    return report


def _notes(report: Report, covering: str, older: Sequence[str]) -> Iterator[Note]:
    """Yield the checkpoints that can be read. The first covers the export."""
    for number, text in enumerate((covering, *older)):
        what = "the checkpoint" if number == 0 else "the older checkpoint" + (f" {number}" if len(older) > 1 else "")
        try:
            yield Note(what, text, checkpoint.read(text))
        except BadNote as error:
            report.add(f"{what}: {error}")


def _against(note: Note, entries: int, root: bytes | None, keys: Keys) -> Iterator[str]:
    """Yield how a checkpoint and the log differ."""
    said = note.said
    covers = note.what == "the checkpoint"
    try:
        checkpoint.open_note(note.text, keys.at(said.size))
    except BadNote as error:
        yield str(error)
    if said.size > entries:
        yield (
            f"it was signed for {said.size} entries and the export has {entries}: entries are missing, at the end "
            "unless a problem above shows where" + ("" if covers else "; or a backup was restored")
        )
    elif root != said.root:
        yield f"the first {said.size} entries are not those that were signed: the log was rewritten" + (
            "" if covers else ", or is another branch of it (a fork, or a restored backup that was written on)"
        )
    if covers and said.size < entries:
        yield f"it covers {said.size} of {entries} entries; nobody signed for the others"


def _entry(text: bytes) -> dict[str, Any] | None:
    """Return an entry's body, or None unless the text is the canonical JSON of one."""
    try:
        found = json.loads(text)
        same = canonical_json.dumps(found).encode() == text
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and same else None


def _instead(position: int, line: bytes) -> str:
    """Return a guess what a file is instead of an export, if its first line is not an entry."""
    if position:
        return ""
    if line.startswith(PACKED):
        return " (the file is packed: unpack it first)"
    if line.startswith(TABLE):
        return " (this is a table to read, written with --csv: verify an export without --csv)"
    return " (is this file an export at all?)"


def _checked(report: Report, notes: Sequence[Note], keys: Keys, spending: Spending, conduct: Conduct) -> list[str]:
    charges = _several(spending.charged, "charge", "charges")
    held = _several(len(report.accounts), "account", "accounts")
    studies = _several(len(conduct.studies), "study", "studies")
    kept = [str(note.said.size) for note in notes if note.what != "the checkpoint"]
    return [
        f"{_several(report.entries, 'entry', 'entries')}: whether each has the right hash and place",
        f"whether their root, {report.root.hex()}, is the one that was signed",
        f"older checkpoints, of {' and '.join(kept)} entries: whether the log only grew"
        if kept
        else "no older checkpoint was given: a log that was rewritten as a whole, and signed again, would pass",
        _several(keys.count, "signing key", "signing keys: whether each was signed for by the one before"),
        f"{charges} in {held}: whether the sums, added up again, are within the limits",
        f"{studies}: whether each act was allowed to the role and person, in the state and at the time",
        "no entry begins the present rules: those of earlier versions were checked, by which a DPO approves"
        if conduct.began_at is None
        else f"since entry {conduct.began_at}: whether each approval had advice or says why not, and "
        "whether two persons made each DPO and approver",
        "no entry lets datasets wait for an approver: those of the log count as approved"
        if conduct.datasets_began_at is None
        else f"since entry {conduct.datasets_began_at}: whether each dataset, and what its profiles take, was approved "
        "before it was charged",
        *later(conduct),
    ]


def later(conduct: Conduct) -> list[str]:
    """Return from where rules hold that did not begin with the first: a forger could let them begin late, or never."""
    if conduct.formal_began_at is None:
        return ["no entry asks for formalities: approvals without them, or after they ended, were not looked for"]
    if conduct.formal_began_at == conduct.began_at:
        return []
    return [f"since entry {conduct.formal_began_at}: whether each approval had formalities that were in force"]


def _several(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def words(report: Report) -> str:
    """Return a report for people."""
    lines = ["Checked:", *(f"  {line}" for line in report.checked)] if report.checked else []
    if report.accounts:
        lines += ["Accounts, by the log:", *(f"  {_account(account)}" for account in report.accounts)]
    if report.problems:
        lines += ["Problems:", *(f"  {problem}" for problem in report.problems)]
        left = report.problems_in_all - len(report.problems)
        lines += [f"  and {left} more"] if left else []
    good = "Verdict: ok. What was checked holds."
    return "\n".join([*lines, good if report.verdict == "ok" else "Verdict: FAILED. Do not rely on this log."])


def _account(account: Mapping[str, Any]) -> str:
    used, limits = account["used"], account["limits"]
    epsilon = "no finite epsilon" if used["epsilon"] is None else f"epsilon {used['epsilon']:.9g}"
    return (
        f"{account['kind']} {account['owner']}: used {epsilon}, rho {used['rho']:.9g}, delta {used['delta']:.9g}; "
        f"limits epsilon {limits['epsilon']:.9g}, delta {limits['delta']:.9g}"
        + (f"; {_several(account['open_charges'], 'charge', 'charges')} open" if account["open_charges"] else "")
        + ("" if account["within_limits"] else "; OVERSPENT")
    )
