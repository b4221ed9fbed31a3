"""The cap of the demonstration's observatory with its justification, and formalities, which are made up and say so."""

from __future__ import annotations

from dataclasses import replace

from budgets import formalities
from budgets.formalities import Formalities

# Parts of the manifest of the observatory.
CAP = """\
epsilon = 3.0
justification = "Nobody in these data exists; of real persons, 3 lets a belief of 1 in 10 become almost 7 in 10"
delta = 1e-6"""
MANIFEST = """\
[dataset.formalities]     # of the demonstration, made up
kind = "warehouse-declaration"
number = "DEMO 2026-001 (made up for the demonstration)"
issued = 2026-01-05
legal_basis = "6(1)(e)"
condition = "9(2)(i)"
controller = "A made-up observatory of general practice"
processor = "A made-up host of health data"
recipients = "The members of the approved studies, who receive statistics with noise"
ends = 2099-12-31
informed = "From 1 February 2026 on, by a notice in each practice and on a page of the observatory (made up)"
objections = "By a form of the practice, or to the data protection officer of the observatory (made up)"
honoured = "Edition 1 leaves out who objected by 31 March 2026; later objections leave with the next edition (made up)"
incentives = "Practices receive figures about themselves in return, and no money (made up)"
"""
# Parts of the manifest of an OMOP CDM, of which only whoever runs the demonstration knows where it comes from.
CDM_CAP = """\
epsilon = 3.0
justification = "A demonstration; of real persons, 3 lets a belief of 1 in 10 become almost 7 in 10"
delta = 1e-6"""
CDM_MANIFEST = """\
[dataset.formalities]     # of the demonstration, made up
kind = "none"
why_none = "Made-up or public data without names, for the demonstration of Rowless"
legal_basis = "6(1)(f)"
condition = "9(2)(e)"
controller = "Whoever runs the demonstration"
processor = "None: it runs on one machine"
recipients = "The users of the demonstration"
ends = 2099-12-31
informed = "Nobody was: a demonstration has data of persons who do not exist, or that were published"
objections = "Nobody can object here; a real dataset names an address"
honoured = "None was received; a real dataset names here the edition from which on an objection is honoured"
incentives = "None for this demonstration"
"""
COST_SHARING = Formalities(
    kind=formalities.NONE_NEEDED,
    number=None,
    issued=None,
    expires=None,
    why_none="Public data without names, for the demonstration of Rowless",
    legal_basis="6(1)(f)",
    condition="9(2)(e)",
    controller="Whoever runs the demonstration",
    processor="None: it runs on one machine",
    recipients="The members of the study",
    ends="2099-12-31",
    informed="By the publication of the data of the experiment",
    objections="As for the dataset",
    honoured="As for the dataset",
    incentives="None for this demonstration",
)
CDM = replace(
    COST_SHARING,
    why_none="Made-up or public data without names, for the demonstration of Rowless",
    informed="As for the dataset",
)
PATHWAYS = replace(
    COST_SHARING,
    kind="reference-methodology",
    number="MR-004, DEMO 2026-002 (made up for the demonstration)",
    issued="2026-02-02",
    why_none=None,
    legal_basis="6(1)(e)",
    condition="9(2)(j)",
    controller="A made-up observatory of general practice",
    processor="A made-up host of health data",
    informed="With the observatory, and on its page about studies (made up)",
)
