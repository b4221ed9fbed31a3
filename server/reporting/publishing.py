"""The version of a report to publish: without names, without where the server is hosted, and without the log.

What is left is what was released, the bounds, the criteria, the formalities and the conclusion. Whoever publishes it
reads it before: purposes and conclusions are as people wrote them.
"""

from __future__ import annotations

from typing import Any

FULL, PUBLIC = "full", "public"
VERSIONS = (FULL, PUBLIC)
HOSTING = "processor"  # of the formalities
NAMED = ("opened_by", "approved_by", "raise_by", "advice", "raise_advice")
LEFT_OUT = ""  # in place of a name: not None, which stands for a name that was erased


def without_persons(document: dict[str, Any]) -> dict[str, Any]:
    """Return the version of a report to publish."""
    study = document["study"]
    return {
        **document,
        "version": PUBLIC,
        "study": None if study is None else _study(study),
        "studies": [_of_several(one) for one in document["studies"]],
        "dataset": {**document["dataset"], "formalities": _unhosted(document["dataset"]["formalities"])},
        "history": [_act(act) for act in document["history"] if act["approval"]],
        "regulation": [],
        "log": None,
    }


def _study(study: dict[str, Any]) -> dict[str, Any]:
    return {
        **study,
        **dict.fromkeys(NAMED),
        "edited_by": [],
        "members": [],
        "formalities": _unhosted(study["formalities"]),
        "conclusion": _conclusion(study["conclusion"]),
    }


def _of_several(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "members": [], "recipients": [], "conclusion": _conclusion(one["conclusion"])}


def _conclusion(given: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if given is None else {**given, "by": LEFT_OUT}


def _unhosted(given: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if given is None else {**given, HOSTING: ""}


def _act(act: dict[str, Any]) -> dict[str, Any]:
    return {**act, "name": LEFT_OUT, "member": None, "reason": None}
