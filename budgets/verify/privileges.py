"""Whether nobody became a DPO or an approver alone: part of the check of conduct (`conduct.py`).

From the present rules on, a second person is behind each entry that adds or removes a DPO or an approver, or makes a
token for one. An admin proposed it (`proposal.make`). The entry itself is by a DPO or an approver, and names that
proposal, which it uses up. The last of a role is never removed.

The system adds the first DPO and the first approver, and makes a token for each, when a home is made: at most one of
each role, and none once a DPO or an approver of another origin was there, who could have confirmed. In a log that began
under the old rules an admin added the first DPO alone. That DPO then confirms the first approver.

What this cannot show: a person's commitment changes (`identity.renew`), and the entry does not show whose it is. It
gives no role that nobody has, and that is all that is checked of it. Who holds the machine and the signing key can
write the second person's entries too; checkpoints that are kept elsewhere prevent that only for what was written before
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PRIVILEGED = ("dpo", "approver")
ADD, REMOVE, TOKEN = "add", "remove", "token"


@dataclass(frozen=True)
class Proposal:
    """An act that an admin proposed. `user` is a commitment, or None if the user is to be added."""

    act: str
    role: str
    user: str | None
    by: str


@dataclass
class Privileges:
    """Who has which role, and what waits for a second person, as far as the log was read."""

    holders: dict[str, int] = field(default_factory=dict)  # role -> how many users have it now
    by_persons: bool = False  # whether anybody but the system ever added a DPO or an approver
    _renewed: set[str] = field(default_factory=set)  # commitments that are not the first of their person
    _founded: dict[str, set[str]] = field(default_factory=dict)  # role -> those whom the system added
    _given: set[str] = field(default_factory=set)  # those of them for whom the system made a token
    _waiting: dict[str, Proposal] = field(default_factory=dict)
    _added: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # who was added -> by which proposal, and by whom

    def add(self, entry: Mapping[str, Any], facts: Mapping[str, Any], *, second: bool) -> Iterator[str]:
        """Read that a user was added. `second`: the rules ask for a second person."""
        role, commitment = facts["role"], entry["subject"].removeprefix("user:")
        if role in PRIVILEGED:
            if entry["role"] != "system":
                self.by_persons = True
                if second:
                    yield from self._confirmed(entry, facts, ADD, role, None)
                    self._added[commitment] = (facts.get("proposal"), entry["actor"])
            elif second:
                yield from self._found(role)
            self._founded.setdefault(role, set()).add(commitment)
        elif second and entry["role"] not in ("admin", "system"):
            yield f"it adds a user of the role {role}, and its actor acts as {entry['role']}"
        self.holders[role] = self.holders.get(role, 0) + 1

    def _found(self, role: str) -> Iterator[str]:
        if self._founded.get(role):
            yield f"the system adds a user of the role {role}, and it is not the first"
        if self.by_persons:
            yield f"the system adds a user of the role {role}, though somebody could have confirmed it"

    def renew(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read that somebody has a new commitment."""
        self._renewed.add(entry["subject"].removeprefix("user:"))
        if facts["role"] in PRIVILEGED and self.holders.get(facts["role"], 0) < 1:
            yield f"it renews a commitment of the role {facts['role']}, which nobody has"

    def remove(self, entry: Mapping[str, Any], facts: Mapping[str, Any], *, second: bool) -> Iterator[str]:
        """Read that a user was removed."""
        role, commitment = facts["role"], entry["subject"].removeprefix("user:")
        if second and role in PRIVILEGED:
            yield from self._confirmed(entry, facts, REMOVE, role, commitment)
            if self.holders.get(role, 0) <= 1:
                yield f"it removes the last user of the role {role}"
            if entry["actor"] == commitment:
                yield "a person confirmed their own removal"
        elif second and entry["role"] != "admin":
            yield f"it removes a user of the role {role}, and its actor acts as {entry['role']}"
        self.holders[role] = self.holders.get(role, 0) - 1

    def token(self, entry: Mapping[str, Any], facts: Mapping[str, Any], role: str | None) -> Iterator[str]:
        """Read that a token was made for a user of a role, where the rules ask for a second person."""
        commitment = entry["subject"].removeprefix("user:")
        if role not in PRIVILEGED:
            if entry["role"] not in ("admin", "system"):
                yield f"it makes a token, and its actor acts as {entry['role']}"
        elif entry["role"] == "system":
            if commitment in self._given or self.by_persons:
                yield f"the system makes a token for a user of the role {role}, and it is not the first of the home"
            self._given.add(commitment)
        elif self._added.pop(commitment, None) != (facts.get("proposal"), entry["actor"]):
            yield from self._confirmed(entry, facts, TOKEN, role, commitment)

    def propose(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read a proposal."""
        if entry["role"] != "admin":
            yield f"only the role admin may propose this, and its actor acts as {entry['role']}"
        if facts["proposal"] in self._waiting:
            yield f"it makes the proposal {facts['proposal']}, which waits already"
        self._waiting[facts["proposal"]] = Proposal(facts["act"], facts["role"], facts.get("user"), entry["actor"])

    def withdraw(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read that a proposal no longer waits."""
        if entry["role"] not in ("admin", *PRIVILEGED):
            yield f"it withdraws a proposal, and its actor acts as {entry['role']}"
        if self._waiting.pop(facts["proposal"], None) is None:
            yield f"it withdraws the proposal {facts['proposal']}, which does not wait"

    def _confirmed(
        self, entry: Mapping[str, Any], facts: Mapping[str, Any], act: str, role: str, user: str | None
    ) -> Iterator[str]:
        """Yield what is wrong with how an entry does what was proposed, and use the proposal up."""
        if entry["role"] not in PRIVILEGED:
            yield f"no second person confirmed it: its actor acts as {entry['role']}"
        found = self._waiting.pop(facts.get("proposal", ""), None)
        if found is None:
            yield "no admin proposed it, or its proposal was used up"
            return
        if (found.act, found.role) != (act, role):
            yield f"its proposal was another: {found.act} of the role {found.role}"
        # A commitment may have been renewed between the two steps.
        if found.user != user and user not in self._renewed:
            yield "its proposal was about somebody else"
        if found.by == entry["actor"]:
            yield "the same person proposed and confirmed it"
