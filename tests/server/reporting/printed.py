"""The numbers of a printed report, read back from its text, and whether each is what it has to be, on the safe side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from html import unescape
from typing import TYPE_CHECKING

from mpmath import mpf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
SPACES = "\u00a0\u202f"
WRITTEN = {
    "en": re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+|[ \u00a0]×[ \u00a0]10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?(?![\d])"),
    "fr": re.compile(
        rf"(?<![\w,])\d+(?:[{SPACES}]\d{{3}})*(?:,\d+)?(?:e-?\d+|[ \u00a0]×[ \u00a0]10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?(?![\d])"
    ),
}


def numbers(text: str, code: str) -> list[Decimal]:
    """Return the numbers of a text in their order; those of percentages as they are written."""
    return [_read(one[0], code) for one in WRITTEN[code].finditer(text)]


def _read(text: str, code: str) -> Decimal:
    plain = re.sub(r"[ \u00a0]×[ \u00a0]10", "e", text).translate(RAISED)
    plain = plain.replace(",", "") if code == "en" else re.sub(f"[{SPACES}]", "", plain).replace(",", ".")
    return Decimal(plain)


def section(html: str, title: str) -> str:
    """Return the part of a page from a heading to the next."""
    start = html.index(f"<h2>{title}</h2>")
    end = html.find("<h2>", start + 4)
    return html[start : end if end > 0 else len(html)]


def cells(html: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a table, as text."""
    for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL):
        yield [text_of(one) for one in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]


def text_of(html: str) -> str:
    """Return the text of a part of a page, without its drawings."""
    return unescape(re.sub(r"<[^>]+>", "", re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)))


@dataclass(frozen=True)
class Exactly:
    """A number that is written as it is. Sums of a ledger are read as floats, which have 15 digits."""

    value: mpf

    def is_met(self, told: Decimal) -> bool:
        """Return whether what was printed is this number."""
        return bool(abs(mpf(str(told)) - self.value) <= abs(self.value) * mpf("1e-15"))


@dataclass(frozen=True)
class Percent:
    """A bound on a probability: a percentage, rounded up to a tenth, and below one per cent to a hundredth."""

    bound: mpf

    def is_met(self, told: Decimal) -> bool:
        """Return whether what was printed is not below the bound, and no larger than rounding up makes it."""
        # The bound is rounded up twice, first to a millionth; its epsilon was, to a billionth.
        return mpf(str(told)) >= 100 * self.bound - mpf("1e-30") and told in {
            _up(self.bound),
            _up(self.bound + mpf("1.2e-6")),
        }


def _up(bound: mpf) -> Decimal:
    hundredfold = Decimal(str(100 * min(mpf(1), bound)))
    step = Decimal("0.01") if 0 < hundredfold < 1 else Decimal("0.1")
    return hundredfold.quantize(step, rounding=ROUND_CEILING)


@dataclass(frozen=True)
class Above:
    """A number that is rounded up by at most a step, as epsilons are: to a billionth, in sentences to a thousandth."""

    value: mpf
    step: mpf

    def is_met(self, told: Decimal) -> bool:
        """Return whether what was printed is not below the number, nor above it by more than the step."""
        slack = mpf("1e-30") + self.value * mpf("1e-15")  # of a float
        return bool(self.value - mpf("1e-30") <= mpf(str(told)) <= self.value + self.step + slack)


Told = Exactly | Percent | Above


def check(told: Sequence[Decimal], due: Sequence[Told], what: str) -> None:
    """Fail unless the printed numbers are those that are due, one by one."""
    assert len(told) == len(due), (what, told, due)
    for place, (one, other) in enumerate(zip(told, due, strict=True)):
        assert other.is_met(one), (what, place, one, other)
