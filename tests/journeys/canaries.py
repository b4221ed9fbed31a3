"""Values planted in data, and the search for them: byte by byte, in every form in which they could leak."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.serving import write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

# One person has these, and nobody else: a number in the source, a code, unreadable texts, a cost (0.01 is its step).
PATIENT, CODE, COST, AGE, DAY = "777000777123", "KANARIENVOGEL", "613.37", "ZWITSCHER-93", "2020-02-29T11:59:07"
ORDINARY = "900001234"  # one of the many
PERSONS, VISITS = 4001, 3


@dataclass(frozen=True)
class Planted:
    """A manifest over data with canaries in it. `texts` must be found nowhere; `exact` are exact answers."""

    manifest: Path
    texts: tuple[str, ...]
    exact_sum: tuple[str, ...]
    exact_count: str

    @property
    def canaries(self) -> tuple[str, ...]:
        """Return all that is searched for everywhere. A noisy count may be the exact one by chance, a sum hardly."""
        return (*self.texts, *self.exact_sum)


def plant(folder: Path) -> Planted:
    """Write a clinic of 4,002 persons, one of whom has values that nobody else has."""
    costs, rows = Decimal(COST), []
    for number in range(PERSONS * VISITS):
        person = number % PERSONS
        cost = Decimal(number * 7919 % 60000) / 100
        costs += cost
        sex, month = ("female", "male")[person % 2], number % 12 + 1
        rows.append(
            f"{900_000_000 + person},{sex},2020-{month:02}-15,{cost},{person % 90},{number % 3 == 0},C{person % 7}"
        )
    rows.append(f"{PATIENT},female,2020-02-29,{COST},37,true,{CODE}")
    rows.append(f"{PATIENT},{CODE},{DAY},,{AGE},{CODE},{CODE}")
    cents = int(costs * 100)
    # The cost as the store has it: its place among the steps, and its code (0 is null).
    steps = ("61337", "61338")
    texts = (PATIENT, ORDINARY, CODE, COST, AGE, DAY, "2020-02-29", *steps)
    exact = (str(cents), f"{costs}", f"{costs:,}")
    return Planted(write_clinic(folder, rows), texts, exact, str(len(rows)))


def forms(text: str) -> Iterator[tuple[bytes, bool]]:
    """Yield what a text looks like in plain, hex, UTF-16, base64 at each offset and, a number, in 8 bytes.

    With each form comes whether it is to be looked for in any case.
    """
    plain = text.encode()
    for encoded in (plain, plain.hex().encode(), text.encode("utf-16-le")):
        yield encoded.lower(), True
    for offset in range(3):
        # Without the characters at the ends that depend on what stands beside.
        whole = base64.b64encode(b"\0" * offset + plain).rstrip(b"=")
        kept = whole[-(-8 * offset // 6) : len(whole) - (1 if (len(plain) + offset) % 3 else 0)]
        if len(kept) > 5:
            yield kept, False
    if text.isdigit() and int(text) >= 2**16:
        yield int(text).to_bytes(8, "little"), False
        yield int(text).to_bytes(8, "big"), False


def search(seen: Mapping[str, bytes], canaries: Iterable[str]) -> list[tuple[str, str, bytes]]:
    """Return (where, which canary, what stands around it) for each place that holds a canary in any form."""
    found = []
    wanted = [(canary, *form) for canary in canaries for form in forms(canary)]
    for where, content in seen.items():
        lower = content.lower()
        for canary, form, any_case in wanted:
            within, place = (lower, lower.find(form)) if any_case else (content, content.find(form))
            while place >= 0:
                if not NUMBER.fullmatch(form) or _by_itself(within, place, place + len(form)):
                    found.append((where, canary, content[max(0, place - 40) : place + len(form) + 40]))
                place = within.find(form, place + 1)
    return found


NUMBER = re.compile(rb"[0-9.,]+")


def _by_itself(content: bytes, start: int, end: int) -> bool:
    """Say whether digits are a whole number: a hash may hold any."""
    before, after = content[max(0, start - 1) : start], content[end : end + 1]
    return not re.fullmatch(rb"[0-9A-Za-z_.]", before) and not re.fullmatch(rb"[0-9A-Za-z_]", after)
