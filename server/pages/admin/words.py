"""The words of the admin's pages for what the API names by codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.pages.frame.language import number
from server.pages.frame.language import translated as _
from server.pages.frame.words import role_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask import Flask

ROLES, PRIVILEGED = ("researcher", "admin", "approver", "dpo"), ("approver", "dpo")


def register(app: Flask) -> None:
    """Give templates the functions of this module."""
    for function in FUNCTIONS:
        app.add_template_global(function)


def roles(two_persons: bool = False) -> list[tuple[str, str]]:
    """Return the roles with their words: all, or those that take two persons."""
    return [(one, role_name(one)) for one in (PRIVILEGED if two_persons else ROLES)]


def acts() -> list[tuple[str, str]]:
    """Return what can be proposed, with its words."""
    return [("add", _("Add a user")), ("remove", _("Remove a user")), ("token", _("Make a token"))]


def dataset_state_name(state: str) -> str:
    """Return the state of a dataset in words."""
    return {
        "ready": _("ready"),
        "waiting": _("waits for an approver"),
        "unavailable": _("cannot be used"),
    }.get(state, state)


def check_name(name: str) -> str:
    """Return what the server needs, in words."""
    return {
        "ledger": _("The ledger can be written"),
        "signing key": _("The key of the log can sign"),
        "stores": _("The store of every dataset is there"),
    }.get(name, name)


def check_names(failed: Sequence[Mapping[str, Any]]) -> str:
    """Return what cannot be used, in words."""
    short = {"ledger": _("the ledger"), "signing key": _("the key of the log"), "stores": _("a dataset's store")}
    return ", ".join(short.get(one["name"], one["name"]) for one in failed)


def cap_words(shares: Mapping[str, Any]) -> str:
    """Return in a sentence how a cap is shared."""
    cap, promised = shares["budget"]["epsilon"], shares["promised"]
    words = _(
        "Of the cap of ε %(cap)s, ε %(promised)s is promised or spent; ε %(free)s is free.",
        cap=number(cap),
        promised=number(promised),
        free=number(shares["free"]),
    )
    spent = shares["budget"]["spent"]
    if spent["epsilon"] is not None:
        return " ".join([words, _("Spent: ε %(spent)s.", spent=number(spent["epsilon"]))])
    told = _(
        "Spent: ε %(laplace)s of Laplace noise and %(rho)s %(gaussian)s of Gaussian noise.",
        laplace=number(spent["laplace_epsilon"]),
        gaussian=number(spent["gaussian_rho"]),
        rho="\N{GREEK SMALL LETTER RHO}",
    )
    return " ".join([words, told])


FUNCTIONS: tuple[Callable[..., object], ...] = (
    roles,
    acts,
    dataset_state_name,
    check_name,
    check_names,
    cap_words,
)
