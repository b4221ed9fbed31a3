"""Writes what was measured into docs/performance.md and docs/pictures, between the marks that the page has for it."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import chart, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.peers.tables import Size

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "pictures" / "performance"
OURS, PLAIN = "Rowless, engine", "plain DuckDB"
HTTP = "Rowless, HTTP"


def put(page: Path, block: str, text: str) -> None:
    """Replace a block of the page, which begins and ends with a comment of its name."""
    whole = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {block}: written by its command -->", f"<!-- end of {block} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(whole)) != 1:
        raise ValueError(f"{page} needs one block {block}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", whole), encoding="utf-8")


def machine(command: str) -> str:
    """Return a paragraph about this machine and run."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    date = dt.datetime.now(tz=dt.UTC).date()
    return (
        f"Measured on {date} at commit `{commit or 'unknown'}` with `{command}`: {len(os.sched_getaffinity(0))} cores "
        f"({model}), {memory:.0f} GiB of memory, {platform.system()} {platform.release().partition('-')[0]}."
    )


def write(results: Mapping[str, Any], page: Path = PAGE, pictures: Path = PICTURES) -> None:
    """Write the blocks and the pictures of the comparison."""
    tools, sizes = results["tools"], results["sizes"]
    pictures.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        (pictures / _file(size)).write_text(_drawn(size, tools) + "\n", encoding="utf-8")
    shown = max((size for size in sizes if size["peers"]), key=lambda size: size["events"], default=sizes[-1])
    put(page, "summary", _summary(shown, tools))
    put(page, "versions", f"{results['machine']}\n\n{_versions(results['versions'])}")
    put(page, "observatory", "\n\n".join(_size(size, tools) for size in sizes))
    put(page, "scale", _scale(sizes))


def _summary(size: Size, tools: Sequence[str]) -> str:
    rows = []
    for question in size["questions"]:
        by = {tool: one["seconds"] for tool, one in question["tools"].items() if "seconds" in one}
        if OURS not in by or PLAIN not in by:
            continue
        others = {tool: by[tool] for tool in tools if tool in by and tool not in (OURS, HTTP, PLAIN)}
        best = min(others, key=lambda tool: others[tool], default=None)
        rows.append(
            [
                question["name"],
                tables.duration(by[PLAIN]),
                tables.duration(by[OURS]),
                tables.times(by[OURS] / by[PLAIN]),
                "none answers" if best is None else f"{tables.duration(others[best])} ({best})",
                tables.NONE if best is None else tables.times(others[best] / by[OURS]),
                tables.share(question["tools"][OURS]["error"]),
            ]
        )
    head = [
        *("question", PLAIN, OURS, "Rowless / DuckDB", "fastest other private tool", "times Rowless"),
        "relative error of Rowless",
    ]
    about = f"{size['events']:,} events of about {size['events'] // 10:,} persons, epsilon 1"
    return f"{tables.table(head, rows)}\n\n{about}.\n\n{_picture(size)}"


def _versions(versions: Mapping[str, Mapping[str, str]]) -> str:
    rows = [
        [tool, tables.one_line(f"not installed: {one['error']}" if one["error"] else one["version"])]
        for tool, one in versions.items()
    ]
    return tables.table(["tool", "version"], rows)


def _size(size: Size, tools: Sequence[str]) -> str:
    asked = [tool for tool in tools if any(tool in one["tools"] for one in size["questions"])]
    millions = size["events"] / 1e6
    rounds = f"up to {size['rounds']} rounds" if size["rounds"] > 1 else "one round"
    reading = (
        f"Rowless imported the file in {size['import_seconds']:.0f} s, once, and opens what it imported; the others "
        "read it before the first question. The memory is the highest of all questions, with the data:"
    )
    told = [
        f"### {millions:.0f} million events",
        f"{size['events']:,} events. Median time of {rounds} after one that warms up:",
        tables.of_tools(size, asked, lambda one: tables.duration(one["seconds"])),
        _picture(size),
        "Median relative error:",
        tables.of_tools(size, [tool for tool in asked if tool != PLAIN], lambda one: tables.share(one["error"])),
        reading,
        _memory(size, asked),
    ]
    missing = "\n".join(tables.reasons(size, asked))
    return "\n\n".join([*told, *(["Where there is no number:", missing] if missing else [])])


def _memory(size: Size, tools: Sequence[str]) -> str:
    rows = []
    for tool in tools:
        loading = size["loading"].get(tool)
        rows.append([tool, tables.NONE if loading is None else tables.duration(loading), _peak(size, tool)])
    return tables.table(["tool", "reads the data", "peak memory"], rows)


def _peak(size: Size, tool: str) -> str:
    """Return the highest peak of memory of a tool over all questions."""
    peaks = [one["tools"][tool]["peak_mb"] for one in size["questions"] if tool in one["tools"]]
    return f"{max(peaks):,} MB" if peaks and max(peaks) else tables.NONE


def _scale(sizes: Sequence[Size]) -> str:
    """Return how time and memory grow, and by how much the time between the two largest files."""
    columns = [(tool, number) for tool in (OURS, PLAIN) for number in range(len(sizes))]
    millions = [f"{size['events'] / 1e6:.0f} million" for size in sizes]
    head = ["question", *(f"{tool}, {millions[number]}" for tool, number in columns)]
    if len(sizes) > 1:
        head.append(f"{OURS}: {millions[-1]} / {millions[-2]}")
    rows = []
    for place, question in enumerate(sizes[-1]["questions"]):
        found = {one: sizes[one[1]]["questions"][place]["tools"].get(one[0], {}) for one in columns}
        row = [tables.duration(one["seconds"]) if "seconds" in one else tables.NONE for one in found.values()]
        if len(sizes) > 1:
            last, before = (found[OURS, len(sizes) - back].get("seconds") for back in (1, 2))
            row.append(tables.times(last / before) if last and before else tables.NONE)
        rows.append([question["name"], *row])
    memory = [_peak(sizes[number], tool) for tool, number in columns]
    rows.append(["peak memory", *memory, *([""] if len(sizes) > 1 else [])])
    return tables.table(head, rows)


def _file(size: Size) -> str:
    return f"time-{size['events'] / 1e6:.0f}.svg"


def _picture(size: Size) -> str:
    millions = f"{size['events'] / 1e6:.0f} million events"
    said = f"Seconds of each tool for each question of {millions}, on a scale of powers of ten"
    return f"![{said}](pictures/{PICTURES.name}/{_file(size)})"


def _drawn(size: Size, tools: Sequence[str]) -> str:
    limit = size["limit"]
    numbers = {
        question["name"]: {
            tool: one.get("seconds", limit)
            for tool, one in question["tools"].items()
            if "seconds" in one or one["instead"].startswith("over")
        }
        for question in size["questions"]
    }
    title = f"Time of a question, {size['events'] / 1e6:.0f} million events, epsilon 1"
    return chart.chart(title, tools, numbers, axis, limit)


def axis(seconds: float) -> str:
    """Return a time as it stands at an axis."""
    return tables.duration(seconds).replace(".0 ", " ")
