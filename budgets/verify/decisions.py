"""Whether an approval was as it must be: part of the check of conduct (`conduct.py`), which has the rest.

Nobody approved what they opened, edited or proposed. What was approved is what was last written. From the present rules
on, an approval names the DPO's advice that stands, or why it goes without one. Advice stands for the terms and the
budget that it was given on: an edit, a new budget or a new proposal ends it. Who gave it had no hand in what it is
about, and does not approve it. Who concluded on a study's report had no hand in it either, and what they concluded on
is what the study was then.

From the fourth rules on nothing is approved without formalities: those of the dataset, and for a study its own too.
They were written before, are whole, and on the day of the approval not yet to come, not expired and not ended.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DRAFT, APPROVED, SUSPENDED, CLOSED = "draft", "approved", "suspended", "closed"
UNSPLIT = 100  # the part of epsilon for Laplace noise, in percent, of budgets from before it was a part of them
Limits = tuple[int, int, int]  # epsilon in billionths, delta in 10^-18, and that part
CONCLUSION_MAX, PARTY_MAX = 4_000, 2_000  # characters
PARTIES = ("researcher", "reader", "relative", "journalist", "insider", "thief")
JUSTIFIED = 5  # the rules from which on a large budget is approved with a justification alone
NANO, ATTO = 10**9, 10**18
ADVANTAGE = 0.9 + 1e-12  # of a test of who is in the data: beyond it a budget needs a justification
LARGEST = 100.0  # of epsilon, in an exponential
OPINIONS = ("favourable", "conditional", "unfavourable")
TERMS = ("title", "purpose", "legal_basis", "protocol", "starts", "ends")
FORMALITIES = "formalities"  # a part of terms, from the fourth rules on
# What formalities have: texts that must be there, of which some are chosen from a list, days, and what depends on kind.
TEXTS = ("controller", "processor", "recipients", "informed", "objections", "honoured", "incentives")
CHOSEN = {
    "kind": ("reference-methodology", "warehouse-declaration", "authorisation", "ehds-permit", "none"),
    "legal_basis": tuple(f"6(1)({letter})" for letter in "abcdef"),
    "condition": (*(f"9(2)({letter})" for letter in "abcdefghij"), "none"),
}
BY_KIND = ("number", "issued", "expires", "why_none")


@dataclass(frozen=True)
class Advice:
    """Advice that stands: the opinion, and the commitment of the DPO."""

    opinion: str
    by: str


@dataclass
class Study:
    """A study, as far as the log was read. `hands` are the commitments of all who opened or edited it."""

    dataset: str
    terms: Mapping[str, Any]
    budget: Limits
    hands: set[str]
    state: str = DRAFT
    members: set[str] = field(default_factory=set)
    joined: int = 0  # how often somebody became a member, and
    left: int = 0  # ceased to be one
    raise_by: str | None = None
    raise_to: Limits | None = None
    advice: Advice | None = None
    raise_advice: Advice | None = None
    renewed_at: str | None = None  # when somebody became a member under a renewed commitment

    def written(self, hand: str) -> None:
        """Keep who wrote a part of the draft. Advice on what stood there before is void."""
        self.hands.add(hand)
        self.advice = None

    def proposed(self, by: str | None, limits: Limits | None) -> None:
        """Keep which raise waits now, if one does."""
        self.raise_by, self.raise_to, self.raise_advice = by, limits, None


def advises(study: Study, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """Read advice on a draft."""
    if study.state != DRAFT:
        yield f"it advises on the study {entry['study']}, which is {study.state}, not {DRAFT}"
    if entry["actor"] in study.hands:
        yield f"a person who opened or edited the study {entry['study']} advised on it"
    if _text(facts["terms"]) != _text(study.terms):
        yield f"it advises on other terms than those last written for the study {entry['study']}"
    if limits(facts["budget"]) != study.budget:
        yield f"it advises on another budget than the study {entry['study']} has"
    yield from formed(facts)
    study.advice = Advice(facts["opinion"], entry["actor"])


def advises_on_raise(study: Study, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """Read advice on a larger budget."""
    if study.raise_to is None or limits(facts) != study.raise_to:
        yield f"it advises on a budget of the study {entry['study']} that does not wait for approval"
    if entry["actor"] == study.raise_by:
        yield f"the person who proposed the larger budget of the study {entry['study']} advised on it"
    yield from formed(facts)
    study.raise_advice = Advice(facts["opinion"], entry["actor"])


def terms_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms of a study that an entry has. Formalities are there if the study has any."""
    found = {name: facts[name] for name in TERMS}
    return {**found, FORMALITIES: facts[FORMALITIES]} if FORMALITIES in facts else found


