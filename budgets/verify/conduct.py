"""Whether users did what they were allowed to do, in the right order: part of the independent check (`export.py`).

The server refuses what is not allowed. Here the same rules are checked on its log, by separate code. A server that was
changed so that it no longer refuses still leaves entries, and they show who did what in which state of the study.

- time does not run backwards;
- roles: an entry added each actor, the actor acts in that role, and everybody did only what is theirs to do;
- nobody became a DPO or an approver alone, and no token was made for one alone (`privileges.py`);
- states: a study was approved from draft, with the terms and budget that were last written, and with the cap and the
  profile that its dataset had. It asked only while it was approved and between its days, and nothing was done to it
  after it was closed. A larger budget waited for an approver;
- from the fourth rules on, nothing was approved without formalities, or after they ended; from the fifth on, no large
  budget without a justification (`decisions.py`);
- datasets were approved before anything was charged to them, and from the sixth rules on queries have the noise that
  was approved (`datasets.py`);
- four eyes: nobody approved what they opened, edited or proposed, or on their own advice; an approval names the DPO's
  advice that stands, or why it goes without (`decisions.py`); an approver concluded on a report of what the study was
  then, which was not their own;
- a query was asked by a member, about the study's dataset and an edition that was imported, within the parts of the
  protocol that an entry shows (tables, statistics, the largest epsilon);
- a release was read by a member of its study, an admin, a DPO or an approver.

In earlier versions a DPO approved. The entry `rules.begin`, which the system writes once for each set of rules, says
where they begin: before it the old rules are checked, in which there is no approver, and after it only the new ones.
Nothing ends them, so that who forges later entries cannot go back. A log without the entry is checked by the old rules
throughout, and the check says so (`Conduct.rules`): a forger who leaves it out has to take every approver out of the
log too, and contradicts each checkpoint that was kept since.

People appear as commitments. Equal commitments prove that it is the same person; different ones prove nothing, because
a person's commitment changes (`identity.renew`, which does not show whose it is). Therefore "no member" is reported
only for an actor with the commitment under which they were added to the server: as long as they have no other, their
membership names it.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import decisions
from .datasets import Datasets
from .decisions import APPROVED, CLOSED, DRAFT, SUSPENDED, Study, by_role, limits
from .privileges import Privileges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROLES = ("researcher", "admin", "dpo", "approver")
OLD_ROLES = ("researcher", "admin", "dpo")
FIXED = {"system": "system", "anonymous": "none"}  # actors without a commitment, and their roles
COMMITMENT = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")

# action -> (the states it starts from, the state it leads to, the roles that may do it)
MOVES = {
    "study.approve": ((DRAFT,), APPROVED, ("approver",)),
    "study.suspend": ((APPROVED,), SUSPENDED, ("dpo",)),
    "study.resume": ((SUSPENDED,), APPROVED, ("dpo",)),
    "study.close": ((DRAFT, APPROVED, SUSPENDED), CLOSED, ("dpo", "admin")),
}
NANO = 10**9
# Approvers decide; datasets wait for them; formalities are complete; large budgets are justified; noise is approved.
RULES = (2, 3, 4, 5, 6)
DATASETS_WAIT, FORMAL, NOISY = 3, 4, 6
UNDER_WAY = dt.timedelta(hours=1)  # longer than any request: one that is under way goes on under the old commitment
ROUNDED = 1_000  # billionths: charges are rounded up, so they may be a little more than what was asked for


@dataclass
class Conduct:
    """The studies, people and editions, as far as the log was read."""

    studies: dict[str, Study] = field(default_factory=dict)
    rules: int = 1  # those that the last entry `rules.begin` began
    began_at: int | None = None  # the index of the first such entry
    datasets_began_at: int | None = None  # the index of the entry from which datasets wait for an approver
    formal_began_at: int | None = None  # the index of the entry from which nothing is approved without formalities
    privileges: Privileges = field(default_factory=Privileges)
    datasets: Datasets = field(default_factory=Datasets)
    _roles: dict[str, str] = field(default_factory=dict)  # commitment -> role
    _renewed: set[str] = field(default_factory=set)  # the commitments that are not the first of their person
    _time: str = ""
    _still: bool = False  # time stands still in the log, so the clock may have been set back

    def read(self, entry: Mapping[str, Any]) -> Iterator[str]:
        """Read an entry and yield what was not allowed."""
        try:
            yield from self._when_and_who(entry)
            action = entry["action"]
            act = ACTS.get(action)
            if act is not None:
                yield from act(self, entry, entry["facts"])
        except (KeyError, TypeError, ValueError, AttributeError):
            yield f"it does not have the form of entries of {entry.get('action')}"

    def _when_and_who(self, entry: Mapping[str, Any]) -> Iterator[str]:
        time, actor, role = entry["time"], entry["actor"], entry["role"]
        self._still = time == self._time
        if not TIME.fullmatch(time):
            yield f"its time, {time!r}, is not a time"
        elif time < self._time:
            yield f"its time, {time}, is earlier than that of an entry before it ({self._time})"
        else:
            self._time = time
        given = FIXED.get(actor) or self._roles.get(actor)
        if given is not None and role != given:
            yield f"its actor acts as {role}, but has the role {given}"
        elif given is None:
            yield f"no entry added its actor, who acts as {role}"

    def _begin(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "system")
        if facts["rules"] <= self.rules and self.rules > 1:
            yield "it begins the present rules, which began before"
        elif facts["rules"] not in RULES:
            yield "it begins rules that this check does not know"
        else:
            self.rules = facts["rules"]
        self.began_at = entry["index"] if self.began_at is None else self.began_at
        if self.rules >= DATASETS_WAIT and not self.datasets.wait:
            self.datasets_began_at = entry["index"]
            self.datasets.begin()
        if self.rules >= FORMAL and self.formal_began_at is None:
            self.formal_began_at = entry["index"]
        self.datasets.formal, self.datasets.justified = self.rules >= FORMAL, self.rules >= decisions.JUSTIFIED
        self.datasets.noisy = self.rules >= NOISY

    def _approvers(self) -> tuple[str, ...]:
        return ("approver",) if self.rules > 1 else ("dpo",)

    # People and data

    def _add_user(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from self._name(entry, facts)
        yield from self.privileges.add(entry, facts, second=self.rules > 1)

    def _name(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read a commitment and its role."""
        commitment = entry["subject"].removeprefix("user:")
        if facts["role"] not in (ROLES if self.rules > 1 else OLD_ROLES) or not COMMITMENT.fullmatch(commitment):
            yield f"it adds {commitment} in the role {facts['role']}"
        if commitment in self._roles:
            yield f"it adds {commitment}, who was added before"
        self._roles[commitment] = facts["role"]

    def _renew(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "system")
        yield from self._name(entry, facts)
        yield from self.privileges.renew(entry, facts)
        self._renewed.add(entry["subject"].removeprefix("user:"))

    def _remove_user(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        role = self._roles.get(entry["subject"].removeprefix("user:"))
        if facts["role"] != role:
            yield f"it removes a user of the role {facts['role']}, who has the role {role}"
        yield from self.privileges.remove(entry, facts, second=self.rules > 1)

    def _make_token(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        if self.rules > 1:
            role = self._roles.get(entry["subject"].removeprefix("user:"))
            yield from self.privileges.token(entry, facts, role)

    def _link(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        if entry["actor"] != entry["subject"].removeprefix("user:"):
            yield f"it lets a user of the role {facts['role']} sign in by an account that another person chose"

    def _propose(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from self.privileges.propose(entry, facts)

    def _withdraw(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from self.privileges.withdraw(entry, facts)

    def _dataset(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from DATASETS[entry["action"]](self.datasets, entry, facts)

    # Studies

    def _open(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "admin")
        if entry["study"] in self.studies:
            yield f"it opens the study {entry['study']}, which exists already"
        terms = decisions.terms_of(facts["terms"])
        self.studies[entry["study"]] = Study(facts["dataset"], terms, limits(facts["budget"]), {entry["actor"]})

    def _edit(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "admin")
        study = yield from self._living(entry)
        if study is not None:
            study.terms, study.state = decisions.terms_of(facts), DRAFT
            study.written(entry["actor"])

    def _move(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        starts_from, leads_to, roles = MOVES[entry["action"]]
        yield from by_role(entry, *(roles if roles != ("approver",) else self._approvers()))
        study = self.studies.get(entry["study"])
        if study is None:
            yield f"it is about the study {entry['study']}, which the log did not open"
            return
        if study.state not in starts_from:
            yield f"the study {entry['study']} was {study.state}, not {' or '.join(starts_from)}"
        if (facts["from"], facts["to"]) != (study.state, leads_to):
            yield f"it reports that the study went from {facts['from']} to {facts['to']}"
        if leads_to == APPROVED and entry["action"] == "study.approve":
            yield from decisions.approves(study, entry, facts, self.rules)
            if self.rules > 1 and not self.datasets.accepts(study.dataset, facts["dataset"]):
                yield f"it accepts another cap or profile than the dataset {study.dataset} has"
            yield from self.datasets.unapproved(study.dataset)
            yield from self._formal(study, entry)
        study.state = leads_to

    def _formal(self, study: Study, entry: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong with the formalities that an approval stands on."""
        if self.rules >= FORMAL:
            yield from decisions.formal(entry, "study", entry["study"], study.terms.get("formalities"))
            yield from self.datasets.formalities(study.dataset, entry)

    def _add_member(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "admin")
        study = self.studies.get(entry["study"])
        if study is None:
            yield f"it is about the study {entry['study']}, which the log did not open"
            return
        if self._roles.get(facts["user"], "researcher") != "researcher":
            yield f"it makes a member of somebody with the role {self._roles[facts['user']]}"
        study.members.add(facts["user"])
        study.joined += 1
        if facts["user"] in self._renewed:
            study.renewed_at = entry["time"]

    def _remove_member(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "admin")
        if entry["study"] in self.studies:
            self.studies[entry["study"]].members.discard(facts["user"])
            self.studies[entry["study"]].left += 1

    # Budgets

    def _set_budget(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "admin")
        study = yield from self._living(entry)
        if study is None:
            return
        wanted = limits(facts)
        if study.state == DRAFT:
            study.written(entry["actor"])
        elif wanted[0] > study.budget[0] or wanted[1] > study.budget[1]:
            yield f"it raises the budget of the study {entry['study']}, which is {study.state}, without an approval"
        elif wanted[2] != study.budget[2]:
            yield f"it divides the epsilon of the study {entry['study']}, which is {study.state}, without an approval"
        study.budget = wanted
        study.proposed(None, None)

    def _ask_budget(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "admin")
        study = yield from self._living(entry)
        if study is not None:
            study.proposed(entry["actor"], limits(facts))

    def _approve_budget(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, *self._approvers())
        study = yield from self._living(entry)
        if study is not None:
            yield from decisions.approves_raise(study, entry, facts, self.rules)
            yield from self._formal(study, entry)
            study.budget = limits(facts)
            study.proposed(None, None)

    # Advice

    def _advise(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "dpo")
        study = yield from self._living(entry)
        if study is not None:
            read = decisions.advises if entry["action"] == "study.advise" else decisions.advises_on_raise
            yield from read(study, entry, facts)

    def _conclude(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "approver")
        study = self.studies.get(entry["study"])
        if study is None:
            yield f"it is about the study {entry['study']}, which the log did not open"
            return
        yield from decisions.concludes(study, entry, facts, self.datasets.cap(study.dataset))

    def _living(self, entry: Mapping[str, Any]) -> Any:
        """Return the study of an entry. Yield what is wrong if there is none or it is closed."""
        study = self.studies.get(entry["study"])
        if study is None:
            yield f"it is about the study {entry['study']}, which the log did not open"
        elif study.state == CLOSED:
            yield f"it changes the study {entry['study']}, which is closed"
        return study

    # Queries. A release or failure may be written after the study was suspended, because it was reserved before.

    def _respend(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "admin")
        if not self.datasets.has(facts["dataset"], 1):
            yield f"it charges the dataset {facts['dataset']}, which was not imported"
        if entry["study"] is None:
            yield from self.datasets.charges(entry, facts)

    def _ask(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, "researcher")
        study = self.studies.get(entry["study"])
        if study is None:
            yield f"it asks under the study {entry['study']}, which the log did not open"
            return
        if study.state != APPROVED:
            yield f"it asks under the study {entry['study']}, which is {study.state}"
        yield from decisions.within_days(study, entry["time"], still=self._still)
        if self._is_no_member(study, entry):
            yield f"it was asked by somebody who is no member of the study {entry['study']}"
        if facts["dataset"] != study.dataset:
            yield f"it asks about {facts['dataset']}, but the study is on {study.dataset}"
        if not self.datasets.has(facts["dataset"], facts["edition"]):
            yield f"it asks edition {facts['edition']} of {facts['dataset']}, which was not imported"
        yield from self.datasets.unapproved(facts["dataset"])
        yield from self.datasets.noise(facts)
        for what in _outside(study.terms["protocol"], facts):
            yield f"it is outside the protocol of the study {entry['study']}: {what}"

    def _read_release(self, entry: Mapping[str, Any], _facts: Mapping[str, Any]) -> Iterator[str]:
        yield from by_role(entry, *ROLES)
        study = self.studies.get(entry["study"])
        if study is None:
            yield f"it reads a release of the study {entry['study']}, which the log did not open"
        elif entry["role"] == "researcher" and self._is_no_member(study, entry):
            yield f"it was read by somebody who is no member of the study {entry['study']}"

    def _count(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        # It is written up to a minute late: the study may be suspended by then, and its actor no member any more.
        yield from by_role(entry, *COUNTED[entry["action"]])
        if entry["study"] is not None and entry["study"] not in self.studies:
            yield f"it counts acts under the study {entry['study']}, which the log did not open"
        if not facts["count"] > 0:
            yield f"it counts {facts['count']} acts"

    def _is_no_member(self, study: Study, entry: Mapping[str, Any]) -> bool:
        """Return whether an actor is certainly no member. One under a renewed commitment may be one."""
        actor = entry["actor"]
        return (
            actor not in self._renewed and actor not in study.members and not _lately(study.renewed_at, entry["time"])
        )


# Acts that were repeated within a minute: one entry has their number.
COUNTED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("query.estimate.count", "query.rehearse.count", "query.replay.count"), ("researcher",)),
    "dataset.profile.replay.count": ("admin",),
    **dict.fromkeys(("release.read.count", "call.refuse.count"), ROLES),
    **dict.fromkeys(("user.read.count", "token.read.count", "dataset.import.read.count"), ("admin",)),
    **dict.fromkeys(("audit.read.count", "identity.read.count"), ("dpo",)),
}

DATASETS: Mapping[str, Callable[[Datasets, Mapping[str, Any], Mapping[str, Any]], Iterator[str]]] = {
    "dataset.import": Datasets.imports,
    "dataset.parts": Datasets.divides,
    "dataset.propose": Datasets.proposes,
    "dataset.advise": Datasets.advises,
    "dataset.approve": Datasets.approves,
    "dataset.profile.reserve": Datasets.charges,
    "dataset.profile.void": Datasets.gives_back,
    "dataset.profile.release": Datasets.releases,
}

ACTS: Mapping[str, Callable[[Conduct, Mapping[str, Any], Mapping[str, Any]], Iterator[str]]] = {
    "rules.begin": Conduct._begin,
    "user.add": Conduct._add_user,
    "identity.renew": Conduct._renew,
    "user.link": Conduct._link,
    "user.remove": Conduct._remove_user,
    "token.new": Conduct._make_token,
    "proposal.make": Conduct._propose,
    "proposal.withdraw": Conduct._withdraw,
    **dict.fromkeys(DATASETS, Conduct._dataset),
    "study.open": Conduct._open,
    "study.edit": Conduct._edit,
    **dict.fromkeys(MOVES, Conduct._move),
    "study.member.add": Conduct._add_member,
    "study.member.remove": Conduct._remove_member,
    "study.budget.set": Conduct._set_budget,
    "study.budget.ask": Conduct._ask_budget,
    "study.budget.approve": Conduct._approve_budget,
    **dict.fromkeys(("study.advise", "study.budget.advise"), Conduct._advise),
    "study.conclude": Conduct._conclude,
    **dict.fromkeys(("query.reserve", "query.resume", "query.replay"), Conduct._ask),
    "release.read": Conduct._read_release,
    **dict.fromkeys(COUNTED, Conduct._count),
    "ledger.respend": Conduct._respend,
}


def _lately(moment: str | None, time: str) -> bool:
    """Return whether a moment is so recent that a request from before it may still be under way."""
    return moment is not None and dt.datetime.fromisoformat(time) - dt.datetime.fromisoformat(moment) < UNDER_WAY


def _outside(protocol: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a protocol does not include, as far as an entry alone shows it."""
    query, most = facts["query"], protocol.get("epsilon_nano_max")
    if "tables" in protocol and isinstance(query["from"], str) and query["from"] not in protocol["tables"]:
        yield f"the table {query['from']}"
    if "statistics" in protocol:
        for name, statistic in query["select"].items():
            if not set(statistic) & set(protocol["statistics"]):
                yield f"the statistic {name}"
    noise = protocol.get("noise", "both")
    if noise != "both" and (facts["loss"]["epsilon_nano"] is None) != (noise == "gaussian"):
        yield f"noise other than {noise} noise"
    if most is not None:
        epsilon, rho = facts["loss"]["epsilon_nano"], facts["loss"]["rho_nano"]
        # The largest rho is what pure DP of the largest epsilon costs.
        if (epsilon is None or epsilon > most + ROUNDED) and 2 * (rho - ROUNDED) * NANO > most**2:
            yield f"more than epsilon {most / NANO:g}"
