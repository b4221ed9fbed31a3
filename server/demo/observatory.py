"""A made-up observatory of general practice, for the demonstration and for benchmarks.

Its data resemble real data: many events of each person with a long tail, codes that repeat within a person, nulls, and
files in no useful order. Nothing was learnt from real persons: the figures were chosen by hand. (Rehearsals use other
data, made up from a dataset's own catalog: `queries/store/made_up/rehearsal.py`.)

Persons are made in batches, each from its own random stream. The data depend on the shape alone, and memory does not
grow with the number of persons.
"""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from server.demo import formal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    Ints = NDArray[np.integer[Any]]
    Floats = NDArray[np.float64]

BATCH = 50_000  # persons; another size would draw other data

REGIONS = 13
BIRTH_YEARS = 97  # the youngest are born in the year before the first one, the oldest this many years earlier
COST_MAX, PRICE_MAX = 1_000, 5_000  # euros
SYSTOLIC = (60, 260)  # mmHg
PACKS = (7, 10, 14, 20, 28, 30, 56, 60, 84, 90)  # daily doses in a package

# Consultations of a person: the median is about 6, the mean about 10, and one person in a million has several hundred.
MEDIAN_CONSULTATIONS = 6.0
SPREAD_OF_AGE, SPREAD_OF_PERSON = 0.35, 0.95
PRESCRIPTIONS_PER_CONSULTATION = 0.7

_EPOCH = dt.date(1970, 1, 1)
_BITS = 62  # pseudonyms are positive in 64 bits wherever they are read


