"""What the privacy words mean, for people who meet them here for the first time."""

from __future__ import annotations

from server.pages.frame.language import share
from server.pages.frame.language import translated as _


def glossary() -> dict[str, tuple[str, str]]:
    """Return for each word by its anchor: the word, and what it means."""
    return {**_of_privacy(), **_of_data()}


def _of_privacy() -> dict[str, tuple[str, str]]:
    return {
        "noise": (
            _("Noise"),
            _(
                "A random number that is added to each number of an answer. It hides whether any one person is in the data."
            ),
        ),
        "margin": (
            _("Margin"),
            _(
                "How far the noise moves a number, at most, 95 times of 100. With 120 ± 10 the number without noise lies "
                "from 110 to 130, 95 times of 100."
            ),
        ),
        "epsilon": (
            _("Epsilon (ε)"),
            _(
                "How much an answer can reveal about one person. If somebody is %(before)s sure that a person is in the data, "
                "then after answers of ε 1 together they can be %(after)s sure at most. A smaller ε reveals less and has "
                "larger margins.",
                before=share(0.1),
                after=share(0.232),
            ),
        ),
        "delta": (
            _("Delta (δ)"),
            _("The probability with which more than ε could be revealed. It is less than one in a million."),
        ),
        "rho": (
            _("Rho (ρ)"),
            _("Another measure of the same. A study whose questions are all priced in ρ gets more out of its budget."),
        ),
        "budget": (
            _("Budget"),
            _(
                "What all answers of a study together may reveal, at most. Each answer spends a part of it. Asking the same "
                "question again is free, because the answer is the same."
            ),
        ),
    }


def _of_data() -> dict[str, tuple[str, str]]:
    return {
        "group": (_("Group"), _("One row of an answer, for example the women, or the women from 18 to 40.")),
        "event": (_("Event"), _("One row of the data, for example a consultation. A person may have many.")),
        "contribution": (
            _("How much of a person counts"),
            _(
                "One person may have many events. Each person counts in a few groups and with a few events only, so that the "
                "noise can hide them. What is beyond that is cut off, and a note says how much that is."
            ),
        ),
        "profile": (
            _("Contribution profile"),
            _(
                "How many events persons have, with noise. The custodian bought it, so that good limits can be chosen for you."
            ),
        ),
        "rehearsal": (
            _("Rehearsal"),
            _("An answer on made-up data. It is free, and has the shape of the real one and none of its numbers."),
        ),
        "edition": (
            _("Edition"),
            _("The data as they were imported at one time. The budget is the same for all editions."),
        ),
        "drown": (
            _("To drown"),
            _("A number drowns in its noise if it is smaller than its margin: it then says nothing about the group."),
        ),
    }
