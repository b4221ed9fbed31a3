"""A study in words, from its JSON: the same words whether it comes from a home or over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from budgets.loss import ATTO, NANO, Loss, epsilon_text
from server.cli import formalities
from server.languages.language import ENGLISH, language
from server.reporting import asking, conclusion, guarantee

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APPROVED = ("approved", "suspended")  # whoever approved it may have an erased name
ERASED = "(a name that was erased)"


def summary(said: Mapping[str, Any], buys: str) -> str:
    """Return a study in words. `buys` is what its remaining budget buys."""
    budget = said["budget"]
    lines = [
        f"Study {said['id']} ({said['state']}) on {said['dataset']}: {said['title']}",
        f"  budget: {amounts(budget)}{divided(budget)}, left: {_left(budget)}; {buys}",
        *justified(budget),
        f"  members: {', '.join(said['members']) or 'none'}",
        f"  {profile_text(said['profile'])}",
        f"  opened by {said['opened_by'] or ERASED}; edited by {', '.join(said['edited_by']) or 'nobody'}",
    ]
    lines += advice_lines("advice", said["advice"])
    if said["approved_by"] or said["state"] in APPROVED:
        lines.append(f"  approved by {said['approved_by'] or ERASED}")
    if said["raise"]:
        proposer, wanted = said["raise_by"] or ERASED, said["raise"]
        what = f"epsilon {_epsilon(wanted['epsilon'])}{divided(wanted)}"
        lines.append(f"  a raise to {what}, proposed by {proposer}, waits for an approver")
        lines += justified(wanted)
        lines += advice_lines("advice on the raise", said["raise_advice"])
    lines += conclusion_lines(said["conclusion"])
    return "\n".join(lines)


def in_full(said: Mapping[str, Any], buys: str) -> str:
    """Return a study with everything that an approver reads before they approve it (docs/dpo.md has an example)."""
    head, *rest = summary(said, buys).split("\n")
    allowed = asking.limits_of_use(said["protocol"], language(ENGLISH)) or ["all that the catalog has"]
    lines = [
        head,
        f"  purpose: {_indented(said['purpose'])}",
        f"  legal basis: {_indented(said['legal_basis'])}",
        f"  days: from {said['starts'] or 'its approval'} to {said['ends'] or 'its closing'}",
        *formalities.lines(said["formalities"], said["lack"] if said["state"] == "draft" or said["raise"] else None),
        *(f"  may ask: {_indented(part)}" for part in allowed),
        f"  {meaning(said['budget'])}",
        *([f"  The raise: {meaning(said['raise'])}"] if said["raise"] else []),
        *(f"  template {each['name']}: {json.dumps(each['query'])}" for each in said["protocol"].get("templates", ())),
        *(f"  code list {name}: {', '.join(codes)}" for name, codes in said["protocol"].get("code_lists", {}).items()),
    ]
    return "\n".join([*lines, *rest, *_digests(said)])


def meaning(limit: Mapping[str, Any]) -> str:
    """Return what a limit means for one person."""
    return guarantee.meaning(round(limit["epsilon"] * NANO), round(limit["delta"] * ATTO))


def with_meaning(said: Mapping[str, Any], words: str) -> tuple[Mapping[str, Any], str]:
    """Return what a command that sets a study's budget returns: the words have what the budget means."""
    told = f"  {meaning(said['budget'])}"
    if said["raise"]:
        told = f"  {meaning(said['raise'])}"
    return said, f"{words}\n{told}"


def _digests(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield how to decide on what is shown and on nothing else."""
    if said["state"] == "draft":
        yield f"  to decide on exactly this: --seen {said['digest']}"
    if said["raise"]:
        yield f"  to decide on exactly this raise: --seen {said['raise_digest']}"


def advice_lines(what: str, given: Mapping[str, Any] | None) -> list[str]:
    """Return what stands of the DPO's advice, if there is any."""
    if given is None:
        return []
    return [f"  {what}: {given['opinion']}, by {given['by'] or ERASED}: {_indented(given['reason'])}"]


def conclusion_lines(given: Mapping[str, Any] | None) -> list[str]:
    """Return what an approver concluded from the report, if one did, and whether the study has changed since."""
    if given is None:
        return []
    english = language(ENGLISH)
    lines = [
        f"  conclusion of the report: {_indented(given['text'])}",
        f"    {conclusion.signed(given, english)}",
    ]
    changed = conclusion.since(given, english)
    return lines if changed is None else [*lines, f"    {changed}"]


def _indented(text: str) -> str:
    return "\n    ".join(text.splitlines())


def profile_text(profile: Mapping[str, Any] | None) -> str:
    """Return what the profile of the study's dataset cost."""
    if profile is None:
        return "the dataset has no contribution profile: what bounds cut off is unknown"
    cost = f"{profile['cost']['epsilon']:g}"
    return f"the dataset's contribution profile (edition {profile['edition']}) cost epsilon {cost}; it is public"


def budget_words(said: Mapping[str, Any]) -> str:
    """Return a study's budget in words, with what the rest of it buys."""
    lines = [
        f"limit:     {_loss(said).alternatives}",
        f"spent:     {_loss(said['spent']).text}{_by_noise(said['spent'])}",
        f"remaining: {_left(said)}",
        f"That buys {said['buys']}.",
        "",
        "epsilon of each   queries   (by the sum of epsilon, of rho, beside Gaussian noise)",
    ]
    for fit in said["forecast"]:
        each = _epsilon(fit["epsilon"])
        lines.append(
            f"{each:<15} {fit['queries']:>9,}   ({fit['by_epsilon']:,}, {fit['by_rho']:,}, {fit['by_split']:,})"
        )
    return "\n".join(lines)


def _loss(said: Mapping[str, Any]) -> Loss:
    epsilon = None if said["epsilon"] is None else round(said["epsilon"] * NANO)
    return Loss(epsilon, round(said["rho"] * NANO), round(said["delta"] * ATTO))


def amounts(limit: Mapping[str, Any]) -> str:
    """Return a limit in words."""
    words = f"epsilon {_epsilon(limit['epsilon'])}"
    if limit["delta"]:
        words += f" and delta {Loss(None, 0, round(limit['delta'] * ATTO)).delta_text}"
    return words


def _left(budget: Mapping[str, Any]) -> str:
    """Return what is left by kind of noise. One of the two is enough."""
    left = budget["remaining"]
    return f"epsilon {_epsilon(left['epsilon'])} (Laplace noise) or rho {_epsilon(left['rho'])} (Gaussian noise)"


def _by_noise(spent: Mapping[str, Any]) -> str:
    """Return the parts of a sum, if there is Gaussian noise in it: then the whole has no epsilon."""
    if not spent["gaussian_rho"]:
        return ""
    laplace, gaussian = _epsilon(spent["laplace_epsilon"]), _epsilon(spent["gaussian_rho"])
    return f" in all: epsilon {laplace} of Laplace noise and rho {gaussian} of Gaussian noise"


def divided(limit: Mapping[str, Any]) -> str:
    """Return how epsilon is divided, if it is."""
    percent = limit["laplace_percent"]
    return f" ({percent}% of epsilon for Laplace noise beside Gaussian noise)" if 0 < percent < 100 else ""


def justified(limit: Mapping[str, Any]) -> list[str]:
    """Return why a limit is so large, if somebody said it."""
    return [] if limit["justification"] is None else [f"  justified by: {_indented(limit['justification'])}"]


def _epsilon(number: float) -> str:
    return epsilon_text(round(number * NANO))