@dataclass(frozen=True)
class Shape:
    """What to make. Equal shapes give equal data."""

    persons: int
    seed: int = 1
    practices: int = 2500
    diagnoses: int = 300
    drugs: int = 800
    first_year: int = 2017
    last_year: int = 2023

    def __post_init__(self) -> None:
        for name in ("persons", "practices", "diagnoses", "drugs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.seed < 0:
            raise ValueError("seed must not be negative")
        if max(self.practices, self.diagnoses, self.drugs) > np.iinfo(np.int16).max:
            raise ValueError("practices, diagnoses and drugs must be at most 32767")
        if not 1900 <= self.first_year <= self.last_year <= 2099:
            raise ValueError("the years must ascend within 1900 to 2099")


@dataclass(frozen=True)
class Written:
    """How many rows were written, and the manifest that declares them."""

    persons: int
    consultations: int
    prescriptions: int
    manifest: Path


@dataclass(frozen=True)
class _World:
    """What all persons share. Shares are cumulative, as `_draw` needs them."""

    practice_shares: Floats
    practice_regions: Ints
    practice_fees: Floats
    diagnosis_shares: Floats
    drug_shares: Floats
    drug_prices: Floats  # of one daily dose
    day_shares: Floats
    first_day: int


@dataclass(frozen=True)
class _Persons:
    """One batch of persons: each array has one place for each of them."""

    ids: Ints
    female: NDArray[np.bool_]
    birth_year: Ints
    practice: Ints
    age: Ints  # at the beginning of the first year
    rate: Floats  # consultations to expect


def write_observatory(folder: Path, shape: Shape, progress: Callable[[int], None] = lambda _: None) -> Written:
    """Write three Parquet files and their manifest into `folder`; call `progress` with the persons written so far."""
    folder.mkdir(parents=True, exist_ok=True)
    world = _world(shape, _stream(shape, 0))
    diagnoses, drugs = _names("D", shape.diagnoses), _names("M", shape.drugs)
    regions, sexes = _names("R", REGIONS), pa.array(["female", "male"])
    consultations = prescriptions = 0
    with ExitStack() as stack:

        def writer(name: str, schema: pa.Schema) -> pq.ParquetWriter:
            return stack.enter_context(pq.ParquetWriter(folder / name, schema, compression="zstd", compression_level=1))

        to_persons = writer("persons.parquet", _PERSONS)
        to_consultations = writer("consultations.parquet", _CONSULTATIONS)
        to_prescriptions = writer("prescriptions.parquet", _PRESCRIPTIONS)
        for number, start in enumerate(range(0, shape.persons, BATCH), start=1):
            stop = min(start + BATCH, shape.persons)
            rng = _stream(shape, number)
            batch = _persons(shape, world, start, stop, rng)
            to_persons.write_table(_persons_table(batch, world, sexes, regions))
            table = _consultations_table(batch, world, diagnoses, rng)
            consultations += table.num_rows
            to_consultations.write_table(table)
            table = _prescriptions_table(batch, world, drugs, rng)
            prescriptions += table.num_rows
            to_prescriptions.write_table(table)
            progress(stop)
    manifest = folder / "observatory.toml"
    manifest.write_text(
        _manifest(shape, diagnoses.to_pylist(), drugs.to_pylist(), regions.to_pylist()), encoding="utf-8"
    )
    return Written(shape.persons, consultations, prescriptions, manifest)


# What all share


def _stream(shape: Shape, number: int) -> Generator:
    """Return the stream of one batch (or of the world, 0), as SeedSequence(seed).spawn() would."""
    return np.random.default_rng(np.random.SeedSequence(shape.seed, spawn_key=(number,)))


def _world(shape: Shape, rng: Generator) -> _World:
    first, last = dt.date(shape.first_year, 1, 1), dt.date(shape.last_year, 12, 31)
    days = np.arange((first - _EPOCH).days, (last - _EPOCH).days + 1)
    weekdays = (days + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    # Practices are closed on most Sundays, and winters are busier.
    opening = np.array([1.2, 1.0, 1.0, 1.0, 1.1, 0.4, 0.03])[weekdays]
    season = 1 + 0.2 * np.cos(2 * np.pi * (days - days[0] - 20) / 365.25)
    return _World(
        practice_shares=_cumulative(rng.gamma(4.0, size=shape.practices)),
        practice_regions=_draw(_cumulative(1 / (2 + np.arange(REGIONS))), shape.practices, rng),
        practice_fees=rng.normal(30, 3, shape.practices),
        diagnosis_shares=_cumulative(rng.permutation(_zipf(shape.diagnoses))),
        drug_shares=_cumulative(rng.permutation(_zipf(shape.drugs))),
        drug_prices=np.exp(rng.normal(np.log(0.4), 1.0, shape.drugs)),
        day_shares=_cumulative(opening * season),
        first_day=int(days[0]),
    )


def _zipf(size: int) -> Floats:
    return 1.0 / np.arange(1, size + 1)


def _cumulative(weights: Floats) -> Floats:
    shares = np.cumsum(weights) / np.sum(weights)
    shares[-1] = 1.0  # no uniform draw lies beyond
    return shares


def _draw(shares: Floats, size: int | tuple[int, int], rng: Generator) -> Ints:
    """Draw places 0..n-1 by their cumulative shares."""
    return np.searchsorted(shares, rng.random(size), side="right").astype(np.int16)


def _names(letter: str, size: int) -> pa.Array:
    width = max(len(str(size)), 2)
    return pa.array([f"{letter}{number:0{width}}" for number in range(1, size + 1)])


# Persons


def _persons(shape: Shape, world: _World, start: int, stop: int, rng: Generator) -> _Persons:
    size = stop - start
    # A closed cohort: everybody is born before the first year, so that no event comes before a birth.
    age = np.floor(rng.beta(1.2, 1.6, size) * BIRTH_YEARS).astype(np.int16)
    centred = (age - age.mean()) / age.std() if size > 1 else np.zeros(size)
    spread = SPREAD_OF_AGE * centred + SPREAD_OF_PERSON * rng.standard_normal(size)
    return _Persons(
        ids=_pseudonyms(np.arange(start, stop, dtype=np.uint64), shape.seed),
        female=rng.random(size) < 0.52,
        birth_year=(shape.first_year - 1 - age).astype(np.int16),
        practice=_draw(world.practice_shares, size, rng),
        age=age,
        rate=MEDIAN_CONSULTATIONS * np.exp(spread),
    )


def _pseudonyms(numbers: NDArray[np.uint64], seed: int) -> Ints:
    """Return numbers that look random, one-to-one, so that batches need not know each other's numbers.

    Each step (add, multiply by an odd number, xor with a right shift) can be undone modulo 2^62.
    """
    mask = np.uint64(2**_BITS - 1)
    key = np.random.SeedSequence(seed, spawn_key=(0, 0)).generate_state(1, np.uint64)
    mixed = (numbers + key) & mask
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):  # those of splitmix64
        mixed ^= mixed >> np.uint64(31)
        mixed = (mixed * np.uint64(factor)) & mask
    mixed ^= mixed >> np.uint64(31)
    return mixed.astype(np.int64)


def _persons_table(persons: _Persons, world: _World, sexes: pa.Array, regions: pa.Array) -> pa.Table:
    columns = [
        persons.ids,
        _texts(np.where(persons.female, 0, 1), sexes),
        persons.birth_year,
        _texts(world.practice_regions[persons.practice], regions),
        persons.practice + 1,
    ]
    return pa.table(columns, schema=_PERSONS)


# Events. The persons of a batch's events are shuffled first; everything else is drawn for the events in that order.


def _consultations_table(persons: _Persons, world: _World, diagnoses: pa.Array, rng: Generator) -> pa.Table:
    who = _shuffled(rng.poisson(persons.rate), rng)
    size = len(who)
    own = rng.random(size) < 0.9
    practice = np.where(own, persons.practice[who], _draw(world.practice_shares, size, rng))
    urgent = rng.random(size) < 0.06
    cost = world.practice_fees[practice] * np.exp(0.25 * rng.standard_normal(size)) + 20.0 * urgent
    systolic = 115 + 0.3 * persons.age[who] + 15 * rng.standard_normal(size)
    unmeasured = rng.random(size) < 0.4
    columns = [
        persons.ids[who],
        _days(world, size, rng),
        _texts(_codes(world.diagnosis_shares, who, len(persons.ids), rng), diagnoses),
        practice + 1,
        _cents(cost, COST_MAX),
        pa.array(np.clip(np.rint(systolic), *SYSTOLIC).astype(np.int16), mask=unmeasured),
        urgent,
    ]
    return pa.table(columns, schema=_CONSULTATIONS)


def _prescriptions_table(persons: _Persons, world: _World, drugs: pa.Array, rng: Generator) -> pa.Table:
    # Persons with equally many consultations get different numbers of prescriptions: a factor of mean 1.
    habit = np.exp(0.4 * rng.standard_normal(len(persons.ids)) - 0.08)
    who = _shuffled(rng.poisson(PRESCRIPTIONS_PER_CONSULTATION * habit * persons.rate), rng)
    size = len(who)
    drug = _codes(world.drug_shares, who, len(persons.ids), rng)
    doses = np.array(PACKS, dtype=np.int16)[rng.integers(0, len(PACKS), size)]
    price = world.drug_prices[drug] * doses * rng.uniform(0.9, 1.1, size)
    columns = [
        persons.ids[who],
        _days(world, size, rng),
        _texts(drug, drugs),
        doses,
        _cents(price, PRICE_MAX),
    ]
    return pa.table(columns, schema=_PRESCRIPTIONS)


def _shuffled(counts: Ints, rng: Generator) -> Ints:
    """Return each person's place once for each event of theirs, in random order."""
    who = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    rng.shuffle(who)
    return who


def _codes(shares: Floats, who: Ints, persons: int, rng: Generator) -> Ints:
    """Draw a code for each event: half of the time one of the person's few chronic codes, else any.

    Without chronic codes a person would have nearly as many codes as events; real persons have fewer.
    """
    most = 6
    chronic = _draw(shares, (persons, most), rng)
    count = np.minimum(1 + rng.poisson(1.5, persons), most)
    which = (rng.random(len(who)) * count[who]).astype(np.int8)
    again = rng.random(len(who)) < 0.5
    return np.where(again, chronic[who, which], _draw(shares, len(who), rng))


def _days(world: _World, size: int, rng: Generator) -> pa.Array:
    days = world.first_day + _draw(world.day_shares, size, rng).astype(np.int32)
    return pa.array(days).cast(pa.date32())


def _cents(euros: Floats, most: int) -> Floats:
    return np.rint(np.clip(euros, 0, most) * 100) / 100


def _texts(places: Ints, texts: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int16)), texts)


