"""What the check says, in French: `python -m verify --lang fr`, or by LC_ALL, LC_MESSAGES or LANG.

The check writes its findings in English, also into JSON. What it prints for people is looked up, line by line, in
`fr.toml` beside this module. A line that is not there stays in English. Texts from the log stand in holes of these
sentences and are kept, so nothing that somebody wrote into a log is taken for a sentence of the check.

A hole ends where the next letters of its sentence first appear, and is not tried again (atomic groups): however a
forged log is written, a line takes no longer than its length.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = Path(__file__).with_name("fr.toml")
LONGEST, DEEPEST = 5_000, 6  # characters of a line, and sentences within sentences, that are looked up at all
HOLE = re.compile(r"\{([a-z_][a-z_0-9]*)(?::([a-z]+))?\}")
NUMBER = r"[-+]?\d[\d,]{0,40}(?:\.\d{1,40})?(?:e[-+]?\d{1,4})?%?"
DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(Z?))?", re.ASCII)
BETWEEN_WORDS = re.compile(r"(, | or | and )")
SPACE = "\N{NARROW NO-BREAK SPACE}"
MARKS = str.maketrans({",": SPACE, ".": ",", "%": f"{SPACE}%"})  # of numbers


@dataclass(frozen=True)
class Sentence:
    """A sentence with holes: its expression, what kind each hole is of, and its French."""

    shape: re.Pattern[str]
    kinds: Mapping[str, str]
    answer: str


@dataclass(frozen=True)
class French:
    """The sentences without holes, those with holes (the ones with the most letters first), and words."""

    exact: Mapping[str, str]
    sentences: tuple[Sentence, ...]
    words: Mapping[str, str]

    def lines(self, text: str) -> str:
        """Return several lines, each with its blanks before it."""
        bare = ((line, line.lstrip(" ")) for line in text.split("\n"))
        return "\n".join(line[: len(line) - len(said)] + self.line(said) for line, said in bare)

    def line(self, text: str) -> str:
        """Return a line in French, or as it is if nothing is known of it."""
        return (self._of(text, 0) if len(text) <= LONGEST else None) or text

    def _of(self, text: str, depth: int) -> str | None:
        if text in self.exact or not text:
            return self.exact.get(text, text)
        if depth > DEEPEST:
            return None
        for one in self.sentences:
            found = one.shape.fullmatch(text)
            said = None if found is None else self._filled(one, found.groupdict(), depth)
            if said is not None:
                return said
        return None

    def _filled(self, one: Sentence, holes: Mapping[str, str], depth: int) -> str | None:
        filled = {name: self._hole(one.kinds[name], said, depth) for name, said in holes.items()}
        return None if None in filled.values() else HOLE.sub(lambda hole: str(filled[hole[1]]), one.answer)

    def _hole(self, kind: str, text: str, depth: int) -> str | None:
        match kind:
            case "number":
                return text.translate(MARKS)
            case "day":
                return DAY.sub(_day, text)
            case "words":
                return self.words.get(text) or "".join(self.words.get(one, one) for one in BETWEEN_WORDS.split(text))
            case "phrase":
                return self._of(text, depth + 1)
            case _:
                return text


@cache
def french() -> French:
    """Return the sentences of `fr.toml`."""
    known = tomllib.loads(FILE.read_text(encoding="utf-8"))
    sentences = {said: _printed(answer) for said, answer in (known["sentences"] | known["joined"]).items()}
    shaped = sorted((said for said in sentences if HOLE.search(said)), key=lambda said: -len(HOLE.sub("", said)))
    return French(
        {said: answer for said, answer in sentences.items() if not HOLE.search(said)},
        tuple(_sentence(said, sentences[said]) for said in shaped),
        {said: _printed(answer) for said, answer in known["words"].items()},
    )


def _sentence(said: str, answer: str) -> Sentence:
    start, *pieces = HOLE.split(said)
    groups, kinds = [re.escape(start)], {}
    for name, kind, literal in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        kinds[name] = kind or ""
        if kind == "number":
            groups[-1] += f"(?P<{name}>{NUMBER}){re.escape(literal)}"
            continue
        # A hole at the beginning has no ": " in it, because what stands before a colon is a hole of its own.
        letter = "(?!: )." if groups == [""] else "[^.:;]" if kind == "words" else "."
        times = "*?" if kind == "phrase" else "+?"
        groups.append(f"(?P<{name}>(?:{letter}){times}){re.escape(literal)}")
    # The last group goes on to the end of the line, so it may not stop where its letters first appear.
    *before, last = groups
    return Sentence(re.compile("".join(f"(?>{group})" for group in before) + last, re.DOTALL), kinds, answer)


def _printed(text: str) -> str:
    """Return a text with the spaces and apostrophes of print."""
    spaced = re.sub(r" ([:;?%»]|!(?!=))", rf"{SPACE}\1", text).replace("« ", f"«{SPACE}")
    return re.sub(r"(?<=[^\W\d_])'(?=[\w{«])", "\N{RIGHT SINGLE QUOTATION MARK}", spaced)


def _day(found: re.Match[str]) -> str:
    year, month, day, time, utc = found.groups()
    return f"{day}/{month}/{year}" + ("" if time is None else f" {time}{' UTC' if utc else ''}")
