"""`rowless study show` prints all that docs/dpo.md says a DPO reads there, and as the page shows it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from server.cli.main import main
from server.demo.setup import MANIFEST
from tests.serving import ROOT, Home, application, make_home

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Place

QUERY = {
    "from": "years",
    "where": {"column": "year", "op": "=", "value": {"parameter": "year", "type": "number", "values": [1, 2, 3]}},
    "group_by": ["coinsurance"],
    "select": {"patients": {"count": "persons"}},
}
FLU: dict[str, Any] = {
    "title": "Flu and the cost of care",
    "purpose": "To learn whether people who pay a larger share see a doctor less often in a year of flu.",
    "legal_basis": "Article 6(1)(e) and 9(2)(j) GDPR",
    "starts": "2026-11-01",
    "ends": "2027-10-31",
    "epsilon": 1.0,
    "justification": None,
    "formalities": {
        "kind": "reference-methodology",
        "number": "MR-004, 2230002",
        "issued": "2026-09-01",
        "legal_basis": "6(1)(e)",
        "condition": "9(2)(j)",
        "controller": "The observatory of Example",
        "processor": "Host of Example, certified for health data",
        "recipients": "The members of the study, and the readers of what they publish",
        "ends": "2028-10-31",
        "informed": "From 1 September 2026 on, on the observatory's page about studies",
        "objections": "By a form on that page",
        "honoured": "Edition 1 leaves out who objected by 15 October 2026",
        "incentives": "none",
    },
    "protocol": {
        "tables": ["years"],
        "statistics": ["count", "mean"],
        "max_epsilon": 0.5,
        "min_margin": 5,
        "strict": True,
        "templates": [{"name": "visits_by_plan", "max_epsilon": 0.25, "query": QUERY}],
    },
}


def shown(home: Home, *arguments: str) -> str:
    """Return what `rowless study show` prints."""
    return printed(home, "study", "show", *arguments)


def printed(home: Home, *arguments: str) -> str:
    """Return what a command prints."""
    ended = CliRunner().invoke(main, list(arguments), env=home.environment())
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_the_page_shows_what_the_command_prints(home: Home) -> None:
    """The example in docs/dpo.md is what the command prints of that study, to the letter."""
    with application(home) as place:
        place.open_study("flu", approve=False, **FLU)
    page = (ROOT / "docs" / "dpo.md").read_text(encoding="utf-8")
    example = re.findall(r"^```text\n(Study flu.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert example == [shown(home, "flu")]


def test_the_approvers_page_shows_what_waits_of_a_dataset(tmp_path: Path) -> None:
    """The example in docs/approver.md is what `dataset show` prints of the demonstration's data, to the letter."""
    home = make_home(tmp_path / "home")
    printed(home, "import", str(MANIFEST))
    reason = "the cap is what the persons were told"
    printed(home, "dataset", "advise", "rand-hie", "--opinion", "favourable", "--reason", reason)
    page = (ROOT / "docs" / "approver.md").read_text(encoding="utf-8")
    example = re.findall(r"^```text\n(Dataset.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert example == [printed(home, "dataset", "show", "rand-hie")]


def test_the_approvers_page_shows_what_the_commands_print(home: Home) -> None:
    """The examples in docs/approver.md are what `study approve` and `user confirm` print, but for what is random."""
    with application(home) as place:
        place.open_study("flu", approve=False, **FLU)
        reason = "only with a margin of 5; two patients' associations were heard"
        place.client("dora").good("POST", "/studies/flu/advise", {"opinion": "conditional", "reason": reason})
        wanted = place.client("admin").good("POST", "/proposals", {"act": "add", "user": "olga", "role": "dpo"})["id"]
    page = (ROOT / "docs" / "approver.md").read_text(encoding="utf-8")
    _, approved, confirmed = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert approved == printed(home, "study", "approve", "flu", "--reason", "the committee agreed")
    known = printed(home, "user", "confirm", wanted, "--as", "vera")
    assert [RANDOM.sub("", part) for part in (confirmed, known)] == [RANDOM.sub("", known)] * 2


RANDOM = re.compile(r"[0-9a-f]{16}|[0-9]{4}-[0-9]{2}-[0-9]{2}|: [A-Za-z0-9_-]{21}$", re.MULTILINE)


def test_all_of_a_study_is_shown(home: Home) -> None:
    """Purpose, legal basis, days, budget, members, who had a hand in it, and every part of the protocol are there."""
    with application(home) as place:
        place.open_study("flu", approve=False, **FLU)
    text = shown(home, "flu")
    for told in (FLU["title"], FLU["purpose"], FLU["legal_basis"], FLU["starts"], FLU["ends"], "draft", "rand-hie"):
        assert told in text
    for told in ("epsilon 1 and delta 1e-6", "ada", "opened by admin", "tables: years", "statistics: count, mean"):
        assert told in text
    for told in ("epsilon 0.5 for one query", "below 5", "only these templates", "(at most epsilon 0.25)"):
        assert told in text
    (template,) = re.findall(r"^  template visits_by_plan: (.*)$", text, re.MULTILINE)
    assert json.loads(template) == QUERY


def test_a_study_without_limits_says_so(place: Place) -> None:
    """What is not given is told as what it means; lines of a purpose stay within it; erased and JSON are as ever."""
    place.open_study("free", approve=False, purpose="one\n  members: eve\nthree")
    text = shown(place.home, "free")
    assert "may ask: all that the catalog has" in text
    assert "days: from its approval to its closing" in text
    assert "purpose: one\n      members: eve\n    three\n" in text
    assert json.loads(shown(place.home, "free", "--json")) == place.client("admin").good("GET", "/studies/free")