# The files' columns, and how the manifest declares them

_TEXT = pa.dictionary(pa.int16(), pa.string())
_PERSONS = pa.schema(
    {
        "patient": pa.int64(),
        "sex": _TEXT,
        "birth_year": pa.int16(),
        "region": _TEXT,
        "practice": pa.int16(),
    }
)
_CONSULTATIONS = pa.schema(
    {
        "patient": pa.int64(),
        "date": pa.date32(),
        "diagnosis": _TEXT,
        "practice": pa.int16(),
        "cost": pa.float64(),
        "systolic": pa.int16(),
        "urgent": pa.bool_(),
    }
)
_PRESCRIPTIONS = pa.schema(
    {
        "patient": pa.int64(),
        "date": pa.date32(),
        "drug": _TEXT,
        "daily_doses": pa.int16(),
        "price": pa.float64(),
    }
)


def _manifest(shape: Shape, diagnoses: list[str], drugs: list[str], regions: list[str]) -> str:
    persons_max = 1
    while persons_max < shape.persons:
        persons_max *= 10
    practices = f"[1, {max(shape.practices, 2)}]"  # bounds must ascend
    births = f"[{shape.first_year - BIRTH_YEARS}, {shape.first_year - 1}]"
    dates = f"[{shape.first_year}-01-01, {shape.last_year}-12-31]"
    return f"""\
# Made-up data, written by Rowless (seed {shape.seed}): none of these persons exist.

[dataset]
name = "observatory"
title = "A made-up observatory of general practice"
{formal.CAP}
persons_max = {persons_max}

{formal.MANIFEST}
[person]
id = "patient"
source = "persons.parquet"
title = "One row per patient"
[person.columns.sex]
{_declare("category", "Sex", values=_values(["female", "male"]))}
[person.columns.birth_year]
{_declare("integer", "Year of birth", bounds=births)}
[person.columns.region]
{_declare("category", "Region of the patient's own practice", values=_values(regions))}
[person.columns.own_practice]
from = "practice"
{_declare("integer", "The patient's own practice, by its number", bounds=practices)}

[tables.consultations]
source = "consultations.parquet"
title = "One row per consultation"
[tables.consultations.columns.date]
{_declare("date", "Day of the consultation", bounds=dates)}
[tables.consultations.columns.practice]
{_declare("integer", "Practice that was consulted, by its number", bounds=practices)}
[tables.consultations.columns.cost]
{_declare("number", "Cost of the consultation, in euros", bounds=f"[0, {COST_MAX}]", step="0.01")}
[tables.consultations.columns.systolic]
{_declare("integer", "Systolic blood pressure, in mmHg, where measured", bounds=str(list(SYSTOLIC)), nullable="true")}
[tables.consultations.columns.urgent]
{_declare("boolean", "Whether the consultation was urgent")}
[tables.consultations.columns.diagnosis]
{_declare("category", "Code of the main diagnosis", values=_values(diagnoses))}

[tables.prescriptions]
source = "prescriptions.parquet"
title = "One row per prescribed package"
[tables.prescriptions.columns.date]
{_declare("date", "Day of the prescription", bounds=dates)}
[tables.prescriptions.columns.daily_doses]
{_declare("integer", "Daily doses in the package", bounds=f"[1, {max(PACKS)}]")}
[tables.prescriptions.columns.price]
{_declare("number", "Price of the package, in euros", bounds=f"[0, {PRICE_MAX}]", step="0.01")}
[tables.prescriptions.columns.drug]
{_declare("category", "Code of the drug", values=_values(drugs))}
"""


def _declare(kind: str, title: str, **keys: str) -> str:
    lines = [f'type = "{kind}"', f'title = "{title}"', *(f"{key} = {value}" for key, value in keys.items())]
    return "\n".join(lines)


def _values(texts: list[str]) -> str:
    """Return a TOML list of texts, ten on a line when they are many."""
    quoted = [f'"{text}"' for text in texts]
    if len(quoted) <= 10:
        return f"[{', '.join(quoted)}]"
    lines = ("  " + ", ".join(quoted[start : start + 10]) + ",\n" for start in range(0, len(quoted), 10))
    return "[\n" + "".join(lines) + "]"
