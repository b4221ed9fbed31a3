"""Whether datasets were imported, approved and charged in order: part of the check of conduct (`conduct.py`).

From the third rules on a dataset waits for an approver. The first import proposes its cap and what profiles may take of
it; an admin may propose others. An approval is of what waits, by an approver who neither imported nor proposed it, and
names the DPO's advice that stands, or why it goes without one. An import that lowers the cap lowers what waits with it,
which ends the advice on it. Before the first approval nothing is charged, and the profiles never take more than was
approved: what they had taken when they were approved, and what the approval adds. No entry but an approval raises a cap
(`spending.py`).

From the fourth rules on the terms have formalities, and are not approved without. An entry that names none keeps those
that were written last. An import into an approved dataset that names others proposes them.

From the sixth rules on they have the noise that queries may have, which each import names. Another one waits for an
approver. No query was charged with noise other than what was approved.

Datasets that were imported before these rules count as approved, with the profiles that they had been charged for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import decisions
from .decisions import by_role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .decisions import Advice, Limits

    # The cap, the epsilon of further profiles, in billionths, the formalities, and the noise of queries.
    Terms = tuple[Limits, int, Mapping[str, Any] | None, str | None]


@dataclass
class Dataset:
    """A dataset, as far as the log was read. `hands` are the commitments of all who wrote what waits."""

    editions: int = 0
    cap: Limits | None = None
    profile: dict[str, int] | None = None  # the one in use: of the latest edition, and the most exact of it
    approved: bool = False
    waiting: Terms | None = None
    hands: set[str] = field(default_factory=set)
    advice: Advice | None = None
    taken: int = 0  # epsilon that profiles were charged and not given back
    allowed: int = 0  # epsilon that profiles may take in all
    formalities: Mapping[str, Any] | None = None  # those in force
    noise: str | None = None  # what was approved; None if it was not one of the terms then

    def waits(self, terms: Terms, by: str) -> None:
        """Keep what waits now. Advice on what waited before is void."""
        self.waiting, self.advice = terms, None
        self.hands.add(by)

    def written(self) -> Mapping[str, Any] | None:
        """Return the formalities that were written last: those that wait, or those in force."""
        return self.formalities if self.waiting is None else self.waiting[2]

    def imported(self, before: Limits, cap: Limits, named: Any, noise: str | None, by: str) -> None:
        """Read an import into an approved dataset: it lowers what waits, and proposes formalities and another noise."""
        named = named or self.written()
        wanted = self.waiting
        if wanted is None and (named, noise) != (self.formalities, self.noise):
            wanted = cap, 0, named, noise
        if wanted is None:
            return
        (epsilon, delta, percent), profile, *_ = wanted
        if cap[0] < before[0] or cap[1] < before[1]:
            epsilon, delta, profile = min(epsilon, cap[0]), min(delta, cap[1]), min(profile, epsilon, cap[0])
        if ((epsilon, delta, percent), profile, named, noise) != self.waiting:
            self.waits(((epsilon, delta, percent), profile, named, noise), by)


@dataclass
class Datasets:
    """The datasets, as far as the log was read."""

    known: dict[str, Dataset] = field(default_factory=dict)
    _charges: dict[str, tuple[str, int]] = field(default_factory=dict)  # a profile's charge -> its dataset and epsilon
    wait: bool = False  # whether the rules are in force by which datasets wait for an approver
    justified: bool = False  # whether those are by which a large cap is approved with a justification alone
    noisy: bool = False  # whether those are by which the noise of queries is one of the terms
    formal: bool = False  # whether the rules are in force by which nothing is approved without formalities

    def begin(self) -> None:
        """Read that datasets wait for an approver from here on."""
        self.wait = True
        for one in self.known.values():
            one.approved, one.allowed = True, one.taken

    def has(self, name: str, edition: int) -> bool:
        """Return whether an edition was imported."""
        return name in self.known and 0 < edition <= self.known[name].editions

    def cap(self, name: str) -> Limits | None:
        """Return the cap of a dataset."""
        return self.known[name].cap if name in self.known else None

    def accepts(self, name: str, told: Mapping[str, Any]) -> bool:
        """Return whether the approval of a study accepts the cap, the profile and the formalities of its dataset."""
        one = self.known.get(name)
        if one is None or "cap" not in told:
            return False
        if (decisions.limits(told["cap"]), told["profile"]) != (one.cap, one.profile):
            return False
        return not self.formal or told["formalities"] == one.formalities

    def noise(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong if a query has another noise than its dataset was approved for."""
        one = self.known.get(facts["dataset"], Dataset())
        kind = "gaussian" if facts["loss"]["epsilon_nano"] is None else "laplace"
        if one.noise not in {None, "both", kind}:
            yield f"it has {kind} noise, and the dataset {facts['dataset']} was approved for {one.noise} noise alone"

    def formalities(self, name: str, entry: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the formalities of a dataset that something was approved with."""
        if self.formal:
            one = self.known.get(name, Dataset())
            yield from decisions.formal(entry, "dataset", name, one.formalities)

    def unapproved(self, name: str) -> Iterator[str]:
        """Yield what is wrong if something needs a dataset to be approved."""
        if self.wait and name in self.known and not self.known[name].approved:
            yield f"the dataset {name} was not approved before it"

    def imports(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read an import."""
        name, edition = _name(entry), facts["edition"]
        one = self.known.setdefault(name, Dataset())
        if edition != one.editions + 1:
            yield f"it imports edition {edition} of {name} after edition {one.editions}"
        one.editions = max(edition, one.editions)
        before, one.cap = one.cap, decisions.limits(facts["cap"])
        if self.wait:
            yield from by_role(entry, "admin")
            cap, profile, named, noise = _terms(facts)
            if self.noisy and noise not in NOISES:
                yield f"it imports edition {edition} of {name} without the noise that its queries may have"
            if not one.approved:
                one.waits((cap, profile, named or one.written(), noise), entry["actor"])
            elif before is not None:
                one.imported(before, cap, named, noise, entry["actor"])

    def divides(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read that an edition got other parts, which hold what the parts before held."""
        yield from by_role(entry, "admin")
        if not self.has(_name(entry), facts["edition"]):
            yield f"it divides edition {facts['edition']} of {_name(entry)}, which was not imported"

    def proposes(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read a proposal."""
        yield from by_role(entry, "admin")
        one = yield from self._one(entry)
        one.waits(_terms(facts), entry["actor"])

    def advises(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read advice on what waits."""
        yield from by_role(entry, "dpo")
        one = yield from self._one(entry)
        if one.waiting is None or _terms(facts) != one.waiting:
            yield f"it advises on terms of the dataset {_name(entry)} that do not wait for approval"
        if entry["actor"] in one.hands:
            yield f"a person who imported or proposed the terms of the dataset {_name(entry)} advised on them"
        yield from decisions.formed(facts)
        one.advice = decisions.Advice(facts["opinion"], entry["actor"])

    def approves(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read an approval."""
        yield from by_role(entry, "approver")
        if self.justified:
            yield from decisions.justified(facts["cap"])
        one, terms = (yield from self._one(entry)), _terms(facts)
        if one.waiting is None or terms != one.waiting:
            yield f"it approves terms of the dataset {_name(entry)} that do not wait for approval"
        if entry["actor"] in one.hands:
            yield f"a person who imported or proposed the terms of the dataset {_name(entry)} approved them"
        yield from decisions.heard(one.advice, entry, facts)
        one.approved, one.allowed, one.cap = True, one.taken + terms[1], terms[0]
        one.waiting, one.advice, one.hands, one.formalities = None, None, set(), terms[2]
        one.noise = terms[3]
        yield from self.formalities(_name(entry), entry)

    def charges(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read a charge for a profile."""
        # A restored ledger may take over a charge without an epsilon, which is none of a profile.
        name, epsilon = facts["dataset"], facts["loss"]["epsilon_nano"] or 0
        one = self.known.setdefault(name, Dataset())
        one.taken += epsilon
        if entry["action"] == RESPENDS:
            return
        self._charges[entry["subject"]] = name, epsilon
        if not self.has(name, facts["edition"]):
            yield f"it buys a profile of edition {facts['edition']} of {name}, which was not imported"
        if not self.wait:
            return
        yield from by_role(entry, "admin")
        yield from self.unapproved(name)
        if one.taken > one.allowed:
            yield f"its profiles of {name} take more than was approved"

    def gives_back(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read that a charge for a profile was given back."""
        name, epsilon = facts["dataset"], facts["loss"]["epsilon_nano"]
        if self._charges.pop(entry["subject"], None) == (name, epsilon):
            self.known[name].taken -= epsilon
        else:
            yield f"it gives back to profiles of {name} what the charge {entry['subject']} did not take"

    def releases(self, _entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read that a dataset has a profile."""
        made = {"edition": facts["edition"], "epsilon_nano": facts["loss"]["epsilon_nano"]}
        one = self.known.setdefault(facts["dataset"], Dataset())
        if one.profile is None or tuple(one.profile.values()) < tuple(made.values()):
            one.profile = made
        yield from ()

    def _one(self, entry: Mapping[str, Any]) -> Any:
        """Return the dataset of an entry. Yield what is wrong if there is none, or if it is too early for this."""
        name = _name(entry)
        if not self.wait:
            yield "it decides on a dataset before the rules by which datasets wait for an approver"
        if name not in self.known:
            yield f"it is about the dataset {name}, which was not imported"
        return self.known.setdefault(name, Dataset())


RESPENDS = "ledger.respend"
NOISES = ("laplace", "gaussian", "both")


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["subject"].removeprefix("dataset:"))


def _terms(facts: Mapping[str, Any]) -> Terms:
    told = facts.get("formalities"), facts.get("noise")
    return decisions.limits(facts["cap"]), int(facts["profile_epsilon_nano"]), *told