def formal(entry: Mapping[str, Any], kind: str, name: str, found: object) -> Iterator[str]:
    """Yield what is wrong with the formalities of a study or a dataset that something was approved with."""
    if not isinstance(found, dict):
        yield f"it approves without the formalities of the {kind} {name}"
        return
    try:
        whole = set(found) == {*TEXTS, *CHOSEN, *BY_KIND, "ends"}
        whole = whole and all(_is_said(found[part]) for part in TEXTS)
        whole = whole and all(found[part] in chosen for part, chosen in CHOSEN.items())
        needed, left = (("why_none",), BY_KIND[:3]) if found["kind"] == "none" else (BY_KIND[:2], BY_KIND[3:])
        whole = whole and all(_is_said(found[part]) for part in needed)
        whole = whole and all(found[part] is None for part in left)
        days = [found[part] for part in ("expires", "ends") if part == "ends" or found[part] is not None]
        last = min(dt.date.fromisoformat(day) for day in days)
        first = dt.date.min if found["issued"] is None else dt.date.fromisoformat(found["issued"])
    except (KeyError, TypeError, ValueError):
        whole, first, last = False, dt.date.min, dt.date.max
    if not whole:
        yield f"it approves with formalities of the {kind} {name} that are not whole"
    day = dt.date.fromisoformat(entry["time"][:10])
    if day < first:
        yield f"it approves with formalities of the {kind} {name} that are dated {first}, after it"
    if last < day:
        yield f"it approves with formalities of the {kind} {name} that ended on {last}"


