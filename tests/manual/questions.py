"""The questions of the gallery: each in words and in Python. All else that the gallery shows is made from these."""

from __future__ import annotations

from dataclasses import dataclass

STUDY, DATASET = "pathways", "observatory"


@dataclass(frozen=True)
class Example:
    """A question: the file of its picture, words, what it may spend, and Python that builds it as `question`."""

    name: str
    title: str
    words: str
    python: str
    epsilon: float = 0.3


_DIAGNOSED = 'c = study.table("consultations")\ndiagnosed = c.where(c.diagnosis == "D007")\n'
_DRUG = 'p = study.table("prescriptions")\ndrug = p.where(p.drug.isin(["M016", "M032", "M020"]))\n'
_C, _P = 'q = study.table("consultations")\n', 'q = study.table("prescriptions")\n'

QUESTIONS = (
    Example(
        "ages",
        "Who are the patients?",
        "Patients by sex and year of birth.",
        'q = study.table("persons")\n'
        'question = q.by("sex", q.birth_year.bins(1920, 1940, 1960, 1980, 2000, 2017)).count_persons("patients")',
    ),
    Example(
        "regions",
        "Where do they live?",
        "Patients by region.",
        'question = study.table("persons").by("region").count_persons("patients")',
    ),
    Example(
        "years",
        "Is the practice used more from year to year?",
        "Consultations a year. Of one person at most ten a year count.",
        _C + 'question = q.by(q.date.period("year")).count_events("consultations")'
        ".bounds(cells_per_person=7, events_per_cell=10)",
    ),
    Example(
        "months",
        "When in the year do people come?",
        "Patients with a consultation in a month of the year, all years together.",
        _C + 'question = q.by(q.date.part("month")).count_persons("patients").bounds(cells_per_person=12)',
    ),
    Example(
        "weekdays",
        "On which days?",
        "Patients by the day of the week. 1 is Monday.",
        _C
        + 'question = q.by(q.date.part("weekday").named("weekday")).count_persons("patients").bounds(cells_per_person=7)',
    ),
    Example(
        "urgent",
        "How much of it is urgent?",
        "The share of consultations that are urgent, by sex. Of one person at most 20 count.",
        _C + 'question = q.by("sex").proportion(q.urgent, "urgent").bounds(events_per_cell=20)',
    ),
    Example(
        "cost",
        "What does a consultation cost?",
        "The mean cost by sex, each cost clamped to 0 to 100 euros.",
        _C + 'question = q.by("sex").mean("cost", "cost", bounds=(0, 100)).bounds(events_per_cell=20)',
    ),
    Example(
        "quartiles",
        "How do costs spread?",
        "The quartiles of the cost of a consultation, for urgent ones and others.",
        _C + 'question = (\n    q.by("urgent")\n    .quantile("cost", [0.25, 0.5, 0.75], "cost", bounds=(0, 100))\n'
        "    .bounds(cells_per_person=2, events_per_cell=20)\n)",
    ),
    Example(
        "pressure",
        "What blood pressures are measured?",
        "Consultations by systolic blood pressure, in mmHg, where it was measured.",
        _C + "question = (\n    q.where(~q.systolic.is_null())\n"
        '    .histogram("systolic", [60, 100, 120, 140, 160, 180, 260], "pressure")\n    .bounds(events_per_cell=20)\n)',
    ),
    Example(
        "hypertension",
        "Who has a high blood pressure?",
        "The share of measurements of 140 mmHg and more, by year of birth.",
        _C
        + "question = (\n    q.where(~q.systolic.is_null())\n    .by(q.birth_year.bins(1920, 1940, 1960, 1980, 2000, 2017))\n"
        '    .proportion(q.systolic >= 140, "high")\n    .bounds(events_per_cell=20)\n)',
    ),
    Example(
        "age-and-pressure",
        "Does blood pressure go with age?",
        "The mean systolic blood pressure, in mmHg, by year of birth.",
        _C + "question = (\n    q.by(q.birth_year.bins(1920, 1940, 1960, 1980, 2000, 2017))\n"
        '    .mean("systolic", "pressure", bounds=(80, 200))\n    .bounds(events_per_cell=20)\n)',
    ),
    Example(
        "diagnoses",
        "What are the most frequent diagnoses?",
        "The five most frequent codes, with the number of consultations of each.",
        _C + 'question = q.top("diagnosis", 5, "diagnoses").bounds(events_per_cell=20)',
    ),
    Example(
        "drugs",
        "Which drugs are prescribed most?",
        "The five most frequent codes, with the number of packages of each.",
        _P + 'question = q.top("drug", 5, "drugs").bounds(events_per_cell=20)',
    ),
    Example(
        "spending",
        "What is spent on drugs?",
        "The sum of prices a year, each price clamped to 0 to 50 euros.",
        _P + 'question = (\n    q.by(q.date.period("year")).sum("price", "spent", bounds=(0, 50))'
        ".bounds(cells_per_person=7, events_per_cell=10)\n)",
    ),
    Example(
        "visits",
        "How often do patients come?",
        "Patients by their number of consultations in 2023, 30 at most.",
        _C + 'visits = q.where(q.date >= "2023-01-01").per_person(visits=values.count(bounds=(1, 30)))\n'
        'question = visits.histogram("visits", [1, 2, 3, 5, 10, 31], "patients")',
    ),
    Example(
        "per-patient",
        "What does a patient cost in a year?",
        "The mean over patients of the sum of costs in 2023, by sex.",
        _C + 'year = q.where(q.date >= "2023-01-01").per_person(cost=values.sum("cost", bounds=(0, 1000)))\n'
        'question = year.by("sex").mean("cost", "cost")',
    ),
    Example(
        "regular",
        "Who takes a drug regularly?",
        "Patients with at least three packages of the drug M016, by sex.",
        'p = study.table("prescriptions")\nregular = p.where(p.drug == "M016").persons(at_least=3)\n'
        'question = study.table("persons").where(regular).by("sex").count_persons("patients")',
    ),
    Example(
        "treated",
        "Who is treated after a diagnosis?",
        "Of the patients with the diagnosis D007, the share that got one of three drugs within 90 days, by sex.",
        _DIAGNOSED + _DRUG + "treated = drug.persons(after=diagnosed.events(within_days=90))\n"
        'cohort = study.table("persons").where(diagnosed.persons())\n'
        'question = cohort.by("sex").proportion(treated, "treated", of="persons")',
    ),
    Example(
        "new-users",
        "Who begins with a drug?",
        "Patients who got the drug M016 from 2020 on, and none of it in the year before, by sex.",
        'p = study.table("prescriptions")\ndrug = p.where(p.drug == "M016")\n'
        'begun = drug.where(p.date >= "2020-01-01").persons(without=drug.events(within_days=365))\n'
        'question = study.table("persons").where(begun).by("sex").count_persons("new_users")',
    ),
    Example(
        "untreated",
        "How long does it take to a treatment?",
        "The share not yet treated, by the days since the first diagnosis D007 (a survival curve), by sex.",
        _DIAGNOSED + _DRUG + "waits = diagnosed.per_person(wait=values.days_to(drug.events()))\n"
        'question = waits.by("sex").survival("wait", [0, 30, 90, 180, 365, 730], "untreated", ends="2023-12-31")',
    ),
)
