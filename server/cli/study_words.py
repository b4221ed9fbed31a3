"""A study in words, from its JSON: the same words whether it comes from a home or over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from budgets.loss import ATTO, NANO, Loss, epsilon_text
from server.cli import formalities
from server.cli.speaking import day, number, phrase, say, spoken, word
from server.reporting import asking, conclusion, guarantee

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

APPROVED = ("approved", "suspended")  # whoever approved it may have an erased name


def summary(said: Mapping[str, Any], buys: str) -> str:
    """Return a study in words. `buys` is what its remaining budget buys."""
    budget = said["budget"]
    lines = [
        say(
            "Study %(study)s (%(state)s) on %(dataset)s: %(title)s",
            study=said["id"],
            state=word(said["state"]),
            dataset=said["dataset"],
            title=said["title"],
        ),
        say(
            "  budget: %(budget)s, left: %(left)s; %(buys)s",
            budget=amounts(budget) + divided(budget),
            left=_left(budget),
            buys=phrase(buys),
        ),
        *justified(budget),
        say("  members: %(members)s", members=", ".join(said["members"]))
        if said["members"]
        else say("  members: none"),
        f"  {profile_text(said['profile'])}",
        _hands(said["opened_by"] or erased(), said["edited_by"]),
    ]
    lines += advice_lines(say("advice"), said["advice"])
    if said["approved_by"] or said["state"] in APPROVED:
        lines.append(say("  approved by %(who)s", who=said["approved_by"] or erased()))
    if said["raise"]:
        proposer, wanted = said["raise_by"] or erased(), said["raise"]
        what = f"epsilon {_epsilon(wanted['epsilon'])}{divided(wanted)}"
        lines.append(say("  a raise to %(what)s, proposed by %(who)s, waits for an approver", what=what, who=proposer))
        lines += justified(wanted)
        lines += advice_lines(say("advice on the raise"), said["raise_advice"])
    lines += conclusion_lines(said["conclusion"])
    return "\n".join(lines)


def in_full(said: Mapping[str, Any], buys: str) -> str:
    """Return a study with everything that an approver reads before they approve it (docs/dpo.md has an example)."""
    head, *rest = summary(said, buys).split("\n")
    allowed = asking.limits_of_use(said["protocol"], spoken()) or [say("all that the catalog has")]
    lines = [
        head,
        say("  purpose: %(purpose)s", purpose=_indented(said["purpose"])),
        say("  legal basis: %(basis)s", basis=_indented(said["legal_basis"])),
        _days(said["starts"], said["ends"]),
        *formalities.lines(said["formalities"], said["lack"] if said["state"] == "draft" or said["raise"] else None),
        *(say("  may ask: %(what)s", what=_indented(part)) for part in allowed),
        f"  {meaning(said['budget'])}",
        *([say("  The raise: %(meaning)s", meaning=meaning(said["raise"]))] if said["raise"] else []),
        *_lists(said["protocol"]),
    ]
    return "\n".join([*lines, *rest, *_digests(said)])


def _lists(protocol: Mapping[str, Any]) -> Iterator[str]:
    """Yield the templates and the code lists of a protocol."""
    for each in protocol.get("templates", ()):
        yield say("  template %(name)s: %(query)s", name=each["name"], query=json.dumps(each["query"]))
    for name, codes in protocol.get("code_lists", {}).items():
        yield say("  code list %(name)s: %(codes)s", name=name, codes=", ".join(codes))


def _hands(opener: str, editors: Sequence[str]) -> str:
    """Return who opened and who edited a study."""
    if not editors:
        return say("  opened by %(opener)s; edited by nobody", opener=opener)
    return say("  opened by %(opener)s; edited by %(editors)s", opener=opener, editors=", ".join(editors))


def _days(starts: str | None, ends: str | None) -> str:
    """Return from when to when a study may ask."""
    first = say("its approval") if starts is None else day(starts)
    last = say("its closing") if ends is None else day(ends)
    return say("  days: from %(first)s to %(last)s", first=first, last=last)


def erased() -> str:
    """Return what stands for a name that was erased."""
    return say("(a name that was erased)")


def meaning(limit: Mapping[str, Any]) -> str:
    """Return what a limit means for one person."""
    return phrase(guarantee.meaning(round(limit["epsilon"] * NANO), round(limit["delta"] * ATTO)))


def with_meaning(said: Mapping[str, Any], words: str) -> tuple[Mapping[str, Any], str]:
    """Return what a command that sets a study's budget returns: the words have what the budget means."""
    told = f"  {meaning(said['budget'])}"
    if said["raise"]:
        told = f"  {meaning(said['raise'])}"
    return said, f"{words}\n{told}"


