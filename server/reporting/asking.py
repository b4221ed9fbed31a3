"""What studies may ask, and how answers are shown, in a language: what protocols allow, hide and give reasons for.

Hidden cells and marked columns are easily taken for protection. A report says what they are: hiding is done to numbers
that have noise already, and the bounds are for the persons of a dataset, not for the professionals in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.languages.language import Language


def about_professionals(document: Mapping[str, Any]) -> list[str]:
    """Return the columns of a report's dataset that tell of professionals, by name."""
    return sorted({name for table in document["dataset"]["tables"] for name in table.get("professionals", ())})


def told(document: Mapping[str, Any], language: Language) -> list[str]:
    """Return what a report says of how its studies ask and show answers, a paragraph each."""
    study = document["study"]
    found = []
    if study is not None:
        limits = language.joined(limits_of_use(study["protocol"], language))
        found.append(
            language.say("What the study may ask: %(limits)s.", limits=limits)
            if limits
            else language.say("The study's protocol allows everything in the catalog.")
        )
    return [*found, *_hidden(document, language), *_of_professionals(document, language)]


def _hidden(document: Mapping[str, Any], language: Language) -> list[str]:
    hiding = [one for one in document["studies"] if one["hide_below"] is not None]
    if not hiding:
        return []
    studies = [
        language.say("%(study)s: below %(count)s", study=one["id"], count=_exact(one["hide_below"], language))
        for one in hiding
    ]
    return [
        language.say(
            "Small cells are hidden when answers are shown (%(studies)s). This is done to numbers that already have "
            "noise. It makes nothing more private: the losses are the same with it and without, and no bound of this "
            "report rests on it.",
            studies=language.joined(studies),
        )
    ]


def _of_professionals(document: Mapping[str, Any], language: Language) -> list[str]:
    named = about_professionals(document)
    if not named:
        return []
    used = [
        language.say("%(study)s, column %(name)s: %(why)s", study=one["id"], name=name, why=why)
        for one in document["studies"]
        for name, why in one["professionals"].items()
    ]
    reasons = language.joined(used)
    return [
        language.say(
            "Columns about professionals: %(columns)s. The bounds of this report are for one person of the dataset. "
            "What the data say of a professional through several persons is not bounded as a fact about one person.",
            columns=", ".join(named),
        ),
        language.say("These studies give a reason to use them: %(reasons)s.", reasons=reasons)
        if reasons
        else language.say("No study of this report may use them."),
    ]


def limits_of_use(protocol: dict[str, Any], language: Language) -> list[str]:
    """Return what a protocol allows, in one phrase for each of its parts."""
    said = {
        "tables": language.say("tables"),
        "columns": language.say("columns"),
        "statistics": language.say("statistics"),
    }
    found = [
        _told(words, ", ".join(protocol[name]) or language.say("none"), language)
        for name, words in said.items()
        if name in protocol
    ]
    if "max_epsilon" in protocol:
        found.append(
            language.say("at most epsilon %(epsilon)s for one query", epsilon=_exact(protocol["max_epsilon"], language))
        )
    if "min_margin" in protocol:
        margin = _exact(float(protocol["min_margin"]), language)
        found.append(language.say("no count with a margin (at 95%%) below %(margin)s", margin=margin))
    found += [
        language.say("column %(name)s, which is about professionals: %(why)s", name=name, why=why)
        for name, why in protocol.get("professionals", {}).items()
    ]
    if "hide_below" in protocol:
        found.append(
            language.say("numbers of cells below %(count)s are hidden", count=_exact(protocol["hide_below"], language))
        )
    if protocol.get("noise", "both") != "both":
        kinds = {"laplace": language.say("Laplace noise alone"), "gaussian": language.say("Gaussian noise alone")}
        found.append(kinds[protocol["noise"]])
    found += [
        language.count("code list %(name)s (%(num)s code)", "code list %(name)s (%(num)s codes)", len(codes), name=name)
        for name, codes in protocol.get("code_lists", {}).items()
    ]
    if "templates" in protocol:
        named = ", ".join(_template(one, language) for one in protocol["templates"]) or language.say("none")
        strict = protocol.get("strict", False)
        words = language.say("only these templates") if strict else language.say("templates, as suggestions")
        found.append(_told(words, named, language))
    return found


def _template(one: dict[str, Any], language: Language) -> str:
    if "max_epsilon" not in one:
        return str(one["name"])
    epsilon = _exact(one["max_epsilon"], language)
    return language.say("%(name)s (at most epsilon %(epsilon)s)", name=one["name"], epsilon=epsilon)


def _told(label: str, what: str, language: Language) -> str:
    return language.say("%(label)s: %(what)s", label=label, what=what)


def _exact(number: float, language: Language) -> str:
    return language.number(f"{number:.15g}")