def formed(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with how advice is written."""
    if facts["opinion"] not in OPINIONS:
        yield f"its opinion, {facts['opinion']!r}, is none"
    if not _is_said(facts["reason"]):
        yield "it advises without a reason"


def approves(study: Study, entry: Mapping[str, Any], facts: Mapping[str, Any], rules: int) -> Iterator[str]:
    """Read the approval of a draft. `rules` are those in force: later ones ask for advice and a justification."""
    advised = rules > 1
    if rules >= JUSTIFIED:
        yield from justified(facts["budget"])
    if entry["actor"] in study.hands:
        yield f"a person who opened or edited the study {entry['study']} approved it"
    # Entries of earlier versions do not contain what was approved.
    if ("terms" in facts or advised) and _text(facts["terms"]) != _text(study.terms):
        yield f"it approves other terms than those last written for the study {entry['study']}"
    if ("budget" in facts or advised) and limits(facts["budget"]) != study.budget:
        yield f"it approves another budget than the study {entry['study']} has"
    if advised:
        yield from heard(study.advice, entry, facts)


def approves_raise(study: Study, entry: Mapping[str, Any], facts: Mapping[str, Any], rules: int) -> Iterator[str]:
    """Read the approval of a larger budget."""
    if rules >= JUSTIFIED:
        yield from justified(facts)
    if study.raise_by == entry["actor"]:
        yield f"the person who proposed the larger budget of the study {entry['study']} approved it"
    if rules > 1:
        yield from heard(study.raise_advice, entry, facts)


def heard(advice: Advice | None, entry: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with how an approval names the advice that stands."""
    told, without = facts["advice"], facts["without_advice"]
    if advice is None:
        if told is not None:
            yield "it names advice of the DPO that does not stand"
        elif not _is_said(without):
            yield "it approves without the DPO's advice, and does not say why"
        return
    if told != {"opinion": advice.opinion, "by": advice.by} or without is not None:
        yield "it does not name the DPO's advice that stands"
    if advice.by == entry["actor"]:
        yield "a person approved on their own advice"


def justified(budget: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong if a budget is approved that excludes little by itself, and nobody said why."""
    epsilon, delta, _ = limits(budget)
    factor = math.exp(min(epsilon / NANO, LARGEST))
    advantage = (factor - 1 + 2 * delta / ATTO) / (factor + 1)
    if advantage > ADVANTAGE and not _is_said(budget.get("justification")):
        yield f"it approves epsilon {epsilon / NANO:g} without a justification"


def concludes(study: Study, entry: Mapping[str, Any], facts: Mapping[str, Any], cap: Limits | None) -> Iterator[str]:
    """Read a conclusion of a study's report. What was spent and released by then is checked in `spending.py`."""
    about = facts["about"]
    if entry["actor"] in {*study.hands, study.raise_by}:
        yield f"a person who opened, edited or proposed a part of the study {entry['study']} concluded on its report"
    if entry["actor"] in {one.by for one in (study.advice, study.raise_advice) if one is not None}:
        yield "a person concluded on what they advised on"
    if not _is_said(facts["conclusion"]) or len(facts["conclusion"]) > CONCLUSION_MAX:
        yield f"its conclusion is no text of 1 to {CONCLUSION_MAX} characters"
    # Entries of earlier versions have no parties.
    for party, said in facts.get("parties", {}).items():
        if party not in PARTIES or not _is_said(said) or len(said) > PARTY_MAX:
            yield f"its conclusion for a party is no text of 1 to {PARTY_MAX} characters, or the party is unknown"
    told = {
        **about,
        "budget": limits(about["budget"]),
        "raise": None if about["raise"] is None else limits(about["raise"]),
        "cap": limits(about["cap"]),
    }
    stood = {
        "study": entry["study"],
        "state": study.state,
        "terms": study.terms,
        "budget": study.budget,
        "raise": study.raise_to,
        "cap": cap,
        "members": {"joined": study.joined, "left": study.left},
    }
    others = [part for part, value in stood.items() if _text(told[part]) != _text(value)]
    if others:
        yield f"it concludes on another state of the study {entry['study']} than it was in: {', '.join(others)}"
    if facts["digest"] != canonical_json.sha256(about):
        yield "its digest is not that of what it is about"


def within_days(study: Study, time: str, *, still: bool) -> Iterator[str]:
    """Yield what is wrong if a study asked at a time outside of its days. `still`: time stands still in the log."""
    starts, ends = study.terms["starts"], study.terms["ends"]
    if starts is not None and time[:10] < starts:
        yield f"it asks before the study's first day, {starts}"
    if ends is None or still or time[:10] <= ends:
        return
    # The server checked the day a moment before it wrote the entry.
    if (dt.datetime.fromisoformat(time) - dt.timedelta(minutes=1)).date().isoformat() > ends:
        yield f"it asks after the study's last day, {ends}"


def by_role(entry: Mapping[str, Any], *roles: str) -> Iterator[str]:
    """Yield what is wrong if the actor of an entry acts in another role."""
    if entry["role"] not in roles:
        yield f"only the role {' or '.join(roles)} may do this, and its actor acts as {entry['role']}"


def limits(facts: Mapping[str, Any]) -> Limits:
    """Return the limits that facts have."""
    return int(facts["epsilon_nano"]), int(facts["delta_atto"]), int(facts.get("laplace_percent", UNSPLIT))


def _is_said(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
