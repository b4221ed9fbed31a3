"""What was spent of a dataset's cap over time, and by which study."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from flask import request
from markupsafe import Markup

from budgets.database import clock
from server.charts import budget, words
from server.charts.budget import Used
from server.pages.frame import calling
from server.pages.frame.language import chart_words
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, show

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE, PAGES_MAX = 1000, 50  # charges in one call, and calls; the API counts calls
LAST = 50  # charges that are listed


@page("/spending", "admin", "approver", "dpo")
def spending() -> Any:
    """Show how a dataset's cap was spent."""
    names = [one["name"] for one in calling.get("datasets")["items"]]
    chosen = request.args.get("dataset") or next(iter(names), None)
    if chosen is None:
        return show("dpo/spending.html", names=names, chosen=None)
    shares = calling.get("datasets", chosen, "shares")
    newest, has_more = _newest(chosen)
    account = _account(shares)
    amounts = [(one["at"], budget.amount(one, account.unit)) for one in newest[::-1]]
    before = max(Decimal(0), account.used - sum(amount for _at, amount in amounts)) if has_more else Decimal(0)
    drawn = budget.spending(amounts, account, clock.now(), "spending", chart_words(), before=before)
    return show(
        "dpo/spending.html",
        names=names,
        chosen=chosen,
        shares=shares,
        charges=newest[:LAST],
        count=len(newest),
        has_more=has_more,
        unit=words.unit(chart_words(), account.unit),
        picture=Markup(drawn.svg),  # noqa: S704  # its texts are escaped
        about=drawn.description,
    )


def _newest(dataset: str) -> tuple[list[dict[str, Any]], bool]:
    """Return the newest charges, the last one first, and whether there are older ones."""
    found: list[dict[str, Any]] = []
    cursor = None
    for _number in range(PAGES_MAX):
        page_of = calling.get("datasets", dataset, "charges", order="newest", limit=PAGE, cursor=cursor)
        found += page_of["items"]
        cursor = page_of["next"]
        if cursor is None:
            break
    return found, cursor is not None


def _account(shares: Mapping[str, Any]) -> Used:
    """Return what the dataset used of its cap, by the sum that decides."""
    gauge = shares["budget"]["gauge"]
    name = _("dataset %(name)s", name=shares["dataset"])
    return Used(name, gauge["of"], Decimal(str(gauge["used"])), Decimal(str(gauge["limit"])))
