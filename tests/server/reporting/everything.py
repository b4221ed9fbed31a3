"""A study and a dataset with one of each kind of what a report tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.serving import ask, write_clinic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.serving import Client

STUDY, HIDDEN, WHY = "everything", 11, "to compare practices of different size"
PLAIN = '[tables.visits.columns.code]\ntype = "category"\n'
MARKED = f'{PLAIN}title = "Practice"\nprofessional = true\n'
URGENT = {"column": "urgent", "op": "=", "value": True}
COUNTED = {"n": {"count": "events"}}
WAYS = {
    "per_person": "visits",
    "values": {
        "first": {"min": "day"},
        "last": {"max": "day"},
        "wait": {"days_to": {"of": "visits", "where": URGENT}},
    },
}
COMPARED = {"column": "first", "op": "<", "value": {"column": "last"}}
CODED = {"column": "code", "op": "in", "value": {"list": "north"}}
TEMPLATE = {"name": "by_sex", "max_epsilon": 0.5, "query": {"from": "visits", "group_by": ["sex"], "select": COUNTED}}
PROTOCOL: dict[str, Any] = {
    "max_epsilon": 4,
    "hide_below": HIDDEN,
    "professionals": {"code": WHY},
    "code_lists": {"north": ["C1", "C2"]},
}
ASKED: dict[str, dict[str, Any]] = {
    "statistics": ask(
        {
            **COUNTED,
            "mean": {"mean": "cost"},
            "median": {"quantile": "age", "at": 0.5},
            "sexes": {"top": "sex", "k": 1},
        },
        2.0,
        "visits",
    ),
    "trend": ask({**COUNTED, "by_age": {"slope": ["cost", "age"]}}, 1.0, "visits"),
    "survival and rate": {
        "query": {
            "from": WAYS,
            "select": {
                "n": {"count": "persons"},
                "curve": {"survival": "wait", "bins": [0, 30, 365]},
                "rate": {"rate": "wait", "days": 365, "ends": "2021-12-31"},
            },
        },
        "privacy": {"epsilon": 1},
    },
    "compared values": {
        "query": {"from": WAYS, "where": COMPARED, "select": {"n": {"count": "persons"}}},
        "privacy": {"epsilon": 0.5},
    },
    "code list of professionals": ask(COUNTED, 0.5, "visits", where=CODED),
    "Gaussian noise": {**ask({"n": {"count": "persons"}}, table="visits"), "privacy": {"rho": 0.01}},
    "names past a threshold": {
        **ask({"n": {"count": "persons"}}, table="visits", group_by=["code"]),
        "privacy": {"epsilon": 1, "delta": 1e-9},
    },
}
REHEARSED = ask({**COUNTED, "spread": {"stddev": "age"}}, 1.0, "visits")
FOR_THIEF = "All answers together: the cap of the dataset is the bound."
CONCLUDED = "Not personal data for its readers."
ADVISED = {"opinion": "conditional", "reason": "only with hidden cells; two associations were heard"}


def write(folder: Path) -> Path:
    """Write the clinic with a column about professionals; return its manifest."""
    return write_clinic(folder, **{PLAIN: MARKED})


def live(client: Callable[[str], Client], open_study: Callable[..., str]) -> None:
    """Buy a profile, open the study with the DPO's advice, and ask each kind of question; then conclude."""
    admin, dora, vera, ada = map(client, ("admin", "dora", "vera", "ada"))
    admin.good("POST", "/datasets/clinic/profile", {"epsilon": 0.5})
    terms = {"title": "Everything", "purpose": "To ask one of each", "epsilon": 12.0, "delta": 1e-6}
    open_study(STUDY, "clinic", approve=False, protocol=PROTOCOL, **terms)
    dora.good("POST", f"/studies/{STUDY}/advise", ADVISED)
    vera.good("POST", f"/studies/{STUDY}/approve", {"reason": "with what the DPO asked for"})
    ada.good("POST", f"/studies/{STUDY}/rehearsals", REHEARSED)
    for body in ASKED.values():
        ada.good("POST", f"/studies/{STUDY}/queries", body)
    open_study("templates", "clinic", protocol={"templates": [TEMPLATE], "strict": True}, title="By sex")
    templated = ask(COUNTED, 0.5, "visits", group_by=["sex"])
    ada.good("POST", "/studies/templates/queries", templated)
    seen = dora.good("GET", f"/studies/{STUDY}/report")["digest"]
    conclusion = {"text": CONCLUDED, "seen": seen, "parties": {"thief": FOR_THIEF}}
    vera.good("POST", f"/studies/{STUDY}/report/conclusion", conclusion)
