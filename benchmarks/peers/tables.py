"""The measured numbers as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Size = Mapping[str, Any]  # what was measured on one file

NONE = "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def duration(seconds: float) -> str:
    """Return a time with two or three digits."""
    if seconds < 0.0095:
        return f"{1000 * seconds:.1f} ms"
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.5 else f"{seconds:.0f} s"


def share(number: float) -> str:
    """Return a share in percent with two digits."""
    percent = 100 * number
    if percent == 0:
        return "0"
    if percent < 0.001:
        return "under 0.001%"
    return f"{percent:.0f}%" if percent >= 9.95 else f"{percent:#.2g}%"


def times(ratio: float) -> str:
    """Return a ratio with two digits."""
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}" if ratio >= 0.995 else f"{ratio:#.2g}"


def of_tools(size: Size, tools: Sequence[str], say: Callable[[Mapping[str, Any]], str | None]) -> str:
    """Return a table with a line for each question and a column for each tool; `None` and reasons are marked."""
    rows = []
    for question in size["questions"]:
        found = [question["tools"].get(tool) for tool in tools]
        rows.append([question["name"], *(NONE if one is None else _cell(one, say) for one in found)])
    return table(["question", *tools], rows)


def _cell(found: Mapping[str, Any], say: Callable[[Mapping[str, Any]], str | None]) -> str:
    if "instead" in found:
        return str(found["instead"]).partition(":")[0]
    return say(found) or NONE


def reasons(size: Size, tools: Sequence[str]) -> Iterator[str]:
    """Yield a line for each reason why a tool has no number, with the questions to which it applies."""
    for tool in tools:
        by_reason: dict[str, list[str]] = {}
        for question in size["questions"]:
            instead = question["tools"].get(tool, {}).get("instead", "")
            if ":" in instead:
                by_reason.setdefault(one_line(instead), []).append(question["name"])
        for reason, names in by_reason.items():
            yield f"- {tool}, {'all questions' if len(names) == len(size['questions']) else '; '.join(names)}: {reason}"


def one_line(text: str, length: int = 240) -> str:
    """Return a text as it can stand in a line of Markdown."""
    told = re.sub(r"\s+", " ", text).replace("|", "/").replace("<", "(").replace(">", ")").replace("`", "'")
    return told if len(told) <= length else told[: length - 3] + "..."
