"""What every account spent, added up from the audit log alone: part of the independent check (`export.py`).

It shares no code with the ledger: the sums, the three filters and the conversions between them are written here a
second time, from docs/ledger.md. This finds mistakes in the ledger, limits that were raised in the database, and
charges that the log does not have.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NANO, ATTO = 10**9, 10**18
OPEN, SPENT, GIVEN_BACK = "open", "spent", "given back"
ATTEMPTS_MAX = 3  # on one charge
RESPENT = b""  # in place of the question of a charge that a restored ledger took over: nothing is asked on it
SLACK = 1e-9  # relative: far more than the error of floats, far less than any charge

UNSPLIT = 100  # the part of epsilon for Laplace noise, in percent, of accounts from before there was a third filter

Loss = tuple[int | None, int, int]  # epsilon in billionths (None: no finite one), rho in billionths, delta in 10^-18
Limits = tuple[int, int, int]  # epsilon in billionths, delta in 10^-18, the percent of epsilon for Laplace noise


@dataclass(frozen=True)
class Filters:
    """What the filters of an account allow, from its limits. Rho has a little for the error of floats."""

    epsilon: int
    rho: float
    keys: int  # delta for thresholds
    laplace: int  # the split filter: epsilon of Laplace noise, and
    gaussian: float  # rho of Gaussian noise

    @classmethod
    def of(cls, limits: Limits) -> Filters:
        """Return the filters of limits. The two that convert from rho share their half of delta, if there are two."""
        epsilon, delta, percent = limits
        keys = delta // 2
        split = (delta - keys) // 2 if 0 < percent < UNSPLIT else 0
        laplace = epsilon * percent // 100
        rho = rho_limit(epsilon, delta - keys - split)
        return cls(epsilon, rho, keys, laplace, rho_limit(epsilon - laplace, split))

    def contain(self, before: Filters) -> bool:
        """Return whether whatever other filters admit is within these, by the filter of the same name."""
        divided = before.gaussian == 0 or (self.laplace >= before.laplace and self.gaussian >= before.gaussian)
        return divided and (
            self.epsilon >= before.epsilon and self.rho * (1 + SLACK) + 1 >= before.rho and self.keys >= before.keys
        )


@dataclass
class Account:
    """The limits and sums of one account, by the log."""

    kind: str
    owner: str
    limits: Limits
    epsilon: int = 0
    rho: int = 0
    delta: int = 0
    gaussian: int = 0  # the rho of charges without a finite epsilon
    unbounded: int = 0  # the number of such charges
    reserved: int = 0  # charges that are open
    before: list[Limits] = field(default_factory=list)  # those that it had since it was first charged

    def holds(self) -> bool:
        """Return whether the sums are within the limits: that of delta, and one of the three filters."""
        allowed = Filters.of(self.limits)
        basic = self.unbounded == 0 and self.epsilon <= allowed.epsilon
        split = self.epsilon <= allowed.laplace and self.gaussian <= allowed.gaussian
        return self.delta <= allowed.keys and (basic or self.rho <= allowed.rho or split)

    def is_untouched(self) -> bool:
        """Return whether nothing was charged, or all of it given back."""
        return not (self.epsilon or self.rho or self.delta or self.unbounded)

    def add(self, loss: Loss, times: int) -> None:
        """Add a loss, or subtract it with times = -1."""
        epsilon, rho, delta = loss
        if epsilon is None:
            self.unbounded += times
            self.gaussian += times * rho
        else:
            self.epsilon += times * epsilon
        self.rho += times * rho
        self.delta += times * delta

    def to_json(self) -> dict[str, Any]:
        """Return the account as JSON values. The sums include what is reserved."""
        return {
            "kind": self.kind,
            "owner": self.owner,
            "limits": {
                "epsilon": self.limits[0] / NANO,
                "delta": self.limits[1] / ATTO,
                "laplace_percent": self.limits[2],
            },
            "used": {
                "epsilon": None if self.unbounded else self.epsilon / NANO,
                "rho": self.rho / NANO,
                "delta": self.delta / ATTO,
                "laplace_epsilon": self.epsilon / NANO,
                "gaussian_rho": self.gaussian / NANO,
            },
            "open_charges": self.reserved,
            "within_limits": self.holds(),
        }


@dataclass
class Charge:
    """A charge and its state."""

    accounts: tuple[Account, ...]
    loss: Loss
    question: bytes
    state: str = OPEN
    release: str | None = None
    attempts: int = 1


@dataclass
class Spending:
    """The accounts and charges, as far as the log was read."""

    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    _charges: dict[str, Charge] = field(default_factory=dict)
    _standing: dict[bytes, str] = field(default_factory=dict)  # question -> charge
    _released: set[str] = field(default_factory=set)
    _answers: dict[str, int] = field(default_factory=dict)  # study -> its releases
    _raises: dict[str, Limits] = field(default_factory=dict)  # study -> the limits that wait for an approver
    charged: int = 0
    _approver: str = "dpo"  # the role that approves: see `conduct.py`

    def read(self, entry: Mapping[str, Any]) -> Iterator[str]:
        """Read an entry and yield what is wrong with it."""
        action = entry.get("action")
        act = ACTS.get(action) if isinstance(action, str) else None
        if act is None:
            return
        try:
            yield from act(self, entry, entry["facts"])
        except (KeyError, TypeError, ValueError, AttributeError):
            yield f"its facts are not those of {entry['action']}"

    # Limits

    def _import(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        owner = entry["subject"].removeprefix("dataset:")
        cap, known = _limits(facts["cap"]), self.accounts.get(("dataset", owner))
        if known is not None and (cap[0] > known.limits[0] or cap[1] > known.limits[1]):
            yield f"it raises the cap of the dataset {owner}, which no import may do"
        yield from self._set_limits("dataset", owner, cap)

    def _open(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        if ("dataset", facts["dataset"]) not in self.accounts:
            yield f"it opens a study on the dataset {facts['dataset']}, which was not imported"
        yield from self._set_limits("study", entry["study"], _limits(facts["budget"]))

    def _set(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        self._raises.pop(entry["study"], None)
        yield from self._set_limits("study", entry["study"], _limits(facts))

    def _ask(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        self._raises[entry["study"]] = _limits(facts)
        yield from ()

    def _agree(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        if entry["role"] != self._approver or self._raises.pop(entry["study"], None) != _limits(facts):
            yield f"it approves a budget of study {entry['study']} that did not wait for approval"
        yield from self._set_limits("study", entry["study"], _limits(facts))

    def _begin(self, _entry: Mapping[str, Any], _facts: Mapping[str, Any]) -> Iterator[str]:
        self._approver = "approver"
        yield from ()

    def _approve_cap(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        # Whether it is what waited, and whose approval it is, is checked by `datasets.py`.
        owner = entry["subject"].removeprefix("dataset:")
        if ("dataset", owner) not in self.accounts:
            yield f"it approves the cap of the dataset {owner}, which was not imported"
        yield from self._set_limits("dataset", owner, _limits(facts["cap"]))

    def _set_limits(self, kind: str, owner: str, limits: Limits) -> Iterator[str]:
        if not isinstance(owner, str):
            raise TypeError(owner)
        account = self.accounts.setdefault((kind, owner), Account(kind, owner, limits))
        # Of what was given back nothing counts.
        account.before = [] if account.is_untouched() else [*account.before, account.limits]
        divides = limits[2] != account.limits[2]
        if divides and not all(Filters.of(limits).contain(Filters.of(one)) for one in account.before):
            yield f"it divides the epsilon of the {kind} {owner} anew after something was spent, and takes from a part"
        account.limits = limits
        if not account.holds():
            yield f"it sets limits of the {kind} {owner} below what was spent"

    # Charges

    def _reserve(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        identifier, question = entry["subject"], _question(entry, facts)
        owners = [("dataset", facts["dataset"]), *([("study", entry["study"])] if entry["study"] is not None else [])]
        accounts = tuple(self.accounts[owner] for owner in owners if owner in self.accounts)
        if len(accounts) != len(owners):
            yield f"it charges {' and '.join(map(' '.join, owners))}, but the log opened {len(accounts)} of these"
        if identifier in self._charges:
            yield f"the charge {identifier} appears twice"
        if question in self._standing:
            yield f"it charges a question again that the charge {self._standing[question]} paid for"
        loss = _loss(facts["loss"])
        if not (loss[1] if loss[0] is None else loss[0]):
            yield f"its charge {identifier} is of nothing, and no answer costs nothing"
        self._charges[identifier] = Charge(accounts, loss, question)
        self._standing[question] = identifier
        self.charged += 1
        for account in accounts:
            within = account.holds()
            account.add(loss, 1)
            account.reserved += 1
            if within and not account.holds():
                yield f"it overspends the budget of the {account.kind} {account.owner}"

    def _respend(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        """Read a charge that a restored ledger took over from a later export of its log."""
        identifier, study = entry["subject"].removeprefix("charge:"), entry["study"]
        owners = [("dataset", facts["dataset"]), *([("study", study)] if study is not None else [])]
        accounts = tuple(self.accounts[owner] for owner in owners if owner in self.accounts)
        if len(accounts) != len(owners):
            yield f"it charges {' and '.join(map(' '.join, owners))}, but the log opened {len(accounts)} of these"
        if identifier in self._charges:
            yield f"the charge {identifier} appears twice"
        loss = _loss(facts["loss"])
        self._charges[identifier] = Charge(accounts, loss, RESPENT, SPENT)
        self.charged += 1
        for account in accounts:
            account.add(loss, 1)
            if not account.holds():
                yield f"it overspends the budget of the {account.kind} {account.owner}"

    def _spend(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        identifier = entry["subject"].removeprefix("charge:")
        yield from self._settle(identifier, facts)

    def _resume(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        yield from self._spend(entry, facts)
        yield from self._pays(entry, facts, entry["subject"].removeprefix("charge:"))
        charge = self._charges.get(entry["subject"].removeprefix("charge:"))
        # Entries of earlier versions do not number the attempts, which were not limited.
        if charge is not None and "attempt" in facts:
            charge.attempts += 1
            if facts["attempt"] != charge.attempts or charge.attempts > ATTEMPTS_MAX:
                yield f"it is the attempt {facts['attempt']} on its charge, which had {charge.attempts - 1} before"

    def _void(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        charge = self._charges.get(entry["subject"])
        if charge is None or charge.state != OPEN:
            yield f"it gives back the charge {entry['subject']}, which is {_state(charge)}"
            return
        if _loss(facts["loss"]) != charge.loss:
            yield f"its loss is not that of the charge {entry['subject']}"
        charge.state = GIVEN_BACK
        del self._standing[charge.question]
        for account in charge.accounts:
            account.add(charge.loss, -1)
            account.reserved -= 1

    def _release(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        # Entries of earlier versions do not name the charge. It is the standing one of the question.
        identifier = facts.get("charge") or self._standing.get(_question(entry, facts), "")
        yield from self._settle(identifier, facts)
        yield from self._pays(entry, facts, identifier)
        charge = self._charges.get(identifier)
        if charge is not None and charge.release not in {None, entry["subject"]}:
            yield f"it is a second release for the charge {identifier}"
        elif charge is not None:
            charge.release = entry["subject"]
        if entry["subject"] not in self._released and entry["study"] is not None:
            self._answers[entry["study"]] = self._answers.get(entry["study"], 0) + 1
        self._released.add(entry["subject"])

    def _replay(self, entry: Mapping[str, Any], _facts: Mapping[str, Any]) -> Iterator[str]:
        if entry["subject"] not in self._released:
            verb = "reads" if entry["action"].startswith("release.read") else "replays"
            yield f"it {verb} the release {entry['subject']}, which was never made"

    def _conclude(self, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
        about, account = facts["about"], self.accounts.get(("study", entry["study"]))
        if account is None:
            yield f"it concludes on the study {entry['study']}, which the log did not open"
            return
        if _loss(about["used"]) != (None if account.unbounded else account.epsilon, account.rho, account.delta):
            yield f"it concludes on another loss of the study {entry['study']} than was charged by then"
        if about["releases"] != self._answers.get(entry["study"], 0):
            yield f"it concludes on {about['releases']} releases of the study {entry['study']}, which had more or fewer"

    def _settle(self, identifier: str, facts: Mapping[str, Any]) -> Iterator[str]:
        charge = self._charges.get(identifier)
        if charge is None or charge.state == GIVEN_BACK:
            yield f"it spends the charge {identifier or '(of its question)'}, which is {_state(charge)}"
            return
        if charge.question == RESPENT:
            yield f"it spends the charge {identifier}, which was taken over from an export and answers no question"
        stated = facts["loss"]
        # The `recover` entries of earlier versions have only the epsilon.
        if "rho_nano" in stated and _loss(stated) != charge.loss:
            yield f"its loss is not that of the charge {identifier}"
        if charge.state == OPEN:
            charge.state = SPENT
            for account in charge.accounts:
                account.reserved -= 1

    def _pays(self, entry: Mapping[str, Any], facts: Mapping[str, Any], identifier: str) -> Iterator[str]:
        """Yield what is wrong if a charge was for another question than this. The loss alone would not show it."""
        charge = self._charges.get(identifier)
        if charge is not None and charge.question not in {RESPENT, _question(entry, facts)}:
            yield f"it is about another question than the charge {identifier} paid for"


ACTS = {
    "rules.begin": Spending._begin,
    "dataset.import": Spending._import,
    "dataset.approve": Spending._approve_cap,
    "study.open": Spending._open,
    "study.budget.set": Spending._set,
    "study.budget.ask": Spending._ask,
    "study.budget.approve": Spending._agree,
    **{f"{what}.reserve": Spending._reserve for what in ("query", "dataset.profile")},
    **{f"{what}.void": Spending._void for what in ("query", "dataset.profile")},
    **{f"{what}.release": Spending._release for what in ("query", "dataset.profile")},
    **{f"{what}.replay": Spending._replay for what in ("query", "dataset.profile")},
    **{f"{what}.replay.count": Spending._replay for what in ("query", "dataset.profile")},
    **dict.fromkeys(("release.read", "release.read.count"), Spending._replay),
    "study.conclude": Spending._conclude,
    "ledger.respend": Spending._respend,
    **{f"{what}.{how}": Spending._spend for what in ("query", "dataset.profile") for how in ("fail", "recover")},
    **{f"{what}.resume": Spending._resume for what in ("query", "dataset.profile")},
}


def _limits(facts: Mapping[str, Any]) -> Limits:
    epsilon, delta, percent = facts["epsilon_nano"], facts["delta_atto"], facts.get("laplace_percent", UNSPLIT)
    if not (_whole(epsilon) and _whole(delta) and _whole(percent) and percent <= 100):
        raise ValueError
    return epsilon, delta, percent


def _loss(facts: Mapping[str, Any]) -> Loss:
    epsilon, rho, delta = facts["epsilon_nano"], facts["rho_nano"], facts["delta_atto"]
    if not ((epsilon is None or _whole(epsilon)) and _whole(rho) and _whole(delta)):
        raise ValueError
    return epsilon, rho, delta


def _whole(value: object) -> bool:
    # The ledger's columns have 64 bits, so it never held a greater number; and floats cannot represent all of them.
    return type(value) is int and 0 <= value < 2**63


def _question(entry: Mapping[str, Any], facts: Mapping[str, Any]) -> bytes:
    """Return a short key for a question, because a million of them are kept.

    Its kind belongs to it: nobody approved the charge of a profile as one of a query.
    """
    kind = entry["action"].rpartition(".")[0]
    parts = "\n".join(map(str, (kind, entry["study"], facts["dataset"], facts["edition"], facts["fingerprint"])))
    return hashlib.sha256(parts.encode()).digest()[:16]


def _state(charge: Charge | None) -> str:
    return "not in the log" if charge is None else charge.state


@cache
def rho_limit(epsilon_nano: int, delta_atto: int) -> float:
    """Return the largest rho, in billionths, that is (epsilon, delta)-DP, plus a little for the error of floats.

    By Canonne, Kamath and Steinke 2020, proposition 12: rho-zCDP is (epsilon, delta)-DP for every delta and a > 1 with
    epsilon = a * rho + ln(1 / (a * delta)) / (a - 1) + ln(1 - 1 / a). Solved for rho, each a gives a bound. The
    best one is searched over ln(a - 1), where the bound has one maximum, on a grid that is refined three times.
    """
    if delta_atto == 0:
        return 0
    epsilon, delta = epsilon_nano / NANO, delta_atto / ATTO

    def admitted(point: float) -> float:
        above = math.exp(point)
        a = 1 + above
        return (epsilon + math.log(a * delta) / above - point + math.log(a)) / a

    best, step = 0.0, 1.0
    for steps in (60, 200, 200, 200):
        best = max((best + step * place for place in range(-steps, steps + 1)), key=admitted)
        step /= 100
    return max(0.0, admitted(best)) * NANO * (1 + SLACK) + 1