def _digests(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield how to decide on what is shown and on nothing else."""
    if said["state"] == "draft":
        yield say("  to decide on exactly this: --seen %(digest)s", digest=said["digest"])
    if said["raise"]:
        yield say("  to decide on exactly this raise: --seen %(digest)s", digest=said["raise_digest"])


def advice_lines(what: str, given: Mapping[str, Any] | None) -> list[str]:
    """Return what stands of the DPO's advice, if there is any."""
    if given is None:
        return []
    return [
        say(
            "  %(what)s: %(opinion)s, by %(who)s: %(reason)s",
            what=what,
            opinion=word(given["opinion"]),
            who=given["by"] or erased(),
            reason=_indented(given["reason"]),
        )
    ]


def conclusion_lines(given: Mapping[str, Any] | None) -> list[str]:
    """Return what an approver concluded from the report, if one did, and whether the study has changed since."""
    if given is None:
        return []
    lines = [
        say("  conclusion of the report: %(text)s", text=_indented(given["text"])),
        f"    {conclusion.signed(given, spoken())}",
    ]
    changed = conclusion.since(given, spoken())
    return lines if changed is None else [*lines, f"    {changed}"]


def _indented(text: str) -> str:
    return "\n    ".join(text.splitlines())


def profile_text(profile: Mapping[str, Any] | None) -> str:
    """Return what the profile of the study's dataset cost."""
    if profile is None:
        return say("the dataset has no contribution profile: what bounds cut off is unknown")
    facts = {"edition": profile["edition"], "cost": number(f"{profile['cost']['epsilon']:g}")}
    return say("the dataset's contribution profile (edition %(edition)s) cost epsilon %(cost)s; it is public", **facts)


def budget_words(said: Mapping[str, Any]) -> str:
    """Return a study's budget in words, with what the rest of it buys."""
    lines = [
        say("limit:     %(loss)s", loss=phrase(_loss(said).alternatives)),
        say("spent:     %(loss)s", loss=phrase(_loss(said["spent"]).text) + _by_noise(said["spent"])),
        say("remaining: %(left)s", left=_left(said)),
        say("That buys %(buys)s.", buys=phrase(said["buys"])),
        "",
        say("epsilon of each   queries   (by the sum of epsilon, of rho, beside Gaussian noise)"),
    ]
    for fit in said["forecast"]:
        each = _epsilon(fit["epsilon"])
        ways = say(", ").join(number(f"{fit[way]:,}") for way in ("by_epsilon", "by_rho", "by_split"))
        queries = number(f"{fit['queries']:,}")
        lines.append(f"{each:<15} {queries:>9}   ({ways})")
    return "\n".join(lines)


def _loss(said: Mapping[str, Any]) -> Loss:
    epsilon = None if said["epsilon"] is None else round(said["epsilon"] * NANO)
    return Loss(epsilon, round(said["rho"] * NANO), round(said["delta"] * ATTO))


def amounts(limit: Mapping[str, Any]) -> str:
    """Return a limit in words."""
    words = f"epsilon {_epsilon(limit['epsilon'])}"
    if limit["delta"]:
        delta = number(Loss(None, 0, round(limit["delta"] * ATTO)).delta_text)
        return say("%(size)s and delta %(delta)s", size=words, delta=delta)
    return words


def _left(budget: Mapping[str, Any]) -> str:
    """Return what is left by kind of noise. One of the two is enough."""
    left = budget["remaining"]
    facts = {"epsilon": _epsilon(left["epsilon"]), "rho": _epsilon(left["rho"])}
    return say("epsilon %(epsilon)s (Laplace noise) or rho %(rho)s (Gaussian noise)", **facts)


def _by_noise(spent: Mapping[str, Any]) -> str:
    """Return the parts of a sum, if there is Gaussian noise in it: then the whole has no epsilon."""
    if not spent["gaussian_rho"]:
        return ""
    laplace, gaussian = _epsilon(spent["laplace_epsilon"]), _epsilon(spent["gaussian_rho"])
    return say(
        " in all: epsilon %(laplace)s of Laplace noise and rho %(gaussian)s of Gaussian noise",
        laplace=laplace,
        gaussian=gaussian,
    )


def divided(limit: Mapping[str, Any]) -> str:
    """Return how epsilon is divided, if it is."""
    percent = limit["laplace_percent"]
    if not 0 < percent < 100:
        return ""
    return say(" (%(percent)s of epsilon for Laplace noise beside Gaussian noise)", percent=number(f"{percent}%"))


def justified(limit: Mapping[str, Any]) -> list[str]:
    """Return why a limit is so large, if somebody said it."""
    if limit["justification"] is None:
        return []
    return [say("  justified by: %(why)s", why=_indented(limit["justification"]))]


def _epsilon(amount: float) -> str:
    return number(epsilon_text(round(amount * NANO)))
